"""What people drop and what the vendor does, and how each image may end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from dropscale.ledger.budget import Budget
from dropscale.ledger.owner import Owner
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Change, SaveJob
from dropscale.pipeline.parts.follow import Timing
from dropscale.upscaler import ProjectStatus
from tests.chaos.invariants import violations
from tests.chaos.misbehaviour import LOST, THROTTLED, UNAUTHORIZED, UNAVAILABLE, Fault
from tests.chaos.outside_calls import Mishap
from tests.chaos.simulated_stack import Mishaps, Setting, SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.chaos.webhooks import Webhooks
from tests.fakes import Clock, png

_REST = timedelta(days=10)
"""Beyond the seven days for which the sweeper looks at a project without a verdict."""

_DELIVERED = frozenset({DropState.DELIVERED})
_HOUR = 3600.0
_NAMED = b"output: {name: '{stem}{ext}'}"
_TWO_FILES = b"renditions: [{output: {format: png}}, {output: {format: jpeg}}]"
_TWO_RENDITIONS = b"renditions: [{style: {mode: preserve}}, {scale_factor: 4}]"


@dataclass(frozen=True)
class Put:
    """An object that is put into the input bucket, `at` seconds from the start, or deleted."""

    key: str
    body: bytes | None
    at: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """A story. An image in `ends` may end so, or `unknown` where an answer was truly lost."""

    name: str
    puts: Sequence[Put]
    ends: Mapping[str, frozenset[DropState]]
    replies: Sequence[Fault] = ()
    plans: Sequence[Plan] = ()
    setting: Setting = field(default_factory=Setting)
    owners: Mapping[float, str] = field(default_factory=dict)
    """Which stacks take the ledger over, by the seconds from the start; "stack" is the one here."""


@dataclass(frozen=True)
class Run:
    """What came of a scenario: the outside calls that were made, and what does not hold."""

    calls: Sequence[str]
    violations: Sequence[str]
    unknown: int


def play(scenario: Scenario, seed: int, mishaps: Mapping[int, Mishap]) -> Run:
    """Play a scenario to its rest with these mishaps, by the number of the outside call."""
    vendor = Vendor(Clock(), iter(scenario.replies), iter(scenario.plans))
    stack = SimulatedStack(vendor, scenario.setting, seed, Mishaps(mishaps))
    for put in scenario.puts:
        stack.time.after(put.at, partial(stack.put, put.key, put.body))
    trespasses: list[str] = []
    stack.ledger.watch = partial(_watch_claims, stack, trespasses)
    for at, owner in scenario.owners.items():
        stack.happen(at, partial(_hand_over, stack, owner))
    found = [] if stack.settle(_REST) else ["it never comes to rest"]
    found += violations(stack, _allowed(scenario, mishaps))
    found += trespasses
    unknown = sum(drop.state is DropState.UNKNOWN for drop in stack.ledger.drops.values())
    return Run(stack.calls.made, found, unknown)


def _hand_over(stack: SimulatedStack, owner: str) -> None:
    now, ledger = stack.clock.now, stack.ledger
    before = ledger.owner_record or Owner(stack_id="stack", since=now, seq=0)
    ledger.owner_record = before.hand_over(owner, now)
    stack.wake()


def _watch_claims(stack: SimulatedStack, trespasses: list[str], change: Change) -> None:
    """Note each claim that this stack makes in a ledger that is another's."""
    if not isinstance(change, SaveJob) or change.job.state is not JobState.SUBMITTING:
        return
    owner = stack.ledger.owner_record
    if owner is None or owner.stack_id != "stack":
        trespasses.append(f"job {change.job.fingerprint[:8]} is claimed in another's ledger")


def _allowed(
    scenario: Scenario, mishaps: Mapping[int, Mishap]
) -> Mapping[str, frozenset[DropState]]:
    """Return how images may end: an error of AWS that nobody repeats makes them fail, too."""
    if Mishap.ANSWER_LOST not in mishaps.values():
        return scenario.ends
    return {key: states | {DropState.FAILED} for key, states in scenario.ends.items()}


_BATCH = b"batch: spring"

