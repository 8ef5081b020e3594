"""Never pay twice: what becomes of a job when the paid create goes wrong."""

from contextlib import suppress
from typing import Any

import pytest

from dropscale.ledger.budget import Budget
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import Change, SaveJob, job_changes
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject
from dropscale.pipeline.parts.follow import is_followed
from dropscale.pipeline.parts.start import StartOutcome
from dropscale.pipeline.resolve import Decision
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.rows import a_drop, at, rendition
from tests.world import PLENTY, World

CREATE = "POST /v1/ai-image-upscaler"
UPLOAD = "POST /v1/files/upload-urls"


def the_job(world: World) -> Job:
    (job,) = world.ledger.jobs.values()
    return job


def test_an_unknown_outcome_is_never_repeated(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE, cause_name="ConnectionLost")
    world.drop("cat.png", png())
    for _ in range(3):
        world.submit("cat.png")
        world.sweep(minutes=20)

    assert world.upscaler.creates == []
    assert the_job(world).state is JobState.UNKNOWN
    manifest = world.manifest("cat.png")
    assert manifest["state"] == "unknown"
    assert world.observed.count(DropState.UNKNOWN) == 1
    assert the_job(world).project_name in manifest["reason"]["fix"]
    assert world.ledger.taken == 0


def test_a_crash_between_claim_and_answer_becomes_unknown_after_the_lease(world: World) -> None:
    world.upscaler.fail_create = RuntimeError("killed")
    with pytest.raises(RuntimeError):
        world.drop("cat.png", png())
    world.submit("cat.png")
    world.sweep()
    assert the_job(world).state is JobState.SUBMITTING

    assert world.sweep(minutes=17)["expired"] == 1

    assert the_job(world).state is JobState.UNKNOWN
    assert world.upscaler.creates == []
    assert world.manifest("cat.png")["state"] == "unknown"
    assert world.ledger.taken == 0


def test_nobody_ends_an_attempt_while_its_function_can_still_live(world: World) -> None:
    create = world.upscaler.create

    def slow_create(*arguments):  # type: ignore[no-untyped-def]
        answer = create(*arguments)
        world.clock.advance(minutes=15)  # Lambda's longest time-out
        world.sweep()
        assert the_job(world).state is JobState.SUBMITTING
        return answer

    world.upscaler.create = slow_create  # type: ignore[method-assign]
    world.drop("cat.png", png())

    assert the_job(world).project_id == "project-1"


def test_a_list_of_what_is_due_that_lags_ends_no_attempt_that_is_being_paid(world: World) -> None:
    create, list_due = world.upscaler.create, world.ledger.list_due

    def slow_create(*arguments):  # type: ignore[no-untyped-def]
        fingerprint = the_job(world).fingerprint
        world.ledger.list_due = lambda *_: [fingerprint]  # type: ignore[method-assign]
        with suppress(ExceptionGroup):
            assert not world.sweep().get("expired")
        world.ledger.list_due = list_due  # type: ignore[method-assign]
        assert the_job(world).state is JobState.SUBMITTING
        return create(*arguments)

    world.upscaler.create = slow_create  # type: ignore[method-assign]
    world.drop("cat.png", png())

    assert the_job(world).project_id == "project-1"


@pytest.mark.parametrize("answer", [errors.Throttled(CREATE, status=429), None])
def test_the_late_answer_of_an_attempt_is_not_taken_for_the_next_ones(
    world: World, answer: errors.MagicHourError | None
) -> None:
    def create_after_the_next_claim(*_):  # type: ignore[no-untyped-def]
        ledger, lost = world.ledger, the_job(world).record_unknown(world.clock())
        ledger.write(SaveJob(lost))
        ledger.write(SaveJob(ready := lost.pay_again(world.clock())))
        ledger.write(SaveJob(ready.claim("next", world.clock(), [])))
        if answer is not None:
            raise answer
        return CreatedProject(id="project-1", credits_charged=50)

    world.upscaler.create = create_after_the_next_claim  # type: ignore[method-assign]
    world.drop("cat.png", png())

    job = the_job(world)
    assert (job.state, job.attempt_id, job.project_id) == (JobState.SUBMITTING, "next", None)
    assert job.orphans == (() if answer else ("project-1",))


