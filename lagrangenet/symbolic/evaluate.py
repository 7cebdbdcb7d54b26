"""Index expressions as numbers, at a concrete world: the check that a step is held against.

A pending derivative is a complex step, so no rule of differentiation is used twice. Refuses nodes
that it has no value for, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between
from lagrangenet.symbolic.worlds import Number, World

#: Size of a complex step: the error is of the order of its square.
STEP = 1e-30

#: Labels before the derivative indices of a coupled function: sample; layer and component.
_LABELS = {"ell": 1, "sigma": 2}

Evaluator = Callable[["Point"], Number]


@dataclass(frozen=True)
class Point:
    """A world, numbers for the free indices, and the entry that is moved by a complex step."""

    world: World
    at: dict[sp.Symbol, int]
    moved: tuple[str, tuple[int, ...]] | None = None

    def bind(self, index: sp.Symbol, value: int) -> Point:
        """The same point with one more index."""
        return Point(self.world, {**self.at, index: value}, self.moved)

    def symbol(self, symbol: sp.Symbol) -> int | float:
        """The value of an index, of N or M, or of a positive scalar."""
        if symbol in self.at:
            return self.at[symbol]
        if symbol == l.N:
            return self.world.depth
        return self.world.samples if symbol == l.M else self.world.scalar(symbol.name)


def value(expr: sp.Expr, world: World, at: dict[sp.Symbol, int]) -> float:
    """The value of an expression; ``at`` gives its free indices.

    Raises
    ------
    DerivationError
        For a node without a value.

    Examples
    --------
    >>> world = World((2, 3), 5, (l.COMPONENTWISE,))
    >>> value(sp.Sum(l.i, (l.i, 1, l.M)) + l.n(l.k), world, {l.k: 1})
    18.0
    """
    return evaluated(compiled(expr), world, at)


def evaluated(function: Evaluator, world: World, at: dict[sp.Symbol, int]) -> float:
    """The value of a compiled expression."""
    return float(np.real(function(Point(world, at))))


# -- one small function per node ---------------------------------------------------------------------


def compiled(expr: sp.Expr) -> Evaluator:
    """An expression as a function of a :class:`Point`."""
    for kind, compile_ in _RULES:
        if isinstance(expr, kind):
            return compile_(expr)
    raise DerivationError(f"no value for {type(expr).__name__}: {expr}")


def _constant(expr: sp.Expr) -> Evaluator:
    number = int(expr) if expr.is_Integer else float(expr)
    return lambda _: number


def _symbol(expr: sp.Symbol) -> Evaluator:
    return lambda point: point.symbol(expr)


def _add(expr: sp.Add) -> Evaluator:
    terms = [compiled(arg) for arg in expr.args]
    return lambda point: sum(term(point) for term in terms)


def _mul(expr: sp.Mul) -> Evaluator:
    """Brackets first: where one is zero, the other factors need not exist."""
    brackets = (Between, l.Member, sp.KroneckerDelta)
    factors = [compiled(a) for a in sorted(expr.args, key=lambda a: not isinstance(a, brackets))]

    def product(point: Point) -> Number:
        result: Number = 1
        for factor in factors:
            result *= factor(point)
            if result == 0:
                break
        return result

    return product


def _power(expr: sp.Pow) -> Evaluator:
    base, exponent = compiled(expr.base), compiled(expr.exp)
    return lambda point: base(point) ** exponent(point)


def _sum(expr: sp.Sum) -> Evaluator:
    inside = compiled(expr.function)
    for index, lower, upper in expr.limits:
        inside = _over(inside, index, compiled(lower), compiled(upper))
    return inside


def _over(inside: Evaluator, index: sp.Symbol, lower: Evaluator, upper: Evaluator) -> Evaluator:
    def total(point: Point) -> Number:
        span = range(int(lower(point)), int(upper(point)) + 1)
        return sum(inside(point.bind(index, j)) for j in span)

    return total


def _indexed(expr: sp.Indexed) -> Evaluator:
    base, indices = expr.base, [compiled(a) for a in expr.indices]
    abbreviated = {l.Z: _affine, l.TANGENTS[l.Z]: _affine_tangent}.get(base)

    def entry(point: Point) -> Number:
        place = tuple(int(index(point)) for index in indices)
        if abbreviated and point.world.tied:
            return abbreviated(point, *place)
        return _entry(point, base, place)

    return entry


_layer, _sample, _row = sp.symbols("layer sample row", integer=True, positive=True)


def _affine(point: Point, layer: int, sample: int, row: int) -> Number:
    """(W^k x_i^{k-1} + b^k)_p at concrete places."""
    return _total(point, layer, sample, row, l.b, ((l.W, l.X),))


def _affine_tangent(point: Point, layer: int, sample: int, row: int) -> Number:
    """(Ẇ^k x_i^{k-1} + W^k ẋ_i^{k-1} + ḃ^k)_p at concrete places."""
    dot = l.TANGENTS
    return _total(point, layer, sample, row, dot[l.b], ((dot[l.W], l.X), (l.W, dot[l.X])))


def _total(
    point: Point,
    layer: int,
    sample: int,
    row: int,
    bias: sp.IndexedBase,
    pairs: tuple[tuple[sp.IndexedBase, sp.IndexedBase], ...],
) -> Number:
    total = _entry(point, bias, (layer, row))
    for weights, states in pairs:
        for column in range(1, point.world.widths[layer - 1] + 1):
            weight = _entry(point, weights, (layer, row, column))
            total += weight * _entry(point, states, (layer - 1, sample, column))
    return total


def _entry(point: Point, base: sp.IndexedBase, place: tuple[int, ...]) -> Number:
    """An entry of an array, moved if it is the one that a derivative moves."""
    layer, *rest = (point.world.depth, *place) if base == l.Y else place
    array = point.world.array(base, layer)
    if not all(1 <= j <= size for j, size in zip(rest, array.shape, strict=True)):
        raise DerivationError(f"there is no {base}{list(place)} in a network with {point.world}")
    number = complex(array[tuple(j - 1 for j in rest)])
    return number + 1j * STEP if point.moved == (str(base.label), place) else number


def _delta(expr: sp.KroneckerDelta) -> Evaluator:
    left, right = (compiled(arg) for arg in expr.args)
    return lambda point: int(left(point) == right(point))


def _between(expr: Between) -> Evaluator:
    low, middle, high = (compiled(arg) for arg in expr.args)

    def bracket(point: Point) -> Number:
        return int(int(low(point)) <= int(middle(point)) <= int(high(point)))

    return bracket


def _member(expr: l.Member) -> Evaluator:
    layer, kind = compiled(expr.args[0]), expr.args[1]

    def bracket(point: Point) -> Number:
        number = int(layer(point))
        return int(1 <= number <= point.world.depth and point.world.kinds[number - 1] == kind)

    return bracket


def _width(expr: l.n) -> Evaluator:
    layer = compiled(expr.args[0])
    return lambda point: point.world.widths[int(layer(point))]


def _opaque(expr: l.Opaque) -> Evaluator:
    *labels, argument = (compiled(arg) for arg in expr.args)

    def call(point: Point) -> Number:
        where = tuple(int(label(point)) for label in labels)
        return point.world.componentwise(expr.name, where, expr.order, argument(point))

    return call


def _coupled(expr: l.Coupled | l.Partial) -> Evaluator:
    *leading, inside, size = (compiled(arg) for arg in expr.args)
    count = _LABELS[expr.name]

    def call(point: Point) -> Number:
        numbers = tuple(int(index(point)) for index in leading)
        span = range(1, int(size(point)) + 1)
        vector = [inside(point.bind(l.STAR, r)) for r in span]
        return point.world.coupled(expr.name, numbers[:count], numbers[count:], vector)

    return call


def _pending(expr: l.Pending) -> Evaluator:
    inside, base = compiled(expr.args[0]), str(expr.args[1].base.label)
    indices = [compiled(index) for index in expr.args[1].indices]

    def slope(point: Point) -> Number:
        if point.moved is not None:
            raise DerivationError(f"a derivative of a derivative: {expr}")
        place = tuple(int(index(point)) for index in indices)
        moved = Point(point.world, point.at, (base, place))
        return float(np.imag(inside(moved))) / STEP

    return slope


_RULES: tuple[tuple[Any, Callable[[Any], Evaluator]], ...] = (
    (sp.Number, _constant),
    (l.n, _width),
    (sp.Symbol, _symbol),
    (sp.Add, _add),
    (sp.Mul, _mul),
    (sp.Pow, _power),
    (sp.Sum, _sum),
    (sp.Indexed, _indexed),
    (sp.KroneckerDelta, _delta),
    (Between, _between),
    (l.Member, _member),
    (l.Opaque, _opaque),
    ((l.Coupled, l.Partial), _coupled),
    (l.Whole, lambda expr: compiled(expr.args[0])),
    (l.Pending, _pending),
)
