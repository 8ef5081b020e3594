"""Prevents needless imports by moto and SAM's translator.

test_moto_tripwires.py fails when this is no longer needed, or no longer prevents them.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec

_EC2 = {"moto.batch": ""}
"""moto imports all of EC2 for state machines' Batch tasks, which use other modules of Batch."""

_CERTIFICATES = {
    "cryptography": "x509",
    "cryptography.hazmat": "",
    "cryptography.hazmat.backends": "default_backend",
}
"""Each request is attributed through IAM, which also reads uploaded certificates."""

_SWAGGER = {"samtranslator.model": "", "samtranslator.swagger.swagger": "SwaggerEditor"}
"""A template's Globals may describe web APIs; no other part of SAM's model is needed."""


def import_leanly() -> None:
    """Import the modules that would import these; call this before anything else imports them."""
    _empty(_EC2)
    for module, unused in (
        ("moto.iam.models", _CERTIFICATES),
        ("samtranslator.plugins.globals.globals", _SWAGGER),
    ):
        emptied = _empty(unused)
        try:
            import_module(module)
        finally:
            # Others may need them.
            for name in emptied:
                del sys.modules[name]


def _empty(unused: Mapping[str, str]) -> list[str]:
    """Replace modules by empty ones with one dummy name each, without running them."""
    emptied = [name for name in unused if name not in sys.modules]
    for name in emptied:
        spec = find_spec(name)
        if spec is not None:
            sys.modules[name] = module_from_spec(spec)
            setattr(sys.modules[name], unused[name], None)
    return emptied
