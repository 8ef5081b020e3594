"""When the gate lets one job through, for how long it is closed, and who starts next."""

from datetime import timedelta

import pytest

from dropscale.ledger.budget import Budget
from dropscale.ledger.gate import Gate
from dropscale.ledger.states import WaitReason
from dropscale.ledger.store import Change, LedgerConflict, SlotsTaken
from dropscale.magichour import errors
from tests.fakes import png
from tests.world import PLENTY, World

REFUSED = errors.Throttled("POST /v1/ai-image-upscaler", status=429)
MINUTE = timedelta(minutes=1)


def closed(
    world: World, reason: WaitReason, strikes: int = 1, *, is_asked: bool = False, left: int = 1
) -> Gate:
    """Close the gate for so many minutes more."""
    until = world.clock() + left * MINUTE
    fields = {"reason": reason, "strikes": strikes, "is_asked": is_asked, "until": until}
    gate = Gate.model_validate({"is_open": False, "seq": 1, **fields})
    world.ledger.gate_record = gate
    return gate


def known_gate(world: World) -> Gate:
    gate = world.ledger.gate()
    assert gate is not None
    return gate


def wait(world: World, images: int) -> None:
    """Drop images while there is no place for any."""
    world.set_slots(0)
    for shade in range(images):
        world.drop(f"{shade}.png", png(shade=shade))
    world.clock.advance(seconds=1)


@pytest.mark.parametrize(
    ("earlier", "asked", "seconds"),
    [(0, None, 30), (1, None, 60), (9, None, 900), (0, 0, 1.5), (0, 600, 600.5), (0, 1e9, 900.5)],
)
def test_the_gate_is_closed_as_asked_or_for_longer_each_time_within_bounds(
    world: World, earlier: int, asked: float | None, seconds: float
) -> None:
    closed(world, WaitReason.THROTTLED, earlier)
    error = errors.Throttled("POST", status=429, retry_after=asked)

    world.gate.close(WaitReason.THROTTLED, error)

    gate = known_gate(world)
    assert (gate.until - world.clock()).total_seconds() == seconds
    assert gate.is_asked is (asked is not None)


@pytest.mark.parametrize(
    ("reason", "strikes", "is_asked", "left", "is_free", "strikes_then"),
    [
        (WaitReason.THROTTLED, 2, False, 0, False, 2),
        (WaitReason.THROTTLED, 2, True, 0, True, 2),
        (WaitReason.THROTTLED, 2, False, 1, False, None),
        (WaitReason.THROTTLED, 2, False, 1, True, 1),
        (WaitReason.THROTTLED, 2, True, 1, True, None),
        (WaitReason.ACCOUNT, 1, False, 1, True, None),
        (WaitReason.ACCOUNT, 1, False, 0, False, 1),
        (WaitReason.UNREADABLE, 1, False, 1, True, 1),
        (WaitReason.UNREADABLE, 1, False, 1, False, None),
        (WaitReason.UNREADABLE, 1, True, 1, True, None),
        (WaitReason.UNREADABLE, 2, False, 1, True, None),
        (WaitReason.UNREADABLE, 2, False, 0, False, 2),
    ],
)
def test_one_is_let_through_once_its_time_is_up_or_a_place_is_free_and_nobody_asked_to_wait(
    world: World,
    reason: WaitReason,
    strikes: int,
    is_asked: bool,
    left: int,
    is_free: bool,
    strikes_then: int | None,
) -> None:
    gate = closed(world, reason, strikes, is_asked=is_asked, left=left)

    probe = world.gate.due_probe(place_is_free=is_free)

    assert (probe and probe.strikes) == strikes_then
    if probe is not None:
        is_asked_for_account = reason is WaitReason.UNREADABLE
        assert known_gate(world).seq == gate.seq + is_asked_for_account
        assert probe.seq == known_gate(world).seq + 1
        assert probe.until == world.clock() + 2 * MINUTE


