"""Checks `assets.image_file_path`: an image beside the spec, or one stored elsewhere.

Source of the forms: https://docs.magichour.ai/api-reference/files/generate-asset-upload-urls.
"""

import re
from ipaddress import ip_address
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qs, urlsplit

from dropscale import upscaler

_ASSETS = "api-assets/"
_LIBRARY_HOST = "magichour.ai"
_LIBRARY_PATH = "/my-library"
_PRIVATE_SUFFIXES = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home.arpa")
_LONGEST_HOST = 253
_HOST_NAME = re.compile(r"(\w([\w-]{0,61}\w)?\.)+\w[\w-]*\w")
_EXTENSIONS = ", ".join(upscaler.TYPE_BY_EXTENSION)


class WrongPath(Exception):
    """The vendor would not accept a path, or must not get it.

    Attributes:
        message: what is wrong with it.
        hint: what is allowed.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def is_remote(image_path: str) -> bool:
    """Whether a path names an image stored elsewhere, validly or not."""
    return "://" in image_path or image_path.startswith(_ASSETS)


def remote_identity(image_path: str) -> str:
    """Return what identifies the image: the path without its signature.

    A library URL keeps the image id in its query.

    Raises:
        WrongPath: the path is not valid.
    """
    if image_path.startswith(_ASSETS):
        _require_extension(image_path)
        if {"", ".", ".."} & set(image_path.split("/")):
            what = "an api-assets path cannot have empty, '.' or '..' parts"
            raise WrongPath(what, "write it as the vendor gave it")
        return image_path
    if any(map(str.isspace, image_path)):
        raise WrongPath("a URL cannot have spaces", "write %20 for a space")
    try:
        url = urlsplit(image_path)
        _ = url.port
    except ValueError:
        raise WrongPath("this is not a URL", "allowed is https://host/path") from None
    _require_public(url)
    if url.hostname == _LIBRARY_HOST and url.path.rstrip("/") == _LIBRARY_PATH:
        ids = parse_qs(url.query).get("imageId", [])
        if len(ids) != 1:
            raise WrongPath(
                "a library URL names one image",
                f"allowed is https://{_LIBRARY_HOST}{_LIBRARY_PATH}?imageId=<id>",
            )
        return f"https://{_LIBRARY_HOST}{_LIBRARY_PATH}?imageId={ids[0]}"
    _require_extension(url.path)
    return url._replace(query="", fragment="").geturl()


def _require_public(url: SplitResult) -> None:
    """Refuse a URL that may lead into a private network, or has a password."""
    host = (url.hostname or "").rstrip(".")
    if url.scheme != "https":
        raise WrongPath(f"the URL begins with {url.scheme}://", "allowed is https://")
    if url.username is not None or url.password is not None:
        raise WrongPath("the URL has a user name or password", "give a signed URL instead")
    if _is_address(host):
        raise WrongPath("the URL's host is an IP address", "allowed is a public host's name")
    is_name = len(host) <= _LONGEST_HOST and _HOST_NAME.fullmatch(host)
    if not is_name or host.endswith(_PRIVATE_SUFFIXES):
        raise WrongPath("the URL's host is not public", "allowed is a public host's name")


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        # Browsers and C libraries also read 127.1, 0x7f.1 and 2130706433 as addresses.
        last = host.rpartition(".")[2]
        return last.isdigit() or last.lower().startswith("0x")
    return True


def _require_extension(path: str) -> None:
    extension = PurePosixPath(path).suffix.lower().removeprefix(".")
    if extension not in upscaler.TYPE_BY_EXTENSION:
        raise WrongPath(
            "the path does not end in an image's extension", f"allowed are {_EXTENSIONS}"
        )
