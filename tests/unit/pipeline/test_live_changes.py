"""A stack's parameters change while drops wait, run and are delivered; see docs/live-changes.md."""

from dataclasses import replace

import pytest

from dropscale.ledger.budget import Budget
from dropscale.ledger.states import DropState, WaitReason
from dropscale.magichour.errors import NotFound
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode
from tests.fakes import FakeResults, png
from tests.world import BUCKET, World

NAMES = ("delivered", "running", "waiting")
DELIVERED, SUBMITTED, WAITING = DropState.DELIVERED, DropState.SUBMITTED, DropState.WAITING


def world_of_three() -> World:
    """Return a stack of one slot: one image is delivered, one at the vendor, and one waits."""
    world = World(slots=1)
    for shade, name in enumerate(NAMES, start=1):
        if name == "running":
            world.finish_all()
        world.drop(f"{name}.png", png(shade=shade))
    assert states(world) == [DELIVERED, SUBMITTED, WAITING]
    return world


def states(world: World) -> list[DropState]:
    return [world.row(f"{name}.png").state for name in NAMES]


def sweep_and_submit(world: World, **later: float) -> None:
    world.sweep(**later)
    keys, world.queue.keys = world.queue.keys, []
    for key in keys:
        world.submit(key)


def finish(world: World) -> None:
    for _ in range(5):
        world.finish_all()
        sweep_and_submit(world, minutes=2)


class TestInput:
    """ExistingInputBucket, InputPrefix: objects elsewhere are no longer read."""

    def test_what_was_sent_comes_out_as_the_vendor_made_it(self) -> None:
        world = world_of_three()
        world.bucket.objects.clear()
        finish(world)

        assert states(world) == [DELIVERED] * 3
        assert world.manifest("waiting.png")["warnings"]

    @pytest.mark.parametrize("wait", [WaitReason.SLOT, WaitReason.ACCESS])
    def test_what_is_to_be_read_is_rejected_and_nothing_else(self, wait: WaitReason) -> None:
        world = World(slots=1)
        world.drop("running.png", png(shade=2))
        if wait is WaitReason.ACCESS:
            world.bucket.refusals["waiting.png"] = AccessDenied("denied", fix="allow it")
        world.drop("waiting.png", png(shade=3))
        assert world.row("waiting.png").wait is wait
        world.sweep(days=6.8)  # of what waits for a slot, the bytes are too old at the vendor
        assert world.queue.keys == ["waiting.png"]

        for key in ("waiting.png", "running.png", "unknown.png"):
            world.submit_object.leave(BUCKET, key)

        told = world.manifest("waiting.png")
        assert (told["state"], told["reason"]["code"]) == ("rejected", "OutsideInput")
        assert "ExistingInputBucket" in told["reason"]["fix"]
        assert world.row("running.png").state is SUBMITTED
        assert len(world.ledger.drops) == 2
        world.bucket.refusals.clear()
        world.submit("waiting.png")  # they are set back, and it is dropped again
        finish(world)
        assert world.row("waiting.png").state is DELIVERED


class TestResults:
    """ExistingResultsBucket, ResultsPrefix: from now on all comes out there."""

    @pytest.fixture
    def world(self) -> World:
        world = world_of_three()
        world.results = FakeResults()
        world.compose()
        return world

    def test_what_waits_or_runs_comes_out_in_the_new_place(self, world: World) -> None:
        finish(world)
        assert sorted(world.results.outputs) == ["running.png@2x.png", "waiting.png@2x.png"]
        assert states(world) == [DELIVERED] * 3

    def test_what_is_delivered_is_fetched_by_retry_and_never_paid_again(self, world: World) -> None:
        world.drop("delivered.png")
        assert "delivered.png@2x.png" not in world.results.outputs

        assert world.retry("delivered.png")
        world.finish_all()

        assert "delivered.png@2x.png" in world.results.outputs
        assert world.manifest("delivered.png")["state"] == "delivered"
        assert len(world.upscaler.creates) == 2

    def test_what_the_vendor_has_no_more_is_lost_to_the_new_place_only(self, world: World) -> None:
        gone = NotFound("GET", status=404)
        world.upscaler.fail_project["project-1"] = gone
        world.drop("copy.png", png(shade=1))
        world.pass_hours(30)

        assert world.row("copy.png").state is not DELIVERED
        assert len(world.upscaler.creates) <= 3


