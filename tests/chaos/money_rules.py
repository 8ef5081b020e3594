"""The rules about money of docs/architecture.md, and what breaks each of them.

`FUNCTIONS` holds each rule's own functions: every condition in them has its mutants. `BREAKS` are
the breaks that are no condition: an order, a constant, one step in place of another.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tests.chaos.conditions import mutants_in
from tests.chaos.mutation import NOTHING, Mutant, target

RULES: Mapping[int, str] = MappingProxyType(
    {
        1: "Claim, then pay",
        2: "Pay once",
        3: "What its answer means",
        4: "`unknown` is never repeated automatically",
        5: "The id comes first",
        6: "Slots and credits follow from the job's row",
        7: "There is one gate for all jobs",
        8: "A verdict names its project",
        9: "Only a project in the contract's shape answers a look",
        10: "A job is paid for again",
        11: "Foreign objects are never overwritten",
    }
)
"""By their numbers; test_mutants.py holds them against the page."""

_PARTS = "pipeline.parts"
_START = f"{_PARTS}.start.StartJob"
_GATE = f"{_PARTS}.gate.GateKeeper"
_OWN = f"{_PARTS}.ownership.Ownership"
_LOOK = f"{_PARTS}.look.LookAtProject"
_ACCEPT = f"{_PARTS}.accept"
_ADOPT = f"{_PARTS}.adopt"
_RECEIVE = "pipeline.receive_event.ReceiveEvent"
_FOLLOW = f"{_PARTS}.follow"
_SWEEP = "pipeline.sweep.Sweep"
_CREATE = "magichour.calls.CreateCall"
_HTTP = "magichour.transport"

_ADOPTING = {
    "_UNCERTAIN": ("UNKNOWN", "SUBMITTING", "ABANDONED"),
    "_WANTING": ("READY", "ERROR", "CANCELED", "ABANDONED"),
}

FUNCTIONS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        1: (
            f"{_START}.__call__",
            f"{_START}._is_wanted",
            f"{_START}._have_image_sent",
            f"{_START}.pass_over",
            f"{_ADOPT}.AdoptProject.orphan",
            f"{_PARTS}.advance.AdvanceDrop.__call__",
            f"{_PARTS}.advance.AdvanceDrop._advance_job",
            f"{_PARTS}.decline.DeclineDrop.__call__",
            f"{_PARTS}.decline.DeclineDrop.cancel",
            f"{_SWEEP}._requeue",
            f"{_SWEEP}.__call__",
            f"{_OWN}.require",
            f"{_OWN}.owner",
            f"{_OWN}.take_over",
            f"{_OWN}.require_own",
            f"{_OWN}.note_rebuilt",
        ),
        2: (f"{_CREATE}.failure", "magichour.base_transport.Transport.send"),
        3: (
            f"{_START}._pay",
            "magichour.calls.Call._refusal",
            "magichour.calls._class_of",
            f"{_CREATE}.foreign_refusal",
        ),
        4: (
            f"{_START}._end_attempt",
            f"{_SWEEP}._expire",
            f"{_SWEEP}._settle_by_projects",
            f"{_START}._end_as_unknown",
            f"{_START}._show_unknown",
            *(f"{_ADOPT}.AdoptProject.{name}" for name in ("__call__", "_news", "noted", "_heed")),
            f"{_ADOPT}.AdoptProject._unknown_projects",
            f"{_ADOPT}.AdoptProject._take",
            *(f"{_ADOPT}.{name}" for name in ("_is_of", "_may_be_of", "_serves")),
            f"{_ADOPT}._due_after_looks",
            *(f"{_RECEIVE}.{name}" for name in ("__call__", "_attempt", "_hint", "_make_due")),
            f"{_RECEIVE}._change",
            f"{_FOLLOW}.rendition_after",
            f"{_FOLLOW}._comes_back",
            f"{_FOLLOW}.is_followed",
            f"{_FOLLOW}._note_what_is_unknown",
        ),
        5: (f"{_START}._record_project",),
        6: (
            f"{_START}.start_next",
            f"{_START}._places",
            f"{_SWEEP}._free_slot_of_overdue",
            f"{_SWEEP}._deadline",
        ),
        7: (
            f"{_START}._explain_wait",
            f"{_GATE}.close",
            f"{_GATE}.open",
            f"{_GATE}.due_probe",
            f"{_GATE}._probe_account",
            f"{_GATE}._pause_seconds",
            f"{_GATE}.hold_back",
            f"{_GATE}.widen",
            f"{_GATE}.end_probe",
            f"{_SWEEP}._start_ready_jobs",
        ),
        8: (
            f"{_FOLLOW}._take_project",
            f"{_FOLLOW}._end_without_result",
            f"{_FOLLOW}.FollowJob._bring_up_to_date",
            f"{_FOLLOW}.FollowJob._watch",
            f"{_FOLLOW}.FollowJob.continue_execution",
            f"{_FOLLOW}.FollowJob._first_state",
        ),
        10: (
            f"{_ACCEPT}.AcceptDrop._leave_others",
            f"{_ACCEPT}.AcceptDrop._prepare_job",
            f"{_ACCEPT}.renew_rendition",
            "pipeline.resolve.Resolve.adopt",
            "pipeline.resolve.Resolve.decide",
            "pipeline.resolve.Resolve._adoptable_job",
            "pipeline.resolve.Resolve._unknown_jobs",
            "pipeline.resolve._is_of_attempt",
            "pipeline.resolve._likeliest",
            "pipeline.retry.Retry._can_be_tried",
            "pipeline.retry.Retry._try_again",
        ),
        11: (
            f"{_PARTS}.publish.PublishOutput._put_once",
            f"{_PARTS}.claim_names.releases_of",
            f"{_ACCEPT}.AcceptDrop._name_clash",
        ),
    }
)

BREAKS: Mapping[int, tuple[tuple[str, str, str], ...]] = MappingProxyType(
    {
        2: (
            (
                f"{_HTTP}._Session.get_redirect_target",
                "Constant(None)[0]",
                "requests.Session.get_redirect_target(self, resp)",
            ),
            (f"{_HTTP}._Adapter.__init__", "Call(__init__)", "super().__init__(max_retries=2)"),
            (
                "magichour.base_transport.Transport._attempt",
                "Assign(answer)[0]",
                "await self.exchange(request, route)\nanswer = await self.exchange(request, route)",
            ),
            ("magichour.calls._TOLD", "", "(*it, ServerFault)"),
            ("magichour.calls._TOLD", "", "(*it, MagicHourError)"),
        ),
        1: (
            (f"{_START}.__call__", "Call(write)", "None"),
            (
                f"{_START}.__call__",
                "Assign(passage)",
                "passage = SaveSingleton(probe) if probe else SaveJob(claimed)",
            ),
            (f"{_START}.__call__", "Attribute(condition)", "RequireOpenGate()"),
            (
                f"{_START}.__call__",
                "Call(Limits)",
                "Limits(None, self.policy.budget.windows(self.clock()))",
            ),
            (f"{_START}.__call__", "Call(Limits)", "Limits(self.policy.slots)"),
            (f"{_START}.__call__", "Attribute(credits)", "()"),
            (f"{_START}.__call__", "Call(_hold_back)", "StartOutcome.WAITING"),
            (f"{_PARTS}.start._ATTEMPT_LEASE", "", "timedelta(seconds=1)"),
            (f"{_PARTS}.start._ATTEMPT_LEASE", "", "timedelta(minutes=2)"),
            (f"{_PARTS}.start.SPARE_SECONDS", "", "0.0"),
            ("ledger.store.job_changes", "Call(SaveJob)", "RequireOpenGate()"),
            ("ledger.store.job_changes", "Attribute(slots)", "None"),
            ("ledger.store.job_changes", "Call(get)", "None"),
            (f"{_ACCEPT}.AcceptDrop.__call__", "Call(Attach)", "RequireOpenGate()"),
        ),
        3: (
            (f"{_START}._end_as_unknown", "Call(record_unknown)", "job.return_to_ready(later)"),
            (f"{_START}._pay", "Call(return_to_ready)[0]", "job.record_unknown(due)"),
            (f"{_START}._pay", "Call(return_to_ready)[1]", "job.record_unknown(later)"),
            (f"{_START}._return_job", "Call(return_to_ready)", "job.record_unknown(now)"),
            (f"{_START}._close_gate", "Call(close)", "Waiting(reason)"),
            (f"{_START}._pay", "Call(close)", "None"),
            (f"{_PARTS}.start.ACCOUNT_ERRORS", "Unauthorized", NOTHING),
            (f"{_PARTS}.start.ACCOUNT_ERRORS", "OutOfCredits", NOTHING),
            (f"{_PARTS}.start.ACCOUNT_ERRORS", "Misconfigured", NOTHING),
            (f"{_PARTS}.start.REJECTING_ERRORS", "InvalidRequest", NOTHING),
            (f"{_PARTS}.start.REJECTING_ERRORS", "PlanRefused", NOTHING),
            (f"{_PARTS}.start.REJECTING_ERRORS", "NotFound", NOTHING),
            (f"{_PARTS}.start._UNAVAILABLE_SECONDS", "", "0.0"),
            (f"{_PARTS}.start._LONGEST_ASKED_SECONDS", "", "1e9"),
        ),
        4: (
            (
                "pipeline.restart.Restart.__call__",
                "Call(record_unknown)",
                "job.return_to_ready(self.clock())",
            ),
            (f"{_SWEEP}._expire", "Call(record_unknown)", "job.return_to_ready(now)"),
            (f"{_RECEIVE}._hint", "Expr(_change)", "moved before Expr(note_project)"),
            (f"{_RECEIVE}._change", "Call(SaveHints)", "RequireOpenGate()"),
            ("pipeline.receive_event._LONGEST_TOKEN", "", "10**6"),
            (f"{_ADOPT}._PATIENCE", "", "timedelta(days=1)"),
            (f"{_ADOPT}._PATIENCE", "", "timedelta(days=365)"),
            (f"{_ADOPT}._WITHOUT_RESULT", "ERROR", NOTHING),
            (f"{_ADOPT}._WITHOUT_RESULT", "CANCELED", NOTHING),
            *(
                (f"{_ADOPT}.{name}", state, NOTHING)
                for name, states in _ADOPTING.items()
                for state in states
            ),
        ),
        5: (
            (f"{_START}._pay", "If(probe)[1]", "moved before Try(submitted)"),
            (f"{_START}._record_project", "Call(with_orphan)", "job"),
            (f"{_START}._record_project", "Call(record_project)", "job"),
        ),
        6: (
            (f"{_SWEEP}._free_slot_of_overdue", "Call(record_overdue)", "job"),
            ("pipeline.deliver.Deliver._start_next", "Expr(start_next)", NOTHING),
            ("pipeline.fail.Fail.__call__", "Expr(start_next)", NOTHING),
            ("ledger.jobs._HIGHEST_PRICE", "", "10**12"),
            ("ledger.store.job_changes", "Call(FreeSlot)", "RequireOpenGate()"),
        ),
        7: (
            (f"{_PARTS}.gate._PROBE_SECONDS", "", "0.0"),
            (f"{_GATE}._pause_seconds", "BinOp(2)", "1"),
            (f"{_GATE}.hold_back", "Call(narrow)", "gate.open()"),
            (f"{_GATE}.hold_back", "Call(close)", "Waiting(WaitReason.THROTTLED)"),
        ),
        8: (
            ("pipeline.deliver.Deliver._settle_project", "Call(settle).0", "job.project_id"),
            ("pipeline.fail._settle_job", "Call(settle).0", "job.project_id"),
            ("pipeline.fail._settle_job", "Call(record_overdue).0", "job.project_id"),
            (f"{_SWEEP}._look_at_project", "Call(settle).0", "job.project_id"),
            (f"{_SWEEP}._abandon", "Call(abandon).0", "job.project_id"),
            (f"{_SWEEP}._free_slot_of_overdue", "Call(record_overdue).0", "job.project_id"),
            (f"{_LOOK}._look", "Call(record_missing).0", "job.project_id"),
            (f"{_LOOK}._look", "Call(record_answer)[1].0", "job.project_id"),
            (f"{_FOLLOW}.FollowJob.execution_name", "Attribute(generation)", "0"),
            (f"{_FOLLOW}.FollowJob._bring_up_to_date", "Assign(job)", NOTHING),
            ("magichour.calls.get_project", "Compare(id)", "False"),
        ),
        9: (
            ("ledger.jobs.MISSING_LOOKS", "", "1"),
            ("ledger.jobs.MISSING_FOR", "", "timedelta()"),
            ("ledger.jobs.MISSING_FOR", "", "timedelta(days=365)"),
            ("pipeline.sweep._PATIENCE", "", "timedelta(days=5)"),
            ("pipeline.sweep._PATIENCE", "", "timedelta(days=365)"),
            ("pipeline.sweep._LAST_LOOK", "", "timedelta(days=1)"),
            ("pipeline.sweep._LAST_LOOK", "", "timedelta(days=365)"),
            ("pipeline.sweep._ABANDONED_LOOK", "", "timedelta(days=20)"),
            (f"{_PARTS}.poll_schedule._LONGEST_LOOK", "", "timedelta(days=3)"),
            (f"{_PARTS}.look._NO_ANSWERS", "Unreachable", NOTHING),
            (f"{_PARTS}.look._NO_ANSWERS", "ConnectionLost", NOTHING),
            (f"{_PARTS}.look._NO_ANSWERS", "Misconfigured", NOTHING),
            (f"{_PARTS}.look.PASSING", "MagicHourError", NOTHING),
            (f"{_PARTS}.look.PASSING", "ProjectNotComplete", NOTHING),
            (f"{_PARTS}.look.PASSING", "ForeignProject", NOTHING),
        ),
        10: (
            (f"{_ADOPT}.AdoptProject.orphan", "Call(partial)", "lambda job: job"),
            (f"{_ACCEPT}.AcceptDrop._prepare_job", "Call(take_drop)", "job.renew(now)"),
            ("pipeline.retry.Retry._try_again", "Call(take_drop)", "job.renew(now)"),
            ("pipeline.resolve.Resolve.decide", "Call(give_up)", "job.pay_again(now)"),
            ("pipeline.resolve.Resolve.decide", "Call(pay_again)", "job.give_up(now)"),
            ("pipeline.resolve.Resolve._amend_unknown", "keyword(only)", NOTHING),
        ),
        11: (
            (f"{_PARTS}.publish.PublishOutput._put_once", "Assign(over)", "over = None"),
            (
                f"{_PARTS}.publish.PublishOutput._put_once",
                "Assign(drop)",
                "moved before Assign(there)",
            ),
            (f"{_PARTS}.publish.PublishOutput.__call__", "Expr(_put_once)", NOTHING),
            (f"{_PARTS}.publish._PUT_ATTEMPTS", "", "1"),
            (f"{_ACCEPT}.AcceptDrop.__call__", "Call(claims_of)", "()"),
            (f"{_ACCEPT}.AcceptDrop.__call__", "Call(releases_of)", "()"),
        ),
    }
)

_STATES = "ledger.states"
TABLES = (
    "JOB_TRANSITIONS",
    "SLOT_STATES",
    "VERDICTS",
    "PROJECT_STATES",
    "RENDITION_TRANSITIONS",
    "OPEN_STATES",
    "AT_VENDOR_STATES",
    "COLLECTABLE_STATES",
)


def money_mutants() -> Iterator[Mutant]:
    """Yield the mutants of the rules about money, rule by rule."""
    for number, title in RULES.items():
        rule = f"{number}. {title}"
        for where in FUNCTIONS.get(number, ()):
            yield from mutants_in(where, rule)
        for where, node, becomes in BREAKS.get(number, ()):
            yield Mutant(rule, where, node, becomes)


def table_mutants() -> Iterator[Mutant]:
    """Yield the mutants of the tables of states, each without one of its entries."""
    for name in TABLES:
        where = f"{_STATES}.{name}"
        table: Any = target(where).value
        for key in sorted(table):
            inner = table[key] if isinstance(table, Mapping) else ()
            entries = [f"{key.name}.{following.name}" for following in inner] or [key.name]
            for entry in sorted(entries):
                yield Mutant(f"The table {name}", where, entry, NOTHING)
