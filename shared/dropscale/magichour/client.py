"""The blocking client, with the call signatures of the vendor's Python SDK.

An asynchronous client will stand beside it: calls, models, errors, schedule and output names are
free of I/O and shared.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dropscale.magichour import calls, models
from dropscale.magichour.errors import TransferFailed
from dropscale.magichour.outputs import atomic_write, output_names
from dropscale.magichour.polling import Polling, poll_interval, wait_until_final
from dropscale.magichour.transport import Transport
from dropscale.upscaler import DEFAULT_BASE_URL, TYPE_BY_EXTENSION, ProjectStatus

DEFAULT_TIMEOUT = 60.0


class Client:
    """Client of the Magic Hour API. It keeps no connection, so it needs no closing.

    No call is repeated by itself; only `generate` and `check_result` go on polling after a
    transient error.

    Args:
        token: the API key.
        base_url: where the API is; https, or http on a loopback address.
        timeout: seconds to wait for the answer of a call; connecting may take
            `calls.CONNECT_TIMEOUT` on top.
        polling: how `generate` and `check_result` wait.

    Raises:
        ValueError: the token cannot be an API key.
        UnsafeUrl: the base URL would send the token in clear.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float = DEFAULT_TIMEOUT,
        polling: Polling | None = None,
    ) -> None:
        transport = Transport(token, base_url, timeout)
        self.timeout = timeout
        self.v1 = V1Client(transport, polling or Polling())
        self._transport = transport

    def download(self, url: str, file: BinaryIO) -> int:
        """Write what a download URL holds into a file, streaming; return the number of bytes.

        Raises:
            TransferFailed: not all of it came (transient: the file holds a part), or the URL
                has expired (`expired`: a fresh GET of the project gives another).
            UnsafeUrl: the URL is not https.
        """
        return self._transport.download(url, file)


class V1Client:
    """Version 1 of the API."""

    def __init__(self, transport: Transport, polling: Polling) -> None:
        self.account = AccountClient(transport)
        self.files = FilesClient(transport)
        self.image_projects = ImageProjectsClient(transport, polling)
        self.ai_image_upscaler = AiImageUpscalerClient(
            transport, self.files, self.image_projects, polling
        )


class AccountClient:
    """`/v1/account`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> models.Account:
        """Return the account of the API key, with its credits."""
        return self._transport.send(calls.get_account())


class UploadUrlsClient:
    """`/v1/files/upload-urls`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, *, items: Sequence[Mapping[str, str]]) -> models.UploadUrls:
        """Return a signed upload URL for each `{"type": "image", "extension": "png"}`."""
        return self._transport.send(calls.create_upload_urls(items))


class FilesClient:
    """`/v1/files`."""

    def __init__(self, transport: Transport) -> None:
        self.upload_urls = UploadUrlsClient(transport)
        self._transport = transport

    def upload_file(self, file: str | Path | BinaryIO, extension: str | None = None) -> str:
        """Upload an image and return the path by which a create call can name it.

        Args:
            file: a local path, or a seekable binary file, which is sent from its start. An
                http(s) URL and an "api-assets/…" path are returned as they are.
            extension: the file's extension without dot, for a file without a usable name.

        Raises:
            ValueError: the extension is not one the API accepts, or the file is empty.
            OSError: the file cannot be read.
            TransferFailed: the storage did not take it.
        """
        if isinstance(file, str) and file.startswith(("http://", "https://", "api-assets/")):
            return file
        if isinstance(file, str | Path):
            with open(file, "rb") as opened:
                return self._upload(opened, _image_extension(str(file), extension))
        return self._upload(file, _image_extension(getattr(file, "name", None), extension))

    def _upload(self, file: BinaryIO, extension: str) -> str:
        if file.seek(0, os.SEEK_END) == 0:
            raise ValueError("the image file is empty; there is nothing to upload")
        file.seek(0)
        answer = self.upload_urls.create(items=[{"type": "image", "extension": extension}])
        self._transport.upload(answer.items[0].upload_url, file)
        return answer.items[0].file_path


