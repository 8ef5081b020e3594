"""The Magic Hour API on this machine, with a real AI upscaler: nothing is charged.

The names load on first use: importing numpy, Pillow, Flask and the model's runtime takes about half
a second, which commands that never start the API should not spend.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropscale_embedded.api.engines import Engine, best_engine
    from dropscale_embedded.api.engines.lanczos import LanczosEngine
    from dropscale_embedded.api.engines.model import ModelEngine
    from dropscale_embedded.api.engines.stub import StubEngine
    from dropscale_embedded.api.faults import FaultPlan, FaultPlanInvalid, parse_fault_plan
    from dropscale_embedded.api.projects import Book, Entry, EntryKind, Tier
    from dropscale_embedded.api.server import EmbeddedApi

__all__ = [
    "Book",
    "EmbeddedApi",
    "Engine",
    "Entry",
    "EntryKind",
    "FaultPlan",
    "FaultPlanInvalid",
    "LanczosEngine",
    "ModelEngine",
    "StubEngine",
    "Tier",
    "best_engine",
    "parse_fault_plan",
]

_MODULE_BY_NAME = {
    "Book": "projects",
    "EmbeddedApi": "server",
    "Engine": "engines",
    "Entry": "projects",
    "EntryKind": "projects",
    "FaultPlan": "faults",
    "FaultPlanInvalid": "faults",
    "LanczosEngine": "engines.lanczos",
    "ModelEngine": "engines.model",
    "StubEngine": "engines.stub",
    "Tier": "projects",
    "best_engine": "engines",
    "parse_fault_plan": "faults",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_BY_NAME[name]}"), name)
