"""One bad answer to each call of the vendor, over HTTP: what becomes of drop, job and money.

Real: the client, its `MagicHourUpscaler` and the use cases. The fakes' World is the rest of AWS;
what the state machine retries is read from its definition.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import cast

import pytest
import yaml

from dropscale.aws.magic_hour import MagicHourUpscaler
from dropscale.errors import DropscaleError
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.magichour.errors import MagicHourError
from dropscale.pipeline.parts.execution import ErrorReport, ExecutionState
from tests.fakes import FakeInputBucket, FakeUpscaler, png
from tests.integration.scripted_vendor import ScriptedVendor, VendorCall
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply
from tests.world import World

KEY = "cat.png"
SOURCE, RESULT, WRONG_SIZE = png(8, 6), png(16, 12), png(5, 5)
DEFINITION = yaml.safe_load(
    (Path(__file__).parents[2] / "functions/upscale.asl.yaml").read_text(encoding="utf-8")
)
RETRIED = {
    task: {name for rule in DEFINITION["States"][task]["Retry"] for name in rule["ErrorEquals"]}
    for task in ("CheckProject", "Deliver")
}


def refusal(status: int, **headers: str) -> Reply:
    return json_reply({"message": f"answered {status}"}, status, **headers)


def page(status: int) -> Reply:
    return Reply(status, b"<html>a proxy's page</html>", {"Content-Type": "text/html"})


ANSWERS = {
    **{str(status): refusal(status) for status in (400, 401, 402, 403, 404, 422, 429)},
    "429+Retry-After": refusal(429, **{"Retry-After": "600"}),
    **{str(status): refusal(status) for status in (500, 502, 503)},
    "402-plan": json_reply({"message": "4x needs Pro", "code": "plan_upgrade_required"}, 402),
    **{
        f"{status}-page": page(status)
        for status in (200, 400, 401, 402, 403, 404, 422, 429, 502, 503)
    },
    "reset": Reply(behaviour=Behaviour.RESET_AFTER_REQUEST),
}
DOWNLOADS = ANSWERS | {
    "truncated": Reply(200, RESULT[:-20], {"Content-Length": str(len(RESULT))}),
    "reset-inside": Reply(200, RESULT, behaviour=Behaviour.RESET_INSIDE_ANSWER),
    "cut-off-at-the-vendor": Reply(200, RESULT[:-20]),
    "blank": Reply(200),
    "wrong-size": Reply(200, WRONG_SIZE),
}


class Recovery(Enum):
    """How a drop gets its result once the vendor works again."""

    BY_ITSELF = auto()
    DROPPED_AGAIN = auto()
    NEVER = auto()


@dataclass(frozen=True)
class Outcome:
    """What one bad answer leads to.

    Attributes:
        error: the class of what leaves check or deliver, for the state machine to retry or catch.
    """

    drop: DropState
    job: JobState
    wait: WaitReason | None = None
    error: str | None = None
    recovery: Recovery = Recovery.BY_ITSELF

    @property
    def create_may_be_called(self) -> bool:
        return self.job is JobState.READY


REJECTED = Outcome(DropState.REJECTED, JobState.READY, recovery=Recovery.DROPPED_AGAIN)
NO_ACCOUNT = Outcome(DropState.WAITING, JobState.READY, WaitReason.ACCOUNT)
THROTTLED = Outcome(DropState.WAITING, JobState.READY, WaitReason.THROTTLED)
NOBODY_KNOWS = Outcome(DropState.UNKNOWN, JobState.UNKNOWN, recovery=Recovery.NEVER)
UNHARMED = Outcome(DropState.DELIVERED, JobState.COMPLETE)


def retried(error: str, job: JobState = JobState.SUBMITTED) -> Outcome:
    return Outcome(DropState.SUBMITTED, job, error=error)


def collected_later(error: str) -> Outcome:
    return Outcome(DropState.TIMED_OUT, JobState.SUBMITTED, error=error)


BROKEN_RESULT = retried("UnreadableResult", JobState.COMPLETE)
NOT_TRANSFERRED = retried("TransferFailed", JobState.COMPLETE)


UNPROVEN = "400-page 401-page 402-page 403-page 422-page"
"""Refusals that are not the vendor's: somebody on the way there gave them."""


