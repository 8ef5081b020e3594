"""The README says what the template says."""

from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from dropscale.spec.parse import parse_sidecar

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())


def test_every_parameter_has_its_row_and_no_other_does() -> None:
    expected = [
        f"| `{name}` | `{parameter['Default']}` | {parameter['Description']} |"
        for name, parameter in TEMPLATE["Parameters"].items()
    ]
    section = README.partition("| Parameter |")[2].partition("\n\n")[0]

    assert section.splitlines()[2:] == expected


def test_the_sidecar_example_is_a_valid_spec() -> None:
    example = README.partition("```yaml\n")[2].partition("```")[0]

    assert parse_sidecar(example.encode(), "README.md", "cat.jpg").spec.scale_factor == 4
