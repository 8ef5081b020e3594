"""Nobody finds the API key: not in what a run writes or prints, nor by looking at its processes."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import StartScript
from tests.fakes import png
from tests.unit.magichour.scripted_server import Reply, ScriptedServer, json_reply

KEY = "canary-5d1f0c8e7a3b4962"
QUOTED = f"no such key: Bearer {KEY}"
PROC = Path("/proc")
WORKER = b"lambda_runtime.py"


def page(status: int) -> Reply:
    return Reply(status, f"<html>{QUOTED}</html>".encode(), {"Content-Type": "text/html"})


FAILURES = [json_reply({"message": QUOTED}, 400), page(500)]
ACCOUNT = {"credits": 1000, "tier": "business", "id": "a", "email": "a@example.com"}


@pytest.fixture
def vendor() -> Iterator[ScriptedServer]:
    """Takes uploads, and quotes the key in its answer to every create."""
    with ScriptedServer() as server:
        upload = {"upload_url": f"{server.base_url}/put?sig=1", "file_path": "api-assets/1.png"}
        server.on("GET", "/v1/account", json_reply(ACCOUNT))
        server.on("POST", "/v1/files/upload-urls", json_reply({"items": [upload]}))
        server.on("PUT", "/put", Reply())
        server.on("POST", "/v1/ai-image-upscaler", *FAILURES)
        yield server


def processes_with_the_key(but: int) -> tuple[set[str], set[bytes]]:
    """Where the key shows in /proc; and the command lines that were looked at."""
    found, commands = dict[Path, bytes](), set()
    for process in PROC.glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is another's
        commands.add(command)
        if KEY.encode() in command or (KEY.encode() in environment and int(process.name) != but):
            found[process] = command
    # Between fork and exec, a child of the command is a copy of it, environment included.
    with suppress(OSError):
        copied = (PROC / str(but) / "cmdline").read_bytes()
        found = {
            path: line for path, line in found.items() if line != copied or KEY.encode() in line
        }
    told = {f"{path.name}: {line!r}" for path, line in found.items()}
    return told, commands


def ended(process: "subprocess.Popen[str]") -> bool:
    """Whether it has ended, or does so in a moment."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    return process.poll() is not None


def files_with_the_key(folder: Path) -> set[Path]:
    found = set()
    for file in folder.rglob("*"):
        try:
            if KEY.encode() in file.read_bytes():
                found.add(file)
        except OSError:
            continue  # a folder, or gone
    return found


@pytest.mark.skipif(not PROC.is_dir(), reason="looks at processes by /proc")
def test_the_key_is_nowhere(
    start_script: StartScript, vendor: ScriptedServer, tmp_path: Path
) -> None:
    photos, temporary = tmp_path / "photos", tmp_path / "temporary"
    photos.mkdir()
    temporary.mkdir()
    for number in range(2):
        (photos / f"{number}.png").write_bytes(png(8, 6 + number))
    log = tmp_path / "log"
    command = ["run", photos, "--out", tmp_path / "out", "--log", log, "--yes", "--patience", "1s"]
    variables = {"MAGIC_HOUR_API_KEY": KEY, "MAGIC_HOUR_BASE_URL": vendor.base_url}
    processes: set[str] = set()
    files: set[Path] = set()
    commands: set[bytes] = set()
    with start_script(*command, **variables, TMPDIR=str(temporary)) as process:
        while not ended(process):
            found, seen = processes_with_the_key(but=process.pid)
            processes |= found
            commands |= seen
            files |= files_with_the_key(tmp_path)
        printed = process.communicate()
    assert (processes, files | files_with_the_key(tmp_path)) == (set(), set())
    assert KEY not in "".join(printed)
    assert process.returncode == 1, printed
    assert any(WORKER in command for command in commands), "a worker was looked at"
    creates = vendor.sent_to("POST", "/v1/ai-image-upscaler")
    assert {sent.headers["Authorization"] for sent in creates} == {f"Bearer {KEY}"}
    assert log.stat().st_mode & 0o077 == 0
    assert (tmp_path / "out/.dropscale").stat().st_mode & 0o077 == 0
