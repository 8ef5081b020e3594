"""What the vendor's signed webhooks say about a project."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """The events of a webhook; there is none for a project that was canceled."""

    STARTED = "image.started"
    COMPLETED = "image.completed"
    ERRORED = "image.errored"


@dataclass(frozen=True)
class ProjectEvent:
    """One event, its signature verified. It is a hint: only a look at the project decides.

    `name` is the project's name, which has the attempt's token in it; None: it has none.
    """

    kind: EventKind
    project_id: str
    name: str | None = None
