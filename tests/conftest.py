import gc
import signal
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import (  # it registers what it can only find before it is frozen below
    HealthCheck,
    settings,
)
from xdist.scheduler import LoadFileScheduling

# A shell that runs the tests in the background ignores Ctrl-C for them, and so for the processes
# whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing is garbage while tests are collected, and little before many of them have run.
gc.disable()

# However slow a machine is, no example fails for it. `make chaos` tries more of them.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("tests", patient, max_examples=40)
settings.register_profile("chaos", patient, max_examples=400)
settings.load_profile("tests")


class _FilesTogether(LoadFileScheduling):  # type: ignore[misc] # xdist ships no types
    """Gives whole files to a process, as their fixtures are.

    The steps of `make check` are tested one by one, each long and by itself.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/gate/") else nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Keep the cores busy: of four processes, about two wait for what others do.

    Among units alone, which wait for nobody, none does: they run on `logical` cores.
    """
    cores = yield
    return cores if config.option.numprocesses == "logical" else 2 * cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that wait for other processes among those that only compute.

    So a core has always something to do. Files that wait take longer: the last one comes sooner.
    """
    files = list(dict.fromkeys(map(_file, items)))
    waiting = [file for file in files if file.startswith(("tests/e2e/", "tests/integration/"))]
    computing = [file for file in files if file not in waiting]
    place = {file: 0.8 * index / len(waiting) for index, file in enumerate(waiting)}
    place |= {file: index / len(computing) for index, file in enumerate(computing)}
    items.sort(key=lambda item: place[_file(item)])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """Exempt imported objects from garbage collection, which took a fifth of the time."""
    gc.freeze()
    # None goes through all objects: it would take a third of a second of a test that is timed.
    gc.set_threshold(50_000, 10, 1_000)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Look for what was left behind once: pytest does so five times, through all objects."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _FilesTogether:
    return _FilesTogether(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name no bytes: they may hold the time, and all processes must find the same tests."""
    return argname if isinstance(val, bytes) else None
