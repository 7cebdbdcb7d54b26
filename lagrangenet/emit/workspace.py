"""Whole routines in NumPy that allocate nothing: every array is made once, by ``workspace(M, dtype)``.

Each line is one call with ``out=``; a row or a column is repeated first, because NumPy's functions
allocate a buffer for an operand of another shape. Arrays that are never needed at once share memory;
which ones do is written in ``workspace`` and nowhere else, so that the routines read as if each array
had its own. A routine changes the arrays of its workspace: calls at the same time need one each.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import sympy as sp

from lagrangenet.emit.expressions import ATOM, Piece
from lagrangenet.emit.layout import WIDTH, python_name
from lagrangenet.emit.lines import commented, definition
from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Argument, Assign, Program, Routine
from lagrangenet.routines.passes.atomic import CONDITION, REPEAT, TEMPORARY, atomic
from lagrangenet.routines.passes.early import early
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.routines.passes.reuse import Memory, reuse
from lagrangenet.routines.shapes import Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

_RELATIONS = {">": "greater", ">=": "greater_equal", "<": "less", "<=": "less_equal"}
#: The smallest normal number of the arrays' type.
_TINY = t.scalar(sp.Symbol("tiny"))


class WorkspacePrinter(WholePrinter):
    """Routines whose lines are calls that write into arrays of a workspace."""

    reserved = frozenset({"np", "workspace"})

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.memory: dict[Key, Memory] = {}
        self.names: dict[Key, str] = {}
        self.parts: dict[str, dict[str, list[str]]] = {}  # flat vector: place: names
        self.pools: dict[str, tuple[str, int]] = {}  # pool: shape and type, number of arrays
        self.constant: dict[str, str] = {}
        self.blocks: list[str] = []

    # -- routines ------------------------------------------------------------------------------

    def routine(self, routine: Routine) -> str:
        """A routine as a function that takes a workspace and an array for its result."""
        steps = atomic(early(routine))
        self.memory = reuse(steps, Shapes(self.problem))
        self.names = _names(steps, self.memory)
        body = [text for line, lines in _grouped(steps) for text in self.written(line, lines)]
        used = list(dict.fromkeys(self.used(steps)))
        flat = [a.name for a in routine.arguments if a.per_layer]
        self.blocks.append(self.block(steps, used))
        lines = [
            *_listed(used, after=f' = work["{routine.name}"]'),
            *(f'np.copyto(work["{name}"], {name})' for name in flat),
            *(line for line in self.scalars(steps, set()) if line.startswith("M =")),
            *body,
            *(['np.copyto(out, work["result"])'] if routine.returns else []),
            f"return {'out' if routine.value is None else python_name(routine.value)}",
        ]
        arguments = ", ".join([*(a.name for a in routine.arguments), "work", "out"])
        return self.defined(routine.name, arguments, routine.summary, lines)

    def used(self, steps: Routine) -> Iterator[str]:
        """The names that a routine takes from its workspace, as they are used."""
        bound = {python_name(line.target) for line in steps.body if self.bound(line)}
        for line in steps.body:
            for node in [*line.value.walk(), line.target]:
                if isinstance(node, t.Call) and node.fn.name == "positive":
                    self.constant[_TINY.value.name] = "np.finfo(dtype).tiny"
                    yield _TINY.value.name
                if isinstance(node, Ref) and node.axes:
                    name = self.name(node)
                    if name == "c":
                        self.constant[name] = self.weights("")
                    if name not in {"X", "Y", *bound}:
                        yield name

    def bound(self, line: Assign) -> bool:
        """Whether a line gives an array a second name."""
        return isinstance(line.value, Ref) and key(line.target) not in self.memory

    def name(self, array: Ref) -> str:
        """The variable that holds an array."""
        return self.names.get(key(array), python_name(array))

    def weights(self, batch: str) -> str:  # noqa: ARG002
        """The weights of the classes."""
        return super().weights("\0").replace("\0.dtype", "dtype")

    # -- lines ---------------------------------------------------------------------------------

    def written(self, line: Assign, steps: list[Assign]) -> list[str]:
        """The calls that a line of the routine has become, with what it came from."""
        calls = [call for step in steps for call in self.calls(step)]
        comment = f"# ({', '.join(line.labels)})  {line.formula}"
        if len(calls) == 1:
            return commented(calls[0], comment)
        return [*textwrap.wrap(comment, WIDTH - 8, subsequent_indent="#   "), *calls]

    def calls(self, line: Assign) -> Iterator[str]:
        """The calls that compute an atomic line."""
        value, out = line.value, self.name(line.target)
        if not line.target.axes:
            yield self.statement(line)
        elif self.bound(line):
            yield f"{out} = {self.code(value)}"
        elif isinstance(value, Ref | t.Transposed) or not value.axes:
            yield f"np.copyto({out}, {self.code(value)})"
        elif isinstance(value, t.Reduced):
            keep = ", keepdims=True" if value.axes == (l.i,) else ""
            yield f"{self.code(value.arg)}.{value.op}(axis={value.over[0]}{keep}, out={out})"
        elif isinstance(value, t.Call) and value.fn == REPEAT:
            yield f"np.copyto({out}, {self.code(value.args[0])})"
        elif isinstance(value, t.Call) and value.fn.name == "where":
            yield from self.choice(line, out, *value.args)
        elif isinstance(value, t.Call) and value.fn.name == "zeros_like":
            yield f"np.copyto({out}, 0)"
        else:
            function, arguments = self.operation(value)
            operands = ", ".join(map(self.code, arguments))
            yield f"{function}({operands}, out={out})"

    def choice(self, line: Assign, out: str, condition: Node, yes: Node, no: Node) -> Iterator[str]:
        """What holds otherwise, then what holds where the condition does."""
        there = isinstance(no, Ref) and self.memory.get(key(no)) == self.memory[key(line.target)]
        if not there:
            yield f"np.copyto({out}, {self.code(no)})"
        if condition.axes == line.target.axes and yes.axes in ((), line.target.axes):
            yield f"np.putmask({out}, {self.code(condition)}, {self.code(yes)})"  # twice as fast
        else:
            yield f"np.copyto({out}, {self.code(yes)}, where={self.code(condition)})"

    def operation(self, value: Node) -> tuple[str, tuple[Node, ...]]:
        """The function with ``out=`` of an operation, and its operands."""
        if isinstance(value, t.Product):
            pair = (*value.factors, *value.divisors)
            return "np.divide" if value.divisors else "np.multiply", pair
        if isinstance(value, t.Total):
            pair = (*value.plus, *value.minus)
            names = ("np.negative",) if len(pair) == 1 else ("np.add", "np.subtract")
            return names[-1 if value.minus else 0], pair
        if isinstance(value, t.Power):
            if value.exponent == 2:
                return "np.square", (value.base,)
            return "np.power", (value.base, t.scalar(value.exponent))
        if isinstance(value, t.MatMul):
            return "np.matmul", (value.left, value.right)
        if not isinstance(value, t.Call):
            raise DerivationError(f"no NumPy form with out= for {type(value).__name__}")
        if value.fn.name == "positive":
            return "np.maximum", (*value.args, _TINY)
        return self.ufunc(value.fn.name), value.args

    def ufunc(self, name: str) -> str:
        """A function that takes ``out=``."""
        if name in _RELATIONS:
            return f"np.{_RELATIONS[name]}"
        if name in self.from_scipy:
            self.scipy.add(name)
            return name
        if name not in self.functions:
            raise DerivationError(f"no NumPy form with out= for the function {name!r}")
        return self.functions[name]

    def _ref(self, node: Ref) -> Piece:
        return self.name(node), ATOM

    # -- the workspace -------------------------------------------------------------------------

    def block(self, steps: Routine, used: list[str]) -> str:
        """What ``workspace`` does for a routine: names for pieces of memory, several for one."""
        result = Argument("result", steps.returns)
        for argument in (*steps.arguments, result):
            if argument.per_layer:
                places = self.parts.setdefault(argument.name, {})
                for name, start, end, shape in self.places(argument):
                    code = f"{argument.name}[{start}:{end}]{self.reshaped(shape)}"
                    if name in used and name not in places.setdefault(code, []):
                        places[code].append(name)
        shared: dict[str, list[str]] = {}
        for line in steps.body:
            if key(line.target) in self.memory:
                place, name = self.place(self.memory[key(line.target)]), self.name(line.target)
                if name != place and name not in shared.setdefault(place, []):
                    shared[place].append(name)
        lines = [f"{' = '.join(names)} = {place}" for place, names in shared.items()]
        stored = _listed(used, before=f'work["{steps.name}"] = ')
        return "\n".join([f"# {steps.name}", *lines, *stored])

    def place(self, memory: Memory) -> str:
        """Where memory is: an array of a pool, or a part of the result."""
        if memory.result is not None:
            return self.name(Ref((l.p,), *memory.result))
        kind = "dtype" if memory.kind == "real" else "bool"
        pool = "_".join([memory.kind, *map(str, memory.shape)])
        shape = ", ".join(map(str, memory.shape))
        number = max(memory.index + 1, self.pools.get(pool, ("", 0))[1])
        self.pools[pool] = f"{shape}), {kind}", number
        return f"{pool}[{memory.index}]"

    def definitions(self) -> tuple[str, ...]:
        """The function that makes all arrays."""
        flat = list(self.parts)
        entries = ", ".join(f'"{name}": {name}' for name in flat)
        lines = [
            *(f"{name} = np.empty({self.problem.size}, dtype)" for name in flat),
            *(f"{name} = {code}" for name, code in self.constant.items()),
            *(
                f"{' = '.join(names)} = {code}"
                for places in self.parts.values()
                for code, names in places.items()
                if names
            ),
            *(
                f"{pool} = np.empty(({number}, {rest})"
                for pool, (rest, number) in sorted(self.pools.items())
            ),
            f"work = {{{entries}}}",
            *self.blocks,
            "return work",
        ]
        summary = (
            "Arrays for M samples. Names of one array share it: they are never needed at once."
        )
        return (definition("workspace", 'M, dtype="float64"', summary, lines),)


def _grouped(steps: Routine) -> Iterator[tuple[Assign, list[Assign]]]:
    """The atomic lines of each line of the routine, with the last of them, which assigns it."""
    found: list[Assign] = []
    for line in steps.body:
        found.append(line)
        if line.target.name not in {TEMPORARY, CONDITION}:
            yield line, found
            found = []


def _names(steps: Routine, memory: dict[Key, Memory]) -> dict[Key, str]:
    """Names of intermediate arrays: that of the line's array where it shares its memory."""
    numbers: dict[Memory, str] = {}
    names: dict[Key, str] = {}
    for line, lines in _grouped(steps):
        for step in lines[:-1]:
            mine = memory[key(step.target)]
            if mine == memory.get(key(line.target)):
                names[key(step.target)] = python_name(line.target)
            else:
                stem = step.target.name
                same = sum(name.startswith(stem) for name in numbers.values())
                names[key(step.target)] = numbers.setdefault(mine, f"{stem}{same + 1}")
    return names