def test_an_id_that_is_written_down_though_the_answer_is_lost_is_written_once(
    world: World,
) -> None:
    write, lost = world.ledger.write, list[str]()

    def write_and_lose_the_answer(*changes: Change) -> None:
        write(*changes)
        if len(world.upscaler.creates) == 1 and not lost:
            lost.append("answer")
            raise OSError

    world.ledger.write = write_and_lose_the_answer  # type: ignore[method-assign]
    world.drop("cat.png", png())

    assert lost
    assert (the_job(world).project_id, the_job(world).orphans) == ("project-1", ())


def test_an_id_that_is_another_jobs_leaves_the_outcome_unknown(world: World) -> None:
    world.drop("a.png", png(shade=1))
    create, repeats = world.upscaler.create, CreatedProject(id="project-1", credits_charged=50)
    world.upscaler.create = lambda *_: repeats  # type: ignore[method-assign]
    world.drop("b.png", png(shade=2))
    world.upscaler.create = create  # type: ignore[method-assign]
    for _ in range(3):
        world.clock.advance(minutes=20)
        world.sweep()

    assert world.manifest("b.png")["state"] == "unknown"
    assert len(world.upscaler.creates) == 1


def test_a_late_answer_of_the_same_attempt_still_counts(world: World) -> None:
    create = world.upscaler.create

    def slow_create(*arguments):  # type: ignore[no-untyped-def]
        answer = create(*arguments)
        world.sweep(minutes=17)
        assert the_job(world).state is JobState.UNKNOWN
        return answer

    world.upscaler.create = slow_create  # type: ignore[method-assign]
    world.drop("cat.png", png())

    assert the_job(world).project_id == "project-1"
    assert world.row("cat.png").state is DropState.SUBMITTED
    assert world.ledger.taken == 1


@pytest.mark.parametrize(
    "error", [errors.Unavailable(CREATE, status=503), errors.Unreachable(CREATE)]
)
def test_what_surely_created_nothing_is_tried_again_later(
    world: World, error: errors.MagicHourError
) -> None:
    world.upscaler.fail_create = error
    world.drop("cat.png", png())
    assert the_job(world).state is JobState.READY
    assert world.manifest("cat.png")["state"] == "waiting"

    world.clock.advance(seconds=29)
    world.sweep()
    assert world.upscaler.creates == []
    world.clock.advance(seconds=2)
    world.sweep()

    assert world.row("cat.png").state is DropState.SUBMITTED
    assert world.bucket.reads == {"cat.png": 1}


@pytest.mark.parametrize(
    ("error", "waiting_for"),
    [
        (errors.Unauthorized(CREATE, status=401), "account"),
        (errors.OutOfCredits(CREATE, status=402), "account"),
        (errors.Throttled(CREATE, status=429), "throttled"),
        (errors.Throttled(CREATE, status=429, retry_after=600.0), "throttled"),
    ],
)
def test_a_closed_gate_holds_everyone_and_one_job_opens_it(
    world: World, error: errors.MagicHourError, waiting_for: str
) -> None:
    world.upscaler.fail_create = error
    world.upscaler.fail_account = errors.Unauthorized("GET", status=401)  # nobody asks for it
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))
    assert world.upscaler.creates == []
    assert world.manifest("b.png")["waiting_for"] == waiting_for
    world.sweep(seconds=20)
    assert world.upscaler.creates == []

    world.upscaler.fail_create = error
    world.sweep(minutes=15)
    assert world.upscaler.creates == []
    world.sweep(minutes=60)

    assert len(world.upscaler.creates) == 2
    assert world.bucket.reads == {"a.png": 1, "b.png": 1}
    assert world.ledger.taken == 2


def test_each_refusal_in_a_row_closes_the_gate_for_longer_up_to_a_quarter_of_an_hour(
    world: World,
) -> None:
    refused = errors.Throttled(CREATE, status=429)
    begin = world.clock()
    untils = [world.gate.close(WaitReason.THROTTLED, refused).until for _ in range(7)]

    pauses = [(until - begin).total_seconds() for until in untils if until]
    assert pauses == [30, 60, 120, 240, 480, 900, 900]


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest(CREATE, status=422, message="scale_factor is wrong"),
        errors.PlanRefused(CREATE, status=403, message="scale_factor is wrong"),
        errors.NotFound(CREATE, status=404, message="scale_factor is wrong"),
    ],
)
def test_a_refusal_for_good_rejects_the_drop_with_the_vendors_words(
    world: World, error: errors.MagicHourError
) -> None:
    world.upscaler.fail_create = error
    world.drop("cat.png", png())
    world.sweep(minutes=5)
    world.sweep()

    manifest = world.manifest("cat.png")
    assert manifest["state"] == "rejected"
    assert "scale_factor is wrong" in manifest["reason"]["message"]
    assert world.upscaler.creates == []
    assert the_job(world).due is None
    assert world.ledger.taken == 0


