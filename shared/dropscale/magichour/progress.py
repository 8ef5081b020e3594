"""What a caller can be told while a call goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dropscale.upscaler import ProjectStatus


class Stage(StrEnum):
    """What is being done."""

    UPLOADING = "uploading"
    CREATED = "created"
    WAITING = "waiting"
    DOWNLOADING = "downloading"


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news.

    Attributes:
        project_id: from `created` on.
        status: as last seen, while `waiting`.
        path: the output's file, while `downloading`.
        bytes_done: of the file that is uploaded or downloaded.
        bytes_total: its size, None if the storage does not say.
    """

    stage: Stage
    project_id: str | None = None
    status: ProjectStatus | None = None
    path: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


Report = Callable[[Progress], object]
"""Takes the news. Called between two steps, so it must be quick; what it raises ends the call."""


def report_nothing(_news: Progress) -> None:
    """Report nothing."""
