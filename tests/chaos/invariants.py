"""Invariants that must hold once everything is settled, whatever happened to the functions."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from dropscale.ledger.batches import BatchLine, batch_id
from dropscale.ledger.drops import Drop, Rendition
from dropscale.ledger.states import OPEN_STATES, DropState, JobState
from dropscale.results.batch_report import BatchReport, report_keys
from dropscale.results.manifest import manifest_key, manifest_of
from dropscale.results.output_key import claimed_name, output_key
from tests.chaos.simulated_stack import SimulatedStack
from tests.chaos.webhooks import named_by_events
from tests.world import BUCKET

_WITH_REASON = {
    DropState.FAILED,
    DropState.CANCELED,
    DropState.REJECTED,
    DropState.TIMED_OUT,
    DropState.UNKNOWN,
}
_BUGS = (AttributeError, KeyError, TypeError, ValueError, AssertionError)
_BUG_NAMES = {"IllegalTransition", "ManifestContended", "NotInLedger"}


def violations(
    stack: SimulatedStack, allowed: Mapping[str, Collection[DropState]]
) -> Iterator[str]:
    """Yield what does not hold; `allowed` names every image, and how it may have ended."""
    for key, states in allowed.items():
        yield from _drop_violations(stack, key, states)
    yield from _name_violations(stack)
    yield from _money_violations(stack)
    yield from _job_violations(stack)
    yield from _batch_violations(stack)
    for message in stack.dead_letters:
        yield f"{message.key}: its message is in the dead-letter queue"
    yield from bugs(stack)


def bugs(stack: SimulatedStack) -> Iterator[str]:
    """Yield the errors that no mishap explains."""
    for error in stack.errors:
        if isinstance(error, _BUGS) or type(error).__name__ in _BUG_NAMES:
            yield f"{type(error).__name__} was raised: {error}"


def _drop_violations(
    stack: SimulatedStack, key: str, allowed: Collection[DropState]
) -> Iterator[str]:
    drop = stack.ledger.drop(Drop.id_of(BUCKET, key))
    if drop is None:
        yield f"{key}: silence, the ledger does not know it"
        return
    manifest = stack.results.manifests.get(manifest_key(key))
    if manifest is None or manifest[1] != manifest_of(drop).model_dump_json(indent=2).encode():
        yield f"{key}: the manifest is not the ledger's row"
    if drop.state not in allowed and not _is_unknown_rightly(stack, drop):
        yield f"{key}: {drop.state} ({drop.reason and drop.reason.message}), not {sorted(allowed)}"
    for rendition in drop.renditions.values():
        yield from _rendition_violations(stack, drop, rendition)


def _rendition_violations(stack: SimulatedStack, drop: Drop, rendition: Rendition) -> Iterator[str]:
    key = drop.source.key
    waits = drop.spec is None or drop.spec.wait_for_completion
    if rendition.state in OPEN_STATES and waits:
        yield f"{key}: {rendition.state} for ever"
    if rendition.state in _WITH_REASON and not (rendition.reason and rendition.reason.fix):
        yield f"{key}: {rendition.state} without a reason"
    if drop.id not in stack.ledger.list_attached(rendition.fingerprint):
        yield f"{key}: it is not attached to its job"
    if rendition.state is DropState.DELIVERED and drop.state is DropState.DELIVERED:
        yield from _output_violations(stack, drop, rendition)


def _output_violations(stack: SimulatedStack, drop: Drop, rendition: Rendition) -> Iterator[str]:
    job, output, spec = stack.ledger.jobs[rendition.fingerprint], rendition.output, drop.spec
    if output is None or spec is None or job.project_id is None:
        yield f"{drop.source.key}: delivered, without output, spec or project"
        return
    stored = stack.results.outputs.get(output.key)
    if stored is None or stored[0] != stack.vendor.result(job.project_id):
        yield f"{drop.source.key}: delivered, but its output is not the project's result"
    if output.key != output_key(drop.source.key, rendition, output.type):
        yield f"{drop.source.key}: delivered to {output.key}, not to where its spec says"


def _is_unknown_rightly(stack: SimulatedStack, drop: Drop) -> bool:
    """Whether an answer was truly lost: then unknown is the only honest state."""
    named = named_by_events(stack.vendor, stack.setting.webhooks, stack.clock.now)
    settled = {entry.fingerprint for entry in named}
    return drop.state is DropState.UNKNOWN and any(
        stack.ledger.jobs[rendition.fingerprint].state is JobState.UNKNOWN
        and rendition.fingerprint[:8] not in settled
        for rendition in drop.renditions.values()
        if rendition.state is DropState.UNKNOWN
    )


def _name_violations(stack: SimulatedStack) -> Iterator[str]:
    """Each output that there is, or will be, has a name that its drop alone has claimed."""
    claims, drops = stack.ledger.claims, stack.ledger.drops.values()
    owners = {
        claimed_name(drop.source.key, one): drop
        for drop in drops
        for one in drop.renditions.values()
    }
    for name, drop in owners.items():
        if name not in claims or claims[name].drop_id != drop.id:
            yield f"{drop.source.key}: its output's name {name} is not its own"
    at_vendor = {drop.id for drop in drops if drop.is_at_vendor}
    for name in claims.keys() - owners.keys():
        if claims[name].drop_id not in at_vendor:
            yield f"{name}: belongs to {claims[name].key} for ever, and no output can have it"


def _money_violations(stack: SimulatedStack) -> Iterator[str]:
    vendor, jobs = stack.vendor, stack.ledger.jobs.values()
    for projects in vendor.paid_twice():
        yield f"paid twice: {projects}"
    known = {job.project_id for job in jobs} | {orphan for job in jobs for orphan in job.orphans}
    lost = {job.fingerprint[:8] for job in jobs if job.state is JobState.UNKNOWN}
    for entry in vendor.book.values():
        is_lost = entry.fingerprint in lost or entry.is_refunded(stack.clock.now)
        if entry.id not in known and not is_lost:
            yield f"{entry.id} is in the vendor's book and in no row"
    reserved: Counter[str] = Counter()
    for job in jobs:
        reserved.update(job.spent)
    for window in reserved.keys() | stack.ledger.credits.keys():
        spent = stack.ledger.credits_spent(window)
        if reserved[window] != spent:
            yield f"{window}: {spent} spent, {reserved[window]} reserved"
    counted = sum(reserved[window] for window in reserved if window.startswith("month#"))
    if counted < vendor.charged():
        yield f"{vendor.charged()} credits are charged, but only {counted} are counted"


def _job_violations(stack: SimulatedStack) -> Iterator[str]:
    ledger = stack.ledger
    shown = {fingerprint for drop in ledger.drops.values() for fingerprint in drop.fingerprints}
    held = sum(job.holds_slot for job in ledger.jobs.values())
    if ledger.taken != held:
        yield f"{ledger.taken} slots are taken, and {held} jobs hold one"
    for job in ledger.jobs.values():
        if job.state is JobState.SUBMITTING:
            yield f"job {job.fingerprint[:8]} is submitting for ever"
        if job.due is not None:
            yield f"job {job.fingerprint[:8]} ({job.state}) is due for ever"
        if job.project_id and job.fingerprint not in shown:
            yield f"job {job.fingerprint[:8]} is paid, and no drop shows it"


def _batch_violations(stack: SimulatedStack) -> Iterator[str]:
    """Yield what is wrong with batches: the last report of each tells how its drops are now."""
    ledger = stack.ledger
    lines = {name: list(told.values()) for name, told in ledger.lines.items() if told}
    of_drops = {
        (batch_id(BUCKET, drop.batch), BatchLine.of(drop))
        for drop in ledger.drops.values()
        if drop.batch is not None
    }
    if of_drops != {(name, line) for name in lines for line in lines[name]}:
        yield "the lines of batches are not those of their drops"
    for batch in ledger.batches.values():
        if batch.due is not None or batch.unannounced is not None:
            yield f"batch {batch.path} never settles"
    told = {batch_id(BUCKET, path): settlement for path, settlement in stack.events.settled}
    for name in lines.keys() - told.keys():
        yield f"batch {name} was never settled"
    for name in lines.keys() & told.keys():
        yield from _report_violations(stack, name, told[name].id, lines[name])
    if len(set(stack.events.settled)) != len({(p, s.id) for p, s in stack.events.settled}):
        yield "one settlement was told in two ways"


def _report_violations(
    stack: SimulatedStack, name: str, settlement: str, lines: Collection[BatchLine]
) -> Iterator[str]:
    path, reports = stack.ledger.batches[name].path, stack.results.reports
    report_key, table_key = report_keys(path, settlement)
    if report_key not in reports or table_key not in reports:
        yield f"batch {path} has no report of its last settlement"
        return
    report = BatchReport.model_validate_json(reports[report_key])
    told = {image.key: (image.state, image.outputs) for image in report.images}
    if told != {line.key: (line.state, line.outputs) for line in lines}:
        yield f"batch {path}: its last report is not how its drops ended"
    rows = reports[table_key].decode("utf-8-sig").splitlines()
    if len(rows) != len(lines) + 1:
        yield f"batch {path}: its table has not a row for each image"
