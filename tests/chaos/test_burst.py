"""A burst of drops ends with all delivered, and nothing paid or read twice."""

import pytest

from tests.chaos.burst import burst

DROPS = 300


@pytest.mark.parametrize("slots", [3, 10])
def test_a_burst_is_delivered_whole_and_keeps_the_vendor_busy(slots: int) -> None:
    result = burst(DROPS, slots, seed=1)

    assert result.violations == []
    assert (result.delivered, result.most_reads) == (DROPS, 1)
    # What is missing is the time between a job's end and the look that finds it.
    assert result.utilisation >= 0.75
