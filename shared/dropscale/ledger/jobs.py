"""Jobs: one paid upscale each, and what leads to it from a token or a project."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Self, TypedDict, Unpack

from pydantic import Field

from dropscale import upscaler
from dropscale.ledger.rows import SCHEMA, IllegalTransition, Instant, Record, Row
from dropscale.ledger.states import JOB_TRANSITIONS, PROJECT_STATES, SLOT_STATES, JobState
from dropscale.specs.effective import EffectiveRendition
from dropscale.upscaler import Mode

_UPLOAD_LIFETIME = timedelta(days=upscaler.UPLOAD_DAYS) - timedelta(hours=12)

_UPLOAD_PAUSE, _LONGEST_UPLOAD_PAUSE = timedelta(minutes=1), timedelta(hours=1)

MISSING_LOOKS = 3
MISSING_FOR = timedelta(hours=24)
"""A project is taken for gone after so many 404s in a row over so long; a proxy's passes sooner."""

_TOKEN_DIGITS = 8
_NAME = re.compile(
    rf"\[(?P<job>[0-9a-f]{{{_TOKEN_DIGITS}}})-(?P<attempt>[0-9]{{1,9}})(-(?P<token>[0-9a-z-]+))?\]\Z"
)

_OPEN_TO_VERDICTS = frozenset(
    {JobState.SUBMITTED, JobState.ABANDONED, JobState.ERROR, JobState.CANCELED}
)
"""The vendor may take a verdict back, all but that the result is there."""

_MOST_ORPHANS = 20

LOOK_PAUSE = timedelta(seconds=3)
"""Between two looks at a project, the vendor asks for as much."""
_SEEN_LIFETIME = timedelta(seconds=30)

_HIGHEST_PRICE = 4
"""Times the list price; a price above it is a misreading, not a price."""


class Parameters(Record):
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


class Upload(Record):
    """The image's bytes at the vendor."""

    path: str
    at: Instant

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether the vendor surely still keeps the bytes."""
        return now - self.at < _UPLOAD_LIFETIME


class Seen(Record):
    """What the last look at a project has found, for all who would look at the same moment."""

    project_id: str
    at: Instant
    status: str
    credits_charged: int | None = None
    url: str | None = None
    """Of its first download."""

    def is_recent(self, now: datetime) -> bool:
        """Whether it may stand for a look now."""
        return now - self.at < _SEEN_LIFETIME


class _JobChanges(TypedDict, total=False):
    upload: Upload
    failed_uploads: int
    attempt: int
    attempt_id: str | None
    name_at_vendor: str
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
    looked_at: datetime
    seen: Seen
    due: datetime | None
    cursor: str | None
    is_still_wanted: bool


class Attempt(Record):
    """One claim of a job: what the token in a project's name leads to."""

    token: str
    """At least 96 random bits; nobody can make one up."""
    fingerprint: str
    attempt: int
    project_id: str | None = None
    """Once it is known."""
    schema_number: int = SCHEMA


class KnownProject(Record):
    """A project of the vendor's, and the attempt that it came from. It is nobody else's."""

    project_id: str
    fingerprint: str
    token: str | None = None
    schema_number: int = SCHEMA


class AttemptName(Record):
    """What the end of a project's name says of the attempt that it was created by."""

    job: str
    """The first digits of the job's fingerprint."""
    attempt: int
    token: str | None

    @classmethod
    def found_in(cls, project_name: str | None) -> Self | None:
        """Read it from a project's name; None: it does not end in one."""
        found = _NAME.search(project_name or "")
        return cls.model_validate(found.groupdict()) if found else None


