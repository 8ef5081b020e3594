"""Gate, budget, and what a step of a job writes."""

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, Reason
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Attempt, Job
from dropscale.ledger.rows import SCHEMA
from dropscale.ledger.states import JobState, WaitReason
from dropscale.ledger.store import (
    NotInLedger,
    SaveDrop,
    SaveJob,
    SaveReference,
    amend_drop_and_job,
    amend_job,
    is_named_by,
    job_changes,
)
from tests.fakes import MemoryLedger
from tests.rows import DAYS, LATER, NOW, a_drop, at, ready, rendition


def test_the_gate_is_what_was_last_said_of_it() -> None:
    cause = Reason(code="Throttled", message="m", fix="f")
    first = Gate(is_open=True, reason=WaitReason.SLOT, until=NOW, strikes=0)

    closed = first.close(WaitReason.THROTTLED, LATER, is_asked=True, cause=cause)
    assert dict(closed) == {
        **dict(first),
        "seq": 2,
        "is_open": False,
        "reason": WaitReason.THROTTLED,
        "until": LATER,
        "is_asked": True,
        "strikes": 1,
        "cause": cause,
    }
    probed = closed.probe(LATER + DAYS)
    assert dict(probed) == {**dict(closed), "seq": 3, "until": LATER + DAYS}
    opened = probed.open()
    assert dict(opened) == {**dict(probed), "seq": 4, "is_open": True, "strikes": 0, "cause": None}
    narrowed = closed.narrow(2, LATER + DAYS)
    opening = {"is_open": True, "strikes": 0, "cause": None}
    assert dict(narrowed) == {
        **{**dict(closed), "seq": 3, "until": LATER + DAYS},
        **{**opening, "places": 2},
    }
    assert closed.probe(LATER, is_early=True).strikes == 0
    assert opened.probe(LATER, is_early=True).strikes == 0


@given(running=integers(1, 20), more=integers(1, 20), refusals=integers(1, 5))
def test_places_are_as_many_as_ran_at_a_refusal_and_grow_by_one_for_as_many_creates(
    running: int, more: int, refusals: int
) -> None:
    most = running + more
    gate = Gate(is_open=True, reason=WaitReason.THROTTLED, until=NOW, strikes=0)
    assert gate.limit(NOW) is None
    for _ in range(refusals):
        gate = gate.narrow(running, LATER)
    assert gate.limit(NOW) == running

    for places in range(running, most):
        for _ in range(places):
            assert gate.limit(NOW) == places
            gate = gate.widen(NOW, most)
    assert gate.limit(NOW) is None

    assert gate.widen(NOW, most).places is None

    patient = gate.narrow(running, LATER).widen(NOW, most).narrow(running, LATER)
    assert (patient.places, patient.passed) == (running, 0)
    assert patient.limit(LATER) == running + 1
    assert patient.widen(LATER, most + 1).limit(NOW) == running + 1


def test_a_budget_names_the_limit_and_the_parameter_of_each_window() -> None:
    budget = Budget(daily=100, monthly=2000)
    day, month = budget.windows(NOW)

    assert budget.windows(NOW) == {day: 100, month: 2000}
    assert (budget.limit_of(day), budget.parameter_of(day)) == (100, "DailyCreditLimit")
    assert (budget.limit_of(month), budget.parameter_of(month)) == (2000, "MonthlyCreditLimit")
    assert set(Budget().windows(NOW).values()) == {None}


def test_a_step_that_costs_nothing_takes_nothing() -> None:
    job = at(JobState.SUBMITTED)
    after = job.look_again(LATER)

    assert job_changes(job, after) == [SaveJob(after)]


def test_whose_a_project_is_its_name_tells_by_the_row_of_the_token_in_it() -> None:
    ledger, job = MemoryLedger(), ready().claim("aa", NOW, [])
    ledger.write(*job_changes(ready(), job.model_copy(update={"seq": 1})))
    theirs = Attempt(token="bb", fingerprint="g", attempt=1)
    ledger.write(SaveReference(theirs))

    assert is_named_by(ledger, job, "cat [f-1-aa]")
    assert is_named_by(ledger, job, None) is None
    assert is_named_by(ledger, ready(), None) is None
    assert is_named_by(ledger, job, "cat") is None
    again = job.return_to_ready(NOW).claim("cc", NOW, [])
    assert is_named_by(ledger, again, "cat [0000000f-1-aa]"), "the row knows better than the name"
    assert is_named_by(ledger, job, "cat [0000000f-1-bb]") is False


def test_a_projects_name_takes_a_read_only_if_it_is_not_the_last_attempts() -> None:
    class Unread(MemoryLedger):
        def attempt(self, token: str) -> Attempt | None:
            raise AssertionError(f"{token} is read")

    job = ready().model_copy(update={"fingerprint": 64 * "f"}).claim("aa", NOW, [])

    assert is_named_by(Unread(), job, job.name_at_vendor)
    assert is_named_by(Unread(), job, "cat [ffffffff-1]"), "of before there were tokens"
    assert is_named_by(Unread(), job, "cat [00000000-1]") is False


def test_a_change_of_a_job_in_one_state_leaves_it_alone_in_others() -> None:
    ledger, job = MemoryLedger(), ready()
    ledger.write(SaveJob(job))

    def look(job: Job) -> Job:
        return job.look_again(LATER)

    assert amend_job(ledger, job.fingerprint, look, only=JobState.SUBMITTED) is job
    assert amend_job(ledger, job.fingerprint, look, only=JobState.READY).due == LATER
    with pytest.raises(NotInLedger):
        amend_job(ledger, "nobody", look)


def test_a_drop_and_its_job_change_together_or_only_the_one_that_does() -> None:
    ledger, job, drop = MemoryLedger(), ready(), a_drop(rendition("a"))
    both = (drop.id, job.fingerprint)

    def look(drop: Drop, job: Job) -> tuple[Drop, Job]:
        return drop, job.look_again(LATER)

    ledger.write(SaveJob(job))
    with pytest.raises(NotInLedger):
        amend_drop_and_job(ledger, *both, look)
    ledger.write(SaveDrop(drop))
    with pytest.raises(NotInLedger):
        amend_drop_and_job(ledger, drop.id, "nobody", look)
    assert amend_drop_and_job(ledger, *both, look) == (drop, job.look_again(LATER))
    assert (ledger.drops[drop.id], ledger.jobs[job.fingerprint].due) == (drop, LATER)


def test_a_row_of_before_is_of_this_schema_from_its_next_step_on() -> None:
    assert ready().model_copy(update={"schema_number": 1}).look_again(NOW).schema_number == SCHEMA
