"""Numbers that vary along several directions at once: complex steps side by side, or Duals.

An array of them has an object for each entry, so that the graph oracle evaluates its equations in
either kind without knowing which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.verify.dual import Dual, Number

Array = NDArray[Any]
#: Arrays by name; a sample's index comes first in inputs, states and multipliers.
Arrays = Mapping[str, Array]
#: A complex step has no cancellation, so it may be tiny.
STEP = 1e-30


class Batch:
    """Variables that vary one by one: complex steps side by side, or Duals."""

    def __init__(self, variables: Arrays, dual: bool) -> None:
        self.shapes = {name: np.shape(array) for name, array in variables.items()}
        self.size = sum(int(np.prod(shape)) for shape in self.shapes.values())
        self.dual, self.numbers, start = dual, {}, 0
        for name, array in variables.items():
            made = np.empty(np.shape(array), dtype=object)
            for place in np.ndindex(made.shape):
                made[place] = self._varying(np.asarray(array)[place], start)
                start += 1
            self.numbers[name] = made

    def _varying(self, value: Any, position: int) -> Number:
        unit = np.zeros(self.size)
        unit[position] = 1.0
        return Dual(np.atleast_1d(value), unit) if self.dual else value + 1j * STEP * unit

    def slope(self, number: Number) -> Array:
        """The derivatives of a number by all variables."""
        if self.dual:
            return self.spread(Dual.of(number).slope)
        return self.spread(np.imag(number) / STEP)

    def spread(self, slope: Any) -> Array:
        """A slope along every direction, also where none has an effect."""
        return np.array(np.broadcast_to(np.atleast_1d(slope), self.size))

    def slopes(self, numbers: Array) -> Array:
        """The derivatives of many numbers, along a last axis."""
        found = np.empty((*numbers.shape, self.size))
        for place in np.ndindex(numbers.shape):
            found[place] = self.slope(numbers[place])
        return found

    def named(self, vector: Array) -> dict[str, Array]:
        """A vector over all variables as arrays by name."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + int(np.prod(shape))
            found[name], start = vector[start:end].reshape(shape), end
        return found


def constants(arrays: Arrays) -> dict[str, Array]:
    """Numbers that do not vary: one copy of each."""
    found = {}
    for name, array in arrays.items():
        made = np.empty(np.shape(array), dtype=object)
        for place in np.ndindex(made.shape):
            made[place] = np.atleast_1d(np.asarray(array)[place])
        found[name] = made
    return found


def real_part(number: Number) -> Any:
    """The value of one number."""
    value = np.ravel(number.value if isinstance(number, Dual) else number)[0]
    return value.real if np.iscomplexobj(value) else value


def values(numbers: Array) -> Array:
    """As :func:`real_parts`, with imaginary parts."""
    found = np.empty(numbers.shape, dtype=complex)
    for place in np.ndindex(numbers.shape):
        found[place] = np.ravel(numbers[place])[0]
    return found


def real_parts(numbers: Array) -> Array:
    """The values of an array of numbers."""
    found = np.empty(numbers.shape)
    for place in np.ndindex(numbers.shape):
        found[place] = real_part(numbers[place])
    return found


def as_array(number: Number) -> Number:
    """A number whose complex steps lie along an axis."""
    return number if isinstance(number, Dual) else np.atleast_1d(number)
