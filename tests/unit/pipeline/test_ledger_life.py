"""A ledger outlives its stack, and is outlived by results: nothing is paid twice for that."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256

import pytest

from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import SaveSingleton
from dropscale.magichour.errors import CreateOutcomeUnknown, NotFound
from dropscale.pipeline.parts.ownership import (
    LedgerNotRebuilt,
    LedgerOfNewerSchema,
    LedgerOwnedByAnother,
)
from dropscale.pipeline.rebuild import RebuildLedger, Rebuilt
from tests.fakes import MemoryLedger, png
from tests.world import World

SIDECAR = "wait_for_completion: false"


def redeployed(old: World, *, ledger: MemoryLedger | None = None, stack_id: str = "new") -> World:
    """Delete the stack and deploy it again, with a new ledger: buckets and vendor are the same."""
    old.clock.advance(hours=1)
    return World(
        stack_id=stack_id,
        clock=old.clock,
        bucket=old.bucket,
        results=old.results,
        upscaler=old.upscaler,
        ledger=ledger or MemoryLedger(),
    )


def rebuild(world: World) -> Rebuilt:
    world.ownership.owner()
    rebuilt = RebuildLedger(world.ledger, world.results, world.clock)()
    world.ownership.note_rebuilt()
    return rebuilt


def sweep_and_submit(world: World) -> None:
    """Run the sweeper, and submit for the objects it sends."""
    world.sweep(minutes=2)
    keys, world.queue.keys = world.queue.keys, []
    for key in keys:
        world.submit(key)


def delivered(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()


def paid(world: World) -> None:
    world.drop("cat.png", png())


def unknown(world: World) -> None:
    world.upscaler.fail_create = CreateOutcomeUnknown("POST")
    world.drop("cat.png", png())


def timed_out(world: World) -> None:
    world.drop("cat.png", png())
    world.clock.advance(hours=2)
    world.run_executions()


def not_waited_for(world: World) -> None:
    world.put("cat.png.yaml", SIDECAR)
    world.drop("cat.png", png())


def links_only(world: World) -> None:
    world.put("cat.png.yaml", "download_outputs: false")
    world.drop("cat.png", png())
    world.finish_all()


def superseded(world: World) -> None:
    world.drop("cat.png", png())
    world.put("cat.png.yaml", "scale_factor: 4")
    world.submit("cat.png.yaml")
    world.finish_all()
    world.bucket.delete("cat.png.yaml")


def copied(world: World) -> None:
    world.drop("dog.png", png())
    world.finish_all()
    world.drop("cat.png", png())
    world.finish_all()


def two_renditions(world: World) -> None:
    spec = "renditions: [{scale_factor: 2}, {style: {mode: creative, prompt: fur}, revision: b}]"
    world.put("cat.png.yaml", spec)
    world.drop("cat.png", png())
    world.finish_all()


def two_files(world: World) -> None:
    spec = "scale_factor: 4\nstyle: {mode: creative}\noutput: {name: 'Cat{ext}'}\n"
    spec += "renditions: [{output: {format: png}}, {output: {format: jpeg}}]"
    world.put("cat.png.yaml", spec)
    world.drop("cat.png", png())
    world.finish_all()


PASTS = (
    delivered,
    paid,
    unknown,
    timed_out,
    not_waited_for,
    links_only,
    superseded,
    copied,
    two_renditions,
)


@pytest.mark.parametrize("past", PASTS, ids=lambda past: past.__name__)
@pytest.mark.parametrize("is_at_vendor", [True, False], ids=["kept", "gone"])
def test_what_an_earlier_ledger_has_paid_is_not_paid_again(
    past: Callable[[World], None], is_at_vendor: bool
) -> None:
    old = World()
    past(old)
    creates = len(old.upscaler.creates) + (past is unknown)
    new = redeployed(old)
    rebuild(new)
    if not is_at_vendor:
        gone = NotFound("GET /v1/image-projects/x", status=404)
        new.upscaler.fail_project = dict.fromkeys(new.upscaler.projects, gone)
    for number, (*_, name) in enumerate(new.upscaler.creates, start=1):
        new.upscaler.answer(f"project-{number}", "complete", name=name)

    before = {job.fingerprint for job in new.ledger.jobs.values()}
    for key in ("cat.png", "copy.png"):
        new.drop(key, png())
    for _ in range(3):
        sweep_and_submit(new)
        new.run_executions()

    assert {job.fingerprint for job in new.ledger.jobs.values()} == before
    assert len(new.upscaler.creates) + (past is unknown) == creates
    if is_at_vendor and past is not unknown:
        assert new.row("copy.png").state is DropState.DELIVERED
        expected = {DropState.DELIVERED, DropState.COMPLETE}
        is_left = past is not_waited_for
        assert new.row("cat.png").state in ({DropState.SUBMITTED} if is_left else expected)
    elif past in {delivered, copied, two_renditions}:
        assert new.row("copy.png").state is DropState.DELIVERED
        assert new.results.outputs["copy.png@2x.png"][0] == old.upscaler.result


@pytest.mark.parametrize("past", [two_renditions, two_files])
def test_a_rebuilt_ledger_is_as_the_one_before(past: Callable[[World], None]) -> None:
    old = World()
    past(old)
    new = redeployed(old)
    rebuild(new)

    row, known = new.row("cat.png"), old.row("cat.png")
    assert row.renditions.keys() == known.renditions.keys()
    assert (row.spec, row.source, row.state) == (known.spec, known.source, known.state)
    for name, job in old.ledger.jobs.items():
        found = new.ledger.jobs[name]
        told = (job.parameters, job.state, job.project_id, job.credits_charged)
        assert (found.parameters, found.state, found.project_id, found.credits_charged) == told
        assert new.ledger.list_attached(name) == old.ledger.list_attached(name)
    assert new.ledger.credits == old.ledger.credits
    assert new.ledger.claims == old.ledger.claims
    assert new.ledger.taken == 0
    assert new.ledger.project("project-1") is not None


def test_to_rebuild_again_or_in_use_changes_nothing() -> None:
    world = World()
    for past in (delivered, two_renditions):
        past(world)
    for _ in range(2):
        rows = dict(world.ledger.drops), dict(world.ledger.jobs)
        assert rebuild(world).done["manifests"] == 1
        assert (world.ledger.drops, world.ledger.jobs) == rows


def test_a_result_whose_manifest_is_gone_serves_whoever_drops_the_image() -> None:
    old = World()
    delivered(old)
    old.results.manifests.clear()
    new = redeployed(old)
    new.results.put("theirs.png", b"")
    labels = old.results.outputs["cat.png@2x.png"][1]
    forged = replace(labels, fingerprint="f" * 64)
    new.results.outputs["forged.png"] = (b"other bytes", forged)
    new.results.manifests.clear()
    assert rebuild(new).done == {"outputs": 1, "jobs": 1}
    new.upscaler.projects.clear()

    new.drop("copy.png", png())
    new.run_executions()

    assert len(new.upscaler.creates) == 1
    assert new.row("copy.png").state is DropState.DELIVERED


def test_a_named_output_whose_spec_has_changed_keeps_its_name_and_how_it_was_made() -> None:
    old = World()
    two_files(old)
    old.put("cat.png.yaml", "scale_factor: 4\nstyle: {mode: creative}")
    old.drop("cat.png", png())
    old.finish_all()
    new = redeployed(old)
    del new.results.outputs["cat.png@4x-creative.png"]
    manifests, new.results.manifests = new.results.manifests, {}
    rebuild(new)
    assert new.only_job.parameters == old.only_job.parameters

    new.results.manifests = manifests
    rebuild(new)
    new.put("dog.png.yaml", "output: {name: 'cAT{ext}'}")
    new.drop("dog.png", png(9))
    reason = new.row("dog.png").reason
    assert reason is not None
    assert reason.code == "OutputNameTaken"


def test_a_manifest_that_cannot_be_read_is_named() -> None:
    world = World()
    world.results.put("cat.png.dropscale.json", b"{}")
    assert rebuild(world).unreadable == ["cat.png.dropscale.json"]


def test_an_unknown_outcome_keeps_its_name_at_the_vendor() -> None:
    old = World()
    unknown(old)
    new = redeployed(old)
    rebuild(new)

    (job,) = new.ledger.jobs.values()
    assert (job.state, job.project_name) == (JobState.UNKNOWN, old.only_job.project_name)
    assert job.attempt_id == old.only_job.attempt_id


def test_what_waited_is_looked_at_anew() -> None:
    old = World(slots=1)
    for key, shade in (("first.png", 1), ("cat.png", 2)):
        old.drop(key, png(shade=shade))
    assert old.row("cat.png").state is DropState.WAITING
    new = redeployed(old)
    rebuild(new)
    sweep_and_submit(new)
    sweep_and_submit(new)

    assert new.row("cat.png").state is DropState.SUBMITTED
    assert len(new.upscaler.creates) == 2


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_table_restored_to_yesterday_pays_nothing_twice_if_it_is_marked(is_marked: bool) -> None:
    """docs/operations.md marks it: without, whatever was paid since is paid again."""
    old = World()
    old.ownership.require()
    yesterday = deepcopy(old.ledger)
    delivered(old)
    if is_marked:
        assert yesterday.owner_record is not None
        marked = yesterday.owner_record.model_copy(update={"is_rebuilt": False})
        yesterday.owner_record = marked
    new = redeployed(old, ledger=yesterday, stack_id=old.stack_id)

    new.drop("cat.png")
    if is_marked:
        assert new.row("cat.png").wait is WaitReason.LEDGER
        assert len(new.upscaler.creates) == 1
        rebuild(new)
        sweep_and_submit(new)
    new.finish_all()

    assert new.row("cat.png").state is DropState.DELIVERED
    assert len(new.upscaler.creates) == (1 if is_marked else 2)


class TestNewLedgerBesideManifests:
    """It waits until they are read, or a person continues without them."""

    def test_drops_wait_and_say_why_and_no_manifest_is_lost(self) -> None:
        old = World()
        delivered(old)
        manifest = old.manifest("cat.png")
        new = redeployed(old)
        for key in ("cat.png", "dog.png", "dog.png.yaml", "dropscale.yaml"):
            new.drop(key, png(shade=7) if key.endswith("png") else "scale_factor: 4")
        with pytest.raises(LedgerNotRebuilt):
            new.sweep()

        told = new.manifest("dog.png")
        assert (told["state"], told["waiting_for"]) == ("waiting", "ledger")
        assert told["reason"]["code"] == "LedgerNotRebuilt"
        assert "dropscale ledger rebuild" in told["reason"]["fix"]
        assert new.manifest("cat.png") == manifest
        assert (len(new.upscaler.creates), new.ledger.jobs) == (1, {})
        assert len(new.ledger.drops) == 2

    def test_the_manifest_follows_the_reason(self) -> None:
        old = World()
        delivered(old)
        new = redeployed(old)
        new.drop("dog.png", png(shade=7))
        taken = new.ownership.owner().hand_over("third", new.clock())
        new.ledger.write(SaveSingleton(taken))
        new.drop("dog.png")

        assert new.manifest("dog.png")["reason"]["code"] == "LedgerOwnedByAnother"

    def test_new_bytes_and_sidecars_that_come_meanwhile_are_not_lost(self) -> None:
        old = World()
        delivered(old)
        old.drop("dog.png", png(shade=7))
        old.finish_all()
        new = redeployed(old)
        new.drop("cat.png", png(shade=3))
        new.drop("dog.png.yaml", "scale_factor: 4")
        new.drop("none.png.yaml", "scale_factor: 4")
        rebuild(new)
        for _ in range(2):
            sweep_and_submit(new)
            new.finish_all()

        factors = [parameters["scale_factor"] for _, parameters, _ in new.upscaler.creates]
        assert sorted(factors) == [2, 2, 2, 4]
        assert new.manifest("cat.png")["source"]["sha256"] == sha256(png(shade=3)).hexdigest()
        assert new.row("dog.png").state is DropState.DELIVERED
        assert len(new.ledger.drops) == 2

    def test_declined_all_is_paid_anew_and_manifests_follow(self) -> None:
        old = World()
        delivered(old)
        new = redeployed(old)
        new.drop("cat.png")
        new.ownership.note_rebuilt()
        sweep_and_submit(new)

        assert len(new.upscaler.creates) == 2
        assert new.manifest("cat.png")["state"] == "submitted"


class TestLedgerOfAnother:
    """A stack that is given a table which another pays by."""

    def test_it_waits_until_it_takes_over_and_nothing_is_paid_twice(self) -> None:
        old = World()
        delivered(old)
        new = redeployed(old, ledger=old.ledger)
        for key, shade in (("cat.png", 0), ("dog.png", 7)):
            new.drop(key, png(shade=shade))
        with pytest.raises(LedgerOwnedByAnother, match="stack"):
            new.sweep()
        told = new.manifest("dog.png")
        assert (told["waiting_for"], told["reason"]["code"]) == ("ledger", "LedgerOwnedByAnother")
        assert "dropscale doctor --take-over" in told["reason"]["fix"]
        assert len(new.upscaler.creates) == 1

        assert new.ownership.take_over().since == new.clock()
        new.drop("copy.png", png())
        sweep_and_submit(new)
        new.finish_all()

        assert len(new.upscaler.creates) == 2  # the cat's, and now the dog's
        states = {key: new.row(key).state for key in ("cat.png", "dog.png", "copy.png")}
        assert set(states.values()) == {DropState.DELIVERED}

    def test_the_stack_that_lost_it_pays_no_more_whatever_it_remembers(self) -> None:
        old = World(slots=1)
        old.drop("first.png", png(shade=1))
        old.drop("next.png", png(shade=2))
        new = World(
            stack_id="new",
            clock=old.clock,
            ledger=old.ledger,
            bucket=old.bucket,
            results=old.results,
            upscaler=old.upscaler,
        )
        new.ownership.take_over()

        old.finish_all()  # deliver frees the place, and would start the next
        old.drop("late.png", png(shade=3))  # submit still trusts its last look

        assert len(old.upscaler.creates) == 1
        assert old.row("first.png").state is DropState.DELIVERED
        with pytest.raises(LedgerOwnedByAnother):
            old.sweep(minutes=2)
        for _ in range(2):
            sweep_and_submit(new)
            new.finish_all()
        assert len(new.upscaler.creates) == 3
        for key in ("next.png", "late.png"):
            assert new.row(key).state is DropState.DELIVERED

    def test_a_newer_schema_is_left_alone(self) -> None:
        world = World()
        delivered(world)
        owner = world.ownership.owner()
        world.ledger.owner_record = owner.model_copy(update={"schema_number": 99})
        with pytest.raises(LedgerOfNewerSchema):
            world.sweep(minutes=2)


def test_a_stack_before_there_were_owners_goes_on() -> None:
    world = World()
    delivered(world)
    world.sweep()
    world.ledger.owner_record = None
    world.sweep(minutes=2)
    world.drop("dog.png", png(shade=7))

    assert len(world.upscaler.creates) == 2


def test_of_two_stacks_that_find_no_owner_one_pays() -> None:
    world = World()
    other = World(stack_id="other", ledger=world.ledger, results=world.results)
    is_new = world.ledger.is_new

    def overtaken() -> bool:
        world.ledger.is_new = is_new  # type: ignore[method-assign]
        return world.ownership.owner().stack_id == "stack"

    world.ledger.is_new = overtaken  # type: ignore[method-assign]
    for may_not in (other.ownership.require, other.ownership.note_rebuilt):
        with pytest.raises(LedgerOwnedByAnother):
            may_not()
    world.ownership.require()


def test_the_owner_is_read_once_a_minute_and_written_when_it_changes() -> None:
    world, reads = World(), []
    owner, may_hold = world.ledger.owner, world.results.may_hold_manifests
    known = world.ownership.owner()
    world.ledger.owner = lambda: reads.append("owner") or owner()  # type: ignore[func-returns-value, method-assign]
    world.results.may_hold_manifests = lambda: reads.append("results") or may_hold()  # type: ignore[func-returns-value, method-assign]

    for seconds in (0, 49, 2):
        world.clock.advance(seconds=seconds)
        world.ownership.require()
    assert reads == ["owner"] * 2

    assert world.ownership.take_over() == known
    world.ownership.note_rebuilt()
    assert world.ledger.owner_record == known
