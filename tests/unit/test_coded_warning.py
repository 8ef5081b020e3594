"""Warnings have codes; the plain texts of rows and manifests of earlier versions are read, too."""

from pathlib import Path

import pytest

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Drop, Rendition, Source
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest
from dropscale.upscaler import Mode
from tests.unit.cli.samples import manifest

BLANK = CodedWarning(WarningCode.BLANK, "[odd] it is blank] ")
RENDITION = Rendition(
    fingerprint="f", parameters=Parameters(scale_factor=2, mode=Mode.BALANCED), warnings=(BLANK,)
)


@pytest.mark.parametrize("code", WarningCode)
def test_a_row_stores_texts_and_gives_the_same_warnings_back(code: WarningCode) -> None:
    rendition = RENDITION.model_copy(update={"warnings": (CodedWarning(code, "a [b] c"),)})

    stored = rendition.model_dump(mode="json")

    assert stored["warnings"] == [f"[{code}] a [b] c"]
    assert Rendition.model_validate(stored) == rendition


@pytest.mark.parametrize("text", ["it is blank", "[Unheard] it is", "[Blank", "", "[] ", "[Blank]"])
def test_plain_texts_of_earlier_rows_are_read(text: str) -> None:
    stored = RENDITION.model_dump(mode="json") | {"warnings": [text]}
    drop = Drop(id="d", source=Source(bucket="b", key="k", etag="e"))

    of_rendition = Rendition.model_validate(stored)
    of_drop = Drop.model_validate(drop.model_dump(mode="json") | {"warnings": [text]})

    assert of_rendition.warnings == (CodedWarning(WarningCode.OTHER, text),)
    assert of_drop.warnings == (CodedWarning(WarningCode.SPEC, text),)


def test_a_manifest_has_objects_and_texts_and_unknown_codes_are_read() -> None:
    told = manifest("a.jpg", DropState.DELIVERED, output="a.png", warnings=("odd",))
    written = told.model_dump(mode="json")
    assert written["warnings"] == [{"code": "Spec", "message": "odd"}]

    written["warnings"] = ["plain", {"code": "Newer", "message": "m"}, *written["warnings"]]

    assert Manifest.model_validate(written).warnings == (
        CodedWarning(WarningCode.OTHER, "plain"),
        CodedWarning(WarningCode.OTHER, "m"),
        CodedWarning(WarningCode.SPEC, "odd"),
    )


@pytest.mark.parametrize("code", WarningCode)
def test_every_code_is_in_the_documents(code: WarningCode) -> None:
    assert f"`{code}`" in (Path(__file__).parents[2] / "docs/results.md").read_text()
