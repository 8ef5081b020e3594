"""By the vendor's book, whatever happens: paid results are delivered once and announced."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import combinations_with_replacement
from unittest.mock import Mock

import pytest

from dropscale.upscaler import PLACES, ProjectStatus
from tests.chaos.deployment import parameter
from tests.chaos.judge import Judge
from tests.chaos.misbehaviour import ACCOUNT_TROUBLES, CREATES, DOWNLOADS, LOOKS, LOST, WELL, Fault
from tests.chaos.scenarios import Put
from tests.chaos.simulated_stack import Setting, SimulatedStack
from tests.chaos.stories import RENDITIONS, Story, drawn, drawn_with_forgetting, wish_of
from tests.chaos.vendor import Entry, Plan, Spell, Trouble, Vendor
from tests.chaos.webhooks import Webhooks
from tests.fakes import Clock, png

SEED = int(os.environ.get("CHAOS_SEED", "1"))
STORIES = 12
"""`make chaos` plays more."""

_DAY = 86_400.0
_SLOTS = PLACES["creator"]
_DEADLINE = timedelta(seconds=parameter("JobDeadlineSeconds"))
_SWEEP = timedelta(minutes=15)
"""By then a sweep has come: where nothing changes, the simulated schedule is a slow one."""


_FATES = {
    "delivered": (WELL, Plan()),
    "lost": (CREATES["answer lost"], Plan()),
    "unpaid": (CREATES["page with 401"], Plan()),
    "error": (WELL, Plan(verdict=ProjectStatus.ERROR)),
    "kept": (WELL, Plan(verdict=ProjectStatus.ERROR, refunds=False)),
    "canceled": (WELL, Plan(verdict=ProjectStatus.CANCELED)),
    "late": (WELL, Plan(60 * _DAY)),
    "gone": (WELL, Plan(gone=23.0)),
    "refused": (CREATES["422"], Plan()),
}
"""What may become of a rendition: the answer to its create, and its project's way."""


def judge_of(vendor: Vendor, images: Sequence[bytes] = (png(),), every: float = 1.0) -> Judge:
    """Drop images, `every` so many seconds; return the judge of what comes of them."""
    stack = SimulatedStack(vendor, seed=SEED)
    for number, image in enumerate(images):
        stack.happen(number * every, partial(stack.put, f"{number}.png", image))
    return Judge(stack, [wish_of(f"{number}.png", image) for number, image in enumerate(images)])


@pytest.mark.parametrize("seed", range(SEED, SEED + STORIES))
def test_no_story_of_misbehaviour_breaks_a_promise(seed: int) -> None:
    assert drawn(seed).violations() == []


@pytest.mark.parametrize("seed", range(12, 28))
def test_no_deletion_at_the_vendor_loses_a_result(seed: int) -> None:
    assert drawn_with_forgetting(seed).violations() == []


@pytest.mark.parametrize("fault", CREATES.values(), ids=str)
def test_no_answer_to_a_create_breaks_a_promise(fault: Fault) -> None:
    vendor = Vendor(Clock(), replies=iter([WELL, fault]))
    judge = judge_of(vendor, [png(shade=9), png(), png()], every=3600)

    assert judge.verdict() == []


@pytest.mark.parametrize("hours", [0.05, 30])
@pytest.mark.parametrize("fault", [*LOOKS.values(), *DOWNLOADS.values()], ids=str)
def test_what_passes_is_waited_for(fault: Fault, hours: float) -> None:
    spell = [Spell(fault, 0, hours * 3600)]
    plan = Plan(downloads=spell) if fault in DOWNLOADS.values() else Plan(looks=spell)
    judge = judge_of(Vendor(Clock(), plans=iter([plan])))

    assert judge.verdict() == []
    assert judge.commands == []


@pytest.mark.parametrize("fault", ACCOUNT_TROUBLES.values(), ids=str)
def test_trouble_with_the_account_passes(fault: Fault) -> None:
    kinds = ("create", "project", "download", "upload", "account")
    vendor = Vendor(Clock(), troubles=[Trouble(kinds, Spell(fault, 0, 3600))])
    judge = judge_of(vendor, [png(), png(shade=9)], every=1800)

    assert judge.verdict() == []


@pytest.mark.parametrize("days", [1, 8, 30])
def test_a_late_result_comes_by_itself(days: int) -> None:
    judge = judge_of(Vendor(Clock(), plans=iter([Plan(days * _DAY)])))

    assert judge.verdict() == []
    assert judge.commands == []


def test_a_result_that_comes_later_still_is_there_for_who_asks() -> None:
    judge = judge_of(Vendor(Clock(), plans=iter([Plan(60 * _DAY)])))

    assert judge.verdict() == []
    assert judge.commands == ["retry 0.png"]


@pytest.mark.parametrize("fault", LOOKS.values(), ids=str)
def test_a_slot_comes_back_at_the_deadline_whatever_the_looks_say(fault: Fault) -> None:
    plan = Plan(2 * _DAY, looks=[Spell(fault, 0, 3 * _DAY)])
    vendor = Vendor(Clock(), plans=iter([plan] * _SLOTS))
    judge = judge_of(vendor, [png(shade=number) for number in range(_SLOTS + 1)])

    judge.stack.settle(_DEADLINE + _SWEEP)

    *_, last = vendor.book.values()
    assert len(vendor.book) == _SLOTS + 1
    assert last.created_at - vendor.begin <= _DEADLINE + _SWEEP
    assert judge.verdict() == []


