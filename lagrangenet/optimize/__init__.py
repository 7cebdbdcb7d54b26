"""Training as constrained optimization: one ``minimize``, many methods, each result certified.

A file here that adds a method to :data:`METHODS` is read; there is no other registration.
"""

import pkgutil
from importlib import import_module

from lagrangenet.optimize.checkpoint import load, save
from lagrangenet.optimize.methods import METHODS, Method
from lagrangenet.optimize.minimize import minimize
from lagrangenet.optimize.norms import multiplier_norms
from lagrangenet.optimize.region import linear
from lagrangenet.optimize.sensitivity import sensitivity

for _found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

__all__ = [
    "METHODS",
    "Method",
    "linear",
    "load",
    "minimize",
    "multiplier_norms",
    "save",
    "sensitivity",
]
