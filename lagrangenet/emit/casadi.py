"""Whole routines as CasADi functions, and the constrained problem itself for CasADi's solvers.

Every routine is an expression of matrices: called with numbers it becomes a function of numbers,
called with symbols it becomes part of a larger expression. ``nlp(M)`` keeps the states as variables
and the forward equations as constraints. CasADi calculates in double precision, also for arrays of
float32. It has no complementary error function: what needs one (gelu) is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from lagrangenet.emit.expressions import ATOM, NUMPY, UNIT, Piece
from lagrangenet.emit.layout import names_read, python_name
from lagrangenet.emit.lines import commented, definition
from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import STATES, THETA, Argument, Assign, Program, Routine
from lagrangenet.routines.shapes import Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node

_DEFINITIONS = {
    "compiled": '''def compiled(expression):
    """A routine as a function of numbers, made once for each number of samples."""

    @functools.cache
    def function(*shapes):
        symbols = [ca.MX.sym(f"x{k}", *shape) for k, shape in enumerate(shapes)]
        results = expression(*symbols)
        results = results if isinstance(results, tuple) else (results,)
        return ca.Function(expression.__name__, symbols, results)

    @functools.wraps(expression)
    def call(*arrays):
        return function(*(array.shape for array in arrays))(*arrays)

    return call''',
    "native": '''def native(array):
    """An array as CasADi's matrix; a vector as a column."""
    return ca.DM(array)''',
    "plain": '''def plain(column):
    """A column of numbers as NumPy's vector."""
    return column.full().ravel()''',
    "matrix": '''def matrix(column, width):
    """A column as a matrix, row by row."""
    return ca.reshape(column, width, column.shape[0] // width).T''',
    "rows": '''def rows(matrix):
    """The rows of a matrix, one after the other, as a column."""
    return ca.vec(matrix.T)''',
    "top": '''def top(matrix):
    """The largest entry of every row, as a column."""
    return functools.reduce(ca.fmax, ca.horzsplit(matrix))''',
    "logaddexp": '''def logaddexp(a, b):
    """The logarithm of exp(a) + exp(b)."""
    return ca.fmax(a, b) + ca.log1p(ca.exp(-ca.fabs(a - b)))''',
}


