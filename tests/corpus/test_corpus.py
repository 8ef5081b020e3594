"""Every file of the corpus has the expected outcome; `python -m tests.corpus` writes it.

The JSON Schema, for editors, agrees as far as a schema can.
"""

import re
from collections.abc import Sequence

import jsonschema
import pytest

from dropscale.specs.document import read_document
from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.model import json_schema
from dropscale.specs.parse import is_other_tools
from tests.corpus.outcomes import FOLDERS, CorpusFile, corpus_files, outcome

FILES = corpus_files()
VALID = [file for file in FILES if file.folder.name == "valid"]
INVALID = [file for file in FILES if file.folder.name == "invalid"]
SCHEMA = jsonschema.Draft202012Validator(json_schema())
NOT_FOR_A_SCHEMA = re.compile(
    "|".join(
        (
            " assets.image_file_path: ",  # which paths are right depends on the spec's own name
            " belongs to no image",
            " can only be in a folder's spec",
            ": there is no preset ",  # which there are depends on the specs further out
            " is defined below",
            " cannot be true",
            ", which no rule can;",
            " has an invisible character",  # patterns know no classes of characters
            ": is the same upscale as",  # renditions are compared when all specs are merged
            ": would have the output name of",
            ": has {preset}, and ",
            ": has {folder}, and ",
            " is like the default name of",
            " has a prompt with which all prompts together have ",
        )
    )
)


def key_of(file: CorpusFile) -> str:
    return file.key


def test_every_file_of_the_corpus_is_looked_at() -> None:
    known = {file.path for file in FILES} | {file.expectation for file in FILES}
    images = {path for folder in FOLDERS for path in folder.rglob("*.jpg")}
    assert {path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()} == (
        known | images
    )
    assert len(VALID) >= 60
    assert len(INVALID) >= 180


@pytest.mark.parametrize("file", VALID, ids=key_of)
def test_a_valid_file_has_the_expected_result_and_fits_the_schema(file: CorpusFile) -> None:
    content, found = file.path.read_bytes(), outcome(file)

    assert found == file.expectation.read_text("utf-8")
    if found != "not a spec\n" and not is_other_tools(content, file.key):
        SCHEMA.validate(read_document(content, file.key).data)


@pytest.mark.parametrize("file", INVALID, ids=key_of)
def test_an_invalid_file_gets_the_expected_faults_each_with_its_place_and_what_to_do(
    file: CorpusFile,
) -> None:
    with pytest.raises(SpecInvalid) as caught:
        outcome(file)

    faults = caught.value.faults
    assert faults
    assert "".join(f"{fault}\n" for fault in faults) == file.expectation.read_text("utf-8")
    for fault in faults:
        content = (file.folder / fault.path).read_bytes()
        lines = re.split("\r\n|\r|\n", content.decode("utf-8-sig", "replace"))
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1
        assert fault.message.strip()
        assert fault.hint.strip()
        assert "\n" not in str(fault)
    document = read_document(file.path.read_bytes(), file.key)
    if document.is_whole and not document.faults and can_a_schema_tell(file, faults):
        assert not SCHEMA.is_valid(document.data)


def can_a_schema_tell(file: CorpusFile, faults: Sequence[Fault]) -> bool:
    own = [str(fault) for fault in faults if fault.path == file.key]
    return not all(NOT_FOR_A_SCHEMA.search(line) for line in own)