def on(answers: str, outcome: Outcome) -> dict[str, Outcome]:
    return dict.fromkeys(answers.split(), outcome)


TABLE = {
    VendorCall.UPLOAD_URLS: {
        **on("400 402-plan 403 404 422", REJECTED),
        **on("401 402", NO_ACCOUNT),
        **on("429 429+Retry-After 500 502 503 200-page 502-page 503-page reset", THROTTLED),
        **on(f"{UNPROVEN} 404-page 429-page", THROTTLED),
    },
    VendorCall.PUT: {
        **on("400 401 402 402-plan 403 404 422 429 429+Retry-After", THROTTLED),
        **on(f"500 502 503 502-page 503-page reset {UNPROVEN} 404-page 429-page", THROTTLED),
        # A storage only answers 200; what it received shows only in the create.
        **on("200-page", UNHARMED),
    },
    VendorCall.CREATE: {
        **on("400 402-plan 403 404 422", REJECTED),
        **on("401 402", NO_ACCOUNT),
        **on("429 429+Retry-After 502 503", THROTTLED),
        **on("500 200-page 502-page 503-page reset", NOBODY_KNOWS),
        **on(f"{UNPROVEN} 404-page 429-page", NOBODY_KNOWS),
    },
    VendorCall.GET_PROJECT: {
        # Whatever refuses a look, the project is paid for and continues.
        **on("400 422", collected_later("InvalidRequest")),
        **on("401", collected_later("Unauthorized")),
        **on("402", collected_later("OutOfCredits")),
        **on("402-plan 403", collected_later("PlanRefused")),
        **on("404 404-page", retried("NotFound")),
        **on("429 429-page 429+Retry-After", retried("Throttled")),
        **on("502 503", retried("Unavailable")),
        **on(f"500 200-page 502-page 503-page {UNPROVEN}", retried("ServerFault")),
        **on("reset", retried("ConnectionLost")),
    },
    VendorCall.DOWNLOAD: {
        **on("400 401 402 402-plan 403 404 422 429 429+Retry-After", NOT_TRANSFERRED),
        **on(f"500 502 503 502-page 503-page reset {UNPROVEN}", NOT_TRANSFERRED),
        **on("404-page 429-page", NOT_TRANSFERRED),
        **on("truncated reset-inside", NOT_TRANSFERRED),
        **on("200-page cut-off-at-the-vendor blank", BROKEN_RESULT),
        **on("wrong-size", UNHARMED),
    },
}
CASES = [
    (call, answer)
    for call in VendorCall
    for answer in (DOWNLOADS if call is VendorCall.DOWNLOAD else ANSWERS)
]


@dataclass(frozen=True)
class Meeting:
    """A world with one drop, and the vendor that it meets."""

    world: World
    vendor: ScriptedVendor

    def drop(self) -> str | None:
        """Drop the same bytes (again); return as `work`."""
        self.world.put(KEY, SOURCE)
        self.world.queue.keys.append(KEY)
        return self.work()

    def work(self) -> str | None:
        """Process the queue, run every execution; return the class of the error raised."""
        keys = self.world.queue.keys
        error = None
        for key in [keys.pop() for _ in range(len(keys))]:
            self.world.submit(key)
        for state in self.world.running():
            error = self._execute(state)
        return error

    def hours(self) -> None:
        """Let time pass, with the sweeper at work."""
        for _ in range(4):
            self.world.clock.advance(minutes=20)
            self.sweep_and_work()

    def sweep_and_work(self) -> None:
        """Let the sweeper run, then what it queued, then the sweeper again."""
        self.world.sweep()
        self.work()
        self.world.sweep()

    @property
    def states(self) -> tuple[DropState, JobState, WaitReason | None]:
        (job,) = self.world.ledger.jobs.values()
        row = self.world.row(KEY)
        return row.state, job.state, row.wait

    def _execute(self, state: ExecutionState) -> str | None:
        """Run the state machine until it ends, or waits to retry; return the class of an error."""
        task = "CheckProject"
        try:
            state = self.world.check(state)
            task = "Deliver"
            self.world.deliver(state)
        except (MagicHourError, DropscaleError) as error:
            name = type(error).__name__
            if name not in RETRIED[task]:
                report = ErrorReport.of(error).model_dump_json()
                self.world.fail(state, name, json.dumps({"errorMessage": report}))
            return name
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def meeting(server: ScriptedServer) -> Meeting:
    server.received.clear()
    upscaler = MagicHourUpscaler(lambda: "key", server.base_url, timeout=5)
    # A World takes any Upscaler, but its own tests want the fake's knobs.
    world = World(bucket=FakeInputBucket(is_versioned=True), upscaler=cast(FakeUpscaler, upscaler))
    return Meeting(world, ScriptedVendor(server, RESULT))


