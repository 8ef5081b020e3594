"""Damaged images cost no result, and what comes out can be read."""

import pytest

from tests.chaos.damaged_images import ForkedWorkers, faults_of


@pytest.mark.parametrize("seed", [1, 4_000])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of damaged EXIF
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork beside threads
def test_damaged_images_come_to_a_good_end(seed: int) -> None:
    workers = ForkedWorkers()

    assert list(faults_of(iter(range(seed, seed + 40)), workers)) == []
