"""Matrix form: an index expression as a tree of array operations.

The same tree is printed as mathematics (per-sample vectors, :mod:`.printing`) and, after lowering,
as code (rows are samples). Its nodes are frozen; an axis is the SymPy index that ran over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from lagrangenet.symbolic.branches import Branching

Axes = tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Node(Branching["Node"]):
    """An array-valued expression; ``axes`` are its running indices in storage order."""

    axes: Axes


@dataclass(frozen=True)
class Ref(Node):
    """An array of the problem, X^k, W^k, ...; ``layer`` is None where there is none (Y)."""

    name: str
    layer: sp.Expr | None = None


@dataclass(frozen=True)
class Number(Node):
    """A number or a scalar symbol (M, ρ, η)."""

    value: sp.Expr


@dataclass(frozen=True)
class Fn:
    """A function by name: σ^k, ℓ, Ω (with order of differentiation), or ``exp``, ``where``, ``>``."""

    name: str
    layer: sp.Expr | None = None
    order: int = 0
    coupled: bool = False


@dataclass(frozen=True)
class Call(Node):
    """A function of arrays, componentwise or along the last axis (coupled)."""

    fn: Fn
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Product(Node):
    """factors / divisors, componentwise."""

    factors: tuple[Node, ...]
    divisors: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Total(Node):
    """Σ terms − Σ minus; printed in this order."""

    plus: tuple[Node, ...]
    minus: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Power(Node):
    """base ** exponent with a numeric exponent."""

    base: Node
    exponent: sp.Expr


@dataclass(frozen=True)
class MatMul(Node):
    """left @ right: matrices, or matrix and vector, or two vectors (inner product)."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Transposed(Node):
    """A matrix with its two axes exchanged."""

    arg: Node


