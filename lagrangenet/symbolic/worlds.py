"""Small random networks at which both sides of a step are evaluated.

A :class:`World` fixes widths, depth, batch, kinds of layer, arrays and a concrete function for every
opaque one. The functions are analytic, differ from layer to layer, and their derivatives of every
order are known in closed form, without SymPy. Nothing here is a network that somebody would train.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import sympy as sp

from lagrangenet.symbolic import language as l

#: (widths, samples): depth 1 to 3, both boundary layers, axes of size 1.
SIZES = (
    ((1, 1), 1),
    ((2, 3), 2),
    ((3, 1, 2), 1),
    ((1, 2, 1), 2),
    ((2, 3, 2, 3), 2),
)

#: The array that a tangent is a direction for: of the same shape.
_MOVED = {tangent: base for base, tangent in l.TANGENTS.items()}

#: An integer for indices and widths, otherwise complex.
Number = Any


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
            extents = l.widths_of(_MOVED.get(base, base), sp.Integer(layer))
            shape = [self.samples if e == l.M else self.widths[int(e.args[0])] for e in extents]
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
