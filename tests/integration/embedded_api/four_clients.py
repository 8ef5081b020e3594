"""One use of the vendor's SDK and of our clients, sync and async, against the embedded API."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import magic_hour  # type: ignore[import-untyped] # ships no py.typed
from pydantic import BaseModel

from dropscale import magichour
from dropscale_embedded.api import EmbeddedApi, StubEngine, parse_fault_plan
from tests.blocking import Blocking
from tests.integration.embedded_api.conftest import EXAMPLES

PHOTO = EXAMPLES / "chelsea.jpg"


@dataclass(frozen=True)
class Use:
    """One use of a client: its answer or error is compared, and `expected` is part of theirs."""

    name: str
    call: Callable[[Any, Path], object]
    expected: str
    faults: str = "[]"  # the rules of a fault plan
    options: dict[str, Any] = field(default_factory=dict, hash=False)  # of the API


def uploaded(client: Any) -> str:
    path: str = client.v1.files.upload_file(PHOTO)
    return path


def create(client: Any, **fields: Any) -> Any:
    assets = {"image_file_path": fields.pop("image", None) or uploaded(client)}
    return client.v1.ai_image_upscaler.create(**{"assets": assets, "scale_factor": 2, **fields})


def generate(client: Any, folder: Path, **fields: Any) -> Any:
    arguments = {
        "assets": {"image_file_path": str(PHOTO)},
        "scale_factor": 2,
        "download_directory": str(folder),
    }
    return client.v1.ai_image_upscaler.generate(**{**arguments, **fields})


def check(client: Any, folder: Path, wait: bool, download: bool) -> Any:
    project = create(client).id
    return client.v1.image_projects.check_result(project, wait, download, str(folder))


def held(status: str) -> str:
    return f"[{{call: render, fault: {{kind: outcome, status: {status}}}}}]"


def answered(call: str, status: int, body: str = "vendor") -> str:
    return f"[{{call: {call}, fault: {{kind: answer, status: {status}, body: {body}}}}}]"


@contextmanager
def made(kind: str, token: str, base_url: str) -> Iterator[Any]:
    """Make one of the four clients; the asynchronous ones are called like blocking ones."""
    access: dict[str, Any] = {"token": token, "base_url": base_url}
    with ExitStack() as stack:
        match kind:
            case "theirs":
                http = stack.enter_context(httpx.Client())
                yield magic_hour.Client(**access, httpx_client=http)
            case "ours":
                yield magichour.Client(**access)
            case "theirs, async":
                runner = stack.enter_context(asyncio.Runner())
                yield Blocking(magic_hour.AsyncClient(**access), runner.run)
            case _:
                runner = stack.enter_context(asyncio.Runner())
                yield Blocking(magichour.AsyncClient(**access), runner.run)


def outcome(use: Use, kind: str, folder: Path) -> str:
    """Return the answer or the error of a use, and the book."""
    plan = parse_fault_plan(f"rules: {use.faults}".encode(), use.name)
    api = EmbeddedApi(engine=StubEngine(0), faults=plan, **use.options)
    with api, made(kind, api.token, api.base_url) as client:
        result: object
        try:
            result = plain(use.call(client, folder))
        except Exception as error:
            result = plain_error(error)
    book = [(entry.kind, entry.params, entry.credits, entry.name) for entry in api.book.entries()]
    return without_accidents(f"{result}\n{book}")


def plain(result: object) -> object:
    if not isinstance(result, BaseModel):
        return result
    document = result.model_dump(by_alias=True)
    if paths := document.get("downloaded_paths"):
        document["downloaded_paths"] = [f"<bytes>{Path(path).read_bytes()!r}" for path in paths]
    return json.dumps(document, sort_keys=True)


def plain_error(error: Exception) -> object:
    """Return status and message of an error of either library, or its class if it is Python's."""
    if isinstance(error, magichour.MagicHourError):
        return error.status, error.message if error.status else None
    if isinstance(error, magic_hour.ApiError):
        return error.status_code, error.body["message"] if error.body else None
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code, None
    return (None, None) if isinstance(error, httpx.TransportError) else type(error).__name__


def without_accidents(text: str) -> str:
    """Replace what differs between runs: ids, times, ports and signatures."""
    for pattern, replacement in {
        r"http://127\.0\.0\.1:\d+/storage": "<storage>",
        r"\?expires=[^\"]*": "?<signature>",
        r"embedded[0-9a-f]{16}": "<project>",
        r"(api-assets)/[0-9a-f]{24}": r"\1/<id>",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?": "<time>",
    }.items():
        text = re.sub(pattern, replacement, text)
    return text