def test_a_drop_on_a_refused_job_tries_again(world: World) -> None:
    world.upscaler.fail_create = errors.PlanRefused(CREATE, status=403)
    world.drop("a.png", png())
    world.drop("b.png", png())

    assert world.row("a.png").state is DropState.REJECTED
    assert world.row("b.png").state is DropState.SUBMITTED


@pytest.mark.parametrize(("asked", "waited"), [(1e9, 3600), (600.0, 600)])
def test_what_an_answer_asks_for_is_waited_out_but_not_for_years(
    world: World, asked: float, waited: int
) -> None:
    world.upscaler.fail_create = errors.Unavailable(CREATE, status=503, retry_after=asked)
    world.drop("cat.png", png())
    world.sweep(seconds=waited - 1)
    assert world.upscaler.creates == []
    world.sweep(seconds=2)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_an_upload_that_is_refused_for_good_rejects_the_drop(world: World) -> None:
    world.upscaler.fail_upload = errors.InvalidRequest(UPLOAD, status=422, message="too odd")
    world.drop("cat.png", png())

    assert world.row("cat.png").state is DropState.REJECTED
    assert "too odd" in world.manifest("cat.png")["reason"]["message"]


def test_bytes_that_are_there_are_not_sent_again(world: World) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    world.drop("b.png", png())

    assert len(world.upscaler.uploads) == 1


def test_a_job_of_before_is_never_sent_the_bytes_that_came_after(world: World) -> None:
    old, new = png(), png(shade=9)
    world.drop("a.png", old)
    world.drop("b.png", old)
    world.drop("a.png", new)
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.pass_hours(1)
    world.clock.advance(days=8)
    write = world.ledger.write

    def write_and_retry(*changes: Change) -> None:
        world.ledger.write = write  # type: ignore[method-assign]
        write(*changes)
        assert world.retry("b.png")

    world.ledger.write = write_and_retry  # type: ignore[method-assign]
    world.drop("a.png", new)
    world.submit("b.png")

    sent = [world.upscaler.uploads[int(path[11]) - 1] for path, *_ in world.upscaler.creates]
    assert sent == [old, new, new, old]


@pytest.mark.parametrize("error", [None, errors.InvalidRequest(CREATE, status=422)])
def test_who_was_let_in_before_the_gate_was_closed_does_not_open_it(
    world: World, error: errors.MagicHourError | None
) -> None:
    create = world.upscaler.create

    def create_meanwhile(*arguments: Any) -> CreatedProject:
        world.gate.close(WaitReason.THROTTLED, errors.Throttled(CREATE, status=429))
        world.upscaler.fail_create = error
        return create(*arguments)

    world.upscaler.create = create_meanwhile  # type: ignore[method-assign, assignment]
    world.drop("cat.png", png())

    gate = world.ledger.gate()
    assert gate is not None
    assert not gate.is_open


@pytest.mark.parametrize(
    ("closings", "is_opened", "probed", "opens", "writes"),
    [
        (0, False, None, True, 0),
        (1, False, None, True, 1),
        (1, True, None, True, 0),
        (1, False, 0, True, 1),
        (2, False, 1, False, 0),
    ],
)
def test_the_gate_is_opened_by_who_knows_best(
    world: World, closings: int, is_opened: bool, probed: int | None, opens: bool, writes: int
) -> None:
    gates = []
    for _ in range(closings):
        world.gate.close(WaitReason.THROTTLED, errors.Throttled(CREATE, status=429))
        gates.append(world.ledger.gate())
    if is_opened:
        world.gate.open()
        assert world.gate.due_probe(place_is_free=True) is None
    before = world.ledger.gate()

    world.gate.open(gates[-1 - probed] if probed is not None else None)

    after = world.ledger.gate()
    assert (after is None or (after.is_open and not after.strikes)) is opens
    assert (after.seq - before.seq if after and before else 0) == writes


