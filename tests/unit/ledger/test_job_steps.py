"""Each step of a job, from every state that matters."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dropscale.ledger.jobs import MISSING_FOR, MISSING_LOOKS, Job, Seen, Upload
from dropscale.ledger.states import JobState
from tests.rows import DAY, DAYS, LATER, NOW, at, ready

SEEN = {"missing_since": None, "missing_looks": 0}
NEWS: dict[str, Any] = {"cursor": None}  # for each of its drops
ANSWERED = {**SEEN, **NEWS, "abandoned_at": None}
LOST_PROJECT: dict[str, Any] = {"project_id": None, "credits_charged": None}

ADOPTED: dict[str, Any] = {
    "state": JobState.SUBMITTED,
    "project_id": "q",
    "submitted_at": LATER,
    "watched_since": LATER,
    "credits_charged": 40,
    "reserved": {DAY: 40},
    "due": LATER,
    **ANSWERED,
}
SEEN_NOW = Seen(project_id="p", at=NOW, status="rendering")

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
            "may_have_cost": True,
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
    "adopt, with nothing else at stake": (
        at(JobState.READY, reserved={}, written_off={DAY: 50}, **LOST_PROJECT),
        lambda job: job.adopt("q", 40, LATER, LATER),
        {name: value for name, value in ADOPTED.items() if name != "reserved"},
    ),
    "adopt, after an error that cost nothing": (
        at(JobState.ERROR, credits_charged=0, reserved={DAY: 0}),
        lambda job: job.adopt("q", 40, LATER, LATER),
        {**ADOPTED, "orphans": ("o", "p")},
    ),
    "adopt, for the one whose answer was lost": (
        at(JobState.UNKNOWN, **LOST_PROJECT),
        lambda job: job.adopt("q", 40, LATER, LATER),
        {**ADOPTED, "written_off": {DAY: 50}, "may_have_cost": True},
    ),
    "adopt, that one itself": (
        at(JobState.UNKNOWN, may_have_cost=True, **LOST_PROJECT),
        lambda job: job.adopt("q", 40, LATER, LATER, is_of_attempt=True),
        ADOPTED,
    ),
    "adopt, of the same attempt as the one before": (
        at(JobState.CANCELED),
        lambda job: job.adopt("q", 40, LATER, LATER, is_of_attempt=True),
        {**ADOPTED, "written_off": {DAY: 50}, "orphans": ("o", "p")},
    ),
    "record_seen": (
        at(JobState.SUBMITTED),
        lambda job: job.record_seen(SEEN_NOW),
        {"seen": SEEN_NOW},
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
        at(JobState.UNKNOWN, may_have_cost=True, **LOST_PROJECT),
        lambda job: job.pay_again(LATER),
        {
            "state": JobState.READY,
            "reserved": {},
            "written_off": {DAY: 50},
            "may_have_cost": False,
            "due": LATER,
        },
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
    assert seen.record_seen(SEEN_NOW.model_copy(update={"project_id": "q"})) is seen
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


def test_what_a_look_has_found_may_stand_for_another_for_half_a_minute() -> None:
    assert SEEN_NOW.is_recent(NOW + timedelta(seconds=29))
    assert not SEEN_NOW.is_recent(NOW + timedelta(seconds=30))
