"""The outside judge: compares what people got with what they paid for by the vendor's book.

It knows the book, the two buckets and the command line: it reads manifests as a person does, and
runs the free commands that they name. What the ledger thinks of itself does not count here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from dropscale.errors import DropscaleError
from dropscale.ledger.store import LedgerConflict
from dropscale.magichour.errors import MagicHourError
from dropscale.results.manifest import manifest_key
from tests.chaos.invariants import bugs
from tests.chaos.simulated_stack import SimulatedStack
from tests.chaos.vendor import Entry
from tests.chaos.webhooks import named_by_events

BOUND = timedelta(hours=26)
"""The time after the last fault in which everything automatic has happened: abandoned jobs are
looked at once a day, and a gate's longest pause and an execution's deadline are an hour each."""

_ROUNDS = 5
"""How often a person reads the manifest again and follows it."""

_ADOPT = re.compile(r"`dropscale resolve KEY --adopt ")
_RETRY = re.compile(r"`dropscale retry KEY`")
_DROP_AGAIN = re.compile(r"\bDrop (the image|it) again", re.IGNORECASE)
_PROJECT_NAME = re.compile(r'"([^"]* \[[0-9a-f]{8}-[0-9]+(?:-[0-9a-f]+)?\])"')

_REFUSED = {"rejected", "skipped"}
"""States of a refused drop or rendition: it wants nothing any more."""
_OPEN = {"waiting", "submitted", "rendering"}


@dataclass(frozen=True)
class Wish:
    """What a drop is to bring: the result of each of these jobs, or only its download URLs.

    Who wants URLs is served by the result, too, where another drop got it and the vendor offers
    none.
    """

    key: str
    fingerprints: Sequence[str]
    wants_urls: bool = False
    is_collected: bool = False
    """Whether its spec waits for nothing, so that `dropscale retry` has to fetch the result."""


@dataclass
class Judge:
    """Judges one stack, on which `wishes` were dropped."""

    stack: SimulatedStack
    wishes: Sequence[Wish]
    commands: list[str] = field(default_factory=list)
    """Its actions as a person."""

    def verdict(self) -> list[str]:
        """Let the bounded time pass, do what the manifests say, and return what does not hold."""
        self._rest()
        unsettled = [*self._unsettled()]
        for _ in range(_ROUNDS):
            owed = [wish for wish in self.wishes if self._is_owed(wish)]
            if not sum([self._helps_itself(wish) for wish in owed]):
                break
            self.stack.happen(0, lambda: None)
            self._rest()
        return [*unsettled, *self._violations()]

    def _rest(self) -> None:
        """Let time pass until the bound after the last fault; a new project can bring new ones."""
        stack = self.stack
        while stack.clock.now < (end := self._last_fault_at() + BOUND):
            stack.wake()
            stack.settle(end - stack.clock.now)

    def _last_fault_at(self) -> Any:
        stack = self.stack
        return max(stack.vendor.well_at(), stack.calls.last_mishap_over, stack.last_event_at)

    def _violations(self) -> Iterator[str]:
        for wish in self.wishes:
            yield from self._drop_violations(wish)
        yield from (f"paid twice: {projects}" for projects in self.stack.vendor.paid_twice())
        yield from self._count_violations()
        yield from bugs(self.stack)

    def _unsettled(self) -> Iterator[str]:
        """Yield what stays unknown although an event has named its project, and nobody helped."""
        stack = self.stack
        named = named_by_events(stack.vendor, stack.setting.webhooks, stack.clock.now)
        for wish in self.wishes:
            for job in (self._manifest(wish.key) or {"jobs": []})["jobs"]:
                attempt = f"{job['fingerprint'][:8]}-{job['attempt']}-"
                if job["state"] == "unknown":
                    mine = (entry for entry in named if entry.token.startswith(attempt))
                    yield from (f"{wish.key}: unknown, and {entry.id} is told" for entry in mine)

    def _drop_violations(self, wish: Wish) -> Iterator[str]:
        manifest = self._manifest(wish.key)
        if manifest is None:
            yield f"{wish.key}: silence, it has no manifest"
            return
        state, fix = manifest["state"], _fix(manifest)
        told = f"{state}, {manifest['reason'] and manifest['reason']['code']}, fix: {fix}"
        if self._is_owed(wish):
            paid = ", ".join(entry.id for entry in self._owed(wish))
            yield f"{wish.key}: {paid} is paid for and complete, but {told}"
        elif state in _OPEN and not self._waits_rightly(wish, manifest):
            yield f"{wish.key}: {state} for ever ({manifest['waiting_for']})"
        elif state not in _OPEN | {"delivered", "complete"} and not fix:
            yield f"{wish.key}: {told}: nothing says what to do"
        for job in manifest["jobs"]:
            if job["output"] and job["state"] == "delivered" and not self._is_right(job):
                yield f"{wish.key}: {job['output']['key']} is not a result of its job"

    def _count_violations(self) -> Iterator[str]:
        """Yield where slots and credits are not what the book says; nothing runs any more."""
        stack, vendor = self.stack, self.stack.vendor
        if stack.ledger.taken:
            yield f"{stack.ledger.taken} slots are taken, and nothing runs at the vendor"
        never_made = self._never_made() + vendor.claimed
        for kind in ("day#", "month#"):
            windows = stack.ledger.credits.items()
            counted = sum(spent for window, spent in windows if window.startswith(kind))
            if not vendor.charged() <= counted <= vendor.charged() + never_made:
                yield (
                    f"{counted} credits are counted in all {kind}, {vendor.charged()} are charged, "
                    f"{never_made} at most may be"
                )

    def _never_made(self) -> int:
        """Return the price of the creates that cost nothing, by the book, which nobody could learn.

        Their outcome is unknown, or their project is gone since it ended.
        """
        book, now = self.stack.vendor.book.values(), self.stack.clock.now
        tokens = {entry.token for entry in book if not entry.is_refunded(now)}
        gone = {entry.id for entry in book if entry.plan.gone is not None}
        price = {}
        for wish in self.wishes:
            for job in (self._manifest(wish.key) or {"jobs": []})["jobs"]:
                token = f"{job['fingerprint'][:8]}-{job['attempt']}"
                is_open = job["state"] in {"unknown", "superseded"}
                if (is_open or job["project_id"] in gone) and token not in tokens:
                    per_factor = {2: 50, 4: 200}[job["scale_factor"]]
                    price[token] = per_factor // (2 if job["mode"] == "preserve" else 1)
        return sum(price.values())

    def _waits_rightly(self, wish: Wish, manifest: Mapping[str, Any]) -> bool:
        if manifest["waiting_for"] == "budget":
            return bool(manifest["waiting_until"])
        return wish.is_collected and manifest["state"] == "submitted"

    def _is_owed(self, wish: Wish) -> bool:
        return bool(self._owed(wish))

    def _owed(self, wish: Wish) -> list[Entry]:
        """Return results that are paid for and exist, but did not reach the drop."""
        manifest = self._manifest(wish.key) or {"state": "", "jobs": []}
        if manifest["state"] in _REFUSED:
            return []
        jobs = {job["fingerprint"]: job for job in manifest["jobs"]}
        return [
            entry
            for fingerprint in wish.fingerprints
            if not (fingerprint in jobs and self._is_settled(wish, jobs[fingerprint]))
            for entry in self._results_of(fingerprint)
        ]

    def _is_settled(self, wish: Wish, job: Mapping[str, Any]) -> bool:
        """Return whether a rendition has its result, or was refused with a reason."""
        if job["state"] in _REFUSED:
            return True
        if wish.wants_urls and job["downloads"]:
            ids = [url["url"].rpartition("/")[2] for url in job["downloads"]]
            return any(entry.id in ids for entry in self._results_of(job["fingerprint"]))
        return bool(job["output"]) and self._is_right(job)

    def _is_right(self, job: Mapping[str, Any]) -> bool:
        """Return whether the output exists and is that of a project of this job."""
        stored = self.stack.results.outputs.get(job["output"]["key"])
        mine = (e for e in self.stack.vendor.book.values() if job["fingerprint"][:8] in e.token)
        return stored is not None and stored[0] in map(self._bytes, mine)

    def _bytes(self, entry: Entry) -> bytes:
        return self.stack.vendor.result(entry.id)

    def _results_of(self, fingerprint: str) -> list[Entry]:
        now, book = self.stack.clock.now, self.stack.vendor.book.values()
        mine = (entry for entry in book if entry.fingerprint == fingerprint[:8])
        # What we have deleted ourselves was there.
        return [entry for entry in mine if entry.has_result(now) or entry.is_deleted]

    def _helps_itself(self, wish: Wish) -> bool:
        """Run every free command that the manifest names; return whether it names one."""
        manifest = self._manifest(wish.key)
        if manifest is None or not self._is_owed(wish):
            return False
        fix, world, key = _fix(manifest), self.stack.world, wish.key
        names = {found[1] for found in _PROJECT_NAME.finditer(fix)}
        found = [entry for entry in self.stack.vendor.book.values() if entry.name in names]
        before = len(self.commands)
        for entry in found if _ADOPT.search(fix) else ():
            self._does(f"adopt {key}", world.adopt, key, entry.id)
        if _RETRY.search(fix) or (wish.is_collected and manifest["state"] == "submitted"):
            self._does(f"retry {key}", world.retry, key)
        elif _DROP_AGAIN.search(fix):
            self._does(f"drop {key}", self.stack.put, key, self.stack.bucket.objects[key])
        return len(self.commands) > before

    def _does(self, name: str, command: Any, *given: Any) -> None:
        self.commands.append(name)
        try:
            command(*given)
        except (DropscaleError, MagicHourError, LedgerConflict) as error:
            self.commands[-1] += f" ({type(error).__name__}: {error})"

    def _manifest(self, key: str) -> Mapping[str, Any] | None:
        found = self.stack.results.manifests.get(manifest_key(key))
        return None if found is None else json.loads(found[1])


def _fix(manifest: Mapping[str, Any]) -> str:
    return (manifest["reason"] or {}).get("fix") or ""
