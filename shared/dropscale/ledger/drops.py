"""Drops: each is one image in the input bucket, with its renditions and their results."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import Annotated, Any, Self, TypedDict, Unpack

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from dropscale.coded_warning import CodedWarning, WarningCode, read_warning
from dropscale.errors import DropscaleError
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.rows import SCHEMA, IllegalTransition, Instant, Record, Row, cut
from dropscale.ledger.states import (
    AT_VENDOR_STATES,
    COLLECTABLE_STATES,
    RENDITION_TRANSITIONS,
    WAITS_FOR_OTHERS,
    DropState,
    WaitReason,
    combined_state,
    precedence,
)
from dropscale.specs.effective import EffectiveRendition, EffectiveSpec, OutputSettings
from dropscale.specs.output_name import NamedOutput

# The most that a drop's row holds, so that it always stays below DynamoDB's 400 KB; sizes in
# bytes. What people write is limited, and refused, where it is read (`specs/values.py`).
_TIMELINE_LENGTH = 50
STEPS_OF_ROW = 10**9
"""More steps than any row takes."""
_SUPERSEDED_SIZE = 40_000
_MOST_WARNINGS, _WARNING_SIZE = 16, 600
_MOST_RENDITION_WARNINGS, _RENDITION_WARNING_SIZE = 8, 400
_REASON_SIZE, _RENDITION_REASON_SIZE, _CODE_SIZE = 8000, 3000, 100
_FIX_SIZE = 27_000
"""Room for what to do about each of the eight renditions, which may need eight commands."""
_DOWNLOADS_SIZE, _EXPIRY_SIZE = 8000, 100


_OfSpec = Annotated[
    CodedWarning,
    BeforeValidator(partial(read_warning, uncoded=WarningCode.SPEC)),
    PlainSerializer(CodedWarning.as_text),
]
_OfRendition = Annotated[
    CodedWarning, BeforeValidator(read_warning), PlainSerializer(CodedWarning.as_text)
]


class Reason(Record):
    """Why a drop is not delivered: a stable code, what is wrong, and what to do."""

    code: Annotated[str, AfterValidator(partial(cut, longest=_CODE_SIZE))]
    message: Annotated[str, AfterValidator(partial(cut, longest=_REASON_SIZE))]
    fix: Annotated[str, AfterValidator(partial(cut, longest=_FIX_SIZE))]

    @classmethod
    def of(cls, error: DropscaleError) -> Self:
        """Return the reason that an error states; its class name is the code."""
        return cls(code=type(error).__name__, message=error.message, fix=error.fix)

    def shortened(self, longest: int) -> Self:
        """Return it with message and fix cut to so many bytes each."""
        message, fix = (cut(text, longest) for text in (self.message, self.fix))
        return self.model_copy(update={"message": message, "fix": fix})


class Source(Record):
    """The object in the input bucket that a drop is about. Width and height in pixels.

    It is an image, whose other fields are known once it is read, or a spec that names an image
    stored elsewhere: `image_path` is then that location, without a signature.
    """

    bucket: str
    key: str
    version_id: str | None = None
    etag: str
    modified: Instant | None = None
    image_path: str | None = None
    sha256: str | None = None
    type: str | None = None
    width: int | None = None
    height: int | None = None
    alpha: bool | None = None
    bytes: int | None = None

    @property
    def identity(self) -> str | None:
        """What identifies the image: the SHA-256 of its bytes, or its location elsewhere."""
        return self.sha256 or self.image_path

    @property
    def lasting_version_id(self) -> str | None:
        """The version id, if it can never refer to another object; None: there is none.

        "null" refers to the last object that was written without versioning:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html.
        """
        return None if self.version_id == "null" else self.version_id


class Output(Record):
    """A delivered image in the results bucket."""

    key: str
    type: str
    width: int
    height: int
    bytes: int
    sha256: str
    delta_e: float | None = None
    """Its mean colour difference from the original (CIEDE2000); None: not measured."""


class NameClaim(Record):
    """A drop's claim on an output name, without the ending."""

    name: str
    drop_id: str
    key: str
    """The key of that drop."""
    schema_number: int = SCHEMA

    @staticmethod
    def id_of(name: str) -> str:
        """Return the id of the row of a name."""
        return hashlib.sha256(name.encode()).hexdigest()[:32]


