"""Faults of specs: where, what is wrong, and what is allowed instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from dropscale.errors import DropscaleError

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Place:
    """A place in a file. Lines and columns count from 1."""

    line: int = 1
    column: int = 1


class Severity(StrEnum):
    """Whether a fault makes its file unusable."""

    ERROR = "error"
    WARNING = "warning"


class Fault(BaseModel):
    """One fault of a spec file. Lines and columns count from 1."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int = 1
    column: int = 1
    field: str | None = None
    message: str
    hint: str
    severity: Severity = Severity.ERROR

    @classmethod
    def at(
        cls,
        path: str,
        place: Place,
        message: str,
        hint: str,
        field: str | None = None,
        severity: Severity = Severity.ERROR,
    ) -> Self:
        """Return the fault at a place of the file `path`."""
        return cls(
            path=path,
            line=place.line,
            column=place.column,
            field=field,
            message=message,
            hint=hint,
            severity=severity,
        )

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.path}:{self.line}:{self.column}: {field}{self.message}; {self.hint}"


class SpecInvalid(DropscaleError):
    """Specs cannot be used; the message has file, place and field, and what is allowed.

    Attributes:
        faults: every fault of the files, at least one.
    """

    fix = "Correct what is named and drop it again."

    def __init__(self, faults: Sequence[Fault]) -> None:
        lines = [str(fault) for fault in faults[:_MOST_SHOWN]]
        if len(faults) > _MOST_SHOWN:
            lines.append(f"and {len(faults) - _MOST_SHOWN} more")
        super().__init__("\n".join(lines), fix=self.fix)
        self.faults = tuple(faults)