def _listed(names: list[str], before: str = "", after: str = "") -> list[str]:
    """A tuple of names in an assignment, over several lines if it is long."""
    flat = ", ".join(names) + "," * (len(names) == 1)
    if len(before + flat + after) <= WIDTH - 4:
        return [f"{before}{flat}{after}"]
    inside = textwrap.wrap(flat + ",", WIDTH - 8)
    return [f"{before}(", *(f"    {line}" for line in inside), f"){after}"]


def emit(program: Program) -> str:
    """A linked program as the source text of a NumPy module that allocates nothing.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> lines = [line.split("#")[0].strip() for line in source.splitlines()]
    >>> lines[(start := lines.index("np.matmul(X, W1.T, out=Z1)")) : start + 4]
    ['np.matmul(X, W1.T, out=Z1)', 'np.copyto(t1, b1)', 'np.add(Z1, t1, out=Z1)', 'np.tanh(Z1, out=X1)']
    """
    return whole(program, WorkspacePrinter(program.problem))


_COST = Cost(call=1.6e-6, line=1.1e-6, row=4.6e-9, value=5e-10, exponential=1.1e-9, flop=1.12e-11)
TARGETS.add(
    Target("numpy-workspace", "NumPy that allocates nothing; runs everywhere", emit, cost=_COST)
)
