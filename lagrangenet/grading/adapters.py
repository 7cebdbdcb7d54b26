"""Declared layouts, into and out of them: the package's arrays as a submission wants them, and back.

    (W^k, b^k) ↔ transposed, bias as a row, a column, or folded into W ↔ list, dictionary, one vector

Nothing is guessed: what comes back is undone as it was declared. An array whose shape does not fit
is handed on as it came, for the judge to name; a value that is no array raises :class:`LayoutError`
with the words that a student can use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.grading.contract import Layout
from lagrangenet.grading.protocol import Bad

Array = NDArray[Any]
Pair = tuple[Array | None, Array | None]


class LayoutError(Exception):
    """An answer that is not what the contract declares."""


# -- towards the submission -----------------------------------------------------------------------


def weight(layout: Layout, W: Array) -> Array:
    """W^k as the submission holds it."""
    return W if layout.weights == "out,in" else W.T


def bias(layout: Layout, b: Array) -> Array:
    """b^k as the submission holds it."""
    return {"row": b[None, :], "column": b[:, None]}.get(layout.bias, b)


def blocks(layout: Layout, W: Array, b: Array) -> tuple[Array, ...]:
    """The arrays of a layer: weights and bias, or both in one.

    Examples
    --------
    >>> (folded,) = blocks(Layout(bias="first", keys=("T{k}",)), np.ones((2, 3)), np.zeros(2))
    >>> folded
    array([[0., 1., 1., 1.],
           [0., 1., 1., 1.]])
    """
    if not layout.folded:
        return weight(layout, W), bias(layout, b)
    columns = (b[:, None], W) if layout.bias == "first" else (W, b[:, None])
    return (weight(layout, np.hstack(columns)),)


def container(layout: Layout, theta: Sequence[tuple[Array, Array]]) -> Any:
    """All parameters in the declared container."""
    layers = [blocks(layout, W, b) for W, b in theta]
    if layout.container == "dict":
        numbered = enumerate(layers, layout.first)
        return {
            key.replace("{k}", str(k)): block
            for k, layer in numbered
            for key, block in zip(layout.keys, layer, strict=True)
        }
    flat = [block for layer in layers for block in layer]
    if layout.container.startswith("flat"):
        order = _order(layout)
        return np.concatenate([block.ravel(order) for block in flat])
    if layout.container == "lists" and not layout.folded:
        return tuple(list(column) for column in zip(*layers, strict=True))
    return layers if layout.container == "pairs" and not layout.folded else flat


def samples(layout: Layout, X: Array) -> Array:
    """Samples, or anything with a row per sample, as the submission holds them."""
    return X.T if layout.samples == "columns" else X


def labels(layout: Layout, Y: Array) -> Array:
    """Labels: as the samples, or as numbers of classes."""
    if layout.labels in {"matrix", "one-hot"}:
        return samples(layout, Y)
    if layout.labels == "vector":
        return Y[:, 0]
    numbers = Y.argmax(axis=1) if Y.shape[1] > 1 else Y[:, 0]
    counted = numbers.astype(np.int64) + (1 if layout.labels.endswith("from 1") else 0)
    return samples(layout, counted[:, None]) if layout.labels.startswith("column") else counted


def one(layout: Layout, row: Array) -> Any:
    """What belongs to one sample, of one call: a vector, a column, or a number."""
    if row.ndim == 0:
        return row.item()
    return row[:, None] if layout.samples == "one column" else row


# -- and back -------------------------------------------------------------------------------------


def array(value: Any, name: str) -> Array:
    """A float64 array, or an error in words."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64)
    if isinstance(value, list) and value:
        parts = [array(item, name) for item in value]
        if len({part.shape for part in parts}) == 1:
            return np.stack(parts)
        raise LayoutError(f"{name} is a list of unequal lengths, not an array")
    raise LayoutError(f"{name} is {described(value)}, not an array of numbers")


def described(value: Any) -> str:
    """A value in words."""
    if isinstance(value, Bad):
        return value.what
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return "a dictionary" if isinstance(value, dict) else "None" if value is None else "a list"


