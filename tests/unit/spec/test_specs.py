"""What a spec may say, and what is said of one that cannot be used."""

import json

import pytest

from dropscale.spec.merge import merge
from dropscale.spec.model import Spec, Style
from dropscale.spec.parse import MAX_BYTES, SpecInvalid, parse_spec
from dropscale.upscaler import Mode

DEFAULTS = Spec(scale_factor=2, style=Style(mode=Mode.BALANCED))


def fault(text: str | bytes) -> str:
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(text.encode() if isinstance(text, str) else text, "a/cat.jpg.yaml")
    return caught.value.message


@pytest.mark.parametrize("text", ["scale_factor: 4", "scale_factor: 4.0", '{"scale_factor": 4.0}'])
def test_yaml_and_json_say_the_same(text: str) -> None:
    assert parse_spec(text.encode(), "x").scale_factor == 4


def test_every_field_is_taken() -> None:
    fields = {
        "assets": {"image_file_path": "cat.jpg"},
        "scale_factor": 4,
        "style": {"mode": "creative", "prompt": "crisp fur"},
        "name": "Cat",
        "wait_for_completion": False,
        "download_outputs": False,
        "download_directory": "best/of",
        "revision": "b",
        "max_credits": 200,
    }

    spec = parse_spec(json.dumps(fields).encode(), "x")

    assert spec.model_dump(exclude_none=True) == fields


def test_an_empty_file_says_nothing() -> None:
    assert parse_spec(b"# nothing yet\n", "x") == Spec()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scale_factor: 3", "scale_factor: must be the number 2 or 4"),
        ("scale_factor: '2x'", "scale_factor: must be the number 2 or 4"),
        ("scale_factor: true", "scale_factor: must be the number 2 or 4"),
        ("style: {mode: best}", "style.mode: Input should be 'preserve', 'balanced' or"),
        ("style: {mode: preserve, enhancement: Creative}", "style: mode and enhancement are one"),
        ("style: {enhancement: Best}", "style.enhancement: must be one of Resemblance"),
        ("style: creative", "style: must be a mapping"),
        ("wait_for_completion: no", "wait_for_completion: Input should be a valid boolean"),
        ("bucket: other", "bucket: is not a field of a spec"),
        ("download_directory: ../up", "download_directory: must be a folder below the results"),
        ("download_directory: /up", "download_directory: must be a folder below the results"),
        ("download_directory: s3://b/up", "download_directory: must be a folder below the"),
        ("max_credits: -1", "max_credits: Input should be greater than or equal to 0"),
        ("- scale_factor: 2", "the spec: must be a mapping"),
        ("name: a\nname: b", "a/cat.jpg.yaml:1: name: given twice"),
        ("name: &a x\nrevision: *a", "a/cat.jpg.yaml:2: aliases are not allowed"),
        ("[1]: 2", "a field's name must be plain text"),
        ("[" * 60_000, "nested deeper"),
        ("name: [", "is neither YAML nor JSON"),
        ("a: 1\n---\nb: 2", "is neither YAML nor JSON"),
        ("name: !!python/name:os.system x", "is neither YAML nor JSON"),
        (b"\xff\xfea\0", "is not UTF-8 text"),
        ("#" * (MAX_BYTES + 1), "allowed are 65,536"),
    ],
)
def test_a_fault_names_file_field_and_what_is_allowed(text: str | bytes, words: str) -> None:
    message = fault(text)

    assert words in message
    assert message.startswith("a/cat.jpg.yaml")


def test_all_faults_of_a_file_are_told_at_once() -> None:
    message = fault("scale_factor: 3\nstyle: {mode: best}\ncolour: red")

    assert all(field in message for field in ("scale_factor", "style.mode", "colour"))


def test_the_nearest_spec_wins_field_by_field_and_is_remembered() -> None:
    near = parse_spec(b"style: {enhancement: Resemblance}\nrevision: 1", "near")

    merged = merge([("stack", DEFAULTS), ("near", near)])

    assert (merged.scale_factor, merged.mode, merged.revision) == (2, Mode.PRESERVE, 1)
    assert merged.provenance == {"scale_factor": "stack", "mode": "near", "revision": "near"}
