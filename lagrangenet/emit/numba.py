"""Whole routines for Numba: products of matrices by BLAS, everything else as loops over numbers.

The loops are those of :mod:`lagrangenet.routines.kernels`, activations written out. Numba compiles a
routine for each type of array at its first call, which takes seconds. Numbers in a loop are double
precision, arrays keep their type. What has no form for single numbers is refused by name.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import sympy as sp

from lagrangenet.emit.expressions import ADD, ATOM, NUMPY, Piece
from lagrangenet.emit.helpers import shared
from lagrangenet.emit.layout import WIDTH, names_read, python_name
from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Argument, Program, Routine, ref
from lagrangenet.routines.kernels import (
    After,
    Linear,
    Outer,
    Pointwise,
    Rowwise,
    Step,
    Sum,
    kernels,
)
from lagrangenet.routines.shapes import Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

_NATIVE = '''def native(array):
    """An array that may be written: of others Numba would compile everything again."""
    return array if array.flags.writeable else array.copy()'''
_NDTR = '''@numba.njit(error_model="numpy")
def ndtr(x):
    """The normal distribution function."""
    return math.erfc(-x * math.sqrt(0.5)) / 2'''

#: Adding to an entry of a sum, or subtracting from it.
_ADD = {1: "{target} += {value}", -1: "{target} -= {value}"}


class NumbaPrinter(WholePrinter):
    """Routines of loops."""

    language = "Numba"
    functions: ClassVar[Mapping[str, str]] = MappingProxyType(
        NUMPY | {"erf": "math.erf", "erfc": "math.erfc", "ndtr": "ndtr"}
    )
    from_scipy = frozenset()
    decorators = helper_decorators = ('@numba.njit(error_model="numpy")',)
    imports = ("import math\n", "import numba", "import numpy as np")
    reserved = frozenset({"math", "numba", "np", "native", "ndtr", "tiny"})

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.shapes = Shapes(problem)
        self.needs: set[str] = set()
        self.indices: dict[sp.Symbol, str] = {}

    def packages(self) -> list[str]:
        """Numba brings NumPy; its products of matrices are SciPy's."""
        return ["numba", "scipy"]

    def definitions(self) -> tuple[str, ...]:
        """A conversion, and the function that neither has for a number."""
        return (_NATIVE, *[_NDTR] * ("ndtr" in self.needs))

    # -- numbers -------------------------------------------------------------------------------

    def operand(self, node: Node, level: int, axes: t.Axes) -> str:  # noqa: ARG002
        """An operand: a number."""
        code, own = self.write(node)
        return code if own >= level else f"({code})"

    def name(self, array: Ref) -> str:
        """The variable that holds an array; what the kernels add has negative numbers."""
        return python_name(array).replace("-", "")

    def _ref(self, node: Ref) -> Piece:
        name = self.name(node)
        if not self.indices or not node.axes:
            return name, ATOM
        places = [self.indices.get(axis, "p") for axis in node.axes]
        return f"{name}[{', '.join(places)}]", ATOM

    def _call(self, node: t.Call) -> Piece:
        if node.fn.name == "zeros_like":
            return "0.0", ATOM
        if node.fn.name == "positive":
            self.needs.add("tiny")
            return f"max({self.code(node.args[0])}, tiny)", ATOM
        return super()._call(node)

    def cases(self, node: t.Call, args: list[str]) -> Piece:  # noqa: ARG002
        """args[1] where the condition args[0] holds, otherwise args[2]."""
        return f"{args[1]} if {args[0]} else {args[2]}", ADD - 2

    def applied(self, name: str, nodes: Iterable[Node], args: list[str]) -> str:
        """A function of one number."""
        self.needs.add(name)
        return super().applied(name, nodes, args)

    def _reduced(self, node: t.Reduced) -> Piece:
        raise DerivationError(f"no Numba form for a {node.op} within {node.arg}")

    # -- routines ------------------------------------------------------------------------------

    def routine(self, routine: Routine) -> str:
        """A routine as a function: loops over all samples, then what is left."""
        self.needs -= {"tiny"}
        plan = kernels(routine, self.problem)
        for step in plan.tile:
            if l.i in step.target.axes:
                shape = (l.M, sp.Integer(plan.width(step.target)))
                self.shapes.declare(step.target, shape[: len(step.target.axes)])
        body: list[str] = []
        note = ""
        for step in (*plan.tile, *plan.after):
            if step.note != note:
                body += textwrap.wrap(f"# {step.note}", WIDTH - 8, subsequent_indent="#   ")
            body += self.step(step)
            note = step.note
        used = names_read(routine)
        unpack = [
            text
            for argument in routine.arguments
            if argument.per_layer
            for text in self.unpacked(argument, used)
        ]
        unpack += self.scalars(routine, used)
        if "tiny" in self.needs:
            unpack.append("tiny = np.finfo(theta.dtype).tiny")
        if routine.returns:
            unpack.append(f"result = np.zeros({self.problem.size}, theta.dtype)")
            result = Argument("result", routine.returns)
            unpack += self.unpacked(result, {name for name, *_ in self.places(result)})
        arguments = ", ".join(a.name for a in routine.arguments)
        lines = [*unpack, *body, *self.returned(routine)]
        return self.defined(routine.name, arguments, routine.summary, lines)

    def counts(self, routine: Routine) -> bool:  # noqa: ARG002
        """Every routine loops over the samples."""
        return True

    def returned(self, routine: Routine) -> list[str]:
        """J, the flat result, or both."""
        value = [] if routine.value is None else [python_name(routine.value)]
        return [f"return {', '.join([*value, *['result'] * bool(routine.returns)])}"]

    # -- steps ---------------------------------------------------------------------------------

    def step(self, step: Step) -> Iterator[str]:
        """The statements of a step."""
        if isinstance(step, Linear):
            yield from self.linear(step)
        elif isinstance(step, Outer):
            yield f"u = {self.name(step.left)}.T @ {self.name(step.right)}"
            yield from self.loops(ref("u", None, step.target.axes), step.target, _ADD[step.sign])
        elif isinstance(step, Pointwise):
            yield self.new(step.target)
            yield from self.loops(step.value, step.target, "{target} = {value}")
        elif isinstance(step, Rowwise):
            yield from self.rowwise(step)
        elif isinstance(step, Sum):
            yield from self.sum(step)
        elif isinstance(step, After):
            yield from self.after(step)
        else:
            raise DerivationError(f"no Numba form for the step {type(step).__name__}")

    def new(self, array: Ref, kind: str = "empty({}, {})") -> str:
        """A new array."""
        lengths = ", ".join(map(str, self.shapes.of(array)))
        code = kind.format(f"({lengths})" if "," in lengths else lengths, "theta.dtype")
        return f"{self.name(array)} = np.{code}"

    def linear(self, step: Linear) -> Iterator[str]:
        """The sum of products with weights, and a row."""
        parts: list[Node] = []
        for j, term in enumerate(step.terms):
            part = ref("u", j, step.target.axes) if j else step.target
            weight = f"{self.name(term.weight)}{'' if term.transposed else '.T'}"
            yield f"{self.name(part)} = {self.name(term.state)} @ {weight}"
            parts.append(part if term.sign > 0 else t.negate(part))
        if step.start is not None:
            parts.append(step.start)
        if parts != [step.target]:
            value = t.total(parts, step.target.axes)
            yield from self.loops(value, step.target, "{target} = {value}")

    def rowwise(self, step: Rowwise) -> Iterator[str]:
        """A sum or maximum over the components of every sample."""
        begin, go_on = {
            "sum": ("zeros({}, {})", "{target} += {value}"),
            "max": ("full({}, -np.inf, {})", "{target} = max({target}, {value})"),
        }[step.op]
        yield self.new(step.target, begin)
        yield from self.loops(step.value, step.target, go_on)

    def sum(self, step: Sum) -> Iterator[str]:
        """A sum over samples."""
        if not step.target.axes:
            yield f"{self.name(step.target)} = 0.0"
        elif step.target.name == "t":
            self.shapes.declare(step.target, self.shapes.of(step.value)[1:])
            yield self.new(step.target, "zeros({}, {})")
        yield from self.loops(step.value, step.target, _ADD[step.sign])

    def after(self, step: After) -> Iterator[str]:
        """What is left when all samples are summed."""
        sums: list[t.Reduced] = [n for n in step.value.walk() if isinstance(n, t.Reduced)]
        for j, node in enumerate(sums, 1):
            yield f"s{j} = 0.0"
            yield from self.loops(node.arg, ref("s", j), "{target} += {value}")
        names: dict[Node, Ref] = {node: ref("s", j) for j, node in enumerate(sums, 1)}
        value = step.value.map(lambda node: names.get(node, node))
        add = step.add
        if isinstance(value, t.Total) and value.plus[:1] == (step.target,) and not value.minus:
            add, value = True, t.total(list(value.plus[1:]), value.axes)
        yield from self.loops(value, step.target, _ADD[1] if add else "{target} = {value}")

    def loops(self, value: Node, target: Ref, statement: str) -> Iterator[str]:
        """A statement for every entry of a value."""
        whole = value if len(value.axes) > len(target.axes) else target
        axes, lengths = whole.axes, self.shapes.of(whole)
        letters = "ip" if l.i in axes else "pq"
        self.indices = dict(zip(axes, letters, strict=False))
        before, code = shared(self, value, self.code(value))
        lines = [*before, statement.format(target=self.code(target), value=code)]
        for depth, (letter, length) in enumerate(zip(letters, lengths, strict=False)):
            yield f"{'    ' * depth}for {letter} in range({length}):"
        yield from (f"{'    ' * len(axes)}{line}" for line in lines)
        self.indices = {}


def emit(program: Program) -> str:
    """A linked program as the source text of a module for Numba.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> next(line.strip() for line in source.splitlines() if "np.tanh" in line)
    'X1[i, p] = np.tanh(Z1[i, p])'
    """
    return whole(program, NumbaPrinter(program.problem))


_COST = Cost(
    call=1.7e-6,
    line=9.1e-8,
    row=4.9e-9,
    value=1.4e-11,
    exponential=1e-9,
    function=1.2e-8,
    flop=1.1e-11,
)
_SUMMARY = "Numba, loops compiled by LLVM in the first call, for seconds"
TARGETS.add(Target("numba", _SUMMARY, emit, package="numba", extra="numba", cost=_COST))
