"""No regular expression of the product is slow, whatever text it is given.

The list of them is read from the code: one that is not in `WORST` fails the test.
"""

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from dropscale.image import unsupported
from dropscale.magichour import outputs, text, urls
from dropscale.magichour.calls import retry_after
from dropscale.magichour.models import Download, Project
from dropscale.specs import document, foreign_syntax, image_path, values
from dropscale.upscaler import ProjectStatus
from dropscale_embedded.api import picture

ROOT = Path(__file__).parents[2]
ROOMS = ("shared", "local", "functions")
LENGTH = 300_000
MOST_SECONDS = 0.3
"""Of the processor."""

Use = Callable[[str], object]


def filled(*units: str, before: str = "", after: str = "\n!") -> list[str]:
    """Return a long text per unit, repeated, between what lets a match begin and lets it fail."""
    return [before + unit * (LENGTH // len(unit)) + after for unit in units]


def _downloaded(url: str) -> object:
    downloads = [Download.model_construct(url=url)]
    return outputs.output_names(
        Project.model_construct(id="p", status=ProjectStatus.COMPLETE, downloads=downloads)
    )


def _host(host: str) -> object:
    urls.fault_of(f"https://{host}")
    # Some versions of urllib refuse before it is asked.
    return urls._HOST.fullmatch(host)


def _public(host: str) -> object:
    try:
        return image_path.remote_identity(f"https://{host}/a.png")
    except image_path.WrongPath:
        return None


NAMES = filled("a", "a.", "a-", "_", "1", before="x", after="!")
BLANKS = filled(" ", "\t\r\n", "a ", before="a")

_CREDENTIAL = "AWS4-HMAC-SHA256 Credential=a/20261129/a/a/aws4_request, "

WORST: dict[str, tuple[Use | str, Sequence[str]]] = {
    "dropscale.specs.values._URL_SECRETS": (
        values.shown,
        [*filled("//", "//a", "//@", "?", "/a", "//a?", before="://"), *BLANKS],
    ),
    "dropscale.specs.values._NUMBER_AND_UNIT": (
        "fullmatch",
        [*filled("1", "1_", "1.1", " "), *BLANKS],
    ),
    "dropscale.specs.values._SCHEME": ("match", NAMES),
    "dropscale.specs.document._PLAIN_NAME": (lambda name: document.format_path((name,)), NAMES),
    "dropscale.specs.document._UNFIT": ("search", [*filled("a", "\x01", "\ud800"), *BLANKS]),
    "dropscale.specs.document._LINE_BREAK": ("split", filled("\r", "\n", "\r\n", "a")),
    "dropscale.specs.document._SURROGATES": (
        lambda one: document.read_document(one.encode(), "a.json"),
        filled("\\", "\\\\", "\\u", "\\ud83d", "\\\\u", "\\ud83d\\", before='{"a": "'),
    ),
    "dropscale.specs.document._CUT": ("match", [*filled(" ", "\t", " #"), *BLANKS]),
    "dropscale.specs.output_name.PLACEHOLDER": ("findall", filled("{", "{a", "{}", "a")),
    "dropscale.specs.parse._HUMP": ("split", NAMES),
    "dropscale.specs.foreign_syntax._FENCE": ("match", BLANKS),
    "dropscale.specs.foreign_syntax._JSON_BEGINNING": ("match", BLANKS),
    "dropscale.specs.foreign_syntax._JSON_TOKEN": (
        lambda text: foreign_syntax.find_foreign_syntax(text, ["a"]),
        filled('"', "'", '"\\', "\\", "\"'", "/", "#", "'\n", "a", before="{"),
    ),
    "dropscale.specs.foreign_syntax._NAME_AND_COLON": (
        lambda text: foreign_syntax.find_foreign_syntax(text, ["a"]),
        [*filled(" ", "a", "\n", "- ", "a\n", "'", after="\xa0"), *BLANKS],
    ),
    "dropscale_cli.files.results._RESERVED": ("fullmatch", filled("con", "com1.", ".")),
    "dropscale.specs.image_path._HOST_NAME": (
        _public,
        [*NAMES, *filled("a.a-", "a" * 63 + ".", after="!")],
    ),
    "dropscale.pipeline.receive_event._ID": ("fullmatch", filled("a", "a-", "1")),
    "dropscale.ledger.jobs._NAME": (
        "search",
        filled("[01234567-1-a", "-1", "1", before="[01234567-1-"),
    ),
    "dropscale.magichour.resources._REFERENCE": ("match", filled("http", "https://", "api-assets")),
    "dropscale.magichour.base_transport._SIZE": ("fullmatch", filled("1")),
    "dropscale.magichour.calls._SECONDS": (
        lambda value: retry_after({"Retry-After": value, "Date": value}),
        [*filled("1", "1:", "Mon, ", "(", "1 "), *BLANKS],
    ),
    "dropscale.magichour.models._NO_ID": ("fullmatch", filled(".", " ", ". ")),
    "dropscale.magichour.outputs._UNFIT": (_downloaded, filled("a", "%", "/", "?", "a%")),
    "dropscale.magichour.text._WORD": (
        text.shown,
        [*filled("https://", "http", "https://a", "a?", "<", "'a"), *BLANKS],
    ),
    "dropscale.magichour.text._URL": (
        text.shown,
        filled("?", "https://a?b ", "https://?", "h", before="https://a"),
    ),
    "dropscale.magichour.urls._HOST": (_host, [*NAMES, *filled(":", "0:", ".", "a:b.", after="!")]),
    "dropscale.magichour.urls.VISIBLE_ASCII": (
        urls.fault_of,
        [*NAMES, *filled(":", "@", "/", "[", after="!")],
    ),
    "dropscale.aws.refusals._NOT_AUTHORIZED": (
        "search",
        filled("User: ", "User: a", "a", " is not authorized to perform: ", before="User: "),
    ),
    "dropscale_cli.stacks.aws_target._WORD_START": ("split", filled("A", "a", "Aa")),
    "dropscale_cli.terminal._UNPRINTABLE": ("findall", filled("\x1b", "a", "\u2028")),
    "dropscale_cli.specs.validate._LINE_BREAK": ("split", filled("\r", "\n", "a")),
    "dropscale_cli.options._DURATION": ("fullmatch", filled("1", "1.", "1.1")),
    "dropscale_embedded.access_control._LOOPBACK_HOST": (
        "fullmatch",
        filled("a", ".", "a.", "localhost", ".localhost", ".localhost:1"),
    ),
    "dropscale_embedded.api.contract._UPLOAD_PATH": (
        "fullmatch",
        filled("a", "a/", "a.", before="api-assets/a/a"),
    ),
    "dropscale_embedded.cloud.schedule._RATE": ("fullmatch", filled("1", before="rate(")),
    "dropscale_embedded.cloud.aws_signatures._CREDENTIAL": (
        "fullmatch",
        [*filled("a", "/20261129/a/a", "a/"), *filled("a", before="a/20261129/")],
    ),
    "dropscale_embedded.cloud.aws_signatures._AUTHORIZATION": (
        "fullmatch",
        [
            *filled("a", before="AWS4-HMAC-SHA256 Credential="),
            *filled("a", ";a", before=_CREDENTIAL + "SignedHeaders="),
            *filled("0", before=_CREDENTIAL + "SignedHeaders=a, Signature="),
        ],
    ),
    "dropscale_embedded.cloud.aws_signatures._SECONDS": ("fullmatch", filled("1")),
    "dropscale_embedded.cloud.aws_signatures._SHA256": ("fullmatch", filled("a")),
    "dropscale_embedded.cloud.intrinsics._SUB_PLACEHOLDER": (
        "findall",
        filled("${", "${!", "${a}", "$"),
    ),
    "dropscale_embedded.cloud.state_machine._PLACEHOLDER": ("findall", filled("${", "${a", "${a}")),
    "dropscale_embedded.workers.zygote.READ_AT_START": (
        "fullmatch",
        filled("A", "PYTHON", before="PYTHON"),
    ),
    "dropscale_embedded.api.picture._AVIF_BRAND": (
        lambda text: picture._AVIF_BRAND.search(text.encode()),
        filled("avi"),
    ),
    "dropscale.image.unsupported._SVG_BEGINS": (
        lambda text: unsupported._SVG_BEGINS.match(text.encode()),
        filled(" ", "\n", "<!DOCTYPE", before="<!DOCTYPE"),
    ),
    "dropscale.image.unsupported._SVG_ELEMENT": (
        lambda text: unsupported._SVG_ELEMENT.search(text.encode()),
        filled("<", "<a", "<svg", "<aaaaaaaaaaaaaaaaaaaa", "<aaaaaaaaaaaaaaaaaaaa:"),
    ),
}
"""What applies each of them, or by which of its methods it is applied, and the worst texts."""

_BY_HAND = {"dropscale_embedded.cloud.parameters": "the template's own, on our own parameters"}
"""Modules that make regular expressions at another time than when they are imported."""


@pytest.mark.parametrize("name", sorted(WORST))
def test_no_text_makes_it_slow(name: str) -> None:
    use, texts = WORST[name]
    if isinstance(use, str):
        module, _, constant = name.rpartition(".")
        use = getattr(getattr(importlib.import_module(module), constant), use)
    for one in texts:
        began = time.process_time()
        use(one)
        took = time.process_time() - began
        assert took < MOST_SECONDS, f"{one[:40]!r}... of {len(one)} characters: {took:.1f} s"


def test_the_list_is_that_of_the_code() -> None:
    found = {name for path in _modules() for name in _constants(path)}

    assert found == set(WORST)
    assert all(texts for _, texts in WORST.values())


def test_none_is_made_elsewhere() -> None:
    """One that is not a constant of its module would be missed."""
    for path in _modules():
        constants = [node.value for node in _parsed(path).body if isinstance(node, ast.Assign)]
        nodes = [*ast.walk(_parsed(path))]
        others = [ast.unparse(one) for one in nodes if _makes_one(one) and one not in constants]

        assert not others or _module(path) in _BY_HAND, f"{path}: {others[0]}"
        imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not imported & {"re", "regex"}, path


def _modules() -> Iterator[Path]:
    """Yield the modules that say something of patterns at all."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if re.search(r"\bre(gex)?\b|\bpattern\b", path.read_text(encoding="utf-8")):
                yield path


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


def _constants(path: Path) -> Iterator[str]:
    for node in _parsed(path).body:
        if isinstance(node, ast.Assign) and _makes_one(node.value):
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            yield f"{_module(path)}.{target.id}"


def _makes_one(node: ast.AST) -> bool:
    """Whether this gives a text to the module `re`, or to pydantic, to be made a pattern of."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    is_of_re = (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "re"
        and called.attr != "escape"
    )
    return is_of_re or any(keyword.arg == "pattern" for keyword in node.keywords)