class Download(Record):
    """One of the vendor's download URLs, for drops whose spec turns downloads off."""

    url: str
    expires_at: str | None = None


class _Report(TypedDict, total=False):
    reason: Reason | None
    credits_charged: int | None
    output: Output | None
    downloads: tuple[Download, ...]
    warnings: tuple[CodedWarning, ...]


class _RenditionChanges(_Report, total=False):
    wait: WaitReason | None
    wait_until: datetime | None
    generation: int
    is_collected: bool
    attempt: int
    project_id: str | None
    earlier_output: Output | None


class Rendition(Record):
    """One output that a drop requests: the job that makes it, and the result.

    Renditions that differ only in how their output is written share one job, paid once.
    """

    id: str = ""
    """A hash of the job's fingerprint and the output settings. If there is none, as in rows of
    schema 1, it is the fingerprint."""
    fingerprint: str
    parameters: Parameters
    directory: str | None = None
    """The folder in the results bucket for its output."""
    output_settings: OutputSettings = OutputSettings()
    """How its output is to be written."""
    state: DropState = DropState.WAITING
    wait: WaitReason | None = None
    wait_until: Instant | None = None
    reason: Reason | None = None
    generation: int = 0
    """The number of executions started for it."""
    is_collected: bool = False
    """Whether a person asked for the result although the spec does not wait for it."""
    attempt: int = 0
    project_id: str | None = None
    credits_charged: int | None = None
    output: Output | None = None
    earlier_output: Output | None = None
    """The previous output, while the result is wanted again, in case the vendor has none left."""
    downloads: tuple[Download, ...] = ()
    warnings: tuple[_OfRendition, ...] = ()
    forgotten_at: Instant | None = None
    """When its project was deleted at the vendor, at a person's request."""

    @model_validator(mode="before")
    @classmethod
    def _take_fingerprint_for_id(cls, row: Any) -> Any:
        if isinstance(row, dict) and not row.get("id"):
            return {**row, "id": row.get("fingerprint")}
        return row

    @classmethod
    def planned(
        cls,
        fingerprint: str,
        parameters: Parameters,
        directory: str | None,
        output_settings: OutputSettings,
    ) -> Self:
        """Return a new rendition, which waits for its job to start."""
        settings = output_settings.model_dump(mode="json")
        if output_settings.name is None:  # Ids from before there were names must not change.
            del settings["name"]
        facts = json.dumps([fingerprint, settings])
        return cls(
            id=hashlib.sha256(facts.encode()).hexdigest()[:32],
            fingerprint=fingerprint,
            parameters=parameters,
            directory=directory,
            output_settings=output_settings,
            wait=WaitReason.SLOT,
        )

    @classmethod
    def requested(
        cls, key: str, fingerprint: str, wanted: EffectiveRendition, presets: tuple[str, ...] = ()
    ) -> Self:
        """Return the rendition, of the job with that fingerprint, that the drop at `key` requests.

        `presets` are those that its spec uses.
        """
        settings = wanted.output
        if settings.name is not None:
            named = NamedOutput(key, wanted.scale_factor, wanted.mode, presets, fingerprint)
            settings = settings.model_copy(update={"name": named.render(settings.name)})
        parameters = Parameters.of(wanted)
        return cls.planned(fingerprint, parameters, wanted.download_directory, settings)

    @property
    def wants_result(self) -> bool:
        """Whether its result is still wanted."""
        return self.state in COLLECTABLE_STATES

    @property
    def may_have_output(self) -> bool:
        """Whether its output may be in the results bucket, or on its way there."""
        return bool(self.project_id or self.output or self.earlier_output)

    def is_watched(self, project_id: str, generation: int) -> bool:
        """Whether the execution of that generation is to bring the result of that project."""
        is_its_own = (self.project_id, self.generation) == (project_id, generation)
        return is_its_own and self.wants_result

    def move(self, state: DropState, **changes: Unpack[_RenditionChanges]) -> Self:
        """Return it in another state, with that state's wait and reason.

        Raises:
            IllegalTransition: that state may not follow its current one.
        """
        if state not in RENDITION_TRANSITIONS[self.state]:
            raise IllegalTransition(f"rendition {self.fingerprint}: {self.state} -> {state}")
        cleared: _RenditionChanges = {"wait": None, "wait_until": None, "reason": None}
        return self.model_copy(update={**cleared, **_bounded(changes), "state": state})

    def report(
        self,
        state: DropState,
        *,
        project_id: str,
        generation: int,
        **changes: Unpack[_Report],
    ) -> Self:
        """Return it with what the execution of a generation has seen of a project.

        It does not change if it is now at another project, if a later generation watches it, or if
        its result is no longer wanted.
        """
        is_its_own = self.is_watched(project_id, generation)
        changes["warnings"] = (*self.warnings, *changes.get("warnings", ()))
        return self.move(state, **changes) if is_its_own else self

    def warn(self, warning: CodedWarning) -> Self:
        """Return it with a warning that stays with whatever is then reported of its project."""
        warnings = (*self.warnings, warning)
        return self.model_copy(update={**_bounded({"warnings": warnings})})

    def with_destination(self, directory: str | None, output_settings: OutputSettings) -> Self:
        """Return it with another folder or other settings for its output."""
        return self.model_copy(update={"directory": directory, "output_settings": output_settings})

    def want_again(self, *, is_collected: bool = False) -> Self:
        """Return it wanted again, to be watched by a new execution."""
        return self.move(
            DropState.WAITING,
            wait=WaitReason.SLOT,
            is_collected=is_collected,
            output=None,
            downloads=(),
            warnings=(),
            earlier_output=self.output or self.earlier_output,
            generation=self.generation + 1,
        )


