"""AWS by moto in this process, at the cost that it has in the embedded cloud."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto import mock_aws

from dropscale_embedded.cloud.moto_economies import economies, hooked


@contextmanager
def mocked_aws(**services: Any) -> Iterator[None]:
    """Answer boto3's clients; `services` is what moto is to do for a service, by its name."""
    with mock_aws(config=services or None), hooked(economies()):  # type: ignore[arg-type]
        yield
