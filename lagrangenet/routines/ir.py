"""The intermediate representation: routines of assignments that know where they came from.

Values are frozen; a pass maps a program to a program. An assignment keeps the labels of the
conditions it was lowered from, so every later stage can name the equation of a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from lagrangenet.problem import Problem
from lagrangenet.symbolic.tensor import Axes, Node, Ref

#: What one layer contributes to each argument and result, in this order.
THETA = ("W", "b")
STATES = ("Z", "X")
MULTIPLIERS = ("mu", "lambda")
GRADIENTS = ("dW", "db")
RESIDUALS = ("r_lambda", "r_x", "dW", "db")
#: The same of the second order: a direction, what moves with it, and products with Hessians.
DIRECTION = ("W_dot", "b_dot")
TANGENTS = ("Z_dot", "X_dot")
ADJOINTS = ("mu_dot",)
PRODUCT = ("HW", "Hb")
STATE_TANGENTS = ("X_dot",)
MULTIPLIER_TANGENTS = ("lambda_dot",)
KKT_PRODUCT = ("t_lambda", "t_x", "HW", "Hb")


@dataclass(frozen=True)
class Argument:
    """An argument: an array or number, or one tuple of arrays per layer (``per_layer``)."""

    name: str
    per_layer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assign:
    """target = value, from the conditions ``labels`` at layer ``layer``.

    ``formula`` is that condition as mathematics, for people.
    """

    target: Ref
    value: Node
    labels: tuple[str, ...]
    layer: int
    formula: str


@dataclass(frozen=True)
class Routine:
    """A function of the generated code.

    It returns a number or array ``value``, the arrays named in ``returns`` as one tuple per layer,
    or both.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    body: tuple[Assign, ...]
    returns: tuple[str, ...] = ()
    value: Ref | None = None


@dataclass(frozen=True)
class Program:
    """All routines of a problem."""

    problem: Problem
    routines: tuple[Routine, ...]

    def routine(self, name: str) -> Routine:
        """A routine by name."""
        return next(routine for routine in self.routines if routine.name == name)


def ref(name: str, layer: int | None, axes: Axes = ()) -> Ref:
    """The array ``name`` of a concrete layer."""
    return Ref(axes, name, None if layer is None else sp.Integer(layer))
