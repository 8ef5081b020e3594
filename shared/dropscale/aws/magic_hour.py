"""The vendor, for the use cases, by means of the client library."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from dropscale import magichour
from dropscale.magichour.base_transport import TRANSFER_SECONDS
from dropscale.magichour.errors import MagicHourError, Misconfigured, Unauthorized

if TYPE_CHECKING:
    from dropscale.magichour import Account, Client, CreatedProject, Project, Style


class MagicHourUpscaler:
    """A `dropscale.pipeline.parts.ports.Upscaler`.

    Args:
        token: returns the API key; called for every request, so that a new key counts at once.
        base_url: the API's address.
        timeout: seconds that one call may take.
        transfer_timeout: seconds that one transfer may take.
    """

    def __init__(
        self,
        token: Callable[[], str],
        base_url: str,
        timeout: float,
        transfer_timeout: float = TRANSFER_SECONDS,
    ) -> None:
        self._token = token
        self._base_url = base_url
        self._timeout = timeout
        self._transfer_timeout = transfer_timeout

    def within(self, timeout: float) -> MagicHourUpscaler:
        """Return it with another limit of a call, in seconds."""
        return MagicHourUpscaler(self._token, self._base_url, timeout, self._transfer_timeout)

    def upload(self, file: BinaryIO, extension: str) -> str:
        """See `Upscaler.upload`."""
        return self._client().v1.files.upload_file(file, extension)

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        """See `Upscaler.create`."""
        style: Style = {"mode": parameters["mode"]}
        if parameters.get("prompt") is not None:
            style["prompt"] = parameters["prompt"]
        return self._client().v1.ai_image_upscaler.create(
            assets={"image_file_path": image_path},
            scale_factor=parameters["scale_factor"],
            style=style,
            name=name,
        )

    def project(self, project_id: str) -> Project:
        """See `Upscaler.project`."""
        return self._client().v1.image_projects.get(id=project_id)

    def delete(self, project_id: str) -> None:
        """See `Upscaler.delete`."""
        self._client().v1.image_projects.delete(id=project_id)

    def account(self) -> Account:
        """See `Upscaler.account`."""
        return self._client().v1.account.list()

    def download(self, url: str, file: BinaryIO) -> int:
        """See `Upscaler.download`."""
        return self._client().download(url, file)

    def _client(self) -> Client:
        token = self._read_token()
        try:
            return magichour.Client(
                token=token,
                base_url=self._base_url,
                timeout=self._timeout,
                transfer_timeout=self._transfer_timeout,
            )
        except ValueError as error:  # only about the key; settings raise Misconfigured
            raise Unauthorized("the API key", message=str(error)) from None

    def _read_token(self) -> str:
        try:
            return self._token()
        except MagicHourError:
            raise
        except Exception as error:  # whatever it is, nothing was sent
            message = f"it cannot be read: {type(error).__name__}"
            raise Misconfigured("the API key", message=message) from error
