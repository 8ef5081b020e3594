"""All use cases composed on fakes."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from cachetools import TTLCache

from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, Rendition
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState
from dropscale.pipeline.check import Check
from dropscale.pipeline.deliver import Deliver
from dropscale.pipeline.fail import Fail
from dropscale.pipeline.forget import Forget
from dropscale.pipeline.parts.accept import AcceptDrop
from dropscale.pipeline.parts.account import AskForAccount
from dropscale.pipeline.parts.adopt import AdoptProject
from dropscale.pipeline.parts.advance import AdvanceDrop
from dropscale.pipeline.parts.decline import DeclineDrop
from dropscale.pipeline.parts.evaluate import EvaluateDrop
from dropscale.pipeline.parts.execution import CaughtError, ErrorReport, ExecutionState
from dropscale.pipeline.parts.finish import FinishResult
from dropscale.pipeline.parts.follow import FollowJob, Timing
from dropscale.pipeline.parts.gate import GateKeeper
from dropscale.pipeline.parts.locate import LocateDrop, noting_images
from dropscale.pipeline.parts.look import LookAtProject
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.ownership import Ownership
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.pipeline.parts.publish import PublishOutput
from dropscale.pipeline.parts.settle_batches import SettleBatch
from dropscale.pipeline.parts.spec_resolver import SpecResolver
from dropscale.pipeline.parts.start import StartJob, StartPolicy
from dropscale.pipeline.parts.tag import TagDrop, leave_untagged
from dropscale.pipeline.parts.waiters import WakeWaiters
from dropscale.pipeline.receive_event import ReceiveEvent
from dropscale.pipeline.reconcile import Reconcile
from dropscale.pipeline.resolve import Decision, Resolve, Trust
from dropscale.pipeline.restart import Restart
from dropscale.pipeline.retry import Retry
from dropscale.pipeline.submit import Submit, Submitted
from dropscale.pipeline.sweep import Sweep
from dropscale.results.manifest import manifest_key
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import FINAL_STATUSES, Mode, ProjectStatus
from tests.fakes import (
    Clock,
    FakeCallbacks,
    FakeEvents,
    FakeExecutions,
    FakeInputBucket,
    FakePixels,
    FakeQueue,
    FakeResults,
    FakeUpscaler,
    MemoryLedger,
)

BUCKET = "input"
PLENTY = 900.0
FOLDER_SPEC_SECONDS = 5.0
_TIMING, _SCHEDULE = Timing(20, 3600), PollSchedule(30, patience=0)


@dataclass
class World:
    """All use cases on fakes, and the moves that a test makes."""

    slots: int | None = 3
    budget: Budget = field(default_factory=Budget)
    timing: Timing = _TIMING
    schedule: PollSchedule = _SCHEDULE
    sidecar_required: bool = False
    suffixes: Sequence[str] = (".yaml", ".yml", ".json")
    clock: Clock = field(default_factory=Clock)
    sleep: Callable[[float], None] | None = None
    """None: the clock is moved on."""
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    bucket: FakeInputBucket = field(default_factory=FakeInputBucket)
    results: FakeResults = field(default_factory=FakeResults)
    executions: FakeExecutions = field(default_factory=FakeExecutions)
    callbacks: FakeCallbacks = field(default_factory=FakeCallbacks)
    queue: FakeQueue = field(default_factory=FakeQueue)
    upscaler: FakeUpscaler = field(default_factory=FakeUpscaler)
    pixels: FakePixels = field(default_factory=FakePixels)
    events: FakeEvents = field(default_factory=FakeEvents)
    stack_id: str = "stack"
    listens: bool = True
    """Whether the event bus takes announcements."""
    tags_drops: bool = False
    batch_quiet: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        self._tokens = count(1 if self.stack_id == "stack" else 1 << 32)
        self.compose()

    def compose(self) -> None:
        """Compose the use cases, again after a setting was changed."""
        sleep = self.sleep or (lambda seconds: self.clock.advance(seconds=seconds))
        self.observed: list[DropState] = []
        self.announced: list[Drop] = []
        self.write_manifest = WriteManifest(
            self.ledger,
            self.results,
            observe=self.observe,
            announce=self.announce,
            tag=TagDrop(self.bucket) if self.tags_drops else leave_untagged,
        )
        self.ownership = Ownership(self.ledger, self.results, self.clock, self.stack_id)
        self.gate = GateKeeper(self.ledger, self.upscaler, self.clock, lambda: 0.5)
        self.look = LookAtProject(self.ledger, self.upscaler, self.clock)
        self.wake_waiters = WakeWaiters(self.ledger, self.callbacks)
        self.follow = FollowJob(
            self.ledger, self.write_manifest, self.executions, self.clock, self.timing
        )
        self.start = StartJob(
            ledger=self.ledger,
            upscaler=self.upscaler,
            follow=self.follow,
            gate=self.gate,
            ownership=self.ownership,
            adopt=AdoptProject(self.ledger, self.upscaler, self.follow, self.clock),
            clock=self.clock,
            sleep=sleep,
            new_token=lambda: f"{next(self._tokens):024x}",
            policy=StartPolicy(self.slots, 50, self.budget),
        )
        self.resolve_specs = SpecResolver(
            files=self.bucket,
            defaults=stack_defaults(2, Mode.BALANCED),
            suffixes=self.suffixes,
            sidecar_required=self.sidecar_required,
            folder_specs=TTLCache(100, FOLDER_SPEC_SECONDS, timer=lambda: self.clock().timestamp()),
            names_like=noting_images(self.ledger),
        )
        self.submit_object = Submit(
            locate=LocateDrop(self.bucket, self.ledger, self.suffixes),
            evaluate=EvaluateDrop(self.bucket, self.resolve_specs, self.budget),
            accept=AcceptDrop(self.ledger, self.clock),
            decline=DeclineDrop(self.ledger, self.clock, self.resolve_specs.batch_of),
            advance=AdvanceDrop(
                ledger=self.ledger,
                upscaler=self.upscaler,
                start=self.start,
                follow=self.follow,
                gate=self.gate,
                clock=self.clock,
            ),
            write_manifest=self.write_manifest,
            ownership=self.ownership,
        )
        self.check = Check(
            ledger=self.ledger,
            look=self.look,
            write_manifest=self.write_manifest,
            clock=self.clock,
            schedule=self.schedule,
            sleep=sleep,
            brief_look=self.look.within(self.upscaler),
            wake_waiters=self.wake_waiters,
        )
        self.deliver_result = Deliver(
            ledger=self.ledger,
            upscaler=self.upscaler,
            look=self.look,
            results=self.results,
            publish=PublishOutput(
                self.ledger, self.results, FinishResult(self.bucket, self.pixels)
            ),
            write_manifest=self.write_manifest,
            start=self.start,
            clock=self.clock,
        )
        self.report_failure = Fail(self.ledger, self.write_manifest, self.start, self.clock)
        self.reconcile = Reconcile(self.ledger, self.bucket, self.queue, self.clock, BUCKET)
        self.sweep_once = Sweep(
            ask_for_account=AskForAccount(self.ledger, self.upscaler, self.clock),
            reconcile=self.reconcile,
            ledger=self.ledger,
            bucket=self.bucket,
            look=self.look,
            queue=self.queue,
            start=self.start,
            follow=self.follow,
            gate=self.gate,
            write_manifest=self.write_manifest,
            settle_batch=SettleBatch(
                self.ledger, self.results, self.events.announce_batch, self.clock, self.batch_quiet
            ),
            ownership=self.ownership,
            clock=self.clock,
        )

        self.receive_event = ReceiveEvent(self.ledger, self.wake_waiters, self.clock)
        self._resolve = Resolve(self.ledger, self.upscaler, self.start, self.follow, self.clock)
        self._retry = Retry(
            ledger=self.ledger,
            bucket=self.bucket,
            results=self.results,
            queue=self.queue,
            start=self.start,
            follow=self.follow,
            write_manifest=self.write_manifest,
            clock=self.clock,
        )
        self._forget = Forget(
            self.ledger, self.upscaler, self.results, self.write_manifest, self.clock
        )
        self.restart = Restart(self.ledger, self.follow, self.clock)

    def set_slots(self, slots: int | None) -> None:
        """Change how many jobs may be at the vendor at once; None: the account's number."""
        self.slots = slots
        self.compose()

    def observe(self, drop: Drop) -> None:
        """Take note of a drop that has a new manifest."""
        self.observed.append(drop.state)

    def announce(self, drop: Drop) -> bool:
        """Take an announcement, unless nobody listens."""
        if self.listens:
            self.announced.append(drop)
        return self.listens

    def put(self, key: str, body: bytes | str) -> None:
        """Put an object into the input bucket, without its event."""
        self.bucket.put(key, body.encode() if isinstance(body, str) else body, self.clock())

    def submit(self, key: str, remaining: float = PLENTY) -> Submitted:
        """Deliver the event of an object."""
        return self.submit_object(BUCKET, key, lambda: remaining)

    def drop(self, key: str, body: bytes | str | None = None) -> Submitted:
        """Put an object and deliver its event."""
        if body is not None:
            self.put(key, body)
        return self.submit(key)

    def row(self, key: str) -> Drop:
        """Return a drop as the ledger knows it."""
        return self.ledger.drops[Drop.id_of(BUCKET, key)]

    def manifest(self, key: str) -> dict[str, Any]:
        """Return the manifest of an image."""
        found: dict[str, Any] = json.loads(self.results.manifests[manifest_key(key)][1])
        return found

    @property
    def only_job(self) -> Job:
        """The one job that there is."""
        (job,) = self.ledger.jobs.values()
        return job

    def running(self) -> list[ExecutionState]:
        """Return the input of every execution that has not ended."""
        return [
            ExecutionState.model_validate(state)
            for name, state in self.executions.started.items()
            if name not in self.executions.ended
        ]

    def deliver(self, state: ExecutionState) -> Drop:
        """Run deliver as the last state of an execution."""
        drop = self.deliver_result(state, lambda: PLENTY)
        self._end(state)
        return drop

    def fail(self, state: ExecutionState, error: str | None = None, cause: str = "") -> Drop:
        """Run fail as the last state of an execution."""
        caught = CaughtError(Error=error, Cause=cause) if error else None
        drop = self.report_failure(state.model_copy(update={"error": caught}), lambda: PLENTY)
        self._end(state)
        return drop

    def wait(self, state: ExecutionState) -> str | None:
        """Let an execution enter a wait; return how the look in it ended that, or None."""
        token = f"token-{next(self._tokens)}"
        self.check.begin_wait(state, token, self.clock())
        return self.callbacks.ended.get(token)

    def run_executions(self) -> None:
        """Let every execution look once, and end if the look was final or raised."""
        for state in self.running():
            try:
                found = self.check(state)
                if found.status is ProjectStatus.COMPLETE:
                    self.deliver(found)
                elif found.status in FINAL_STATUSES:
                    self.fail(found)
            except Exception as error:
                self.fail(state, type(error).__name__, ErrorReport.of(error).model_dump_json())

    def finish_all(self, status: ProjectStatus = ProjectStatus.COMPLETE, **facts: Any) -> None:
        """Bring every project at the vendor to an end, and every execution."""
        self.upscaler.finish(status, **facts)
        self.run_executions()

    def pass_hours(self, hours: int, every: int = 1) -> None:
        """Let time pass, with the sweeper and executions at work every so many hours."""
        for _ in range(hours // every):
            self.clock.advance(hours=every)
            with suppress(ExceptionGroup):
                self.sweep()
            self.run_executions()

    def sweep(self, **later: float) -> dict[str, int]:
        """Let the sweeper run once, so much time later."""
        self.clock.advance(**later)
        return dict(self.sweep_once(lambda: PLENTY))

    def retry(self, key: str) -> bool:
        """Let a person try a drop again."""
        return self._retry(self.row(key), lambda: PLENTY)

    def adopt(self, key: str, project_id: str, trust: Trust = Trust.UNNAMED) -> None:
        """Let a person adopt a project."""
        self._resolve.adopt(self.row(key), project_id, trust)

    def decide(self, key: str, decision: Decision) -> None:
        """Let a person decide on an unknown outcome."""
        self._resolve.decide(self.row(key), decision, lambda: PLENTY)

    def forget(self, key: str) -> list[str]:
        """Let a person delete the vendor's copy of a result."""
        return self._forget(self.row(key))

    def _end(self, state: ExecutionState) -> None:
        ended = Rendition(
            id=state.rendition_id,
            fingerprint=state.fingerprint,
            parameters=self.ledger.jobs[state.fingerprint].parameters,
            generation=state.generation,
        )
        self.executions.ended.add(self.follow.execution_name(state.drop_id, ended))
