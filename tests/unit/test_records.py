"""The ledger's records allow only the steps that make sense."""

from datetime import UTC, datetime, timedelta

import pytest

from dropscale.ledger.budget import Budget, window_end
from dropscale.ledger.records import IllegalTransition, Job, Parameters, Rendition
from dropscale.ledger.states import DropState, JobState, combined_state
from dropscale.specs.effective import EffectiveSpec
from dropscale.upscaler import Mode

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BALANCED = Parameters(scale_factor=2, mode=Mode.BALANCED)


def ready() -> Job:
    return Job(fingerprint="f", parameters=BALANCED, label="cat", created_at=NOW, due=NOW)


def test_a_job_cannot_be_paid_from_any_state_but_ready() -> None:
    submitting = ready().submitting("a", NOW, [])
    submitted = submitting.submitted("p", 50, NOW, NOW)
    for job in (submitting, submitting.unknown(NOW), submitted):
        with pytest.raises(IllegalTransition):
            job.submitting("b", NOW, [])


def test_each_step_counts_and_each_attempt_is_named() -> None:
    job = ready().submitting("a", NOW, []).refused(NOW).submitting("b", NOW, [])

    assert (job.seq, job.attempt, job.project_name) == (4, 2, "cat [f-2]")


def spec(**fields: object) -> EffectiveSpec:
    return EffectiveSpec.model_validate({"scale_factor": 2, "mode": Mode.BALANCED, **fields})


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
        .moved(DropState.SUBMITTED)
        .moved(DropState.DELIVERED)
    )

    with pytest.raises(IllegalTransition):
        delivered.moved(DropState.SUBMITTED)
    assert delivered.again().generation == 1


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
    claimed = ready().submitting("a", NOW, windows)
    submitted = claimed.submitted("p", 40, NOW, NOW)

    assert claimed.spent == {"day#2026-11-23": 50, "month#2026-11": 50}
    assert not claimed.refused(NOW).spent
    assert claimed.unknown(NOW).spent == claimed.spent
    assert set(submitted.spent.values()) == {40}
    assert not submitted.settled(JobState.ERROR, 0, NOW).spent
    assert submitted.settled(JobState.COMPLETE, None, NOW).spent == submitted.spent


def test_credits_of_an_attempt_that_may_have_been_charged_stay_spent() -> None:
    windows = Budget(daily=100).windows(NOW)
    lost = ready().submitting("a", NOW, windows).unknown(NOW)

    again = lost.paid_again(NOW).submitting("b", NOW, windows)

    assert set(again.spent.values()) == {100}
    assert again.refused(NOW).spent == lost.spent
