"""What every row of the ledger has: a counter of its steps, and the schema it was written in.

Rows are immutable. Each method that returns a changed copy is one allowed step: it adds one to
`seq`, and the ledger writes it only if the stored row still has the `seq` before it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer

Instant = Annotated[
    datetime, PlainSerializer(lambda at: at.isoformat(timespec="milliseconds"), return_type=str)
]
"""A UTC time with its time zone; its text has a fixed width, so that it sorts by time."""

SCHEMA = 2
"""The schema of rows this version writes. 1: before attempts and projects had their own rows."""


def cut(text: str, longest: int) -> str:
    """Return a text of at most `longest` bytes in UTF-8, so that a row stays below 400 KB."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= longest:
        return text
    return encoded[: longest - 3].decode(errors="ignore") + "…"


class IllegalTransition(Exception):
    """A step of a job or a rendition that its state does not allow."""


class Record(BaseModel):
    """An immutable part of the ledger."""

    # Fields of a newer version are kept, so that a rollback loses none of them.
    model_config = ConfigDict(frozen=True, extra="allow")


class NewerSchema(Exception):
    """A row was written by a newer version, with fields that this one does not know."""


class Row(Record):
    """A record with a key of its own that changes step by step."""

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
