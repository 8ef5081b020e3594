"""Every documented fault: what dropscale's client raises, and what the book has."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from dropscale.magichour import (
    Client,
    ConnectionLost,
    CreateOutcomeUnknown,
    OutOfCredits,
    ServerFault,
    Throttled,
    TransferFailed,
    Unauthorized,
    Unavailable,
    UnknownProjectStatus,
)
from dropscale.magichour.webhooks import EventKind
from dropscale.upscaler import ProjectStatus
from dropscale_embedded.api import EmbeddedApi, EntryKind, FaultPlan, StubEngine, parse_fault_plan
from dropscale_embedded.api.faults import Call, Latency, Outcome, Reset, Rule
from tests.fakes import png
from tests.integration.embedded_api.conftest import DEADLINE_SECONDS, Caller
from tests.integration.embedded_api.webhook_receiver import Sent, receiving

DOCUMENTATION = (Path(__file__).parents[3] / "docs/embedded-api.md").read_text()
PLANS = {
    title: parse_fault_plan(plan.encode(), title)
    for title, plan in re.findall(
        r"^#### (.+?)\n(?:.*\n)*?```yaml\n((?:.*\n)*?)```", DOCUMENTATION, re.MULTILINE
    )
}


class User:
    """Makes the calls of a fault plan with dropscale's client."""

    def __init__(self, api: EmbeddedApi, client: Client) -> None:
        self.api = api
        self.client = client

    def upload(self) -> str:
        return self.client.v1.files.upload_file(io.BytesIO(png(8, 6)), "png")

    def create(self, path: str) -> str:
        return self.client.v1.ai_image_upscaler.create(
            assets={"image_file_path": path}, scale_factor=2, name="cat"
        ).id

    def finished(self) -> str:
        project_id = self.create(self.upload())
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.client.v1.image_projects.get(id=project_id).status != ProjectStatus.COMPLETE:
            assert time.monotonic() < deadline
        return project_id

    def download(self, project_id: str) -> bytes:
        file = io.BytesIO()
        [download] = self.client.v1.image_projects.get(id=project_id).downloads
        self.client.download(download.url, file)
        return file.getvalue()

    def prepared(self, call: Call) -> Callable[[], Any]:
        """Do what a call needs first; return the call."""
        v1 = self.client.v1
        match call:
            case Call.CREATE:
                path = self.upload()
                return lambda: self.create(path)
            case Call.RENDER:
                path = self.upload()
                return lambda: v1.image_projects.get(id=self.create(path))
            case Call.PROJECT:
                project_id = self.finished()
                return lambda: v1.image_projects.get(id=project_id)
            case Call.DELETE:
                project_id = self.finished()
                return lambda: v1.image_projects.delete(id=project_id)
            case Call.DOWNLOAD:
                project_id = self.finished()
                return lambda: self.download(project_id)
            case Call.UPLOAD_URLS:
                items = [{"type": "image", "extension": "png"}]
                return lambda: v1.files.upload_urls.create(items=items)
            case Call.UPLOAD:
                return self.upload
            case Call.ACCOUNT:
                return v1.account.list
            case Call.WEBHOOK:
                raise AssertionError("no client calls it")

    def under(self, plan: FaultPlan) -> Any:
        """Do the call of the plan's only rule under the plan."""
        [rule] = plan.rules
        self.api.faults.use(FaultPlan())
        act = self.prepared(rule.call)
        self.api.faults.use(plan)
        try:
            return act()
        finally:
            assert self.api.faults.tallies[0].faults == 1
            self.api.faults.use(FaultPlan())

    def charges(self) -> int:
        return len(self.api.book.entries(EntryKind.CHARGE))


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(seconds=0)) as running:
        yield running


@pytest.fixture
def user(api: EmbeddedApi) -> User:
    api.faults.use(FaultPlan())
    return User(api, Client(token=api.token, base_url=api.base_url, timeout=5))


