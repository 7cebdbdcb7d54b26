"""Expressions over samples and components as C: one vector of samples, or one number, at a time.

Every function call becomes a local variable, and equal ones become one: σ and σ′ share what they
have in common. Whatever has no C form is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

#: Functions of vector.h by their names in trees.
FUNCTIONS = frozenset(
    {
        "exp", "expm1", "log", "sqrt", "abs", "sign", "maximum", "minimum", "logaddexp", "positive",
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "atanh",
        "erf", "erfc", "ndtr",
    }
)  # fmt: skip
#: Whole numbers up to here are numbers of any type; larger ones are written with a decimal point.
WHOLE = 2**24
_RELATIONS = {">", ">=", "<", "<="}


@dataclass
class Expressions:
    """Statements that compute expressions of vectors.

    Attributes
    ----------
    load : callable
        An array as a C expression.
    strength : float
        ρ.
    lines : list of str
        The statements so far.
    """

    load: Callable[[Ref], str]
    strength: float = 0.0
    lines: list[str] = field(default_factory=list)
    _known: dict[Node, str] = field(default_factory=dict)

    def define(self, array: Ref, name: str) -> None:
        """Say that an array is in a local variable."""
        self._known[array] = name

    def assign(self, array: Ref, name: str, code: str) -> None:
        """Put an array into a variable; one that was just made for its value gets that name instead."""
        own = f"const V {code} = "
        if self.lines and self.lines[-1].startswith(own):
            code, old = self.lines.pop().removeprefix(own).removesuffix(";"), code
            self._known = {node: name if n == old else n for node, n in self._known.items()}
        self.lines.append(f"const V {name} = {code};")
        self.define(array, name)

    def knows(self, array: Ref) -> bool:
        """Whether an array is in a local variable."""
        return array in self._known

    def value(self, node: Node) -> str:
        """The C expression of a node; what it needs is in :attr:`lines`."""
        if node in self._known:
            return self._known[node]
        if isinstance(node, t.Number):
            code = self.number(node.value)
            return f"all({code.removeprefix('(T)') if node.value.is_Integer else code})"
        if isinstance(node, Ref):
            return self._local(node, self.load(node))
        if isinstance(node, t.Product):
            return self._product(node)
        if isinstance(node, t.Total):
            return self._total(node)
        if isinstance(node, t.Power):
            return self._power(node)
        if isinstance(node, t.Call):
            return self._call(node)
        raise DerivationError(f"no C form for {type(node).__name__}")

    def number(self, value: sp.Expr) -> str:
        """A constant as C."""
        if value == l.M:
            return "(T)SAMPLES"
        if value == l.rho:
            return repr(float(self.strength))
        if value.free_symbols:
            raise DerivationError(f"no C form for the symbol {value}")
        if value.is_Rational and max(abs(value.p), value.q) <= WHOLE:
            return f"(T){value.p}" if value.is_Integer else f"(T){value.p} / {value.q}"
        return repr(float(value))

    def _factor(self, node: t.Number) -> str:
        code = self.number(node.value)
        return f"({code})" if "/" in code else code

    def _local(self, node: Node, code: str) -> str:
        name = f"v{len(self._known)}"
        self.lines.append(f"const V {name} = {code};")
        self._known[node] = name
        return name

    def _product(self, node: t.Product) -> str:
        numbers = [n for n in node.factors if isinstance(n, t.Number)]
        below = [n for n in node.divisors if isinstance(n, t.Number)]
        factors = [self.value(n) for n in node.factors if not isinstance(n, t.Number)]
        divisors = [self.value(n) for n in node.divisors if not isinstance(n, t.Number)]
        constant = " * ".join(self._factor(n) for n in numbers)
        if below:
            under = " * ".join(self._factor(n) for n in below)
            constant = f"{constant or '(T)1'} / {under if len(below) == 1 else f'({under})'}"
        code = " * ".join([f"all({constant})"] * bool(constant) + factors) or "all(1)"
        if not divisors:
            return f"({code})"
        return self._local(node, f"{code} / ({' * '.join(divisors)})")

    def _total(self, node: t.Total) -> str:
        code = " + ".join(self.value(n) for n in node.plus)
        for n in node.minus:
            code += f" - {self.value(n)}" if code else f"-{self.value(n)}"
        return f"({code})"

    def _power(self, node: t.Power) -> str:
        exponent = node.exponent
        base = self.value(node.base)
        if exponent == sp.Rational(1, 2):
            return self._local(node, f"v_sqrt({base})")
        if not exponent.is_Integer or abs(exponent) > 64:
            return self._local(node, f"v_pow({base}, {self.number(exponent)})")
        if not base.isidentifier():
            base = self._local(node.base, base)
        code = " * ".join([base] * abs(int(exponent))) or "all(1)"
        return self._local(node, code if exponent >= 0 else f"all(1) / ({code})")

    def _call(self, node: t.Call) -> str:
        name = node.fn.name
        if name == "zeros_like":
            return "all(0)"
        arguments = [self.value(arg) for arg in node.args]
        if name in _RELATIONS:
            return f"({arguments[0]} {name} {arguments[1]})"
        if name == "where":
            return self._local(node, f"v_where({', '.join(arguments)})")
        if name not in FUNCTIONS:
            raise DerivationError(f"no C form for the function {name!r}")
        return self._local(node, f"v_{name}({', '.join(arguments)})")
