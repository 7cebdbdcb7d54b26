"""A layer's equations by brute force: the independent oracle for layers and graphs.

The text of an equation is read with Python's own ``ast`` and evaluated entry by entry: a loop over
every index, a loop for every sum. Nothing is solved, collapsed or derived. A number may be

* an array of copies of one scalar, real or complex, so that a complex step through one evaluation
  gives the derivatives by many variables;
* a :class:`~lagrangenet.verify.dual.Dual`, a scalar with its derivatives along several directions,
  by the product and the chain rule as a textbook states them. A complex step through it gives
  second derivatives.

It refuses what it does not know; it never guesses.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.layers import Layer
from lagrangenet.verify.dual import (
    FUNCTIONS,
    Dual,
    Number,
    applied,
    delta,
    is_zero,
    largest,
    real,
    total,
)

#: The value of every index, size and option at one place.
Values = dict[str, Any]
#: What an :class:`~lagrangenet.verify.evaluation.Evaluation` makes of a term at one place.
Term = Callable[[Any, Values], Number]

_LINE = re.compile(r"\s*(\w+)\s*\[([\w\s,]+)\]\s*=(?!=)(.*)", re.DOTALL)
_SHAPE = re.compile(r"(\w+)\s*\[([^\]]*)\]")


class Line(NamedTuple):
    """``state[indices] = term``."""

    state: str
    indices: tuple[str, ...]
    term: Term


class Axis(NamedTuple):
    """One axis of an array: its first subscript, and its last as text."""

    lower: int
    upper: ast.expr


class Equations(NamedTuple):
    """What a layer's text says, for one choice of options.

    ``reads`` are the arrays with a subscript on a right side, ``selections`` the states that are
    positions of a maximum; ``preactivation`` is the array whose σ the last equation is, if it is one.
    """

    layer: Layer
    options: Mapping[str, float]
    axes: Mapping[str, tuple[Axis, ...]]
    lines: tuple[Line, ...]
    reads: frozenset[str]
    selections: frozenset[str]
    preactivation: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Local names of what is neither a parameter nor determined here."""
        taken = {*self.states, *self.layer.parameters}
        return tuple(name for name in self.axes if name in self.reads and name not in taken)

    @property
    def states(self) -> tuple[str, ...]:
        """Local names, inner states first."""
        return tuple(line.state for line in self.lines)


@cache
def read(layer: Layer, given: tuple[tuple[str, float], ...] = ()) -> Equations:
    """The equations of a layer.

    Examples
    --------
    >>> from lagrangenet.layers import LAYERS
    >>> read(LAYERS["softmax"].with_axes(0)).states
    ('c', 'e', 's', 'y')
    """
    options = {**layer.options, **dict(given)}
    text = layer.equations if isinstance(layer.equations, str) else layer.equations(options)
    axes = {name: _axes(inside) for name, inside in _SHAPE.findall(layer.shapes)}
    lines, trees = [], {}
    for part in filter(str.strip, re.split(r"[\n;]", text)):
        match = _LINE.fullmatch(part)
        if match is None:
            raise DataError(f"the oracle cannot read {part.strip()!r} of layer {layer.name!r}")
        indices = tuple(index.strip() for index in match[2].split(","))
        tree = ast.parse(match[3].strip(), mode="eval").body
        trees[match[1]] = tree
        lines.append(Line(match[1], indices, _Reader(layer, axes).term(tree)))
    reads = {
        node.value.id
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    }
    selections = {state for state, tree in trees.items() if _calls(tree, "argmax")}
    return Equations(
        layer, options, axes, tuple(lines), frozenset(reads), frozenset(selections), _argument(tree)
    )


def _axes(inside: str) -> tuple[Axis, ...]:
    found = []
    for part in inside.split(","):
        lower, _, upper = part.strip().rpartition("..")
        found.append(Axis(int(lower or 1), ast.parse(upper, mode="eval").body))
    return tuple(found)


