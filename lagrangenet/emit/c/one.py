"""Small networks at one sample: components are the lanes, and every state is a variable.

There is nothing to share a vector with but the components of a layer. A call is a chain of operations
that wait for each other, so nothing goes through memory, and σ is computed once per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.problem import Problem
from lagrangenet.routines.kernels import (
    BATCH,
    Kernels,
    Linear,
    Outer,
    Pointwise,
    Rowwise,
    Step,
    Sum,
)
from lagrangenet.routines.passes.live import key
from lagrangenet.symbolic.tensor import Ref

#: Lines that are written out for each parameter: a network has no more of them.
PARAMETERS = 512
#: Parameters of the function that not every routine needs.
_UNUSED = ("direction", "work", "g", "sums", "y", "samples", "first")


def lanes(problem: Problem, samples: int, most: int) -> int:
    """Lanes that hold any layer of a network at its only sample; 0 if this is no such case."""
    widest = max(problem.inputs, *problem.widths)
    if samples != 1 or widest > most or problem.size > PARAMETERS:
        return 0
    return 1 << (widest - 1).bit_length()


class OneSample:
    """Writes the steps of a routine as lines of its function."""

    def __init__(self, kernels: Kernels, problem: Problem, address: Callable[[Ref], str]) -> None:
        self.kernels, self.problem, self.address = kernels, problem, address
        self.expressions = Expressions(self._load, problem.strength)
        self.begun: set[Ref] = set()  # gradients that something of this sample was added to

    def lines(self) -> Iterator[str]:
        """The whole tile, each step after the equation that it came from."""
        yield f"(void){', (void)'.join(_UNUSED)};"
        note = ""
        for step in self.kernels.tile:
            if step.note != note:
                note = step.note
                yield f"/* {note} */"
            yield from self._step(step)

    def _step(self, step: Step) -> list[str]:
        lines = self.expressions.lines
        for array in step.reads:
            if array.name == "Y" or (array.name == "X" and array.layer == 0):
                self._given(array)
        if isinstance(step, Linear):
            self._define(step.target, self._linear(step))
        elif isinstance(step, Pointwise):
            self._define(step.target, self.expressions.value(step.value))
        elif isinstance(step, Rowwise):
            self._define(step.target, self._rowwise(step))
        elif isinstance(step, Outer):
            rows, columns = map(self.kernels.width, (step.left, step.right))
            u, x = map(self.expressions.value, (step.left, step.right))
            sign = "-" if step.sign < 0 else ""
            place, first = self.address(step.target), self._first(step.target)
            lines.append(f"add_outer({place}, {rows}, {columns}, {sign}{u}, {x}, {first});")
        elif isinstance(step, Sum):
            lines.append(self._sum(step))
        found = [*lines]
        lines.clear()
        return found

    def _linear(self, step: Linear) -> str:
        rows = self.kernels.width(step.target)
        code = f"some({self.address(step.start)}, {rows})" if step.start else "all(0)"
        for term in step.terms:
            size, x = self.kernels.width(term.state), self.expressions.value(term.state)
            x = x if term.sign > 0 else f"-{x}"
            name, sizes = (
                ("turned_times", (size, rows)) if term.transposed else ("times", (rows, size))
            )
            code = f"{name}({code}, {self.address(term.weight)}, {sizes[0]}, {sizes[1]}, {x})"
        return code

    def _rowwise(self, step: Rowwise) -> str:
        value, width = self.expressions.value(step.value), self._width(step)
        if step.op == "max":
            return f"all(largest({value}, {width}))"
        return f"all(total({value}, {width}))"

    def _sum(self, step: Sum) -> str:
        value, width = self.expressions.value(step.value), self._width(step)
        sign = "-" if step.sign < 0 else ""
        place = self.address(step.target)
        if step.target.axes:
            return f"add_some({place}, {sign}{value}, {width}, {self._first(step.target)});"
        return f"*({place}) += {sign}total({value}, {width});"

    def _first(self, array: Ref) -> str:
        """Whether nothing was added to a gradient yet."""
        first = "0" if array in self.begun else "first"
        self.begun.add(array)
        return first

    def _width(self, step: Rowwise | Sum) -> int:
        """Components that are summed; 1 for values that are the same in all lanes."""
        return max((self.kernels.width(a) for a in step.reads if a.axes == BATCH), default=1)

    def _define(self, array: Ref, code: str) -> None:
        number = abs(int(array.layer or 0))
        name = "labels" if array.name == "Y" else f"{array.name.lower()}{number}"
        self.expressions.assign(array, name, code)

    def _given(self, array: Ref) -> None:
        """Define inputs or labels where they are first read."""
        if not self.expressions.knows(array):
            self._define(array, self._load(array))

    def _load(self, array: Ref) -> str:
        if not array.axes:
            return f"all(*({self.address(array)}))"
        width = (
            self.kernels.widths.get(key(array)) or self.problem.widths[int(array.layer or 0) - 1]
        )
        return f"some({self.address(array)}, {width})"
