"""What the ledger keeps: drops with their renditions, and jobs.

Records are immutable. Each method that returns a changed record is one allowed step; it counts
`seq` up by one, and the ledger takes it only if nobody else has taken that step before.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from dropscale import upscaler
from dropscale.ledger.states import (
    COLLECTABLE_STATES,
    JOB_TRANSITIONS,
    PROJECT_STATES,
    RENDITION_TRANSITIONS,
    SLOT_STATES,
    DropState,
    JobState,
    WaitReason,
    combined_state,
)
from dropscale.specs.effective import EffectiveRendition, EffectiveSpec, OutputSettings
from dropscale.upscaler import Mode

Instant = Annotated[
    datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds"), return_type=str)
]
"""An aware UTC time; its text has a fixed width, so that it sorts as it reads."""

_TIMELINE_LENGTH = 50
_UPLOAD_LIFETIME = timedelta(days=upscaler.UPLOAD_DAYS) - timedelta(hours=12)

MISSING_LOOKS = 3
MISSING_FOR = timedelta(hours=24)
"""A project is taken for gone after so many 404s in a row over so long; a proxy's passes sooner."""

_TOKEN_DIGITS = 8
_TOKEN = re.compile(rf"\[(?P<job>[0-9a-f]{{{_TOKEN_DIGITS}}})-[0-9]+\]\Z")

_HIGHEST_PRICE = 4
"""Times the list price; a price above it is a misreading, not a price."""


class IllegalTransition(Exception):
    """A job or a rendition was asked to take a step that its state does not allow."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reason(_Record):
    """Why a drop is not delivered: a stable code, what is wrong, and what to do."""

    code: str
    message: str
    fix: str


class Source(_Record):
    """What a drop is about: an object of the input bucket. Sizes in pixels.

    That is an image, of which more is known once it is read, or a spec that names one elsewhere:
    `image_path` is then where, without a signature.
    """

    bucket: str
    key: str
    version_id: str | None = None
    etag: str
    image_path: str | None = None
    sha256: str | None = None
    type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None

    @property
    def identity(self) -> str | None:
        """What tells the image from others: its bytes' SHA-256, or where it lies elsewhere."""
        return self.sha256 or self.image_path


class Output(_Record):
    """A delivered image in the results bucket."""

    key: str
    type: str
    width: int
    height: int
    bytes: int
    sha256: str
    delta_e: float | None = None
    """Its mean colour difference to the original (CIEDE2000); None: not measured."""


class Download(_Record):
    """A download URL of the vendor's, for drops that want no download."""

    url: str
    expires_at: str | None = None