@pytest.mark.parametrize(
    ("first", "is_opened", "closed_as"),
    [
        (WaitReason.UNREADABLE, False, WaitReason.UNREADABLE),
        (WaitReason.UNREADABLE, True, WaitReason.THROTTLED),
        (WaitReason.ACCOUNT, False, WaitReason.THROTTLED),
    ],
)
def test_only_what_nobody_can_read_outlasts_another_refusal(
    world: World, first: WaitReason, is_opened: bool, closed_as: WaitReason
) -> None:
    refused = errors.Throttled(CREATE, status=429)
    world.gate.close(first, refused)
    if is_opened:
        world.gate.open()

    assert world.gate.close(WaitReason.THROTTLED, refused).reason in {first, closed_as}
    gate = world.ledger.gate()
    assert gate is not None
    assert gate.reason is closed_as


def test_who_waits_for_a_place_is_told_so_whatever_the_gate_was_closed_for(world: World) -> None:
    world.gate.close(WaitReason.ACCOUNT, errors.OutOfCredits(CREATE, status=402))
    world.gate.open()
    world.set_slots(0)
    world.drop("cat.png", png())

    assert world.manifest("cat.png")["waiting_for"] == "slot"


@pytest.mark.parametrize(("slots", "started"), [(1, 1), (2, 2), (3, 2)])
def test_the_next_job_is_started_and_one_more_if_it_has_a_place(
    world: World, slots: int, started: int
) -> None:
    world.set_slots(0)
    for shade in range(4):
        world.drop(f"{shade}.png", png(shade=shade))
    oldest = min(world.ledger.jobs.values(), key=lambda job: (job.due, job.fingerprint))
    world.ledger.attachments[oldest.fingerprint].clear()  # nobody wants it
    world.set_slots(slots)
    world.clock.advance(seconds=1)

    assert world.start.start_next(lambda: 900.0) == started
    assert len(world.upscaler.creates) == started


@pytest.mark.parametrize(
    ("error", "states"),
    [
        (errors.InvalidRequest, {DropState.REJECTED, DropState.FAILED}),
        (errors.Throttled, {DropState.WAITING, DropState.SUBMITTED}),
    ],
)
def test_a_copy_that_was_not_told_of_the_end_before_hears_only_of_a_refusal_for_good(
    world: World, error: type[errors.MagicHourError], states: set[DropState]
) -> None:
    world.drop("a.png", png())
    world.drop("b.png", png())
    first, _ = world.running()
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.fail(world.check(first))
    world.upscaler.fail_create = error(CREATE, message="too odd")
    world.retry("a.png")
    world.upscaler.fail_create = error(CREATE, message="too odd")
    world.sweep(minutes=2)

    assert {world.row(key).state for key in ("a.png", "b.png")} == states
    if error is errors.InvalidRequest:
        assert "too odd" in str(world.manifest("a.png")["reason"])
        assert "too odd" in str(world.manifest("b.png")["reason"])


