"""Keeps out what moto and SAM's translator would import for nothing.

test_moto_tripwires.py fails when that is no longer so, or when they have found another way there.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec

_EC2 = {"moto.batch": ""}
"""All of EC2 is imported for the state machines' Batch tasks, which take other modules of Batch."""

_CERTIFICATES = {
    "cryptography": "x509",
    "cryptography.hazmat": "",
    "cryptography.hazmat.backends": "default_backend",
}
"""Each request asks IAM whose it is, which also reads certificates that somebody uploads."""

_SWAGGER = {"samtranslator.model": "", "samtranslator.swagger.swagger": "SwaggerEditor"}
"""A template's Globals may describe web APIs, and one of no other part of SAM's model."""


def import_leanly() -> None:
    """Import what would import these; call this before anything else does."""
    _empty(_EC2)
    for module, unused in (
        ("moto.iam.models", _CERTIFICATES),
        ("samtranslator.plugins.globals.globals", _SWAGGER),
    ):
        emptied = _empty(unused)
        try:
            import_module(module)
        finally:
            # Others may have a use for them.
            for name in emptied:
                del sys.modules[name]


def _empty(unused: Mapping[str, str]) -> list[str]:
    """Have modules imported without running them, with one name each that is nothing."""
    emptied = [name for name in unused if name not in sys.modules]
    for name in emptied:
        spec = find_spec(name)
        if spec is not None:
            sys.modules[name] = module_from_spec(spec)
            setattr(sys.modules[name], unused[name], None)
    return emptied
