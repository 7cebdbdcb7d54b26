"""The tangent of an expression: d/dε of it at v + ε v̇, and the tangent Lagrangian.

    L̇ = d/dε L(v + ε v̇) at ε = 0,   v = (x, z, W, b, λ, μ)

L̇ is linear in v̇ and its stationarity conditions are those of L, differentiated in the direction v̇:
∂L̇/∂λ = 0 is the tangent pass, ∂L̇/∂x = 0 the second-order adjoint, and ∂L̇/∂θ the product of the
reduced Hessian with θ̇. They are derived by the machinery that derives those of L. SymPy
differentiates here, nothing is typed. Inputs x^0 are data and do not move: ẋ^0 = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.collapse import differentiate
from lagrangenet.symbolic.lagrangian import Lagrangian, Splitting

_epsilon = sp.Dummy("epsilon", real=True)
_NOTHING = t.scalar(0)


def tangent(expr: sp.Expr, pairs: Mapping[sp.IndexedBase, sp.IndexedBase] = l.TANGENTS) -> sp.Expr:
    """d/dε of an expression in which every array v of ``pairs`` is v + ε v̇, at ε = 0.

    Parameters
    ----------
    expr : sympy.Expr
        In index notation; arrays that are not in ``pairs`` (labels, data) do not move.
    pairs : mapping
        v → v̇; by default all variables of the chain.

    Examples
    --------
    >>> print(tangent(l.W[l.k, l.p, l.q] * l.b[l.k, l.p] ** 2, {l.b: l.TANGENTS[l.b]}))
    2*W[k, p, q]*b[k, p]*b_dot[k, p]
    """
    moved = expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base in pairs,
        lambda e: e + _epsilon * pairs[e.base][e.indices],
    )
    derivative = differentiate(moved, _epsilon).xreplace({_epsilon: sp.S.Zero})
    return derivative.replace(lambda e: isinstance(e, sp.Sum), _apart)


def _apart(total: sp.Sum) -> sp.Expr:
    """The sum of a sum as a sum of sums: Σ (Ẇ x + W ẋ) is two matrix products."""
    return sp.Add(*(sp.Sum(term, *total.limits) for term in sp.Add.make_args(total.function)))


@dataclass(frozen=True)
class TangentLagrangian:
    """L̇, the derivative of the Lagrangian in the direction v̇ of all its variables.

    Attributes
    ----------
    splitting, kinds, biases
        As in :class:`~.lagrangian.Lagrangian`.
    """

    splitting: Splitting = "activation"
    kinds: tuple[sp.Symbol, ...] = (l.COMPONENTWISE,)
    biases: bool = False

    order = 2

    @cached_property
    def expr(self) -> sp.Expr:
        """L̇ itself."""
        moved = tangent(Lagrangian(self.splitting, self.kinds, self.biases).expr)
        if self.splitting == "preactivation":
            return moved
        return moved.replace(_is_preactivation, l.Whole)


def _is_preactivation(e: sp.Expr) -> bool:
    """Whether this is Ẇ x + W ẋ + ḃ, the tangent of what z abbreviates."""
    return isinstance(e, sp.Add) and any(
        isinstance(term, sp.Indexed) and term.base == l.TANGENTS[l.b] for term in e.args
    )


def at_inputs(expr: sp.Expr) -> sp.Expr:
    """An index expression at a concrete layer, where ẋ^0 is zero: the inputs do not move."""
    return expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == l.TANGENTS[l.X] and e.indices[0] == 0,
        lambda _: sp.S.Zero,
    )


def without(node: t.Node, names: frozenset[str]) -> t.Node:
    """A tree in which the arrays of ``names`` are zero, and all that vanishes with them is left out."""

    def zero(one: t.Node) -> bool:
        return isinstance(one, t.Number) and one.value == 0

    def change(one: t.Node) -> t.Node:
        if isinstance(one, t.Ref):
            still = one.name in names or (one.name == "X_dot" and one.layer == 0)
            return _NOTHING if still else one
        if isinstance(one, t.Total):
            plus, minus = ([e for e in side if not zero(e)] for side in (one.plus, one.minus))
            if not plus and not minus:
                return _NOTHING
            return t.total([*plus, *map(t.negate, minus)], one.axes)
        linear = (t.Product, t.MatMul, t.Outer, t.Transposed, t.Reduced, t.Over)
        factors = one.factors if isinstance(one, t.Product) else one.children
        return _NOTHING if isinstance(one, linear) and any(map(zero, factors)) else one

    return node.map(change)
