"""Expressions from text, without ever handing the text to SymPy.

``sympify`` and its relatives execute what they read. Here Python's own grammar is the tokenizer
(:mod:`.spelling`) and an allow-list is the interpreter: numbers, declared names, + − * / **, calls of
offered functions, comparisons as their arguments, subscripts of declared arrays. Everything else is
refused with its column and a remedy, before anything large is evaluated: length, nesting, digits and
exponents are bounded.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.functions.cases import (
    Function,
    largest,
    magnitude,
    sigmoid,
    sign,
    smallest,
    softplus,
    where,
)
from lagrangenet.functions.spelling import NESTING, Formula

#: Digits of a literal, decimal exponent of a literal, exponent of a power, bits of an exact number.
DIGITS, DECADES, EXPONENT, BITS = 30, 99, 64, 512
#: A constant larger than this is a slip, and nested ones would take forever.
LARGEST = 1e100

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_LITERAL = re.compile(r"(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d+))?")
_RELATIONS: dict[type[ast.cmpop], Any] = {
    ast.Lt: sp.StrictLessThan,
    ast.LtE: sp.LessThan,
    ast.Gt: sp.StrictGreaterThan,
    ast.GtE: sp.GreaterThan,
}

#: Functions whose first argument is a comparison.
CONDITIONAL: frozenset[str] = frozenset({"where"})

#: The functions that an activation, a loss or a regularizer may be written with.
FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "exp": sp.exp,
        "log": sp.log,
        "sqrt": sp.sqrt,
        "tanh": sp.tanh,
        "sinh": sp.sinh,
        "cosh": sp.cosh,
        "sin": sp.sin,
        "cos": sp.cos,
        "atan": sp.atan,
        "erf": sp.erf,
        "abs": magnitude,
        "max": largest,
        "min": smallest,
        "sign": sign,
        "sigmoid": sigmoid,
        "softplus": softplus,
        "where": where,
    }
)


def parse(
    text: str,
    names: Mapping[str, sp.Expr],
    functions: Mapping[str, Function] = FUNCTIONS,
    arrays: Mapping[str, sp.IndexedBase] = MappingProxyType({}),
) -> sp.Expr:
    """The expression that a text says.

    Parameters
    ----------
    text : str
        One line, e.g. ``"z/(1 + exp(-z))"`` or ``"sum(W[p,q]*x[i,q], q)"``.
    names : mapping
        The symbols that may occur.
    functions : mapping
        The functions that may be called, each taking and returning SymPy expressions.
    arrays : mapping
        The arrays that may be subscripted; subscripts are expressions in ``names``.

    Raises
    ------
    ProblemError
        For anything else; the message shows the place.

    Examples
    --------
    >>> z = sp.Symbol("z", real=True)
    >>> parse("0.5*z*(1 + tanh(z))", {"z": z})
    z*(tanh(z) + 1)/2
    >>> parse("z.real", {"z": z})
    Traceback (most recent call last):
    ...
    lagrangenet.errors.ProblemError: column 1: an attribute cannot stand in a formula; ...
        z.real
        ^
    """
    return _Parser(text, names, functions, arrays).expression()


class _Parser(Formula):
    def __init__(
        self,
        text: str,
        names: Mapping[str, sp.Expr],
        functions: Mapping[str, Function],
        arrays: Mapping[str, sp.IndexedBase],
    ) -> None:
        super().__init__(text)
        self.names, self.functions, self.arrays = names, functions, arrays

    def expression(self) -> sp.Expr:
        return self.value(self.tree(), 0)

    # -- values ----------------------------------------------------------------------------------

    def value(self, node: ast.expr, depth: int) -> sp.Expr:
        if depth > NESTING:
            self.refuse_at(node, f"more than {NESTING} nested operations", "simplify it")
        found = self.evaluated(node, depth)
        return self.checked(node, found)

    def evaluated(self, node: ast.expr, depth: int) -> sp.Expr:
        match node:
            case ast.Constant():
                return self.number(node)
            case ast.Name():
                return self.name(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand, depth + 1)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return sp.Add(*self.chain(node, depth, ast.Add, ast.Sub))
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return sp.Mul(*self.chain(node, depth, ast.Mult, ast.Div))
            case ast.BinOp(op=ast.Pow()):
                return self.power(node, depth)
            case ast.Call():
                return self.call(node, depth)
            case ast.Subscript():
                return self.entry(node, depth)
            case ast.Compare():
                cause, remedy = "a comparison has no value", "compare inside where(condition, a, b)"
            case _:
                kind = type(node).__name__
                what, remedy = _REFUSED.get(kind, (kind, "write a formula"))
                cause = f"{what} cannot stand in a formula"
        return self.refuse_at(node, cause, remedy)

    def chain(
        self, node: ast.expr, depth: int, direct: type[ast.operator], inverse: type[ast.operator]
    ) -> list[sp.Expr]:
        """Operands of a + b − c + ..., so that SymPy adds (or multiplies) once."""
        operands: list[sp.Expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, direct | inverse):
            right = self.value(node.right, depth + 1)
            if isinstance(node.op, ast.Div) and right.is_zero:
                self.refuse_at(node.right, "division by zero", "divide by something else")
            if isinstance(node.op, inverse):
                right = -right if inverse is ast.Sub else 1 / right
            operands.append(right)
            node = node.left
        operands.append(self.value(node, depth + 1))
        return operands[::-1]

    def power(self, node: ast.BinOp, depth: int) -> sp.Expr:
        if any(
            isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow) for e in ast.walk(node.right)
        ):
            self.refuse_at(node.right, "a power in an exponent", "write exp(...), or brackets")
        base, exponent = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
        if exponent.is_number and not -EXPONENT <= float(exponent) <= EXPONENT:
            self.refuse_at(node.right, "a large exponent", f"use one up to {EXPONENT}")
        if base.is_zero and not exponent.is_positive:
            self.refuse_at(node, "zero to this power is not defined", "change base or exponent")
        return sp.Pow(base, exponent)

    def number(self, node: ast.Constant) -> sp.Expr:
        literal = self.source(node)
        found = _LITERAL.fullmatch(literal)
        if found is None:
            self.refuse_at(
                node, f"{literal} is no decimal number", "write digits, as in 0.5 or 1e-3"
            )
        digits = "".join(part or "" for part in found.groups()[:3])
        decade = int(found[4] or 0)
        if len(digits) > DIGITS:
            self.refuse_at(node, f"a number of {len(digits)} digits", f"write at most {DIGITS}")
        if abs(decade) > DECADES:
            self.refuse_at(node, f"a number with exponent {decade}", f"stay within 1e±{DECADES}")
        if len(digits) <= 16 and abs(decade) <= 16:
            return sp.Rational(literal)
        return sp.Float(float(literal))

    def name(self, node: ast.Name) -> sp.Expr:
        if not _NAME.fullmatch(node.id) or keyword.iskeyword(node.id):
            self.refuse_at(
                node,
                f"{node.id!r} is no name",
                "a name is a letter, then at most 30 letters, digits and underscores",
            )
        if node.id in self.names:
            return self.names[node.id]
        if node.id in self.arrays:
            self.refuse_at(node, f"the array {node.id!r} stands alone", f"write {node.id}[...]")
        if node.id in self.functions:
            self.refuse_at(node, f"the function {node.id!r} stands alone", f"write {node.id}(...)")
        known = ", ".join(sorted(self.names)) or "none"
        return self.refuse_at(node, f"unknown name {node.id!r}", f"known names: {known}")

    def call(self, node: ast.Call, depth: int) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            self.refuse_at(node.func, "only a function by its name is called", "write f(...)")
        name = node.func.id
        if name not in self.functions:
            known = ", ".join(sorted(self.functions)) or "none"
            hint = f"write {name}*(...) for a product" if name in self.names else f"known: {known}"
            self.refuse_at(node.func, f"unknown function {name!r}", hint)
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            self.refuse_at(node, "a keyword or starred argument", f"write {name}(a, b, ...)")
        function = self.functions[name]
        conditional = name in CONDITIONAL
        arguments = [
            self.condition(argument, depth + 1)
            if conditional and position == 0
            else self.value(argument, depth + 1)
            for position, argument in enumerate(node.args)
        ]
        if not _takes(function, len(arguments)):
            self.refuse_at(
                node, f"{name} does not take {len(arguments)} argument(s)", _usage(name, function)
            )
        return self.applied(node, function, arguments)

    def applied(self, node: ast.Call, function: Function, arguments: list[sp.Expr]) -> sp.Expr:
        try:
            found = function(*arguments)
        except ProblemError as error:
            self.refuse_at(node, str(error), "see the function's help")
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            self.refuse_at(node, "this call has no value", str(error))
        constant = all(argument.is_number for argument in arguments)
        if constant and found.is_number and not found.is_Rational and function is not sp.sqrt:
            return self.rounded(node, found)
        return found

    def condition(self, node: ast.expr, depth: int) -> sp.Basic:
        if not isinstance(node, ast.Compare):
            self.refuse_at(node, "this is no comparison", "write where(z > 0, a, b)")
        if len(node.ops) != 1 or type(node.ops[0]) not in _RELATIONS:
            self.refuse_at(node, "one comparison by <, <=, > or >= is expected", "nest where(...)")
        left, right = self.value(node.left, depth), self.value(node.comparators[0], depth)
        if left.is_number and right.is_number:
            self.refuse_at(node, "two constants are compared", "drop the case that never holds")
        return _RELATIONS[type(node.ops[0])](left, right, evaluate=False)

    def entry(self, node: ast.Subscript, depth: int) -> sp.Expr:
        if not isinstance(node.value, ast.Name) or node.value.id not in self.arrays:
            known = ", ".join(sorted(self.arrays)) or "none"
            self.refuse_at(node, "only a declared array has subscripts", f"arrays: {known}")
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        subscripts = [self.value(index, depth + 1) for index in inside]
        try:
            return self.arrays[node.value.id][tuple(subscripts)]
        except (TypeError, ValueError, IndexError) as error:
            self.refuse_at(node, f"{node.value.id} cannot be subscripted so", str(error))

    # -- bounds ----------------------------------------------------------------------------------

    def checked(self, node: ast.expr, found: sp.Expr) -> sp.Expr:
        """The value, if it is real and of bounded size."""
        parts = (found, *found.args)
        if any(part in _UNDEFINED for part in parts):
            self.refuse_at(node, "this has no real value", "stay within the function's domain")
        if any(
            part.is_Rational and max(part.p.bit_length(), part.q.bit_length()) > BITS
            for part in parts
        ):
            self.refuse_at(node, "a number of this size", "write it with an exponent: 1e30")
        if found.is_Pow and found.exp.is_number and abs(float(found.exp)) > EXPONENT:
            self.refuse_at(node, "a large exponent", f"use one up to {EXPONENT}")
        if found.is_number:
            if found.is_real is not True:
                self.refuse_at(node, "this has no real value", "stay within the function's domain")
            if not found.is_Rational:
                self.bounded(node, found)
        return found

    def bounded(self, node: ast.expr, found: sp.Expr) -> float:
        value = abs(found.evalf(15))
        if not value <= LARGEST:
            self.refuse_at(node, "a constant of this size", f"stay below {LARGEST:g}")
        return float(found)

    def rounded(self, node: ast.expr, found: sp.Expr) -> sp.Expr:
        """A constant such as exp(2) as a number."""
        if found in _UNDEFINED or found.is_real is not True:
            self.refuse_at(node, "this has no real value", "stay within the function's domain")
        value = self.bounded(node, found)
        return sp.Float(value) if value else sp.S.Zero


_UNDEFINED = frozenset({sp.nan, sp.zoo, sp.oo, -sp.oo, sp.I})

#: How the parts of Python that are not mathematics are called, and what to do instead.
_REFUSED = {
    "Attribute": ("an attribute", "write a function as f(z)"),
    "BinOp": ("this operator", "use + - * / **"),
    "UnaryOp": ("this operator", "use + or -"),
    "BoolOp": ("'and' and 'or'", "nest where(...)"),
    "IfExp": ("'if'", "write where(condition, a, b)"),
    "Tuple": ("a list of values", "write one expression"),
    "List": ("a list", "write one expression"),
    "Slice": ("a range of subscripts", "write one subscript for each axis"),
    "Starred": ("a star", "write the operands of *"),
    "ListComp": ("a loop", "write the terms out"),
    "GeneratorExp": ("a loop", "write the terms out"),
    "Await": ("'await'", "write a formula"),
    "Yield": ("'yield'", "write a formula"),
    "NamedExpr": ("an assignment", "write the value"),
    "Lambda": ("'lambda'", "write the formula itself"),
}


def _takes(function: Function, count: int) -> bool:
    """Whether a function accepts that many positional arguments; SymPy's own take one here."""
    if function is sp.sqrt or isinstance(function, type):
        return count == 1
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _usage(name: str, function: Function) -> str:
    if function is sp.sqrt or isinstance(function, type):
        return f"write {name}(z)"
    return f"write {name}({', '.join(inspect.signature(function).parameters)})"