@pytest.mark.parametrize(
    ("running", "asked", "is_closed", "probed", "narrows"),
    [
        (2, None, None, None, True),
        (2, None, False, None, True),
        (2, None, True, None, False),
        (2, None, True, 0, True),
        (2, None, True, 1, False),
        (0, None, False, None, False),
        (2, 0.0, False, None, False),
    ],
)
def test_who_is_refused_waits_for_a_place_of_those_that_run_if_nobody_knows_better(
    world: World,
    running: int,
    asked: float | None,
    is_closed: bool | None,
    probed: int | None,
    narrows: bool,
) -> None:
    world.ledger.taken = running
    gate = closed(world, WaitReason.ACCOUNT)
    probe = gate.model_copy(update={"seq": gate.seq - (probed or 0)})
    world.ledger.gate_record = gate if is_closed else gate.open() if is_closed is False else None

    world.gate.hold_back(
        errors.Throttled("POST", status=429, retry_after=asked),
        probe if probed is not None else None,
    )

    after = known_gate(world)
    assert (after.is_open, after.places) == (narrows, running if narrows else None)
    assert after.seq == (world.ledger.gate_record.seq if world.ledger.gate_record else 1)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_place_less_is_written_down_also_where_others_write(world: World, failures: int) -> None:
    write, left = world.ledger.write, [LedgerConflict("overtaken")] * failures

    def overtaken(*changes: Change) -> None:
        if left:
            raise left.pop()
        write(*changes)

    world.ledger.write, world.ledger.taken = overtaken, 2  # type: ignore[method-assign]
    world.gate.hold_back(REFUSED, None)

    assert (known_gate(world).is_open, known_gate(world).places) == (True, 2)


@pytest.mark.parametrize("starter", ["start_next", "sweep"])
def test_through_a_closed_gate_whose_time_is_up_the_first_that_is_wanted_goes_then_others(
    world: World, starter: str
) -> None:
    wait(world, 3)
    oldest = min(world.ledger.jobs.values(), key=lambda job: (job.due, job.fingerprint))
    world.ledger.attachments[oldest.fingerprint].clear()  # nobody wants it
    world.set_slots(3)
    closed(world, WaitReason.THROTTLED, left=0)
    world.clock.advance(seconds=1)

    if starter == "sweep":
        assert world.sweep()["started"] == 2
    else:
        assert world.start.start_next(lambda: PLENTY) == 2

    assert known_gate(world).is_open


@pytest.mark.parametrize("starter", ["start_next", "sweep"])
def test_nobody_overtakes_who_waits_for_the_budget(world: World, starter: str) -> None:
    world.put("dear.png.yaml", "scale_factor: 4")
    world.set_slots(0)
    world.drop("dear.png", png(shade=1))
    world.clock.advance(seconds=1)
    world.drop("cheap.png", png(shade=2))
    world.clock.advance(seconds=1)
    world.budget = Budget(daily=100)
    world.set_slots(3)

    if starter == "sweep":
        assert not world.sweep().get("started")
    else:
        assert world.start.start_next(lambda: PLENTY) == 0

    assert world.upscaler.creates == []


def test_no_claim_is_made_for_which_there_is_no_place(world: World) -> None:
    wait(world, 3)
    world.set_slots(1)
    write, refused = world.ledger.write, []

    def note_refusals(*changes: Change) -> None:
        try:
            write(*changes)
        except SlotsTaken:
            refused.append(changes)
            raise

    world.ledger.write = note_refusals  # type: ignore[method-assign]

    assert world.start.start_next(lambda: PLENTY) == 1
    assert world.start.start_next(lambda: PLENTY) == 0
    assert refused == []


def test_no_image_is_read_again_while_the_gate_is_closed(world: World) -> None:
    wait(world, 2)
    world.clock.advance(days=8)  # Their bytes are no longer at the vendor.
    closed(world, WaitReason.THROTTLED, left=1)

    assert not world.sweep().get("started")

    assert world.queue.keys == []


def test_no_more_run_than_may_however_many_ran_at_the_last_refusal(world: World) -> None:
    world.ledger.taken = 4
    world.gate.hold_back(REFUSED, None)
    world.ledger.taken = 0
    world.set_slots(1)
    for shade in range(2):
        world.drop(f"{shade}.png", png(shade=shade))

    assert len(world.upscaler.creates) == 1


def test_who_has_closed_it_since_knows_better_than_who_was_let_in_before(world: World) -> None:
    probe = closed(world, WaitReason.THROTTLED)
    world.gate.close(WaitReason.ACCOUNT, REFUSED)
    gate = known_gate(world)

    for probed in (probe, None):
        world.gate.end_probe(probed, 1.0)
    world.gate.widen(3)

    assert known_gate(world) == gate


def test_nothing_opens_a_gate_that_the_vendor_closed_while_there_is_no_job(world: World) -> None:
    gate = closed(world, WaitReason.THROTTLED)
    world.sweep(minutes=2)

    assert known_gate(world) == gate
