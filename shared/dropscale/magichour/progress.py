"""Reports the progress of a call to its caller."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dropscale.upscaler import ProjectStatus


class Stage(StrEnum):
    """The stages of a call."""

    UPLOADING = "uploading"
    CREATED = "created"
    WAITING = "waiting"
    DOWNLOADING = "downloading"


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress report.

    Attributes:
        project_id: the project, from `created` on.
        status: the last status, while `waiting`.
        path: the output's file, while `downloading`.
        bytes_done: the bytes of the file that were uploaded or downloaded so far.
        bytes_total: its size; None: not known.
    """

    stage: Stage
    project_id: str | None = None
    status: ProjectStatus | None = None
    path: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


Report = Callable[[Progress], object]
"""Called with each report, between two steps, so it must be quick; if it raises, the call ends."""


def report_nothing(_news: Progress) -> None:
    """Report nothing."""
