"""What every row of the ledger has: a step that is counted, and the schema it was written in.

Rows are immutable. Each method that returns a changed copy is one allowed step; it counts `seq` up
by one, and the ledger takes it only if nobody else has taken that step before.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer

Instant = Annotated[
    datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds"), return_type=str)
]
"""An aware UTC time; its text has a fixed width, so that it sorts as it reads."""

SCHEMA = 2
"""Of the rows that this version writes. 1: before attempts and projects had rows of their own."""


def cut(text: str, longest: int) -> str:
    """Return a text of at most `longest` bytes in UTF-8, so that a row stays below 400 KB."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= longest:
        return text
    return encoded[: longest - 3].decode(errors="ignore") + "…"


class IllegalTransition(Exception):
    """A job or a rendition was asked to take a step that its state does not allow."""


class Record(BaseModel):
    """An immutable part of the ledger."""

    # What a newer version keeps in a row is handed on, so that a rollback loses none of it.
    model_config = ConfigDict(frozen=True, extra="allow")


class NewerSchema(Exception):
    """A row was written by a newer version, which keeps in it what this one does not know."""


class Row(Record):
    """What is stored under a key of its own and changes step by step."""

    seq: int = 1
    schema_number: int = SCHEMA

    def _take_step(self, update: Mapping[str, Any]) -> Self:
        """Return the next state of the row; every step of every row goes through here."""
        if self.schema_number > SCHEMA:
            raise NewerSchema(
                f"a row of schema {self.schema_number} is not changed by this version of "
                f"dropscale, which knows {SCHEMA}: deploy the version that wrote it, or a newer one"
            )
        return self.model_copy(update={**update, "seq": self.seq + 1, "schema_number": SCHEMA})
