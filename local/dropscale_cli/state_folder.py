"""What a run leaves in its output folder, so that the next one goes on from there."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import UnusablePath

NAME = ".dropscale"


@dataclass(frozen=True)
class StateFolder:
    """The folder `.dropscale` in the output folder `out`."""

    out: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.out / NAME

    @property
    def journal(self) -> Path:
        """The file with the rows of the stack's tables."""
        return self.path / "journal.sqlite"

    @property
    def account(self) -> Path:
        """The folder of the embedded API's account."""
        return self.path / "magic-hour"

    def make(self) -> None:
        """Make it, for nobody else to look into, and the output folder.

        Raises:
            UnusablePath: they cannot be made, or not be written to.
        """
        try:
            # It has copies of images and, in the ledger, what leads to them at the vendor.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnusablePath(f"{self.out}: cannot be made: {error.strerror}") from error
        if self.path.is_symlink():
            raise UnusablePath(f"{self.path}: is a link; choose another folder with --out.")
        for folder in (self.out, self.path):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise UnusablePath(f"{folder}: cannot be written to; choose another with --out.")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other stacks away from it; the system lets go of it when this process ends.

        Raises:
            UnusablePath: another process has it.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise UnusablePath(
                    f"{self.out}: a stack works on this folder (process {lock.read()}). "
                    "Let it end, or choose another folder with --out."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def api_name(self) -> str | None:
        """Return the name of the API whose results these are; None: no run has been here."""
        file = self._api_file
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def require_api(self, api_name: str) -> None:
        """Refuse another API than the folder's: what was paid to one means nothing to another.

        Raises:
            UnusablePath: the folder has results of another API.
        """
        known = self.api_name()
        if known not in {None, api_name}:
            raise UnusablePath(
                f"{self.out}: has the results of {known}, not of {api_name}. "
                "Choose another folder with --out."
            )

    def bind(self, api_name: str) -> None:
        """Remember the API's name."""
        _write(self._api_file, api_name)

    def originals(self) -> list[Path]:
        """Return the folders whose images were dropped, the last one first."""
        file = self._originals_file
        return [Path(name) for name in json.loads(file.read_bytes())] if file.is_file() else []

    def remember_originals(self, folder: Path) -> None:
        """Remember a folder whose images are dropped."""
        others = [known for known in self.originals() if known != folder.absolute()]
        names = [str(path) for path in (folder.absolute(), *others)]
        _write(self._originals_file, json.dumps(names))

    def sidecar_suffixes(self) -> list[str]:
        """Return what the names of sidecars end in, as the last run was told."""
        file = self._suffixes_file
        return json.loads(file.read_bytes()) if file.is_file() else list(SPEC_SUFFIXES)

    def remember_suffixes(self, suffixes: Sequence[str]) -> None:
        """Remember what the names of sidecars end in."""
        _write(self._suffixes_file, json.dumps(list(suffixes)))

    @property
    def _suffixes_file(self) -> Path:
        return self.path / "sidecar-suffixes.json"

    @property
    def _originals_file(self) -> Path:
        return self.path / "originals.json"

    @property
    def _api_file(self) -> Path:
        return self.path / "api.txt"


def _write(file: Path, text: str) -> None:
    fresh = file.with_suffix(".part")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
