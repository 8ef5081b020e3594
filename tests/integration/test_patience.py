"""A run on a vendor whose answers are inconclusive, and the command that resumes it."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.follow.places import OutputFolder
from dropscale_cli.follow.run import RunOptions
from dropscale_cli.follow.run import run as run_command
from dropscale_cli.stacks import local_stack
from dropscale_cli.stacks.local_stack import ChosenApi, MagicHour, embedded_parameters
from dropscale_cli.terminal import Terminal
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine, parse_fault_plan
from dropscale_embedded.workers.processes import StartWorker
from tests.fakes import png

PAUSED = b"rules: [{call: project, fault: {kind: altered, fields: {status: paused}}}]"


@dataclass(frozen=True)
class OpenApi:
    """A `ChosenApi` that is open already, and stays so between runs."""

    server: EmbeddedApi
    is_charged: ClassVar[bool] = False
    name: ClassVar[str] = "the embedded API, engine stub"

    def account(self, price: int, scale_factors: frozenset[int]) -> None:
        return None

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        yield MagicHour(self.server.base_url, self.server.token), embedded_parameters()


def test_a_run_out_of_patience_names_the_command_that_collects_what_is_paid(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    one_fork_server: Callable[[], StartWorker],
) -> None:
    monkeypatch.setattr(local_stack, "fork_server", lambda _: nullcontext(one_fork_server()))
    photos, out = tmp_path / "my photos", tmp_path / "out"
    photos.mkdir()
    (photos / "cat.png").write_bytes(png())
    plan = parse_fault_plan(PAUSED, "test")
    with EmbeddedApi(engine=StubEngine(0), faults=plan) as server:
        api: ChosenApi = OpenApi(server)

        def run(patience: float) -> tuple[int, dict[str, object], str]:
            options = RunOptions(path=photos, out=out, is_agreed=True, as_json=True)
            place = OutputFolder(StateFolder(out), {}, chosen=api, patience=patience)
            code = run_command(options, place)
            printed = capsys.readouterr()
            told: dict[str, object] = json.loads(printed.out)
            return code, told, printed.err

        code, told, shown = run(patience=1)
        server.faults.use(parse_fault_plan(b"{}", "test"))
        again, collected, _ = run(patience=600)

    assert (code, told["as_asked"]) == (1, False)
    assert shlex.split(str(told["resume"])) == [
        "dropscale", "run", str(photos), "--out", str(out)
    ]  # fmt: skip
    assert "cat.png: submitted: The status of project embedded" in shown
    assert "'paused'" in shown
    assert "cat.png: submitted, no longer waited for: " in shown
    assert (again, collected["as_asked"], collected["resume"]) == (0, True, None)
    assert (out / "cat.png@2x.png").is_file()
    assert len(server.book.entries(EntryKind.CREATE)) == 1
