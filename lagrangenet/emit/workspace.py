"""Whole routines in NumPy that allocate nothing: every array is made once, by ``workspace(M, dtype)``.

Each line is one call with ``out=``. Arrays that are never needed at once share memory; which ones do
is written in ``workspace`` and nowhere else, so that the routines read as if each array had its own.
A routine changes the arrays of its workspace, so calls at the same time need a workspace each.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

import sympy as sp

from lagrangenet.emit.expressions import UNIT
from lagrangenet.emit.layout import NAMES, WIDTH, python_name
from lagrangenet.emit.lines import commented, definition
from lagrangenet.emit.targets import TARGETS, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import GRADIENTS, PRODUCT, Argument, Assign, Program, Routine
from lagrangenet.routines.passes.atomic import CONDITION, TEMPORARY, atomic
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.routines.passes.reuse import Memory, reuse
from lagrangenet.routines.shapes import Shape, Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

_RELATIONS = {">": "greater", ">=": "greater_equal", "<": "less", "<=": "less_equal"}
#: Flat vectors of parameters in a workspace.
_FLAT = ("theta", "direction", "result")


class WorkspacePrinter(WholePrinter):
    """Routines whose lines are calls."""

    reserved = frozenset({"np", "workspace"})

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.blocks: list[str] = []  # what workspace does for each routine
        self.sizes: dict[tuple[str, Shape], int] = {}
        self.names: dict[Key, str] = {}
        self.parts: dict[str, dict[str, str]] = {name: {} for name in _FLAT}

    # -- routines ------------------------------------------------------------------------------

    def routine(self, routine: Routine) -> str:
        """A routine as a function of its workspace."""
        steps = atomic(routine)
        memory = reuse(steps, Shapes(self.problem))
        self.names = dict(_names(steps, memory))
        self.memory = memory
        body = [text for lines in _grouped(steps) for text in self.line(lines)]
        arrays = self.arrays(steps)
        flat = [a.name for a in routine.arguments if a.per_layer]
        lines = [
            *_unpacked(arrays, f' = work["{routine.name}"]'),
            *(f'np.copyto(work["{name}"], {name})' for name in flat),
            *(["M = X.shape[0]"] if self.counts(steps) else []),
            *body,
            *(['np.copyto(out, work["result"])'] if routine.returns else []),
            "return out" if routine.value is None else f"return {python_name(routine.value)}",
        ]
        own = [
            f"{' = '.join(names)} = {place}"
            for place, names in self.places(steps, memory).items()
            if names
        ]
        store = _unpacked(arrays, "", f'work["{routine.name}"] = ')
        self.blocks.append("\n".join([f"# {routine.name}", *own, *store]))
        arguments = ", ".join([*(a.name for a in routine.arguments), "work", "out"])
        return self.defined(routine.name, arguments, routine.summary, lines)

    def arrays(self, steps: Routine) -> list[str]:
        """All arrays that a routine takes from its workspace, in the order of their use."""
        found: dict[str, None] = {}
        bound = {key(line.target) for line in steps.body if isinstance(line.value, Ref)}
        bound -= {key(line.target) for line in steps.body if line.target.name in steps.returns}
        for line in steps.body:
            for array in [*_refs(line.value), line.target]:
                named = array.axes and key(array) not in bound and array.name != "Y"
                if named and python_name(array) != "X":
                    found[self.name(array)] = None
            if any(isinstance(n, t.Call) and n.fn.name == "positive" for n in line.value.walk()):
                found["tiny"] = None
        self.declare(steps, found)
        return list(found)

    def declare(self, steps: Routine, used: Mapping[str, None]) -> None:
        """Note which parts of flat vectors, and which constants, a routine uses."""
        result = Argument("result", steps.returns)
        for argument in (*steps.arguments, *([result] if steps.returns else [])):
            if argument.per_layer:
                for name, start, end, shape in self.places_of(argument):
                    if name in used:
                        code = f"{argument.name}[{start}:{end}]{self.reshaped(shape)}"
                        self.parts[argument.name][name] = code

    def places_of(self, argument: Argument) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
        """Name, begin, end and shape of every array of a flat vector."""
        return super().places(argument)

    def name(self, array: Ref) -> str:
        """The variable that holds an array."""
        return self.names.get(key(array), python_name(array))

    def _ref(self, node: Ref) -> tuple[str, int]:
        return self.name(node), super()._ref(node)[1]