@dataclass(frozen=True)
class Outer(Node):
    """left rightᵀ of two vectors."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Reduced(Node):
    """The sum (or the maximum) of ``arg`` along the axes that ``axes`` lacks."""

    arg: Node
    op: str = "sum"

    @property
    def over(self) -> tuple[int, ...]:
        """Positions of the axes that are summed."""
        return tuple(j for j, axis in enumerate(self.arg.axes) if axis not in self.axes)


@dataclass(frozen=True)
class Over(Node):
    """Σ over an index that is not an axis but a label (samples i, layers k)."""

    index: sp.Symbol
    lower: sp.Expr
    upper: sp.Expr
    arg: Node


ONE = Number((), sp.S.One)


def scalar(value: sp.Expr | int) -> Number:
    """A number as a node."""
    return Number((), sp.Integer(value) if isinstance(value, int) else value)


def instantiate(
    node: Node, values: Mapping[sp.Expr, sp.Expr], sizes: Mapping[sp.Expr, sp.Expr] | None = None
) -> Node:
    """The tree at a concrete layer: k → 2 in every reference and function, then n(2) → its size."""
    done: dict[Any, Any] = {None: None}

    def at(layer: Any) -> Any:
        if layer not in done:
            done[layer] = layer.xreplace(dict(values))
        return done[layer]

    def change(one: Node) -> Node:
        if isinstance(one, Ref):
            return replace(one, layer=at(one.layer))
        if isinstance(one, Call):
            return replace(one, fn=replace(one.fn, layer=at(one.fn.layer)))
        if isinstance(one, Number):
            return replace(one, value=at(one.value).xreplace(sizes or {}))
        if isinstance(one, Over):
            return replace(one, lower=at(one.lower), upper=at(one.upper))
        return one

    return node.map(change)


def same_shape(node: Node) -> Node:
    """The tree with its axes renamed by position, so that equal computations compare equal."""
    order: dict[sp.Symbol, sp.Symbol] = {}
    for one in node.walk():
        for axis in one.axes:
            order.setdefault(axis, sp.Symbol(f"axis{len(order)}"))

    return node.map(lambda one: replace(one, axes=tuple(order[axis] for axis in one.axes)))


def substituted(node: Node, known: dict[Node, Ref]) -> Node:
    """Put a reference in place of every subtree that computes the same; keys are ``same_shape``."""

    def change(one: Node) -> Node:
        if not one.children:
            return one
        found = known.get(same_shape(one))
        return one if found is None else replace(found, axes=one.axes)

    return node.map(change)


# -- constructors that keep trees in a readable normal form ----------------------------------------


def negate(node: Node) -> Node:
    """−node, by exchanging the signs of a sum where that is possible."""
    if isinstance(node, Total):
        return _total(node.minus, node.plus, node.axes)
    bare = unsigned(node)
    return Total(node.axes, (), (node,)) if bare is node else bare


def _total(plus: tuple[Node, ...], minus: tuple[Node, ...], axes: Axes) -> Node:
    if len(plus) == 1 and not minus:
        return plus[0]
    return Total(axes, plus, minus)


def total(terms: list[Node], axes: Axes) -> Node:
    """A sum; the signs of its terms are read off them, positive terms stand first."""
    plus: list[Node] = []
    minus: list[Node] = []
    for term in terms:
        if isinstance(term, Total):
            plus += term.plus
            minus += term.minus
        elif isinstance(term, Number) and term.value.is_negative:
            minus.append(scalar(-term.value))
        else:
            plus.append(term)
    for side in (plus, minus):
        side.sort(key=lambda term: isinstance(term, Ref) and term.name in {"b", "b_dot"})
    return _total(tuple(plus), tuple(minus), axes)


def product(factors: list[Node], divisors: list[Node], axes: Axes) -> Node:
    """A product with at most one sign, in front of it or inside one of its sums."""
    sign = 1
    kept: list[Node] = []
    for signed in factors:
        factor = unsigned(signed)
        sign = -sign if factor is not signed else sign
        if isinstance(factor, Product):
            kept += factor.factors
            divisors = [*divisors, *factor.divisors]
        elif factor != ONE:
            kept.append(factor)
    if sign < 0:
        for position, factor in enumerate(kept):
            if isinstance(factor, Total) and factor.minus:
                kept[position] = negate(factor)
                sign = 1
                break
    cases = [f for f in kept if isinstance(f, Call) and f.fn.name == "where"]
    if len(cases) == 1 and not divisors and len(kept) > 1:
        whole: Node = _into_branches(cases[0], [f for f in kept if f is not cases[0]], axes)
        return whole if sign > 0 else Total(axes, (), (whole,))
    kept.sort(key=_rank)
    if len(kept) == 1 and not divisors:
        whole = kept[0]
    else:
        whole = Product(axes, tuple(kept) or (ONE,), tuple(divisors))
    return whole if sign > 0 else Total(axes, (), (whole,))


def unsigned(node: Node) -> Node:
    """A node without the minus sign in front of it; the node itself if there is none."""
    if isinstance(node, Total) and not node.plus and len(node.minus) == 1:
        return node.minus[0]
    if isinstance(node, Number) and node.value.is_negative:
        return scalar(-node.value)
    return node


def _into_branches(cases: Call, rest: list[Node], axes: Axes) -> Node:
    """Give rest · (a if c else b) as (rest · a if c else rest · b): no array of constants is made."""
    condition, *values = cases.args
    branches = (
        scalar(0) if value == scalar(0) else product([*rest, value], [], axes) for value in values
    )
    return Call(axes, cases.fn, (condition, *branches))


def _rank(node: Node) -> int:
    """Reading order in a product: numbers, σ′, multipliers, arrays, the rest."""
    if isinstance(node, Number):
        return 0
    if isinstance(node, Call) and node.fn.order:
        return 1
    if isinstance(node, Ref):
        return 2 if node.name.removesuffix("_dot") in {"lambda", "mu"} else 3
    if isinstance(node, Call):
        return 3
    return 4
