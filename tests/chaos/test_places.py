"""The vendor's places are kept busy, and results are there soon after they are done."""

from typing import Any

import pytest

from dropscale.pipeline import check
from dropscale.pipeline.parts.follow import Timing
from tests.bench.places import (
    LIMITS_WITH_WEBHOOKS,
    Limits,
    crowd,
    measure,
    shortfalls,
    webhooks,
)

DROPS = 150


@pytest.mark.parametrize(
    ("changed", "limits"),
    [({}, Limits()), (webhooks(), LIMITS_WITH_WEBHOOKS)],
    ids=["polling", "with webhooks"],
)
def test_few_places_are_kept_busy_by_few_transitions(
    changed: dict[str, Any], limits: Limits
) -> None:
    burst, single = measure(DROPS, seed=1, **changed)
    many = crowd(DROPS, seed=1, **changed)

    assert list(shortfalls(burst, single, many, limits, DROPS)) == []


def test_late_looks_and_a_used_up_quota_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST_WAITING", 10)
    burst, single = measure(DROPS, seed=1, timing=Timing(60, 3600))
    many = crowd(DROPS, seed=1)

    told = " ".join(shortfalls(burst, single, many, Limits(), DROPS))
    assert "more functions" in told
    assert "places busy" in told
    assert "added" in told
