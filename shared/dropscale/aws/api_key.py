"""The vendor's API key, kept in Secrets Manager."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dropscale.magichour.errors import Unauthorized

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

_SECONDS_KEPT = 60.0


class SecretApiKey:
    """Gives the API key; a new one counts within a minute.

    Calling it raises `Unauthorized` while the secret has no value: to those who wait for a valid
    key it makes no difference who says that there is none.
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
        return found["SecretString"].strip()
