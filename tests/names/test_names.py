"""Names that people really give to files have the same outcome on S3 and on one machine."""

from pathlib import Path

import pytest

from dropscale.pipeline.submit import SubmitOutcome
from dropscale_cli.errors import NothingToDrop
from dropscale_cli.files.drops import find_drops
from tests.fakes import png
from tests.names.outcomes import (
    CASES,
    NO_DROPS,
    TABLE,
    Case,
    explained,
    locally,
    on_s3,
    on_s3_afterwards,
    table,
)
from tests.world import World

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: "+".join(case.files))


@cases
def test_the_bucket_and_a_folder_give_one_answer(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    s3, local = on_s3(case), locally(case, folder)

    assert (s3.words, s3.credits) == (local.words, local.credits)
    assert explained(case, folder) == local.words


@cases
def test_what_is_paid_before_a_file_comes_is_paid_once(case: Case) -> None:
    assert on_s3_afterwards(case).credits >= 50


def test_the_document_shows_what_becomes_of_each_name() -> None:
    assert TABLE.read_text("utf-8") == table()


@pytest.mark.parametrize("key", NO_DROPS)
def test_hidden_files_and_files_of_systems_are_never_drops(key: str, tmp_path: Path) -> None:
    world = World()
    assert world.drop(key, png()).outcome is SubmitOutcome.IGNORED
    assert world.results.manifests == {}

    path = tmp_path / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png())
    with pytest.raises(NothingToDrop):
        find_drops(tmp_path, tmp_path / "out")