def test_a_copy_of_what_was_given_up_is_told_of_which_attempt(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("a.png", png())
    world.decide("a.png", Decision.ABANDON)
    world.drop("b.png", png())

    (job,) = world.manifest("b.png")["jobs"]
    assert (job["state"], job["attempt"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("state", "attempt", "project", "job", "follows"),
    [
        (DropState.WAITING, 0, None, JobState.READY, True),
        (DropState.FAILED, 2, None, JobState.SUBMITTED, True),
        (DropState.FAILED, 2, None, JobState.ABANDONED, False),
        (DropState.FAILED, 2, None, JobState.READY, False),
        (DropState.FAILED, 2, "p", JobState.SUBMITTED, False),
        (DropState.FAILED, 2, "q", JobState.READY, False),
        (DropState.FAILED, 2, "q", JobState.SUBMITTED, True),
        (DropState.FAILED, 1, "q", JobState.SUBMITTED, False),
        (DropState.CANCELED, 2, "q", JobState.SUBMITTED, True),
        (DropState.REJECTED, 2, None, JobState.SUBMITTED, True),
        (DropState.REJECTED, 1, None, JobState.SUBMITTED, False),
        (DropState.DELIVERED, 2, "q", JobState.COMPLETE, False),
    ],
)
def test_only_who_ended_without_the_project_that_its_attempt_has_now_comes_back(
    state: DropState, attempt: int, project: str | None, job: JobState, follows: bool
) -> None:
    drop = a_drop(rendition("r", state, attempt=attempt, project_id=project))
    there = at(job, project_id=None if job is JobState.READY else "p")

    assert is_followed(drop, there) is follows


def test_a_refusal_that_is_told_late_ends_nobody_whose_job_is_tried_once_more(world: World) -> None:
    world.upscaler.fail_create = errors.InvalidRequest(CREATE, status=422)
    end_attempt = world.ledger.write
    is_claimed = False

    def write_and_claim(*changes: Change) -> None:
        nonlocal is_claimed
        end_attempt(*changes)
        jobs = [change.job for change in changes if isinstance(change, SaveJob)]
        if not is_claimed and jobs and jobs[0].state is JobState.READY and jobs[0].attempt == 1:
            is_claimed = True
            end_attempt(*job_changes(jobs[0], jobs[0].claim("other", world.clock(), [])))

    world.ledger.write = write_and_claim  # type: ignore[method-assign]
    world.drop("cat.png", png())

    assert the_job(world).state is JobState.SUBMITTING
    assert world.row("cat.png").state is DropState.WAITING


def test_news_of_an_earlier_attempt_does_not_touch_who_was_told_of_a_later_one(
    world: World,
) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("cat.png", png())
    before = the_job(world)
    world.decide("cat.png", Decision.PAY_AGAIN)
    told = world.row("cat.png")
    assert told.state is DropState.SUBMITTED

    world.ledger.job = lambda _: before  # type: ignore[method-assign, assignment]
    world.follow.update_drop(told.id, before)

    assert world.row("cat.png") == told


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.READY}))
def test_a_start_leaves_a_job_that_is_not_ready_as_it_is(world: World, state: JobState) -> None:
    world.drop("cat.png", png())
    job = world.only_job.model_copy(update={"state": state})
    world.ledger.jobs[job.fingerprint] = job
    world.ledger.attachments.clear()  # Nobody wants it.

    assert world.start(job.fingerprint, lambda: PLENTY) is StartOutcome.LEFT
    assert world.only_job is job


def test_nothing_is_paid_with_too_little_time_left(world: World) -> None:
    world.put("cat.png", png())
    world.submit("cat.png", remaining=55.0)
    assert world.upscaler.creates == []
    assert (the_job(world).state, the_job(world).attempt) == (JobState.READY, 0)
    assert world.start("nobody's", lambda: 900.0) is StartOutcome.LEFT

    world.sweep(seconds=1)

    assert len(world.upscaler.creates) == 1


@pytest.mark.parametrize(
    ("error", "waiting_for"), [(errors.Unauthorized, "account"), (errors.Throttled, "throttled")]
)
def test_an_upload_that_the_account_forbids_waits_and_is_read_again(
    world: World, error: type[errors.MagicHourError], waiting_for: str
) -> None:
    world.upscaler.fail_upload = error(UPLOAD)
    world.drop("cat.png", png())
    assert world.manifest("cat.png")["waiting_for"] == waiting_for
    gate = world.ledger.gate()
    assert gate is not None
    assert not gate.is_open

    world.sweep(minutes=10)
    assert world.queue.keys == ["cat.png"]
    world.submit("cat.png")
    world.sweep(minutes=10)

    assert world.row("cat.png").state is DropState.SUBMITTED
    assert len(world.upscaler.creates) == 1


def test_an_upload_that_fails_for_now_waits_and_is_read_again(world: World) -> None:
    world.upscaler.fail_upload = errors.TransferFailed("PUT storage", status=500)
    world.drop("cat.png", png())
    assert world.manifest("cat.png")["waiting_for"] == "throttled"
    assert world.start(world.only_job.fingerprint, lambda: 900.0) is StartOutcome.LEFT
    world.sweep(seconds=61)
    world.submit(world.queue.keys.pop())

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_bytes_that_the_vendor_has_forgotten_are_uploaded_again(world: World) -> None:
    world.set_slots(0)
    world.drop("cat.png", png())
    world.set_slots(1)
    world.sweep(days=7)
    world.submit(world.queue.keys.pop())

    assert [path for path, _, _ in world.upscaler.creates] == ["api-assets/2.png"]


