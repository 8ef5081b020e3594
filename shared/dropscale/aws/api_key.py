"""The vendor's API key, kept in Secrets Manager."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dropscale.magichour.errors import Unauthorized

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

_SECONDS_KEPT = 60.0
_QUOTES = ("'", '"')
_FIELDS = ("key", "api_key", "MAGIC_HOUR_API_KEY")
"""The accepted names of the key's field; a field of another name must be the object's only one."""


class SecretApiKey:
    """Returns the API key; a new one is used within a minute.

    Calling it raises `Unauthorized` while the secret has no value, as if the vendor had refused the
    key: jobs wait in the same way.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_arn: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._arn = secret_arn
        self._monotonic = monotonic
        self._key = ""
        self._read_at: float | None = None

    def __call__(self) -> str:
        """Return the key."""
        now = self._monotonic()
        if self._read_at is None or now - self._read_at > _SECONDS_KEPT:
            self._key = self._read()
            self._read_at = now
        return self._key

    def _read(self) -> str:
        try:
            found = self._client.get_secret_value(SecretId=self._arn)
        except self._client.exceptions.ResourceNotFoundException:
            raise Unauthorized("the API key", message="the secret has no value yet") from None
        return key_in(found.get("SecretString") or found.get("SecretBinary") or "")


def key_in(secret: str | bytes) -> str:
    """Return the API key in a secret: alone, in quotes, or in a JSON object of one field.

    The console of Secrets Manager stores such an object for a key and a value.

    Raises:
        Unauthorized: the secret has no key, or it is not clear which field is the key.
    """
    try:
        text = secret.decode() if isinstance(secret, bytes) else secret
    except UnicodeDecodeError:
        raise _no_key("the secret is binary, not text") from None
    text = text.removeprefix("\ufeff").strip()
    if text.startswith("{"):
        text = _in_object(text)
    if text[:1] in _QUOTES and text[-1:] == text[:1]:
        text = text[1:-1].strip()
    if not text:
        raise _no_key("the secret is empty")
    return text


def _in_object(text: str) -> str:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_key("the secret looks like JSON but is not valid JSON") from None
    names = [name for name in _FIELDS if name in fields] or list(fields)
    value = fields[names[0]] if len(names) == 1 else None
    if not isinstance(value, str):
        raise _no_key(f"the secret is a JSON object without a field {_FIELDS[0]!r} of text")
    return value.strip()


def _no_key(message: str) -> Unauthorized:
    return Unauthorized("the API key", message=f"{message}; store only the key in it")
