"""What the vendor's events settle without a person, and what they never do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from dropscale.coded_warning import WarningCode
from dropscale.ledger.jobs import Attempt, Job, KnownProject
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import MOST_NOTED, Change, LedgerConflict, RequireOpenGate, SaveJob
from dropscale.magichour import errors
from dropscale.magichour.webhooks import EventKind, ProjectEvent
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.start import StartOutcome
from dropscale.pipeline.receive_event import ReceiveEvent
from dropscale.pipeline.resolve import Decision
from tests.fakes import MemoryLedger, png
from tests.world import PLENTY, World

LOST = errors.CreateOutcomeUnknown("POST /v1/ai-image-upscaler", cause_name="ConnectionLost")
REFUSED = errors.Unavailable("POST /v1/ai-image-upscaler", status=503)
THROTTLED = errors.Throttled("POST /v1/ai-image-upscaler", status=429)
MISSING = errors.NotFound("GET /v1/image-projects/lost", status=404)
OUTAGE = errors.ServerFault("GET /v1/image-projects/lost", status=500)


class Killed(BaseException):
    """The function ends in the middle of a call."""


def made(world: World, project_id: str = "lost", status: str = "complete", **facts: Any) -> str:
    """Let the vendor have a project of the only job's last attempt; return its name."""
    name = world.only_job.project_name
    told = {"name": name, "type": "IMAGE_UPSCALER", "credits_charged": 50, **facts}
    world.upscaler.answer(project_id, status, **told)
    return name


def tell(
    world: World,
    name: str | None,
    project_id: str = "lost",
    kind: EventKind = EventKind.COMPLETED,
) -> int:
    return world.receive_event(ProjectEvent(kind, project_id, name))


def drop(world: World, failure: BaseException, during: Callable[[], object] = lambda: None) -> None:
    """Drop an image whose create ends so, after something has happened meanwhile."""

    def fail() -> None:
        during()
        raise failure

    world.upscaler.before_answer = fail
    world.drop("cat.png", png())
    world.upscaler.creates.clear()  # What is created from now on would be paid a second time.


def told_while_it_is_paid(world: World) -> None:
    drop(world, LOST, lambda: tell(world, made(world)))


def told_while_it_is_paid_and_killed(world: World) -> None:
    with pytest.raises(Killed):
        drop(world, Killed(), lambda: tell(world, made(world)))
    world.upscaler.creates.clear()
    world.clock.advance(minutes=17)


def told_when_unknown(world: World) -> None:
    drop(world, LOST)
    tell(world, made(world))


def told_of_its_start(world: World) -> None:
    drop(world, LOST)
    tell(world, made(world, status="queued"), kind=EventKind.STARTED)
    world.sweep(minutes=1)
    made(world)


def told_after_giving_up(world: World) -> None:
    drop(world, LOST)
    world.decide("cat.png", Decision.ABANDON)
    tell(world, made(world))


