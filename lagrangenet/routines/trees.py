"""Expressions of conditions as trees for symbolic k, one for all layers with the same activation."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp

from lagrangenet.functions import Choice
from lagrangenet.functions.base import number
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.tensor import Fn, Node


@cache
def as_tree(expr: sp.Expr, axes: t.Axes, sigma: Choice, positive: bool) -> Node:
    """An expression as array operations at symbolic k, one for all layers with this σ.

    σ^k gets the name of its activation; with ``positive``, states that divide and may underflow
    are kept above zero.
    """
    parameters = tuple(t.scalar(number(value)) for _, value in sigma.parameters)

    def change(node: Node) -> Node:
        if isinstance(node, t.Call) and node.fn.name == "sigma":
            fn = Fn(sigma.name, coupled=node.fn.coupled)
            return replace(node, fn=fn, args=(*node.args, *parameters))
        if isinstance(node, t.Call) and node.fn.name == "log" and positive:
            return replace(node, args=(_positive(node.args[0]),))
        if isinstance(node, t.Product) and positive:
            return replace(node, divisors=tuple(_positive(d) for d in node.divisors))
        return node

    return contract(expr, axes).map(change)


@cache
def formula_trees(condition: Condition, as_residual: bool, regularized: bool) -> tuple[Node, Node]:
    """Both sides of a condition as vectors of one sample, for its formula: (right, left)."""
    solved = condition.unknown is not None and not as_residual
    right: sp.Expr = condition.solution if solved else condition.residual
    left: sp.Expr = condition.unknown if solved else condition.wrt
    if not regularized:
        right = right.xreplace({l.rho: sp.S.Zero})
    return condition.tree(right), condition.tree(left)


def is_pole(power: sp.Pow) -> bool:
    """Whether this is 1/x of a state x."""
    return bool(power.exp.is_negative and isinstance(power.base, sp.Indexed))


def _positive(node: Node) -> Node:
    if isinstance(node, t.Ref) and node.name == "X":
        return t.Call(node.axes, Fn("positive"), (node,))
    return node


def is_sum_of_labels(e: sp.Expr) -> bool:
    """Whether this is Σ_p y_p."""
    return isinstance(e, sp.Sum) and isinstance(e.function, sp.Indexed) and e.function.base == l.Y


def is_layer_sum(term: sp.Expr) -> bool:
    """Whether a term holds a sum over the layers, such as ρ Σ_k ..."""
    return any(upper == l.N for e in term.atoms(sp.Sum) for _, _, upper in e.limits)


def without_layer_sum(term: sp.Expr) -> sp.Expr:
    """The summand of Σ_k at layer k."""

    def at(e: sp.Sum) -> sp.Expr:
        (layer,) = (v for v, _, upper in e.limits if upper == l.N)
        rest = [limit for limit in e.limits if limit[0] != layer]
        inner = sp.Sum(e.function, *rest) if rest else e.function
        return inner.xreplace({layer: l.k})

    return term.replace(lambda e: isinstance(e, sp.Sum) and is_layer_sum(e), at)
