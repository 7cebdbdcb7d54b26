"""Printers of the intermediate representation: one per target."""

import pkgutil
from importlib import import_module

from lagrangenet.emit.targets import TARGETS, Target

for _found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

__all__ = ["TARGETS", "Target"]
