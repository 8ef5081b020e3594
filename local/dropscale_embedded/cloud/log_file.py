"""Where an embedded cloud and its functions write their log."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

_LOGGERS = ("dropscale_embedded.cloud", "moto", "werkzeug")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def opened_log(log: TextIO | Path | None) -> Iterator[TextIO]:
    """Yield the file that ``log`` names, and send the cloud's own log records there only.

    Args:
        log: An open file (with a file number, for the workers), a path to append to (a new file
            is for its owner alone), or None for no log.
    """
    path = Path(os.devnull) if log is None else log
    with _appended_to(path) if isinstance(path, Path) else nullcontext(path) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter(_FORMAT))
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        before = [(logger.handlers[:], logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.handlers[:], logger.propagate = [handler], False
        try:
            yield file
        finally:
            for logger, (handlers, propagate) in zip(loggers, before, strict=True):
                logger.handlers[:], logger.propagate = handlers, propagate


def _appended_to(path: Path) -> TextIO:
    def owned(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, "a", encoding="utf-8", opener=owned)
