"""Keeps out what moto would import for nothing.

That is all of EC2, for the state machines' Batch tasks, and cryptography, for IAM's certificates.
test_moto_tripwires.py fails when that is no longer so, or when moto has found another way there.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType

import moto

_BARE = ("moto.batch",)
"""Packages whose modules are wanted, but not what the package itself imports: its backend."""

_CERTIFICATES = {
    "cryptography": "x509",
    "cryptography.hazmat": "",
    "cryptography.hazmat.backends": "default_backend",
}
"""Modules that IAM imports, and what it takes of each: for certificates, which nobody uploads."""


def keep_out_ec2() -> None:
    """Have these packages imported without running them; call this before anything imports them."""
    for name in _BARE:
        spec = PathFinder.find_spec(name, moto.__path__)
        if spec is not None:
            sys.modules.setdefault(name, module_from_spec(spec))


def import_iam() -> None:
    """Import IAM, which each request asks whose it is, without what reads certificates."""
    absent = _CERTIFICATES.keys() - sys.modules.keys()
    for name in absent:
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], _CERTIFICATES[name], None)
    try:
        import_module("moto.iam.models")
    finally:
        for name in absent:
            del sys.modules[name]
