"""The embedded API's HTTP interface: a Flask application on top of projects and storage.

Status and body of every error are the vendor's (see `contract`): `{"message"}`, preceded by a
`code` where the vendor documents codes, which is for 402. Storage URLs answer 403 and 404 in the
same format; the vendor's file host has other bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, request, send_file
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import (
    HTTPException,
    LengthRequired,
    NotFound,
    UnprocessableEntity,
)

from dropscale.upscaler import ProjectStatus
from dropscale_embedded.api import contract
from dropscale_embedded.api.access import STORAGE_PATH
from dropscale_embedded.api.control import control_blueprint
from dropscale_embedded.api.fault_injection import FaultInjection
from dropscale_embedded.api.faults import Call, FaultPlanInvalid
from dropscale_embedded.api.projects import (
    OutOfCredits,
    PlanRefused,
    Project,
    Projects,
    TooManyJobs,
    UnknownProject,
)
from dropscale_embedded.api.rendering import output_path
from dropscale_embedded.api.sources import MAX_IMAGE_BYTES
from dropscale_embedded.api.storage import UPLOADS, SignatureRefused, Storage, UrlSigner
from dropscale_embedded.api.webhooks import UrlRefused

_Error = tuple[dict[str, str], int]

_STATUS_BY_ERROR: dict[type[Exception], int] = {
    FaultPlanInvalid: 400,
    OutOfCredits: 402,
    PlanRefused: 402,
    SignatureRefused: 403,
    UnknownProject: 404,
    UrlRefused: 400,
    TooManyJobs: 429,
}

_CODE_BY_ERROR: dict[type[Exception], str] = {
    OutOfCredits: "insufficient_credits",
    PlanRefused: "plan_upgrade_required",
}

_MAX_JSON_BYTES = 1024 * 1024
"""The vendor's requests have a few hundred."""

_FIXED_MESSAGES = {401: "Unauthorized", 404: "Not Found"}
"""The vendor's messages for these statuses, whatever the cause."""


@dataclass(frozen=True, slots=True)
class StorageUrls:
    """Makes the URLs for a client's uploads and downloads.

    Attributes:
        upload_lifetime: how long an upload URL is valid.
        download_lifetime: how long a download URL is valid.
    """

    signer: UrlSigner
    upload_lifetime: timedelta
    download_lifetime: timedelta

    def upload(self, path: str) -> contract.UploadUrl:
        """Return the upload URL of a storage path; needs a request's context."""
        query, expires_at = self.signer.sign("PUT", path, self.upload_lifetime)
        url = _storage_url(path, query)
        return contract.UploadUrl(upload_url=url, expires_at=expires_at, file_path=path)

    def download(self, path: str, base_url: str | None = None) -> contract.Download:
        """Return the download URL of a storage path; without a base, needs a request's context."""
        query, expires_at = self.signer.sign("GET", path, self.download_lifetime)
        url = _storage_url(path, query, base_url)
        return contract.Download(url=url, expires_at=expires_at)

    def project(self, project: Project, base_url: str | None = None) -> contract.ProjectAnswer:
        """Return the vendor's document of a project, with the URL of its output."""
        complete = project.status == ProjectStatus.COMPLETE
        downloads = [self.download(output_path(project.id), base_url)] if complete else []
        return contract.ProjectAnswer.of(project, downloads)


