"""The calls of the API and the workflows that combine them, on any transport.

`AsyncClient` offers these classes as they are; `client` derives the blocking ones from them. The
signatures are those of the vendor's Python SDK.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dropscale.magichour import calls, models
from dropscale.magichour.base_transport import Transport
from dropscale.magichour.errors import TransferFailed
from dropscale.magichour.outputs import atomic_write, output_names
from dropscale.magichour.params import (
    Assets,
    LocalAssets,
    RequestOptions,
    Style,
    require_assets,
    require_parameters,
    usable_options,
)
from dropscale.magichour.polling import Polling, poll_interval, wait_until_final
from dropscale.magichour.progress import Progress, Report, Stage, report_nothing
from dropscale.upscaler import TYPE_BY_EXTENSION, ProjectStatus

_REFERENCE = re.compile(r"https?://|api-assets/", re.IGNORECASE)


class AsyncV1Client:
    """Version 1 of the API."""

    def __init__(self, transport: Transport, polling: Polling) -> None:
        self.account = AsyncAccountClient(transport)
        self.files = AsyncFilesClient(transport)
        self.image_projects = AsyncImageProjectsClient(transport, polling)
        self.ai_image_upscaler = AsyncAiImageUpscalerClient(
            transport, self.files, self.image_projects, polling
        )


class AsyncAccountClient:
    """`/v1/account`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, *, request_options: RequestOptions | None = None) -> models.Account:
        """Return the account of the API key, with its credits."""
        return await self._transport.send(calls.get_account(), usable_options(request_options))


