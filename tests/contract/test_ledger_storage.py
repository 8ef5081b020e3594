"""The ledger's storage keeps one contract, in memory for tests and on DynamoDB."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dropscale.aws.ledger import DynamoLedger, records_in
from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.account import KnownAccount
from dropscale.ledger.batches import Batch, BatchLine
from dropscale.ledger.drops import Drop, NameClaim, Output, Rendition, Source
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Attempt, Job, KnownProject, Parameters
from dropscale.ledger.owner import Owner
from dropscale.ledger.rows import SCHEMA, NewerSchema, Record
from dropscale.ledger.states import ASKED_AGAIN, DropState, JobState, WaitReason
from dropscale.ledger.store import (
    END_OF_TIME,
    MOST_NOTED,
    Agenda,
    Attach,
    BudgetSpent,
    Change,
    ClaimName,
    Detach,
    FreeSlot,
    GateClosed,
    LeaveBatch,
    Ledger,
    LedgerConflict,
    Limits,
    Names,
    NameTaken,
    NotOwner,
    ProjectTaken,
    ReleaseName,
    RequireOpenGate,
    RequireOwner,
    SaveBatch,
    SaveDrop,
    SaveHints,
    SaveJob,
    SaveReference,
    SaveSingleton,
    SlotsTaken,
    Spend,
    TakeSlot,
    amend_drop,
    amend_job,
    job_changes,
)
from dropscale.ledger.waiters import Waiter
from dropscale.ledger.walk import Walk
from dropscale.specs.effective import EffectiveSpec, OutputFormat, OutputSettings, SizeLimits
from dropscale.upscaler import Mode
from tests.fakes import MemoryLedger
from tests.mocked_aws import mocked_aws
from tests.template import read_template

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


ENDPOINT = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB")
"""Where DynamoDB is, for a run on another engine than moto: tests/gate/second_engine.py."""


@cache  # to make a client, or to read the template, takes longer than most tests
def client() -> Any:
    return boto3.client(
        "dynamodb",
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@cache
def table() -> dict[str, Any]:
    properties = read_template()["Resources"]["Ledger"]["Properties"]
    created = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
    return {name: properties[name] for name in created}


@pytest.fixture
def dynamo() -> Iterator[DynamoLedger]:
    with mocked_aws() if ENDPOINT is None else nullcontext():
        client().create_table(TableName="ledger", **table())
        yield DynamoLedger(client(), "ledger", sleep=lambda _: None)
        client().delete_table(TableName="ledger")


@pytest.fixture(params=["memory", "dynamo"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    storage: DynamoLedger = request.getfixturevalue("dynamo")
    return storage


def a_job(fingerprint: str = "f" * 64, age: int = 0) -> Job:
    parameters = Parameters(scale_factor=4, mode=Mode.CREATIVE, prompt="fur", revision="2")
    at = NOW - timedelta(seconds=age)
    return Job(fingerprint=fingerprint, parameters=parameters, label="é cat", created_at=at, due=at)


def a_drop() -> Drop:
    source = Source(bucket="in", key="é t/cat.png", etag="e", sha256="5", width=8, height=6)
    spec = EffectiveSpec(
        scale_factor=4,
        mode=Mode.CREATIVE,
        revision="x",
        output=OutputSettings(format=OutputFormat.JPEG, quality=90),
        provenance={"mode": "cat.png.yaml"},
        skip_if=SizeLimits(min_megapixels=0.1),
    )
    job = a_job()
    rendition = Rendition(fingerprint=job.fingerprint, parameters=job.parameters)
    blank = Drop(id=Drop.id_of("in", source.key), source=source)
    return blank.evaluate(
        {job.fingerprint: rendition},
        NOW,
        spec=spec,
        warnings=(CodedWarning(WarningCode.SPEC, "careful"),),
    )


def rounded(record: Record | None) -> object:
    assert record is not None
    return record.model_dump(mode="json")


def test_records_come_back_as_they_were_written(ledger: Ledger) -> None:
    drop, job = a_drop(), a_job()
    ledger.write(SaveDrop(drop), SaveJob(job), Attach(job.fingerprint, drop.id))

    assert rounded(ledger.drop(drop.id)) == rounded(drop)
    assert rounded(ledger.job(job.fingerprint)) == rounded(job)
    assert ledger.list_attached(job.fingerprint) == [drop.id]
    read = ledger.job(job.fingerprint)
    assert read is not None
    assert read.parameters.fingerprint("x") == job.parameters.fingerprint("x")


@pytest.mark.parametrize("delta_e", [0.1, 2.0, 1e-7, 17.123456789012345])
def test_numbers_come_back_as_they_were_written(ledger: Ledger, delta_e: float) -> None:
    drop, job = a_drop(), a_job().model_copy(update={"reserved": {"2026-11": 10**20}})
    output = Output(
        key="k", type="png", width=1, height=1, bytes=2**53 + 1, sha256="5", delta_e=delta_e
    )
    (rendition,) = drop.renditions.values()
    done = rendition.move(DropState.SUBMITTED).move(DropState.DELIVERED, output=output)
    drop = drop.with_rendition(done, NOW).model_copy(update={"seq": 1})
    ledger.write(SaveDrop(drop), SaveJob(job))

    assert rounded(ledger.drop(drop.id)) == rounded(drop)
    assert rounded(ledger.job(job.fingerprint)) == rounded(job)


@pytest.mark.parametrize("value", [{"SS": ["a"]}, {"B": b"a"}], ids=str)
def test_a_row_with_what_the_ledger_never_writes_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="the ledger keeps no"):
        list(records_in([{"sk": {"S": "job"}, "orphans": value}]))


def test_a_finished_record_is_read_back_as_finished(ledger: Ledger) -> None:
    waiting = a_drop()
    (rendition,) = waiting.renditions.values()
    waits = rendition.move(DropState.WAITING, wait=WaitReason.BUDGET, wait_until=NOW)
    until_then = waiting.with_rendition(waits, NOW).model_copy(update={"seq": 1})
    done = waits.move(DropState.SUBMITTED).move(DropState.DELIVERED)
    delivered = until_then.with_rendition(done, NOW)
    for drop in (until_then, delivered):
        ledger.write(SaveDrop(drop))

        assert rounded(ledger.drop(drop.id)) == rounded(drop)


def test_many_drops_are_found_at_once(ledger: Ledger) -> None:
    drops = [a_drop().model_copy(update={"id": f"drop-{number}"}) for number in range(120)]
    for some in (drops[:60], drops[60:]):
        ledger.write(*map(SaveDrop, some))

    found = ledger.known_drops([*(drop.id for drop in drops), "unknown"])

    assert {name: rounded(drop) for name, drop in found.items()} == {
        drop.id: rounded(drop) for drop in drops
    }


def test_the_walk_takes_one_step_at_a_time(ledger: Ledger) -> None:
    assert ledger.walk() is None
    first = Walk.first(NOW)
    ledger.write(SaveSingleton(first))
    begun = first.begin_pass(NOW + timedelta(hours=1))
    ledger.write(SaveSingleton(begun))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveSingleton(first.begin_pass(NOW)))
    ledger.write(SaveSingleton(begun.move_to("a/é.png")))

    read = ledger.walk()
    assert read is not None
    assert read.model_dump(mode="json") == begun.move_to("a/é.png").model_dump(mode="json")


def test_of_what_is_heard_of_the_account_the_first_counts(ledger: Ledger) -> None:
    first = KnownAccount(asked_at=NOW, seq=0).hear("pro", 10**99, NOW)
    ledger.write(SaveSingleton(first))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveSingleton(first))

    read = ledger.account()
    assert read is not None
    assert (read.tier, read.places, read.credits) == ("pro", 5, 10**12)


def test_slots_that_are_taken_are_counted(ledger: Ledger) -> None:
    assert ledger.slots_taken() == 0
    ledger.write(TakeSlot(None))

    assert ledger.slots_taken() == 1


def test_an_unknown_record_is_none(ledger: Ledger) -> None:
    assert (ledger.drop("x"), ledger.job("x"), ledger.gate()) == (None, None, None)
    assert ledger.account() is None
    assert ledger.list_attached("x") == []


def test_a_step_that_somebody_else_took_is_a_conflict_and_changes_nothing(ledger: Ledger) -> None:
    job = a_job()
    ledger.write(SaveJob(job))
    ledger.write(SaveJob(job.look_again(NOW)))

    for late in (job, job.look_again(None)):
        with pytest.raises(LedgerConflict):
            ledger.write(SaveDrop(a_drop()), SaveJob(late), Attach(job.fingerprint, "d"))

    assert ledger.drop(a_drop().id) is None
    assert ledger.list_attached(job.fingerprint) == []


def test_slots_are_taken_up_to_the_limit_and_given_back(ledger: Ledger) -> None:
    ledger.write(TakeSlot(2))
    ledger.write(TakeSlot(2))
    with pytest.raises(SlotsTaken):
        ledger.write(TakeSlot(2))
    ledger.write(TakeSlot(None))
    ledger.write(FreeSlot())
    with pytest.raises(SlotsTaken):
        ledger.write(TakeSlot(2))
    ledger.write(FreeSlot())

    ledger.write(TakeSlot(2))


def test_credits_are_taken_up_to_the_limit_and_given_back(ledger: Ledger) -> None:
    with pytest.raises(BudgetSpent):
        ledger.write(Spend("day#1", 101, 100))
    ledger.write(Spend("day#1", 60, 100), Spend("month#1", 60, None))
    with pytest.raises(BudgetSpent) as caught:
        ledger.write(Spend("month#1", 41, 200), Spend("day#1", 41, 100))
    assert caught.value.window == "day#1"
    assert (
        ledger.credits_spent("day#1"),
        ledger.credits_spent("month#1"),
        ledger.credits_spent("x"),
    ) == (60, 60, 0)

    ledger.write(Spend("day#1", 40, 100))
    ledger.write(Spend("day#1", -50, None))
    ledger.write(Spend("day#1", 50, 100))

    assert ledger.credits_spent("day#1") == 100


def test_of_many_jobs_at_the_edge_of_the_budget_none_overspends(ledger: Ledger) -> None:
    limits = Limits(100, {"day#1": 1000})
    started = 0
    for number in range(20):
        job = a_job(f"job-{number}")
        ledger.write(SaveJob(job))
        try:
            ledger.write(*job_changes(job, job.claim(job.fingerprint, NOW, limits.credits), limits))
            started += 1
        except BudgetSpent:
            continue

    assert (started, ledger.credits_spent("day#1")) == (5, 1000)


def test_a_claim_without_a_slot_leaves_the_job_as_it_was(ledger: Ledger) -> None:
    job = a_job().with_upload("api-assets/1.png", NOW).model_copy(update={"seq": 1})
    ledger.write(SaveJob(job))
    ledger.write(TakeSlot(1))

    with pytest.raises(SlotsTaken):
        ledger.write(*job_changes(job, job.claim("a", NOW, []), Limits(1)), RequireOpenGate())

    found = ledger.job(job.fingerprint)
    assert found is not None
    assert found.state is JobState.READY


def test_the_gate_stops_those_who_require_it_open(ledger: Ledger) -> None:
    ledger.write(RequireOpenGate(), TakeSlot(9))
    gate = Gate(is_open=False, reason=WaitReason.THROTTLED, until=NOW, strikes=1)
    ledger.write(SaveSingleton(gate))
    with pytest.raises(GateClosed):
        ledger.write(RequireOpenGate(), TakeSlot(9))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveSingleton(gate))

    ledger.write(SaveSingleton(gate.open()))

    ledger.write(RequireOpenGate(), TakeSlot(9))


def test_only_the_owner_of_a_rebuilt_ledger_is_let_through(ledger: Ledger) -> None:
    owner = Owner(stack_id="ours", since=NOW, is_rebuilt=False)
    with pytest.raises(NotOwner):
        ledger.write(RequireOwner("ours"), TakeSlot(9))
    assert (ledger.owner(), ledger.is_new()) == (None, True)
    ledger.write(SaveSingleton(owner))
    with pytest.raises(NotOwner):
        ledger.write(RequireOwner("ours"), TakeSlot(9))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveSingleton(owner))

    ledger.write(SaveSingleton(owner.note_rebuilt()))
    ledger.write(RequireOwner("ours"), TakeSlot(1))
    for step in (RequireOwner("other"), RequireOpenGate()):
        with pytest.raises(SlotsTaken if step == RequireOpenGate() else NotOwner):
            ledger.write(step, TakeSlot(1))

    taken = owner.note_rebuilt().hand_over("other", NOW)
    ledger.write(SaveSingleton(taken))
    with pytest.raises(NotOwner):
        ledger.write(RequireOwner("ours"), TakeSlot(9))
    assert rounded(ledger.owner()) == rounded(taken)


@pytest.mark.parametrize(
    "change", [SaveSingleton(Walk.first(NOW)), TakeSlot(1)], ids=["swept", "paid"]
)
def test_what_was_swept_or_paid_by_is_not_new(ledger: Ledger, change: Change) -> None:
    assert ledger.is_new()
    ledger.write(change)
    assert not ledger.is_new()


def a_waiter(generation: int = 0, seconds: float = 0, drop_id: str = "d") -> Waiter:
    return Waiter(
        fingerprint="f",
        drop_id=drop_id,
        rendition_id="r",
        generation=generation,
        entered=NOW + timedelta(seconds=seconds),
        project_id="p",
        token=f"{drop_id} {generation} {seconds}",
    )


@pytest.mark.parametrize(
    ("later", "earlier"),
    [(a_waiter(1), a_waiter(0, 60)), (a_waiter(0, 0.001), a_waiter(0, -60))],
    ids=["generation", "time"],
)
def test_the_latest_entry_of_a_waiter_counts(
    ledger: Ledger, later: Waiter, earlier: Waiter
) -> None:
    assert ledger.save_waiter(earlier)
    assert ledger.save_waiter(later)
    assert ledger.save_waiter(later), "as after an answer that was lost"
    assert not ledger.save_waiter(earlier)
    ledger.remove_waiter(earlier)
    (kept,) = ledger.list_waiters("f", "p", 9)
    assert kept.token == later.token

    ledger.remove_waiter(later)
    ledger.remove_waiter(later)
    assert ledger.list_waiters("f", "p", 9) == []


def test_only_the_waiters_of_a_project_are_listed_and_no_more_than_asked(ledger: Ledger) -> None:
    ledger.write(Attach("f", "d"))
    for number in range(5):
        ledger.save_waiter(a_waiter(drop_id=f"{number}"))
    other = a_waiter(drop_id="0").model_copy(update={"project_id": "other", "rendition_id": "s"})
    ledger.save_waiter(other)

    assert [waiter.drop_id for waiter in ledger.list_waiters("f", "p", 3)] == ["0", "1", "2"]
    (found,) = ledger.list_waiters("f", "other", 3)
    assert found.model_dump(mode="json") == other.model_dump(mode="json")
    assert ledger.list_attached("f") == ["d"]


def test_detached_drops_share_the_job_no_more(ledger: Ledger) -> None:
    ledger.write(Attach("f", "one"), Attach("f", "two"))
    ledger.write(Detach("f", "one"), Attach("f", "two"))

    assert ledger.list_attached("f") == ["two"]


def test_the_longest_due_come_first_and_only_from_their_agenda(ledger: Ledger) -> None:
    for age in (10, 30, 20):
        ledger.write(SaveJob(a_job(f"job-{age}", age)))
    ledger.write(
        SaveJob(a_job("future", -60)),
        SaveJob(a_job("idle").look_again(None).model_copy(update={"seq": 1})),
        SaveDrop(a_drop()),
    )

    assert ledger.list_due(Agenda.READY_JOBS, NOW, 2) == ["job-30", "job-20"]
    assert ledger.list_due(Agenda.READY_JOBS, NOW, 9) == ["job-30", "job-20", "job-10"]
    assert "idle" not in ledger.list_due(Agenda.READY_JOBS, END_OF_TIME, 9)
    assert ledger.list_due(Agenda.SUBMITTED_JOBS, NOW, 9) == []
    assert ledger.list_due(Agenda.DROPS, NOW + timedelta(seconds=1), 9) == [a_drop().id]


def test_an_unknown_job_is_listed_until_it_is_settled_due_or_not(ledger: Ledger) -> None:
    ready = a_job("job", 10)
    claimed = ready.claim("token", NOW, [])
    due = claimed.record_unknown(NOW)
    laid_aside = due.look_again(None)
    for step, listed, is_due in (
        (ready, [], []),
        (claimed, [], []),
        (due, ["job"], ["job"]),
        (laid_aside, ["job"], []),
        (laid_aside.give_up(NOW), [], []),
    ):
        ledger.write(SaveJob(step))
        assert ledger.list_due(Agenda.UNKNOWN_JOBS, END_OF_TIME, 9) == listed
        later = NOW + timedelta(days=400)
        assert ledger.list_due(Agenda.UNKNOWN_JOBS, later, 9) == is_due


def test_a_projected_drop_is_due_no_more_unless_it_has_changed(ledger: Ledger) -> None:
    first = a_drop()
    ledger.write(SaveDrop(first))
    second = first.set_state(DropState.CANCELED, NOW)
    ledger.write(SaveDrop(second))
    later = NOW + timedelta(seconds=1)

    ledger.note_manifest_written(first)
    assert ledger.list_due(Agenda.DROPS, later, 9) == [first.id]
    ledger.note_manifest_written(second)

    assert ledger.list_due(Agenda.DROPS, later, 9) == []
    found = ledger.drop(first.id)
    assert found is not None
    assert found.due is None
    ledger.write(SaveDrop(found.set_state(DropState.WAITING, NOW)))


def test_of_two_who_saw_a_job_ready_only_one_claims_it(ledger: Ledger) -> None:
    job = a_job()
    ledger.write(SaveJob(job))

    ledger.write(*job_changes(job, job.claim("first", NOW, []), Limits(3)))
    with pytest.raises(LedgerConflict):
        ledger.write(*job_changes(job, job.claim("second", NOW, []), Limits(3)))

    claimed = ledger.job(job.fingerprint)
    assert claimed is not None
    assert claimed.attempt_id == "first"
    ledger.write(TakeSlot(2))
    with pytest.raises(SlotsTaken):
        ledger.write(TakeSlot(2))


def test_token_and_project_lead_to_the_job(ledger: Ledger) -> None:
    job = a_job()
    claimed = job.claim("token", NOW, [])
    submitted = claimed.record_project("project", None, NOW, NOW)
    ledger.write(SaveJob(job))

    ledger.write(*job_changes(job, claimed))
    attempt = Attempt(token="token", fingerprint=job.fingerprint, attempt=1)
    assert (ledger.attempt("token"), ledger.project("project")) == (attempt, None)
    ledger.write(*job_changes(claimed, submitted))

    attempt = attempt.model_copy(update={"project_id": "project"})
    project = KnownProject(project_id="project", fingerprint=job.fingerprint, token="token")
    assert (ledger.attempt("token"), ledger.project("project")) == (attempt, project)
    assert ledger.attempt("another") is None


def test_an_attempt_notes_each_project_once_and_keeps_its_notes(ledger: Ledger) -> None:
    job = a_job()
    claimed = job.claim("token", NOW, [])
    ledger.write(SaveJob(job))
    ledger.note_project("token", "early")
    assert ledger.attempt("token") is None
    ledger.write(*job_changes(job, claimed))

    for project_id in ("a", "b", "a"):
        ledger.note_project("token", project_id)
    ledger.write(*job_changes(claimed, claimed.record_project("a", None, NOW, NOW)))
    for number in range(MOST_NOTED):
        ledger.note_project("token", str(number))

    attempt = ledger.attempt("token")
    assert attempt is not None
    assert (attempt.project_id, attempt.noted) == ("a", ("a", "b", "0", "1", "2"))


@pytest.mark.parametrize("state", [JobState.READY, JobState.UNKNOWN, JobState.SUBMITTING])
def test_hints_are_written_and_nothing_else_of_their_job(ledger: Ledger, state: JobState) -> None:
    job = a_job().model_copy(update={"state": state})
    ledger.write(SaveJob(job))
    later = NOW + timedelta(hours=1)
    hinted = job.take_hint("token", later)

    ledger.write(SaveHints(hinted.model_copy(update={"state": JobState.COMPLETE})))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveHints(hinted))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveJob(job.look_again(NOW)))

    assert rounded(ledger.job(job.fingerprint)) == rounded(hinted)
    assert hinted.due == (job.due if state is JobState.SUBMITTING else later)


def test_a_ready_job_with_hints_is_listed_apart_until_they_are_heeded(ledger: Ledger) -> None:
    job = a_job(age=60)
    hinted = job.take_hint("token", NOW)
    heeded = hinted.heed_hints([], [], NOW, job.created_at)
    changes: list[Change] = [SaveJob(job), SaveHints(hinted), SaveJob(heeded)]
    listed: list[Agenda] = []

    for change in changes:
        ledger.write(change)
        for agenda in (Agenda.READY_JOBS, Agenda.HINTED_JOBS):
            listed += [agenda for _ in ledger.list_due(agenda, END_OF_TIME, 9)]

    assert listed == [Agenda.READY_JOBS, Agenda.HINTED_JOBS, Agenda.READY_JOBS]


def test_a_reference_replaces_that_of_the_job_it_names_and_of_no_other(ledger: Ledger) -> None:
    first, second, third = (
        KnownProject(project_id="project", fingerprint=name)
        for name in ("first", "second", "third")
    )
    ledger.write(SaveReference(first, replaces="nobody"))
    for replaces in ("", "third"):
        with pytest.raises(ProjectTaken):
            ledger.write(SaveReference(second, replaces=replaces))
    assert ledger.project("project") == first

    ledger.write(SaveReference(second, replaces="first"))
    ledger.write(SaveReference(second, replaces="first"))
    assert ledger.project("project") == second
    with pytest.raises(ProjectTaken):
        ledger.write(SaveReference(third, replaces="first"))


@pytest.mark.parametrize("step", ["submitted", "with_orphan"])
def test_a_project_is_no_other_jobs(ledger: Ledger, step: str) -> None:
    first, second = a_job("first"), a_job("second")
    for job in (first, second):
        ledger.write(SaveJob(job))
    claims = [job.claim(job.fingerprint, NOW, []) for job in (first, second)]
    for job, claim in zip((first, second), claims, strict=True):
        ledger.write(*job_changes(job, claim))
    ledger.write(*job_changes(claims[0], claims[0].record_project("project", None, NOW, NOW)))
    late = claims[1].with_orphan("project")
    after = late if step == "with_orphan" else claims[1].record_project("project", None, NOW, NOW)

    with pytest.raises(ProjectTaken):
        ledger.write(*job_changes(claims[1], after))

    assert rounded(ledger.job("second")) == rounded(claims[1])


def test_what_a_newer_version_keeps_in_a_row_stays_there(ledger: Ledger) -> None:
    job = Job.model_validate({**a_job().model_dump(), "shade_of_grey": [1, {"a": "b"}]})
    drop = a_drop()
    (rendition,) = drop.renditions.values()
    unknown = rendition.model_validate({**rendition.model_dump(), "sharpness": "7"})
    drop = drop.model_copy(update={"renditions": {rendition.fingerprint: unknown}})
    ledger.write(SaveJob(job), SaveDrop(drop))

    amend_job(ledger, job.fingerprint, lambda job: job.look_again(None))
    amend_drop(ledger, drop.id, lambda drop: drop.set_state(DropState.WAITING, NOW))

    found_job, found_drop = ledger.job(job.fingerprint), ledger.drop(drop.id)
    assert found_job is not None
    assert found_job.model_extra == {"shade_of_grey": [1, {"a": "b"}]}
    assert found_drop is not None
    assert found_drop.renditions[rendition.fingerprint].model_extra == {"sharpness": "7"}


def test_a_row_of_a_newer_schema_is_not_written_by_this_version(ledger: Ledger) -> None:
    newer = {"schema_number": SCHEMA + 1}
    job, drop = a_job().model_copy(update=newer), a_drop().model_copy(update=newer)
    ledger.write(SaveJob(job), SaveDrop(drop))

    with pytest.raises(NewerSchema, match="newer"):
        amend_job(ledger, job.fingerprint, lambda job: job.look_again(None))
    with pytest.raises(NewerSchema):
        amend_drop(ledger, drop.id, lambda drop: drop.set_state(DropState.WAITING, NOW))

    assert rounded(ledger.job(job.fingerprint)) == rounded(job)
    assert rounded(ledger.drop(drop.id)) == rounded(drop)


def test_a_change_is_made_again_on_the_newest_state(ledger: Ledger) -> None:
    ledger.write(SaveJob(a_job()))
    interrupted: list[Job] = []

    def change(job: Job) -> Job:
        if not interrupted:
            interrupted.append(job)
            ledger.write(SaveJob(job.with_upload("api-assets/1.png", NOW)))
        return job.look_again(None)

    amended = amend_job(ledger, a_job().fingerprint, change)

    assert amended.upload is not None
    assert amended.seq == 3


def test_all_records_are_listed(dynamo: DynamoLedger) -> None:
    drop, job = a_drop(), a_job()
    dynamo.write(SaveDrop(drop), SaveJob(job), Attach(job.fingerprint, drop.id), TakeSlot(3))

    assert list(dynamo.records()) == [dynamo.drop(drop.id), dynamo.job(job.fingerprint)]


def test_an_output_name_belongs_to_one_drop_until_that_releases_it(ledger: Ledger) -> None:
    own, other = (NameClaim(name="a/é_2x", drop_id=name, key=f"é{name}") for name in "12")
    job = a_job()
    ledger.write(ClaimName(own))
    ledger.write(ClaimName(own))

    assert (ledger.name_claim(own.name), ledger.name_claim("a/e_2x")) == (own, None)
    with pytest.raises(NameTaken) as taken:
        ledger.write(SaveJob(job), ClaimName(other))
    assert (taken.value.name, ledger.job(job.fingerprint)) == (own.name, None)
    with pytest.raises(LedgerConflict):
        ledger.write(ReleaseName(other))
    ledger.write(ReleaseName(own))
    ledger.write(ReleaseName(own), ClaimName(NameClaim(name="b", drop_id="1", key="b")))
    ledger.write(SaveJob(job), ClaimName(other))
    assert ledger.name_claim(own.name) == other


def test_names_are_gathered_and_who_comes_second_sees_the_first(ledger: Ledger) -> None:
    image, spec = Names(images=frozenset({"é/Cat.jpg"})), Names(specs=frozenset({"é/cat.jpg.yaml"}))
    both = Names(image.images, spec.specs)

    assert ledger.names("one") == Names()
    assert ledger.note_name("one", image) == image
    assert ledger.note_name("one", image) == image
    assert ledger.note_name("one", spec) == both == ledger.names("one")
    assert ledger.names("other") == Names()


def test_an_error_that_says_nothing_of_the_rows_is_told_as_it_is(dynamo: DynamoLedger) -> None:
    elsewhere = DynamoLedger(client(), "elsewhere", sleep=lambda _: None)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        elsewhere.write(SaveJob(a_job()))
    assert dynamo.job(a_job().fingerprint) is None


@pytest.mark.parametrize("wait", sorted(ASKED_AGAIN))
def test_a_drop_that_is_asked_again_is_due_once_its_manifest_says_so(
    ledger: Ledger, wait: WaitReason
) -> None:
    later = NOW + timedelta(hours=1)
    ledger.write(SaveDrop(a_drop()))
    denied = a_drop().set_state(DropState.WAITING, NOW, wait=wait, wait_until=later)
    ledger.write(SaveDrop(denied))
    past = later + timedelta(seconds=1)
    assert ledger.list_due(Agenda.DENIED_DROPS, past, 10) == []

    ledger.note_manifest_written(denied)

    assert ledger.list_due(Agenda.DROPS, past, 10) == []
    assert ledger.list_due(Agenda.DENIED_DROPS, later, 10) == []
    assert ledger.list_due(Agenda.DENIED_DROPS, past, 10) == [denied.id]

    too_dear = denied.set_state(DropState.WAITING, NOW, wait=WaitReason.BUDGET, wait_until=later)
    ledger.write(SaveDrop(too_dear))
    ledger.note_manifest_written(too_dear)
    assert ledger.list_due(Agenda.DENIED_DROPS, past, 10) == []


def test_a_drop_has_its_line_in_its_batch_which_is_listed_while_it_is_open(ledger: Ledger) -> None:
    drop = a_drop().model_copy(update={"batch": "é t/spring", "news_for": "é t/spring"})
    batch = Batch.first("in", "é t/spring").wake(NOW)
    ledger.write(SaveDrop(drop), SaveBatch(batch))
    assert rounded(ledger.batch(batch.id)) == rounded(batch)
    assert ledger.list_due(Agenda.BATCHES, NOW + timedelta(seconds=1), 10) == [batch.id]
    assert ledger.has_open_drops(batch.id)
    (line,) = ledger.batch_lines(batch.id, None, 10)
    assert rounded(line) == rounded(BatchLine.of(drop))
    with pytest.raises(LedgerConflict):
        ledger.write(SaveBatch(batch))

    ended = drop.set_state(DropState.REJECTED, NOW, renditions={})
    ledger.write(SaveDrop(ended), SaveBatch(batch.rest()))
    assert not ledger.has_open_drops(batch.id)
    assert ledger.list_due(Agenda.BATCHES, NOW + timedelta(seconds=1), 10) == []
    (line,) = ledger.batch_lines(batch.id, None, 10)
    assert rounded(line) == rounded(BatchLine.of(ended))
    assert ledger.batch_lines(batch.id, ended.id, 10) == []
    ledger.note_manifest_written(ended)
    known = ledger.drop(ended.id)
    assert known is not None
    assert known.news_for is None

    left = known.set_state(DropState.SKIPPED, NOW, batch=None)
    ledger.write(SaveDrop(left), LeaveBatch(batch.id, left.id))
    assert ledger.batch_lines(batch.id, None, 10) == []


def test_the_lines_of_a_batch_are_read_page_by_page_in_their_order(ledger: Ledger) -> None:
    drops = [
        Drop(id=f"{number:03}", source=Source(bucket="in", key=f"{number}.png", etag="e"))
        for number in range(7)
    ]
    for drop in drops:
        ledger.write(SaveDrop(drop.set_state(DropState.REJECTED, NOW, batch="spring")))
    name, last, found = Batch.first("in", "spring").id, None, []
    while page := ledger.batch_lines(name, last, 3):
        assert len(page) <= 3
        last = page[-1].drop_id
        found += [line.drop_id for line in page]
    assert found == [drop.id for drop in drops]
