"""Which error class an answer becomes. `GET /v1/account` stands for every call that is free."""

from collections.abc import Callable
from functools import partial

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
    server: ScriptedServer, client: Client, status: int, body: bytes, expected: type[Exception]
) -> None:
    server.on("GET", "/v1/account", Reply(status, body))
    with pytest.raises(MagicHourError) as caught:
        client.v1.account.list()
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert caught.value.request == "GET /v1/account"
    assert len(server.received) == 1, "a single call is never repeated"


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
def test_a_refusal_that_is_not_the_vendors_proves_nothing(
    server: ScriptedServer, client: Client, body: bytes
) -> None:
    project = "/v1/image-projects/p"
    looks = [(status, project) for status in (401, 404, 429, 500)]
    statuses = (400, 401, 402, 403, 404, 422, 429, 500, 502, 503)
    for status, path in [*((status, "/v1/account") for status in statuses), *looks]:
        server.on("GET", path, Reply(status, body))
        get = partial(client.v1.image_projects.get, id="p")
        call: Callable[[], object] = get if path == project else client.v1.account.list
        with pytest.raises(MagicHourError) as caught:
            call()
        # Whoever looks at a project counts its 404s; of any other call it says nothing.
        harmless = {404: NotFound if path == project else ServerFault, 429: Throttled}
        assert type(caught.value) is harmless.get(status, ServerFault)
        error = caught.value
        assert (error.status, error.message, error.code) == (status, None, None)


def test_the_text_says_what_where_and_what_to_do(server: ScriptedServer, client: Client) -> None:
    said = {"message": "No credits left.", "code": "insufficient_credits"}
    server.on("GET", "/v1/account", json_reply(said, 402))
    with pytest.raises(OutOfCredits) as caught:
        client.v1.account.list()
    assert (caught.value.message, caught.value.code) == ("No credits left.", "insufficient_credits")
    assert (caught.value.status_code, caught.value.body) == (402, said)
    assert str(caught.value) == (
        "GET /v1/account: the account cannot pay for this (HTTP 402, insufficient_credits): "
        "No credits left. "
        "Buy credits, renew the subscription or wait for the next period; nothing was charged."
    )


def test_what_the_vendor_says_is_one_bounded_line(server: ScriptedServer, client: Client) -> None:
    others = {f"{number} " * 1000: "d" * 1000 for number in range(60)}
    said = {
        "message": "a\n\x1b[2J\ud800" + "b" * 1000,
        "code": "c\r" * 1000,
        "deep": [[]],
        **others,
    }
    server.on("GET", "/v1/account", json_reply(said, 400))
    with pytest.raises(InvalidRequest) as caught:
        client.v1.account.list()
    assert caught.value.message == "a  [2J " + "b" * 493
    assert caught.value.code == "c " * 50
    body = caught.value.body or {}
    assert [*body][:2] == ["message", "code"]
    assert len(body) == 10
    assert len(str(body)) < 6000


def test_an_unreadable_answer_names_the_field(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", json_reply({"id": True, "credits": 7, "tier": "pro"}))
    with pytest.raises(ServerFault, match="id: value_error"):
        client.v1.account.list()
    server.on("GET", "/v1/account", json_reply([]))
    with pytest.raises(ServerFault, match="not a JSON object"):
        client.v1.account.list()


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": "p2"}, {"id": 12}, {"id": "P1"}])
def test_an_answer_about_no_or_another_project_is_no_verdict(
    server: ScriptedServer, client: Client, answer: dict[str, object]
) -> None:
    server.on("GET", "/v1/image-projects/p1", json_reply({**answer, "status": "error"}))
    with pytest.raises(ServerFault):
        client.v1.image_projects.get(id="p1")


def test_an_id_may_come_as_a_number(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/image-projects/12", json_reply({"id": 12, "status": "queued"}))
    assert client.v1.image_projects.get(id="12").id == "12"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": f"Wed, 21 Oct 2026 07:28:30 +{'9' * 30}", "Date": "x"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after(
    server: ScriptedServer, client: Client, headers: dict[str, str], expected: float | None
) -> None:
    server.on("GET", "/v1/account", Reply(429, VENDOR_BODY, headers))
    with pytest.raises(Throttled) as caught:
        client.v1.account.list()
    assert caught.value.retry_after == expected


@pytest.mark.parametrize("status", ["paused", None, 3, 2.5, True])
def test_an_unknown_project_status_is_loud(
    server: ScriptedServer, client: Client, status: object
) -> None:
    server.on("GET", "/v1/image-projects/p1", json_reply({"id": "p1", "status": status}))
    with pytest.raises(UnknownProjectStatus, match="not in the contract") as caught:
        client.v1.image_projects.get(id="p1")
    assert caught.value.project_status == status


@pytest.mark.parametrize("status", ["p" * 10_000, ["p" * 10_000] * 100, {"a": [[[["p"]]]]}])
def test_of_an_absurd_status_the_beginning_is_kept(
    server: ScriptedServer, client: Client, status: object
) -> None:
    server.on("GET", "/v1/image-projects/p1", json_reply({"id": "p1", "status": status}))
    with pytest.raises(UnknownProjectStatus) as caught:
        client.v1.image_projects.get(id="p1")
    assert len(str(caught.value.project_status)) <= 100
    assert len(str(caught.value)) < 300


def test_a_reset_after_sending_is_a_lost_connection(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", Reply(behaviour=Behaviour.RESET_AFTER_REQUEST))
    with pytest.raises(ConnectionLost):
        client.v1.account.list()


def test_no_answer_in_time_is_a_lost_connection(
    server: ScriptedServer, impatient_client: Client
) -> None:
    server.on("GET", "/v1/account", Reply(behaviour=Behaviour.NEVER_ANSWER))
    with pytest.raises(ConnectionLost, match=r"TimeoutError|ReadTimeout"):
        impatient_client.v1.account.list()


def test_a_refused_connection_is_unreachable(closed_port_url: str, connect: Connect) -> None:
    with pytest.raises(Unreachable, match=r"NewConnectionError|ConnectError"):
        connect(token="t", base_url=closed_port_url).v1.account.list()


def test_a_redirect_is_not_followed_with_the_token(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", Reply(307, headers={"Location": "/elsewhere"}))
    with pytest.raises(ServerFault):
        client.v1.account.list()
    assert [request.path for request in server.received] == ["/v1/account"]


@pytest.mark.parametrize("token", ["", "key\n", "two words", "schlüssel"])
def test_a_token_that_cannot_be_a_header_is_refused_unseen(token: str, connect: Connect) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        connect(token=token)
    assert not token or token not in str(caught.value)


def test_project_ids_cannot_leave_their_path(server: ScriptedServer, client: Client) -> None:
    with pytest.raises(NotFound):
        client.v1.image_projects.delete(id="../account?x=1")
    assert server.received[0].path == "/v1/image-projects/..%2Faccount%3Fx%3D1"
    for project_id in ("", ".", ".."):
        with pytest.raises(ValueError, match="id is empty or dots"):
            client.v1.image_projects.delete(id=project_id)