class AsyncUploadUrlsClient:
    """`/v1/files/upload-urls`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        *,
        items: Sequence[Mapping[str, str]],
        request_options: RequestOptions | None = None,
    ) -> models.UploadUrls:
        """Return a signed upload URL for each `{"type": "image", "extension": "png"}`."""
        options = usable_options(request_options)
        return await self._transport.send(calls.create_upload_urls(items), options)


class AsyncFilesClient:
    """`/v1/files`."""

    def __init__(self, transport: Transport) -> None:
        self.upload_urls = AsyncUploadUrlsClient(transport)
        self._transport = transport

    async def upload_file(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        extension: str | None = None,
        *,
        progress: Report = report_nothing,
    ) -> str:
        """Upload an image and return its path for a create call.

        Args:
            file: a local path, or a seekable binary file, which is sent from its start and keeps
                its position. An http(s) URL and an "api-assets/…" path are returned as they are.
            extension: the file's extension without the dot, for a file without a usable name.
            progress: called with the number of bytes sent.

        Raises:
            ValueError: the API does not accept the extension, or the file is empty or text.
            OSError: the file cannot be read.
            TransferFailed: the storage did not accept it.
        """
        if isinstance(file, str) and _REFERENCE.match(file):
            return file
        name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
        extension = _image_extension(name, extension)

        def report_bytes(done: int, total: int | None) -> None:
            progress(Progress(Stage.UPLOADING, bytes_done=done, bytes_total=total))

        async with self._transport.transfer():
            with _from_start(file) as (readable, size):
                items = [{"type": "image", "extension": extension}]
                answer = await self._transport.send(calls.create_upload_urls(items))
                await self._transport.upload(
                    answer.items[0].upload_url, readable, size, report_bytes
                )
        return answer.items[0].file_path


class AsyncImageProjectsClient:
    """`/v1/image-projects`."""

    def __init__(self, transport: Transport, polling: Polling) -> None:
        self._transport = transport
        self._polling = polling

    async def get(
        self,
        *,
        id: str,  # noqa: A002  # the vendor's signature
        request_options: RequestOptions | None = None,
    ) -> models.Project:
        """Return the project's current state, with new download URLs once it is complete.

        Raises:
            NotFound: there is no such project, or it was deleted.
            UnknownProjectStatus: its status is not in the contract.
        """
        return await self._transport.send(calls.get_project(id), usable_options(request_options))

    async def delete(
        self,
        *,
        id: str,  # noqa: A002  # the vendor's signature
        request_options: RequestOptions | None = None,
    ) -> None:
        """Delete the project and its outputs, permanently."""
        await self._transport.send(calls.delete_project(id), usable_options(request_options))

    async def check_result(
        self,
        id: str,  # noqa: A002  # the vendor's signature
        wait_for_completion: bool,
        download_outputs: bool,
        download_directory: str | os.PathLike[str] | None = None,
        *,
        progress: Report = report_nothing,
    ) -> models.ProjectResult:
        """Look at a project, or wait until it is final, and download its outputs.

        Args:
            id: the project.
            wait_for_completion: False looks once and downloads nothing.
            download_outputs: whether to download the outputs once the project is complete.
            download_directory: where to save them, created if missing; None: the current directory.
            progress: called with the status at each look, and with the bytes of an output received.

        Returns:
            The project, also if it ended in `error` or `canceled`.

        Raises:
            DeadlinePassed: it was not final in time.
            TransferFailed: an output could not be downloaded, nor from a new URL.
        """

        async def look() -> models.Project:
            project = await self.get(id=id)
            progress(Progress(Stage.WAITING, id, project.status))
            return project

        if not wait_for_completion:
            return _result(await look())
        project = await wait_until_final(look, self._transport.sleep, id, self._polling)
        if project.status is not ProjectStatus.COMPLETE or not download_outputs:
            return _result(project)
        directory = Path(download_directory or ".")
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / name for name in output_names(project)]
        for index, path in enumerate(paths):
            await self._download(project, index, path, progress)
        return _result(project, [str(path) for path in paths])

    async def _download(
        self, project: models.Project, index: int, path: Path, progress: Report
    ) -> None:
        """Download one output; if that fails, once more from a new URL."""

        def report_bytes(done: int, total: int | None) -> None:
            progress(Progress(Stage.DOWNLOADING, project.id, None, str(path), done, total))

        async def save(url: str) -> None:
            async with self._transport.transfer():
                with atomic_write(path) as file:
                    await self._transport.download(url, file, report_bytes)

        try:
            return await save(project.downloads[index].url)
        except TransferFailed as error:
            failure = error
        sleep, polling = self._transport.sleep, self._polling
        again = await wait_until_final(lambda: self.get(id=project.id), sleep, project.id, polling)
        fresh = again.downloads
        if index >= len(fresh):
            raise failure
        return await save(fresh[index].url)


class AsyncAiImageUpscalerClient:
    """`/v1/ai-image-upscaler`."""

    def __init__(
        self,
        transport: Transport,
        files: AsyncFilesClient,
        image_projects: AsyncImageProjectsClient,
        polling: Polling,
    ) -> None:
        self._transport = transport
        self._files = files
        self._image_projects = image_projects
        self._polling = polling

    async def create(
        self,
        *,
        assets: Assets,
        scale_factor: float,
        style: Style | None = None,
        name: str | None = None,
        request_options: RequestOptions | None = None,
    ) -> models.CreatedProject:
        """Create, and pay for, an upscale: one attempt on a connection of its own.

        Args:
            assets: `{"image_file_path": …}`: what `upload_file` returned.
            scale_factor: 2 or 4.
            style: `mode` or `enhancement`, and `prompt`; sent as given.
            name: the project's name; make it unique to find the project by it.
            request_options: options of this call.

        Raises:
            ValueError: an argument is wrong; nothing was sent.
            CreateOutcomeUnknown: a project may exist and be charged; never repeat the call blindly.
                If the call is cancelled or interrupted, that exception has this as a note.
            MagicHourError: of a class in `NOT_CHARGED`: certainly nothing was created.
        """
        call = calls.create_upscale(assets, scale_factor, style, name)
        options = usable_options(request_options)
        try:
            return await self._transport.send(call, options)
        except Exception as error:  # anything but a refusal may have been charged
            failure = call.failure(error)
        except BaseException as error:
            error.add_note(str(call.failure(error)))
            raise
        raise failure

    async def generate(  # noqa: PLR0913 # the vendor's signature, and progress
        self,
        *,
        assets: LocalAssets,
        scale_factor: float,
        style: Style | None = None,
        name: str | None = None,
        wait_for_completion: bool = True,
        download_outputs: bool = True,
        download_directory: str | os.PathLike[str] | None = None,
        request_options: RequestOptions | None = None,
        progress: Report = report_nothing,
    ) -> models.ProjectResult:
        """Upload a local image, create the upscale, wait for it and download the result.

        Arguments and errors are those of `upload_file` (with `assets["image_file_path"]`), `create`
        and `check_result`. `request_options` are for the create. An error after the create has a
        note with the project's id.
        """
        # Errors must be raised before anything is sent.
        require_assets(assets)
        require_parameters(scale_factor, style, name)
        usable_options(request_options)
        poll_interval(self._polling)
        if download_directory is not None:
            Path(download_directory).mkdir(parents=True, exist_ok=True)
        uploaded = await self._files.upload_file(assets["image_file_path"], progress=progress)
        created = await self.create(
            assets={"image_file_path": uploaded},
            scale_factor=scale_factor,
            style=style,
            name=name,
            request_options=request_options,
        )
        try:
            progress(Progress(Stage.CREATED, created.id))
            return await self._image_projects.check_result(
                created.id,
                wait_for_completion,
                download_outputs,
                download_directory,
                progress=progress,
            )
        except BaseException as error:
            error.add_note(
                f"Project {created.id} exists and is paid for: "
                f"collect it with image_projects.check_result(id={created.id!r}, …)."
            )
            raise


async def download(transport: Transport, url: str, file: BinaryIO) -> int:
    """See `Client.download`."""
    async with transport.transfer():
        return await transport.download(url, file)


@contextmanager
def _from_start(file: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the file at its start, and its size in bytes; a caller's file keeps its position."""
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as opened, _from_start(opened) as readable:
            yield readable
        return
    if isinstance(file, io.TextIOBase):
        raise ValueError('the image file is open in text mode; open it with mode "rb"')
    position = file.tell()
    if (size := file.seek(0, os.SEEK_END)) == 0:
        raise ValueError("the image file is empty; there is nothing to upload")
    file.seek(0)
    try:
        yield file, size
    finally:
        file.seek(position)


def _image_extension(name: object, extension: str | None) -> str:
    """Return the given extension or that of the file's name, lower case, without the dot."""
    found = extension or (Path(name).suffix if isinstance(name, str | os.PathLike) else "")
    found = found.lower().removeprefix(".")
    if found not in TYPE_BY_EXTENSION:
        raise ValueError(
            f"the image's extension is {found!r}; the API accepts {', '.join(TYPE_BY_EXTENSION)}"
        )
    return found


def _result(project: models.Project, paths: Sequence[str] | None = None) -> models.ProjectResult:
    downloaded_paths = None if paths is None else [*paths]
    return models.ProjectResult.model_validate(
        {**dict(project), "downloaded_paths": downloaded_paths}
    )