SCENARIOS: Sequence[Scenario] = (
    Scenario("one drop", [Put("a.png", png())], {"a.png": _DELIVERED}),
    Scenario(
        "an event that comes twice",
        [Put("a.png", png()), Put("a.png", png(), at=1)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "two drops of the same bytes",
        [Put("a.png", png()), Put("b.png", png(), at=1)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
    ),
    Scenario(
        "image before sidecar",
        [Put("a.png", png()), Put("a.png.yaml", b"scale_factor: 4", at=30)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "sidecar before image",
        [Put("a.png.yaml", b"scale_factor: 4"), Put("a.png", png(), at=2)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "two renditions",
        [Put("a.png.yaml", _TWO_RENDITIONS), Put("a.png", png(), at=2)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "two renditions through one slot",
        [Put("dropscale.yaml", _TWO_RENDITIONS), Put("a.png", png(), at=2)],
        {"a.png": _DELIVERED},
        setting=Setting(slots=1),
    ),
    Scenario(
        "another list of renditions while the first is on its way",
        [
            Put("a.png.yaml", _TWO_RENDITIONS),
            Put("a.png", png(), at=2),
            Put("a.png.yaml", b"renditions: [{scale_factor: 4}, {style: {mode: creative}}]", at=25),
        ],
        {"a.png": _DELIVERED},
        setting=Setting(slots=1),
    ),
    Scenario(
        "two files of one upscale, of two images with one name",
        [
            Put("dropscale.yaml", b"\n".join((_NAMED, _TWO_FILES))),
            Put("cat.jpg", png(), at=2),
            Put("cat.png", png(shade=9), at=2),
        ],
        dict.fromkeys(("cat.jpg", "cat.png"), _DELIVERED | {DropState.REJECTED}),
    ),
    Scenario(
        "a name that is given up while it renders, and that another image then wants",
        [
            Put("a.png", png()),
            Put("a.png.yaml", b"output: {name: 'x{ext}'}"),
            Put("a.png.yaml", b"output: {name: 'y{ext}'}", at=25),
            Put("b.png.yaml", b"output: {name: 'X{ext}'}", at=25),
            Put("b.png", png(shade=9), at=26),
        ],
        {"a.png": _DELIVERED, "b.png": _DELIVERED | {DropState.REJECTED}},
    ),
    Scenario(
        "refused by a later spec",
        [Put("a.png", png()), Put("a.png.yaml", b"scale_factor: 3", at=18)],
        {"a.png": _DELIVERED | {DropState.REJECTED}},
    ),
    Scenario(
        "an image elsewhere, asked for twice",
        [
            Put("a.yaml", b"assets: {image_file_path: 'https://a.example.com/a.png?signed=1'}"),
            Put("b.yaml", b"assets: {image_file_path: 'https://a.example.com/a.png'}", at=1),
        ],
        {"a.yaml": _DELIVERED, "b.yaml": _DELIVERED},
    ),
    Scenario(
        "overwritten image",
        [Put("a.png", png()), Put("a.png", png(shade=9), at=18)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "another folder while it renders",
        [Put("a.png", png()), Put("a.png.yaml", b"download_directory: best", at=25)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "another folder after the delivery",
        [Put("a.png", png()), Put("a.png.yaml", b"download_directory: best", at=2 * _HOUR)],
        {"a.png": _DELIVERED},
    ),
    Scenario(
        "deleted while it is submitted",
        [Put("a.png", png()), Put("a.png", None, at=19)],
        {"a.png": frozenset({DropState.DELIVERED, DropState.CANCELED})},
    ),
    Scenario(
        "the vendor ends it in error; dropped again an hour later",
        [Put("a.png", png()), Put("b.png", png(), at=_HOUR)],
        {"a.png": frozenset({DropState.FAILED, DropState.DELIVERED}), "b.png": _DELIVERED},
        plans=[Plan(verdict=ProjectStatus.ERROR)],
    ),
    Scenario(
        "the vendor cancels it",
        [Put("a.png", png())],
        {"a.png": frozenset({DropState.CANCELED})},
        plans=[Plan(verdict=ProjectStatus.CANCELED)],
    ),
    Scenario(
        "throttled twice",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=1)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        replies=[THROTTLED] * 2,
    ),
    Scenario(
        "the key is refused",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=1)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        replies=[UNAUTHORIZED] * 2,
    ),
    Scenario(
        "unavailable",
        [Put("a.png", png())],
        {"a.png": _DELIVERED},
        replies=[UNAVAILABLE] * 2,
    ),
    Scenario(
        "the answer is lost",
        [Put("a.png", png()), Put("b.png", png(), at=_HOUR)],
        {"a.png": frozenset(), "b.png": frozenset()},
        replies=[LOST],
    ),
    Scenario(
        "the answer is lost, and events name the project",
        [Put("a.png", png()), Put("b.png", png(), at=_HOUR)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        replies=[LOST],
        setting=Setting(webhooks=Webhooks(late=0.3, repeated=0.3)),
    ),
    Scenario(
        "past its deadline",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=30)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        plans=[Plan(900)],
        setting=Setting(slots=1, timing=Timing(15, 450)),
    ),
    Scenario(
        "nobody waits for it",
        [Put("a.png.yaml", b"wait_for_completion: false"), Put("a.png", png(), at=2)],
        {"a.png": frozenset({DropState.SUBMITTED})},
    ),
    Scenario(
        "one slot for two",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=1)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        setting=Setting(slots=1),
    ),
    Scenario(
        "a budget for one a day",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=1)],
        {"a.png": _DELIVERED, "b.png": _DELIVERED},
        setting=Setting(budget=Budget(daily=50), start=datetime(2026, 11, 23, 23, 50, tzinfo=UTC)),
    ),
    Scenario(
        "another stack has the ledger for a while, and gives it back",
        [Put("a.png", png()), Put("b.png", png(shade=9), at=1), Put("c.png", png(shade=5), at=90)],
        dict.fromkeys(("a.png", "b.png", "c.png"), _DELIVERED),
        setting=Setting(slots=1),
        owners={17.0: "another", 1200.0: "stack"},
    ),
    Scenario(
        "a batch, and one that comes after its settlement",
        [
            Put("b/dropscale.yaml", _BATCH),
            Put("b/a.png", png(), at=5),
            Put("b/text.png", b"no image", at=6),
            Put("b/c.png", png(), at=_HOUR),
        ],
        {
            "b/a.png": _DELIVERED,
            "b/text.png": frozenset({DropState.REJECTED}),
            "b/c.png": _DELIVERED,
        },
    ),
    Scenario(
        "a batch that an image leaves",
        [
            Put("b/dropscale.yaml", _BATCH),
            Put("b/a.png", png(), at=5),
            Put("b/dropscale.yaml", b"batch: summer", at=200),
            Put("b/a.png", png(), at=_HOUR),
        ],
        {"b/a.png": _DELIVERED},
    ),
)
