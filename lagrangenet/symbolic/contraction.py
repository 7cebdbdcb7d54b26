"""From index form to matrix form: which sums are matrix products, transposes and reductions.

With ``labels=(i,)`` the sample index stays a label and vectors are columns, as on paper:
λ_i^k = W^{k+1}ᵀ μ_i^{k+1}. Without labels rows are samples, as in code: M^{k+1} W^{k+1}. What has
no such form (a contraction of more than two axes) is refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp

from lagrangenet.errors import DerivationError
from lagrangenet.functions.base import Top
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Axes, Fn, Node

_NAMES = {sp.Abs: "abs", logaddexp: "logaddexp"}
_RELATIONS = (
    (sp.StrictGreaterThan, ">"),
    (sp.GreaterThan, ">="),
    (sp.StrictLessThan, "<"),
    (sp.LessThan, "<="),
)


def contract(expr: sp.Expr, axes: Axes, labels: Iterable[sp.Symbol] = ()) -> Node:
    """An index expression as array operations with the given axes, in this order.

    Examples
    --------
    >>> from lagrangenet.symbolic.printing import text
    >>> q, n = l.q, l.n(l.k - 1)
    >>> expr = sp.Sum(l.W[l.k, l.p, q] * l.X[l.k - 1, l.i, q], (q, 1, n))
    >>> text(contract(expr, (l.p,), labels=(l.i,)))
    'W^k x_i^{k−1}'
    """
    wanted = tuple(axis for axis in axes if axis not in set(labels))
    node = _Contraction(tuple(labels)).build(expr, wanted)
    return _arranged(node, wanted)


def _arranged(node: Node, axes: Axes) -> Node:
    if node.axes == axes or not node.axes:
        return node
    if set(node.axes) - set(axes):
        raise DerivationError(f"indices {node.axes} are left over where {axes} are wanted")
    if node.axes == axes[::-1] and len(axes) == 2:
        return _transposed(node)
    return node


def _transposed(node: Node) -> Node:
    """The transpose, pushed through a product: (A B)ᵀ = Bᵀ Aᵀ."""
    if isinstance(node, t.Transposed):
        return node.arg
    axes = node.axes[::-1]
    if isinstance(node, t.Call) and node.fn.name == "ell":
        return replace(node, axes=axes)  # second derivatives commute
    if isinstance(node, t.MatMul) and len(node.left.axes) == len(node.right.axes) == 2:
        return t.MatMul(axes, _transposed(node.right), _transposed(node.left))
    return t.Transposed(axes, node)


def function_name(expr: sp.Expr) -> tuple[str, tuple[sp.Expr, ...]]:
    """The name of a function of arrays, componentwise or a maximum, and its arguments.

    Raises
    ------
    DerivationError
        If it has no array form.
    """
    if isinstance(expr, l.Where):
        return "where", expr.args
    for kind, name in _RELATIONS:
        if isinstance(expr, kind):
            return name, expr.args
    if isinstance(expr, Top):
        return "max", (expr.args[0],)
    if isinstance(expr, sp.Max | sp.Min) and len(expr.args) == 2:
        name = "maximum" if isinstance(expr, sp.Max) else "minimum"
        return name, tuple(sorted(expr.args, key=lambda a: a.is_number))
    if isinstance(expr, sp.Function):
        return _NAMES.get(expr.func, expr.func.__name__), expr.args
    raise DerivationError(f"no array form for {type(expr).__name__}: {expr}")


class _Contraction:
    def __init__(self, labels: Axes) -> None:
        self.labels = labels

    # -- leaves, functions, sums and products ----------------------------------------------------

    def build(self, expr: sp.Expr, wanted: Axes) -> Node:
        if isinstance(expr, sp.Indexed):
            return self._ref(expr)
        if isinstance(expr, sp.Sum):
            return self._sum(expr, wanted)
        if isinstance(expr, sp.Add):
            terms = [self.build(arg, wanted) for arg in expr.as_ordered_terms()]
            axes = _union(terms, wanted)
            return t.total([_arranged(term, axes) for term in terms], axes)
        if isinstance(expr, sp.Mul):
            return self._product([expr], wanted)
        if isinstance(expr, sp.Pow) and expr.exp.is_number:
            return self._power(expr, wanted)
        if expr.is_number or expr == l.M or isinstance(expr, l.n):
            return t.scalar(expr)
        if expr.is_Symbol and not expr.is_integer:
            return t.scalar(expr)
        return self._call(expr, wanted)

    def _ref(self, expr: sp.Indexed) -> Node:
        name = str(expr.base.label)
        layer, indices = (
            (None, expr.indices) if name in {"Y", "c"} else (expr.indices[0], expr.indices[1:])
        )
        if not all(index.is_Symbol for index in indices):
            raise DerivationError(f"{expr} has a compound subscript")
        return t.Ref(tuple(a for a in indices if a not in self.labels), name, layer)

    def _power(self, expr: sp.Pow, wanted: Axes) -> Node:
        base = self.build(expr.base, wanted)
        if expr.exp.is_negative:
            below = self.build(expr.base**-expr.exp, wanted)
            return t.Product(base.axes, (t.ONE,), (below,))
        return t.Power(base.axes, base, expr.exp)

    def _call(self, expr: sp.Expr, wanted: Axes) -> Node:
        if isinstance(expr, l.LogSumExp):
            component = sp.Dummy("r", integer=True, positive=True)
            arg = self.build(expr.args[0].xreplace({l.STAR: component}), wanted)
            kept = tuple(axis for axis in arg.axes if axis != component)
            return t.Call(kept, Fn("logsumexp", coupled=True), (arg,))
        fn, arguments = self._function(expr)
        args = tuple(self.build(arg, wanted) for arg in arguments)
        axes = _union(args, wanted)
        args = tuple(_arranged(arg, axes) for arg in args)
        if isinstance(expr, Top):
            return t.Reduced(tuple(a for a in axes if a != expr.args[1]), args[0], "max")
        if isinstance(expr, l.Partial) and (fn.name == "sigma" or fn.order == 2):
            axes = (*(a for a in axes if a not in expr.args[1:3]), *expr.args[1:3])
        return t.Call(axes, fn, args)

    def _function(self, expr: sp.Expr) -> tuple[Fn, tuple[sp.Expr, ...]]:
        """The function of a node and the arguments that are arrays."""
        if isinstance(expr, l.Opaque):
            layer = expr.args[0] if len(expr.args) > 1 else None
            return Fn(expr.name, layer, expr.order), (expr.args[-1],)
        if isinstance(expr, l.Coupled | l.Partial):
            labels, body = expr.args[:-2], expr.args[-2]
            order = expr.order if isinstance(expr, l.Partial) else 0
            layer = labels[0] if expr.name == "sigma" else None
            component = labels[-1] if labels else l.STAR
            fn = Fn(expr.name, layer, order, coupled=True)
            return fn, (body.xreplace({l.STAR: component}),)
        if isinstance(expr, sp.Piecewise):
            expr = l.cases(expr)
        name, arguments = function_name(expr)
        return Fn(name), arguments

    def _sum(self, expr: sp.Sum, wanted: Axes) -> Node:
        if isinstance(expr.function, sp.Add) and not self._componentwise(expr.function, wanted):
            nodes = [self.build(sp.Sum(arg, *expr.limits), wanted) for arg in expr.function.args]
            return t.total(nodes, _union(nodes, wanted))
        bound = {v: upper + 1 - lower for v, lower, upper in expr.limits if v not in self.labels}
        node = self._product([expr.function], wanted, bound)
        for v, lower, upper in expr.limits:
            if v in self.labels:
                node = _pull_sign(partial(_over, v, lower, upper), node)
        return node

    def _componentwise(self, total: sp.Add, wanted: Axes) -> bool:
        """Whether all terms run over the same axes, so that one reduction sums them all."""
        found = {frozenset(self.build(arg, wanted).axes) for arg in total.args}
        return len(found - {frozenset()}) == 1

    def _product(
        self,
        factors: list[sp.Expr],
        wanted: Axes,
        bound: Mapping[sp.Symbol, sp.Expr] = MappingProxyType({}),
    ) -> Node:
        above: list[Node] = []
        below: list[Node] = []
        bound = dict(bound)
        for factor in self._directional(
            list(itertools.chain(*(sp.Mul.make_args(f) for f in factors))), bound, above, wanted
        ):
            if isinstance(factor, sp.Pow) and factor.exp.is_negative:
                below.append(self.build(factor.base**-factor.exp, wanted))
            elif isinstance(factor, sp.Rational) and factor.q != 1:
                above.append(t.scalar(factor.p))
                below.append(t.scalar(factor.q))
            else:
                above.append(self.build(factor, wanted))
        open_axes = list(bound)
        while open_axes:
            axis = min(open_axes, key=lambda a: _cost(a, above))
            open_axes.remove(axis)
            if not any(axis in node.axes for node in (*above, *below)):
                above.append(t.scalar(bound[axis]))  # Σ_q 1 = n
                continue
            above, below = self._contracted(axis, above, below, wanted)
        return self._merged(above, below, wanted)

    def _directional(
        self,
        factors: list[sp.Expr],
        bound: dict[sp.Symbol, sp.Expr],
        above: list[Node],
        wanted: Axes,
    ) -> list[sp.Expr]:
        """Σ_r ∂²σ_q/∂z_r∂z_p ż_r as the matrix ∂²σ/∂z²[ż]; the factors that are left."""
        for second in factors:
            if not (isinstance(second, l.Partial) and second.order == 2 and second.name == "sigma"):
                continue
            for r, other in itertools.product(second.args[2:4], factors):
                if isinstance(other, sp.Indexed) and other.base == l.TANGENTS[l.Z] and other.has(r):
                    fn, (argument,) = self._function(second)
                    args = (self.build(argument, wanted), self.build(other, wanted))
                    samples = [a for a in args[0].axes if a not in second.args]
                    matrix = (second.args[1], *(a for a in second.args[2:4] if a != r))
                    axes = (*samples, *matrix)
                    above.append(t.Call(axes, fn, args))
                    del bound[r]
                    return [e for e in factors if e is not second and e is not other]
        return factors

    # -- contractions ----------------------------------------------------------------------------

    def _contracted(
        self, axis: sp.Symbol, above: list[Node], below: list[Node], wanted: Axes
    ) -> tuple[list[Node], list[Node]]:
        """Sum the product over ``axis``: a matrix product where two groups share just that axis."""
        rest = [f for f in above if axis not in f.axes]
        outer = [d for d in below if axis not in d.axes]
        groups = self._grouped(
            [f for f in above if axis in f.axes], [d for d in below if axis in d.axes], wanted
        )
        if len(groups) == 2 and set(groups[0].axes) & set(groups[1].axes) == {axis}:
            return [*rest, self._matmul(axis, groups[0], groups[1], wanted)], outer
        whole = self._merged(groups, [], wanted)
        if self.labels and isinstance(whole, t.Product) and _two_vectors(whole, axis):
            return [*rest, t.MatMul((), *whole.factors)], outer
        kept = tuple(a for a in whole.axes if a != axis)
        return [*rest, _pull_sign(lambda node: _reduced(node, kept), whole)], outer

    def _grouped(self, factors: list[Node], divisors: list[Node], wanted: Axes) -> list[Node]:
        """Merge componentwise what has the same axes; beyond two groups, subsets too."""
        homes = list(dict.fromkeys(frozenset(node.axes) for node in (*factors, *divisors)))
        if len(homes) > 2:
            homes = [home for home in homes if not any(home < other for other in homes)]
        if len(homes) > 2:
            homes = [frozenset[sp.Symbol]().union(*homes)]
        groups = []
        for home in homes:
            mine = [f for f in factors if _home(f, homes) == home]
            under = [d for d in divisors if _home(d, homes) == home]
            groups.append(self._merged(mine, under, wanted))
        return groups

    def _matmul(self, axis: sp.Symbol, a: Node, b: Node, wanted: Axes) -> Node:
        def place(node: Node) -> tuple[int, int]:
            free = [wanted.index(x) for x in node.axes if x != axis and x in wanted]
            return (min(free, default=len(wanted)), -len(node.axes))

        left, right = sorted((a, b), key=place)
        if len(left.axes) < len(right.axes):
            left, right = right, left
        free_left = tuple(x for x in left.axes if x != axis)
        free_right = tuple(x for x in right.axes if x != axis)
        left = _arranged(left, (*free_left, axis))
        right = _arranged(right, (axis, *free_right))
        return t.MatMul((*free_left, *free_right), left, right)

    def _merged(self, above: list[Node], below: list[Node], wanted: Axes) -> Node:
        homes = list(dict.fromkeys(frozenset(f.axes) for f in above if f.axes))
        if self.labels and len(homes) == 2 and not homes[0] & homes[1]:
            groups = [
                self._merged([f for f in above if set(f.axes) == h], [], wanted) for h in homes
            ]
            left, right = sorted(groups, key=lambda f: wanted.index(f.axes[0]))
            outer = _pull_sign(lambda f: t.Outer((*left.axes, *right.axes), f, right), left)
            above = [*(f for f in above if not f.axes), outer]
        axes = _union([*above, *below], wanted)
        return t.product([_arranged(f, axes) for f in above], below, axes)


def _two_vectors(product: t.Product, axis: sp.Symbol) -> bool:
    """Whether a product summed over its only axis is the inner product of two vectors."""
    one_axis = all(factor.axes == (axis,) for factor in product.factors)
    return one_axis and len(product.factors) == 2 and not product.divisors


def _cost(axis: sp.Symbol, factors: list[Node]) -> tuple[int, int]:
    """Operands of a contraction, and axes it touches: matrix-vector before matrix-matrix."""
    holders = [set(f.axes) for f in factors if axis in f.axes]
    return len(holders), len(set().union(*holders))


def _home(node: Node, homes: list[frozenset[sp.Symbol]]) -> frozenset[sp.Symbol]:
    return min((home for home in homes if set(node.axes) <= home), key=len)


def _reduced(node: Node, kept: Axes) -> Node:
    if isinstance(node, t.Reduced) and node.op == "sum":
        return t.Reduced(kept, node.arg)
    return t.Reduced(kept, node)


def _over(index: sp.Symbol, lower: sp.Expr, upper: sp.Expr, node: Node) -> Node:
    return t.Over(node.axes, index, lower, upper, node)


def _pull_sign(wrap: Callable[[Node], Node], node: Node) -> Node:
    """wrap(−a) as −wrap(a): sums and outer products are linear."""
    bare = t.unsigned(node)
    return wrap(node) if bare is node else t.negate(wrap(bare))


def _union(nodes: Iterable[Node], wanted: Axes) -> Axes:
    """All axes of the operands: as the largest has them, otherwise in the wanted order."""
    every = [node.axes for node in nodes]
    largest = max(every, key=len, default=())
    present = set().union(*every) if every else set()
    if present == set(largest):
        return largest
    ordered = [axis for axis in wanted if axis in present]
    return tuple(dict.fromkeys([*ordered, *largest, *(a for axes in every for a in axes)]))
