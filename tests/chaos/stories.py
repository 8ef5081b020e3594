"""Stories of a vendor and a world that misbehave, drawn by seed, for the outside judge."""

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

from dropscale.ledger.budget import Budget
from dropscale.ledger.jobs import Parameters
from dropscale.upscaler import Mode, ProjectStatus
from tests.chaos.judge import Judge, Wish
from tests.chaos.misbehaviour import ACCOUNT_TROUBLES, CREATES, DOWNLOADS, LOOKS, WELL, Fault
from tests.chaos.outside_calls import STALL_SECONDS, Mishap
from tests.chaos.scenarios import Put
from tests.chaos.simulated_stack import Mishaps, Setting, SimulatedStack
from tests.chaos.vendor import Plan, Spell, Trouble, Vendor
from tests.chaos.webhooks import Webhooks
from tests.fakes import Clock, png

_T = TypeVar("_T")

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_KINDS = ("create", "project", "download", "upload", "account")

_USUAL = Parameters(scale_factor=2, mode=Mode.BALANCED)
_FINE = Parameters(scale_factor=2, mode=Mode.PRESERVE)
_LARGE = Parameters(scale_factor=4, mode=Mode.BALANCED)
RENDITIONS = b"renditions: [{style: {mode: preserve}}, {scale_factor: 4}]", [_FINE, _LARGE]
_SIDECARS: Sequence[tuple[bytes | None, Sequence[Parameters]]] = (
    (None, [_USUAL]),
    (None, [_USUAL]),
    (None, [_USUAL]),
    (b"scale_factor: 4", [_LARGE]),
    RENDITIONS,
    (b"renditions: [{output: {format: png}}, {output: {format: jpeg}}]", [_USUAL]),
    (b"download_outputs: false", [_USUAL]),
    (b"wait_for_completion: false", [_USUAL]),
)


@dataclass(frozen=True)
class Story:
    """What people drop, and how vendor and world misbehave meanwhile; the same every time."""

    seed: int
    puts: Sequence[Put]
    wishes: Sequence[Wish]
    setting: Setting = field(default_factory=Setting)
    replies: Sequence[Fault] = ()
    plans: Sequence[Plan] = ()
    troubles: Sequence[Trouble] = ()
    at_calls: Sequence[tuple[int, Mishap]] = ()
    late_looks: Sequence[tuple[int, float]] = ()
    repeated: Sequence[tuple[int, float]] = ()
    rerun: Sequence[tuple[int, float]] = ()
    forgets: Sequence[tuple[float, str]] = ()
    """When a person forgets which image, as far as that is allowed then."""

    def judge(self) -> Judge:
        """Play it up to the last put; return its judge."""
        vendor = Vendor(Clock(), iter(self.replies), iter(self.plans), troubles=self.troubles)
        mishaps = Mishaps(
            dict(self.at_calls), dict(self.late_looks), dict(self.repeated), dict(self.rerun)
        )
        stack = SimulatedStack(vendor, self.setting, self.seed, mishaps)
        for put in self.puts:
            stack.happen(put.at, partial(stack.put, put.key, put.body))
        for at, key in self.forgets:
            stack.happen(at, partial(stack.forget, key))
        return Judge(stack, self.wishes)

    def violations(self) -> list[str]:
        """Play it; return what the judge finds."""
        return self.judge().verdict()

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.setting.slots} slots, {self.setting.sweeps} sweeps"]
        lines += [f"  webhooks: {self.setting.webhooks}"] * bool(self.setting.webhooks)
        lines += [f"  at {put.at:.0f} s: {put.key} {_shown(put.body)}" for put in self.puts]
        told = (f for f in fields(self) if f.name not in {"seed", "puts", "wishes", "setting"})
        lines += [
            f"  {f.name}: {', '.join(map(_told, getattr(self, f.name)))}"
            for f in told
            if getattr(self, f.name)
        ]
        return "\n".join(lines)


