"""Parts of conditions as array operations: which subscripts are slices, which sums contractions.

The nodes extend those of :mod:`lagrangenet.symbolic.tensor` to arrays with any number of axes. In
formulas indices count from 1, in arrays positions from 0; the step between them is made here, and
only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import Choice
from lagrangenet.layers.equation import ArgLargest, Largest, Shape
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import function_name
from lagrangenet.symbolic.tensor import Axes, Fn, Node


@dataclass(frozen=True)
class Span:
    """Positions start, start + step, ... along one axis, ``count`` of them; ``whole`` if all."""

    start: sp.Expr
    step: sp.Expr
    count: sp.Expr
    whole: bool = False


@dataclass(frozen=True)
class Windows:
    """Two axes in place of one: windows of ``width`` that begin at start, start + step, ..."""

    start: sp.Expr
    step: sp.Expr
    count: sp.Expr
    width: sp.Expr


@dataclass(frozen=True)
class At:
    """One position."""

    position: sp.Expr


@dataclass(frozen=True)
class Lookup(Node):
    """Positions that are data: an integer array."""

    array: Node


@dataclass(frozen=True)
class Positions:
    """Σ_j step_j · axis_j + start: positions along one axis by several indices."""

    start: sp.Expr
    steps: tuple[tuple[sp.Expr, sp.Expr], ...]


Subscript = Span | Windows | At | Lookup | Positions


@dataclass(frozen=True)
class Read(Node):
    """An array at subscripts; ``axes`` are the indices that run."""

    name: str
    subscripts: tuple[Subscript, ...]

    def map(self, change: Callable[[Node], Node]) -> Node:
        """A leaf."""
        return change(self)

    @property
    def whole(self) -> bool:
        """Whether this is the array itself."""
        return all(isinstance(s, Span) and s.whole for s in self.subscripts)


@dataclass(frozen=True)
class Einsum(Node):
    """Σ over the indices that ``axes`` lacks of the product of the operands."""

    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Counter(Node):
    """The positions 0, 1, ..., size − 1 along an axis."""

    size: sp.Expr


@dataclass(frozen=True)
class Same(Node):
    """1 where two arrays of positions are equal, otherwise 0."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Arrays:
    """What the translation has to know of its surroundings.

    Attributes
    ----------
    shape : callable
        The ranges of an array's subscripts, by its name.
    choice : callable
        The activation of a constraint, by its state.
    extent : mapping
        The sizes of running indices.
    loops : frozenset
        Indices that are numbers here: a loop runs over them.
    """

    shape: Callable[[str], Shape]
    choice: Callable[[str], Choice]
    extent: Mapping[sp.Symbol, sp.Expr]
    loops: frozenset[sp.Symbol] = frozenset()

    def build(self, expr: sp.Expr, wanted: Axes) -> Node:
        """An index expression as a tree; ``wanted`` is the preferred order of its axes.

        Raises
        ------
        DerivationError
            Naming what has no array form.
        """
        if isinstance(expr, sp.Indexed):
            return self.read(expr)
        if isinstance(expr, sp.Add) and self._has_axes(expr):
            terms = [self.build(arg, wanted) for arg in expr.as_ordered_terms()]
            terms.sort(key=lambda term: -len(term.axes))
            return t.total(terms, _union(terms, wanted))
        if isinstance(expr, sp.Sum):
            return self._sum(expr, wanted)
        if isinstance(expr, sp.Mul):
            return self.product([expr], {}, wanted)
        if isinstance(expr, sp.KroneckerDelta):
            return self._same(expr, wanted)
        if not self._has_axes(expr):
            return t.scalar(expr)
        if isinstance(expr, sp.Pow) and expr.exp.is_number:
            return self._power(expr, wanted)
        return self._call(expr, wanted)

    def _has_axes(self, expr: sp.Expr) -> bool:
        return bool(expr.has(sp.Indexed, l.LogSumExp) or expr.free_symbols & set(self.extent))

    # -- subscripts --------------------------------------------------------------------------------

    def read(self, expr: sp.Indexed) -> Read:
        """An array at its subscripts."""
        name = str(expr.base.label)
        axes: list[sp.Symbol] = []
        inside: list[sp.Symbol] = []  # positions within windows are the last axes
        subscripts: list[Subscript] = []
        for index, limits in zip(expr.indices, self.shape(name), strict=True):
            subscript, running = self.subscript(index, limits)
            subscripts.append(subscript)
            if isinstance(subscript, Windows):
                running, last = running[:1], running[1]
                inside.append(last)
            axes += running
        axes += inside
        if len(set(axes)) < len(axes):
            raise DerivationError(f"{expr} reads a diagonal, which has no array form here")
        return Read(tuple(axes), name, tuple(subscripts))

    def subscript(
        self, index: sp.Expr, limits: tuple[sp.Expr, sp.Expr]
    ) -> tuple[Subscript, tuple[sp.Symbol, ...]]:
        """A subscript as positions along an axis, and the indices that run in it."""
        if isinstance(index, sp.Indexed):
            node = self.read(index)
            return Lookup(node.axes, node), node.axes
        low, high = limits
        running = sorted(
            (v for v in index.free_symbols & set(self.extent) if v not in self.loops), key=str
        )
        expanded = sp.expand(index)
        slopes = {v: expanded.coeff(v) for v in running}
        rest = sp.expand(expanded - sum(c * v for v, c in slopes.items()))
        if rest.has(sp.Indexed, *running):
            raise DerivationError(f"the subscript {index} is not affine")
        start = sp.expand(rest + sum(slopes.values()) - low)  # every running index begins at 1
        if not running:
            return At(start), ()
        if len(running) == 1:
            (v,) = running
            count = self.extent[v]
            whole = start == 0 and slopes[v] == 1 and sp.expand(count - (high - low + 1)) == 0
            return Span(start, slopes[v], count, whole), (v,)
        inner = [v for v in running if slopes[v] == 1]
        if len(running) == 2 and inner:
            (outer,) = (v for v in running if v != inner[-1])
            found = Windows(start, slopes[outer], self.extent[outer], self.extent[inner[-1]])
            return found, (outer, inner[-1])
        return Positions(start, tuple((slopes[v], self.extent[v]) for v in running)), tuple(running)

    def _same(self, delta: sp.KroneckerDelta, wanted: Axes) -> Node:
        sides: list[Node] = []
        for side in sorted(delta.args, key=lambda e: not e.has(sp.Indexed)):
            if isinstance(side, sp.Indexed):
                sides.append(self.read(side))
            elif side in self.extent and side not in self.loops:
                sides.append(Counter((side,), self.extent[side]))
            else:
                sides.append(t.scalar(side - 1))
        return Same(_union(sides, wanted), sides[0], sides[1])

    # -- functions -----------------------------------------------------------------------------------

    def _power(self, expr: sp.Pow, wanted: Axes) -> Node:
        if expr.exp.is_negative:
            below = self.build(expr.base**-expr.exp, wanted)
            return t.Product(below.axes, (t.ONE,), (below,))
        inner = self.build(expr.base, wanted)
        return t.Power(inner.axes, inner, expr.exp)

    def _call(self, expr: sp.Expr, wanted: Axes) -> Node:
        if isinstance(expr, Largest | ArgLargest):
            inside, v, size = expr.args
            over = sp.Dummy(v.name, integer=True, positive=True)
            wider = replace(self, extent={**self.extent, over: size})
            node = wider.build(inside.xreplace({v: over}), (*wanted, over))
            op = "max" if isinstance(expr, Largest) else "argmax"
            return t.Reduced(tuple(a for a in node.axes if a != over), node, op)
        if isinstance(expr, l.LogSumExp | l.Coupled):
            return self._coupled(expr, wanted)
        if isinstance(expr, l.Opaque):
            choice = self.choice(str(expr.args[0]))
            node = self.build(expr.args[-1], wanted)
            return t.Call(node.axes, Fn(choice.name), (node, *_parameters(choice)))
        if expr.is_Symbol:
            raise DerivationError(f"the index {expr.name} is used as a value")
        if isinstance(expr, sp.Piecewise):
            expr = l.cases(expr)
        name, arguments = function_name(expr)
        args = tuple(self.build(arg, wanted) for arg in arguments)
        return t.Call(_union(args, wanted), Fn(name), args)

    def _coupled(self, expr: sp.Expr, wanted: Axes) -> Node:
        """A function along the last axis of its argument."""
        vector, size = expr.args[-2:]
        component = sp.Dummy("r", integer=True, positive=True)
        if isinstance(expr, l.Coupled):
            component = expr.args[1]
        wider = replace(self, extent={**self.extent, component: size})
        node = wider.build(vector.xreplace({l.STAR: component}), wanted)
        if node.axes[-1] != component:
            raise DerivationError(f"{expr}: the components have to be the last axis")
        if isinstance(expr, l.LogSumExp):
            return t.Call(node.axes[:-1], Fn("logsumexp", coupled=True), (node,))
        choice = self.choice(str(expr.args[0]))
        return t.Call(node.axes, Fn(choice.name, coupled=True), (node, *_parameters(choice)))

    # -- sums and products -----------------------------------------------------------------------------

    def _sum(self, expr: sp.Sum, wanted: Axes) -> Node:
        names = {v: sp.Dummy(v.name, integer=True, positive=True) for v, *_ in expr.limits}
        bound = {names[v]: high.xreplace(names) for v, _, high in expr.limits}
        inside = expr.function.xreplace(names)
        if isinstance(inside, sp.Add):
            nodes = [self.product([arg], bound, wanted) for arg in inside.args]
            return t.total(nodes, _union(nodes, wanted))
        return self.product([inside], bound, wanted)

    def product(
        self, factors: Iterable[sp.Expr], bound: Mapping[sp.Symbol, sp.Expr], wanted: Axes
    ) -> Node:
        """Σ over ``bound`` (index → size) of a product."""
        inner = replace(self, extent={**self.extent, **bound})
        above: list[Node] = []
        below: list[Node] = []
        for factor in (e for f in factors for e in sp.Mul.make_args(f)):
            if isinstance(factor, sp.Pow) and factor.exp.is_negative:
                below.append(inner.build(factor.base**-factor.exp, wanted))
            elif isinstance(factor, sp.Rational) and factor.q != 1:
                above.append(t.scalar(factor.p))
                below.append(t.scalar(factor.q))
            else:
                above.append(inner.build(factor, wanted))
        for v in list(bound):
            if not any(v in node.axes for node in (*above, *below)):
                above.append(t.scalar(bound[v]))
        over = {v for v in bound if any(v in node.axes for node in (*above, *below))}
        if over:
            above, below = _contracted(above, below, over, wanted)
        return _merged(above, below, wanted)


