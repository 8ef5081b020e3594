"""The vendor's places are kept busy, and results are there soon after they are done."""

from dropscale.pipeline.parts.follow import Timing
from tests.bench.places import Limits, measure, shortfalls

DROPS = 150


def test_few_places_are_kept_busy_by_few_transitions() -> None:
    burst, single = measure(DROPS, seed=1)

    assert list(shortfalls(burst, single, Limits(), DROPS)) == []


def test_late_looks_are_told() -> None:
    burst, single = measure(DROPS, seed=1, timing=Timing(60, 3600))

    told = " ".join(shortfalls(burst, single, Limits(), DROPS))
    assert "places busy" in told
    assert "added" in told