ERRORS: dict[str, tuple[type[Exception], int]] = {
    "Throttled": (Throttled, 0),
    "Throttled until a date": (Throttled, 0),
    "Wrong key": (Unauthorized, 0),
    "Out of credits": (OutOfCredits, 0),
    "Unavailable, in the vendor's words": (Unavailable, 0),
    "A proxy's page": (CreateOutcomeUnknown, 0),
    "A proxy that gives up after the job was created": (CreateOutcomeUnknown, 1),
    "An answer without a body": (ServerFault, 1),
    "Latency": (CreateOutcomeUnknown, 1),
    "Reset before the job is created": (CreateOutcomeUnknown, 0),
    "Reset after the job is created": (CreateOutcomeUnknown, 1),
    "Truncated answer": (CreateOutcomeUnknown, 1),
    "Truncated answer that looks whole": (ServerFault, 1),
    "Upload cut off": (TransferFailed, 0),
    "Expired upload URL": (TransferFailed, 0),
    "Expired download URL": (TransferFailed, 1),
    "Truncated download": (TransferFailed, 1),
    "A status outside the contract": (UnknownProjectStatus, 1),
}
"""By title: the error, and the charges of the call and what has to come before it."""

STATUSES = {
    "Draft for ever": ("draft", 50),
    "Error": ("error", 0),
    "Canceled": ("canceled", 50),
    "Complete without an output": ("complete", 50),
}
"""By title: the project's status and the credits that it keeps."""

SomeAnswer = tuple[int, dict[str, object]]
NOT_FOUND: SomeAnswer = (404, {"message": "Not Found"})
PAUSED: SomeAnswer = (200, {"status": "paused"})
NOTHING_YET: SomeAnswer = (200, {"status": "complete", "downloads": []})
COMPLETE: SomeAnswer = (200, {"status": "complete"})
ANSWERS: dict[str, list[SomeAnswer]] = {
    "No subscription": [(402, {"code": "subscription_required", "message": "Renew it"})],
    "Not on this plan": [(402, {"code": "plan_upgrade_required", "message": "Payment Required"})],
    "A refusal that is not the vendor's": [(403, {"error": "blocked"})],
    "A project that is not found for two looks": [NOT_FOUND, NOT_FOUND, COMPLETE],
    "Fields of other types": [(200, {"credits_charged": "fifty"})],
    "An unknown status for two looks": [PAUSED, PAUSED, COMPLETE],
    "Complete without downloads for two looks": [NOTHING_YET, NOTHING_YET, COMPLETE],
}
"""By title: the answers to the same call, one after the other, with some of their fields."""

DOWNLOADS: dict[str, Callable[[bytes], bool]] = {
    "Truncated download that looks whole": lambda data: (
        data.startswith(b"\x89PNG") and not whole(data)
    ),
    "Image of the wrong size": lambda data: opened(data).size == (8, 6),
    "Blank image": lambda data: opened(data).size == (16, 12) and not opened(data).getbbox(),
    "Empty download": lambda data: data == b"",
    "HTML instead of an image": lambda data: data.startswith(b"<html>"),
    "Slow drip": lambda data: opened(data).size == (16, 12),
}
"""By title: what is true of the bytes that come, without an error."""

STARTED, COMPLETED = EventKind.STARTED, EventKind.COMPLETED
WEBHOOKS: dict[str, tuple[list[EventKind | None], Callable[[list[Sent]], bool]]] = {
    "Event lost": ([COMPLETED], lambda _: True),
    "Event late": ([COMPLETED, STARTED], lambda _: True),
    "Event sent twice": ([STARTED, COMPLETED, COMPLETED], lambda _: True),
    "Event replayed": (
        [STARTED, COMPLETED, COMPLETED],
        lambda sent: sent[1].signature == sent[2].signature,
    ),
    "Retries with the first signature": (
        [STARTED, COMPLETED, STARTED],
        lambda sent: sent[0].signature == sent[2].signature,
    ),
    "Forged event": ([STARTED, None, COMPLETED], lambda _: True),
    "Event without a name": (
        [STARTED, COMPLETED],
        lambda sent: bool(sent[0].event and sent[0].event.name) and not sent[1].event.name,  # type: ignore[union-attr]
    ),
}
"""By title: the events that arrive, and what is true of them."""


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def whole(data: bytes) -> bool:
    return data.rstrip().endswith(b"IEND\xaeB`\x82")