def _bounded(changes: _RenditionChanges) -> _RenditionChanges:
    """Return a rendition's changes, cut to fit into a drop's row."""
    bounded: _RenditionChanges = {**changes}
    if reason := changes.get("reason"):
        bounded["reason"] = reason.shortened(_RENDITION_REASON_SIZE)
    if warnings := changes.get("warnings"):
        bounded["warnings"] = _bounded_warnings(
            warnings, _MOST_RENDITION_WARNINGS, _RENDITION_WARNING_SIZE
        )
    if downloads := changes.get("downloads"):
        sizes = accumulate(len(one.url.encode()) for one in downloads)
        bounded["downloads"] = tuple(
            one.model_copy(update={"expires_at": cut(one.expires_at or "", _EXPIRY_SIZE) or None})
            for one, size in zip(downloads, sizes, strict=True)
            if size <= _DOWNLOADS_SIZE
        )
    return bounded


def _bounded_warnings(
    warnings: Sequence[CodedWarning], most: int, size: int
) -> tuple[CodedWarning, ...]:
    """Return at most so many warnings of so many bytes each; the last counts those left out."""
    shown = [CodedWarning(each.code, cut(each.message, size)) for each in warnings]
    if len(shown) > most:
        left = CodedWarning(WarningCode.MORE, f"… and {len(shown) - most + 1} more")
        shown = [*shown[: most - 1], left]
    return tuple(shown)


class _DropFacts(TypedDict, total=False):
    source: Source
    spec: EffectiveSpec
    warnings: tuple[CodedWarning, ...]
    batch: str | None


class _DropChanges(_DropFacts, total=False):
    renditions: dict[str, Rendition]
    wait: WaitReason | None
    wait_until: datetime | None
    reason: Reason | None


class TimelineEntry(Record):
    """When a drop reached a state."""

    state: DropState
    at: Instant


