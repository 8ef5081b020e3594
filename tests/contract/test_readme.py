"""The README agrees with the template, every spec in the documents is valid, and all names in them
exist."""

import re
from pathlib import Path

import pytest

from dropscale.specs.keys import KeyKind, image_key_of, kind_of
from dropscale.specs.merge import effective_spec, merge, stack_defaults
from dropscale.specs.parse import SpecFile, parse_folder_spec, parse_sidecar, parse_stand_alone
from dropscale.upscaler import Mode
from tests.template import read_template

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TEMPLATE = read_template()


def shown(default: object) -> str:
    return "none" if default == "" else f"`{default}`"


def test_every_parameter_has_its_row_and_no_other_does() -> None:
    expected = [
        f"| `{name}` | {shown(parameter['Default'])} | {parameter['Description']} |"
        for name, parameter in TEMPLATE["Parameters"].items()
    ]
    section = README.partition("| Parameter |")[2].partition("\n\n")[0]

    assert section.splitlines()[2:] == expected


@pytest.mark.parametrize("document", ["README.md", "docs/deploy.md"])
def test_a_deployment_shows_the_daily_limit_and_how_to_raise_it(document: str) -> None:
    text = (ROOT / document).read_text()
    section = text.partition("# Deploy\n")[2].partition("\n## ")[0]

    assert f"{TEMPLATE['Parameters']['DailyCreditLimit']['Default']:,}" in section
    assert "$ sam deploy --parameter-overrides DailyCreditLimit=" in section


def spec_examples() -> list[tuple[str, str, str]]:
    """Return every spec of the documents, each with the document and the key in its first line."""
    return [
        (document, example.partition("\n")[0].removeprefix("# "), example)
        for document in ("README.md", "docs/spec.md")
        for example in re.findall(r"```ya?ml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    ]


@pytest.mark.parametrize(("document", "key", "example"), spec_examples())
def test_every_spec_in_the_documents_is_one_of_its_kind(
    document: str, key: str, example: str
) -> None:
    content = example.encode()
    match kind_of(key):
        case KeyKind.SIDECAR:
            spec: SpecFile | None = parse_sidecar(content, document, str(image_key_of(key)))
        case KeyKind.FOLDER_SPEC:
            spec = parse_folder_spec(content, document)
        case kind:
            assert kind is KeyKind.STAND_ALONE
            spec = parse_stand_alone(content, document)

    assert spec
    assert spec.layer
    layers = [stack_defaults(2, Mode.BALANCED), spec.layer]
    assert effective_spec(merge(layers), "cat.jpg").wanted_renditions


def test_the_documents_show_each_kind_of_spec() -> None:
    kinds = {kind_of(key) for _, key, _ in spec_examples()}
    assert kinds == {KeyKind.SIDECAR, KeyKind.FOLDER_SPEC, KeyKind.STAND_ALONE}


def dangling_links(document: Path) -> list[str]:
    """Return the relative links of a document that lead nowhere."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", document.read_text())
    return [link for link in links if not (document.parent / link).exists()]


def dangling_steps(document: Path) -> list[str]:
    """Return each `folder/file.py`, or `folder/file.py:name`, of a document that is not there."""
    steps = re.findall(r"`(\w[\w/]*/\w+\.py)(?::(\w+))?`", document.read_text())
    return [f"{file}:{name}" for file, name in steps if not defines(file, name)]


def defines(file: str, name: str) -> bool:
    """Tell whether a file, of the project or of the layer, is there and defines a name, if any."""
    paths = [path for room in (ROOT, ROOT / "shared/dropscale") if (path := room / file).exists()]
    definition = re.compile(rf"^ *(async def|def|class) {name}\b" if name else "", re.MULTILINE)
    return any(definition.search(path.read_text()) for path in paths)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_exists(document: Path) -> None:
    assert (dangling_links(document), dangling_steps(document)) == ([], [])


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "[a](gone.md#part) [b](https://e.com) `ledger/store.py:gone` `ledger/gone.py`"
    )

    assert dangling_links(document) == ["gone.md"]
    assert dangling_steps(document) == ["ledger/store.py:gone", "ledger/gone.py:"]