def test_the_documentation_has_an_example_of_every_fault_and_each_is_tested() -> None:
    fault = FaultPlan.model_json_schema()["$defs"]["Rule"]["properties"]["fault"]

    first = DOCUMENTATION.partition("```yaml\n")[2].partition("```")[0]
    assert len(parse_fault_plan(first.encode(), "docs").rules) == 2
    assert {*ERRORS, *STATUSES, *ANSWERS, *DOWNLOADS, *WEBHOOKS} == {*PLANS}
    assert {plan.rules[0].fault.kind for plan in PLANS.values()} == {
        *fault["discriminator"]["mapping"]
    }


def test_the_python_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    variables: dict[str, Any] = {}

    exec(DOCUMENTATION.partition("```python\n")[2].partition("```")[0], variables)

    assert len(variables["api"].book.entries(EntryKind.CHARGE)) == 1


@pytest.mark.parametrize("title", ERRORS)
def test_the_client_sees_the_error_and_the_book_the_charge(title: str, user: User) -> None:
    error, charges = ERRORS[title]
    before = user.charges()
    if title == "Latency":
        user = User(user.api, Client(token=user.api.token, base_url=user.api.base_url, timeout=0.3))

    with pytest.raises(error) as caught:
        user.under(PLANS[title])

    assert type(caught.value) is error
    assert user.charges() - before == charges
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == pytest.approx(7, abs=1)  # dates have whole seconds


@pytest.mark.parametrize("title", STATUSES)
def test_a_project_keeps_its_outcome(title: str, user: User) -> None:
    status, kept = STATUSES[title]
    spent = user.api.book.credits_spent

    project = user.under(PLANS[title])

    assert (project.status, project.credits_charged) == (status, kept)
    assert user.client.v1.image_projects.get(id=project.id).status == status
    assert user.api.book.credits_spent - spent == kept


@pytest.mark.parametrize("title", ANSWERS)
def test_an_answer_is_what_the_plan_makes_of_it(title: str, user: User) -> None:
    call = Caller(user.api)
    path, project_id = user.upload(), user.finished()
    user.api.faults.use(PLANS[title])

    answers = [
        call.create(path)
        if PLANS[title].rules[0].call is Call.CREATE
        else call("GET", f"/v1/image-projects/{project_id}")
        for _ in ANSWERS[title]
    ]

    for answer, (status, fields) in zip(answers, ANSWERS[title], strict=True):
        assert answer.status_code == status
        assert answer.json() == answer.json() | fields
        assert ("code" in answer.json()) is ("code" in fields)
        assert "frame_cost" not in answer.json()
    if answers[-1].json().get("status") == "complete":
        assert answers[-1].json()["downloads"]


def test_a_refusal_may_be_lost_but_is_not_altered_and_a_wrong_key_is_not_counted(
    user: User,
) -> None:
    user.api.faults.use(PLANS["Reset after the job is created"])
    with pytest.raises(CreateOutcomeUnknown):
        user.create("no such path")

    user.api.faults.use(PLANS["Fields of other types"])
    refused = Caller(user.api).create("no such path")
    assert (refused.status_code, refused.json().keys()) == (400, {"message"})

    user.api.faults.use(PLANS["Wrong key"])
    Caller(user.api)("GET", "/v1/account", headers={"Authorization": "Bearer wrong"})
    assert user.api.faults.tallies[0].calls == 0


