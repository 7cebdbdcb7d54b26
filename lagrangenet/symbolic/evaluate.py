"""Index expressions as numbers, at a small random world: the check that a step is held against.

A :class:`World` fixes widths, depth, batch, arrays and a concrete function for every opaque one.
The functions are analytic, differ from layer to layer and know all their derivatives in closed
form. A pending derivative is a complex step, so no rule of differentiation is used twice.
Refuses nodes it has no value for, by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between

#: Size of a complex step: the error is of the order of its square.
STEP = 1e-30

#: (widths, samples): depth 1 to 3, both boundary layers, axes of size 1.
SIZES = (
    ((1, 1), 1),
    ((2, 3), 2),
    ((3, 1, 2), 1),
    ((1, 2, 1), 2),
    ((2, 3, 2, 3), 2),
)

#: Labels before the derivative indices of a coupled function: sample; layer and component.
_LABELS = {"ell": 1, "sigma": 2}

#: The array that a tangent is a direction for: of the same shape.
_MOVED = {tangent: base for base, tangent in l.TANGENTS.items()}

#: An integer for indices and widths, otherwise complex.
Number = Any
Evaluator = Callable[["Point"], Number]


@dataclass(frozen=True)
class World:
    """Sizes, kinds of layer and random numbers for everything that has a name.

    Attributes
    ----------
    widths : tuple of int
        n(0), ..., n(N).
    samples : int
        M.
    kinds : tuple of sympy.Symbol
        The kind of layer 1, ..., N.
    tied : bool
        Whether z^k abbreviates W^k x^{k-1} + b^k, or is an array of its own.
    """

    widths: tuple[int, ...]
    samples: int
    kinds: tuple[sp.Symbol, ...]
    tied: bool = True
    seed: int = 0
    _arrays: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def depth(self) -> int:
        """N."""
        return len(self.widths) - 1

    def array(self, base: sp.IndexedBase, layer: int) -> np.ndarray[Any, Any]:
        """The array of a name at a layer; Y has no layer and is kept at N."""
        key = (str(base.label), layer)
        if key not in self._arrays:
            whole = Point(self, {})
            extents = l.widths_of(_MOVED.get(base, base), sp.Integer(layer))
            shape = [int(compiled(size)(whole)) for size in extents]
            self._arrays[key] = self._numbers(*key).normal(size=shape)
        return self._arrays[key]  # type: ignore[no-any-return]

    def scalar(self, name: str) -> float:
        """A positive scalar such as ρ."""
        return float(0.5 + self._numbers(name).random())

    def componentwise(self, name: str, labels: tuple[int, ...], order: int, at: Number) -> Number:
        """The derivative of order ``order`` of sin(α t + β), α and β by name and labels."""
        alpha, beta = self._ridge(name, labels, 1)
        return _sine(order, complex(alpha[0] * at + beta)) * alpha[0] ** order

    def coupled(
        self, name: str, labels: tuple[int, ...], along: tuple[int, ...], vector: list[Number]
    ) -> Number:
        """The partial derivative along ``along`` of Σ_j sin(⟨w_j, v⟩ + β_j), a sum of two."""
        total: Number = 0
        for part in (1, 2):
            weights, beta = self._ridge(name, (*labels[:-1], part), len(vector), labels[-1])
            inner = beta + sum(w * v for w, v in zip(weights, vector, strict=True))
            slope = math.prod(weights[r - 1] for r in along)
            total += slope * _sine(len(along), complex(inner))
        return total

    def _ridge(
        self, name: str, labels: tuple[int, ...], size: int, last: int = 0
    ) -> tuple[list[float], float]:
        key = (f"{name} {labels} {last}", size)
        if key not in self._arrays:
            numbers = self._numbers(*key)
            weights = [float(w) for w in 0.4 + 0.8 * numbers.random(size)]
            self._arrays[key] = weights, float(numbers.normal())
        return self._arrays[key]  # type: ignore[no-any-return]

    def _numbers(self, name: str, layer: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(name.encode()), layer])

    def __str__(self) -> str:
        kinds = ", ".join(map(str, self.kinds))
        return f"widths {self.widths}, M = {self.samples}, layers {kinds}"


def _sine(order: int, at: complex) -> complex:
    """The derivative of a given order of the sine, with a real and an imaginary part."""
    value = (np.sin, np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t))[order % 4](at)
    return complex(value)


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


@cache
def worlds(kinds: tuple[sp.Symbol, ...], tied: bool) -> tuple[World, ...]:
    """Worlds of all :data:`SIZES`; if there are several kinds, layers of all kinds in turn."""
    found = []
    for number, (widths, samples) in enumerate(SIZES):
        depth = len(widths) - 1
        for start in range(len(kinds)):
            turns = itertools.islice(itertools.cycle(kinds), start, start + depth)
            found.append(World(widths, samples, tuple(turns), tied, number))
    return tuple(found)


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
