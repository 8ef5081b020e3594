"""Jobs: each is one paid upscale; and the rows that find it by token or by project."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
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
"""A project counts as gone after this many 404s in a row in this time; a proxy's end sooner."""

_TOKEN_DIGITS = 8
_NAME = re.compile(
    rf"\[(?P<job>[0-9a-f]{{{_TOKEN_DIGITS}}})-(?P<attempt>[0-9]{{1,9}})(-(?P<token>[0-9a-z-]+))?\]\Z"
)

_OPEN_TO_VERDICTS = frozenset(
    {JobState.SUBMITTED, JobState.ABANDONED, JobState.ERROR, JobState.CANCELED}
)
"""The vendor may revise every verdict except `complete`."""

_MOST_ORPHANS = 20
_MOST_HINTS = 20

LOOK_PAUSE = timedelta(seconds=3)
"""The interval that the vendor asks for between two looks at a project."""
_SEEN_LIFETIME = timedelta(seconds=30)

_HIGHEST_PRICE = 4
"""Times the list price; anything above it is taken for an error, not a price."""


class Parameters(Record):
    """The settings that change the pixels of an upscale, and so its fingerprint."""

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
        """Return the settings of an effective rendition that change the pixels."""
        return cls.model_validate(
            {
                "scale_factor": wanted.scale_factor,
                "mode": wanted.mode,
                "prompt": wanted.used_prompt,
                "revision": wanted.revision,
            }
        )

    def fingerprint(self, image_identity: str) -> str:
        """Return the SHA-256 (hex) that identifies the job of these parameters on that image."""
        facts = [image_identity, self.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Upload(Record):
    """The upload of the image's bytes to the vendor."""

    path: str
    at: Instant

    def is_fresh(self, now: datetime) -> bool:
        """Whether the vendor certainly still has the bytes."""
        return now - self.at < _UPLOAD_LIFETIME


class Seen(Record):
    """The result of the last look at a project, shared by all drops that would look again now."""

    project_id: str
    at: Instant
    status: str
    credits_charged: int | None = None
    url: str | None = None
    """The URL of its first download."""

    def is_recent(self, now: datetime) -> bool:
        """Whether it is recent enough to replace a look now."""
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
    hints: tuple[str, ...]
    hinted_at: datetime | None
    forgetting_since: datetime
    forgotten_at: datetime


class Attempt(Record):
    """One claim of a job, found by the token in a project's name."""

    token: str
    """At least 96 random bits, so that it cannot be guessed."""
    fingerprint: str
    attempt: int
    project_id: str | None = None
    """The id of its project, once known."""
    noted: tuple[str, ...] = ()
    """The ids of projects to which the vendor's events give its name; none is looked at yet."""
    schema_number: int = SCHEMA


class KnownProject(Record):
    """A project at the vendor, and the one attempt that created it."""

    project_id: str
    fingerprint: str
    token: str | None = None
    schema_number: int = SCHEMA


class AttemptName(Record):
    """The end of a project's name, which identifies the attempt that created it."""

    job: str
    """The first digits of the job's fingerprint."""
    attempt: int
    token: str | None

    @classmethod
    def found_in(cls, project_name: str | None) -> Self | None:
        """Read it from a project's name; None: the name does not end in one."""
        found = _NAME.search(project_name or "")
        return cls.model_validate(found.groupdict()) if found else None


class Job(Row):
    """One paid upscale.

    Steps that record what was seen of a project take its id: a job that has moved to another
    project, or was settled meanwhile, does not change, whatever the earlier project ended in.
    """

    fingerprint: str
    state: JobState = JobState.READY
    parameters: Parameters
    label: str
    """The first part of the project's name at the vendor, before the token."""
    upload: Upload | None = None
    failed_uploads: int = 0
    """Failures in a row; each makes the next wait longer."""
    attempt: int = 0
    attempt_id: str | None = None
    """The current attempt's token, which is part of its project's name."""
    name_at_vendor: str | None = None
    project_id: str | None = None
    credits_charged: int | None = None
    created_at: Instant
    submitted_at: Instant | None = None
    reserved: dict[str, int] = Field(default_factory=dict)
    """Credits that the current attempt has taken from each window of the budget."""
    written_off: dict[str, int] = Field(default_factory=dict)
    """Credits that earlier attempts have taken and may have been charged."""
    orphans: tuple[str, ...] = ()
    """Projects of earlier attempts, which ended in an error or whose answers came too late."""
    may_have_cost: bool = False
    """Whether another attempt may be charged without a result, and no person has decided on it."""
    kept_output: str | None = None
    """An output in the results bucket with its result, if nothing else is known about the job."""
    trusted_project: str | None = None
    """A project that a person has assigned to this job, whatever its name says."""
    is_overdue: bool = False
    """Whether its deadline has passed without a verdict; it no longer holds a slot."""
    watched_since: Instant | None = None
    """Since when the sweeper looks at its project for the drops that want the result."""
    missing_since: Instant | None = None
    """When the vendor first answered a look with 404; None: the last answer was not a 404."""
    missing_looks: int = 0
    """404s in a row."""
    abandoned_at: Instant | None = None
    looked_at: Instant | None = None
    """When a look at its project last began, if several drops share it."""
    seen: Seen | None = None
    """The result of that look."""
    due: Instant | None = None
    """When the sweeper is to look at this job and its drops; None: nothing is left to do."""
    cursor: str | None = None
    """The last of its drops that the current round has processed; None: none yet."""
    is_still_wanted: bool = False
    """Whether this round has found a drop that wants its result, or one was added meanwhile."""
    hints: tuple[str, ...] = ()
    """Tokens of attempts for which events have noted projects that are still to be looked at."""
    hinted_at: Instant | None = None
    """When the last hint came, or one was found; None: none since the current attempt began."""
    forgetting_since: Instant | None = None
    """Since when its project may be deleted at the vendor, at a person's request."""
    forgotten_at: Instant | None = None
    """When that was done."""

    @property
    def holds_slot(self) -> bool:
        """Whether it takes one of the concurrent places at the vendor."""
        return self.state in SLOT_STATES and not self.is_overdue

    @property
    def has_project(self) -> bool:
        """Whether it has a project that can have its result."""
        return self.project_id is not None

    @property
    def spent(self) -> Counter[str]:
        """Credits taken from each window of the budget, by all its attempts."""
        return Counter(self.reserved) + Counter(self.written_off)

    @property
    def project_name(self) -> str:
        """The project's name at the vendor, with a token that identifies an orphan."""
        return self.name_at_vendor or f"{self.label} [{self._short_name(self.attempt)}]"

    def _short_name(self, attempt: int) -> str:
        return f"{self.fingerprint[:_TOKEN_DIGITS]}-{attempt}"

    @property
    def doubtful_attempts(self) -> tuple[str, ...]:
        """Tokens of its attempts that may have a project that it does not know, the last first."""
        last = AttemptName.found_in(self.name_at_vendor)
        own = (last.token,) if last and last.token and not self.has_project else ()
        return tuple(dict.fromkeys((*own, *self.hints)))

    def hint_age(self, now: datetime) -> timedelta:
        """How long its hints have been open."""
        return now - (self.hinted_at or now)

    def has_given(self, name: "AttemptName") -> bool:
        """Whether a project's name belongs to this job, judging by its own row.

        Attempts of schema 1 have no rows, and the earliest of them no tokens.
        """
        is_its_own = name.job == self.fingerprint[:_TOKEN_DIGITS] and name.attempt <= self.attempt
        return is_its_own and name.token in {None, self.attempt_id}

    @property
    def is_refunded(self) -> bool:
        """Whether the vendor failed and returned all credits, so that it may be paid for again."""
        is_free = not self.credits_charged and not self.may_have_cost
        return self.state is JobState.ERROR and is_free

    @property
    def may_change(self) -> bool:
        """Whether the vendor may still reach a verdict, or return what it charged."""
        is_kept = self.state is JobState.ERROR and not self.is_refunded
        is_open = self.has_project and self.state in {JobState.SUBMITTED, JobState.ABANDONED}
        return is_open or is_kept

    def is_gone(self, now: datetime) -> bool:
        """Whether there were enough 404s over enough time for its project to count as gone."""
        since = self.missing_since
        return since is not None and (
            self.missing_looks >= MISSING_LOOKS and now - since >= MISSING_FOR
        )

    def can_be_created(self, now: datetime) -> bool:
        """Whether the vendor certainly still has the bytes that a create would name."""
        return self.upload is not None and self.upload.is_fresh(now)

    def needs_upload(self, now: datetime) -> bool:
        """Whether it waits for its image's bytes to be uploaded, for the first time or again."""
        return self.state is JobState.READY and not self.can_be_created(now)

    def with_upload(self, path: str, now: datetime) -> Self:
        """Record the upload; from now on any function can start the job."""
        return self._step(upload=Upload(path=path, at=now), failed_uploads=0, due=self.created_at)

    def record_failed_upload(self, now: datetime) -> Self:
        """Record a failed upload; the image is read again, each time after a longer wait."""
        pause = min(_UPLOAD_PAUSE * 2 ** min(self.failed_uploads, 9), _LONGEST_UPLOAD_PAUSE)
        return self._step(failed_uploads=self.failed_uploads + 1, due=now + pause)

    def look_again(self, due: datetime | None) -> Self:
        """Have the sweeper look again at `due`; nothing else changes."""
        return self._step(due=due)

    def pass_on(self, cursor: str | None, due: datetime, *, is_wanted: bool) -> Self:
        """Record how far a round has come; the sweeper continues after `cursor` at `due`.

        The due time of a job that is to be paid, or is being paid, does not change.
        """
        still_due = self.due if self.state in {JobState.READY, JobState.SUBMITTING} else due
        still_wanted = self.is_still_wanted or is_wanted
        return self._step(cursor=cursor, is_still_wanted=still_wanted, due=still_due)

    def end_round(self, due: datetime | None) -> Self:
        """End a round; the next begins at `due`, or, if that is None, when a drop is added."""
        return self._step(cursor=None, is_still_wanted=False, due=due)

    def take_drop(self, now: datetime, review: datetime) -> Self:
        """Record that a drop wants its result (again), and make the job due again.

        It is due at `review`, or now if it is to be started. It is paid for again only if the
        vendor returned the credits.
        """
        if self.is_refunded:
            taken = self.renew(now)
        elif self.has_project:
            taken = self.watch_anew(now, review)
        elif self.state is JobState.READY:
            taken = self.look_again(self.due or now)
        else:
            # While an attempt is being paid, it stays due when that must have ended.
            taken = self.look_again(self.due if self.state is JobState.SUBMITTING else review)
        return taken.model_copy(update={"is_still_wanted": True})

    def trust_project(self) -> Self:
        """Record that a person assigns its project to it, although the project's name differs."""
        return self.model_copy(update={"trusted_project": self.project_id})

    def watch_anew(self, now: datetime, due: datetime) -> Self:
        """Look at its project for another full period, because the result is wanted (again)."""
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
        """Begin an attempt, to be paid from `windows`; after `expires_at` it counts as dead."""
        attempt = self.attempt + 1
        return self._step(
            JobState.SUBMITTING,
            attempt=attempt,
            attempt_id=attempt_id,
            name_at_vendor=f"{self.label} [{self._short_name(attempt)}-{attempt_id}]",
            reserved=dict.fromkeys(windows, self.parameters.credits),
            hinted_at=None,
            due=expires_at,
        )

    def return_to_ready(self, due: datetime) -> Self:
        """End an attempt that certainly created nothing; it may be tried again at `due`."""
        return self._step(JobState.READY, attempt_id=None, reserved={}, due=due)

    def record_project(
        self, project_id: str, charged: int | None, now: datetime, due: datetime
    ) -> Self:
        """Record the project that the vendor created, and the credits that it charged."""
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
        """Keep the project of an earlier attempt that was paid after all."""
        return self._step(orphans=self._orphans_with(project_id))

    def take_hint(self, token: str, now: datetime) -> Self:
        """Have the projects looked at that events have noted for one of its attempts.

        While an attempt is being paid, it stays due when that must have ended.
        """
        return self._step(
            hints=tuple(dict.fromkeys((*self.hints, token)))[-_MOST_HINTS:],
            hinted_at=now,
            due=self.due if self.state is JobState.SUBMITTING else now,
        )

    def heed_hints(
        self, orphans: Iterable[str], left: Sequence[str], now: datetime, due: datetime | None
    ) -> Self:
        """Record looks at noted projects: those that it keeps as orphans, and the hints `left`."""
        kept = self
        for orphan in orphans:
            kept = kept.model_copy(update={"orphans": kept._orphans_with(orphan)})
        return kept._step(hints=tuple(left), hinted_at=self.hinted_at or now, due=due)

    def record_unknown(self, due: datetime) -> Self:
        """Record that the attempt may have been charged; it is never repeated automatically."""
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
        windows: Iterable[str] = (),
    ) -> Self:
        """Make a project this job's that is not recorded for the current attempt.

        `is_of_attempt`: the current attempt created it; if not, that attempt's own credits may be
        lost. `is_trusted`: a person assigns it, although the project's name differs. `windows`: of
        the budget, to take its credits from; empty: they were never returned.
        """
        is_settled = self.state is JobState.READY or self.is_refunded
        is_left = not is_settled and not is_of_attempt and self.project_id != project_id
        is_another = is_left or self.project_id not in {None, project_id}
        written_off = dict(self.spent) if is_another else self.written_off
        paying = self.model_copy(update={"reserved": dict.fromkeys(windows, 0) or self.reserved})
        taken = paying.record_project(project_id, charged, now, due)
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
        """Free the slot of a job without a verdict in time; the job itself continues."""
        if not self._is_open_at(project_id) or self.is_overdue:
            return self
        return self._step(is_overdue=True)

    def record_missing(self, project_id: str, now: datetime) -> Self:
        """Record a look that was answered with 404; a single one proves nothing."""
        if project_id != self.project_id:
            return self
        since, looks = self.missing_since or now, self.missing_looks + 1
        return self._step(missing_since=since, missing_looks=looks)

    def begin_look(self, project_id: str, now: datetime) -> Self:
        """Begin a look at its project for all its drops, unless another has just begun."""
        is_fresh = self.looked_at is not None and now - self.looked_at < LOOK_PAUSE
        if project_id != self.project_id or is_fresh:
            return self
        return self._step(looked_at=now)

    def record_seen(self, seen: Seen) -> Self:
        """Record the result of a look that was begun for all its drops."""
        return self if seen.project_id != self.project_id else self._step(seen=seen)

    def record_answer(self, project_id: str) -> Self:
        """Record a look whose answer was not a 404."""
        if project_id != self.project_id or not self.missing_looks:
            return self
        return self._step(missing_since=None, missing_looks=0)

    def settle(
        self, project_id: str, verdict: JobState, charged: int | None, due: datetime
    ) -> Self:
        """Record the vendor's verdict: complete, error or canceled.

        `charged` is the project's final price as the vendor states it. An error costs nothing
        unless the vendor says so; it may return the credits later.
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
            # The time to deliver the result begins now, however long the upscale took.
            watched_since=due,
            credits_charged=cost,
            reserved=dict.fromkeys(self.reserved, cost),
            missing_since=None,
            missing_looks=0,
            abandoned_at=None,
            due=due,
        )

    def abandon(self, project_id: str, now: datetime, due: datetime) -> Self:
        """Stop waiting for a project that seems to be gone, or has had no verdict for too long."""
        if not self._is_open_at(project_id):
            return self
        return self._step(JobState.ABANDONED, abandoned_at=now, due=due)

    def begin_to_forget(self, now: datetime) -> Self:
        """Record that its projects will be deleted; also if it was begun before.

        This conflicts with a drop that asks for its result at the same time.
        """
        return self._step(forgetting_since=self.forgetting_since or now)

    def forget(self, now: datetime) -> Self:
        """Record that its projects are deleted."""
        return self._step(forgotten_at=self.forgotten_at or now)

    def give_up(self, due: datetime) -> Self:
        """Give up, by a person's decision, the attempt whose answer never came."""
        return self._step(JobState.ABANDONED, due=due)

    def renew(self, now: datetime) -> Self:
        """Prepare another attempt, because the vendor returned the credits."""
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
        """Prepare another attempt by a person's decision; the unknown one's credits stay spent."""
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
            changes.setdefault("cursor", None)  # Each of its drops must learn the new state.
        return self._take_step({**changes, "state": state or self.state})
