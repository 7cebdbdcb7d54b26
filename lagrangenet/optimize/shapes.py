"""States and multipliers as flat vectors, and in the shapes that routines take and users see.

The order of a flat vector is that of the KKT matrix: x^1, ..., x^N of a chain, each (M, n_k) row by
row; the states of a graph in the order of evaluation, without constants and without what is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.runtime import Array, GraphRoutines, Routines
from lagrangenet.runtime.arrays import floating
from lagrangenet.runtime.graph_layout import GraphLayout
from lagrangenet.runtime.kkt import ChainLayout


class Shapes(Protocol):
    """Conversions between flat vectors and arrays by layer or by name."""

    conditions: int
    layout: Any
    ends: Any  # where each array but the last ends in a flat vector

    def arrays(self, flat: Array) -> Any:
        """The arrays that a user sees: a tuple (x^1, ..., x^N), or a dictionary by state."""

    def flat(self, arrays: Any, name: str) -> Array:
        """The inverse of :meth:`arrays`; accepts what routines return, too."""

    def states(self, flat: Array, theta: Any) -> Any:
        """States as routines take them."""

    def multipliers(self, flat: Array) -> Any:
        """Multipliers as routines take them."""


class ChainShapes:
    """Of a chain: one array (M, n_k) per layer."""

    def __init__(self, routines: Routines, samples: int) -> None:
        self.layout = ChainLayout(routines.problem, samples)
        self.conditions, self.dtype = self.layout.conditions, routines.dtype
        self.shapes: list[tuple[int, ...]] = [(samples, width) for width in self.layout.widths]
        sizes = [samples * width for width in self.layout.widths]
        self.ends = np.cumsum(sizes)[:-1]

    def arrays(self, flat: Array) -> tuple[Array, ...]:
        """(x^1, ..., x^N), views of ``flat``."""
        parts = np.split(flat, self.ends)
        return tuple(part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def flat(self, arrays: Any, name: str) -> Array:
        """One vector from (x^1, ..., x^N), or from the pairs ((z^1, x^1), ...) of routines."""
        if len(arrays) != len(self.shapes):
            raise DataError(f"{name}: {len(arrays)} layers, expected {len(self.shapes)}")
        last = [layer[-1] if isinstance(layer, tuple | list) else layer for layer in arrays]
        return _joined(last, self.shapes, [f"layer {k}" for k in range(1, len(last) + 1)],
                       name, self.dtype)  # fmt: skip

    def states(self, flat: Array, theta: Any) -> Any:  # noqa: ARG002  # a graph needs θ
        """Pairs whose first entry stands for a z^k that residuals and products do not read."""
        return tuple((x, x) for x in self.arrays(flat))

    def multipliers(self, flat: Array) -> Any:
        """Pairs, as :meth:`states`."""
        return tuple((lam, lam) for lam in self.arrays(flat))


class GraphShapes:
    """Of a graph: arrays by the name of the state.

    What a recurrence starts from and the positions that a maximum selects are no unknowns: they are
    those of the forward pass.
    """

    def __init__(self, routines: GraphRoutines, inputs: Any, Y: Any) -> None:
        self.routines, self.inputs, self.dtype = routines, inputs, routines.dtype
        theta = routines.initial()
        self.template = routines.forward(theta, inputs)
        like = routines.backward(theta, inputs, self.template, Y)
        self.layout = GraphLayout(routines.problem, self.template, like)
        self.names, self.conditions = self.layout.names, self.layout.conditions
        self.shapes = [like[name].shape for name in self.names]
        self.ends = np.cumsum([like[name].size for name in self.names])[:-1]
        self.selects = any(name not in like for name in self.template)

    def arrays(self, flat: Array) -> dict[str, Array]:
        """States by name, views of ``flat``."""
        parts = zip(np.split(flat, self.ends), self.shapes, strict=True)
        return {
            name: part.reshape(shape) for name, (part, shape) in zip(self.names, parts, strict=True)
        }

    def flat(self, arrays: Mapping[str, Any], name: str) -> Array:
        """One vector from arrays by name; of more entries than are unknown, the last."""
        if missing := [n for n in self.names if n not in arrays]:
            raise DataError(f"{name} lacks {missing[0]!r}; it needs: {', '.join(self.names)}")
        found = [
            _last(np.asarray(arrays[n]), shape)
            for n, shape in zip(self.names, self.shapes, strict=True)
        ]
        return _joined(found, self.shapes, self.names, name, self.dtype)

    def states(self, flat: Array, theta: Any) -> Any:
        """All states of the routines: unknown ones from ``flat``, given ones as they are."""
        if self.selects:
            given = self.routines.stage("forward")(theta, self.inputs)
        else:
            given = self.template
        found = dict(given)
        for name, values in self.arrays(flat).items():
            if given[name].shape == values.shape:
                found[name] = values
            else:
                found[name] = given[name].copy()
                _last(found[name], values.shape)[...] = values
        return found

    def multipliers(self, flat: Array) -> Any:
        """By name."""
        return self.arrays(flat)


def _last(array: Array, shape: tuple[int, ...]) -> Array:
    """The last entries along every axis, as many as ``shape`` has."""
    if array.ndim != len(shape):
        return array
    return array[tuple(slice(max(n - m, 0), None) for n, m in zip(array.shape, shape, strict=True))]


def _joined(
    arrays: list[Any], shapes: list[tuple[int, ...]], labels: list[str], name: str, dtype: str
) -> Array:
    found = [
        floating(array, f"{name}, {label}", dtype)
        for array, label in zip(arrays, labels, strict=True)
    ]
    for array, shape, label in zip(found, shapes, labels, strict=True):
        if array.shape != shape:
            raise DataError(f"{name}, {label}: shape {array.shape}, expected {shape}")
    return np.concatenate([array.ravel() for array in found])