def create_app(
    *,
    projects: Projects,
    storage: Storage,
    urls: StorageUrls,
    submit: Callable[[str], None],
    injection: FaultInjection,
    create_webhook: Callable[[str], str],
) -> Flask:
    """Return the application, which answers every request: put `ApiAccess` before it.

    Args:
        projects: the account.
        storage: stores uploads and outputs.
        urls: makes the storage URLs.
        submit: queues a new project for rendering, by its id.
        injection: makes calls fail.
        create_webhook: sends events to a URL; returns their secret.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_IMAGE_BYTES
    app.before_request(_limit_body)
    calls = _Calls(projects, storage, urls, submit)
    v1 = Blueprint("v1", __name__, url_prefix="/v1")
    wrap = injection.wrap
    v1.post("/files/upload-urls")(wrap(Call.UPLOAD_URLS, calls.create_upload_urls))
    v1.post("/ai-image-upscaler")(wrap(Call.CREATE, calls.create_project))
    v1.get("/image-projects/<project_id>")(wrap(Call.PROJECT, calls.get_project))
    v1.delete("/image-projects/<project_id>")(wrap(Call.DELETE, calls.delete_project))
    v1.get("/account")(wrap(Call.ACCOUNT, calls.get_account))
    app.register_blueprint(v1)
    app.put(f"{STORAGE_PATH}<path:path>")(wrap(Call.UPLOAD, calls.upload))
    app.get(f"{STORAGE_PATH}<path:path>")(wrap(Call.DOWNLOAD, calls.download))
    app.register_blueprint(control_blueprint(injection.faults, projects.book, create_webhook))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ValidationError, _validation_error)
    for error in _STATUS_BY_ERROR:
        app.register_error_handler(error, _refusal)
    return app


@dataclass(frozen=True, slots=True)
class _Calls:
    """One method per call of the API and of its storage."""

    projects: Projects
    storage: Storage
    urls: StorageUrls
    submit: Callable[[str], None]

    def create_upload_urls(self) -> dict[str, Any]:
        body = contract.UploadUrlsRequest.model_validate_json(request.get_data())
        paths = [f"{UPLOADS}{token_hex(12)}/image.{item.extension}" for item in body.items]
        return _dump(contract.UploadUrlsAnswer(items=[self.urls.upload(path) for path in paths]))

    def create_project(self) -> dict[str, Any]:
        body = contract.CreateRequest.model_validate_json(request.get_data())
        path = body.assets.image_file_path
        if path.startswith(UPLOADS) and not self.storage.file(path).exists():
            raise UnprocessableEntity(f"assets.image_file_path: nothing was uploaded to {path}")
        project = self.projects.create(body.params(), image_path=path, name=body.name)
        self.submit(project.id)
        cost = project.credits_charged
        return _dump(contract.CreateAnswer(id=project.id, credits_charged=cost, frame_cost=cost))

    def get_project(self, project_id: str) -> dict[str, Any]:
        return _dump(self.urls.project(self.projects.get(project_id)))

    def delete_project(self, project_id: str) -> Response:
        self.projects.delete(project_id)
        self.storage.delete(output_path(project_id))
        return Response(status=204)

    def get_account(self) -> dict[str, Any]:
        return _dump(contract.AccountAnswer.of(self.projects.tier, self.projects.credits_left))

    def upload(self, path: str) -> Response:
        if request.content_length is None:
            raise LengthRequired("An upload needs a Content-Length")
        self.storage.write(path, request.stream)
        return Response(status=200)

    def download(self, path: str) -> Response:
        file = self.storage.file(path)
        if not file.exists():
            raise NotFound
        return send_file(file, mimetype="image/png")


def _limit_body() -> None:
    """Refuse a long body, except a file."""
    if not request.path.startswith(STORAGE_PATH):
        request.max_content_length = _MAX_JSON_BYTES


def _storage_url(path: str, query: dict[str, str], base_url: str | None = None) -> str:
    base = base_url or request.host_url.rstrip("/")
    return f"{base}{STORAGE_PATH}{path}?{urlencode(query)}"


def _dump(answer: BaseModel) -> dict[str, Any]:
    return answer.model_dump(mode="json")


def _refusal(error: Exception) -> _Error:
    status, code = _STATUS_BY_ERROR[type(error)], _CODE_BY_ERROR.get(type(error))
    message = _FIXED_MESSAGES.get(status, str(error))
    return {**({"code": code} if code else {}), "message": message}, status


def _http_error(error: HTTPException) -> _Error:
    status = error.code or 500
    return {"message": _FIXED_MESSAGES.get(status) or error.description or error.name}, status


def _validation_error(error: ValidationError) -> _Error:
    faults = error.errors()
    texts = [fault["msg"].removeprefix("Value error, ") for fault in faults]
    fields = [".".join(map(str, fault["loc"])) or "body" for fault in faults]
    lines = [f"{field}: {text}" for field, text in zip(fields, texts, strict=True)]
    is_extension = all(fault["type"] == contract.WRONG_EXTENSION for fault in faults)
    return {"message": "; ".join(lines)}, 422 if is_extension else 400
