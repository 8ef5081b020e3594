"""The paid create: one attempt, and an error that says whether it may have been charged."""

import pytest

from dropscale import __version__
from dropscale.magichour import Client, CreatedProject, CreateOutcomeUnknown, Unreachable
from tests.unit.magichour.conftest import TOKEN, Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

PATH = "/v1/ai-image-upscaler"
VENDOR_BODY = b'{"message": "no"}'
CREATED = json_reply({"id": "p1", "credits_charged": 50, "frame_cost": 50})


def create(client: Client, name: str | None = "cat #7f3a") -> CreatedProject:
    return client.v1.ai_image_upscaler.create(
        assets={"image_file_path": "api-assets/id/1234.png"},
        scale_factor=2.0,
        style={"enhancement": "Balanced"},
        name=name,
    )


def test_what_is_sent(server: ScriptedServer, client: Client) -> None:
    server.on("POST", PATH, CREATED)
    created = create(client)
    assert (created.id, created.credits_charged, created.frame_cost) == ("p1", 50, 50)
    [request] = server.received
    assert request.json == {
        "assets": {"image_file_path": "api-assets/id/1234.png"},
        "scale_factor": 2.0,
        "style": {"enhancement": "Balanced"},
        "name": "cat #7f3a",
    }
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == f"dropscale/{__version__}"
    assert request.headers["Content-Length"] == str(len(request.body))


def test_what_is_not_given_is_not_sent(server: ScriptedServer, client: Client) -> None:
    server.on("POST", PATH, CREATED)
    client.v1.ai_image_upscaler.create(assets={"image_file_path": "x"}, scale_factor=4)
    assert server.received[0].json == {"assets": {"image_file_path": "x"}, "scale_factor": 4}


def test_a_create_has_a_connection_of_its_own(server: ScriptedServer, client: Client) -> None:
    server.on("POST", PATH, CREATED)
    create(client)
    create(client)
    first, second = server.received
    assert first.connection != second.connection


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply(500, VENDOR_BODY), "ServerFault"),
        (Reply(307, headers={"Location": PATH}), "ServerFault"),
        (Reply(200, b"not gzip", {"Content-Encoding": "gzip"}), "ConnectionLost"),
        (Reply(behaviour=Behaviour.RESET_AFTER_REQUEST), "ConnectionLost"),
        (Reply(200, b'{"id": "p1"}', behaviour=Behaviour.RESET_INSIDE_ANSWER), "ConnectionLost"),
        (Reply(400, VENDOR_BODY, behaviour=Behaviour.RESET_INSIDE_ANSWER), "ConnectionLost"),
        (Reply(400, VENDOR_BODY, {"Content-Length": "999"}), "ConnectionLost"),
        (Reply(400, VENDOR_BODY, {"Transfer-Encoding": "chunked"}), "ConnectionLost"),
        (Reply(400, VENDOR_BODY, {"Content-Encoding": "gzip"}), "ConnectionLost"),
        (Reply(400, VENDOR_BODY, {"X": "x" * 200_000}), "ConnectionLost"),
    ],
)
def test_everything_else_is_unknown_and_not_repeated(
    server: ScriptedServer, client: Client, reply: Reply, cause: str
) -> None:
    server.on("POST", PATH, reply)
    with pytest.raises(CreateOutcomeUnknown, match="may exist and be charged") as caught:
        create(client)
    assert type(caught.value) is CreateOutcomeUnknown
    assert caught.value.cause_name == cause
    assert caught.value.project_name == "cat #7f3a"
    assert "'cat #7f3a'" in str(caught.value)
    assert len(server.received) == 1


def test_no_answer_in_time_is_unknown(server: ScriptedServer, impatient_client: Client) -> None:
    server.on("POST", PATH, Reply(behaviour=Behaviour.NEVER_ANSWER))
    with pytest.raises(CreateOutcomeUnknown) as caught:
        create(impatient_client, name=None)
    assert caught.value.cause_name == "ConnectionLost"
    assert "Image Upscaler - " in str(caught.value), "the vendor's name for a nameless project"
    assert len(server.received) == 1


def test_a_refused_connection_is_definite(closed_port_url: str, connect: Connect) -> None:
    with pytest.raises(Unreachable):
        create(connect(token="t", base_url=closed_port_url))


def test_a_proxy_of_the_environment_is_not_used_on_loopback(
    server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch, closed_port_url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", closed_port_url)
    server.on("POST", PATH, CREATED)
    assert create(client).id == "p1"
