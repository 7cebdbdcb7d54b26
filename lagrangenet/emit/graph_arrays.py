"""Arrays with any number of axes as NumPy expressions: slices, windows, contractions, broadcasting."""

from __future__ import annotations

import sympy as sp

from lagrangenet.emit.expressions import ADD, ATOM, MUL, NEG, POW, Piece, Printer
from lagrangenet.errors import DerivationError
from lagrangenet.graph import Graph
from lagrangenet.layers.equation import M
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.graphs.arrays import (
    At,
    Counter,
    Einsum,
    Lookup,
    Positions,
    Read,
    Same,
    Span,
    Subscript,
    Windows,
)
from lagrangenet.symbolic.tensor import Node


class ArrayPrinter(Printer):
    """Expressions of a graph's arrays."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def array(self, node: Node) -> str:
        """The name of an array of floats, if the node is one."""
        if isinstance(node, Read) and node.name not in self.graph.integers:
            return code_name(node.name)
        return super().array(node)

    # -- arrays and subscripts -------------------------------------------------------------------------

    def at(self, name: str, subscripts: tuple[Subscript, ...]) -> str:
        """name[subscripts]."""
        inside = self.subscripts(subscripts)
        return f"{name}[{', '.join(inside)}]" if inside else name

    def subscripts(self, subscripts: tuple[Subscript, ...], slices: bool = True) -> list[str]:
        """Subscripts as code, without those at the end that are whole."""
        found = [self._subscript(s, slices) for s in subscripts]
        while found and found[-1] in {":", "slice(None)"}:
            found.pop()
        return found

    def _subscript(self, subscript: Subscript, slices: bool) -> str:
        if isinstance(subscript, At):
            return self.size(subscript.position)
        if isinstance(subscript, Lookup):
            return self.code(subscript.array)
        if isinstance(subscript, Windows):
            return ":"
        if isinstance(subscript, Positions):
            return self._positions(subscript)
        if subscript.whole:
            return ":" if slices else "slice(None)"
        if subscript.step.is_negative:  # a slice cannot end before position 0
            factor = "" if subscript.step == -1 else f"{self.size(-subscript.step)}*"
            counter = f"np.arange({self.size(subscript.count)})"
            return f"{self.size(subscript.start)} - {factor}{counter}"
        start = "" if subscript.start == 0 else self.size(subscript.start)
        stop = self.size(sp.expand(subscript.start + subscript.step * (subscript.count - 1) + 1))
        step = "" if subscript.step == 1 else f":{self.size(subscript.step)}"
        return f"{start}:{stop}{step}"

    def _positions(self, subscript: Positions) -> str:
        terms = []
        for j, (step, count) in enumerate(subscript.steps):
            axis = ", ".join([":", *["None"] * (len(subscript.steps) - 1 - j)])
            factor = "" if step == 1 else f"{self.size(step)} * "
            terms.append(
                f"{factor}np.arange({self.size(count)})" + (f"[{axis}]" if "None" in axis else "")
            )
        start = [] if subscript.start == 0 else [self.size(subscript.start)]
        return " + ".join([*start, *terms])

    def _read(self, node: Read) -> Piece:
        name = code_name(node.name)
        found = [s for s in node.subscripts if isinstance(s, Windows)]
        if not found:
            return self.at(name, node.subscripts), ATOM
        self.helpers.add("windows")
        left = [s for s in node.subscripts if not isinstance(s, At)]
        axes = [j for j, s in enumerate(left) if isinstance(s, Windows)]
        widths = ", ".join(self.size(s.width) for s in found)
        places = ", ".join(map(str, axes))
        array = self.at(name, node.subscripts)
        pair = (f"({widths})", f"({places})") if len(found) > 1 else (widths, places)
        code = f"windows({array}, {pair[0]}, {pair[1]})"
        inside = [self._outer(s) if isinstance(s, Windows) else ":" for s in left]
        while inside and inside[-1] == ":":
            inside.pop()
        return (f"{code}[{', '.join(inside)}]" if inside else code), ATOM

    def _outer(self, windows: Windows) -> str:
        """Which windows: every step-th."""
        return self._subscript(Span(windows.start, windows.step, windows.count), True)

    def _counter(self, node: Counter) -> Piece:
        return f"np.arange({self.size(node.size)})", ATOM

    def _same(self, node: Same) -> Piece:
        return (
            f"{self.operand(node.left, MUL, node.axes)} == {self.operand(node.right, MUL, node.axes)}",
            ADD - 1,
        )

    def _number(self, node: t.Number) -> Piece:
        value = self.graph.known(node.value)
        # a root is a Python number, so that float32 stays float32
        root = value.is_Pow and value.exp == sp.Rational(1, 2)
        if root and (value.base.is_Rational or value.base.free_symbols):
            base = self.size(value.base)
            return (base if base.isalnum() else f"({base})") + "**0.5", POW
        if value in (l.rho, l.eta, M) or not value.free_symbols:
            known = value.evalf(17) if value.is_number and not value.is_Rational else value
            return super()._number(t.scalar(known))
        factor, rest = value.as_coeff_Mul()
        if rest == l.rho:  # elastic net: a strength of its own times ρ
            return " * ".join(
                super(ArrayPrinter, self)._number(t.scalar(e))[0] for e in (factor, rest)
            ), MUL
        return self.size(value), ATOM if value.is_Symbol else MUL if value.is_Mul else ADD

    def size(self, expr: sp.Expr) -> str:
        """An integer expression of sizes and loop indices."""
        value = sp.expand(self.graph.known(expr))
        return _integer(value)

    # -- axes ------------------------------------------------------------------------------------------

    def aligned(self, node: Node, axes: t.Axes) -> str:
        """The code of a node so that its axes stand in this order and broadcast."""
        return self.operand(node, 0, axes)

    def operand(self, node: Node, level: int, axes: t.Axes) -> str:
        """An operand of an operation over ``axes``, with its own in order and unit axes between."""
        if isinstance(node, t.Call) and node.fn.name == "logsumexp" and node.args[0].axes == axes:
            self.helpers.add("logsumexp")
            return f"logsumexp({self.code(node.args[0])})"
        code, own = self.write(node)
        have = tuple(a for a in axes if a in node.axes)
        if len(have) < len(node.axes):
            raise DerivationError(f"axes {node.axes} do not fit into {axes}")
        if have != node.axes:
            inner = code if own == ATOM else f"({code})"
            order = tuple(node.axes.index(a) for a in have)
            code = f"{inner}.T" if len(have) == 2 else f"np.transpose({inner}, {order})"
            own = ATOM
        if have and have != axes[len(axes) - len(have) :]:
            if isinstance(node, t.Reduced) and node.arg.axes == axes and node.op != "argmax":
                code, own = code[:-1] + ", keepdims=True)", ATOM
            else:
                first = axes.index(have[0])
                inside = [":" if a in have else "None" for a in axes[first:]]
                code, own = f"{code if own == ATOM else f'({code})'}[{', '.join(inside)}]", ATOM
        return code if own >= level else f"({code})"

    def _call(self, node: t.Call) -> Piece:
        if node.fn.name != "logsumexp":
            return super()._call(node)
        self.helpers.add("logsumexp")
        return f"logsumexp({self.code(node.args[0])})[..., 0]", ATOM

    def _reduced(self, node: t.Reduced) -> Piece:
        code, level = self.write(node.arg)
        inner = code if level == ATOM else f"({code})"
        over = node.over
        if len(over) == len(node.arg.axes):
            return f"{inner}.{node.op}()", ATOM
        return f"{inner}.{node.op}(axis={over[0] if len(over) == 1 else over})", ATOM

    def _einsum(self, node: Einsum) -> Piece:
        if len(node.operands) == 2:
            found = self._matmul_of(node) or self._tensordot(node)
            if found is not None:
                return found
        letters: dict[sp.Symbol, str] = {}
        for operand in node.operands:
            for axis in operand.axes:
                letters.setdefault(axis, _letter(axis.name, set(letters.values())))
        terms = ["".join(letters[a] for a in o.axes) for o in node.operands]
        result = "".join(letters[a] for a in node.axes)
        arrays = ", ".join(self.code(o) for o in node.operands)
        best = ", optimize=True" if len(node.operands) > 2 else ""
        return f'np.einsum("{",".join(terms)}->{result}", {arrays}{best})', ATOM

    def _matmul_of(self, node: Einsum) -> Piece | None:
        """The contraction as ``left @ right``, if one index is summed and none is shared."""
        for left, right in (node.operands, node.operands[::-1]):
            summed = [a for a in left.axes if a in right.axes]
            if len(summed) != 1 or summed[0] in node.axes or len(right.axes) > 2:
                continue
            (c,) = summed
            free = tuple(a for a in (*left.axes, *right.axes) if a != c)
            if free != node.axes or (left.axes[-1] != c and len(left.axes) > 2):
                continue
            first = self.operand(left, NEG, left.axes if left.axes[-1] == c else left.axes[::-1])
            second = self.operand(
                right, NEG, right.axes if right.axes[0] == c else right.axes[::-1]
            )
            return f"{first} @ {second}", MUL
        return None

    def _tensordot(self, node: Einsum) -> Piece | None:
        """The contraction as a tensordot, if no index is shared but the summed ones."""
        for left, right in (node.operands, node.operands[::-1]):
            summed = [a for a in left.axes if a in right.axes]
            free = tuple(a for a in (*left.axes, *right.axes) if a not in summed)
            if not summed or any(a in node.axes for a in summed) or free != node.axes:
                continue
            pair = tuple(tuple(n.axes.index(a) for a in summed) for n in (left, right))
            axes = pair if len(summed) > 1 else (pair[0][0], pair[1][0])
            return f"np.tensordot({self.code(left)}, {self.code(right)}, axes={axes})", ATOM
        return None


def code_name(name: str) -> str:
    """The variable that holds an array."""
    return name.replace("lambda_", "lam_", 1)


def _letter(name: str, taken: set[str]) -> str:
    choices: list[str] = [name[:1].lower(), *"abcdefghijklmnopqrstuvwxyz"]
    return next(c for c in choices if c not in taken)


def _integer(expr: sp.Expr) -> str:
    """A whole-number expression as Python code."""
    if expr.is_Symbol or expr.is_Integer:
        return f"{expr}"
    if expr.is_Float:
        return repr(float(expr))
    if isinstance(expr, sp.floor):
        above, below = sp.fraction(sp.together(expr.args[0]))
        return f"({_integer(above)}) // {_integer(below)}"
    if isinstance(expr, sp.Add):
        terms = sorted(expr.args, key=lambda e: (e.is_number, e.could_extract_minus_sign(), str(e)))
        code = ""
        for term in terms:
            negative = term.could_extract_minus_sign()
            body = _integer(-term if negative else term)
            code += (f" {'-' if negative else '+'} " if code else "-" * negative) + body
        return code
    if isinstance(expr, sp.Mul):
        return "*".join(f"({_integer(e)})" if e.is_Add or isinstance(e, sp.floor) else _integer(e)
                        for e in expr.args)  # fmt: skip
    raise DerivationError(f"the size {expr} has no form in code")