def told_after_pay_again(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    world.upscaler.fail_create = THROTTLED
    world.decide("cat.png", Decision.PAY_AGAIN)
    tell(world, name)


def told_after_pay_again_at_a_closed_gate(world: World) -> None:
    drop(world, LOST)
    world.gate.close(WaitReason.ACCOUNT, REFUSED)
    world.decide("cat.png", Decision.PAY_AGAIN)
    world.clock.advance(seconds=10)
    tell(world, made(world))


def told_after_a_refusal(world: World) -> None:
    drop(world, REFUSED)
    tell(world, made(world))


def told_after_a_rejection(world: World) -> None:
    drop(world, errors.InvalidRequest("POST /v1/ai-image-upscaler", status=400))
    assert world.row("cat.png").state is DropState.REJECTED
    tell(world, made(world))


def told_before_a_refusal(world: World) -> None:
    drop(world, REFUSED, lambda: tell(world, made(world)))


@pytest.mark.parametrize(
    "story",
    [
        told_while_it_is_paid,
        told_while_it_is_paid_and_killed,
        told_when_unknown,
        told_of_its_start,
        told_after_giving_up,
        told_after_pay_again,
        told_after_pay_again_at_a_closed_gate,
        told_after_a_refusal,
        told_after_a_rejection,
        told_before_a_refusal,
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_create_is_delivered_without_anyone_and_paid_once(
    world: World, story: Callable[[World], None], times: int
) -> None:
    story(world)
    (name,) = {p.name for p in world.upscaler.projects.values() if p.id == "lost"}
    for _ in range(times - 1):
        tell(world, name)
    for _ in range(times):
        world.sweep(minutes=1)
        world.run_executions()
        tell(world, name)
    world.sweep(minutes=1)

    assert world.row("cat.png").state is DropState.DELIVERED
    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["warnings"]) == ("delivered", [])
    assert (world.only_job.state, world.only_job.project_id) == (JobState.COMPLETE, "lost")
    assert (world.only_job.hints, world.only_job.orphans) == ((), ())
    assert world.upscaler.creates == []
    assert set(world.ledger.credits.values()) == {50}
    assert world.ledger.taken == 0
    world.pass_hours(24)
    assert world.only_job.due is None


@pytest.mark.parametrize("answer", [OUTAGE, MISSING])
def test_what_no_answer_settles_at_first_is_settled_by_a_later_one(
    world: World, answer: Exception
) -> None:
    world.upscaler.fail_project["lost"] = answer
    told_while_it_is_paid_and_killed(world)
    world.sweep(minutes=1)
    assert world.row("cat.png").state is DropState.UNKNOWN
    world.pass_hours(3 * 24)
    assert world.only_job.state is JobState.UNKNOWN
    assert (world.only_job.due or world.clock()) > world.clock() + timedelta(minutes=30)

    del world.upscaler.fail_project["lost"]
    world.pass_hours(2)

    assert world.row("cat.png").state is DropState.DELIVERED


@pytest.mark.parametrize(
    ("is_told", "seconds_left", "is_settled"),
    [(True, PLENTY, True), (True, 30, False), (False, PLENTY, False)],
)
def test_an_attempt_whose_answer_is_lost_reads_what_events_named(
    world: World, is_told: bool, seconds_left: float, is_settled: bool
) -> None:
    drop(world, THROTTLED)
    world.gate.open()
    left = [PLENTY]

    def lose() -> None:
        left[0] = seconds_left
        if is_told:
            tell(world, made(world))
        raise LOST

    world.upscaler.before_answer = lose
    outcome = world.start(world.only_job.fingerprint, lambda: left[0])

    assert outcome is (StartOutcome.STARTED if is_settled else StartOutcome.UNKNOWN)
    assert world.only_job.project_id == ("lost" if is_settled else None)
    assert world.only_job.state is (JobState.SUBMITTED if is_settled else JobState.UNKNOWN)
    world.pass_hours(1)
    assert world.only_job.state is (JobState.COMPLETE if is_told else JobState.UNKNOWN)


def test_a_project_is_adopted_although_others_change_its_job_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_when_unknown(world)
    write = MemoryLedger.write

    def write_after_another_event(ledger: MemoryLedger, *changes: Change) -> None:
        if any(isinstance(one, SaveJob) and one.job.project_id == "lost" for one in changes):
            monkeypatch.setattr(MemoryLedger, "write", write)
            tell(world, world.only_job.project_name)
        write(ledger, *changes)

    monkeypatch.setattr(MemoryLedger, "write", write_after_another_event)
    world.sweep(minutes=1)

    assert (world.only_job.project_id, world.only_job.hints) == ("lost", ())


def test_an_attempt_without_a_row_or_a_token_has_no_notes(world: World) -> None:
    drop(world, LOST)
    job = world.only_job
    for name in (job.name_at_vendor, "cat.png [00000000-1]"):
        world.ledger.references.clear()
        world.ledger.jobs[job.fingerprint] = job.model_copy(update={"name_at_vendor": name})

        world.sweep(minutes=3)
        assert world.only_job.state is JobState.UNKNOWN


def test_the_credits_of_an_attempt_stay_spent_if_one_before_it_serves(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    world.upscaler.fail_create = LOST
    world.decide("cat.png", Decision.PAY_AGAIN)
    tell(world, name)
    world.sweep(minutes=1)

    job = world.only_job
    assert (job.project_id, job.may_have_cost) == ("lost", True)
    assert min(world.ledger.credits.values()) >= 100


def test_who_waits_for_an_answer_about_a_project_is_told_so_until_it_comes(world: World) -> None:
    told_after_pay_again_at_a_closed_gate(world)
    world.upscaler.fail_project["lost"] = OUTAGE
    world.sweep(seconds=1)
    assert world.manifest("cat.png")["reason"]["code"] == "EarlierAttempt"

    del world.upscaler.fail_project["lost"]
    made(world, status="canceled")
    world.gate.close(WaitReason.ACCOUNT, REFUSED)
    world.sweep(minutes=3)
    manifest = world.manifest("cat.png")
    assert (manifest["waiting_for"], manifest["reason"]) == (WaitReason.SLOT, None)


def test_an_attempt_that_loses_every_race_for_its_project_is_unknown_until_the_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MemoryLedger.write

    def lose_if_adopted(ledger: MemoryLedger, *changes: Change) -> None:
        if any(isinstance(one, SaveJob) and one.job.project_id == "lost" for one in changes):
            raise LedgerConflict
        write(ledger, *changes)

    with monkeypatch.context() as racing:
        racing.setattr(MemoryLedger, "write", lose_if_adopted)
        told_while_it_is_paid(world)
    assert world.only_job.state is JobState.UNKNOWN

    world.sweep(minutes=3)
    assert world.only_job.project_id == "lost"


OTHERS = "cat.png [00000000-1-ffffffffffffffffffffffff]"


@pytest.mark.parametrize(
    "facts",
    [
        {"name": OTHERS},
        {"name": "Image Upscaler - 2026-11-23"},
        {"name": None},
        {"type": "AI_IMAGE"},
        {"type": None},
    ],
    ids=str,
)
def test_nothing_is_adopted_that_a_look_does_not_find_to_be_the_attempts(
    world: World, facts: dict[str, Any]
) -> None:
    drop(world, LOST)
    name = made(world, **facts)
    name = world.only_job.project_name if facts.get("name", name) != name else name
    tell(world, name)
    world.pass_hours(8 * 24)

    job = world.only_job
    assert (job.state, job.project_id, job.orphans) == (JobState.UNKNOWN, None, ())
    assert (job.hints, job.due) == ((), None)
    assert world.row("cat.png").state is DropState.UNKNOWN
    assert world.upscaler.creates == []


def test_a_project_of_another_job_is_not_adopted(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    world.ledger.references[KnownProject, "lost"] = KnownProject(
        project_id="lost", fingerprint="another"
    )
    tell(world, name)
    world.sweep(minutes=1)
    assert world.only_job.state is JobState.UNKNOWN

    del world.ledger.references[KnownProject, "lost"]
    tell(world, name)
    world.ledger.references[KnownProject, "lost"] = KnownProject(
        project_id="lost", fingerprint="another"
    )
    world.sweep(minutes=1)
    assert (world.only_job.state, world.only_job.hints) == (JobState.UNKNOWN, ())


@pytest.mark.parametrize("status", ["error", "canceled"])
@pytest.mark.parametrize(
    ("story", "state", "pays"),
    [
        (told_when_unknown, None, 0),
        (told_after_giving_up, None, 0),
        (told_after_pay_again, JobState.SUBMITTED, 1),
        (told_after_a_refusal, JobState.SUBMITTED, 1),
        (told_before_a_refusal, JobState.SUBMITTED, 1),
    ],
)
def test_a_project_without_a_result_settles_what_is_unknown_and_stops_no_payment(
    world: World,
    story: Callable[[World], None],
    status: str,
    state: JobState | None,
    pays: int,
) -> None:
    story(world)
    name = world.upscaler.projects["lost"].name
    made(world, status=status, name=name)
    world.sweep(hours=1)
    world.sweep(minutes=1)

    job = world.only_job
    assert len(world.upscaler.creates) == pays
    if state is None:
        world.run_executions()
        assert world.only_job.state == status
        assert world.row("cat.png").state in {DropState.FAILED, DropState.CANCELED}
    else:
        assert (job.state, job.orphans) == (state, ("lost",))
        assert world.manifest("cat.png")["warnings"] == []


@pytest.mark.parametrize(
    ("answer", "hours"),
    [(OUTAGE, 7 * 24), (MISSING, 24)],
)
@pytest.mark.parametrize("story", [told_after_pay_again, told_after_a_refusal])
@pytest.mark.parametrize("is_answered", [True, False])
def test_nothing_is_paid_again_while_no_answer_says_whose_a_project_is(
    world: World, answer: Exception, hours: int, story: Callable[[World], None], is_answered: bool
) -> None:
    story(world)
    world.upscaler.fail_project["lost"] = answer
    world.sweep(minutes=1)
    assert (world.only_job.due or world.clock()) > world.clock()
    world.pass_hours(hours - 1)
    assert world.upscaler.creates == []
    assert world.manifest("cat.png")["reason"]["code"] == "EarlierAttempt"

    assert world.start(world.only_job.fingerprint, lambda: PLENTY) is StartOutcome.LEFT

    if is_answered:
        del world.upscaler.fail_project["lost"]
    world.pass_hours(2)
    world.submit("cat.png")  # Its bytes may no longer be at the vendor.
    world.sweep(minutes=1)
    paid = world.only_job.project_id, len(world.upscaler.creates)
    assert paid == (("lost", 0) if is_answered else ("project-1", 1))
    assert is_answered or world.only_job.hinted_at is None


def test_a_project_of_an_attempt_before_the_one_being_paid_is_kept_and_named(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    world.decide("cat.png", Decision.PAY_AGAIN)
    tell(world, name)
    world.sweep(minutes=3)

    job = world.only_job
    assert (job.state, job.project_id, job.orphans) == (JobState.SUBMITTED, "project-1", ("lost",))
    (warning,) = world.manifest("cat.png")["warnings"]
    assert warning["code"] == WarningCode.EARLIER_PROJECT
    assert "lost" in warning["message"]

    world.finish_all()
    (warning,) = world.manifest("cat.png")["warnings"]
    assert warning["code"] == WarningCode.EARLIER_PROJECT
    assert world.only_job.project_id == "project-1"
    assert set(world.ledger.credits.values()) == {100}


def test_the_project_of_a_late_answer_is_named_like_one_of_an_event(world: World) -> None:
    def pay_again_meanwhile() -> None:
        world.clock.advance(minutes=17)
        world.sweep()
        world.decide("cat.png", Decision.PAY_AGAIN)

    world.upscaler.before_answer = pay_again_meanwhile
    world.drop("cat.png", png())

    (orphan,) = world.only_job.orphans
    (warning,) = world.manifest("cat.png")["warnings"]
    assert (warning["code"], orphan in warning["message"]) == (WarningCode.EARLIER_PROJECT, True)


def test_a_hint_that_stays_open_delays_no_deadline(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    world.decide("cat.png", Decision.PAY_AGAIN)
    world.upscaler.fail_project["lost"] = OUTAGE
    tell(world, name)
    world.sweep(minutes=55)

    job = world.only_job
    assert job.hints != ()
    assert job.submitted_at is not None
    assert job.due == job.submitted_at + timedelta(seconds=world.timing.deadline)


_GONE = {"enabled": False, "downloads": []}
_WITHOUT_RESULT = (JobState.ERROR, JobState.CANCELED, JobState.ABANDONED)


@pytest.mark.parametrize(
    ("states", "status", "facts", "serves"),
    [
        (_WITHOUT_RESULT, "complete", {}, True),
        (_WITHOUT_RESULT, "complete", {"enabled": False}, True),
        (_WITHOUT_RESULT, "rendering", {}, True),
        (_WITHOUT_RESULT, "complete", _GONE, False),
        (_WITHOUT_RESULT, "error", {}, False),
        (_WITHOUT_RESULT, "canceled", {}, False),
        ((JobState.SUBMITTED, JobState.COMPLETE), "complete", {}, False),
    ],
)
def test_it_serves_a_job_whose_newer_project_has_no_result(
    states: tuple[JobState, ...], status: str, facts: dict[str, Any], serves: bool
) -> None:
    for state in states:
        world = World()
        drop(world, LOST)
        name = made(world, status=status, **facts)
        world.decide("cat.png", Decision.PAY_AGAIN)
        there = world.only_job.model_copy(update={"state": state})
        world.ledger.jobs[there.fingerprint] = there
        tell(world, name)
        world.sweep(minutes=1)

        job = world.only_job
        served = ("lost", ("project-1",)), ("project-1", ("lost",))
        assert (job.project_id, job.orphans) == served[0 if serves else 1], state


@pytest.mark.parametrize(
    ("facts", "is_open"),
    [
        ({"name": OTHERS}, False),
        ({"type": "AI_IMAGE"}, False),
        ({"name": None}, True),
        ({"type": None}, True),
    ],
)
def test_only_an_answer_that_says_whose_a_project_is_frees_a_payment(
    world: World, facts: dict[str, Any], is_open: bool
) -> None:
    told_after_pay_again_at_a_closed_gate(world)
    made(world, **facts)
    world.sweep(seconds=1)

    job = world.only_job
    assert (job.hints != ()) is is_open
    assert (job.due == job.created_at) is not is_open, "it is paid for in its order"


def test_an_earlier_project_serves_while_the_newer_outcome_is_unknown(world: World) -> None:
    drop(world, LOST)
    name = made(world)

    def die() -> None:
        tell(world, name)
        raise Killed

    world.upscaler.before_answer = die
    with pytest.raises(Killed):
        world.decide("cat.png", Decision.PAY_AGAIN)
    world.sweep(minutes=17)
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert world.only_job.may_have_cost


@pytest.mark.parametrize("status", ["error", "canceled"])
def test_it_serves_if_the_one_being_paid_fails(world: World, status: str) -> None:
    drop(world, LOST)
    name = made(world)
    world.decide("cat.png", Decision.PAY_AGAIN)
    tell(world, name)
    world.sweep(minutes=3)
    world.upscaler.answer("project-1", status, credits_charged=50)
    world.run_executions()
    assert world.row("cat.png").state in {DropState.FAILED, DropState.CANCELED}

    world.sweep(minutes=3)
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert (world.only_job.project_id, world.only_job.orphans) == ("lost", ("project-1",))
    assert len(world.upscaler.creates) == 1


def test_it_serves_when_it_is_complete_although_that_comes_last(world: World) -> None:
    drop(world, LOST)
    name = made(world, status="rendering")
    world.decide("cat.png", Decision.PAY_AGAIN)
    tell(world, name, kind=EventKind.STARTED)
    world.sweep(minutes=3)
    world.upscaler.answer("project-1", "error", credits_charged=0)
    world.run_executions()
    world.pass_hours(30)
    assert world.only_job.due is None

    made(world)
    tell(world, name)
    world.sweep(minutes=1)
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED


def test_an_event_that_comes_between_the_look_at_a_job_and_its_claim_stops_the_claim(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(world, LOST)
    name = made(world)
    write = MemoryLedger.write

    def write_after_the_event(ledger: MemoryLedger, *changes: Change) -> None:
        if any(isinstance(change, RequireOpenGate) for change in changes):
            monkeypatch.setattr(MemoryLedger, "write", write)
            tell(world, name)
        write(ledger, *changes)

    monkeypatch.setattr(MemoryLedger, "write", write_after_the_event)
    world.decide("cat.png", Decision.PAY_AGAIN)
    assert world.upscaler.creates == []

    world.sweep(minutes=1)
    world.run_executions()
    assert world.row("cat.png").state is DropState.DELIVERED
    assert world.upscaler.creates == []


def test_a_live_attempt_is_not_disturbed(world: World) -> None:
    before: list[Job] = []

    def told() -> None:
        before.append(world.only_job)
        tell(world, made(world))
        assert world.only_job is before[0]

    drop(world, LOST, told)
    assert world.only_job.state is JobState.SUBMITTED


@pytest.mark.parametrize(
    ("name", "project_id"),
    [
        (None, "lost"),
        ("a cat", "lost"),
        (OTHERS, "lost"),
        ("cat.png [00000000-1]", "lost"),
        (f"cat.png [00000000-1-{'f' * 3000}]", "lost"),
        *(("own", bad) for bad in ("", ".", "a/b", "a b", "é", "a" * 129, "lost\n")),
    ],
)
def test_events_of_other_tools_and_strange_ids_change_nothing(
    world: World, name: str | None, project_id: str
) -> None:
    drop(world, LOST)
    told = world.only_job.project_name if name == "own" else name
    before = (world.only_job, dict(world.ledger.references))
    wake = mock.Mock()

    receive = ReceiveEvent(world.ledger, wake, world.clock)
    assert receive(ProjectEvent(EventKind.COMPLETED, project_id, told)) == 0

    assert (world.only_job, world.ledger.references) == before
    wake.assert_not_called()


@pytest.mark.parametrize(
    ("kind", "woken", "is_due"),
    [
        (EventKind.STARTED, 0, False),
        (EventKind.COMPLETED, 0, True),
        (EventKind.ERRORED, 0, True),
        (EventKind.COMPLETED, 2, False),
    ],
)
def test_who_waits_for_a_known_project_is_woken_or_else_the_sweep_looks(
    world: World, kind: EventKind, woken: int, is_due: bool
) -> None:
    world.drop("cat.png", png())
    job = world.only_job
    wake = mock.Mock(return_value=woken)

    receive = ReceiveEvent(world.ledger, wake, world.clock)
    assert receive(ProjectEvent(kind, "project-1", job.project_name)) == woken

    wake.assert_called_once_with(job.fingerprint, "project-1", kind)
    assert (world.only_job.due == world.clock()) is is_due
    attempt = world.ledger.attempt(job.attempt_id or "")
    assert attempt is not None
    assert attempt.noted == world.only_job.doubtful_attempts == ()


def test_a_project_is_noted_before_its_job_gets_the_hint(world: World) -> None:
    drop(world, LOST)
    hints: list[Any] = []

    def note(*_: str) -> None:
        hints.append(world.only_job.hints)

    with mock.patch.object(world.ledger, "note_project", note):
        tell(world, made(world))

    assert hints == [()]
    assert world.only_job.hints != ()


@pytest.mark.parametrize("state", sorted(JobState))
def test_only_a_job_that_a_look_can_change_is_made_due(world: World, state: JobState) -> None:
    world.drop("cat.png", png())
    job = world.only_job.model_copy(update={"state": state})
    world.ledger.jobs[job.fingerprint] = job
    world.clock.advance(minutes=1)

    tell(world, None, "project-1")

    assert (world.only_job.due == world.clock()) is (
        state in {JobState.SUBMITTED, *_WITHOUT_RESULT}
    )


def test_an_attempt_notes_a_few_projects_and_a_job_heeds_each_of_them(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    for number in range(MOST_NOTED - 1):
        tell(world, name, f"forged-{number}")
        world.upscaler.answer(f"forged-{number}", "complete", name=OTHERS, type="IMAGE_UPSCALER")
    tell(world, name)
    tell(world, name, "one-too-many")

    world.sweep(minutes=1)

    assert world.only_job.project_id == "lost"
    attempts = [one for one in world.ledger.references.values() if isinstance(one, Attempt)]
    assert [len(one.noted) for one in attempts] == [MOST_NOTED]


def test_two_projects_of_one_attempt_are_both_kept(world: World) -> None:
    drop(world, LOST)
    name = made(world)
    tell(world, name)
    tell(world, made(world, "another"), "another")

    world.sweep(minutes=1)
    assert world.only_job.due == world.clock() + REVIEW
    world.run_executions()

    assert (world.only_job.project_id, world.only_job.orphans) == ("lost", ("another",))
    (warning,) = world.manifest("cat.png")["warnings"]
    assert "another" in warning["message"]


def test_an_event_comes_again_if_its_job_is_always_changed_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(world, LOST)
    name = made(world)

    def lose(*_: Change) -> None:
        raise LedgerConflict

    with monkeypatch.context() as racing:
        racing.setattr(world.ledger, "write", lose)
        with pytest.raises(LedgerConflict):
            tell(world, name)
    assert world.only_job.hints == ()
    with mock.patch.object(world.ledger, "write", side_effect=[LedgerConflict, None]) as write:
        tell(world, name)
    assert write.call_count == 2

    tell(world, name)
    assert len(world.only_job.hints) == 1
    assert world.only_job.hinted_at == world.clock()
    world.clock.advance(hours=1)
    tell(world, name)
    assert world.only_job.hinted_at == world.clock()
