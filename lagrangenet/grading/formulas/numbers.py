"""Both sides in numbers, at small random networks: the second opinion beside the normal form.

The derived side is evaluated by :mod:`lagrangenet.symbolic.evaluate` from SymPy's expression, the
student's side here from the tree that was read, before any rewriting. See :mod:`.networks` for the
functions and the sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.grading.formulas.indexed import (
    Add,
    Fun,
    Layer,
    Mul,
    Num,
    Pow,
    Ref,
    Sum,
    Sym,
    Tree,
    belongs,
)
from lagrangenet.grading.formulas.networks import Array, Instance, apply
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.evaluate import compiled, evaluated

#: Relative error below which two numbers are equal.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Point:
    """A network, and numbers for the layers that are bound or free."""

    network: Instance
    layers: Mapping[str, int]

    def layer(self, layer: Layer) -> int:
        """A layer as a number."""
        known = {"": 0, "N": self.network.depth, **self.layers}
        if layer.base not in known:
            raise DerivationError(f"layer {layer} is not known")
        return known[layer.base] + layer.offset


@dataclass(frozen=True)
class Named:
    """An array and the names of its axes."""

    array: Array
    axes: tuple[str, ...] = ()

    def over(self, axes: tuple[str, ...]) -> Array:
        """The array, shaped so that it broadcasts over these axes."""
        order = sorted(range(len(self.axes)), key=lambda j: axes.index(self.axes[j]))
        index = tuple(slice(None) if axis in self.axes else None for axis in axes)
        return np.asarray(np.transpose(self.array, order)[index])


def numeric(tree: Tree, point: Point) -> Named:
    """The value of a tree at a point, an axis for each free index.

    Raises
    ------
    DerivationError
        Where a layer, an array or a function does not exist.
    """
    match tree:
        case Num(value):
            return Named(np.array(float(value)))
        case Sym(name, layer):
            return Named(np.array(_scalar(name, layer, point)))
        case Ref():
            return _entry(tree, point)
        case Fun():
            inner = numeric(tree.arg, point)
            layer = tree.layer or _layer_of(tree.arg)
            where = 0 if layer is None else point.layer(layer)
            if tree.name == "sigma" and not 1 <= where <= point.network.depth:
                raise DerivationError(f"there is no σ of layer {where}")
            axis = inner.axes.index(tree.along) if tree.along in inner.axes else -1
            return Named(
                apply(point.network, tree.name, where, tree.order, inner.array, axis), inner.axes
            )
        case Add(terms):
            return _joined([numeric(term, point) for term in terms], np.add)
        case Mul(factors):
            return _joined([numeric(factor, point) for factor in factors], np.multiply)
        case Pow(base, exponent):
            inner = numeric(base, point)
            with np.errstate(all="ignore"):
                return Named(inner.array ** float(exponent), inner.axes)
        case Sum():
            return _total(tree, point)
    raise DerivationError(type(tree).__name__)


def _scalar(name: str, layer: Layer | None, point: Point) -> float:
    if name == "M":
        return float(point.network.samples)
    if name == "n" and layer is not None:
        return float(point.network.widths[point.layer(layer)])
    return point.network.scalar(name)


def _entry(ref: Ref, point: Point) -> Named:
    network = point.network
    where = network.depth if ref.layer is None else point.layer(ref.layer)
    least = 0 if ref.name == "X" else 1
    if not least <= where <= network.depth:
        raise DerivationError(f"there is no {ref.name} of layer {where}")
    unit = ref.name == "kron"
    array = np.eye(network.widths[where]) if unit else network.named(ref.name, where)
    if len(set(ref.at)) == len(ref.at):
        return Named(array, ref.at)
    axes = tuple(dict.fromkeys(ref.at))
    letters = {axis: chr(97 + j) for j, axis in enumerate(axes)}
    spec = "".join(letters[axis] for axis in ref.at) + "->" + "".join(letters.values())
    return Named(np.einsum(spec, array), axes)


def _joined(parts: list[Named], operation: Any) -> Named:
    axes = tuple(dict.fromkeys(axis for part in parts for axis in part.axes))
    arrays = [part.over(axes) for part in parts]
    result = arrays[0]
    with np.errstate(all="ignore"):
        for array in arrays[1:]:
            result = operation(result, array)
    return Named(np.asarray(result), axes)


def _total(tree: Sum, point: Point) -> Named:
    over = tree.over
    if over.kind == "layer":
        assert over.low is not None
        assert over.high is not None
        span = range(point.layer(over.low), point.layer(over.high) + 1)
        parts = [
            numeric(tree.body, Point(point.network, {**point.layers, tree.index: k})) for k in span
        ]
        return _joined(parts, np.add) if parts else Named(np.array(0.0))
    inner = numeric(tree.body, point)
    if tree.index in inner.axes:
        axis = inner.axes.index(tree.index)
        axes = tuple(a for a in inner.axes if a != tree.index)
        with np.errstate(all="ignore"):
            return Named(np.asarray(inner.array.sum(axis=axis)), axes)
    size = point.network.samples
    if over.kind == "component":
        if over.layer is None:
            raise DerivationError("a sum over nothing")
        size = point.network.widths[point.layer(over.layer)]
    return Named(inner.array * size, inner.axes)


def _layer_of(tree: Tree) -> Layer | None:
    """The layer that a function without one belongs to."""
    found: dict[str, Layer] = {}
    for one in tree.walk():
        if isinstance(one, Ref) and one.layer is not None:
            found.setdefault(one.name, one.layer)
    return belongs(found)


@dataclass(frozen=True)
class Comparison:
    """Both sides at one layer of one network.

    Attributes
    ----------
    network : Instance
    layer : int
    expected, found : ndarray
    """

    network: Instance
    layer: int
    expected: Array
    found: Array

    @property
    def equal(self) -> bool:
        """Whether they agree to rounding."""
        size = max(1.0, float(np.max(np.abs(self.expected), initial=0.0)))
        return bool(np.all(self.gap <= TOLERANCE * size))

    @property
    def gap(self) -> Array:
        """The distance at each index, infinite where there is no number."""
        with np.errstate(all="ignore"):
            gap = np.abs(self.expected - self.found)
        return np.where(np.isnan(gap), np.inf, gap)

    def worst(self) -> tuple[tuple[int, ...], float, float]:
        """Where they differ most, and both numbers."""
        place = np.unravel_index(int(np.argmax(self.gap)), self.gap.shape)
        where = tuple(int(j) for j in place)
        return where, float(self.expected[where]), float(self.found[where])


@cache
def _function(expr: sp.Expr) -> Any:
    return compiled(expr)


@cache
def derived_values(expr: sp.Expr, network: Instance, k: int, axes: tuple[str, ...]) -> Array:
    """The derived side, for all values of its free indices."""
    sizes = {"i": network.samples, "p": network.widths[k], "q": network.widths[k - 1]}
    symbols = {"i": l.i, "p": l.p, "q": l.q}
    shape = [sizes[axis] for axis in axes]
    result = np.empty(shape)
    for place in itertools.product(*(range(s) for s in shape)):
        at = {symbols[axis]: j + 1 for axis, j in zip(axes, place, strict=True)}
        result[place] = evaluated(_function(expr), network, {l.k: k, **at})
    return result


def compared(
    tree: Tree, expr: sp.Expr, network: Instance, k: int, axes: tuple[str, ...]
) -> Comparison:
    """The student's tree beside the derived expression at layer k; indices i, p, q."""
    expected = derived_values(expr, network, k, axes)
    free = {"k": k} if expr.has(l.k) else {}
    found = numeric(tree, Point(network, free))
    if set(found.axes) - set(axes):
        raise DerivationError(f"indices {found.axes} are left over where {axes} are wanted")
    array = np.broadcast_to(found.over(axes), expected.shape)
    return Comparison(network, k, expected, np.asarray(array))