class CasadiPrinter(WholePrinter):
    """Routines of matrices. What has an axis of components alone is a row."""

    language = "CasADi"
    functions: ClassVar[Mapping[str, str]] = MappingProxyType(
        {name: f"ca.{name}" for name in NUMPY}
        | {"abs": "ca.fabs", "maximum": "ca.fmax", "minimum": "ca.fmin", "where": "ca.if_else"}
        | {"erf": "ca.erf", "logaddexp": "logaddexp", "zeros_like": "ca.DM.zeros"}
    )
    from_scipy = frozenset()
    smallest = "ca.fmax(x, 2.2250738585072014e-308)"
    decorators = ("@compiled",)
    imports = ("import functools\n", "import casadi as ca")
    reserved = frozenset({"functools", "ca", "nlp", *_DEFINITIONS})
    layout = tuple(line.replace("(n_k,)", "(1, n_k)") for line in WholePrinter.layout)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.shapes = Shapes(problem)
        self.defined_besides = {"compiled", "native", "plain", "matrix", "rows"}
        self.parents: list[Node] = []

    def packages(self) -> list[str]:
        """CasADi alone."""
        return ["casadi"]

    def definitions(self) -> tuple[str, ...]:
        """Conversions, and the functions that CasADi lacks."""
        return tuple(_DEFINITIONS[name] for name in _DEFINITIONS if name in self.defined_besides)

    # -- expressions ---------------------------------------------------------------------------

    def write(self, node: Node) -> Piece:
        """The expression as source; operands ask what they are part of for its shape."""
        self.parents.append(node)
        try:
            return super().write(node)
        finally:
            self.parents.pop()

    def operand(self, node: Node, level: int, axes: t.Axes) -> str:
        """An operand, repeated to the shape of the whole: CasADi broadcasts numbers alone."""
        code, own = self.write(node)
        mine, wanted = (tuple(a for a in some if a != UNIT) for some in (node.axes, axes))
        if len(mine) == len(wanted) or not mine:
            return code if own >= level else f"({code})"
        if mine == wanted[1:]:
            return f"ca.repmat({code}, {self.lengths()[0]}, 1)"
        if mine == wanted[:1]:
            return f"ca.repmat({code}, 1, {self.lengths()[1]})"
        raise DerivationError(f"axes {node.axes} do not broadcast over {axes}")

    def lengths(self) -> tuple[str, str]:
        """The shape of the expression that is being written; in a helper, that of z."""
        if self.override:
            return "z.shape[0]", "z.shape[1]"
        high, wide = self.shapes.of(self.parents[-1])
        return str(high), str(wide)

    def log_sum(self, node: t.Call) -> Piece:
        """The logarithm of Σ_r exp(z_r) for every sample, a column."""
        self.helpers.add("logsumexp")
        return f"logsumexp({self.code(node.args[0])})", ATOM

    def cases(self, node: t.Call, args: list[str]) -> Piece:  # noqa: ARG002
        """args[1] where the condition args[0] holds, otherwise args[2]."""
        return f"ca.if_else({', '.join(args)})", ATOM

    def applied(self, name: str, nodes: Iterable[Node], args: list[str]) -> str:
        """A function of CasADi, or one that the module defines."""
        if name == "zeros_like":
            args = [f"*{args[0]}.shape"]
        if self.functions[name] in _DEFINITIONS:
            self.defined_besides.add(name)
        return super().applied(name, nodes, args)

    def reduction(self, node: t.Reduced, keep: bool) -> str:  # noqa: ARG002
        """A sum or a maximum: of rows a column, of columns a row."""
        code = self.code(node.arg)
        if node.op == "max":
            self.defined_besides.add("top")
            return f"top({code})"
        row = len(node.arg.axes) == 1 and node.arg.axes != (l.i,)
        for position in node.over:
            code = f"ca.sum{2 if row else position + 1}({code})"
        return code

    def _matmul(self, node: t.MatMul) -> Piece:
        """A product; a vector over components is a row, and so is a result that is one."""
        code, level = super()._matmul(node)
        if len(node.right.axes) == 1 and node.right.axes != (l.i,):
            code = f"{code}.T"
        return (
            (code, level)
            if node.axes in {(), (l.i,)} or len(node.axes) == 2
            else (f"({code}).T", ATOM)
        )

    # -- routines ------------------------------------------------------------------------------

    def counts(self, routine: Routine) -> bool:
        """Whether a routine needs the number of samples: also to repeat a row."""
        nodes = [node for line in routine.body for node in line.value.walk()]
        return super().counts(routine) or any(n.axes[:1] == (l.i,) for n in nodes)

    def reshaped(self, shape: tuple[int, ...]) -> str:
        """A part of a flat vector as a matrix, row by row; CasADi goes column by column."""
        return f".reshape(({shape[1]}, {shape[0]})).T" if len(shape) > 1 else ".T"

    def flattened(self, name: str, shape: tuple[int, ...]) -> str:
        """A matrix as part of a flat vector."""
        return f"rows({name})" if len(shape) > 1 else f"{name}.T"

    def joined(self, parts: list[str]) -> str:
        """Parts as one flat vector."""
        return f"ca.vertcat({', '.join(parts)})"

    def weights(self, batch: str) -> str:  # noqa: ARG002
        """The weights of the classes, a row."""
        return f"ca.DM([{', '.join(map(repr, self.problem.class_weights))}]).T"

    # -- the constrained problem ---------------------------------------------------------------

    def nlp(self, routine: Routine) -> str:
        """A function that states the problem whose solution a routine computes."""
        lines = [line for line in routine.body if line.target.name in STATES]
        rest = [line for line in routine.body if line.target.name not in STATES]
        problem, used, at, states = self.problem, names_read(routine), 0, []
        for line in lines:
            width = self.shapes.of(line.target)[1]
            place = f"{problem.size + at * l.M} : {problem.size + (at + width) * l.M}"
            states.append(f"{python_name(line.target)} = matrix(x[{place}], {width})")
            at += width
        inputs, outputs = problem.inputs, problem.widths[-1]
        body = [
            f'x = ca.MX.sym("x", {problem.size + at * l.M})',
            f'p = ca.MX.sym("p", {(inputs + outputs) * l.M})',
            f"theta = x[0:{problem.size}]",
            *self.unpacked(Argument("theta", THETA), used),
            f"X = matrix(p[0 : {inputs * l.M}], {inputs})",
            f"Y = matrix(p[{inputs * l.M} : {(inputs + outputs) * l.M}], {outputs})",
            *(line for line in self.scalars(routine, used) if not line.startswith("M =")),
            *states,
            "g = []",
            *(text for line in lines for text in self.constraint(line)),
            *(text for line in rest for text in self.assign(line)),
            'return {"x": x, "p": p, "f": J, "g": ca.vertcat(*map(rows, g))}',
        ]
        summary = (
            "min f(x, p) s.t. g(x, p) = 0 with x = (theta, states) and p = (X, Y), for ca.nlpsol."
        )
        return definition("nlp", "M", summary, body)

    def constraint(self, line: Assign) -> Iterator[str]:
        """What is zero where a state has its value."""
        left = t.total([line.target, t.negate(line.value)], line.target.axes)
        code = f"g.append({self.code(left)})"
        yield from commented(code, f"# ({', '.join(line.labels)})  {line.formula}")


def emit(program: Program) -> str:
    """A linked program as the source text of a module for CasADi.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> next(line.split("#")[0].strip() for line in source.splitlines() if "Z1 =" in line)
    'Z1 = X @ W1.T + ca.repmat(b1, M, 1)'
    """
    printer = CasadiPrinter(program.problem)
    return f"{whole(program, printer)}\n\n{printer.nlp(program.routine('value'))}\n"


_COST = Cost(
    call=2.2e-5, line=6.4e-7, row=9e-9, value=0, exponential=6e-9, function=6e-9, flop=5.6e-10
)
_SUMMARY = "CasADi, and the constrained problem for its solvers"
TARGETS.add(Target("casadi", _SUMMARY, emit, package="casadi", extra="oracles", cost=_COST))
