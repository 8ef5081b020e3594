"""Writes the documents that come from the code; with --check, says which are not current."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dropscale.ledger.states import (
    JOB_TRANSITIONS,
    OPEN_STATES,
    RENDITION_TRANSITIONS,
    SLOT_STATES,
    DropState,
    JobState,
)
from dropscale.results import announcement, manifest

_State = TypeVar("_State", bound=StrEnum)

DOCS = Path(__file__).parent


def ledger_page() -> str:
    """Return docs/ledger.md: the states of jobs and drops, and what may follow what."""
    slots = ", ".join(f"`{state}`" for state in JobState if state in SLOT_STATES)
    open_states = ", ".join(f"`{state}`" for state in DropState if state in OPEN_STATES)
    return "\n".join(
        [
            "# The ledger",
            "",
            "<!-- Made by `make generate` from shared/dropscale/ledger/states.py. -->",
            "",
            "The ledger is one DynamoDB table. Every write is a transaction whose conditions name",
            "the record's step before (`seq`), so of two who saw the same state only one goes on.",
            "",
            "## A job: one paid upscale",
            "",
            *_diagram(JobState, JOB_TRANSITIONS),
            "",
            f"A job holds a slot in {slots}, until its deadline has passed. Its credits are taken",
            "from the day and the month of the claim, and given back there. Both move in the same",
            "transaction as the state.",
            "",
            "| from | to | when |",
            "|---|---|---|",
            *(
                f"| `{before}` | `{after}` | {when} |"
                for before, steps in JOB_TRANSITIONS.items()
                for after, when in steps.items()
            ),
            "",
            "## A rendition: what a drop gets of a job",
            "",
            *_diagram(DropState, RENDITION_TRANSITIONS),
            "",
            f"The pipeline itself moves on from {open_states}. A drop's own state is that of the",
            "rendition that needs most attention.",
            "",
        ]
    )


def _diagram(
    states: type[_State], transitions: Mapping[_State, Collection[_State]]
) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for before in states:
        for after in states:
            if after in transitions[before] and after is not before:
                yield f"    {before} --> {after}"
    yield "```"


PAGES: Mapping[str, Callable[[], str]] = {
    "ledger.md": ledger_page,
    "events.schema.json": lambda: announcement.json_schema() + "\n",
    "manifest.schema.json": lambda: manifest.json_schema() + "\n",
}


def main() -> int:
    """Write every page, or with --check compare it; return the exit code."""
    stale = []
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"not current: {', '.join(stale)}; run: make generate")  # noqa: T201 - a command
    return len(stale)


if __name__ == "__main__":
    sys.exit(main())
