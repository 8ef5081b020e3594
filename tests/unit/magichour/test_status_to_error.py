"""Which error class an answer becomes. `GET /v1/account` stands for every free call."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dropscale.magichour import (
    Client,
    ConnectionLost,
    InvalidRequest,
    MagicHourError,
    NotFound,
    OutOfCredits,
    PlanRefused,
    ServerFault,
    Throttled,
    Unauthorized,
    Unavailable,
    UnknownProjectStatus,
    Unreachable,
)
from dropscale.magichour.calls import MAX_ANSWER
from tests.unit.magichour.conftest import Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

ACCOUNT, PROJECT = "/v1/account", "/v1/image-projects/p1"
HTML = b"<html><body>a proxy's page</body></html>"
VENDOR_BODY = b'{"message": "the vendor says so"}'
CODED = b'{"message": "the vendor says so", "code": "%s"}'
FOREIGN = {
    "page": HTML,
    "nothing": b"",
    "no object": b'["message"]',
    "no text": b'{"message": 1, "code": "plan_upgrade_required"}',
    "another shape": b'{"error": {"message": "no"}}',
    "too long": b'{"message": "' + b"a" * MAX_ANSWER + b'"}',
    "too deep": b"[" * 100_000,
    "in doubt": b'{"message": "a", "message": "b"}',
}


Refused = Callable[..., Any]


@pytest.fixture
def refused(server: ScriptedServer, client: Client) -> Refused:
    """Reply to a call, and return the error that it raises."""

    def refused(reply: Reply, error: type[Exception] = MagicHourError, path: str = ACCOUNT) -> Any:
        server.on("GET", path, reply)
        look = partial(client.v1.image_projects.get, id="p1")
        call: Callable[[], object] = look if path == PROJECT else client.v1.account.list
        with pytest.raises(error) as caught:
            call()
        return caught.value

    return refused


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, VENDOR_BODY, InvalidRequest),
        (401, VENDOR_BODY, Unauthorized),
        (402, VENDOR_BODY, OutOfCredits),
        (403, VENDOR_BODY, PlanRefused),
        (404, VENDOR_BODY, NotFound),
        (422, VENDOR_BODY, InvalidRequest),
        (429, VENDOR_BODY, Throttled),
        (500, VENDOR_BODY, ServerFault),
        (502, VENDOR_BODY, Unavailable),
        (503, VENDOR_BODY, Unavailable),
        (502, HTML, ServerFault),
        (503, b'{"error": "not the vendor\'s shape"}', ServerFault),
        (504, VENDOR_BODY, ServerFault),
        (599, b"", ServerFault),
        (418, VENDOR_BODY, ServerFault),
        (302, b"", ServerFault),
        (200, HTML, ServerFault),
        (200, b"[]", ServerFault),
        (200, b'{"credits": 7, "tier": "pro"}', ServerFault),
        (402, CODED % b"plan_upgrade_required", PlanRefused),
        (402, CODED % b"insufficient_credits", OutOfCredits),
        (402, CODED % b"subscription_required", OutOfCredits),
        (402, CODED % b"PLAN_UPGRADE_REQUIRED", OutOfCredits),
        (402, b'{"message": "no", "code": ["plan_upgrade_required"]}', OutOfCredits),
        (403, CODED % b"anything", PlanRefused),
        (429, CODED % b"plan_upgrade_required", Throttled),
        (200, b"", ServerFault),
    ],
)
def test_each_answer_has_its_class(
    server: ScriptedServer, refused: Refused, status: int, body: bytes, expected: type[Exception]
) -> None:
    error = refused(Reply(status, body))
    assert (error.status, error.request) == (status, "GET /v1/account")
    assert type(error) is expected
    assert len(server.received) == 1, "a single call is never repeated"


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
def test_a_refusal_that_is_not_the_vendors_proves_nothing(refused: Refused, body: bytes) -> None:
    for path in (ACCOUNT, PROJECT):
        # Whoever looks at a project counts its 404s; of any other call it says nothing.
        harmless = {404: NotFound if path == PROJECT else ServerFault, 429: Throttled}
        for status in (400, 401, 402, 403, 404, 422, 429, 500, 502, 503):
            error = refused(Reply(status, body), path=path)
            assert type(error) is harmless.get(status, ServerFault)
            assert (error.status, error.message, error.code) == (status, None, None)


def test_the_text_says_what_where_and_what_to_do(refused: Refused) -> None:
    said = {"message": "No credits left.", "code": "insufficient_credits"}
    error = refused(json_reply(said, 402), OutOfCredits)
    assert (error.message, error.code) == ("No credits left.", "insufficient_credits")
    assert (error.status_code, error.body) == (402, said)
    assert str(error) == (
        "GET /v1/account: the account cannot pay for this (HTTP 402, insufficient_credits): "
        "No credits left. "
        "Buy credits, renew the subscription or wait for the next period; nothing was charged."
    )


def test_what_the_vendor_says_is_one_bounded_line(refused: Refused) -> None:
    others = {f"{number} " * 1000: "d" * 1000 for number in range(60)}
    message, code = "a\n\x1b[2J\ud800" + "b" * 1000, "c\r" * 1000
    error = refused(
        json_reply({"message": message, "code": code, "deep": [[]], **others}, 400), InvalidRequest
    )
    assert (error.message, error.code) == ("a  [2J " + "b" * 493, "c " * 50)
    body = error.body or {}
    assert [*body][:2] == ["message", "code"]
    assert len(body) == 10
    assert len(str(body)) < 6000


def test_an_unreadable_answer_names_the_field(refused: Refused) -> None:
    unreadable = json_reply({"id": True, "credits": 7, "tier": "pro"})
    assert "id: value_error" in str(refused(unreadable, ServerFault))
    assert "not a JSON object" in str(refused(json_reply([]), ServerFault))


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": "p2"}, {"id": 12}, {"id": "P1"}])
def test_an_answer_about_no_or_another_project_is_no_verdict(
    refused: Refused, answer: dict[str, object]
) -> None:
    refused(json_reply({**answer, "status": "error"}), ServerFault, PROJECT)


def test_an_id_may_come_as_a_number(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/image-projects/12", json_reply({"id": 12, "status": "queued"}))
    assert client.v1.image_projects.get(id="12").id == "12"


DATE = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({**DATE, "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({**DATE, "Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": f"Wed, 21 Oct 2026 07:28:30 +{'9' * 30}", "Date": "x"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after(refused: Refused, headers: dict[str, str], expected: float | None) -> None:
    assert refused(Reply(429, VENDOR_BODY, headers), Throttled).retry_after == expected


@pytest.mark.parametrize(
    "status",
    ["paused", None, 3, 2.5, True, "p" * 10_000, ["p" * 10_000] * 100, {"a": [[[["p"]]]]}],
)
def test_an_unknown_project_status_is_loud_and_of_an_absurd_one_the_beginning_is_kept(
    refused: Refused, status: object
) -> None:
    reply = json_reply({"id": "p1", "status": status})
    error = refused(reply, UnknownProjectStatus, PROJECT)
    assert "not in the contract" in str(error)
    assert len(str(error)) < 300
    assert len(str(error.project_status)) <= 100
    if status in ("paused", None, 3, 2.5, True):
        assert error.project_status == status


def test_a_reset_after_sending_is_a_lost_connection(refused: Refused) -> None:
    refused(Reply(behaviour=Behaviour.RESET_AFTER_REQUEST), ConnectionLost)


def test_no_answer_in_time_is_a_lost_connection(
    server: ScriptedServer, impatient_client: Client
) -> None:
    server.on("GET", "/v1/account", Reply(behaviour=Behaviour.NEVER_ANSWER))
    with pytest.raises(ConnectionLost, match=r"TimeoutError|ReadTimeout"):
        impatient_client.v1.account.list()


def test_a_refused_connection_is_unreachable(closed_port_url: str, connect: Connect) -> None:
    with pytest.raises(Unreachable, match=r"NewConnectionError|ConnectError"):
        connect(token="t", base_url=closed_port_url).v1.account.list()


def test_a_redirect_is_not_followed_with_the_token(
    server: ScriptedServer, refused: Refused
) -> None:
    refused(Reply(307, headers={"Location": "/elsewhere"}), ServerFault)
    assert [request.path for request in server.received] == ["/v1/account"]


@pytest.mark.parametrize("token", [None, "", "key\n", "two words", "schlüssel"])
def test_a_token_that_is_missing_or_cannot_be_a_header_is_refused_unseen(
    token: str | None, connect: Connect
) -> None:
    said = "API key" if token else "no Magic Hour API key: token is None or empty"
    with pytest.raises(ValueError, match=said) as caught:
        connect(token=token)
    assert not token or token not in str(caught.value)


def test_project_ids_cannot_leave_their_path(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(NotFound):
        client.v1.image_projects.delete(id="../account?x=1")
    assert server.received[0].path == "/v1/image-projects/..%2Faccount%3Fx%3D1"
    for project_id in ("", ".", ".."):
        with pytest.raises(ValueError, match="id is empty or dots"):
            client.v1.image_projects.delete(id=project_id)