class _Reader:
    """Syntax trees into functions of the values of the indices."""

    def __init__(self, layer: Layer, axes: Mapping[str, tuple[Axis, ...]]) -> None:
        self.layer, self.axes = layer, axes

    def term(self, node: ast.expr) -> Term:
        match node:
            case ast.Constant(value=int() | float() as number):
                return lambda _, __: number
            case ast.Name(id=name):
                return lambda _, at: at[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.term(operand)
                return lambda e, at: -inner(e, at)
            case ast.BinOp(op=ast.Mult()):
                return self.product(node)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(self.term(left), op, self.term(right))
            case ast.Subscript(value=ast.Name(id=name), slice=inside):
                return self.entry(name, inside)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, arguments)
        raise self.unknown(node)

    def unknown(self, node: ast.AST) -> DataError:
        return DataError(f"the oracle does not know {ast.unparse(node)!r} in {self.layer.name!r}")

    def binary(self, left: Term, op: ast.operator, right: Term) -> Term:
        match op:
            case ast.Add():
                return lambda e, at: left(e, at) + right(e, at)
            case ast.Sub():
                return lambda e, at: left(e, at) - right(e, at)
            case ast.Div():
                return lambda e, at: left(e, at) / right(e, at)
            case ast.Pow():
                return lambda e, at: left(e, at) ** right(e, at)
        raise self.unknown(op)

    def product(self, node: ast.expr) -> Term:
        """Factors, deltas first: what a zero multiplies is not looked at."""
        factors = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            factors.append(node.right)
            node = node.left
        listed = [node, *reversed(factors)]
        terms = [self.term(f) for f in sorted(listed, key=lambda f: not _calls(f, "delta"))]

        def value(e: Any, at: Values) -> Number:
            found: Number = 1
            for term in terms:
                factor = term(e, at)
                if is_zero(factor):
                    return 0
                found = factor * found
            return found

        return value

    def entry(self, name: str, inside: ast.expr) -> Term:
        if name not in self.axes:
            raise self.unknown(inside)
        listed = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        subscripts = [self.term(part) for part in listed]
        return lambda e, at: e.entry(name, tuple(int(part(e, at)) for part in subscripts))

    def call(self, name: str, arguments: list[ast.expr]) -> Term:
        if name in {"sum", "max", "argmax"}:
            return self.over(name, arguments[0], arguments[1:])
        if name == "sigma":
            return self.sigma(arguments[0])
        if name == "where":
            return self.where(*arguments)
        terms = [self.term(argument) for argument in arguments]
        if name == "delta":
            first, second = terms
            return lambda e, at: delta(first(e, at), second(e, at))
        if name not in FUNCTIONS:
            raise DataError(f"the oracle does not know {name!r} in {self.layer.name!r}")
        (inner,), rule = terms, FUNCTIONS[name]
        return lambda e, at: applied(rule, inner(e, at))

    def over(self, kind: str, inside: ast.expr, over: list[ast.expr]) -> Term:
        """A sum, or a choice, over all values of some indices."""
        names = [index.id for index in over if isinstance(index, ast.Name)]
        sizes = [self.size(inside, name) for name in names]
        inner = self.term(inside)

        def terms(e: Any, at: Values) -> Iterator[Number]:
            for place in itertools.product(*(range(1, int(s(e, at)) + 1) for s in sizes)):
                yield inner(e, {**at, **dict(zip(names, place, strict=True))})

        if kind == "sum":
            return lambda e, at: total(terms(e, at))
        if kind == "max":
            return lambda e, at: largest(list(terms(e, at)))[0]
        return lambda e, at: largest(list(terms(e, at)))[1]

    def size(self, inside: ast.expr, index: str) -> Term:
        """The last value of an index: of the axis that it subscripts alone, or a named one."""
        if index in self.layer.ranges:
            return self.term(ast.parse(self.layer.ranges[index], mode="eval").body)
        for node in ast.walk(inside):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                listed = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                for part, axis in zip(listed, self.axes[node.value.id], strict=True):
                    if isinstance(part, ast.Name) and part.id == index:
                        return self.term(axis.upper)
        raise DataError(f"the oracle finds no range of {index!r} in {self.layer.name!r}")

    def sigma(self, argument: ast.expr) -> Term:
        """σ; where it couples components, of the vector along the argument's last subscript."""
        inner = self.term(argument)
        if not isinstance(argument, ast.Subscript):
            return lambda e, at: e.sigma([inner(e, at)])[0]
        last = argument.slice.elts[-1] if isinstance(argument.slice, ast.Tuple) else argument.slice
        if not isinstance(last, ast.Name):
            raise self.unknown(argument)
        size, name = self.size(argument, last.id), last.id

        def value(e: Any, at: Values) -> Number:
            if not e.coupled:
                return e.sigma([inner(e, at)])[0]
            vector = [inner(e, {**at, name: p}) for p in range(1, int(size(e, at)) + 1)]
            return e.sigma(vector)[at[name] - 1]

        return value

    def where(self, condition: ast.expr, yes: ast.expr, no: ast.expr) -> Term:
        if not isinstance(condition, ast.Compare):
            raise self.unknown(condition)
        left, right = self.term(condition.left), self.term(condition.comparators[0])
        strict = isinstance(condition.ops[0], ast.Gt | ast.Lt)
        sign = 1 if isinstance(condition.ops[0], ast.Gt | ast.GtE) else -1
        first, second = self.term(yes), self.term(no)

        def value(e: Any, at: Values) -> Number:
            gap = sign * real(left(e, at) - right(e, at))
            holds = np.asarray(gap > 0 if strict else gap >= 0)
            a, b = first(e, at), second(e, at)
            if isinstance(a, Dual) or isinstance(b, Dual):
                return Dual.of(a) if holds.all() else Dual.of(b)
            return np.where(holds, a, b)

        return value


def _argument(tree: ast.expr) -> str:
    """``z`` of ``sigma(z[i,p])``."""
    if not _calls(tree, "sigma"):
        return ""
    return next((n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id != "sigma"), "")


def _calls(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
