"""Receive event: takes the vendor's word about a project as a hint that somebody should look.

It has no access to the vendor, and neither starts nor settles a job. It notes the project in the
row of the attempt that its name gives, and makes the job due; whoever then looks decides. So it
does not matter how often, how late or in what order events come.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dropscale.ledger.jobs import Attempt, AttemptName, Job
from dropscale.ledger.states import JobState
from dropscale.ledger.store import Ledger, LedgerConflict, SaveHints
from dropscale.magichour.webhooks import EventKind, ProjectEvent
from dropscale.pipeline.parts.ports import Clock

_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")
"""What an event's project id may be; the ledger keeps it, and a look asks for it."""
_LONGEST_TOKEN = 64
_RACES = 10
_LOOKED_AT = frozenset({JobState.SUBMITTED, JobState.ABANDONED, JobState.ERROR, JobState.CANCELED})
"""States of a job in which a look at one of its projects can change something."""


@dataclass(frozen=True)
class ReceiveEvent:
    """Notes what an event names, and wakes who waits for it."""

    ledger: Ledger
    wake: Callable[[str, str, EventKind], int]
    """Wakes executions that wait for a project of a job; takes fingerprint and project id."""
    clock: Clock

    def __call__(self, event: ProjectEvent) -> int:
        """Take an event whose signature was verified; return how many executions it woke.

        Events of projects that are not this stack's do nothing.

        Raises:
            LedgerConflict: other processes changed the job each time; the event must come again.
        """
        if _ID.fullmatch(event.project_id) is None:
            return 0
        known, attempt = self.ledger.project(event.project_id), self._attempt(event.name)
        if known is None and attempt is not None:
            self._hint(attempt, event.project_id)
        if known is None:
            return 0
        woken = self.wake(known.fingerprint, event.project_id, event.kind)
        if not woken and event.kind is not EventKind.STARTED:
            self._change(known.fingerprint, self._make_due)
        return woken

    def _attempt(self, project_name: str | None) -> Attempt | None:
        name = AttemptName.found_in(project_name)
        if name is None or name.token is None or len(name.token) > _LONGEST_TOKEN:
            return None
        return self.ledger.attempt(name.token)

    def _hint(self, attempt: Attempt, project_id: str) -> None:
        """Note a project that no job is known to have, and have it looked at.

        The note comes first. An attempt that is still being paid is not disturbed: whoever ends it
        reads its notes afterwards.
        """

        def hint(job: Job) -> Job:
            is_live = job.state is JobState.SUBMITTING and job.attempt_id == attempt.token
            return job if is_live else job.take_hint(attempt.token, self.clock())

        self.ledger.note_project(attempt.token, project_id)
        self._change(attempt.fingerprint, hint)

    def _make_due(self, job: Job) -> Job:
        """Have the sweeper look, as no execution does."""
        return job.look_again(self.clock()) if job.state in _LOOKED_AT else job

    def _change(self, fingerprint: str, change: Callable[[Job], Job]) -> None:
        """Change a job's hints and due time; the claim of a job that was read before conflicts."""
        for _ in range(_RACES):
            job = self.ledger.job(fingerprint)
            if job is None or (after := change(job)) is job:
                return
            with suppress(LedgerConflict):
                self.ledger.write(SaveHints(after))
                return
        raise LedgerConflict(f"job {fingerprint} is being changed by others at the same time")
