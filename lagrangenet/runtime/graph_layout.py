"""Where the states and parameters of a graph stand in the vector v of all variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lagrangenet.graph import Graph
from lagrangenet.runtime.arrays import Array

Arrays = dict[str, Array]


class GraphLayout:
    """v = (states, parameters) of a graph, each array row by row.

    Parameters
    ----------
    graph : Graph
    states, multipliers : mapping
        Arrays at the point, for their shapes. A state may have more entries than its multiplier:
        what a recurrence starts from is given.
    """

    def __init__(
        self, graph: Graph, states: Mapping[str, Array], multipliers: Mapping[str, Array]
    ) -> None:
        self.graph, self.states, self.multipliers = graph, states, multipliers
        self.names = [name for name in graph.states if name in multipliers]
        self.conditions = sum(multipliers[name].size for name in self.names)
        self.size = graph.size
        self.sample = np.concatenate([
            np.repeat(np.arange(len(array)), array[0].size)
            for array in (multipliers[name] for name in self.names)
        ])  # fmt: skip

    def zeros(self, dtype: str) -> tuple[Arrays, Arrays, Arrays]:
        """A direction, state tangents and multiplier tangents that do not move."""
        lengths = ((name, self.graph.shape_of(name)) for name in self.graph.parameters)
        direction = {name: np.zeros([n or 0 for n in shape], dtype) for name, shape in lengths}
        states = {name: np.zeros(array.shape, dtype) for name, array in self.states.items()}
        multipliers = {name: np.zeros(a.shape, dtype) for name, a in self.multipliers.items()}
        return direction, states, multipliers

    def state_directions(self, dtype: str) -> Iterator[tuple[Array, tuple[Any, Any, Any]]]:
        """Each state component of all samples, with its places in v by sample."""
        moved, start = self.zeros(dtype), 0
        for name in self.names:
            samples, *shape = self.multipliers[name].shape
            x = self._determined(moved[1][name], self.multipliers[name])
            width = int(np.prod(shape))
            for place, at in enumerate(np.ndindex(*shape)):
                x[(slice(None), *at)] = 1
                yield start + place + width * np.arange(samples), moved
                x[(slice(None), *at)] = 0
            start += samples * width

    def parameter_directions(self, dtype: str) -> Iterator[tuple[int, tuple[Any, Any, Any]]]:
        """Each parameter with its place in v."""
        moved, place = self.zeros(dtype), self.conditions
        for array in moved[0].values():
            for at in np.ndindex(array.shape):
                array[at] = 1
                yield place, moved
                array[at] = 0
                place += 1

    def flat(self, found: Arrays) -> tuple[Array, Array, Array]:
        """∂L̇/∂λ, ∂L̇/∂x and ∂L̇/∂θ as vectors."""
        by_lambda = [
            self._determined(found[f"lambda_{name}"], self.multipliers[name]) for name in self.names
        ]
        by_x = [found[name] for name in self.names]
        by_theta = [found[name] for name in self.graph.parameters]
        return _vector(by_lambda), _vector(by_x), _vector(by_theta)

    @staticmethod
    def _determined(array: Array, multiplier: Array) -> Array:
        """The entries that a constraint determines: without those that are given, at the front."""
        given = zip(array.shape, multiplier.shape, strict=True)
        return array[tuple(slice(n - m, None) for n, m in given)]


def _vector(arrays: list[Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays]) if arrays else np.zeros(0)
