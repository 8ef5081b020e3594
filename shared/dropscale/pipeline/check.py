"""Check: one look at a project, and when to look again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, Reason
from dropscale.ledger.states import AT_VENDOR_STATES, VERDICTS, DropState, JobState
from dropscale.ledger.store import Ledger, amend_drop
from dropscale.magichour.errors import DeadlinePassed, MagicHourError, NotFound
from dropscale.magichour.models import Project
from dropscale.magichour.webhooks import EventKind
from dropscale.pipeline.parts.execution import ExecutionState, HistoryFull, ProjectFailure
from dropscale.pipeline.parts.look import PASSING, LookAtProject
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.poll_schedule import MOST_LOOKS, PollSchedule, pause_after_failures
from dropscale.pipeline.parts.ports import Clock
from dropscale.pipeline.parts.waiters import WakeWaiters, end_wait, waiter_of
from dropscale.upscaler import FINAL_STATUSES, ProjectStatus

_MOST_WAITING = 5
"""If more jobs run, no function waits: a new account's quota is 10 concurrent functions.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

_SHOWN_FAILURES = 3
"""After this many inconclusive looks in a row, the manifest says so."""


@dataclass(frozen=True)
class Check:
    """Looks at the project of an execution."""

    ledger: Ledger
    look: LookAtProject
    write_manifest: WriteManifest
    clock: Clock
    schedule: PollSchedule
    sleep: Callable[[float], None]
    brief_look: LookAtProject
    """Its call takes less time than the shortest wait that a token ends."""
    wake_waiters: WakeWaiters

    def __call__(self, state: ExecutionState) -> ExecutionState:
        """Return the state with the project's status and the next wait.

        After an inconclusive look, the status is the previous one.

        Raises:
            DeadlinePassed: the project is not final, and its deadline has passed.
            HistoryFull: it is not final, and the execution has no room for another look.
            NotFound: the vendor answers 404.
        """
        end_wait(self.ledger, state)
        # Deliver's attempts, after a wake that came too soon, fill a history as much as a look.
        looks = state.looks + (1 if state.error is None else 2)
        state = state.with_findings(looks=looks, error=None)
        begin = self.clock()
        while True:
            state = self._look(state, self.look)
            spent = (self.clock() - begin).total_seconds()
            is_final = state.status in FINAL_STATUSES
            if is_final or state.failures or spent + state.wait_seconds > self.schedule.patience:
                return state
            many_look = self.ledger.slots_taken() > _MOST_WAITING
            if many_look or self.look.is_shared(state.fingerprint):
                return state  # Not all of them should wait here.
            self.sleep(state.wait_seconds)

    def begin_wait(self, state: ExecutionState, token: str, entered: datetime) -> None:
        """Let an event end the wait that an execution has entered, or end it if there is a verdict.

        The token is stored before the look, so that an event can only come before the look, which
        sees what it tells, or after the token.
        """
        waiter = waiter_of(state, token, entered)
        if not self.ledger.save_waiter(waiter):
            return
        # If it shows no verdict, the look that follows the wait says what is wrong.
        with suppress(NotFound, DeadlinePassed, HistoryFull):
            status = self._look(state, self.brief_look).status
            if status in FINAL_STATUSES:
                is_complete = status is ProjectStatus.COMPLETE
                kind = EventKind.COMPLETED if is_complete else EventKind.ERRORED
                if not self.wake_waiters.wake(waiter, kind):
                    self.ledger.remove_waiter(waiter)  # It continued before this was stored.

    def _look(self, state: ExecutionState, look: LookAtProject) -> ExecutionState:
        try:
            project = look(state.fingerprint, state.project_id)
        except NotFound:
            job = self.ledger.job(state.fingerprint)
            if job is None or job.state not in VERDICTS:
                raise
            # The verdict stands, and so does the price: a project that is gone returns nothing.
            status, price = ProjectStatus(job.state), job.credits_charged
            return state.with_findings(status=status, credits_charged=price)
        except PASSING as error:
            return self._look_later(state, error)
        if project.status is not ProjectStatus.COMPLETE and self._was_complete(state):
            return state.with_findings(status=ProjectStatus.COMPLETE)
        if project.status in FINAL_STATUSES:
            return _add_findings(state, project, state.wait_seconds)
        wait = self._next_wait(state, f"still {project.status}")
        if project.status is ProjectStatus.RENDERING and state.status is not project.status:
            self._show(state, DropState.RENDERING)
        elif state.failures >= _SHOWN_FAILURES:
            self._show(state, None)
        return _add_findings(state, project, wait)

    def _was_complete(self, state: ExecutionState) -> bool:
        """Whether deliver may still find the result in an earlier delivery's output."""
        job = self.ledger.job(state.fingerprint)
        return job is not None and job.state is JobState.COMPLETE

    def _look_later(
        self, state: ExecutionState, error: MagicHourError | DropscaleError
    ) -> ExecutionState:
        """Pause after an inconclusive answer, longer with each one in a row."""
        failures, said = state.failures + 1, _summarize(error)
        wait = self._next_wait(
            state,
            f"the last answer was inconclusive: {said}",
            pause_after_failures(failures, getattr(error, "retry_after", None)),
        )
        if failures == _SHOWN_FAILURES:
            reason = Reason(
                code=type(error).__name__,
                message=f"The status of project {state.project_id} cannot be read: {said}",
                fix=(
                    "Nothing is lost. It is checked again automatically, with growing pauses, for "
                    "seven days, and delivered when complete."
                ),
            )
            self._show(state, None, reason)
        return state.with_findings(failures=failures, wait_seconds=wait)

    def _next_wait(self, state: ExecutionState, seen: str, shortest: int = 0) -> int:
        now = int(self.clock().timestamp())
        next_wait = self.schedule.next_callback if state.webhooks else self.schedule.next_wait
        wait = next_wait(state.started_at, now, state.deadline)
        if wait < 1:
            raise DeadlinePassed(
                f"GET project {state.project_id}", project_id=state.project_id, message=seen
            )
        if state.looks >= MOST_LOOKS:
            raise HistoryFull.of(state.project_id, state.looks)
        return min(max(wait, shortest), state.deadline - now)

    def _show(
        self, state: ExecutionState, drop_state: DropState | None, reason: Reason | None = None
    ) -> None:
        """Show in the manifest the project's status, or why it cannot be read."""

        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.rendition_id)
            if rendition is None or rendition.state not in AT_VENDOR_STATES:
                return drop
            shown = rendition.report(
                drop_state or rendition.state,
                project_id=state.project_id,
                generation=state.generation,
                reason=reason,
            )
            return drop if shown == rendition else drop.with_rendition(shown, self.clock())

        drop = amend_drop(self.ledger, state.drop_id, change)
        self.write_manifest(drop)


def _add_findings(state: ExecutionState, project: Project, wait_seconds: int) -> ExecutionState:
    error = project.error
    failure = error and ProjectFailure(code=error.code, message=error.message)
    return state.with_findings(
        status=project.status,
        credits_charged=project.final_price,
        project_error=failure or None,
        failures=0,
        wait_seconds=wait_seconds,
    )


def _summarize(error: MagicHourError | DropscaleError) -> str:
    return error.summary if isinstance(error, MagicHourError) else error.message
