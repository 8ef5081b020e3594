"""Writes the documents that come from the code; with --check, says which are not current."""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from dropscale import __version__
from dropscale.ledger.states import (
    JOB_TRANSITIONS,
    OPEN_STATES,
    RENDITION_TRANSITIONS,
    SLOT_STATES,
    DropState,
    JobState,
)
from dropscale.results.announcement import Announcement, BatchAnnouncement
from dropscale.results.batch_report import BatchReport
from dropscale.results.manifest import Manifest, schema_text
from dropscale.specs.effective import EffectiveSpec
from dropscale.specs.merge import stack_defaults
from dropscale.specs.model import json_schema as spec_schema
from dropscale.upscaler import Mode

_State = TypeVar("_State", bound=StrEnum)
Schema = dict[str, Any]

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
            "The ledger is one DynamoDB table. Every write is a transaction conditioned on the",
            "record's previous `seq`, so if two processes saw the same state, only one continues.",
            "",
            "## A job: one paid upscale",
            "",
            *_diagram(JobState, JOB_TRANSITIONS),
            "",
            f"A job holds a slot in {slots}, until its deadline. Its credits are charged",
            "to the day and the month of the claim, and refunded there. Both change in the same",
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
            "## A rendition: a drop's result of a job",
            "",
            *_diagram(DropState, RENDITION_TRANSITIONS),
            "",
            f"The pipeline continues from {open_states} automatically. A drop's own state is that",
            "of the rendition that needs most attention.",
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


_FIELDS_BEGIN = "<!-- fields: made by `make generate` from shared/dropscale/specs/model.py -->\n"
_FIELDS_END = "<!-- end of fields -->\n"
_ALLOWED_BY_TYPE = {
    "string": "text",
    "number": "number above {exclusiveMinimum}",
    "integer": "whole number from {minimum}",
    "boolean": "`true`, `false`",
    "array": "list of at most {maxItems}",
    "object": "mapping",
    "null": "`null`",
}


def spec_page() -> str:
    """Return docs/spec.md, which is written by hand, with the table of fields as it is today."""
    text = (DOCS / "spec.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(_FIELDS_BEGIN)
    _, _, after = rest.partition(_FIELDS_END)
    head = ("| Field | Allowed | Default | Meaning | Example |", "|---|---|---|---|---|")
    rows = "".join(f"{row}\n" for row in (*head, *_field_rows()))
    return before + _FIELDS_BEGIN + rows + _FIELDS_END + after


def _field_rows() -> Iterator[str]:
    schema = spec_schema()
    definitions = schema["$defs"]
    for name, field in schema["properties"].items():
        yield _field_row(name, field, definitions)
        for kind in _kinds(field, definitions):
            for inner, inner_field in kind.get("properties", {}).items():
                yield _field_row(f"{name}.{inner}", inner_field, definitions)


def _field_row(path: str, field: Schema, definitions: Schema) -> str:
    kinds = _kinds(field, definitions)
    allowed = " or ".join(filter(None, map(_allowed, kinds)))
    meaning = " ".join((kinds[0] | field)["description"].split())
    example = f"`{json.dumps(field['examples'][0])}`" if "examples" in field else ""
    return f"| `{path}` | {allowed} | {_default(path)} | {meaning} | {example} |"


def _kinds(field: Schema, definitions: Schema) -> list[Schema]:
    """Return a schema for each type that a field's value may have."""
    if "anyOf" in field:
        return [kind for each in field["anyOf"] for kind in _kinds(each, definitions)]
    if "$ref" in field:
        return [definitions[field["$ref"].rpartition("/")[2]]]
    if isinstance(field.get("type"), list):
        return [{**field, "type": kind} for kind in field["type"]]
    return [field]


def _allowed(kind: Schema) -> str:
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    if kind["type"] == "number" and "exclusiveMinimum" not in kind:
        return ""  # text that looks like one
    return _ALLOWED_BY_TYPE[kind["type"]].format(**kind)


def _default(path: str) -> str:
    name = path.rpartition(".")[2]
    if name in (stack := stack_defaults(2, Mode.BALANCED)):
        return f"`{str(stack[name].origin).removeprefix('parameter ')}`"
    field = EffectiveSpec.model_fields.get(name)
    return f"`{json.dumps(field.default)}`" if field and isinstance(field.default, bool) else ""


def _json(document: Schema) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def template() -> str:
    """Return template.yaml, which is written by hand, with the version as it is today."""
    text = (DOCS / "../template.yaml").read_text(encoding="utf-8")
    output = r"(\n  Version:\n    Description: [^\n]+\n    Value: )[^\n]+"
    return re.sub(output, rf"\g<1>{__version__}", text)


PAGES: Mapping[str, Callable[[], str]] = {
    "ledger.md": ledger_page,
    "events.schema.json": lambda: schema_text(Announcement) + "\n",
    "batch-event.schema.json": lambda: schema_text(BatchAnnouncement) + "\n",
    "batch-report.schema.json": lambda: schema_text(BatchReport) + "\n",
    "manifest.schema.json": lambda: schema_text(Manifest) + "\n",
    "spec.md": spec_page,
    "../template.yaml": template,
    "spec.schema.json": lambda: _json(spec_schema()),
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
