"""When to look at a job again."""

_SHORTEST = 3
_SHARE = 0.2


def next_wait(started_at: int, now: int, deadline: int, cap: int) -> int:
    """Return the whole seconds until the next look, 0 once the deadline has passed.

    A typical job takes 22 s (the vendor's median), and the first look comes about then. The longer
    a job has run, the longer it will, so pauses grow with its age, up to `cap`; the last look is
    at the deadline. Times are in epoch seconds.
    """
    grown = max(_SHORTEST, round(_SHARE * (now - started_at)))
    return max(0, min(grown, cap, deadline - now))