def test_nothing_is_created_where_nobody_knows_who_answers() -> None:
    page = CREATES["page with 403"]
    vendor = Vendor(
        Clock(),
        replies=iter([page]),
        troubles=[Trouble(["account"], Spell(ACCOUNT_TROUBLES["page with 403"], 0, 3 * 3600))],
    )
    judge = judge_of(vendor, [png(), png(shade=9)], every=300)

    judge.stack.settle(timedelta(hours=3))
    assert vendor.book == {}

    assert judge.verdict() == []
    assert len(vendor.book) == 1


def test_a_verdict_that_comes_late_ends_no_later_project() -> None:
    lazy, image = b"wait_for_completion: false", png()
    story = Story(
        SEED,
        puts=[
            Put("0.png.yaml", lazy),
            Put("0.png", image),
            Put("1.png", image, at=400),
            Put("2.png", image, at=2000),
        ],
        wishes=[wish_of("0.png", image, lazy), wish_of("1.png", image), wish_of("2.png", image)],
        plans=[Plan(verdict=ProjectStatus.ERROR), Plan(3000)],
        late_looks=[(1, 900.0)],
    )
    judge = story.judge()

    assert judge.verdict() == []
    assert len(judge.stack.vendor.book) == 2


@pytest.mark.parametrize("fault", LOOKS.values(), ids=str)
def test_who_wants_urls_gets_what_another_drop_got_where_there_are_none(fault: Fault) -> None:
    links, image = b"download_outputs: false", png()
    story = Story(
        SEED,
        puts=[Put("0.png", image), Put("1.png.yaml", links, at=9e3), Put("1.png", image, at=9e3)],
        wishes=[wish_of("0.png", image), wish_of("1.png", image, links)],
        plans=[Plan(looks=[Spell(fault, 600, 10_800)])],
    )

    assert story.violations() == []


@pytest.mark.parametrize("again", [None, 9e3])
@pytest.mark.parametrize("fates", [*combinations_with_replacement(_FATES, 2)], ids="+".join)
def test_who_follows_a_manifest_gets_every_rendition(
    fates: Sequence[str], again: float | None
) -> None:
    spec, wanted = RENDITIONS
    wish = partial(wish_of, image=png(), spec=spec, wanted=wanted)
    times = {"0.png": 0.0} if again is None else {"0.png": 0.0, "1.png": again}
    story = Story(
        SEED,
        puts=[
            put
            for key, at in times.items()
            for put in (Put(f"{key}.yaml", spec, at), Put(key, png(), at))
        ],
        wishes=[wish(key) for key in times],
        replies=[_FATES[fate][0] for fate in fates],
        plans=[plan for fault, plan in map(_FATES.__getitem__, fates) if fault.makes],
    )

    assert story.violations() == []


@pytest.mark.parametrize("is_received", [True, False])
def test_a_lost_answer_settles_itself_or_the_judge_finds_it(is_received: bool) -> None:
    vendor = Vendor(Clock(), replies=iter([LOST]))
    stack = SimulatedStack(vendor, Setting(webhooks=Webhooks(repeated=0.5, forged=1.0)), SEED)
    if not is_received:
        stack.world.receive_event = Mock(return_value=0)
    stack.happen(0, partial(stack.put, "0.png", png()))
    judge = Judge(stack, [wish_of("0.png", png())])

    told = [] if is_received else ["0.png: unknown, and project-1 is told"]
    assert judge.verdict() == told
    assert (judge.commands == []) is is_received
    assert len(vendor.book) == 1


def _lose_the_manifest(stack: SimulatedStack) -> None:
    stack.results.manifests.clear()


def _spoil_the_output(stack: SimulatedStack) -> None:
    ((key, (_, labels)),) = stack.results.outputs.items()
    stack.results.outputs[key] = (b"another image", labels)


def _leak_a_slot(stack: SimulatedStack) -> None:
    stack.ledger.taken += 1


def _leak_credits(stack: SimulatedStack) -> None:
    stack.ledger.credits["day#2026-11-23"] += 1


def _pay_again(stack: SimulatedStack) -> None:
    (entry,) = stack.vendor.book.values()
    stack.vendor.book["project-2"] = Entry("project-2", entry.name, 50, stack.clock.now, Plan())


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (_lose_the_manifest, "0.png: silence, it has no manifest"),
        (_spoil_the_output, "0.png: project-1 is paid for and complete, but delivered"),
        (_leak_a_slot, "1 slots are taken, and nothing runs"),
        (_leak_credits, "51 credits are counted in all day#, 50 are charged"),
        (_pay_again, "paid twice: project-1"),
    ],
)
def test_the_judge_finds_what_is_broken(harm: Callable[[SimulatedStack], None], found: str) -> None:
    judge = judge_of(Vendor(Clock()))
    assert judge.verdict() == []

    harm(judge.stack)

    assert any(violation.startswith(found) for violation in judge.verdict())
