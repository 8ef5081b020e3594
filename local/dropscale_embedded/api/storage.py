"""The bytes of uploads and outputs, and the signed URLs to transfer them."""

import hashlib
import hmac
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import IO

from dropscale_embedded.api.projects import Clock

UPLOADS = "api-assets/"
"""The prefix of every upload's path, as at the vendor."""


class SignatureRefused(Exception):
    """A storage URL was not made here, was altered, or has expired."""


class Storage:
    """Objects by path, as files of one folder.

    A path may be any string: files are named by its hash, so none can be outside the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, path: str) -> Path:
        """Return the path of the object's file, whether or not it exists."""
        return self._folder / hashlib.sha256(path.encode()).hexdigest()

    def write(self, path: str, content: IO[bytes]) -> None:
        """Store an object, whole or not at all."""
        part = self._folder / token_hex(16)
        try:
            with part.open("wb") as file:
                shutil.copyfileobj(content, file)
            part.replace(self.file(path))
        finally:
            part.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        """Remove an object, if it exists."""
        self.file(path).unlink(missing_ok=True)

    def delete_older(self, than: datetime) -> None:
        """Remove objects stored before a time, and partial files."""
        for file in self._folder.iterdir():
            if file.stat().st_mtime < than.timestamp():
                file.unlink()


class UrlSigner:
    """Signs the method and path of a URL until a time, as S3's presigned URLs do."""

    def __init__(self, *, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def sign(self, method: str, path: str, lifetime: timedelta) -> tuple[dict[str, str], datetime]:
        """Return the query that permits this method on the path, and its expiry time."""
        expires_at = self._clock() + lifetime
        expires = f"{expires_at.timestamp():.6f}"
        query = {"expires": expires, "signature": self._signature(method, path, expires)}
        return query, expires_at

    def check(self, method: str, path: str, query: Mapping[str, str]) -> None:
        """Accept a query made by `sign` for the same method and path that has not expired.

        Raises:
            SignatureRefused: it is for another URL, or has expired.
        """
        expires = query.get("expires", "")
        signature = self._signature(method, path, expires)
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()):
            raise SignatureRefused("The signature does not match the URL; ask for a new one")
        if self._clock().timestamp() >= float(expires):
            raise SignatureRefused("The URL has expired; ask for a new one")

    def _signature(self, method: str, path: str, expires: str) -> str:
        message = "\n".join((method, path, expires)).encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