class Drop(Row):
    """One image in the input bucket, and what is requested for it."""

    id: str
    seq: int = 0
    """0: not in the ledger yet; its first step writes it."""
    since: Instant | None = None
    """When this row was created; None: by a version that did not record it."""
    source: Source
    spec: EffectiveSpec | None = None
    renditions: dict[str, Rendition] = Field(default_factory=dict)
    state: DropState = DropState.WAITING
    wait: WaitReason | None = None
    wait_until: Instant | None = None
    reason: Reason | None = None
    warnings: tuple[_OfSpec, ...] = ()
    """What its specs say that has no effect."""
    timeline: tuple[TimelineEntry, ...] = ()
    due: Instant | None = None
    """Since when its manifest is out of date; None: the manifest shows this state."""
    batch: str | None = None
    """The path of the batch that it is in, as in `EffectiveSpec.batch`; None: it is in none."""
    news_for: str | None = None
    """The batch that is to be woken, because the drop's outcome has changed."""

    @staticmethod
    def id_of(bucket: str, key: str) -> str:
        """Return the id of the drop at a key; a key itself can be too long for an index."""
        return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]

    @staticmethod
    def bounded_warnings(warnings: Sequence[CodedWarning]) -> tuple[CodedWarning, ...]:
        """Return the warnings about its specs, cut to what a drop's row keeps."""
        return _bounded_warnings(warnings, _MOST_WARNINGS, _WARNING_SIZE)

    @property
    def rank(self) -> int:
        """Orders manifests of one image: those of two ledgers by time, then by step."""
        return (int(self.since.timestamp()) if self.since else 0) * STEPS_OF_ROW + self.seq

    def may_replace(self, rank: int) -> bool:
        """Whether its manifest may replace one of that rank; 0: there is none, or no readable one.

        A drop that waits for the ledger leaves another ledger's manifest for a rebuild to read.
        """
        is_of_another = rank > 0 and rank // STEPS_OF_ROW != self.rank // STEPS_OF_ROW
        return rank < self.rank and not (self.wait is WaitReason.LEDGER and is_of_another)

    @property
    def is_evaluated(self) -> bool:
        """Whether its state follows from its renditions, not from a decision on the drop itself."""
        states = [rendition.state for rendition in self.renditions.values()]
        return bool(states) and self.state is combined_state(states)

    @property
    def is_final(self) -> bool:
        """Whether its state is final, unless somebody drops, retries or applies again."""
        is_over = self.state not in COLLECTABLE_STATES
        return is_over and not any(one.wants_result for one in self.renditions.values())

    @property
    def was_final(self) -> bool:
        """Whether it has been in a final state, according to its timeline."""
        return any(entry.state not in COLLECTABLE_STATES for entry in self.timeline)

    @property
    def is_open(self) -> bool:
        """Whether it continues without a file, a person or another day: its batch waits for it."""
        return any(map(self._is_under_way, self.renditions.values()))

    @property
    def is_at_vendor(self) -> bool:
        """Whether the job of any of its renditions is, was or may be at the vendor."""
        return any(
            one.project_id or one.state is not DropState.WAITING for one in self.renditions.values()
        )

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprints of its renditions' jobs, each once."""
        return list(dict.fromkeys(one.fingerprint for one in self.renditions.values()))

    def renditions_of(self, fingerprint: str) -> list[Rendition]:
        """Return its renditions that belong to a job."""
        return [one for one in self.renditions.values() if one.fingerprint == fingerprint]

    def credits_of(self, fingerprint: str) -> int | None:
        """Return what was charged for a job, as far as any of its renditions knows."""
        known = [one.credits_charged for one in self.renditions_of(fingerprint)]
        return max((one for one in known if one is not None), default=None)

    def wants(self, fingerprint: str) -> bool:
        """Whether it (still) wants that job's result."""
        return any(one.wants_result for one in self.renditions_of(fingerprint))

    def _is_under_way(self, rendition: Rendition) -> bool:
        if rendition.state is DropState.WAITING:
            return rendition.wait not in WAITS_FOR_OTHERS
        return rendition.state in AT_VENDOR_STATES and self.watches(rendition)

    def watches(self, rendition: Rendition) -> bool:
        """Whether an execution must follow a rendition to its result."""
        if self.spec is None or not rendition.wants_result:
            return False
        return self.spec.wait_for_completion or rendition.is_collected

    def with_rendition(self, rendition: Rendition, now: datetime) -> Self:
        """Replace one rendition, and derive the drop's state again."""
        return self.with_renditions([rendition], now)

    def with_renditions(self, renditions: Iterable[Rendition], now: datetime) -> Self:
        """Replace some renditions, if any has changed, and derive the drop's state again."""
        after = self.renditions | {rendition.id: rendition for rendition in renditions}
        return self if after == self.renditions else self.evaluate(after, now)

    def evaluate(
        self, renditions: dict[str, Rendition], now: datetime, **facts: Unpack[_DropFacts]
    ) -> Self:
        """Take these renditions; the drop's state, wait and reason are derived from them."""
        ranked = sorted(renditions.values(), key=lambda one: precedence(one.state))
        state, drop = ranked[0].state, self.model_copy(update=facts)
        if any(map(drop._is_under_way, ranked)):
            told = [one for one in ranked if one.state is state]
        else:  # What each of them needs is for a person to do. Superseded ones have warnings.
            told = [one for one in ranked if one.reason and one.state is not DropState.SUPERSEDED]
        changes: _DropChanges = {
            **facts,
            "renditions": renditions,
            "wait": ranked[0].wait,
            "wait_until": ranked[0].wait_until,
            "reason": _reason_of(told),
        }
        return self._step(state, now, changes)

    def set_state(self, state: DropState, now: datetime, **changes: Unpack[_DropChanges]) -> Self:
        """Set a state that does not come from a rendition: rejected, or waiting for a sidecar."""
        cleared: _DropChanges = {"wait": None, "wait_until": None, "reason": None}
        return self._step(state, now, {**cleared, **changes})

    def note_forgotten(self, fingerprint: str, at: datetime | None, now: datetime) -> Self:
        """Record when a job's project was deleted at the vendor; its state stays."""
        noted = {
            one.id: one.model_copy(update={"forgotten_at": at})
            for one in self.renditions_of(fingerprint)
        }
        after = self.renditions | noted
        return (
            self if after == self.renditions else self._step(self.state, now, {"renditions": after})
        )

    def look_again(self, at: datetime, now: datetime) -> Self:
        """Wait until another time before access is tried again."""
        return self._step(self.state, now, {"wait_until": at})

    def _step(self, state: DropState, now: datetime, changes: _DropChanges) -> Self:
        timeline = self.timeline
        if not timeline or timeline[-1].state is not state:
            timeline = (*timeline, TimelineEntry(state=state, at=now))[-_TIMELINE_LENGTH:]
        since = self.since if self.seq else now
        step: dict[str, Any] = {"state": state, "timeline": timeline, "due": now, "since": since}
        bounded: _DropChanges = {**changes}
        if warnings := changes.get("warnings"):
            bounded["warnings"] = self.bounded_warnings(warnings)
        if renditions := changes.get("renditions"):
            bounded["renditions"] = _with_latest_superseded(renditions)
        after = self._take_step({**step, **bounded})
        if after._outcome == self._outcome:
            return after
        return after.model_copy(update={"news_for": after.batch})

    @property
    def _outcome(self) -> tuple[object, ...]:
        """What the report of its batch shows of it."""
        renditions = [
            (one.state, one.wait, one.output, one.credits_charged)
            for one in self.renditions.values()
        ]
        return self.batch, self.state, self.wait, self.reason, self.source.sha256, renditions


