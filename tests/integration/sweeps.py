"""Sweeps that come sooner than the template's minutes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from dropscale_embedded.cloud import cloud
from dropscale_embedded.cloud.schedule import function_schedules


@contextmanager
def sweeps_every(seconds: float) -> Iterator[None]:
    """Let the embedded clouds that start now run what is on a schedule so often."""
    often = timedelta(seconds=seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cloud,
            "function_schedules",
            lambda function: [replace(s, interval=often) for s in function_schedules(function)],
        )
        yield
