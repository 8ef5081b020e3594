"""The control endpoint of the embedded API: faults, book and webhook, for tests in any language.

It is outside /v1 and needs the same key.
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request
from pydantic import TypeAdapter

from dropscale_embedded.api.faults import FaultPlan, Faults, Tally, parse_fault_plan
from dropscale_embedded.api.projects import Book, Entry

_ENTRIES = TypeAdapter(tuple[Entry, ...])
_TALLIES = TypeAdapter(list[Tally])


def control_blueprint(
    faults: Faults, book: Book, create_webhook: Callable[[str], str]
) -> Blueprint:
    """Return the calls under /_control."""
    control = Blueprint("control", __name__, url_prefix="/_control")

    @control.get("/book")
    def get_book() -> dict[str, Any]:
        entries = _ENTRIES.dump_python(book.entries(), mode="json")
        return {"credits_spent": book.credits_spent, "entries": entries}

    @control.get("/faults")
    def get_faults() -> dict[str, Any]:
        plan = faults.plan.model_dump(mode="json", exclude_none=True)
        return {"plan": plan, "tallies": _TALLIES.dump_python(faults.tallies)}

    @control.put("/faults")
    def put_faults() -> Response:
        faults.use(parse_fault_plan(request.get_data(), "body"))
        return Response(status=204)

    @control.delete("/faults")
    def delete_faults() -> Response:
        faults.use(FaultPlan())
        return Response(status=204)

    @control.post("/webhook")
    def post_webhook() -> dict[str, str]:
        return {"secret": create_webhook(request.get_data(as_text=True).strip())}

    return control
