"""The states of jobs and drops, and which may follow which."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    """What is known about one paid upscale at the vendor."""

    READY = "ready"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


JOB_TRANSITIONS: Mapping[JobState, Mapping[JobState, str]] = MappingProxyType(
    {
        JobState.READY: {
            JobState.SUBMITTING: "claimed: slot and credits taken, through the open gate",
            JobState.SUBMITTED: "an earlier attempt's late answer, or its result is adopted",
        },
        JobState.SUBMITTING: {
            JobState.SUBMITTED: "the vendor answered with a project, or an event named it",
            JobState.READY: "certainly nothing was created: slot and credits returned",
            JobState.UNKNOWN: "it is not known whether it was paid",
        },
        JobState.UNKNOWN: {
            JobState.SUBMITTED: "the same attempt's late answer, or its project is adopted",
            JobState.READY: "a person decides to pay again",
            JobState.ABANDONED: "a person gives it up",
        },
        JobState.SUBMITTED: {
            JobState.COMPLETE: "the result is ready",
            JobState.ERROR: "the vendor failed and returned the credits",
            JobState.CANCELED: "canceled at the vendor",
            JobState.ABANDONED: "no verdict in seven days, or three 404s over a day or more",
        },
        JobState.ERROR: {
            JobState.READY: "dropped or retried again",
            JobState.SUBMITTED: "another attempt's project is adopted",
            JobState.COMPLETE: "the vendor has the result after all",
            JobState.CANCELED: "canceled at the vendor after all",
        },
        JobState.COMPLETE: {},
        JobState.CANCELED: {
            JobState.SUBMITTED: "another attempt's project is adopted",
            JobState.COMPLETE: "the vendor has the result after all",
            JobState.ERROR: "the vendor calls it an error after all",
        },
        JobState.ABANDONED: {
            JobState.SUBMITTED: "its result is wanted again, or a project is adopted",
            JobState.COMPLETE: "a later look finds the result",
            JobState.ERROR: "a later look finds that the vendor failed",
            JobState.CANCELED: "a later look finds it canceled",
        },
    }
)
"""Which state may follow which, and when; docs/ledger.md is generated from this table."""

SLOT_STATES = frozenset({JobState.SUBMITTING, JobState.SUBMITTED})
"""The states in which a job holds one of the concurrent places at the vendor."""

VERDICTS = frozenset({JobState.COMPLETE, JobState.ERROR, JobState.CANCELED})
"""The states in which the vendor can end a job."""

PROJECT_STATES = VERDICTS | {JobState.SUBMITTED, JobState.ABANDONED}
"""States in which a job may have a project; its executions then tell the drops how it ended."""


class DropState(StrEnum):
    """The state of a drop or of one of its renditions."""

    WAITING = "waiting"
    SUBMITTED = "submitted"
    RENDERING = "rendering"
    DELIVERED = "delivered"
    COMPLETE = "complete"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"


class WaitReason(StrEnum):
    """What a waiting drop waits for."""

    SIDECAR = "sidecar"
    ACCESS = "access"
    LEDGER = "ledger"
    SLOT = "slot"
    BUDGET = "budget"
    THROTTLED = "throttled"
    ACCOUNT = "account"
    UNREADABLE = "unreadable"


WAITS_FOR_OTHERS = frozenset(
    {
        WaitReason.SIDECAR,
        WaitReason.ACCESS,
        WaitReason.LEDGER,
        WaitReason.BUDGET,
        WaitReason.ACCOUNT,
    }
)
"""Waits that only a file, a person or another day can end."""

ASKED_AGAIN = frozenset({WaitReason.ACCESS, WaitReason.LEDGER})
"""Waits whose end causes no event: submit has to look again."""

_ENDINGS = frozenset(
    {DropState.DELIVERED, DropState.COMPLETE, DropState.FAILED, DropState.CANCELED}
)

RENDITION_TRANSITIONS = MappingProxyType(
    {
        DropState.WAITING: frozenset(
            {
                DropState.WAITING,
                DropState.SUBMITTED,
                DropState.UNKNOWN,
                DropState.REJECTED,
                DropState.FAILED,
                DropState.SUPERSEDED,
            }
        ),
        DropState.SUBMITTED: _ENDINGS
        | {
            DropState.UNKNOWN,
            DropState.SUBMITTED,
            DropState.RENDERING,
            DropState.TIMED_OUT,
            DropState.WAITING,
            DropState.SUPERSEDED,
        },
        DropState.RENDERING: _ENDINGS
        | {
            DropState.UNKNOWN,
            DropState.SUBMITTED,
            DropState.RENDERING,
            DropState.TIMED_OUT,
            DropState.SUPERSEDED,
        },
        DropState.TIMED_OUT: _ENDINGS
        | {
            DropState.UNKNOWN,
            DropState.SUBMITTED,
            DropState.TIMED_OUT,
            DropState.WAITING,
            DropState.SUPERSEDED,
        },
        DropState.UNKNOWN: frozenset(
            {
                DropState.UNKNOWN,
                DropState.SUBMITTED,
                DropState.WAITING,
                DropState.REJECTED,
                DropState.FAILED,
                DropState.SUPERSEDED,
            }
        ),
        **dict.fromkeys(
            (
                DropState.DELIVERED,
                DropState.COMPLETE,
                DropState.REJECTED,
                DropState.FAILED,
                DropState.CANCELED,
            ),
            frozenset({DropState.WAITING, DropState.SUPERSEDED}),
        ),
        DropState.SKIPPED: frozenset({DropState.SUPERSEDED}),
        DropState.SUPERSEDED: frozenset({DropState.WAITING, DropState.SUPERSEDED}),
    }
)
"""Which state of a rendition may follow which. Back to waiting: dropped or retried again."""

_BY_PRECEDENCE = (
    DropState.WAITING,
    DropState.SUBMITTED,
    DropState.RENDERING,
    DropState.UNKNOWN,
    DropState.TIMED_OUT,
    DropState.FAILED,
    DropState.CANCELED,
    DropState.REJECTED,
    DropState.DELIVERED,
    DropState.COMPLETE,
    DropState.SKIPPED,
    DropState.SUPERSEDED,
)
"""The open states come first, then those that need a person, then the successful ones."""

OPEN_STATES = frozenset({DropState.WAITING, DropState.SUBMITTED, DropState.RENDERING})
"""States that the pipeline itself still changes."""

AT_VENDOR_STATES = frozenset({DropState.SUBMITTED, DropState.RENDERING})
"""Open states of a rendition whose project is known."""

COLLECTABLE_STATES = OPEN_STATES | {DropState.TIMED_OUT, DropState.UNKNOWN}
"""States in which a rendition still accepts a result, however late it comes."""


def precedence(state: DropState) -> int:
    """Return how far a state stands behind those that are more urgent, from 0."""
    return _BY_PRECEDENCE.index(state)


def combined_state(states: Iterable[DropState]) -> DropState:
    """Return the state of a drop whose renditions are in `states` (at least one)."""
    return min(states, key=precedence)
