import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from dropscale_embedded.cloud import EmbeddedCloud

T = TypeVar("T")
Eventually = Callable[..., T]

STACK = Path(__file__).parent / "stack"


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], T]], T]:
    """Ask again until the answer is truthy, and return it; fail at the deadline."""

    def eventually(ask: Callable[[], T], seconds: float = 240.0) -> T:
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > deadline:
                pytest.fail(f"not so within {seconds} s: {ask}")
            time.sleep(0.05)
        return answer

    return eventually


@pytest.fixture(scope="module")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "cloud.log"


@pytest.fixture(scope="module")
def cloud(log_path: Path) -> Iterator[EmbeddedCloud]:
    with EmbeddedCloud(
        template=STACK / "template.yaml",
        secrets={"Secret": "hush"},
        log=log_path,
        stop_grace_seconds=0,
    ) as running:
        yield running
