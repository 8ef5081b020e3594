"""Keeps out what moto would import for nothing: all of EC2, for the state machines' Batch tasks.

test_moto_tripwires.py fails when that is no longer so, or when moto has found another way to EC2.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

import moto

_BARE = ("moto.batch",)
"""Packages whose modules are wanted, but not what the package itself imports: its backend."""


def keep_out_ec2() -> None:
    """Have these packages imported without running them; call this before anything imports them."""
    for name in _BARE:
        spec = PathFinder.find_spec(name, moto.__path__)
        if spec is not None:
            sys.modules.setdefault(name, module_from_spec(spec))