def drawn(seed: int) -> Story:
    """Draw a story; it has something of everything now and then, and never much of all."""
    chance = random.Random(seed)
    puts, wishes = _dropped(chance)
    webhooks = _webhooks(random.Random(-seed))
    late = (30.0, 5 * _MINUTE, 2 * _HOUR, 3 * _DAY)
    return Story(
        seed,
        puts,
        wishes,
        Setting(
            slots=chance.choice((1, 3)),
            budget=chance.choice((Budget(), Budget(), Budget(daily=250))),
            sweeps=chance.choice((1, 1, 2)),
            webhooks=webhooks,
        ),
        replies=[_sometimes(chance, 0.4, CREATES.values(), WELL) for _ in range(6)],
        plans=[_plan(chance) for _ in range(6)],
        troubles=[_trouble(chance) for _ in range(chance.choice((0, 0, 0, 1, 2)))],
        at_calls=[
            (_number(chance, 400), chance.choice(list(Mishap)))
            for _ in range(chance.choice((0, 0, 0, 1, 2)))
        ],
        late_looks=[
            (_number(chance, 20), chance.choice((20.0, 44.0, STALL_SECONDS, 2 * _HOUR)))
            for _ in range(chance.choice((0, 1, 2)))
        ],
        repeated=[
            (_number(chance, 40), chance.choice((1.0, *late)))
            for _ in range(chance.choice((0, 0, 1, 2, 3)))
        ],
        rerun=[(_number(chance, 5), chance.choice(late)) for _ in range(chance.choice((0, 0, 1)))],
    )


def drawn_with_forgetting(seed: int) -> Story:
    """Draw a story in which people also have the vendor's copies of results deleted."""
    story, chance = drawn(seed), random.Random(f"forget {seed}")
    last = max(put.at for put in story.puts)
    forgets = [
        (chance.choice((60.0, 0.5 * _HOUR, _DAY, last, last + 30, last + _HOUR)), wish.key)
        for wish in chance.choices(story.wishes, k=chance.choice((1, 2, 4)))
    ]
    return replace(story, forgets=forgets)


def _webhooks(chance: random.Random) -> Webhooks | None:
    """Draw how events come: to half of the stories none do, to most others all, at some time."""
    if chance.random() < 0.5:
        return None
    return Webhooks(
        lost=chance.choice((0.0, 0.0, 0.0, 0.5)),
        late=chance.choice((0.0, 0.3)),
        latest=chance.choice((30.0, _HOUR, 23 * _HOUR)),
        repeated=chance.choice((0.0, 0.3)),
        skipped=chance.choice((0.0, 0.5)),
        forged=chance.choice((0.0, 0.5)),
    )


def wish_of(
    key: str, image: bytes, spec: bytes = b"", wanted: Sequence[Parameters] = (_USUAL,)
) -> Wish:
    """Return what is to come of an image whose sidecar asks for upscales with these parameters."""
    sha256 = hashlib.sha256(image).hexdigest()
    names = [parameters.fingerprint(sha256) for parameters in wanted]
    return Wish(key, names, b"download_outputs" in spec, b"wait_for_completion" in spec)


def shortest(story: Story) -> Story:
    """Return the story without all that its violations do not need."""
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for shorter in _shorter(story):
            if shorter.violations():
                story, is_shorter = shorter, True
                break
    return story


def _dropped(chance: random.Random) -> tuple[list[Put], list[Wish]]:
    """Draw images; some are the same bytes, some are dropped once more, at any time."""
    shades = [chance.randrange(250) for _ in range(chance.choice((1, 1, 2, 3)))]
    puts: list[Put] = []
    wishes: list[Wish] = []
    for number in range(chance.choice((1, 2, 2, 3, 4))):
        key, image = f"{number}.png", png(shade=chance.choice(shades))
        spec, wanted = chance.choice(_SIDECARS)
        at = chance.choice((0.0, 2.0, 40.0, 10 * _MINUTE, 3 * _HOUR, 2 * _DAY, 9 * _DAY))
        if spec is not None:
            puts.append(Put(f"{key}.yaml", spec, at))
        times = [at] + [at + chance.choice((1.0, _HOUR, 30 * _HOUR, 8 * _DAY))] * (
            chance.random() < 0.3
        )
        puts += [Put(key, image, time) for time in times]
        wishes.append(wish_of(key, image, spec or b"", wanted))
    return puts, wishes


def _plan(chance: random.Random) -> Plan:
    verdicts = [ProjectStatus.COMPLETE] * 8 + [ProjectStatus.ERROR, ProjectStatus.CANCELED]
    seconds = chance.choice((22.0, 22.0, 22.0, 10 * _MINUTE, 2 * _HOUR, 3 * _DAY))
    if chance.random() < 0.1:
        seconds = chance.uniform(8 * _DAY, 30 * _DAY)
    return Plan(
        seconds,
        chance.choice(verdicts),
        refunds=chance.random() < 0.8,
        looks=_spells(chance, list(LOOKS.values()), seconds),
        downloads=_spells(chance, list(DOWNLOADS.values()), seconds),
        gone=seconds + chance.choice((_MINUTE, 2 * _DAY)) if chance.random() < 0.05 else None,
    )