class Job(Row):
    """One paid upscale.

    Steps that tell what was seen of a project take its id: a job that is at another project by
    now, or was settled since, stays as it is, whatever its earlier project came to.
    """

    fingerprint: str
    state: JobState = JobState.READY
    parameters: Parameters
    label: str
    """What the vendor shows as the project's name, before the token."""
    upload: Upload | None = None
    failed_uploads: int = 0
    """In a row; each next one waits for longer."""
    attempt: int = 0
    attempt_id: str | None = None
    """The present attempt's token, which is a part of its project's name."""
    name_at_vendor: str | None = None
    project_id: str | None = None
    credits_charged: int | None = None
    created_at: Instant
    submitted_at: Instant | None = None
    reserved: dict[str, int] = Field(default_factory=dict)
    """Credits that the present attempt has taken from each window of the budget."""
    written_off: dict[str, int] = Field(default_factory=dict)
    """Credits that earlier attempts have taken and may have cost."""
    orphans: tuple[str, ...] = ()
    """Projects of earlier attempts: such as ended in an error, or whose answers came too late."""
    may_have_cost: bool = False
    """Whether another attempt may be charged, in vain, while no person has decided on it."""
    kept_output: str | None = None
    """An output in the results bucket that has its result, where no more is known of it."""
    trusted_project: str | None = None
    """A project that a person took for this job's, whatever its name says."""
    is_overdue: bool = False
    """Whether its deadline has passed without a verdict; it no longer holds others up."""
    watched_since: Instant | None = None
    """Since when the sweeper looks at its project for those who want the result."""
    missing_since: Instant | None = None
    """When the vendor first answered 404 to a look; None: it has answered otherwise since."""
    missing_looks: int = 0
    """404s in a row."""
    abandoned_at: Instant | None = None
    looked_at: Instant | None = None
    """When somebody last began to look at its project, if several drops share it."""
    seen: Seen | None = None
    """What came of such a look."""
    due: Instant | None = None
    """When the sweeper is to look at this job and its drops; None: nothing is left to do."""
    cursor: str | None = None
    """The last of its drops that the present round has come to; None: it begins with the first."""
    is_still_wanted: bool = False
    """Whether this round has met a drop that wants its result, or one has come meanwhile."""

    @property
    def holds_slot(self) -> bool:
        """Whether it takes one of the vendor's concurrent places."""
        return self.state in SLOT_STATES and not self.is_overdue

    @property
    def has_project(self) -> bool:
        """Whether there is a project that its result can come from."""
        return self.project_id is not None

    @property
    def spent(self) -> Counter[str]:
        """Credits taken from each window of the budget, by all its attempts."""
        return Counter(self.reserved) + Counter(self.written_off)

    @property
    def project_name(self) -> str:
        """The project's name at the vendor, with a token by which an orphan can be found."""
        return self.name_at_vendor or f"{self.label} [{self._short_name(self.attempt)}]"

    def _short_name(self, attempt: int) -> str:
        return f"{self.fingerprint[:_TOKEN_DIGITS]}-{attempt}"

    def has_given(self, name: "AttemptName") -> bool:
        """Whether a project's name is this job's, as far as its own row tells.

        Attempts of schema 1 have no rows, and the earliest of them no tokens.
        """
        is_its_own = name.job == self.fingerprint[:_TOKEN_DIGITS] and name.attempt <= self.attempt
        return is_its_own and name.token in {None, self.attempt_id}

    @property
    def is_refunded(self) -> bool:
        """Whether the vendor failed and gave all credits back, so that it may be paid anew."""
        is_free = not self.credits_charged and not self.may_have_cost
        return self.state is JobState.ERROR and is_free

    @property
    def may_change(self) -> bool:
        """Whether the vendor may still come to a verdict, or give back what it charged."""
        is_kept = self.state is JobState.ERROR and not self.is_refunded
        is_open = self.has_project and self.state in {JobState.SUBMITTED, JobState.ABANDONED}
        return is_open or is_kept

    def is_gone(self, now: datetime) -> bool:
        """Whether enough 404s over enough time say that the vendor has its project no more."""
        since = self.missing_since
        return since is not None and (
            self.missing_looks >= MISSING_LOOKS and now - since >= MISSING_FOR
        )

    def can_be_created(self, now: datetime) -> bool:
        """Whether the vendor surely still has the bytes that a create would name."""
        return self.upload is not None and self.upload.is_fresh(now)

    def needs_upload(self, now: datetime) -> bool:
        """Whether it waits for its image's bytes to be sent, for the first time or once more."""
        return self.state is JobState.READY and not self.can_be_created(now)

    def with_upload(self, path: str, now: datetime) -> Self:
        """The bytes are at the vendor; anyone can start the job from now on."""
        return self._step(upload=Upload(path=path, at=now), failed_uploads=0, due=self.created_at)

    def record_failed_upload(self, now: datetime) -> Self:
        """The vendor did not take the bytes; the image is read again later, and later each time."""
        pause = min(_UPLOAD_PAUSE * 2 ** min(self.failed_uploads, 9), _LONGEST_UPLOAD_PAUSE)
        return self._step(failed_uploads=self.failed_uploads + 1, due=now + pause)

    def look_again(self, due: datetime | None) -> Self:
        """Nothing has changed, but the sweeper is to look again at `due`."""
        return self._step(due=due)

    def pass_on(self, cursor: str | None, due: datetime, *, is_wanted: bool) -> Self:
        """A round has come to one of its drops; the sweeper goes on from there at `due`.

        A job that is to be paid, or is being paid, stays due when it was.
        """
        still_due = self.due if self.state in {JobState.READY, JobState.SUBMITTING} else due
        still_wanted = self.is_still_wanted or is_wanted
        return self._step(cursor=cursor, is_still_wanted=still_wanted, due=still_due)

    def end_round(self, due: datetime | None) -> Self:
        """All its drops were seen; the next round begins at `due`, None: with the next drop."""
        return self._step(cursor=None, is_still_wanted=False, due=due)

    def take_drop(self, now: datetime, review: datetime) -> Self:
        """A drop wants its result (again): it is due, however long ago it was laid aside.

        That is at `review`, or now if it is to be started. It is paid anew only if the vendor gave
        the credits back.
        """
        if self.is_refunded:
            taken = self.renew(now)
        elif self.has_project:
            taken = self.watch_anew(now, review)
        elif self.state is JobState.READY:
            taken = self.look_again(self.due or now)
        else:
            # While an attempt is being paid, it is due when that must be over.
            taken = self.look_again(self.due if self.state is JobState.SUBMITTING else review)
        return taken.model_copy(update={"is_still_wanted": True})

    def trust_project(self) -> Self:
        """A person says that its project is its own, against the project's name."""
        return self.model_copy(update={"trusted_project": self.project_id})

    def watch_anew(self, now: datetime, due: datetime) -> Self:
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

    def claim(self, attempt_id: str, expires_at: datetime, windows: Iterable[str]) -> Self:
        """An attempt is about to be paid from `windows`; it is dead after `expires_at`."""
        attempt = self.attempt + 1
        return self._step(
            JobState.SUBMITTING,
            attempt=attempt,
            attempt_id=attempt_id,
            name_at_vendor=f"{self.label} [{self._short_name(attempt)}-{attempt_id}]",
            reserved=dict.fromkeys(windows, self.parameters.credits),
            due=expires_at,
        )

    def return_to_ready(self, due: datetime) -> Self:
        """The attempt surely created nothing; whoever still wants it may try again at `due`."""
        return self._step(JobState.READY, attempt_id=None, reserved={}, due=due)

    def record_project(
        self, project_id: str, charged: int | None, now: datetime, due: datetime
    ) -> Self:
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
        return self._step(orphans=self._orphans_with(project_id))

    def record_unknown(self, due: datetime) -> Self:
        """The attempt may have been charged, and no answer tells; never repeat it."""
        return self._step(JobState.UNKNOWN, due=due)

    def adopt(
        self,
        project_id: str,
        charged: int | None,
        now: datetime,
        due: datetime,
        *,
        is_of_attempt: bool = False,
        is_trusted: bool = False,
    ) -> Self:
        """A project that is not known for the present attempt's is this job's all the same.

        `is_of_attempt`: it is the present attempt's after all. Of one that is not, the attempt's
        own credits may be lost. `is_trusted`: a person says so, against the project's name.
        """
        is_settled = self.state is JobState.READY or self.is_refunded
        is_left = not is_settled and not is_of_attempt and self.project_id != project_id
        is_another = is_left or self.project_id not in {None, project_id}
        written_off = dict(self.spent) if is_another else self.written_off
        taken = self.record_project(project_id, charged, now, due)
        orphans = tuple(one for one in self._orphans_with(self.project_id) if one != project_id)
        return taken.model_copy(
            update={
                "orphans": orphans,
                "written_off": written_off,
                "may_have_cost": self.may_have_cost or is_left,
                "is_overdue": False,
                "trusted_project": project_id if is_trusted else self.trusted_project,
            }
        )

    def record_overdue(self, project_id: str) -> Self:
        """No verdict came in time; the job goes on, but others need not wait for it."""
        if not self._is_open_at(project_id) or self.is_overdue:
            return self
        return self._step(is_overdue=True)

    def record_missing(self, project_id: str, now: datetime) -> Self:
        """A look was answered 404, which by itself proves nothing."""
        if project_id != self.project_id:
            return self
        since, looks = self.missing_since or now, self.missing_looks + 1
        return self._step(missing_since=since, missing_looks=looks)

    def begin_look(self, project_id: str, now: datetime) -> Self:
        """Look at its project for all its drops, unless somebody has just begun to."""
        is_fresh = self.looked_at is not None and now - self.looked_at < LOOK_PAUSE
        if project_id != self.project_id or is_fresh:
            return self
        return self._step(looked_at=now)

    def record_seen(self, seen: Seen) -> Self:
        """A look that was begun for all its drops has found that."""
        return self if seen.project_id != self.project_id else self._step(seen=seen)

    def record_answer(self, project_id: str) -> Self:
        """A look was answered otherwise than 404."""
        if project_id != self.project_id or not self.missing_looks:
            return self
        return self._step(missing_since=None, missing_looks=0)

    def settle(
        self, project_id: str, verdict: JobState, charged: int | None, due: datetime
    ) -> Self:
        """The vendor has reached a verdict: complete, error or canceled.

        `charged` is what it says that the project cost in the end. An error costs nothing unless
        the vendor says so; it may give the credits back later.
        """
        if project_id != self.project_id or self.state not in _OPEN_TO_VERDICTS:
            return self
        price = self.parameters.credits
        before = price if self.credits_charged is None else self.credits_charged
        silent = 0 if verdict is JobState.ERROR else before
        cost = silent if charged is None else min(max(charged, 0), before or price)
        if verdict is self.state and cost >= before:
            return self
        return self._step(
            None if verdict is self.state else verdict,
            # From now on there is a result to be delivered, however long that took to come.
            watched_since=due,
            credits_charged=cost,
            reserved=dict.fromkeys(self.reserved, cost),
            missing_since=None,
            missing_looks=0,
            abandoned_at=None,
            due=due,
        )

    def abandon(self, project_id: str, now: datetime, due: datetime) -> Self:
        """The vendor seems to have no such project, or no verdict on it for too long."""
        if not self._is_open_at(project_id):
            return self
        return self._step(JobState.ABANDONED, abandoned_at=now, due=due)

    def give_up(self, due: datetime) -> Self:
        """A person gives up the attempt whose answer never came."""
        return self._step(JobState.ABANDONED, due=due)

    def renew(self, now: datetime) -> Self:
        """The vendor gave the credits back; a new drop may pay for another attempt."""
        return self._step(
            JobState.READY,
            project_id=None,
            credits_charged=None,
            is_overdue=False,
            missing_since=None,
            missing_looks=0,
            orphans=self._orphans_with(self.project_id),
            reserved={},
            written_off=dict(self.spent),
            due=now,
        )

    def pay_again(self, now: datetime) -> Self:
        """A person has decided that the unknown attempt counts as lost; its credits stay spent."""
        ready = self._step(JobState.READY, reserved={}, written_off=dict(self.spent), due=now)
        return ready.model_copy(update={"may_have_cost": False})

    def _orphans_with(self, project_id: str | None) -> tuple[str, ...]:
        left = () if project_id is None or project_id in self.orphans else (project_id,)
        return (*self.orphans, *left)[-_MOST_ORPHANS:]

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
        if state in PROJECT_STATES | {JobState.UNKNOWN}:
            changes.setdefault("cursor", None)  # That is news for each of its drops.
        return self._take_step({**changes, "state": state or self.state})
