"""What a spec may say, and what is said of one that cannot be used."""

import json

import pytest

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import SpecInvalid
from dropscale.specs.model import Spec
from dropscale.specs.parse import parse_sidecar


def parsed(text: str | bytes) -> Spec:
    content = text.encode() if isinstance(text, str) else text
    return parse_sidecar(content, "a/cat.jpg.yaml", "a/cat.jpg").spec


def fault(text: str | bytes) -> str:
    with pytest.raises(SpecInvalid) as caught:
        parsed(text)
    return caught.value.message


@pytest.mark.parametrize("text", ["scale_factor: 4", "scale_factor: 4.0", '{"scale_factor": 4.0}'])
def test_yaml_and_json_say_the_same(text: str) -> None:
    assert parsed(text).scale_factor == 4


def test_every_field_is_taken() -> None:
    fields = {
        "assets": {"image_file_path": "cat.jpg"},
        "scale_factor": 4,
        "style": {"mode": "creative", "prompt": "crisp fur"},
        "name": "Cat",
        "wait_for_completion": False,
        "download_outputs": False,
        "download_directory": "best/of",
        "output": {"format": "jpeg", "quality": 90, "metadata": "strip"},
        "revision": "b",
        "max_credits": 200,
        "skip_if": {"min_width": 3000, "min_height": 2000, "min_megapixels": 6.5},
        "renditions": [{"scale_factor": 2, "revision": "c"}, {"style": {"mode": "preserve"}}],
    }
    assert parsed(json.dumps(fields)).model_dump(exclude_unset=True, mode="json") == fields


def test_an_empty_file_says_nothing() -> None:
    assert parsed("# nothing yet\n") == Spec()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026", "2026"),
        ("007", "007"),
        ("1.10", "1.10"),
        ("0o14", "0o14"),
        ("1_000", "1_000"),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-26", "2026-11-26"),
        ("2x", "2x"),
        ("'4'", "4"),
    ],
)
def test_text_is_what_was_written(written: str, meant: str) -> None:
    assert parsed(f"name: {written}\nrevision: {written}").revision == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfea\0", ":1:1: the file is UTF-16"),
        (b"name: caf\xe9", ":1:10: this is not UTF-8 text"),
        ("#" * (MAX_BYTES + 1), "larger than a spec can be, 65,536 bytes"),
        ("name: [", ":1:7: the [ that opens here is never closed"),
        ("name: !!python/name:os.system x", ":1:7: name: tags (!name) are not allowed"),
    ],
)
def test_what_cannot_be_read_says_why(text: str | bytes, words: str) -> None:
    message = fault(text)
    assert words in message
    assert message.startswith("a/cat.jpg.yaml:")


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    message = fault("scale_factor: 3\nstyle: {mode: best}\ncolour: red")
    starts = [line.partition(": ")[0] for line in message.splitlines()]
    assert starts == [f"a/cat.jpg.yaml:{place}" for place in ("1:15", "2:15", "3:1")]


def test_faults_beyond_what_a_person_reads_are_counted() -> None:
    message = fault("".join(f"field_{number}: 1\n" for number in range(30)))
    assert message.count("there is no such field") == 20
    assert message.endswith("and 10 more")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("{format: jpg}", "'jpg' is not a format; did you mean jpeg?"),
        ("{format: null}", "has no value"),
        ("{quality: 0}", "0 is not a quality; allowed are whole numbers from 1 to 100"),
        ("{quality: 101}", "101 is not a quality"),
        ("{metadata: none}", "did you mean strip? allowed are keep, strip"),
        ("{color: red}", "output.color"),
    ],
)
def test_what_an_output_cannot_be_is_said(output: str, said: str) -> None:
    assert said in fault(f"output: {output}")
