"""Neither the token nor a signature appears in any text that an error or a model can show."""

import io
import logging
import pickle
import traceback
from collections.abc import Callable

import pytest

from dropscale.magichour import Client, MagicHourError, Project, UploadUrls
from tests.unit.magichour.conftest import TOKEN, Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

SIGNATURE = "X-Amz-Signature=5ec2e7"
CREATE, PROJECT = "/v1/ai-image-upscaler", "/v1/image-projects/p1"


def create(client: Client, _base_url: str) -> None:
    client.v1.ai_image_upscaler.create(
        assets={"image_file_path": f"https://example.com/a.png?{SIGNATURE}"}, scale_factor=2
    )


def get(client: Client, _base_url: str) -> None:
    client.v1.image_projects.get(id="p1")


def upload(client: Client, _base_url: str) -> None:
    client.v1.files.upload_file(io.BytesIO(b"an image"), "png")


def download(client: Client, base_url: str) -> None:
    client.download(f"{base_url}/out.png?{SIGNATURE}", io.BytesIO())


def download_from_nowhere(client: Client, _base_url: str) -> None:
    client.download(f"https://127.0.0.1:1/out.png?{SIGNATURE}", io.BytesIO())


def download_unsafely(client: Client, _base_url: str) -> None:
    client.download(f"http://example.com/out.png?{SIGNATURE}", io.BytesIO())


QUOTED = f"{TOKEN} https://x/?{SIGNATURE}"
QUOTING = json_reply(
    {"message": f"bad key {TOKEN} or bad URL https://example.com/a.png?{SIGNATURE}&b=1 given"}, 400
)
RESET = Reply(behaviour=Behaviour.RESET_AFTER_REQUEST)
ANYWHERE = (QUOTING, RESET, Reply(behaviour=Behaviour.NEVER_ANSWER))
QUOTING_CODE = json_reply({"message": "no", "code": QUOTED}, 402)
PLACES: dict[Callable[[Client, str], None], tuple[str, str]] = {
    create: ("POST", CREATE),
    get: ("GET", PROJECT),
    upload: ("PUT", "/put"),
    download: ("GET", "/out.png"),
    download_from_nowhere: ("GET", "/"),
    download_unsafely: ("GET", "/"),
}
CASES = [
    *((call, reply) for call in (create, get, upload, download) for reply in ANYWHERE),
    *((download_from_nowhere, RESET), (download_unsafely, RESET), (create, QUOTING_CODE)),
    *((get, json_reply({"id": "p1", "status": status})) for status in (QUOTED, [QUOTED])),
    *((get, json_reply({"id": QUOTED, "status": "complete"})), (get, QUOTING_CODE)),
]


@pytest.mark.parametrize(("call", "reply"), CASES)
def test_errors(
    server: ScriptedServer, call: Callable[[Client, str], None], reply: Reply, connect: Connect
) -> None:
    timeout = 0.05 if reply.behaviour is Behaviour.NEVER_ANSWER else 5
    client = connect(token=TOKEN, base_url=server.base_url, timeout=timeout)
    item = {"upload_url": f"{server.base_url}/put?{SIGNATURE}", "file_path": "api-assets/1.png"}
    server.on("POST", "/v1/files/upload-urls", json_reply({"items": [item]}))
    server.on(*PLACES[call], reply)
    with pytest.raises(MagicHourError) as caught:
        call(client, server.base_url)
    error = caught.value
    shown = f"{error}{error!r}{vars(error)!r}" + "".join(traceback.format_exception(error))
    assert TOKEN not in shown
    assert SIGNATURE not in shown
    assert error.__context__ is None, "tools that show contexts would show the library's texts"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_vendor_message_keeps_what_is_not_secret(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", QUOTING)
    with pytest.raises(MagicHourError) as caught:
        client.v1.account.list()
    assert caught.value.message == "bad key [key] or bad URL https://example.com/a.png?… given"


def test_the_log_has_a_line_for_each_request_and_no_secret(
    server: ScriptedServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("GET", "/out.png", Reply(200, b"upscaled"))
    server.on("POST", CREATE, QUOTING)
    client.download(f"{server.base_url}/out.png?{SIGNATURE}", io.BytesIO())
    with pytest.raises(MagicHourError):
        create(client, "")
    ours = [line.message for line in caplog.records if line.name == "dropscale.magichour"]
    assert [line.partition(" in ")[0] for line in ours] == [
        "GET 127.0.0.1: 200",
        f"POST {CREATE}: 400",
    ]
    assert SIGNATURE not in caplog.text
    assert TOKEN not in caplog.text


def test_models_and_clients(client: Client) -> None:
    assert TOKEN not in repr(client) + repr(vars(client))
    signed = {"url": f"https://x/?{SIGNATURE}"}
    error = {"message": f"cannot read https://x/a.png?{SIGNATURE}"}
    project = Project.model_validate(
        {"id": "p1", "status": "complete", "downloads": [signed], "error": error}
    )
    item = {"upload_url": f"https://x/?{SIGNATURE}", "file_path": "api-assets/1.png"}
    assert SIGNATURE not in repr(project) + str(project)
    assert SIGNATURE not in repr(UploadUrls.model_validate({"items": [item]}))
