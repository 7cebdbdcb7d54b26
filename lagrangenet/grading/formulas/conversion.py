"""From the array operations of the derivation to index notation.

A changed tree whose shapes no longer fit is contracted by position, because that is what a student's
wrong line means too; what nobody writes as a formula is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.grading.formulas import indexed as ix
from lagrangenet.grading.formulas.names import SAMPLED
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node


class Unreadable(DerivationError):
    """A node that has no index form: a changed tree that nobody writes as a formula."""


def indexed(node: Node, axes: tuple[str, ...], sample: str = "i") -> ix.Tree:
    """A tree of array operations for one sample, in index notation.

    Parameters
    ----------
    node : Node
        Per sample, as ``Condition.tree`` gives it.
    axes : tuple of str
        Names of its axes.
    sample : str
        The name of the free sample index.

    Examples
    --------
    >>> from lagrangenet.grading.formulas import indexed as ix
    >>> from lagrangenet.symbolic.derivation import derive
    >>> condition = derive().condition("S6", 1)
    >>> tree = indexed(condition.tree(condition.residual), ("p",))
    >>> sorted(ix.array_names(tree))
    ['Z', 'lambda']
    """
    return _Converter().build(node, axes, sample, {})


class _Converter:
    def __init__(self) -> None:
        self.numbers = itertools.count()

    def fresh(self) -> str:
        return f"d{next(self.numbers)}"

    def build(
        self, node: Node, axes: tuple[str, ...], sample: str, bound: Mapping[str, str]
    ) -> ix.Tree:
        def inside(one: Node, names: tuple[str, ...]) -> ix.Tree:
            return self.build(one, names, sample, bound)

        names = dict(zip(node.axes, axes, strict=False))
        if len(axes) != len(node.axes):
            raise Unreadable(f"{len(axes)} indices for {len(node.axes)} axes")
        match node:
            case t.Ref():
                return self.entry(node, axes, sample, bound)
            case t.Number():
                return self.scalar(node.value, bound)
            case t.Product() | t.Total() | t.Power():
                return self.componentwise(node, names, axes, inside)
            case t.MatMul():
                return self.contracted(node, axes, inside)
            case t.Transposed():
                return inside(node.arg, axes[::-1])
            case t.Outer():
                return ix.Mul((inside(node.left, axes[:1]), inside(node.right, axes[1:])))
            case t.Reduced():
                return self.reduced(node, names, inside)
            case t.Over():
                return self.over(node, axes, sample, bound)
            case t.Call():
                return self.call(node, axes, sample, bound)
        raise Unreadable(type(node).__name__)

    def entry(
        self, node: t.Ref, axes: tuple[str, ...], sample: str, bound: Mapping[str, str]
    ) -> ix.Tree:
        layer = self.layer(node.layer, bound)
        if node.name not in SAMPLED:
            return ix.Ref(node.name, layer, axes)
        return ix.Ref(node.name, ix.LAST if node.name == "Y" else layer, (sample, *axes))

    def componentwise(
        self,
        node: t.Product | t.Total | t.Power,
        names: Mapping[sp.Symbol, str],
        axes: tuple[str, ...],
        inside: Callable[..., ix.Tree],
    ) -> ix.Tree:
        def operands(nodes: tuple[Node, ...]) -> list[ix.Tree]:
            return [inside(one, self.aligned(one, names, axes)) for one in nodes]

        if isinstance(node, t.Product):
            inverse = (ix.Pow(one, -1) for one in operands(node.divisors))
            return ix.Mul((*operands(node.factors), *inverse))
        if isinstance(node, t.Total):
            return ix.Add((*operands(node.plus), *map(ix.negative, operands(node.minus))))
        if not node.exponent.is_Integer:
            raise Unreadable("a root")
        return ix.Pow(inside(node.base, axes), int(node.exponent))

    @staticmethod
    def aligned(
        node: Node, names: Mapping[sp.Symbol, str], axes: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Axes of an operand by name; by position where a change has made them foreign."""
        if all(axis in names for axis in node.axes):
            return tuple(names[axis] for axis in node.axes)
        if len(node.axes) == len(axes):
            return axes
        raise Unreadable("an operand with other axes")

    def contracted(
        self, node: t.MatMul, axes: tuple[str, ...], inside: Callable[..., ix.Tree]
    ) -> ix.Tree:
        inner = self.fresh()
        left = (*axes[: len(node.left.axes) - 1], inner)
        right = (inner, *axes[len(node.left.axes) - 1 :])
        body = ix.Mul((inside(node.left, left), inside(node.right, right)))
        return ix.Sum(inner, ix.Range("component"), body)

    def reduced(
        self, node: t.Reduced, names: Mapping[sp.Symbol, str], inside: Callable[..., ix.Tree]
    ) -> ix.Tree:
        if node.op != "sum":
            raise Unreadable(node.op)
        every = {axis: names[axis] if axis in names else self.fresh() for axis in node.arg.axes}
        body = inside(node.arg, tuple(every[axis] for axis in node.arg.axes))
        for axis, name in every.items():
            if axis not in names:
                body = ix.Sum(name, ix.Range("component"), body)
        return body

    def over(
        self, node: t.Over, axes: tuple[str, ...], sample: str, bound: Mapping[str, str]
    ) -> ix.Tree:
        name = self.fresh()
        if node.upper == l.M:
            return ix.Sum(name, ix.SAMPLES, self.build(node.arg, axes, name, bound))
        low, high = (self.layer(limit, bound) for limit in (node.lower, node.upper))
        inner = {**bound, node.index.name: name}
        over = ix.Range("layer", None, low, high)
        return ix.Sum(name, over, self.build(node.arg, axes, sample, inner))

    def call(
        self, node: t.Call, axes: tuple[str, ...], sample: str, bound: Mapping[str, str]
    ) -> ix.Tree:
        fn, layer = node.fn, self.layer(node.fn.layer, bound)
        if fn.name == "diagonal" and len(axes) == 2:
            inside = self.build(node.args[0], axes, sample, bound)
            return ix.Mul((inside, ix.Ref("kron", None, axes)))
        if fn.name == "ell" and fn.order < 2:
            refs = [one for arg in node.args for one in arg.walk()]
            (state,) = (one for one in refs if isinstance(one, t.Ref))
            where = self.layer(state.layer, bound)
            return ix.Ref("ell1" if fn.order else "ell", where, (sample, *axes))
        if fn.name == "sigma" and fn.coupled and fn.order:
            at = node.args[0]
            plain = isinstance(at, t.Ref) and at.name == "Z" and self.layer(at.layer, bound)
            if fn.order > 1 or not plain or plain != layer:
                raise Unreadable("a Jacobian somewhere else")
            return ix.Ref("jac", layer, (sample, *axes))
        if fn.name in {"sigma", "omega"} and len(node.args) == 1:
            argument = self.build(node.args[0], axes, sample, bound)
            along = axes[-1] if fn.name == "sigma" and axes else ""
            return ix.Fun(fn.name, layer, fn.order, argument, along)
        if len(node.args) == 1 and len(node.args[0].axes) == len(axes) and fn.name.isalpha():
            return ix.Fun(fn.name, layer, fn.order, self.build(node.args[0], axes, sample, bound))
        raise Unreadable(fn.name)

    @staticmethod
    def layer(expr: sp.Expr | None, bound: Mapping[str, str]) -> ix.Layer | None:
        if expr is None:
            return None
        for symbol in expr.free_symbols:
            offset = expr - symbol
            if not offset.is_Integer:
                raise Unreadable(f"layer {expr}")
            base = bound.get(symbol.name, symbol.name.rstrip("'"))
            return ix.Layer(base, int(offset))
        return ix.Layer("", int(expr))

    def scalar(self, value: sp.Expr, bound: Mapping[str, str]) -> ix.Tree:
        if value.is_Rational:
            return ix.Num(Fraction(int(value.p), int(value.q)))
        if value.is_Symbol:
            return ix.Sym(value.name)
        if isinstance(value, l.n):
            return ix.Sym("n", self.layer(value.args[0], bound))
        if value.is_Add:
            return ix.Add(tuple(self.scalar(term, bound) for term in value.args))
        if value.is_Mul:
            return ix.Mul(tuple(self.scalar(factor, bound) for factor in value.args))
        if value.is_Pow and value.exp.is_Integer:
            return ix.Pow(self.scalar(value.base, bound), int(value.exp))
        raise Unreadable(str(value))
