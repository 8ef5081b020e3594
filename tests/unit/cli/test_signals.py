"""A signal ends a command, wherever it arrives."""

import signal
from select import select

import pytest

from dropscale_cli.options import ended_by_signals

DEADLINE_SECONDS = 60


class Finalised:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_within_a_finaliser_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with ended_by_signals("Jobs continue."):
            Finalised()
            select([], [], [], DEADLINE_SECONDS)
            pytest.fail("the interrupt was lost")

    with pytest.raises(SystemExit) as ended:
        work()

    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("Interrupted. Jobs continue.\nTo resume: ")
