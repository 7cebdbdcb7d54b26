"""Generated code as objects that a user calls."""

from lagrangenet.runtime.arrays import Array, Layers, Theta
from lagrangenet.runtime.graphs import GraphRoutines
from lagrangenet.runtime.kkt import KKT
from lagrangenet.runtime.routines import Routines, generate

__all__ = ["KKT", "Array", "GraphRoutines", "Layers", "Routines", "Theta", "generate"]