@pytest.mark.parametrize(
    ("call", "answer"), CASES, ids=[f"{call.name}-{answer}" for call, answer in CASES]
)
def test_a_bad_answer_leads_where_the_table_says_and_what_can_recovers_and_pays_once(
    meeting: Meeting, call: VendorCall, answer: str
) -> None:
    meeting.vendor.answer(call, DOWNLOADS[answer])
    error = meeting.drop()

    expected = TABLE[call][answer]
    assert error == expected.error
    assert meeting.states == (expected.drop, expected.job, expected.wait)
    manifest = meeting.world.manifest(KEY)
    assert manifest["state"] == expected.drop
    if expected.recovery is not Recovery.BY_ITSELF:
        assert manifest["reason"]["message"]
        assert manifest["reason"]["fix"]

    meeting.vendor.heal()

    meeting.hours()
    by_itself = expected.recovery is Recovery.BY_ITSELF
    assert meeting.states[0] is (DropState.DELIVERED if by_itself else expected.drop)
    meeting.drop()
    meeting.hours()
    never = expected.recovery is Recovery.NEVER
    assert meeting.states[0] is (DropState.UNKNOWN if never else DropState.DELIVERED)

    refused = call is VendorCall.CREATE and expected.create_may_be_called
    assert meeting.vendor.times(VendorCall.CREATE) - refused == 1
    assert meeting.world.ledger.taken == 0
    outputs = [body for body, _ in meeting.world.results.outputs.values()]
    delivered = WRONG_SIZE if answer == "wrong-size" else RESULT
    assert outputs == ([] if never else [delivered])


@pytest.mark.parametrize(
    ("call", "answer", "seconds"),
    [
        (VendorCall.UPLOAD_URLS, "429", 30),
        (VendorCall.UPLOAD_URLS, "429+Retry-After", 600),
        (VendorCall.CREATE, "429", 30),
        (VendorCall.CREATE, "429+Retry-After", 600),
        (VendorCall.CREATE, "503", 30),
    ],
)
def test_nobody_asks_again_before_the_vendor_wants_it(
    meeting: Meeting, call: VendorCall, answer: str, seconds: int
) -> None:
    meeting.vendor.answer(call, DOWNLOADS[answer])
    meeting.drop()
    meeting.vendor.heal()
    before = meeting.vendor.times(VendorCall.CREATE)

    meeting.world.clock.advance(seconds=seconds - 1)
    meeting.sweep_and_work()
    assert meeting.vendor.times(VendorCall.CREATE) == before
    meeting.world.clock.advance(seconds=2)
    meeting.sweep_and_work()

    assert meeting.vendor.times(VendorCall.CREATE) == before + 1


def test_a_result_of_another_size_is_delivered_with_a_warning(meeting: Meeting) -> None:
    meeting.vendor.answer(VendorCall.DOWNLOAD, DOWNLOADS["wrong-size"])
    meeting.drop()

    (warning,) = meeting.world.manifest(KEY)["warnings"]
    assert "5 x 5" in warning["message"]
    assert "16 x 12" in warning["message"]