class ImageProjectsClient:
    """`/v1/image-projects`."""

    def __init__(self, transport: Transport, polling: Polling) -> None:
        self._transport = transport
        self._polling = polling

    def get(self, *, id: str) -> models.Project:  # noqa: A002  # the vendor's signature
        """Return the project as it is now, with fresh download URLs once it is complete.

        Raises:
            NotFound: there is none, or it was deleted.
            UnknownProjectStatus: its status is not in the contract.
        """
        return self._transport.send(calls.get_project(id))

    def delete(self, *, id: str) -> None:  # noqa: A002  # the vendor's signature
        """Delete the project and its outputs, permanently."""
        self._transport.send(calls.delete_project(id))

    def check_result(
        self,
        id: str,  # noqa: A002  # the vendor's signature
        wait_for_completion: bool,
        download_outputs: bool,
        download_directory: str | Path | None = None,
    ) -> models.ProjectResult:
        """Look at a project, or wait until it is final, and download its outputs.

        Args:
            id: the project.
            wait_for_completion: False looks once and downloads nothing.
            download_outputs: whether to download the outputs once the project is complete.
            download_directory: where to, made if missing; None is the current directory.

        Returns:
            The project, also when it ended in `error` or `canceled`.

        Raises:
            DeadlinePassed: it was not final in time.
            TransferFailed: an output could not be downloaded.
        """
        if not wait_for_completion:
            return _result(self.get(id=id))
        project = wait_until_final(lambda: self.get(id=id), id, self._polling)
        if project.status is not ProjectStatus.COMPLETE or not download_outputs:
            return _result(project)
        directory = Path(download_directory or ".")
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / name for name in output_names(project)]
        for index, path in enumerate(paths):
            self._download(project, index, path)
        return _result(project, [str(path) for path in paths])

    def _download(self, project: models.Project, index: int, path: Path) -> None:
        try:
            self._save(project.downloads[index].url, path)
        except TransferFailed as error:
            fresh = self.get(id=project.id).downloads if error.expired else []
            if index >= len(fresh):
                raise
            self._save(fresh[index].url, path)

    def _save(self, url: str, path: Path) -> None:
        with atomic_write(path) as file:
            self._transport.download(url, file)


class AiImageUpscalerClient:
    """`/v1/ai-image-upscaler`."""

    def __init__(
        self,
        transport: Transport,
        files: FilesClient,
        image_projects: ImageProjectsClient,
        polling: Polling,
    ) -> None:
        self._transport = transport
        self._files = files
        self._image_projects = image_projects
        self._polling = polling

    def create(
        self,
        *,
        assets: Mapping[str, Any],
        scale_factor: float,
        style: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> models.CreatedProject:
        """Create, and pay for, an upscale: one attempt on a connection of its own.

        Args:
            assets: `{"image_file_path": …}`: what `upload_file` returned.
            scale_factor: 2 or 4.
            style: `mode` or `enhancement`, and `prompt`; sent as given.
            name: comes back in the project; make it unique to find the project by it.

        Raises:
            CreateOutcomeUnknown: it may exist and be charged; never repeat it blindly.
            MagicHourError: of a class in `NOT_CHARGED`: certainly not created.
        """
        call = calls.create_upscale(assets, scale_factor, style, name)
        try:
            return self._transport.send(call)
        except Exception as error:  # whatever is not a refusal may have been charged
            failure = calls.create_failure(call, error, name)
        raise failure

    def generate(
        self,
        *,
        assets: Mapping[str, Any],
        scale_factor: float,
        style: Mapping[str, Any] | None = None,
        name: str | None = None,
        wait_for_completion: bool = True,
        download_outputs: bool = True,
        download_directory: str | Path | None = None,
    ) -> models.ProjectResult:
        """Upload a local image, create the upscale, wait for it and download the result.

        Arguments are those of `FilesClient.upload_file` (as `assets["image_file_path"]`),
        `create` and `ImageProjectsClient.check_result`, and so are the errors. An error after the
        create carries a note with the project's id.
        """
        poll_interval(self._polling)  # a wrong setting must show before anything is paid
        if download_directory is not None:
            Path(download_directory).mkdir(parents=True, exist_ok=True)
        image_file_path = self._files.upload_file(assets["image_file_path"])
        created = self.create(
            assets={**assets, "image_file_path": image_file_path},
            scale_factor=scale_factor,
            style=style,
            name=name,
        )
        try:
            return self._image_projects.check_result(
                created.id, wait_for_completion, download_outputs, download_directory
            )
        except BaseException as error:
            error.add_note(
                f"Project {created.id} exists and is paid for: "
                f"collect it with image_projects.check_result(id={created.id!r}, …)."
            )
            raise


def _image_extension(name: object, extension: str | None) -> str:
    """Return the extension, lower case and without dot, given or taken from a file's name."""
    found = extension or (Path(name).suffix if isinstance(name, str) else "")
    found = found.lower().removeprefix(".")
    if found not in TYPE_BY_EXTENSION:
        raise ValueError(
            f"the image's extension is {found!r}; the API accepts {', '.join(TYPE_BY_EXTENSION)}"
        )
    return found


def _result(project: models.Project, paths: Sequence[str] | None = None) -> models.ProjectResult:
    downloaded_paths = None if paths is None else [*paths]
    return models.ProjectResult(**project.model_dump(), downloaded_paths=downloaded_paths)
