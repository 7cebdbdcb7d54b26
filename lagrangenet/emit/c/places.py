"""Where arrays are in a C file: in flat vectors, in the workspace, among the sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from lagrangenet.emit.c.plan import Plan
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.kernels import Sum
from lagrangenet.symbolic.tensor import Ref

#: Arrays of flat vectors: the vector, and whether it is a weight or a bias.
_FLAT = {
    "W": ("theta", 0),
    "b": ("theta", 1),
    "W_dot": ("direction", 0),
    "b_dot": ("direction", 1),
    "dW": ("out", 0),
    "db": ("out", 1),
    "HW": ("out", 0),
    "Hb": ("out", 1),
}


@dataclass(frozen=True)
class Places:
    """The places of the arrays of a routine.

    Attributes
    ----------
    lanes : bool
        Whether sums over samples stay in vectors between tiles.
    """

    plan: Plan
    problem: Problem
    lanes: bool

    @cached_property
    def scalars(self) -> list[Ref]:
        """Sums over samples that are one number."""
        sums = (s for s in self.plan.kernels.tile if isinstance(s, Sum))
        return [s.target for s in sums if not s.target.axes]

    @cached_property
    def offsets(self) -> list[tuple[int, int]]:
        """Where weights and biases of each layer begin in a flat vector."""
        found, end = [], 0
        for weight, bias in self.problem.shapes:
            found.append((end, end + prod(weight)))
            end += prod(weight) + prod(bias)
        return found

    def address(self, array: Ref) -> str:
        """Where an array is while tiles are summed."""
        if array.name == "X" and array.layer == 0:
            return "x"
        if array.name == "Y":
            return "y"
        if array.name == "c":
            return "class_weights"
        if array in self.scalars:
            return f"sums + {self.scalars.index(array)}"
        if array.name in _FLAT:
            vector, kind = _FLAT[array.name]
            offset = self.offsets[int(array.layer or 0) - 1][kind]
            scale = " * LANES" if vector == "out" and self.lanes else ""
            vector = "g" if vector == "out" else vector
            return f"{vector} + {offset}{scale}" if offset else vector
        place = self.plan.places[(array.name, array.layer)]
        return f"work + (size_t){place} * STRIDE" if place else "work"

    def place(self, array: Ref) -> str:
        """Where an array of parameters, or their gradient, is after the last tile."""
        if array.name not in _FLAT:
            raise DerivationError(f"no C form for the array {array.name!r} after the last sample")
        vector, kind = _FLAT[array.name]
        offset = self.offsets[int(array.layer or 0) - 1][kind]
        return f"{vector} + {offset}" if offset else vector

    def size(self, array: Ref) -> int:
        """Numbers in an array of parameters."""
        return prod(self.problem.shapes[int(array.layer or 0) - 1][_FLAT[array.name][1]])
