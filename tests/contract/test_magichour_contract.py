"""Our client against the vendor's: same signatures, same requests, answers read alike."""

import inspect
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import httpx
import magic_hour  # type: ignore[import-untyped]  # the SDK ships no py.typed
import make_api_request
import pytest
from magic_hour.types import params  # type: ignore[import-untyped]
from magic_hour.types.models import V1AiImageUpscalerCreateResponse, V1ImageProjectsGetResponse  # type: ignore[import-untyped]

from dropscale import magichour
from dropscale.upscaler import ProjectStatus
from tests.unit.magichour.scripted_server import Received, Reply, ScriptedServer, json_reply

CREATED = {"id": "cuid-example", "credits_charged": 50, "frame_cost": 50}
PROJECT = {
    "id": "cuid-example",
    "name": None,
    "status": "complete",
    "type": "IMAGE_UPSCALER",
    "image_count": 1,
    "created_at": "2026-06-01T00:00:00.000Z",
    "enabled": True,
    "credits_charged": 50,
    "total_frame_cost": 50,
    "downloads": [{"url": "https://example.com/output.png", "expires_at": "2026-06-02T00:00:00Z"}],
    "error": None,
}
SEED_PARAMETERS: dict[str, Any] = {
    "scale_factor": 2.0,
    "style": {"enhancement": "Balanced"},
    "name": "Image Upscaler image",
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.on("POST", "/v1/ai-image-upscaler", json_reply(CREATED))
        running.on("GET", "/v1/image-projects/cuid-example", json_reply(PROJECT))
        running.on("DELETE", "/v1/image-projects/cuid-example", Reply(204))
        item = {
            "upload_url": f"{running.base_url}/put",
            "file_path": "api-assets/id/1234.png",
            "expires_at": "2026-06-02T00:00:00Z",
        }
        running.on("POST", "/v1/files/upload-urls", json_reply({"items": [item]}))
        running.on("PUT", "/put", Reply())
        yield running


@pytest.fixture
def ours(server: ScriptedServer) -> magichour.Client:
    return magichour.Client(token="key", base_url=server.base_url)


@pytest.fixture
def theirs(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[magic_hour.Client]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # it downloads with an HTTP client of its own
    with httpx.Client() as http:
        yield magic_hour.Client(token="key", base_url=server.base_url, httpx_client=http)


def parameters(function: Callable[..., object]) -> set[str]:
    return set(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    "path",
    [
        "ai_image_upscaler.create",
        "ai_image_upscaler.generate",
        "files.upload_file",
        "files.upload_urls.create",
        "image_projects.get",
        "image_projects.check_result",
        "image_projects.delete",
        "account.list",
    ],
)
def test_every_call_takes_what_the_vendors_takes(
    ours: magichour.Client, theirs: magic_hour.Client, path: str
) -> None:
    call = attrgetter(path)
    ours_async = magichour.AsyncClient(token="key")
    assert parameters(call(theirs.v1)) <= parameters(call(ours.v1))
    assert inspect.signature(call(ours.v1)) == inspect.signature(call(ours_async.v1))
    assert inspect.iscoroutinefunction(call(ours_async.v1))
    assert not inspect.iscoroutinefunction(call(ours.v1))


def test_the_client_takes_what_the_vendors_takes_but_for_an_http_client_of_its_library() -> None:
    assert parameters(magic_hour.Client) - {"httpx_client"} <= parameters(magichour.Client)
    assert parameters(magichour.Client) == parameters(magichour.AsyncClient)
    theirs = {one.name: one.value for one in magic_hour.environment.Environment}
    assert {one.name: one.value for one in magichour.Environment} == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (magichour.Style, params.V1AiImageUpscalerCreateBodyStyle),
        (magichour.Assets, params.V1AiImageUpscalerCreateBodyAssets),
        (magichour.LocalAssets, params.V1AiImageUpscalerGenerateBodyAssets),
        (magichour.RequestOptions, make_api_request.RequestOptions),
    ],
)
def test_our_arguments_have_the_fields_and_choices_of_the_vendors(ours: Any, theirs: Any) -> None:
    ours, theirs = get_type_hints(ours), get_type_hints(theirs)
    assert ours.keys() == theirs.keys()
    choices = {name: sorted(get_args(hint)) for name, hint in theirs.items() if is_choice(hint)}
    assert {name: sorted(get_args(hint)) for name, hint in ours.items() if is_choice(hint)} == (
        choices
    )


def is_choice(hint: object) -> bool:
    return get_origin(hint) is Literal


def essence(request: Received) -> tuple[object, ...]:
    body = request.body if request.method == "PUT" else request.body and request.json
    return request.method, request.path, body, request.headers.get("Authorization")


def test_the_seed_documents_generate_sends_what_the_vendors_sends(
    server: ScriptedServer,
    ours: magichour.Client,
    theirs: magic_hour.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.001")
    output = {"url": f"{server.base_url}/output.png", "expires_at": "2026-06-02T00:00:00Z"}
    server.on(
        "GET", "/v1/image-projects/cuid-example", json_reply({**PROJECT, "downloads": [output]})
    )
    server.on("GET", "/output.png", Reply(200, b"upscaled"))
    (tmp_path / "1234.png").write_bytes(b"an image")

    def generate(client: Any) -> list[tuple[object, ...]]:
        server.received.clear()
        result = client.v1.ai_image_upscaler.generate(
            assets={"image_file_path": str(tmp_path / "1234.png")},
            **SEED_PARAMETERS,
            wait_for_completion=True,
            download_outputs=True,
            download_directory=str(tmp_path),
        )
        [path] = result.downloaded_paths
        assert Path(path).read_bytes() == b"upscaled"
        return [essence(request) for request in server.received]

    sent = generate(ours)
    assert sent == generate(theirs)
    assert [method for method, *_ in sent] == ["POST", "PUT", "POST", "GET", "GET"]


def test_our_models_know_every_field_of_the_vendors() -> None:
    assert {field.alias for field in V1ImageProjectsGetResponse.model_fields.values()} <= set(
        magichour.Project.model_fields
    )
    assert {field.alias for field in V1AiImageUpscalerCreateResponse.model_fields.values()} <= set(
        magichour.CreatedProject.model_fields
    )


def test_we_know_every_status_of_the_vendors() -> None:
    annotation = V1ImageProjectsGetResponse.model_fields["status"].annotation
    assert set(ProjectStatus) == set(get_args(annotation))


def test_the_error_names_the_state_machine_relies_on() -> None:
    names = {
        "InvalidRequest", "Unauthorized", "OutOfCredits", "PlanRefused", "NotFound", "Throttled",
        "ServerFault", "Unavailable", "Unreachable", "Misconfigured", "ConnectionLost",
        "TransferFailed", "UnsafeUrl", "CreateOutcomeUnknown", "UnknownProjectStatus",
        "DeadlinePassed",
    }  # fmt: skip
    subclasses = {error.__name__ for error in magichour.MagicHourError.__subclasses__()}
    assert names == subclasses
    assert magichour.CreateOutcomeUnknown.__subclasses__() == [magichour.CreateAnswerUnreadable]
