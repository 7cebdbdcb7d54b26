"""A layer's equations evaluated entry by entry, for any kind of number.

Nothing is solved or collapsed: what an equation says of one entry is computed when it is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.verify.dual import Array, Number
from lagrangenet.verify.equations import Equations

#: σ of a vector of numbers, the components along the last axis.
Sigma = Callable[[list[Number]], list[Number]]


class Evaluation:
    """The entries of a layer's arrays, computed when they are asked for.

    Parameters
    ----------
    equations : Equations
    sizes : mapping
        The value of every size, M included.
    arrays : mapping
        Object arrays of numbers: inputs, parameters, and whichever states are given.
    sigma : callable
        σ of a list of numbers.
    coupled : bool
        Whether σ needs all components at once.
    shift : mapping
        What is added to the right side of an equation, by state: an object array.
    """

    def __init__(
        self,
        equations: Equations,
        sizes: Mapping[str, int],
        arrays: Mapping[str, Array],
        sigma: Sigma,
        coupled: bool = False,
        shift: Mapping[str, Array] | None = None,
    ) -> None:
        self.equations, self.sizes, self.sigma, self.coupled = equations, sizes, sigma, coupled
        self.given, self.shift = dict(arrays), shift or {}
        self.lines = {line.state: line for line in equations.lines}
        self._known: dict[tuple[str, tuple[int, ...]], Number] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """The lengths of a local array's axes."""
        axes = self.equations.axes[name]
        return tuple(whole(axis.upper, self.sizes) - axis.lower + 1 for axis in axes)

    def entry(self, name: str, subscripts: tuple[int, ...]) -> Number:
        """One entry; subscripts count as in the equations."""
        axes = self.equations.axes[name]
        place = tuple(s - axis.lower for s, axis in zip(subscripts, axes, strict=True))
        if min(place) < 0:
            raise DataError(f"{name}{list(subscripts)} lies outside of the array")
        if name in self.given:
            return self.given[name][place]
        if (name, place) not in self._known:
            self._known[name, place] = self.right_side(name, subscripts)
        return self._known[name, place]

    def right_side(self, name: str, subscripts: tuple[int, ...]) -> Number:
        """What an equation says; zero where none does, as for h at time 0."""
        if min(subscripts) < 1:
            return 0.0
        line = self.lines[name]
        at = {**self.sizes, **dict(zip(line.indices, subscripts, strict=True))}
        value = line.term(self, at)
        if name not in self.shift:
            return value
        place = tuple(
            s - a.lower for s, a in zip(subscripts, self.equations.axes[name], strict=True)
        )
        return value + self.shift[name][place]

    def state(self, name: str, *, right: bool = False) -> Array:
        """All entries of a state, or of the right side of its equation, as an object array."""
        found = np.empty(self.shape(name), dtype=object)
        lowers = [axis.lower for axis in self.equations.axes[name]]
        value = self.right_side if right else self.entry
        for place in np.ndindex(found.shape):
            found[place] = value(name, tuple(p + low for p, low in zip(place, lowers, strict=True)))
        return found


def whole(expr: ast.expr, sizes: Mapping[str, float]) -> int:
    """A size: whole numbers and names with + − * / and floor."""
    return int(_size(expr, sizes))


def _size(expr: ast.expr, sizes: Mapping[str, float]) -> float:
    match expr:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return sizes[name]
        case ast.Call(func=ast.Name(id="floor"), args=[inside]):
            return float(np.floor(_size(inside, sizes)))
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _size(left, sizes), _size(right, sizes)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
    raise DataError(f"the oracle does not know the size {ast.unparse(expr)!r}")


def sizes_of(
    equations: Equations, shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, int]
) -> dict[str, Any]:
    """The value of every size and option, read off the shapes of arrays that are there.

    Raises
    ------
    DataError
        If a shape does not fit.

    Examples
    --------
    >>> from lagrangenet.layers import LAYERS
    >>> from lagrangenet.verify.equations import read
    >>> sizes_of(read(LAYERS["dense"].with_axes(0)), {"x": (3, 2), "W": (4, 2), "b": (4,)}, {})
    {'M': 3, 'n': 2, 'm': 4}
    """
    found: dict[str, Any] = {**equations.options, **given}
    for name, shape in shapes.items():
        for axis, length in zip(equations.axes[name], shape, strict=True):
            if isinstance(axis.upper, ast.Name):
                found.setdefault(axis.upper.id, length + axis.lower - 1)
    for name, rule in equations.layer.sizes.items():
        found[name] = whole(ast.parse(rule, mode="eval").body, found)
    for name, shape in shapes.items():
        wanted = tuple(whole(a.upper, found) - a.lower + 1 for a in equations.axes[name])
        if wanted != shape:
            raise DataError(f"{equations.layer.name}: {name} has shape {shape}, expected {wanted}")
    return found