def test_a_price_above_the_specs_limit_is_refused(world: World) -> None:
    world.put("cat.png.yaml", "scale_factor: 4\nmax_credits: 100")
    world.drop("cat.png", png())

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("rejected", "PriceAboveLimit")
    assert world.upscaler.uploads == []


def test_who_is_refused_while_others_run_waits_for_a_place_and_nobody_for_half_a_minute(
    world: World,
) -> None:
    throttle_second_of_three(world, errors.Throttled(CREATE, status=429))
    assert world.manifest("b.png")["waiting_for"] == "throttled"
    assert world.manifest("c.png")["waiting_for"] == "slot"
    world.sweep()
    assert len(world.upscaler.creates) == 1, "no place has become free"

    world.deliver(world.check(world.running()[0]))

    assert len(world.upscaler.creates) == 3, "one goes well, so there is a place for another"


def test_a_place_more_is_tried_after_a_while_though_no_job_ends(world: World) -> None:
    throttle_second_of_three(world, errors.Throttled(CREATE, status=429))
    world.sweep(seconds=20)

    assert len(world.upscaler.creates) == 3


def test_a_probe_that_is_refused_while_others_run_opens_the_gate_for_as_many(world: World) -> None:
    throttle_second_of_three(world, errors.Throttled(CREATE, status=429, retry_after=30.0))
    for shade in (4, 5):
        world.upscaler.fail_create = errors.Throttled(CREATE, status=429)
        world.sweep(seconds=31)
        gate = world.ledger.gate()
        assert gate is not None
        assert (gate.is_open, gate.places) == (True, 1)
        world.drop(f"{shade}.png", png(shade=shade))
    assert len(world.upscaler.creates) == 1


def test_while_one_job_tries_nobody_else_does(world: World) -> None:
    world.upscaler.fail_create = errors.Throttled(CREATE, status=429)
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))
    creates = []

    def look_on() -> None:
        world.sweep(seconds=5)
        creates.append(len(world.upscaler.creates))

    world.upscaler.before_answer = look_on
    world.sweep(minutes=1)

    assert creates == [1]
    assert len(world.upscaler.creates) == 2


@pytest.mark.parametrize("closed_for", [WaitReason.ACCOUNT, WaitReason.UNREADABLE])
def test_a_refusal_that_comes_late_opens_no_gate(world: World, closed_for: WaitReason) -> None:
    world.drop("a.png", png(shade=1))
    world.gate.close(closed_for, errors.Unauthorized(CREATE, status=401))

    gate = world.ledger.gate()
    assert gate is not None

    for probe in (None, gate):
        world.gate.hold_back(errors.Throttled(CREATE, status=429), probe)
        now = world.ledger.gate()
        assert now is not None
        assert not now.is_open


def test_a_job_that_was_refused_when_none_ran_is_tried_again_after_the_delivery(
    world: World,
) -> None:
    throttle_second_of_three(world, errors.Throttled(CREATE, status=429))
    world.upscaler.fail_create = errors.Throttled(CREATE, status=429)

    world.deliver(world.check(world.running()[0]))

    assert len(world.upscaler.creates) == 2
    gate = world.ledger.gate()
    assert gate is not None
    assert (gate.is_open, gate.strikes) == (True, 0)


@pytest.mark.parametrize(
    "silent",
    [errors.CreateOutcomeUnknown(CREATE), errors.Unreachable(CREATE)],
)
def test_a_probe_that_brings_no_answer_holds_others_up_no_longer_than_its_pause(
    world: World, silent: errors.MagicHourError
) -> None:
    world.upscaler.fail_create = errors.Throttled(CREATE, status=429)
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))
    world.upscaler.fail_create = silent
    world.sweep(seconds=31)
    assert world.upscaler.creates == []

    world.sweep(seconds=31)

    assert world.upscaler.creates


def test_a_time_that_the_vendor_asks_for_is_waited_out(world: World) -> None:
    throttle_second_of_three(world, errors.Throttled(CREATE, status=429, retry_after=600.0))

    world.deliver(world.check(world.running()[0]))

    assert len(world.upscaler.creates) == 1


