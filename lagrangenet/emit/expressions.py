"""Expressions of arrays over samples and components as source: of NumPy, and of what resembles it.

Another language is a subclass: it differs in a table of functions, in the words of a reduction and
in how cases are told apart. Whatever has no form in a language is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

import sympy as sp

from lagrangenet.emit.layout import python_name
from lagrangenet.errors import DerivationError
from lagrangenet.functions import ACTIVATIONS
from lagrangenet.functions import base as f
from lagrangenet.routines.passes.expand import SPECIAL
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node

#: How tightly a piece of source binds.
ADD, MUL, NEG, POW, ATOM = 1, 2, 3, 4, 5
Piece = tuple[str, int]

#: NumPy's names of SymPy's functions; a function that is not here has no NumPy form.
NUMPY = {
    **{same: f"np.{same}" for same in ("exp", "log", "sqrt", "sign", "abs", "maximum", "where")},
    **{same: f"np.{same}" for same in ("minimum", "expm1")},
    "zeros_like": "np.zeros_like",
    **{same: f"np.{same}" for same in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "logaddexp")},
    **{f"a{inverse}": f"np.arc{inverse}" for inverse in ("sin", "cos", "tan", "sinh", "tanh")},
}
#: Functions that NumPy lacks and SciPy has; the module imports SciPy only if it needs one of them.
SCIPY = frozenset({"erf", "erfc", "ndtr"})
RELATIONS = frozenset({">", ">=", "<", "<="})
#: An axis of length one, which a reduction keeps.
UNIT = sp.Symbol("unit")


class Printer:
    """Expressions as source; ``helpers`` and ``scipy`` collect what the source needs.

    Attributes
    ----------
    language : str
        What messages call it.
    functions : mapping
        What SymPy's functions are called.
    from_scipy : frozenset
        Functions that are imported from scipy.special.
    along, keep : str
        The keywords of a reduction for its axis, and for keeping that axis.
    smallest : str
        What keeps ``x`` above zero.
    decorators, helper_decorators : tuple of str
        What stands above each routine and each helper.
    """

    language: ClassVar[str] = "NumPy"
    functions: ClassVar[Mapping[str, str]] = MappingProxyType(NUMPY)
    from_scipy: ClassVar[frozenset[str]] = SCIPY
    along: ClassVar[str] = "axis"
    keep: ClassVar[str] = "keepdims"
    smallest: ClassVar[str] = "np.maximum(x, np.finfo(x.dtype).tiny)"
    decorators: ClassVar[tuple[str, ...]] = ()
    helper_decorators: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.helpers: set[str] = set()
        self.scipy: set[str] = set()
        self.override: dict[str, str] = {}
        self.titles: dict[str, str] = {}

    def beside(self) -> Printer:
        """A printer of a helper: what it needs is added to what this one needs."""
        other = Printer()
        other.helpers, other.scipy, other.titles = self.helpers, self.scipy, self.titles
        return other

    def code(self, node: Node) -> str:
        """The expression as Python source."""
        return self.write(node)[0]

    def write(self, node: Node) -> Piece:
        """The expression as source, and how tightly it binds."""
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is None:
            raise DerivationError(f"no {self.language} form for {type(node).__name__}")
        return method(node)  # type: ignore[no-any-return]

    def operand(self, node: Node, level: int, axes: t.Axes) -> str:
        """An operand of a componentwise operation over ``axes``, shaped so that it broadcasts."""
        code, own = self.write(node)
        if UNIT in node.axes:
            return code if own >= level else f"({code})"
        if node.axes and node.axes != axes and node.axes != axes[len(axes) - len(node.axes) :]:
            if axes[: len(node.axes)] != node.axes:
                raise DerivationError(f"axes {node.axes} do not broadcast over {axes}")
            return self.column(node, code, own)
        return code if own >= level else f"({code})"

    def column(self, node: Node, code: str, own: int) -> str:
        """A vector over samples as a column."""
        if isinstance(node, t.Reduced):
            return self.reduction(node, True)
        if code.endswith("[:, 0]"):
            return code.removesuffix("[:, 0]")
        axes = "..." if self.override else ":"  # a helper serves states of more axes too
        return f"{code if own == ATOM else f'({code})'}[{axes}, None]"

    def array(self, node: Node) -> str:
        """The name of an array of floats, if the node is one."""
        return self.code(node) if isinstance(node, t.Ref) else ""

    def _ref(self, node: t.Ref) -> Piece:
        return self.override.get(node.name, python_name(node)), ATOM

    def _number(self, node: t.Number) -> Piece:
        value = node.value
        if isinstance(value, l.n):
            return "z.shape[1]", ATOM  # in a helper; elsewhere widths are numbers
        if value.is_Symbol:
            return {"rho": "RHO"}.get(value.name, value.name), ATOM
        if value.is_Rational and not value.is_Integer:
            return f"{value.p} / {value.q}", MUL
        return (str(value) if value.is_Integer else repr(float(value))), ATOM if value >= 0 else NEG

    def _call(self, node: t.Call) -> Piece:
        fn = node.fn.name
        if fn == "logsumexp":
            return self.log_sum(node)
        args = [self.operand(arg, 0, node.axes) for arg in node.args]
        if fn in RELATIONS:
            return f"{args[0]} {fn} {args[1]}", ADD - 1
        if fn == "where":
            return self.cases(node, args)
        if fn in self.functions or fn in self.from_scipy:
            return self.applied(fn, node.args, args), ATOM
        if fn in ACTIVATIONS:
            return self._activation(fn, node, args)
        if fn in SPECIAL:
            self.helpers.add(fn)
            return f"{fn}({', '.join(args)})", ATOM
        raise DerivationError(f"no {self.language} form for the function {fn!r}")

    def log_sum(self, node: t.Call) -> Piece:
        """The logarithm of Σ_r exp(z_r) for every sample."""
        self.helpers.add("logsumexp")
        return f"logsumexp({self.code(node.args[0])})[:, 0]", ATOM

    def cases(self, node: t.Call, args: list[str]) -> Piece:
        """args[1] where the condition args[0] holds, otherwise args[2]."""
        code = f"{self.functions['where']}({', '.join(args)})"
        if constant(node.args[1:]):
            return f"{code}.astype({self.like(node)}.dtype)", ATOM
        return code, ATOM

    def like(self, node: t.Call) -> str:
        """The name of an array of the type and shape of a node."""
        return next(filter(None, map(self.array, node.args[0].walk())))

    def applied(self, name: str, nodes: Iterable[Node], args: list[str]) -> str:  # noqa: ARG002
        """A function that the language has, or SciPy."""
        if name not in self.functions:
            self.scipy.add(name)
        return f"{self.functions.get(name, name)}({', '.join(args)})"

    def _activation(self, name: str, node: t.Call, args: list[str]) -> Piece:
        entry = ACTIVATIONS[name]
        if entry.expr == f.z:
            return self.write(node.args[0])
        direct = type(entry.expr).__name__
        if direct in self.functions and entry.expr.args == (f.z,):
            return self.applied(direct, node.args, args), ATOM
        self.helpers.add(name)
        return f"{self.title(name)}({', '.join(args)})", ATOM

    def title(self, name: str) -> str:
        """The Python name of a helper; a function that is given by a formula gets a number."""
        if name.isidentifier():
            return name
        return self.titles.setdefault(name, f"sigma{len(self.titles) + 1}")

    def _product(self, node: t.Product) -> Piece:
        first, *others = node.factors
        level = MUL if isinstance(first, t.Product | t.MatMul) and not others else POW
        code = self.operand(first, NEG if level == POW else level, node.axes)
        if isinstance(first, t.MatMul | t.Product) and (others or node.divisors):
            code = self.operand(first, NEG, node.axes)
        for other in others:
            code += f" * {self.operand(other, NEG, node.axes)}"
        if len(node.divisors) == 1:
            code += f" / {self.operand(node.divisors[0], NEG, node.axes)}"
        elif node.divisors:
            code += f" / ({' * '.join(self.operand(d, NEG, node.axes) for d in node.divisors)})"
        return code, MUL

    def _total(self, node: t.Total) -> Piece:
        code = " ".join(self.terms(node))
        code = code.removeprefix("+ ") if node.plus else f"-{code[2:]}"
        return code, ADD if node.plus else NEG if len(node.minus) == 1 else ADD

    def terms(self, node: t.Total) -> list[str]:
        """The summands, each with its sign."""
        plus = [f"+ {self.operand(term, ADD, node.axes)}" for term in node.plus]
        return plus + [f"- {self.operand(term, MUL, node.axes)}" for term in node.minus]

    def _power(self, node: t.Power) -> Piece:
        if node.exponent == sp.Rational(1, 2):
            base = self.operand(node.base, 0, node.axes)
            return self.applied("sqrt", (node.base,), [base]), ATOM
        base = self.operand(node.base, ATOM, node.axes)
        exponent, own = self._number(t.scalar(node.exponent))
        exponent = exponent if own == ATOM else f"({exponent})"
        return (f"{base}**{exponent}" if base.isidentifier() else f"{base} ** {exponent}"), POW

    def _matmul(self, node: t.MatMul) -> Piece:
        left = self.write(node.left)
        right = self.write(node.right)
        before = left[0] if left[1] >= NEG else f"({left[0]})"
        after = right[0] if right[1] >= NEG else f"({right[0]})"
        return f"{before} @ {after}", MUL

    def _transposed(self, node: t.Transposed) -> Piece:
        code, level = self.write(node.arg)
        return f"{code if level == ATOM else f'({code})'}.T", ATOM

    def _reduced(self, node: t.Reduced) -> Piece:
        return self.reduction(node, UNIT in node.axes), ATOM

    def reduction(self, node: t.Reduced, keep: bool) -> str:
        """A sum or a maximum; with ``keep`` what it runs over stays as an axis of length one."""
        code, level = self.write(node.arg)
        inner = code if level == ATOM else f"({code})"
        over = node.over
        if len(over) == len(node.arg.axes):
            return self.reduced(inner, node.op, "")
        axis = -1 if self.override else over[0] if len(over) == 1 else over
        return self.reduced(inner, node.op, f"{self.along}={axis}{f', {self.keep}=True' * keep}")

    def reduced(self, inner: str, op: str, how: str) -> str:
        """A sum or a maximum of ``inner``; ``how`` is the axis, empty if all entries count."""
        return f"{inner}.{op}({how})"


def constant(nodes: Iterable[Node]) -> bool:
    """Whether all of these are numbers."""
    return all(isinstance(node, t.Number) for node in nodes)