class Parameters(_Record):
    """What changes the pixels of an upscale, and so its fingerprint."""

    scale_factor: Literal[2, 4]
    mode: Mode
    prompt: str | None = None
    revision: str | None = None

    @property
    def credits(self) -> int:
        """The vendor's price."""
        return upscaler.price(self.scale_factor, self.mode)

    @classmethod
    def of(cls, wanted: EffectiveRendition) -> Self:
        """Take from a spec what changes the pixels."""
        return cls.model_validate(
            {
                "scale_factor": wanted.scale_factor,
                "mode": wanted.mode,
                "prompt": wanted.used_prompt,
                "revision": wanted.revision,
            }
        )

    def fingerprint(self, image_identity: str) -> str:
        """Return the SHA-256 (hex) that names the job of these parameters on that image."""
        facts = [image_identity, self.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Upload(_Record):
    """The image's bytes at the vendor."""

    path: str
    at: Instant

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether the vendor surely still keeps the bytes."""
        return now - self.at < _UPLOAD_LIFETIME


class _JobChanges(TypedDict, total=False):
    upload: Upload
    attempt: int
    attempt_id: str | None
    project_id: str | None
    credits_charged: int | None
    submitted_at: datetime
    reserved: dict[str, int]
    written_off: dict[str, int]
    orphans: tuple[str, ...]
    is_overdue: bool
    watched_since: datetime
    missing_since: datetime | None
    missing_looks: int
    abandoned_at: datetime | None
    due: datetime | None


class Job(_Record):
    """One paid upscale.

    Steps that tell what was seen of a project take its id: a job that is at another project by
    now, or was settled since, stays as it is, whatever its earlier project came to.
    """

    fingerprint: str
    seq: int = 1
    state: JobState = JobState.READY
    parameters: Parameters
    label: str
    """What the vendor shows as the project's name, before the token."""
    upload: Upload | None = None
    attempt: int = 0
    attempt_id: str | None = None
    project_id: str | None = None
    credits_charged: int | None = None
    created_at: Instant
    submitted_at: Instant | None = None
    reserved: dict[str, int] = Field(default_factory=dict)
    """Credits that the present attempt has taken from each window of the budget."""
    written_off: dict[str, int] = Field(default_factory=dict)
    """Credits that earlier attempts have taken and may have cost."""
    orphans: tuple[str, ...] = ()
    """Projects of earlier attempts whose answers came after a person had decided to pay again."""
    is_overdue: bool = False
    """Whether its deadline has passed without a verdict; it no longer holds others up."""
    watched_since: Instant | None = None
    """Since when the sweeper looks at its project for those who want the result."""
    missing_since: Instant | None = None
    """When the vendor first answered 404 to a look; None: it has answered otherwise since."""
    missing_looks: int = 0
    """404s in a row."""
    abandoned_at: Instant | None = None
    due: Instant | None = None
    """When the sweeper is to look at this job and its drops; None: nothing is left to do."""

    @property
    def holds_slot(self) -> bool:
        """Whether it takes one of the vendor's concurrent places."""
        return self.state in SLOT_STATES and not self.is_overdue

    @property
    def has_project(self) -> bool:
        """Whether there is a project that its result can come from."""
        return self.project_id is not None and self.state in PROJECT_STATES

    @property
    def spent(self) -> Counter[str]:
        """Credits taken from each window of the budget, by all its attempts."""
        return Counter(self.reserved) + Counter(self.written_off)

    @property
    def project_name(self) -> str:
        """The project's name at the vendor, with a token by which an orphan can be found."""
        return f"{self.label} [{self.fingerprint[:_TOKEN_DIGITS]}-{self.attempt}]"

    def is_named_by(self, project_name: str | None) -> bool | None:
        """Whether a project's name has this job's token, or another job's; None: it has none."""
        token = _TOKEN.search(project_name or "")
        return None if token is None else token["job"] == self.fingerprint[:_TOKEN_DIGITS]

    def is_gone(self, now: datetime) -> bool:
        """Whether enough 404s over enough time say that the vendor has its project no more."""
        since = self.missing_since
        return since is not None and (
            self.missing_looks >= MISSING_LOOKS and now - since >= MISSING_FOR
        )

    def can_be_created(self, now: datetime) -> bool:
        """Whether the vendor surely still has the bytes that a create would name."""
        return self.upload is not None and self.upload.is_fresh(now)

    def with_upload(self, path: str, now: datetime) -> Self:
        """The bytes are at the vendor; anyone can start the job from now on."""
        return self._step(upload=Upload(path=path, at=now), due=self.created_at)

    def look_again(self, due: datetime | None) -> Self:
        """Nothing has changed, but the sweeper is to look again at `due`."""
        return self._step(due=due)

    def watched_anew(self, now: datetime, due: datetime) -> Self:
        """Somebody wants the result (again); its project is looked at for as long as at first."""
        if self.state is not JobState.ABANDONED:
            return self._step(watched_since=now, due=due)
        return self._step(
            JobState.SUBMITTED,
            is_overdue=True,
            watched_since=now,
            missing_since=None,
            missing_looks=0,
            abandoned_at=None,
            due=due,
        )

    def submitting(self, attempt_id: str, expires_at: datetime, windows: Iterable[str]) -> Self:
        """An attempt is about to be paid from `windows`; it is dead after `expires_at`."""
        return self._step(
            JobState.SUBMITTING,
            attempt=self.attempt + 1,
            attempt_id=attempt_id,
            reserved=dict.fromkeys(windows, self.parameters.credits),
            due=expires_at,
        )

    def refused(self, due: datetime) -> Self:
        """The attempt surely created nothing; whoever still wants it may try again at `due`."""
        return self._step(JobState.READY, attempt_id=None, reserved={}, due=due)

    def submitted(self, project_id: str, charged: int | None, now: datetime, due: datetime) -> Self:
        """The vendor has taken the job, for so many credits as it says."""
        credits_charged = self._believable(charged)
        return self._step(
            JobState.SUBMITTED,
            project_id=project_id,
            submitted_at=now,
            watched_since=now,
            credits_charged=credits_charged,
            reserved=dict.fromkeys(self.reserved, credits_charged),
            missing_since=None,
            missing_looks=0,
            abandoned_at=None,
            due=due,
        )

    def with_orphan(self, project_id: str) -> Self:
        """An earlier attempt has been paid after all; its project is not forgotten."""
        return self._step(orphans=(*self.orphans, project_id))

    def unknown(self, due: datetime) -> Self:
        """The attempt may have been charged, and no answer tells; never repeat it."""
        return self._step(JobState.UNKNOWN, due=due)

    def adopted(self, project_id: str, charged: int | None, now: datetime, due: datetime) -> Self:
        """A person says which project is this job's."""
        left = () if self.project_id in {None, project_id} else (str(self.project_id),)
        taken = self.submitted(project_id, charged, now, due)
        return taken.model_copy(update={"orphans": (*self.orphans, *left), "is_overdue": False})

    def overdue(self, project_id: str) -> Self:
        """No verdict came in time; the job goes on, but others need not wait for it."""
        if not self._is_open_at(project_id) or self.is_overdue:
            return self
        return self._step(is_overdue=True)

    def missing(self, project_id: str, now: datetime) -> Self:
        """A look was answered 404, which by itself proves nothing."""
        if project_id != self.project_id:
            return self
        since, looks = self.missing_since or now, self.missing_looks + 1
        return self._step(missing_since=since, missing_looks=looks)

    def answered(self, project_id: str) -> Self:
        """A look was answered otherwise than 404."""
        if project_id != self.project_id or not self.missing_looks:
            return self
        return self._step(missing_since=None, missing_looks=0)

    def settled(
        self, project_id: str, verdict: JobState, charged: int | None, due: datetime
    ) -> Self:
        """The vendor has reached a verdict: complete, error or canceled.

        `charged` is what it says that the project cost in the end. An error costs nothing unless
        the vendor says so.
        """
        if not self._is_open_at(project_id) and not (
            project_id == self.project_id and self.state is JobState.ABANDONED
        ):
            return self
        most = self.parameters.credits if self.credits_charged is None else self.credits_charged
        silent = 0 if verdict is JobState.ERROR else most
        cost = silent if charged is None else min(max(charged, 0), most)
        return self._step(
            verdict,
            credits_charged=cost,
            reserved=dict.fromkeys(self.reserved, cost),
            missing_since=None,
            missing_looks=0,
            abandoned_at=None,
            due=due,
        )

    def abandoned(self, project_id: str, now: datetime, due: datetime) -> Self:
        """The vendor seems to have no such project, or no verdict on it for too long."""
        if not self._is_open_at(project_id):
            return self
        return self._step(JobState.ABANDONED, abandoned_at=now, due=due)

    def given_up(self, due: datetime) -> Self:
        """A person gives up the attempt whose answer never came."""
        return self._step(JobState.ABANDONED, due=due)

    def renewed(self, now: datetime) -> Self:
        """The vendor gave the credits back; a new drop may pay for another attempt."""
        return self._step(
            JobState.READY,
            project_id=None,
            credits_charged=None,
            is_overdue=False,
            missing_since=None,
            missing_looks=0,
            reserved={},
            written_off=dict(self.spent),
            due=now,
        )

    def paid_again(self, now: datetime) -> Self:
        """A person has decided that the unknown attempt counts as lost; its credits stay spent."""
        return self._step(JobState.READY, reserved={}, written_off=dict(self.spent), due=now)

    def _is_open_at(self, project_id: str) -> bool:
        return self.state is JobState.SUBMITTED and self.project_id == project_id

    def _believable(self, charged: int | None) -> int:
        price = self.parameters.credits
        if charged is None or not 0 <= charged <= _HIGHEST_PRICE * price:
            return price
        return charged

    def _step(self, state: JobState | None = None, **changes: Unpack[_JobChanges]) -> Self:
        if state is not None and state not in JOB_TRANSITIONS[self.state]:
            raise IllegalTransition(f"job {self.fingerprint}: {self.state} -> {state}")
        return self.model_copy(
            update={**changes, "state": state or self.state, "seq": self.seq + 1}
        )


class _Report(TypedDict, total=False):
    reason: Reason | None
    credits_charged: int | None
    output: Output | None
    downloads: tuple[Download, ...]
    warnings: tuple[str, ...]


class _RenditionChanges(_Report, total=False):
    wait: WaitReason | None
    wait_until: datetime | None
    generation: int
    is_collected: bool
    attempt: int
    project_id: str | None
    earlier_output: Output | None


class Rendition(_Record):
    """One upscale that a drop asks for: its share in a job, and what came of it."""

    fingerprint: str
    parameters: Parameters
    directory: str | None = None
    """The folder below the results that its output belongs in."""
    output_settings: OutputSettings = OutputSettings()
    """How its output is to be written."""
    state: DropState = DropState.WAITING
    wait: WaitReason | None = None
    wait_until: Instant | None = None
    reason: Reason | None = None
    generation: int = 0
    """Counts the executions started for it."""
    is_collected: bool = False
    """Whether a person asked for the result, though the spec waits for none."""
    attempt: int = 0
    project_id: str | None = None
    credits_charged: int | None = None
    output: Output | None = None
    earlier_output: Output | None = None
    """The last one, while its result is wanted once more: it serves if the vendor has none left."""
    downloads: tuple[Download, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def wants_result(self) -> bool:
        """Whether a result is still wanted for it."""
        return self.state in COLLECTABLE_STATES

    def is_watched(self, project_id: str, generation: int) -> bool:
        """Whether a result is wanted from that project, by the execution of that generation."""
        is_its_own = (self.project_id, self.generation) == (project_id, generation)
        return is_its_own and self.wants_result

    def moved(self, state: DropState, **changes: Unpack[_RenditionChanges]) -> Self:
        """Return it in another state; wait and reason are those of the new state.

        Raises:
            IllegalTransition: it cannot come to that state from its own.
        """
        if state not in RENDITION_TRANSITIONS[self.state]:
            raise IllegalTransition(f"rendition {self.fingerprint}: {self.state} -> {state}")
        cleared: _RenditionChanges = {"wait": None, "wait_until": None, "reason": None}
        return self.model_copy(update={**cleared, **changes, "state": state})

    def reported(
        self,
        state: DropState,
        *,
        project_id: str,
        generation: int,
        **changes: Unpack[_Report],
    ) -> Self:
        """Return it as the execution of a generation has seen it end, or go on, at a project.

        It stays as it is if it is at another project by now, if a later generation watches it, or
        if no result is wanted for it any more.
        """
        is_its_own = self.is_watched(project_id, generation)
        return self.moved(state, **changes) if is_its_own else self

    def again(self, *, is_collected: bool = False) -> Self:
        """Want it once more, watched by an execution of its own."""
        return self.moved(
            DropState.WAITING,
            wait=WaitReason.SLOT,
            is_collected=is_collected,
            output=None,
            downloads=(),
            warnings=(),
            earlier_output=self.output or self.earlier_output,
            generation=self.generation + 1,
        )


class _DropFacts(TypedDict, total=False):
    source: Source
    spec: EffectiveSpec
    warnings: tuple[str, ...]


class _DropChanges(_DropFacts, total=False):
    renditions: dict[str, Rendition]
    wait: WaitReason | None
    wait_until: datetime | None
    reason: Reason | None


class TimelineEntry(_Record):
    """When a drop came to a state."""

    state: DropState
    at: Instant


class Drop(_Record):
    """One image in the input bucket and what is to come of it."""

    id: str
    seq: int = 0
    """0: not in the ledger yet; its first step puts it there."""
    source: Source
    spec: EffectiveSpec | None = None
    renditions: dict[str, Rendition] = Field(default_factory=dict)
    state: DropState = DropState.WAITING
    wait: WaitReason | None = None
    wait_until: Instant | None = None
    reason: Reason | None = None
    warnings: tuple[str, ...] = ()
    """What its specs say in vain."""
    timeline: tuple[TimelineEntry, ...] = ()
    due: Instant | None = None
    """Since when a manifest is owed; None: the manifest shows this state."""

    @staticmethod
    def id_of(bucket: str, key: str) -> str:
        """Return the name of the drop at a key; a key itself can be too long for an index."""
        return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]

    @property
    def is_evaluated(self) -> bool:
        """Whether its state is that of its renditions, and no decision on the drop itself."""
        states = [rendition.state for rendition in self.renditions.values()]
        return bool(states) and self.state is combined_state(states)

    def wants(self, fingerprint: str) -> bool:
        """Whether a result of that job is (still) wanted for it."""
        rendition = self.renditions.get(fingerprint)
        return rendition is not None and rendition.wants_result

    def watches(self, fingerprint: str) -> bool:
        """Whether an execution is to follow a rendition to its result."""
        if self.spec is None or not self.wants(fingerprint):
            return False
        return self.spec.wait_for_completion or self.renditions[fingerprint].is_collected

    def with_rendition(self, rendition: Rendition, now: datetime) -> Self:
        """Replace one rendition; the drop's own state follows."""
        return self.evaluated({**self.renditions, rendition.fingerprint: rendition}, now)

    def evaluated(
        self, renditions: dict[str, Rendition], now: datetime, **facts: Unpack[_DropFacts]
    ) -> Self:
        """Take these renditions; the drop's state, wait and reason follow from them."""
        state = combined_state(rendition.state for rendition in renditions.values())
        telling = next(r for r in renditions.values() if r.state is state)
        changes: _DropChanges = {
            **facts,
            "renditions": renditions,
            "wait": telling.wait,
            "wait_until": telling.wait_until,
            "reason": telling.reason,
        }
        return self._step(state, now, changes)

    def decided(self, state: DropState, now: datetime, **changes: Unpack[_DropChanges]) -> Self:
        """Reach a state that no rendition tells, such as rejected or waiting for a sidecar."""
        cleared: _DropChanges = {"wait": None, "wait_until": None, "reason": None}
        return self._step(state, now, {**cleared, **changes})

    def _step(self, state: DropState, now: datetime, changes: _DropChanges) -> Self:
        timeline = self.timeline
        if not timeline or timeline[-1].state is not state:
            timeline = (*timeline, TimelineEntry(state=state, at=now))[-_TIMELINE_LENGTH:]
        step: dict[str, Any] = {"state": state, "timeline": timeline, "due": now}
        return self.model_copy(update={**step, **changes, "seq": self.seq + 1})
