"""Secrets that the vendor gives, kept in Secrets Manager: the API key, a webhook's secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dropscale.magichour.errors import Unauthorized

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

_API_KEY = "the API key"
_SECONDS_KEPT = 60.0
_QUOTES = ("'", '"')
_FIELDS = ("key", "api_key", "MAGIC_HOUR_API_KEY")
"""The accepted names of the key's field; a field of another name must be the object's only one."""


class StoredSecret:
    """Returns a secret's value; a new one is used within a minute.

    Calling it raises `Unauthorized` while the secret has no value, as if the vendor had refused the
    key: jobs wait in the same way.
    """

    def __init__(
        self,
        client: SecretsManagerClient,
        secret_arn: str,
        what: str = _API_KEY,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._arn = secret_arn
        self._what = what
        self._monotonic = monotonic
        self._value = ""
        self._read_at: float | None = None

    def __call__(self) -> str:
        """Return the value."""
        now = self._monotonic()
        if self._read_at is None or now - self._read_at > _SECONDS_KEPT:
            self._value = self._read()
            self._read_at = now
        return self._value

    def _read(self) -> str:
        try:
            found = self._client.get_secret_value(SecretId=self._arn)
        except self._client.exceptions.ResourceNotFoundException:
            raise Unauthorized(self._what, message="the secret has no value yet") from None
        return _value_in(found.get("SecretString") or found.get("SecretBinary") or "", self._what)


def _value_in(secret: str | bytes, what: str) -> str:
    """Return the value in a secret: alone, in quotes, or in a JSON object of one field.

    The console of Secrets Manager stores such an object for a key and a value.

    Raises:
        Unauthorized: the secret has no value, or it is not clear which field is the value.
    """
    try:
        text = secret.decode() if isinstance(secret, bytes) else secret
    except UnicodeDecodeError:
        raise _no_value(what, "the secret is binary, not text") from None
    text = text.removeprefix("\ufeff").strip()
    if text.startswith("{"):
        text = _in_object(text, what)
    if text[:1] in _QUOTES and text[-1:] == text[:1]:
        text = text[1:-1].strip()
    if not text:
        raise _no_value(what, "the secret is empty")
    return text


def _in_object(text: str, what: str) -> str:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_value(what, "the secret looks like JSON but is not valid JSON") from None
    names = [name for name in _FIELDS if name in fields] or list(fields)
    value = fields[names[0]] if len(names) == 1 else None
    if not isinstance(value, str):
        message = f"the secret is a JSON object without a field {_FIELDS[0]!r} of text"
        raise _no_value(what, message)
    return value.strip()


def _no_value(what: str, message: str) -> Unauthorized:
    return Unauthorized(what, message=f"{message}; store only the key in it")