def _parameters(choice: Choice) -> tuple[Node, ...]:
    return tuple(t.scalar(sp.Float(value)) for _, value in choice.parameters)


def _contracted(
    above: list[Node], below: list[Node], over: set[sp.Symbol], wanted: Axes
) -> tuple[list[Node], list[Node]]:
    """The factors that hold a summed index become one reduction or contraction."""
    rest = [n for n in above if not over & set(n.axes)]
    outer = [n for n in below if not over & set(n.axes)]
    sign = 1
    groups: dict[frozenset[sp.Symbol], tuple[list[Node], list[Node]]] = {}
    for node in (n for n in above if over & set(n.axes)):
        bare = t.unsigned(node)
        sign = -sign if bare is not node else sign
        groups.setdefault(frozenset(bare.axes), ([], []))[0].append(bare)
    for node in (n for n in below if over & set(n.axes)):
        home = min(
            (g for g in groups if set(node.axes) <= g), key=len, default=frozenset(node.axes)
        )
        groups.setdefault(home, ([], []))[1].append(node)
    operands = [_merged(up, down, wanted) for up, down in groups.values()]
    union = _union(operands, wanted)
    kept = tuple(a for a in union if a not in over)
    whole: Node
    if len(operands) == 1:
        whole = t.Reduced(tuple(a for a in operands[0].axes if a not in over), operands[0])
    else:
        operands.sort(key=lambda n: min((kept.index(a) for a in n.axes if a in kept), default=9))
        whole = Einsum(kept, tuple(operands))
    return [*rest, whole if sign > 0 else t.negate(whole)], outer


def _merged(above: list[Node], below: list[Node], wanted: Axes) -> Node:
    factors, divisors = _one_number(above), _one_number(below)
    return t.product(factors, divisors, _union([*factors, *divisors], wanted))


def _one_number(nodes: list[Node]) -> list[Node]:
    """Sizes and other numbers multiplied with each other, as one factor in front."""
    numbers = [n.value for n in nodes if isinstance(n, t.Number)]
    if len(numbers) < 2:
        return nodes
    whole = t.scalar(sp.Mul(*numbers))
    return [whole, *(n for n in nodes if not isinstance(n, t.Number))]


def _union(nodes: Iterable[Node], wanted: Axes) -> Axes:
    """All axes of the operands: as the largest has them, otherwise in the wanted order."""
    every = [node.axes for node in nodes]
    present = dict.fromkeys(a for axes in every for a in axes)
    largest = max(every, key=len, default=())
    if len(present) == len(largest):
        return largest
    first = [a for a in wanted if a in present]
    return tuple(dict.fromkeys([*first, *largest, *present]))
