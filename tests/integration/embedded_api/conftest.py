import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from dropscale.upscaler import Mode
from dropscale_embedded.api import EmbeddedApi
from dropscale_embedded.api.engines import Stopped
from dropscale_embedded.api.picture import Picture
from tests.certificate import write_certificate

EXAMPLES = Path(__file__).parents[3] / "examples"
DEADLINE_SECONDS = 240.0


class GatedEngine:
    """Returns pictures as they are, once the gate is open."""

    description = "gated"

    def __init__(self) -> None:
        self.gate = Event()
        self.entered = Event()

    def upscale(
        self, picture: Picture, *, scale_factor: int, mode: Mode, stopping: Event
    ) -> Picture:
        self.entered.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self.gate.wait(0.01):
            if stopping.is_set() or time.monotonic() > deadline:
                raise Stopped
        return picture


class Caller:
    """Calls an embedded API over HTTP, with its key."""

    def __init__(self, api: EmbeddedApi) -> None:
        self._api = api

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._api.token}"} | options.pop("headers", {})
        url = self._api.base_url + path
        return requests.request(method, url, headers=headers, timeout=DEADLINE_SECONDS, **options)

    def upload_url(self, extension: str = "jpg") -> dict[str, str]:
        items = [{"type": "image", "extension": extension}]
        answer = self("POST", "/v1/files/upload-urls", json={"items": items})
        item: dict[str, str] = answer.json()["items"][0]
        return item

    def upload(self, data: bytes) -> str:
        """Return the file_path of an upload with these bytes."""
        item = self.upload_url()
        requests.put(item["upload_url"], data=data, timeout=DEADLINE_SECONDS).raise_for_status()
        return item["file_path"]

    def create(self, image_file_path: str, **fields: object) -> requests.Response:
        body = {"assets": {"image_file_path": image_file_path}, "scale_factor": 2} | fields
        return self("POST", "/v1/ai-image-upscaler", json=body)

    def project(self, project_id: str) -> Any:
        return self("GET", f"/v1/image-projects/{project_id}").json()

    def wait(self, project_id: str, until: Callable[[Any], bool]) -> Any:
        """Poll the project until a condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not until(project := self.project(project_id)):
            assert time.monotonic() < deadline, project
        return project

    def finish(self, project_id: str) -> Any:
        return self.wait(project_id, lambda project: project["status"] in ("complete", "error"))


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give httpx one authority: each client would read all of them, which is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(write_certificate(tmp_path_factory.mktemp("authority"))))
        yield


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def api(engine: GatedEngine) -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=engine, workers=1, credits_granted=120) as running:
        yield running


@pytest.fixture
def call(api: EmbeddedApi) -> Caller:
    return Caller(api)


@pytest.fixture(scope="session")
def photo() -> bytes:
    return (EXAMPLES / "chelsea.jpg").read_bytes()
