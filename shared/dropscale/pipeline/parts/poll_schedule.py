"""When to look at a job again."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

REVIEW = timedelta(minutes=2)
"""When the sweeper sees whether what follows a job's step was done, or cut off by a crash."""

NEXT_DROPS = timedelta(seconds=30)
"""When the sweeper goes on with a job of many drops: in its next run."""

_LONGEST_PAUSE = 300
_LONGEST_ASKED = 3600.0


MOST_LOOKS = 200
"""After so many an execution ends, and another goes on: a history has 25,000 events at most.

A look takes 9 of them, and 87 if each of its retries is needed.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

_MOST_PAUSES = 1500
_YOUNG_SECONDS = 30
_LONGEST_DEADLINE = 43_200


@dataclass(frozen=True)
class PollSchedule:
    """How the pauses between an execution's looks grow. In whole seconds.

    The longer a job has run, the longer it will, so a pause is a share of the job's age, but not
    below `shortest`, which the vendor asks for, nor above `cap`. That is lifted as the job grows
    old, by a second in each half minute, to a 1,500th of the deadline. Check itself waits for
    `patience` before it hands the wait to the state machine, whose three transitions cost as much
    as 23 s of check.

    The values are those of `python -m tests.bench.places --curve`.
    """

    cap: int
    share: float = 0.15
    shortest: int = 3
    patience: int = 9

    @classmethod
    def up_to(cls, cap: int) -> Self:
        """Return it with a cap; below the patience, looks are said to cost nothing.

        They come every 3 s for the first minute then, and the state machine waits for all.
        """
        schedule = cls(cap)
        return schedule if cap >= schedule.patience else cls(cap, share=0.05, patience=0)

    def next_wait(self, started_at: int, now: int, deadline: int) -> int:
        """Return the seconds until the next look, 0 once the deadline has passed.

        The last look is at the deadline. Times are in epoch seconds.
        """
        age = now - started_at
        grown = max(self.shortest, round(self.share * age))
        most = min(deadline - started_at, _LONGEST_DEADLINE)
        lifted = min(math.ceil(most / _MOST_PAUSES), age // _YOUNG_SECONDS + 1)
        return max(0, min(grown, max(self.cap, lifted), deadline - now))


def pause_after_failures(failures: int, retry_after: float | None) -> int:
    """Return the whole seconds to pause after so many looks in a row that said nothing.

    They double from 2 s up to 5 minutes, unless the answer asks for more, of which an hour counts.
    """
    grown: int = min(2 ** min(failures, 9), _LONGEST_PAUSE)
    return max(grown, math.ceil(min(retry_after or 0.0, _LONGEST_ASKED)))