def _reason_of(told: Sequence[Rendition]) -> Reason | None:
    """Return the first one's reason, its fix with what to do about each of the others added."""
    if not told or (reason := told[0].reason) is None:
        return None
    fixes = {reason.fix: reason.fix}
    for other in told[1:]:
        if other.reason is not None:
            fixes.setdefault(other.reason.fix, _fix_for(other, other.reason, reason))
    return reason.model_copy(update={"fix": cut(" ".join(fixes.values()), _FIX_SIZE)})


def _fix_for(rendition: Rendition, reason: Reason, said: Reason) -> str:
    if reason.code == said.code:
        return reason.fix
    parameters, message = rendition.parameters, cut(reason.message, 300).rstrip(".")
    return f"The {parameters.scale_factor}x {parameters.mode} rendition: {message}. {reason.fix}"


def _is_dispensable(superseded: Rendition) -> bool:
    """Whether its result is known, or nothing was paid for it."""
    is_paid = superseded.project_id is not None or superseded.reason is not None
    return superseded.output is not None or not is_paid


def _with_latest_superseded(renditions: dict[str, Rendition]) -> dict[str, Rendition]:
    """Return the renditions, without most of the superseded ones if there are many.

    Those left out only disappear from the manifest: their jobs, and what was paid, stay in the
    ledger for whoever wants them again. Those whose result is not known are left out last.
    """
    superseded = [one for one in renditions.values() if one.state is DropState.SUPERSEDED]
    unseen_first = sorted(superseded, key=_is_dispensable)
    sizes = accumulate(len(one.model_dump_json().encode()) for one in unseen_first)
    left_out = {
        one.id for one, size in zip(unseen_first, sizes, strict=True) if size > _SUPERSEDED_SIZE
    }
    return {name: one for name, one in renditions.items() if name not in left_out}