def throttle_second_of_three(world: World, error: errors.Throttled) -> None:
    world.drop("a.png", png(shade=1))
    world.upscaler.fail_create = error
    world.drop("b.png", png(shade=2))
    world.drop("c.png", png(shade=3))
    world.upscaler.finish()
    world.clock.advance(seconds=20)


PAGE = errors.CreateAnswerUnreadable(CREATE, cause_name="ServerFault")
PAGE.status = 403


def test_after_a_refusal_that_is_not_the_vendors_no_create_is_sent_until_the_account_answers(
    world: World,
) -> None:
    world.upscaler.fail_create = PAGE
    world.upscaler.fail_account = errors.ServerFault("GET /v1/account", status=403)
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))
    for _ in range(60):
        world.sweep(minutes=1)

    assert world.manifest("a.png")["state"] == "unknown"
    manifest = world.manifest("b.png")
    assert (manifest["state"], manifest["waiting_for"]) == ("waiting", "unreadable")
    assert manifest["reason"]["fix"]
    assert world.upscaler.creates == []

    world.upscaler.fail_account = None
    world.sweep(minutes=20)

    assert world.row("b.png").state is DropState.SUBMITTED
    assert len(world.upscaler.creates) == 1


def test_a_gate_that_nobody_waits_at_opens_once_the_account_answers(world: World) -> None:
    world.upscaler.fail_create = PAGE
    world.drop("a.png", png(shade=1))
    world.sweep(minutes=3)

    world.drop("b.png", png(shade=2))

    assert world.row("b.png").state is DropState.SUBMITTED


def test_an_account_that_is_refused_by_the_vendor_itself_is_said_to_be(world: World) -> None:
    world.upscaler.fail_create = PAGE
    world.upscaler.fail_account = errors.Unauthorized("GET /v1/account", message="Unauthorized")
    world.drop("a.png", png(shade=1))
    world.sweep(minutes=3)

    world.drop("b.png", png(shade=2))

    assert world.manifest("b.png")["waiting_for"] == "account"


@pytest.mark.parametrize("call", ["upload", "create"])
def test_who_waits_for_the_account_is_told_the_vendors_words(world: World, call: str) -> None:
    broke = errors.OutOfCredits(
        CREATE, status=402, code="insufficient_credits", message="You need 50 credits, you have 7"
    )
    setattr(world.upscaler, f"fail_{call}", broke)
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))

    for key in ("a.png", "b.png"):
        reason = world.manifest(key)["reason"]
        assert reason["code"] == "insufficient_credits"
        assert "You need 50 credits, you have 7" in reason["message"]
    world.upscaler.fail_create = None
    world.sweep(hours=2)
    assert world.manifest("b.png")["reason"] is None


def test_one_image_that_the_plan_does_not_allow_holds_up_no_other(world: World) -> None:
    world.put("big.png.yaml", "scale_factor: 4")
    world.upscaler.fail_create = errors.PlanRefused(
        CREATE, status=402, code="plan_upgrade_required", message="4x needs a paid plan"
    )
    world.drop("big.png", png(shade=1))
    world.drop("small.png", png(shade=2))

    assert "4x needs a paid plan" in world.manifest("big.png")["reason"]["message"]
    assert world.row("big.png").state is DropState.REJECTED
    assert world.row("small.png").state is DropState.SUBMITTED
    assert world.ledger.taken == 1


def test_what_was_never_sent_waits_for_the_setting_to_be_corrected(world: World) -> None:
    world.upscaler.fail_create = errors.Misconfigured(
        CREATE, message="REQUESTS_CA_BUNDLE names no file"
    )
    world.drop("a.png", png())

    assert the_job(world).state is JobState.READY
    assert "REQUESTS_CA_BUNDLE" in world.manifest("a.png")["reason"]["message"]


@pytest.mark.parametrize("told", [-(10**6), 10**9, None])
def test_a_price_that_cannot_be_one_counts_as_the_list_price(
    world: World, told: int | None
) -> None:
    world.budget = Budget(daily=50)
    world.compose()
    create = world.upscaler.create

    def misprice(*arguments):  # type: ignore[no-untyped-def]
        return create(*arguments).model_copy(update={"credits_charged": told})

    world.upscaler.create = misprice  # type: ignore[method-assign]
    for shade in range(3):
        world.drop(f"{shade}.png", png(shade=shade))

    assert len(world.upscaler.creates) == 1
    assert set(world.ledger.credits.values()) == {50}
