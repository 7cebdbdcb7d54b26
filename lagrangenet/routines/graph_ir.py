"""The intermediate representation of a graph's routines: stores, loops and conditions.

Values are frozen. A store keeps the label and the formula of the condition it was lowered from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy as sp

from lagrangenet.graph import Graph
from lagrangenet.layers.equation import Shape
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.graphs.arrays import Subscript
from lagrangenet.symbolic.tensor import Node


@dataclass(frozen=True)
class Store:
    """target[subscripts] = value, or += with ``add``.

    Attributes
    ----------
    subscripts : tuple of Subscript
        Empty for the whole array, which is then made by this statement.
    label, formula : str
        Of the condition.
    """

    target: str
    value: Node
    subscripts: tuple[Subscript, ...] = ()
    axes: t.Axes = ()
    add: bool = False
    label: str = ""
    formula: str = ""


@dataclass(frozen=True)
class Zeros:
    """target = zeros of its shape."""

    target: str
    shape: tuple[sp.Expr, ...]


@dataclass(frozen=True)
class Loop:
    """for index in first..last (backwards with ``reverse``): body."""

    index: sp.Symbol
    first: sp.Expr
    last: sp.Expr
    body: tuple[Statement, ...]
    reverse: bool = False


@dataclass(frozen=True)
class When:
    """if low <= value <= high: body."""

    low: sp.Expr
    value: sp.Expr
    high: sp.Expr
    body: tuple[Statement, ...]


Statement = Store | Zeros | Loop | When


@dataclass(frozen=True)
class GraphRoutine:
    """A function of the generated code.

    Attributes
    ----------
    arguments : tuple of str
        ``theta``, ``inputs``, ``states``, ``multipliers``, ``gradients``, ``direction`` and the
        tangents are dictionaries by name; ``Y`` is an array, ``eta`` a number.
    returns : mapping
        Key in the result → array; empty if ``value`` is returned.
    """

    name: str
    summary: str
    arguments: tuple[str, ...]
    body: tuple[Statement, ...]
    returns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class GraphProgram:
    """All routines of a graph."""

    graph: Graph
    routines: tuple[GraphRoutine, ...]
    shapes: Mapping[str, Shape] = field(compare=False, default_factory=dict)

    def routine(self, name: str) -> GraphRoutine:
        """A routine by name."""
        return next(routine for routine in self.routines if routine.name == name)
