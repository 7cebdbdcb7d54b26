"""Parameters of a problem by name, in the flat vector θ.

Of a chain "W1", "b1", ..., of a graph its own names. Groups: "all"; "weights", which have two axes
or more; "biases", which have one; "layer 2" of a chain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lagrangenet.errors import ProblemError
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

Place = tuple[slice, tuple[int, ...]]


@dataclass(frozen=True)
class Names:
    """The parameters in their order, with their shapes."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, problem: Problem | Graph) -> Names:
        """The names of a problem's parameters.

        Examples
        --------
        >>> from lagrangenet.problem import chain
        >>> [name for name, _ in Names.of(chain([1, 2, 1])).shapes]
        ['W1', 'b1', 'W2', 'b2']
        """
        if isinstance(problem, Graph):
            return cls(
                tuple((p, tuple(n or 0 for n in problem.shape_of(p))) for p in problem.parameters)
            )
        pairs = enumerate(problem.shapes, 1)
        return cls(tuple(row for k, (W, b) in pairs for row in ((f"W{k}", W), (f"b{k}", b))))

    @property
    def size(self) -> int:
        """P."""
        return sum(int(np.prod(shape)) for _, shape in self.shapes)

    def __iter__(self) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
        start = 0
        for name, shape in self.shapes:
            end = start + int(np.prod(shape))
            yield name, slice(start, end), shape
            start = end

    def places(self, wanted: str) -> list[Place]:
        """Where a parameter, or each of a group, stands in θ.

        Raises
        ------
        ProblemError
            For an unknown name.
        """
        layer = re.fullmatch(r"layer (\d+)", wanted)
        of_layer = {f"W{layer[1]}", f"b{layer[1]}"} if layer else set()
        found = [
            (at, shape)
            for name, at, shape in self
            if name in {wanted, *of_layer}
            or wanted == "all"
            or (wanted == "weights" and len(shape) > 1)
            or (wanted == "biases" and len(shape) == 1)
        ]
        if not found:
            known = ", ".join(name for name, _ in self.shapes)
            raise ProblemError(
                f"no parameter {wanted!r}; known: {known}, and the groups all, weights, biases"
                ", of a chain also 'layer 1', ..."
            )
        return found

    def entry(self, j: int) -> str:
        """What θ_j is called: ``W2[0, 1]``."""
        for name, at, shape in self:
            if at.start <= j < at.stop:
                place = np.unravel_index(j - at.start, shape)
                return f"{name}[{', '.join(str(int(p)) for p in place)}]"
        raise IndexError(j)

    def filled(self, name: str, values: Any, shape: tuple[int, ...]) -> Array:
        """Values for every entry of a parameter, flat."""
        try:
            numbers = np.asarray(values, dtype=float)
            filled = np.broadcast_to(numbers, shape).ravel()
        except (TypeError, ValueError):
            raise ProblemError(
                f"{name}: {values!r} is no number, and no array that fits {shape}"
            ) from None
        if np.isnan(filled).any():
            raise ProblemError(f"{name}: a bound or coefficient is NaN")
        return filled
