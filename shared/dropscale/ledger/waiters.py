"""Waiters: the executions that an event of their project wakes."""

from dropscale.ledger.rows import SCHEMA, Instant, Record


class Waiter(Record):
    """An execution that waits for its project, and the task token that ends the wait.

    A rendition has one waiter for each of its jobs; its latest entry into a wait counts.
    """

    fingerprint: str
    drop_id: str
    rendition_id: str
    generation: int
    """That of the execution, which is the rendition's."""
    entered: Instant
    project_id: str
    token: str
    schema_number: int = SCHEMA
