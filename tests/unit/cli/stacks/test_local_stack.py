"""Why a local stack does not start."""

from pathlib import Path

import pytest

from dropscale_cli.errors import StartFailed
from dropscale_cli.stacks.local_stack import MagicHour, local_cloud

API = MagicHour("http://127.0.0.1:1", "secret")


@pytest.mark.parametrize(
    ("magic_hour", "log", "complaint"),
    [
        (MagicHour("ftp://nowhere", "secret"), None, "ApiBaseUrl"),
        (API, Path("/nowhere/log"), "/nowhere/log"),
    ],
)
def test_a_stack_that_cannot_start_is_no_crash(
    magic_hour: MagicHour, log: Path | None, complaint: str
) -> None:
    with pytest.raises(StartFailed, match=complaint), local_cloud(magic_hour, {}, log=log):
        pass


def test_an_error_in_use_is_not_an_error_of_the_start() -> None:
    with pytest.raises(OSError, match="mine"), local_cloud(API, {}, log=None):
        raise OSError("mine")


def test_the_key_is_in_no_message() -> None:
    assert "secret" not in repr(API)