class TestKeys:
    """KmsKeyArn: what older objects are encrypted with is to be given as PreviousKmsKeyArns."""

    def test_without_it_drops_wait_and_say_so_and_go_on_once_it_is_given(self) -> None:
        world = World()
        world.bucket.refusals["cat.png"] = AccessDenied("denied", fix="allow it")
        world.drop("cat.png", png())
        told = world.manifest("cat.png")
        assert (told["waiting_for"], told["reason"]["code"]) == ("access", "AccessDenied")

        world.bucket.refusals.clear()
        sweep_and_submit(world, hours=2)
        assert world.row("cat.png").state is SUBMITTED


class TestSidecarMode:
    """Who is evaluated stays as it is; who waits for a sidecar is looked at by `apply`."""

    def test_required_from_now_on(self) -> None:
        world = world_of_three()
        world.sidecar_required = True
        world.compose()
        world.drop("new.png", png(shade=9))
        finish(world)

        assert world.row("new.png").wait is WaitReason.SIDECAR
        assert states(world) == [DELIVERED] * 3

    def test_optional_from_now_on(self) -> None:
        world = World(sidecar_required=True)
        world.drop("cat.png", png())
        world.sidecar_required = False
        world.compose()
        sweep_and_submit(world, hours=1)
        assert world.row("cat.png").wait is WaitReason.SIDECAR

        world.submit("cat.png")  # as `apply` has it looked at
        assert world.row("cat.png").state is SUBMITTED


class TestDefaults:
    """DefaultScaleFactor, DefaultMode: evaluated drops keep theirs; a new look is a new job."""

    @pytest.fixture
    def world(self) -> World:
        world = world_of_three()
        resolve = replace(world.resolve_specs, defaults=stack_defaults(4, Mode.BALANCED))
        evaluate = replace(world.submit_object.evaluate, resolve=resolve)
        world.submit_object = replace(world.submit_object, evaluate=evaluate)
        return world

    def test_what_is_evaluated_is_not_changed(self, world: World) -> None:
        finish(world)
        factors = [parameters["scale_factor"] for _, parameters, _ in world.upscaler.creates]
        assert (states(world), factors) == ([DELIVERED] * 3, [2] * 3)

    def test_looked_at_anew_only_what_was_not_paid_is_replaced(self, world: World) -> None:
        for name in NAMES:
            world.submit(f"{name}.png")
        finish(world)

        factors = [parameters["scale_factor"] for _, parameters, _ in world.upscaler.creates]
        assert sorted(factors) == [2, 2, 4, 4, 4]
        assert states(world) == [DELIVERED] * 3


class TestLimits:
    """MaxConcurrentJobs, the credit limits, JobDeadlineSeconds."""

    def test_more_slots_start_what_waits_and_fewer_end_nothing(self) -> None:
        world = world_of_three()
        world.set_slots(2)
        world.sweep(minutes=2)
        assert states(world) == [DELIVERED, SUBMITTED, SUBMITTED]

        world.set_slots(1)
        world.drop("new.png", png(shade=9))
        assert world.row("new.png").wait is WaitReason.SLOT
        finish(world)
        assert [*states(world), world.row("new.png").state] == [DELIVERED] * 4

    def test_more_credits_start_what_waits_and_fewer_end_nothing(self) -> None:
        world = World(budget=Budget(daily=50))
        for shade, name in enumerate(NAMES):
            world.drop(f"{name}.png", png(shade=shade))
        assert states(world) == [SUBMITTED, WAITING, WAITING]

        world.budget = Budget(daily=100)
        world.compose()
        world.sweep(minutes=2)
        assert sorted(states(world)) == [SUBMITTED, SUBMITTED, WAITING]
        world.budget = Budget(daily=50)
        world.compose()
        finish(world)
        assert sorted(states(world)) == [DELIVERED, DELIVERED, WAITING]

    @pytest.mark.parametrize("turned_on", [True, False])
    def test_webhooks_turned_on_or_off_are_for_executions_that_start(self, turned_on: bool) -> None:
        world = World(slots=1, timing=Timing(16, 3600, webhooks=not turned_on))
        for shade, name in enumerate(NAMES):
            world.drop(f"{name}.png", png(shade=shade))
        (running,) = world.running()
        world.timing = Timing(16, 3600, webhooks=turned_on)
        world.compose()
        world.finish_all()
        world.sweep(minutes=2)
        (started,) = world.running()

        assert (running.webhooks, started.webhooks) == (not turned_on, turned_on)
        finish(world)
        assert states(world) == [DELIVERED] * 3

    def test_a_running_execution_keeps_its_deadline(self) -> None:
        world = world_of_three()
        (before,) = world.running()
        world.timing = Timing(first_check=20, deadline=60)
        world.compose()
        world.clock.advance(minutes=5)
        (found,) = (world.check(state) for state in world.running())

        assert found.deadline == before.deadline
        finish(world)
        assert states(world) == [DELIVERED] * 3
