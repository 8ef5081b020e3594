"""When to look at a job again."""

import math
from datetime import timedelta

REVIEW = timedelta(minutes=2)
"""When the sweeper sees whether what follows a job's step was done, or cut off by a crash."""

NEXT_DROPS = timedelta(seconds=30)
"""When the sweeper goes on with a job of many drops: in its next run."""

_SHORTEST = 3
_SHARE = 0.2
_LONGEST_PAUSE = 300
_LONGEST_ASKED = 3600.0


def next_wait(started_at: int, now: int, deadline: int, cap: int) -> int:
    """Return the whole seconds until the next look, 0 once the deadline has passed.

    A typical job takes 22 s (the vendor's median), and the first look comes about then. The longer
    a job has run, the longer it will, so pauses grow with its age, up to `cap`; the last look is
    at the deadline. Times are in epoch seconds.
    """
    grown = max(_SHORTEST, round(_SHARE * (now - started_at)))
    return max(0, min(grown, cap, deadline - now))


def pause_after_failures(failures: int, retry_after: float | None) -> int:
    """Return the whole seconds to pause after so many looks in a row that said nothing.

    They double from 2 s up to 5 minutes, unless the answer asks for more, of which an hour counts.
    """
    grown: int = min(2 ** min(failures, 9), _LONGEST_PAUSE)
    return max(grown, math.ceil(min(retry_after or 0.0, _LONGEST_ASKED)))
