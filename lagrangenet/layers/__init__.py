"""Layers: a catalogue of forward equations. A file in this folder that adds to it is read."""

import pkgutil
from importlib import import_module

from lagrangenet.layers.base import LAYERS, Layer

for _found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

__all__ = ["LAYERS", "Layer"]
