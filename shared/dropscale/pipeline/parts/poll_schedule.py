"""When to look at a job again."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

REVIEW = timedelta(minutes=2)
"""When the sweeper checks that a job's step was followed up, and not interrupted by a crash."""

NEXT_DROPS = timedelta(seconds=30)
"""When the sweeper continues with a job of many drops: in its next run."""

_LONGEST_LOOK = timedelta(hours=1)
_LONGEST_PAUSE = 300
_LONGEST_ASKED = 3600.0


MOST_LOOKS = 200
"""After so many an execution ends, and another continues: a history has 25,000 events at most.

A look takes 9 of them, and 87 if each of its retries is needed.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

SHORTEST_CALLBACK = 5
"""The shortest wait that a task token ends; the state machine polls after a shorter one.

Longer than check's own look in it may take (`dropscale.aws.wiring.BRIEF_CALL_SECONDS`).
"""

_MOST_PAUSES = 1500
_YOUNG_SECONDS = 30
_LONGEST_DEADLINE = 43_200


@dataclass(frozen=True)
class PollSchedule:
    """How the pauses between an execution's looks grow. In whole seconds.

    The longer a job has run, the longer it will take, so a pause is a share of the job's age: at
    least `shortest`, which the vendor asks for, and at most `cap`. For an old job the cap rises, by
    a second per half minute, to a 1,500th of the deadline. Check itself waits for up to `patience`
    seconds before it leaves the wait to the state machine, whose three transitions cost as much as
    23 s of check.

    The values were found with `python -m tests.bench.places --curve`.
    """

    cap: int
    share: float = 0.15
    shortest: int = 3
    patience: int = 9

    @classmethod
    def up_to(cls, cap: int) -> Self:
        """Return a schedule with a cap; a cap below the patience means that looks are free.

        Then looks are 3 s apart for the first minute, and the state machine does all waits.
        """
        schedule = cls(cap)
        return schedule if cap >= schedule.patience else cls(cap, share=0.05, patience=0)

    def next_wait(self, started_at: int, now: int, deadline: int) -> int:
        """Return the seconds until the next look, 0 once the deadline has passed.

        The last look is at the deadline. Times are in epoch seconds.
        """
        grown = max(self.shortest, round(self.share * (now - started_at)))
        return max(0, min(grown, self._longest(started_at, now, deadline), deadline - now))

    def next_callback(self, started_at: int, now: int, deadline: int) -> int:
        """Return the seconds until the next look if none of the vendor's events comes before it.

        Polling only stands in for events that get lost, so each pause is the longest.
        """
        longest = self._longest(started_at, now, deadline)
        return max(0, min(max(longest, SHORTEST_CALLBACK), deadline - now))

    def _longest(self, started_at: int, now: int, deadline: int) -> int:
        most = min(deadline - started_at, _LONGEST_DEADLINE)
        lifted = min(math.ceil(most / _MOST_PAUSES), (now - started_at) // _YOUNG_SECONDS + 1)
        return max(self.cap, lifted)


def pause_at_age(age: timedelta) -> timedelta:
    """Return the pause between two looks of the sweeper at what has been open for so long."""
    return min(max(age / 4, REVIEW), _LONGEST_LOOK)


def pause_after_failures(failures: int, retry_after: float | None) -> int:
    """Return the whole seconds to pause after so many inconclusive looks in a row.

    They double from 2 s up to 5 minutes, unless the answer asks for more: at most an hour counts.
    """
    grown: int = min(2 ** min(failures, 9), _LONGEST_PAUSE)
    return max(grown, math.ceil(min(retry_after or 0.0, _LONGEST_ASKED)))
