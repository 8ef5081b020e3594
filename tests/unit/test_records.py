"""The ledger's records allow only the steps that make sense."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropscale.ledger.budget import Budget, window_end
from dropscale.ledger.drops import Download, Drop, Output, Reason, Rendition, Source
from dropscale.ledger.jobs import MISSING_FOR, MISSING_LOOKS, Job, Parameters, Upload
from dropscale.ledger.rows import IllegalTransition
from dropscale.ledger.states import DropState, JobState, WaitReason, combined_state
from dropscale.specs.effective import EffectiveSpec
from dropscale.upscaler import Mode

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BALANCED = Parameters(scale_factor=2, mode=Mode.BALANCED)


def ready() -> Job:
    return Job(fingerprint="f", parameters=BALANCED, label="cat", created_at=NOW, due=NOW)


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.READY}))
def test_a_job_cannot_be_paid_from_any_state_but_ready(state: JobState) -> None:
    with pytest.raises(IllegalTransition):
        ready().model_copy(update={"state": state}).claim("b", NOW, [])


def test_each_step_counts_and_each_attempt_is_named() -> None:
    job = ready().claim("a", NOW, []).return_to_ready(NOW).claim("b", NOW, [])

    assert (job.seq, job.attempt, job.project_name) == (4, 2, "cat [f-2-b]")


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


DAY, DAYS = "day#2026-11-23", timedelta(days=3)
LATER = NOW + timedelta(hours=1)


def at(state: JobState, **facts: Any) -> Job:
    """Return a job with an earlier attempt and 404s behind it."""
    history = {
        "upload": Upload(path="u", at=NOW),
        "failed_uploads": 2,
        "cursor": "d",
        "attempt": 2,
        "attempt_id": "a",
        "project_id": "p",
        "credits_charged": 50,
        "submitted_at": NOW,
        "reserved": {DAY: 50},
        "orphans": ("o",),
        "watched_since": NOW,
        "missing_since": NOW,
        "missing_looks": 2,
        "abandoned_at": NOW,
    }
    return ready().model_copy(update={"state": state, **history, **facts})


SEEN = {"missing_since": None, "missing_looks": 0}
NEWS: dict[str, Any] = {"cursor": None}  # for each of its drops
ANSWERED = {**SEEN, **NEWS, "abandoned_at": None}
LOST_PROJECT: dict[str, Any] = {"project_id": None, "credits_charged": None}

STEPS: dict[str, tuple[Job, Callable[[Job], Job], dict[str, Any]]] = {
    "with_upload": (
        at(JobState.READY, due=None),
        lambda job: job.with_upload("v", LATER),
        {"upload": Upload(path="v", at=LATER), "failed_uploads": 0, "due": NOW},
    ),
    "record_failed_upload": (
        at(JobState.READY),
        lambda job: job.record_failed_upload(NOW),
        {"failed_uploads": 3, "due": NOW + timedelta(minutes=4)},
    ),
    "record_failed_upload, often": (
        at(JobState.READY, failed_uploads=10**6),
        lambda job: job.record_failed_upload(NOW),
        {"failed_uploads": 10**6 + 1, "due": NOW + timedelta(hours=1)},
    ),
    "pass_on": (
        at(JobState.COMPLETE),
        lambda job: job.pass_on("e", LATER, is_wanted=True),
        {"cursor": "e", "is_still_wanted": True, "due": LATER},
    ),
    "pass_on, wanted by others": (
        at(JobState.SUBMITTED, is_still_wanted=True),
        lambda job: job.pass_on("e", LATER, is_wanted=False),
        {"cursor": "e", "due": LATER},
    ),
    "pass_on, being paid": (
        at(JobState.SUBMITTING),
        lambda job: job.pass_on("e", LATER, is_wanted=False),
        {"cursor": "e"},
    ),
    "pass_on, to be paid": (
        at(JobState.READY),
        lambda job: job.pass_on("e", LATER, is_wanted=False),
        {"cursor": "e"},
    ),
    "end_round": (
        at(JobState.COMPLETE, is_still_wanted=True),
        lambda job: job.end_round(LATER),
        {"cursor": None, "is_still_wanted": False, "due": LATER},
    ),
    "take_drop, to be paid": (
        at(JobState.READY, due=None, **LOST_PROJECT),
        lambda job: job.take_drop(LATER, LATER + DAYS),
        {"is_still_wanted": True, "due": LATER},
    ),
    "take_drop, due already": (
        at(JobState.READY, **LOST_PROJECT),
        lambda job: job.take_drop(LATER, LATER + DAYS),
        {"is_still_wanted": True},
    ),
    "take_drop, being paid": (
        at(JobState.SUBMITTING, **LOST_PROJECT),
        lambda job: job.take_drop(LATER, LATER + DAYS),
        {"is_still_wanted": True},
    ),
    "take_drop, unknown": (
        at(JobState.UNKNOWN, due=None, **LOST_PROJECT),
        lambda job: job.take_drop(LATER, LATER + DAYS),
        {"is_still_wanted": True, "due": LATER + DAYS},
    ),
    "take_drop, its project": (
        at(JobState.COMPLETE),
        lambda job: job.take_drop(LATER, LATER + DAYS),
        {"is_still_wanted": True, "watched_since": LATER, "due": LATER + DAYS},
    ),
    "look_again": (at(JobState.COMPLETE), lambda job: job.look_again(LATER), {"due": LATER}),
    "watch_anew": (
        at(JobState.SUBMITTED),
        lambda job: job.watch_anew(LATER, LATER),
        {"watched_since": LATER, "due": LATER},
    ),
    "watch_anew, laid aside": (
        at(JobState.ABANDONED),
        lambda job: job.watch_anew(LATER, LATER),
        {
            "state": JobState.SUBMITTED,
            "is_overdue": True,
            "watched_since": LATER,
            "due": LATER,
            **ANSWERED,
        },
    ),
    "claim": (
        at(JobState.READY, reserved={}),
        lambda job: job.claim("b", LATER, [DAY]),
        {
            "state": JobState.SUBMITTING,
            "attempt": 3,
            "attempt_id": "b",
            "name_at_vendor": "cat [f-3-b]",
            "reserved": {DAY: 50},
            "due": LATER,
        },
    ),
    "return_to_ready": (
        at(JobState.SUBMITTING),
        lambda job: job.return_to_ready(LATER),
        {"state": JobState.READY, "attempt_id": None, "reserved": {}, "due": LATER},
    ),
    "record_project": (
        at(JobState.SUBMITTING, **LOST_PROJECT),
        lambda job: job.record_project("q", 40, LATER, LATER),
        {
            "state": JobState.SUBMITTED,
            "project_id": "q",
            "submitted_at": LATER,
            "watched_since": LATER,
            "credits_charged": 40,
            "reserved": {DAY: 40},
            "due": LATER,
            **ANSWERED,
        },
    ),
    "with_orphan": (
        at(JobState.UNKNOWN),
        lambda job: job.with_orphan("q"),
        {"orphans": ("o", "q")},
    ),
    "with_orphan, known": (at(JobState.UNKNOWN), lambda job: job.with_orphan("o"), {}),
    "record_unknown": (
        at(JobState.SUBMITTING),
        lambda job: job.record_unknown(LATER),
        {"state": JobState.UNKNOWN, "due": LATER, **NEWS},
    ),
    "adopt": (
        at(JobState.CANCELED, orphans=("o", "q"), is_overdue=True),
        lambda job: job.adopt("q", 40, LATER, LATER),
        {
            "state": JobState.SUBMITTED,
            "project_id": "q",
            "submitted_at": LATER,
            "watched_since": LATER,
            "credits_charged": 40,
            "reserved": {DAY: 40},
            "written_off": {DAY: 50},
            "orphans": ("o", "p"),
            "is_overdue": False,
            "due": LATER,
            **ANSWERED,
        },
    ),
    "adopt, its own": (
        at(JobState.CANCELED),
        lambda job: job.adopt("p", 50, LATER, LATER),
        {
            "state": JobState.SUBMITTED,
            "submitted_at": LATER,
            "watched_since": LATER,
            "due": LATER,
            **ANSWERED,
        },
    ),
    "record_overdue": (
        at(JobState.SUBMITTED),
        lambda job: job.record_overdue("p"),
        {"is_overdue": True},
    ),
    "record_missing": (
        at(JobState.SUBMITTED),
        lambda job: job.record_missing("p", LATER),
        {"missing_looks": 3},
    ),
    "record_missing, the first": (
        at(JobState.SUBMITTED, **SEEN),
        lambda job: job.record_missing("p", LATER),
        {"missing_since": LATER, "missing_looks": 1},
    ),
    "record_answer": (at(JobState.SUBMITTED), lambda job: job.record_answer("p"), SEEN),
    "settle": (
        at(JobState.SUBMITTED),
        lambda job: job.settle("p", JobState.COMPLETE, 25, LATER),
        {
            "state": JobState.COMPLETE,
            "watched_since": LATER,
            "credits_charged": 25,
            "reserved": {DAY: 25},
            "due": LATER,
            **ANSWERED,
        },
    ),
    "settle, failed": (
        at(JobState.SUBMITTED),
        lambda job: job.settle("p", JobState.ERROR, None, LATER),
        {
            "state": JobState.ERROR,
            "watched_since": LATER,
            "credits_charged": 0,
            "reserved": {DAY: 0},
            "due": LATER,
            **ANSWERED,
        },
    ),
    "settle, of no known price": (
        at(JobState.SUBMITTED, credits_charged=None),
        lambda job: job.settle("p", JobState.CANCELED, None, LATER),
        {
            "state": JobState.CANCELED,
            "watched_since": LATER,
            "credits_charged": 50,
            "due": LATER,
            **ANSWERED,
        },
    ),
    "settle, dearer than it said": (
        at(JobState.SUBMITTED, credits_charged=40, reserved={DAY: 40}),
        lambda job: job.settle("p", JobState.CANCELED, 50, LATER),
        {"state": JobState.CANCELED, "watched_since": LATER, "due": LATER, **ANSWERED},
    ),
    "settle, charged after all": (
        at(JobState.ERROR, credits_charged=0, reserved={DAY: 0}),
        lambda job: job.settle("p", JobState.COMPLETE, 60, LATER),
        {
            "state": JobState.COMPLETE,
            "watched_since": LATER,
            "credits_charged": 50,
            "reserved": {DAY: 50},
            "due": LATER,
            **ANSWERED,
        },
    ),
    "settle, credits given back": (
        at(JobState.ERROR),
        lambda job: job.settle("p", JobState.ERROR, 0, LATER),
        {
            "watched_since": LATER,
            "credits_charged": 0,
            "reserved": {DAY: 0},
            "due": LATER,
            **SEEN,
            "abandoned_at": None,
        },
    ),
    "abandon": (
        at(JobState.SUBMITTED, abandoned_at=None),
        lambda job: job.abandon("p", LATER, LATER),
        {"state": JobState.ABANDONED, "abandoned_at": LATER, "due": LATER, **NEWS},
    ),
    "give_up": (
        at(JobState.UNKNOWN, **LOST_PROJECT),
        lambda job: job.give_up(LATER),
        {"state": JobState.ABANDONED, "due": LATER, **NEWS},
    ),
    "renew": (
        at(JobState.ERROR, credits_charged=0, is_overdue=True, written_off={DAY: 50}),
        lambda job: job.renew(LATER),
        {
            "state": JobState.READY,
            "is_overdue": False,
            "orphans": ("o", "p"),
            "reserved": {},
            "written_off": {DAY: 100},
            "due": LATER,
            **LOST_PROJECT,
            **SEEN,
        },
    ),
    "pay_again": (
        at(JobState.UNKNOWN, **LOST_PROJECT),
        lambda job: job.pay_again(LATER),
        {"state": JobState.READY, "reserved": {}, "written_off": {DAY: 50}, "due": LATER},
    ),
}


@pytest.mark.parametrize(("job", "step", "changes"), STEPS.values(), ids=STEPS)
def test_a_step_changes_what_it_is_about_and_nothing_else(
    job: Job, step: Callable[[Job], Job], changes: dict[str, Any]
) -> None:
    before, after = dict(job), dict(step(job))

    found = {name: after[name] for name in before if after[name] != before[name]}
    assert found == {"seq": job.seq + 1, **changes}


@pytest.mark.parametrize("verdict", [JobState.COMPLETE, JobState.ERROR, JobState.CANCELED])
@pytest.mark.parametrize(
    "state", [JobState.SUBMITTED, JobState.ABANDONED, JobState.ERROR, JobState.CANCELED]
)
def test_the_vendor_may_take_back_all_but_that_the_result_is_there(
    state: JobState, verdict: JobState
) -> None:
    assert at(state).settle("p", verdict, 0, LATER).state is verdict
    assert at(JobState.COMPLETE).settle("p", verdict, 0, LATER).state is JobState.COMPLETE


def test_what_is_known_already_is_no_step() -> None:
    overdue = at(JobState.SUBMITTED, is_overdue=True)
    assert overdue.record_overdue("p") is overdue
    seen = at(JobState.SUBMITTED, **SEEN)
    assert seen.record_answer("p") is seen
    complete = at(JobState.COMPLETE)
    assert complete.record_overdue("p") is complete
    assert complete.abandon("p", LATER, LATER) is complete
    assert complete.settle("p", JobState.COMPLETE, 0, LATER) is complete
    canceled = at(JobState.CANCELED)
    assert canceled.settle("p", JobState.CANCELED, 50, LATER) is canceled


@pytest.mark.parametrize(
    ("looks", "since", "is_gone"),
    [
        (MISSING_LOOKS, MISSING_FOR, True),
        (MISSING_LOOKS - 1, 30 * MISSING_FOR, False),
        (30 * MISSING_LOOKS, MISSING_FOR - timedelta(seconds=1), False),
        (MISSING_LOOKS, None, False),
    ],
)
def test_a_project_is_gone_after_enough_404s_over_enough_time(
    looks: int, since: timedelta | None, is_gone: bool
) -> None:
    job = at(JobState.SUBMITTED, missing_looks=looks, missing_since=since and NOW - since)

    assert job.is_gone(NOW) is is_gone


def test_a_job_whose_credits_came_back_is_looked_at_no_more() -> None:
    assert at(JobState.ERROR).may_change
    assert not at(JobState.ERROR, credits_charged=0).may_change
    assert at(JobState.ABANDONED).may_change
    assert not at(JobState.UNKNOWN, **LOST_PROJECT).give_up(NOW).may_change


def test_a_job_of_before_tokens_is_named_by_its_attempt() -> None:
    assert ready().project_name == "cat [f-0]"


OUTPUT = Output(key="a@2x.png", type="png", width=2, height=2, bytes=9, sha256="5")


def test_a_rendition_that_is_wanted_once_more_begins_anew_and_keeps_its_last_output() -> None:
    delivered = Rendition(
        fingerprint="f",
        parameters=BALANCED,
        state=DropState.DELIVERED,
        reason=Reason(code="c", message="m", fix="f"),
        output=OUTPUT,
        downloads=(Download(url="u"),),
        warnings=("w",),
    )

    again = delivered.want_again(is_collected=True)
    assert again.model_dump(exclude_defaults=True) == {
        "id": "f",
        "fingerprint": "f",
        "parameters": BALANCED.model_dump(exclude_defaults=True),
        "wait": WaitReason.SLOT,
        "is_collected": True,
        "generation": 1,
        "earlier_output": OUTPUT.model_dump(exclude_defaults=True),
    }
    assert again.move(DropState.FAILED).want_again().earlier_output == OUTPUT


def test_a_reason_says_all_that_is_to_be_done_about_the_same() -> None:
    told = Reason(code="c", message="m", fix="One.")
    others = [
        None,
        Reason(code="c", message="n", fix="Two."),
        Reason(code="d", message="", fix="3"),
    ]

    assert told.joined([*others, told]) == Reason(code="c", message="m", fix="One. Two.")


def test_what_a_rendition_is_told_fits_into_its_drops_row() -> None:
    long = Reason(code="c", message="m" * 9000, fix="f" * 9000)
    url = Download(url="https://vendor.example/" + 1000 * "u", expires_at=1000 * "9")
    waiting = Rendition(fingerprint="f", parameters=BALANCED, state=DropState.SUBMITTED)

    ended = waiting.move(
        DropState.COMPLETE, reason=long, warnings=(1000 * "w",) * 20, downloads=(url,) * 20
    )

    assert len(ended.model_dump_json()) < 20_000
    assert 0 < len(ended.downloads) < 20
    assert ended.warnings[-1] == "… and 13 more"
    assert waiting.move(DropState.COMPLETE, downloads=(Download(url="u"),)).downloads == (
        Download(url="u"),
    )


def test_a_rendition_is_one_already() -> None:
    rendition = Rendition(fingerprint="f", parameters=BALANCED)

    assert Rendition.model_validate(rendition) == rendition


def a_drop(*renditions: Rendition) -> Drop:
    source = Source(bucket="in", key="a.png", etag="e")
    return Drop(id="d", source=source).evaluate({one.id: one for one in renditions}, NOW)


def rendition(name: str, state: DropState = DropState.SUBMITTED, **facts: Any) -> Rendition:
    return Rendition(id=name, fingerprint="f", parameters=BALANCED, state=state, **facts)


def test_a_drop_tells_the_reason_of_the_rendition_that_needs_most_attention() -> None:
    failed = rendition("b", DropState.FAILED, reason=Reason(code="c", message="m", fix="f"))
    drop = a_drop(rendition("a", DropState.DELIVERED), failed)

    assert (drop.state, drop.reason) == (DropState.FAILED, failed.reason)


def test_the_timeline_has_each_state_once_in_a_row_and_the_latest_fifty() -> None:
    drop = a_drop(rendition("a")).evaluate({"a": rendition("a")}, LATER)
    assert [(entry.state, entry.at) for entry in drop.timeline] == [(DropState.SUBMITTED, NOW)]

    for _ in range(60):
        drop = drop.set_state(DropState.FAILED, NOW).set_state(DropState.WAITING, LATER)
    assert len(drop.timeline) == 50
    assert drop.timeline[-1].state is DropState.WAITING


def test_an_execution_follows_what_is_wanted_of_a_drop_that_waits_for_it() -> None:
    waits = a_drop(rendition("a"))
    assert not waits.watches(rendition("a")), "it has no spec"
    waits = waits.set_state(DropState.SUBMITTED, NOW, spec=spec())
    leaves = waits.set_state(DropState.SUBMITTED, NOW, spec=spec(wait_for_completion=False))

    assert waits.watches(rendition("a"))
    assert not waits.watches(rendition("a", DropState.DELIVERED))
    assert not leaves.watches(rendition("a"))
    assert leaves.watches(rendition("a", is_collected=True))


def test_only_a_state_that_its_renditions_tell_is_an_evaluated_one() -> None:
    drop = a_drop(rendition("a"))

    assert drop.is_evaluated
    assert not drop.set_state(DropState.REJECTED, NOW).is_evaluated
    assert not drop.set_state(DropState.WAITING, NOW, renditions={}).is_evaluated


def test_of_many_superseded_renditions_those_that_nobody_has_seen_the_result_of_stay() -> None:
    seen = [
        rendition(f"s{n}", DropState.SUPERSEDED, project_id="p", output=OUTPUT) for n in range(999)
    ]
    unpaid = [rendition(f"n{n}", DropState.SUPERSEDED) for n in range(9)]
    lost = Reason(code="CreateOutcomeUnknown", message="m", fix="f")
    paid = [
        rendition("p", DropState.SUPERSEDED, project_id="p"),
        rendition("u", DropState.SUPERSEDED, reason=lost),
    ]
    drop = a_drop(*unpaid, *seen, *paid, rendition("a"))

    assert {"p", "u", "a"} < set(drop.renditions)
    assert len(drop.model_dump_json()) < 60_000


def test_what_specs_say_in_vain_is_told_as_far_as_it_fits() -> None:
    drop = a_drop(rendition("a")).set_state(DropState.WAITING, NOW, warnings=("w" * 5000,) * 100)

    assert len(drop.warnings) == 16
    assert len(drop.model_dump_json()) < 20_000


@pytest.mark.parametrize("end", ["delivered", "complete", "failed", "canceled", "timed_out"])
@pytest.mark.parametrize("state", ["submitted", "rendering", "timed_out"])
def test_a_rendition_at_the_vendor_takes_whatever_its_execution_reports(
    state: str, end: str
) -> None:
    at_vendor = rendition("a", DropState(state), project_id="p")

    assert at_vendor.report(DropState(end), project_id="p", generation=0).state == end


@pytest.mark.parametrize("state", DropState)
def test_whatever_a_rendition_has_come_to_it_can_be_superseded(state: DropState) -> None:
    assert rendition("a", state).move(DropState.SUPERSEDED).state is DropState.SUPERSEDED


@pytest.mark.parametrize("state", sorted(set(DropState) - {DropState.RENDERING, DropState.SKIPPED}))
def test_a_rendition_can_be_wanted_again_but_while_it_renders_or_where_nothing_was_to_be_done(
    state: DropState,
) -> None:
    assert rendition("a", state).want_again().state is DropState.WAITING