def _spells(chance: random.Random, faults: Sequence[Fault], seconds: float) -> list[Spell]:
    """Draw spells that begin with the project, or when it ends."""
    return [
        Spell(chance.choice(faults), chance.choice((0.0, seconds, seconds + 40)), _while(chance))
        for _ in range(chance.choice((0, 0, 1, 1, 2)))
    ]


def _trouble(chance: random.Random) -> Trouble:
    kinds = chance.choice((_KINDS, ("create",), ("project",), ("account", "create"), ("upload",)))
    fault = chance.choice(list(ACCOUNT_TROUBLES.values()))
    seconds = min(_while(chance), 3 * _HOUR)
    return Trouble(kinds, Spell(fault, chance.choice((0.0, 10.0, 60.0, _HOUR)), seconds))


def _while(chance: random.Random) -> float:
    if chance.random() < 0.05:
        return 6 * _DAY
    return chance.choice((30.0, 3 * _MINUTE, 40 * _MINUTE, 3 * _HOUR, 3 * _HOUR, 30 * _HOUR))


def _number(chance: random.Random, most: int) -> int:
    """Draw a number from 1 to `most`, the small ones more often: most happens early."""
    return int(math.exp(chance.uniform(0, math.log(most))))


def _sometimes(chance: random.Random, share: float, odd: Any, usual: _T) -> _T:
    found: _T = chance.choice(list(odd)) if chance.random() < share else usual
    return found


def _shorter(story: Story) -> Iterator[Story]:
    """Yield stories with one thing less."""
    for name in ("troubles", "at_calls", "late_looks", "repeated", "rerun", "forgets"):
        for less in _without_one(getattr(story, name)):
            changes: dict[str, Any] = {name: less}
            yield replace(story, **changes)
    for wish in story.wishes:
        left = [put for put in story.puts if put.key not in {wish.key, f"{wish.key}.yaml"}]
        yield replace(story, puts=left, wishes=[w for w in story.wishes if w is not wish])
    keys = [put.key for put in story.puts]
    for index, put in enumerate(story.puts):
        if put.key in keys[:index]:
            yield replace(story, puts=[*story.puts[:index], *story.puts[index + 1 :]])
    for index, fault in enumerate(story.replies):
        if fault is not WELL:
            yield replace(story, replies=_with(story.replies, index, WELL))
    for index, plan in enumerate(story.plans):
        for simpler in _simpler(plan):
            yield replace(story, plans=_with(story.plans, index, simpler))
    for setting in _simpler_settings(story.setting):
        yield replace(story, setting=setting)


def _simpler_settings(setting: Setting) -> Iterator[Setting]:
    if setting.sweeps > 1:
        yield replace(setting, sweeps=1)
    if setting.budget != Budget():
        yield replace(setting, budget=Budget())
    if setting.webhooks is not None:
        yield replace(setting, webhooks=None)
        if setting.webhooks != Webhooks():
            yield replace(setting, webhooks=Webhooks())


def _simpler(plan: Plan) -> Iterator[Plan]:
    if plan != Plan():
        yield Plan()
    for name in ("looks", "downloads"):
        for less in _without_one(getattr(plan, name)):
            changes: dict[str, Any] = {name: less}
            yield replace(plan, **changes)
    if plan.gone is not None:
        yield replace(plan, gone=None)
    if not plan.refunds:
        yield replace(plan, refunds=True)
    if plan.seconds != Plan().seconds:
        yield replace(plan, seconds=Plan().seconds)


def _without_one(things: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for index in range(len(things)):
        yield [*things[:index], *things[index + 1 :]]


def _with(things: Sequence[_T], index: int, thing: _T) -> Sequence[_T]:
    return [*things[:index], thing, *things[index + 1 :]]


def _told(thing: Any) -> str:
    if isinstance(thing, tuple):
        return " ".join(map(str, thing))
    if not isinstance(thing, Plan):
        return str(thing)
    facts = [f"{thing.verdict} after {thing.seconds:.0f} s", *map(str, thing.looks)]
    facts += map(str, thing.downloads)
    if not thing.refunds:
        facts.append("no refund")
    if thing.gone is not None:
        facts.append(f"gone after {thing.gone:.0f} s")
    return "well" if thing == Plan() else f"<{'; '.join(facts)}>"


def _shown(body: bytes | None) -> str:
    if body is None:
        return "deleted"
    is_image = body.startswith(b"\x89PNG")
    return f"image {hashlib.sha256(body).hexdigest()[:6]}" if is_image else body.decode()
