"""Faults of the regularizer's scope: biases that are penalized although they should not be."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from lagrangenet.grading.faults.factors import is_penalty
from lagrangenet.grading.faults.rule import Change, Place, rule
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Fn, Node

_RHO = t.Number((), l.rho)


@rule("biases penalized", "Which parameters does the penalty count?", at="root")
def _biases(node: Node, place: Place) -> Iterator[Change]:
    if place.label == "S6" and not any(is_penalty(n) for n in node.walk()):
        bias = t.Ref(node.axes, "b", l.k)
        slope = t.Call(node.axes, Fn("omega", order=1), (bias,))
        extra = t.Product(node.axes, (_RHO, slope))
        changed = t.total([extra, node], node.axes)
        yield Change(changed, ("the biases are regularized: ", extra, " is too much"))
    if place.label == "R":
        inner = t.Call((l.p,), Fn("omega"), (t.Ref((l.p,), "b", l.k),))
        extra = t.Product((), (_RHO, t.Reduced((), inner)))
        changed = t.total([node, extra], ())
        yield Change(changed, ("the biases are regularized: ", extra, " is too much"))


@rule("root of the penalty", "Is the norm squared?", cost=1.3)
def _root(node: Node, place: Place) -> Iterator[Change]:
    if place.label == "R" and isinstance(node, t.Reduced):
        squares = t.Product((), (t.scalar(2), node))
        root = t.Power((), squares, sp.Rational(1, 2))
        yield Change(root, ("the norm of the weights is not squared",))
        half = t.Product((), (root,), (t.scalar(2),))
        yield Change(half, ("the norm of the weights is not squared",))