@pytest.mark.parametrize("title", WEBHOOKS)
def test_a_webhook_receives_what_the_plan_makes_of_events(title: str) -> None:
    kinds, is_true = WEBHOOKS[title]
    with (
        receiving() as receiver,
        EmbeddedApi(engine=StubEngine(seconds=0.2), faults=PLANS[title]) as api,
    ):
        receiver.refuses = int("Retries" in title)
        receiver.secret = api.create_webhook(receiver.url)
        user = User(api, Client(token=api.token, base_url=api.base_url))
        project_id = user.create(user.upload())
        sent = receiver.wait_for(len(kinds))

        assert [one.kind for one in sent] == kinds
        assert {one.event.project_id for one in sent if one.event} == {project_id}
        assert is_true(sent)


def test_a_refused_event_is_sent_again_with_a_new_signature() -> None:
    fails = Rule(call=Call.RENDER, fault=Outcome(status="error"))
    with (
        receiving() as receiver,
        EmbeddedApi(engine=StubEngine(seconds=0), faults=FaultPlan(rules=(fails,))) as api,
    ):
        receiver.refuses = 2
        receiver.secret = api.create_webhook(receiver.url)
        user = User(api, Client(token=api.token, base_url=api.base_url))
        user.create(user.upload())
        sent = receiver.wait_for(3)

    assert {one.kind for one in sent} == {EventKind.ERRORED}
    assert len({one.signature for one in sent}) == 3


@pytest.mark.parametrize("title", DOWNLOADS)
def test_a_download_that_ends_well_holds_something_else(title: str, user: User) -> None:
    began = time.monotonic()

    assert DOWNLOADS[title](user.under(PLANS[title]))
    assert title != "Slow drip" or 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("call", [one for one in Call if one not in {Call.RENDER, Call.WEBHOOK}])
def test_every_call_can_be_reset(call: Call, user: User) -> None:
    plan = FaultPlan(rules=(Rule(call=call, fault=Reset(moment="after")),))

    with pytest.raises((ConnectionLost, CreateOutcomeUnknown, TransferFailed)):
        user.under(plan)


def test_a_reset_is_a_reset_and_no_fault_of_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    plan = FaultPlan(rules=(Rule(call=Call.ACCOUNT, fault=Reset(moment="before")),))
    with (
        EmbeddedApi(engine=StubEngine(seconds=0), faults=plan) as api,
        pytest.raises(requests.ConnectionError, match="Connection reset by peer"),
    ):
        Caller(api)("GET", "/v1/account")

    assert capfd.readouterr().err == ""


def test_names_and_paths_choose(user: User) -> None:
    def failed(call: str, match: str, act: Callable[[], object]) -> bool:
        fault = {"kind": "answer", "status": 500}
        rules = [{"call": call, "match": match, "fault": fault}]
        user.api.faults.use(parse_fault_plan(json.dumps({"rules": rules}).encode(), "test"))
        try:
            act()
        except (CreateOutcomeUnknown, ServerFault, TransferFailed):
            return True
        finally:
            user.api.faults.use(FaultPlan())
        return False

    path, project_id = user.upload(), user.finished()
    look = partial(user.client.v1.image_projects.get, id=project_id)
    create, download = partial(user.create, path), partial(user.download, project_id)
    table: list[tuple[str, Callable[[], object], tuple[str, ...], tuple[str, ...]]] = [
        ("upload", user.upload, ("api-assets/*.png",), ("*.jpg",)),
        ("create", create, ("c?t", path), ("dog",)),
        ("project", look, ("cat", project_id), ("dog",)),
        ("download", download, ("cat", "*/output.png"), ()),
    ]
    for call, act, matching, others in table:
        assert [failed(call, match, act) for match in matching] == [True] * len(matching)
        assert [failed(call, match, act) for match in others] == [False] * len(others)


def test_closing_the_api_does_not_wait_for_what_it_holds_back() -> None:
    plan = FaultPlan(rules=(Rule(call=Call.ACCOUNT, fault=Latency(seconds=3600)),))
    with (
        EmbeddedApi(engine=StubEngine(seconds=0), faults=plan) as api,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(Caller(api), "GET", "/v1/account")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not api.faults.tallies[0].faults:
            assert time.monotonic() < deadline
        api.__exit__(None, None, None)

        assert answer.result(DEADLINE_SECONDS).status_code == 200
