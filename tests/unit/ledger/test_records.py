"""The ledger's records allow only the steps that make sense."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from dropscale.ledger.budget import Budget, window_end
from dropscale.ledger.drops import Rendition
from dropscale.ledger.jobs import Job, Parameters
from dropscale.ledger.rows import IllegalTransition
from dropscale.ledger.states import DropState, JobState, combined_state
from dropscale.upscaler import Mode
from tests.rows import BALANCED, NOW, ready, spec


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.READY}))
def test_a_job_cannot_be_paid_from_any_state_but_ready(state: JobState) -> None:
    with pytest.raises(IllegalTransition):
        ready().model_copy(update={"state": state}).claim("b", NOW, [])


def test_each_step_counts_and_each_attempt_is_named() -> None:
    job = ready().claim("a", NOW, []).return_to_ready(NOW).claim("b", NOW, [])

    assert (job.seq, job.attempt, job.project_name) == (4, 2, "cat [f-2-b]")


def test_the_fingerprint_covers_what_changes_the_pixels_and_nothing_else() -> None:
    same = [
        spec(),
        spec(name="x"),
        spec(download_directory="d"),
        spec(wait_for_completion=False),
        spec(prompt="ignored unless creative"),
    ]
    others = [
        spec(scale_factor=4),
        spec(mode=Mode.PRESERVE),
        spec(mode=Mode.CREATIVE),
        spec(mode=Mode.CREATIVE, prompt="fur"),
        spec(revision="2"),
    ]

    assert len({Parameters.of(one).fingerprint("bytes") for one in same}) == 1
    assert len({Parameters.of(one).fingerprint("bytes") for one in [same[0], *others]}) == 6
    assert BALANCED.fingerprint("bytes") != BALANCED.fingerprint("other bytes")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["delivered", "waiting"], "waiting"),
        (["delivered", "unknown"], "unknown"),
        (["delivered", "failed"], "failed"),
        (["superseded", "delivered"], "delivered"),
        (["skipped", "delivered"], "delivered"),
    ],
)
def test_the_state_that_needs_most_attention_is_the_drops(states: list[str], expected: str) -> None:
    assert combined_state(map(DropState, states)) is DropState(expected)


def test_a_rendition_that_is_delivered_is_never_moved_back_to_the_vendor() -> None:
    delivered = (
        Rendition(fingerprint="f", parameters=BALANCED)
        .move(DropState.SUBMITTED)
        .move(DropState.DELIVERED)
    )

    with pytest.raises(IllegalTransition):
        delivered.move(DropState.SUBMITTED)
    assert delivered.want_again().generation == 1


@pytest.mark.parametrize(
    ("window", "end"),
    [
        ("day#2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        ("day#2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("month#2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
        ("month#2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_window_of_the_budget_ends_when_the_next_begins(window: str, end: datetime) -> None:
    assert window_end(window) == end
    assert window not in Budget().windows(end)
    assert window in Budget().windows(end - timedelta(seconds=1))


def test_what_a_job_holds_follows_its_state() -> None:
    windows = Budget(daily=100).windows(NOW)
    claimed = ready().claim("a", NOW, windows)
    submitted = claimed.record_project("p", 40, NOW, NOW)

    assert claimed.spent == {"day#2026-11-23": 50, "month#2026-11": 50}
    assert not claimed.return_to_ready(NOW).spent
    assert claimed.record_unknown(NOW).spent == claimed.spent
    assert set(submitted.spent.values()) == {40}
    assert not submitted.settle("p", JobState.ERROR, None, NOW).spent
    assert submitted.settle("p", JobState.COMPLETE, None, NOW).spent == submitted.spent


@pytest.mark.parametrize(
    ("told", "charged", "settled"),
    [
        *((told, told, told) for told in (0, 25, 50)),
        (200, 200, 50),
        *((told, 50, max(0, min(told or 50, 50))) for told in (None, -1, -(10**6), 201, 10**30)),
    ],
)
def test_a_price_is_believed_up_to_four_times_the_list_and_never_below_nothing(
    told: int | None, charged: int, settled: int
) -> None:
    claimed = ready().claim("a", NOW, Budget(daily=100).windows(NOW))
    submitted = claimed.record_project("p", 50, NOW, NOW)

    assert set(claimed.record_project("p", told, NOW, NOW).spent.values()) <= {charged}
    assert submitted.settle("p", JobState.COMPLETE, told, NOW).credits_charged == settled


VERDICT_STEPS: dict[str, Callable[[Job, str], Job]] = {
    "settle": lambda job, project: job.settle(project, JobState.COMPLETE, 0, NOW),
    "record_overdue": lambda job, project: job.record_overdue(project),
    "record_missing": lambda job, project: job.record_missing(project, NOW),
    "begin_look": lambda job, project: job.begin_look(project, NOW),
    "record_answer": lambda job, project: job.record_answer(project),
    "abandon": lambda job, project: job.abandon(project, NOW, NOW),
}


@pytest.mark.parametrize("step", VERDICT_STEPS)
@pytest.mark.parametrize("state", JobState)
def test_what_was_seen_of_another_project_leaves_a_job_as_it_is(step: str, state: JobState) -> None:
    at_project = {"state": state, "project_id": "p-2", "missing_looks": 1, "missing_since": NOW}
    job = ready().model_copy(update=at_project)

    assert VERDICT_STEPS[step](job, "p-1") is job


def test_every_verdict_step_is_held_to_its_project() -> None:
    takes_project = {
        name
        for name, step in vars(Job).items()
        if callable(step) and "project_id" in inspect.signature(step).parameters
    }

    assert takes_project - {
        "record_project",
        "adopt",
        "with_orphan",
        "_is_open_at",
        "_orphans_with",
    } == set(VERDICT_STEPS)


@pytest.mark.parametrize(("project_id", "generation"), [("p-1", 1), ("p-2", 0), ("p-1", 0)])
@pytest.mark.parametrize("state", DropState)
def test_what_an_earlier_execution_saw_leaves_a_rendition_as_it_is(
    state: DropState, project_id: str, generation: int
) -> None:
    rendition = Rendition(
        fingerprint="f",
        parameters=BALANCED,
        state=DropState.SUBMITTED,
        project_id="p-2",
        generation=1,
    )

    assert rendition.report(state, project_id=project_id, generation=generation) is rendition


def test_credits_of_an_attempt_that_may_have_been_charged_stay_spent() -> None:
    windows = Budget(daily=100).windows(NOW)
    lost = ready().claim("a", NOW, windows).record_unknown(NOW)

    again = lost.pay_again(NOW).claim("b", NOW, windows)

    assert set(again.spent.values()) == {100}
    assert again.return_to_ready(NOW).spent == lost.spent
