"""The source of an image to upscale: an upload, or a URL on this machine."""

import ipaddress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from dropscale_embedded.api.picture import ImageFault
from dropscale_embedded.api.storage import UPLOADS, Storage

MAX_IMAGE_BYTES = 256 * 1024 * 1024
"""More than 4096 x 4096 pixels of 16-bit RGBA, uncompressed."""

_FETCH_TIMEOUT_SECONDS = 30.0


def read_image(image_path: str, storage: Storage) -> bytes:
    """Return the bytes that `assets.image_file_path` names.

    Raises:
        ImageFault: there is no image, or it is not on this machine: the embedded API fetches
            nothing from outside.
    """
    if image_path.startswith(UPLOADS):
        return storage.file(image_path).read_bytes()
    url = urlsplit(image_path)
    if not is_loopback(url.hostname or ""):
        raise ImageFault(
            "invalid_file_format",
            "The embedded API fetches nothing from outside this machine. Download the image and "
            "use the file instead, or use the real API.",
        )
    try:
        return _fetch(url)
    except (OSError, HTTPException, ValueError) as error:
        raise ImageFault(
            "invalid_file_format", f"The image URL could not be read: {type(error).__name__}"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fetch(url: SplitResult) -> bytes:
    # http.client, because it ignores redirects and proxies: both may lead outside.
    connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = connect(url.hostname or "", url.port, timeout=_FETCH_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{url.path}?{url.query}" if url.query else url.path)
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise ImageFault(
                    "invalid_file_format", f"The image URL answers {answer.status}, not 200"
                )
            data = answer.read(MAX_IMAGE_BYTES + 1)
    finally:
        connection.close()
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageFault("file_too_large", f"The image has more than {MAX_IMAGE_BYTES} bytes")
    return data