def items(value: Any, name: str) -> list[Any]:
    """The items of a list; of an array along its first axis."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return list(value)
    if isinstance(value, list):
        return value
    raise LayoutError(f"{name} is {described(value)}, not a list")


def matrix(layout: Layout, value: Any, name: str) -> Array:
    """A weight's gradient in the package's orientation."""
    found = array(value, name)
    return found.T if layout.weights == "in,out" and found.ndim == 2 else found


def vector(layout: Layout, value: Any, n: int, name: str) -> Array:
    """A bias's gradient as (n,), if subtracting it moves each entry by its own derivative.

    A row instead of a vector is as good; a vector instead of a column would make a matrix.
    """
    found = array(value, name)
    if layout.bias == "column" and found.shape == (n,) and n > 1:
        raise LayoutError(
            f"{name} has shape ({n},), and the bias is a column ({n}, 1): keep the axis, or "
            "subtracting it makes a matrix"
        )
    fits = [(n, 1), (n,)] if layout.bias == "column" else [(n,), (1, n)]
    return found.reshape(n) if found.shape in fits else found


def unfolded(layout: Layout, value: Any, name: str) -> Pair:
    """Weight and bias out of one matrix."""
    found = matrix(layout, value, name)
    if found.ndim != 2 or found.shape[1] < 2:
        return found, None
    if layout.bias == "first":
        return found[:, 1:], found[:, 0]
    return found[:, :-1], found[:, -1]


def layer(layout: Layout, values: Sequence[Any], n: int, names: Sequence[str]) -> Pair:
    """(dW, db) of one layer."""
    if layout.folded:
        return unfolded(layout, values[0], names[0])
    return matrix(layout, values[0], names[0]), vector(layout, values[1], n, names[1])


def contained(layout: Layout, value: Any, widths: Sequence[int], name: str) -> tuple[Pair, ...]:
    """(dW, db) of every layer out of the declared container."""
    depth, keys = len(widths) - 1, layout.keys
    named = [[key.replace("{k}", str(k + layout.first)) for key in keys] for k in range(depth)]
    rows = _rows(layout, value, widths, named, name)
    return tuple(
        layer(layout, row, n, words) for row, n, words in zip(rows, widths[1:], named, strict=True)
    )


def _rows(
    layout: Layout, value: Any, widths: Sequence[int], named: list[list[str]], name: str
) -> list[list[Any]]:
    """For each layer its one or two values."""
    if layout.container == "dict":
        return [[_key(value, key, name) for key in keys] for keys in named]
    if layout.container.startswith("flat"):
        return _cut(layout, value, widths, name)
    if layout.container == "lists" and not layout.folded:
        columns = items(value, name)
        _count(columns, 2, name)
        return [list(row) for row in zip(*(_layers(c, widths, name) for c in columns), strict=True)]
    if layout.container == "alternating" and not layout.folded:
        found = items(value, name)
        _count(found, 2 * len(named), name)
        return [found[2 * k : 2 * k + 2] for k in range(len(named))]
    found = _layers(value, widths, name)
    if layout.folded:
        return [[item] for item in found]
    pairs = [items(item, name) for item in found]
    for pair in pairs:
        _count(pair, 2, f"a pair of {name}")
    return pairs


def _key(value: Any, key: str, name: str) -> Any:
    if not isinstance(value, dict):
        raise LayoutError(f"{name} is {described(value)}, not a dictionary")
    if key not in value:
        there = ", ".join(list(value)[:8]) or "none"
        raise LayoutError(f"{name} has no key {key!r}; its keys: {there}")
    return value[key]


def _cut(layout: Layout, value: Any, widths: Sequence[int], name: str) -> list[list[Any]]:
    """One vector as the arrays of each layer, in the submission's own layout."""
    zeros = [(np.zeros((n, m)), np.zeros(n)) for m, n in pairwise(widths)]
    shapes = [[block.shape for block in blocks(layout, W, b)] for W, b in zeros]
    flat = array(value, name)
    size = sum(int(np.prod(shape)) for row in shapes for shape in row)
    if flat.size != size or max(flat.shape, default=1) != flat.size:
        raise LayoutError(f"{name} has shape {flat.shape}; there are {size} parameters")
    left, rows, order = flat.ravel(), [], _order(layout)
    for row in shapes:
        cut = []
        for shape in row:
            here, left = np.split(left, [int(np.prod(shape))])
            cut.append(here.reshape(shape, order=order))
        rows.append(cut)
    return rows


def _order(layout: Layout) -> Any:
    return "F" if layout.container.endswith(" F") else "C"


def _layers(value: Any, widths: Sequence[int], name: str) -> list[Any]:
    found = items(value, name)
    _count(found, len(widths) - 1, name)
    return found


def _count(found: Sequence[Any], wanted: int, name: str) -> None:
    if len(found) != wanted:
        raise LayoutError(f"{name} has {len(found)} items, {wanted} are declared")


def rows(layout: Layout, values: list[Any], name: str) -> Array:
    """What belongs to samples, a row for each: from one batch, or from one call per sample."""
    if layout.single:
        found = [array(value, name) for value in values]
        flat = [row[:, 0] if row.ndim == 2 and row.shape[1] == 1 else row for row in found]
        return array(flat, name)
    whole = array(values[0], name)
    return whole.T if layout.samples == "columns" and whole.ndim == 2 else whole


def number(value: Any, name: str) -> float:
    """A loss."""
    found = array(value, name)
    if found.size != 1:
        raise LayoutError(f"{name} is {described(found)}, not one number")
    return float(found.reshape(()))


def each(
    values: Any, depth: int, name: str, extra: bool, make: Callable[[Any, str], Array]
) -> tuple[Array, ...]:
    """One array for each layer; with ``extra`` one for the input layer may come first."""
    found = items(values, name)
    if extra and len(found) == depth + 1:
        found = found[1:]
    _count(found, depth, name)
    return tuple(make(value, f"{name}[{k}]") for k, value in enumerate(found))
