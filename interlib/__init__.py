"""Explains trained networks by their AND-OR interactions.

What is public is listed in `__init__.pyi`: the road at the top, everything else by its room. Names are loaded when
they are asked for, so that `import interlib` is quick and a fault in one room does not close the others.
"""
import os
import sys

import lazy_loader

__version__ = "0.1.0"

WAIT_POLICIES = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}

# Read when torch loads: threads that wait busily make everything slow beside another process.
if "torch" not in sys.modules and not WAIT_POLICIES & {*os.environ}:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name):
    "Loads a public name, with what stands beside its parameters in its docstring."
    from .core.docstrings import add_parameters
    return add_parameters(load(name))
