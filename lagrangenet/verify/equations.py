"""A layer's equations by brute force: the independent oracle for layers and graphs.

The text of an equation is read with Python's own ``ast`` and evaluated entry by entry: a loop over
every index, a loop for every sum. Nothing is solved, collapsed or derived. A number may be

* an array of copies of one scalar, real or complex, so that a complex step through one evaluation
  gives the derivatives by many variables;
* a :class:`Dual`, a scalar with its derivatives along several directions, by the product and the
  chain rule as a textbook states them. A complex step through it gives second derivatives.

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
from numpy.typing import NDArray

from lagrangenet.errors import DataError
from lagrangenet.layers import Layer

Array = NDArray[Any]
#: An array of copies, a Dual or a plain number: whatever + − * / ** are defined for.
Number = Any
#: The value of every index, size and option at one place.
Values = dict[str, Any]
Term = Callable[["Evaluation", Values], Number]
#: σ of a vector of numbers, the components along the last axis.
Sigma = Callable[[list[Number]], list[Number]]

_LINE = re.compile(r"\s*(\w+)\s*\[([\w\s,]+)\]\s*=(?!=)(.*)", re.DOTALL)
_SHAPE = re.compile(r"(\w+)\s*\[([^\]]*)\]")


class Dual:
    """value + Σ_b slope_b ε_b with ε_b ε_c = 0: a number and its derivatives along directions.

    Examples
    --------
    >>> x = Dual(3.0, np.array([1.0]))
    >>> (x * x + 1 / x).slope.round(6)
    array([5.888889])
    """

    __array_ufunc__ = None  # an array on the left leaves the operation to this class
    __slots__ = ("slope", "value")

    def __init__(self, value: Any, slope: Array) -> None:
        self.value, self.slope = value, slope

    @staticmethod
    def of(number: Number) -> Dual:
        """A number as one that does not vary, unless it is a Dual."""
        return number if isinstance(number, Dual) else Dual(number, np.zeros(1))

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(
                self.value * other.value, self.slope * other.value + other.slope * self.value
            )
        return Dual(self.value * other, self.slope * other)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __sub__(self, other: Number) -> Dual:
        return self.__add__(-other)

    def __rsub__(self, other: Number) -> Dual:
        return self.__neg__().__add__(other)

    def __truediv__(self, other: Number) -> Dual:
        return self.__mul__(other**-1.0 if isinstance(other, Dual) else 1.0 / other)

    def __rtruediv__(self, other: Number) -> Dual:
        return self.__pow__(-1.0).__mul__(other)

    def __pow__(self, power: float) -> Dual:
        return Dual(self.value**power, power * self.value ** (power - 1) * self.slope)

    __radd__, __rmul__ = __add__, __mul__


def _sign(z: Array) -> Array:
    return np.asarray(np.sign(np.real(z)))


def _sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def _erf(z: Any) -> Any:
    from scipy.special import erf  # here: importing it takes a quarter of the package's import

    return erf(z)


#: The functions that an equation may call, each with its derivative.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda z: 1 / z),
    "sqrt": (np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda z: -np.sin(z)),
    "atan": (np.arctan, lambda z: 1 / (1 + z**2)),
    "erf": (_erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2))),
    "abs": (lambda z: _sign(z) * z, _sign),
    "sign": (_sign, lambda z: 0.0 * z),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "softplus": (lambda z: np.log1p(np.exp(z)), _sigmoid),
}


def applied(rule: tuple[Callable[..., Any], Callable[..., Any]], number: Number) -> Number:
    """A function of one number, by (value, slope)."""
    value, slope = rule
    if isinstance(number, Dual):
        return Dual(value(number.value), slope(number.value) * number.slope)
    return value(number)


# -- reading -----------------------------------------------------------------------------------------


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

        def value(e: Evaluation, at: Values) -> Number:
            found: Number = 1
            for term in terms:
                factor = term(e, at)
                if _is_zero(factor):
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
            return lambda e, at: _delta(first(e, at), second(e, at))
        if name not in FUNCTIONS:
            raise DataError(f"the oracle does not know {name!r} in {self.layer.name!r}")
        (inner,), rule = terms, FUNCTIONS[name]
        return lambda e, at: applied(rule, inner(e, at))

    def over(self, kind: str, inside: ast.expr, over: list[ast.expr]) -> Term:
        """A sum, or a choice, over all values of some indices."""
        names = [index.id for index in over if isinstance(index, ast.Name)]
        sizes = [self.size(inside, name) for name in names]
        inner = self.term(inside)

        def terms(e: Evaluation, at: Values) -> Iterator[Number]:
            for place in itertools.product(*(range(1, int(s(e, at)) + 1) for s in sizes)):
                yield inner(e, {**at, **dict(zip(names, place, strict=True))})

        if kind == "sum":
            return lambda e, at: _total(terms(e, at))
        if kind == "max":
            return lambda e, at: _largest(list(terms(e, at)))[0]
        return lambda e, at: _largest(list(terms(e, at)))[1]

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

        def value(e: Evaluation, at: Values) -> Number:
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

        def value(e: Evaluation, at: Values) -> Number:
            gap = sign * _real(left(e, at) - right(e, at))
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


def _is_zero(number: Number) -> bool:
    return isinstance(number, int) and number == 0


def _total(terms: Iterator[Number]) -> Number:
    found: Number = 0
    for term in terms:
        if not _is_zero(term):
            found = term + found
    return found


def _real(number: Number) -> Array:
    return np.asarray(np.real(number.value if isinstance(number, Dual) else number))


def _delta(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int):
        return int(a == b)
    equal = np.equal(_real(a), _real(b))
    return int(equal.all()) if equal.all() or not equal.any() else equal.astype(np.float64)


def _largest(numbers: list[Number]) -> tuple[Number, Number]:
    """The number with the largest real part, and which it is: the first of several, from 1."""
    if any(isinstance(number, Dual) for number in numbers):
        at = int(np.argmax([_real(number).item() for number in numbers]))
        return numbers[at], at + 1
    stacked = np.stack(np.broadcast_arrays(*numbers))
    place = np.argmax(stacked.real, axis=0)
    return np.take_along_axis(stacked, place[None], axis=0)[0], place + 1


# -- evaluating --------------------------------------------------------------------------------------


class Evaluation:
    """The entries of a layer's arrays, computed when they are asked for.

    Parameters
    ----------
    equations : Equations
    sizes : mapping
        The value of every size, M included.
    arrays : mapping
        Object arrays of numbers: inputs, parameters, and whichever states are given.
    sigma : callable
        σ of a list of numbers.
    coupled : bool
        Whether σ needs all components at once.
    shift : mapping
        What is added to the right side of an equation, by state: an object array.
    """

    def __init__(
        self,
        equations: Equations,
        sizes: Mapping[str, int],
        arrays: Mapping[str, Array],
        sigma: Sigma,
        coupled: bool = False,
        shift: Mapping[str, Array] | None = None,
    ) -> None:
        self.equations, self.sizes, self.sigma, self.coupled = equations, sizes, sigma, coupled
        self.given, self.shift = dict(arrays), shift or {}
        self.lines = {line.state: line for line in equations.lines}
        self._known: dict[tuple[str, tuple[int, ...]], Number] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """The lengths of a local array's axes."""
        axes = self.equations.axes[name]
        return tuple(whole(axis.upper, self.sizes) - axis.lower + 1 for axis in axes)

    def entry(self, name: str, subscripts: tuple[int, ...]) -> Number:
        """One entry; subscripts count as in the equations."""
        axes = self.equations.axes[name]
        place = tuple(s - axis.lower for s, axis in zip(subscripts, axes, strict=True))
        if min(place) < 0:
            raise DataError(f"{name}{list(subscripts)} lies outside of the array")
        if name in self.given:
            return self.given[name][place]
        if (name, place) not in self._known:
            self._known[name, place] = self.right_side(name, subscripts)
        return self._known[name, place]

    def right_side(self, name: str, subscripts: tuple[int, ...]) -> Number:
        """What an equation says; zero where none does, as for h at time 0."""
        if min(subscripts) < 1:
            return 0.0
        line = self.lines[name]
        at = {**self.sizes, **dict(zip(line.indices, subscripts, strict=True))}
        value = line.term(self, at)
        if name not in self.shift:
            return value
        place = tuple(
            s - a.lower for s, a in zip(subscripts, self.equations.axes[name], strict=True)
        )
        return value + self.shift[name][place]

    def state(self, name: str, *, right: bool = False) -> Array:
        """All entries of a state, or of the right side of its equation, as an object array."""
        found = np.empty(self.shape(name), dtype=object)
        lowers = [axis.lower for axis in self.equations.axes[name]]
        value = self.right_side if right else self.entry
        for place in np.ndindex(found.shape):
            found[place] = value(name, tuple(p + low for p, low in zip(place, lowers, strict=True)))
        return found


def whole(expr: ast.expr, sizes: Mapping[str, float]) -> int:
    """A size: whole numbers and names with + − * / and floor."""
    return int(_size(expr, sizes))


def _size(expr: ast.expr, sizes: Mapping[str, float]) -> float:
    match expr:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return sizes[name]
        case ast.Call(func=ast.Name(id="floor"), args=[inside]):
            return float(np.floor(_size(inside, sizes)))
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _size(left, sizes), _size(right, sizes)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
    raise DataError(f"the oracle does not know the size {ast.unparse(expr)!r}")


def sizes_of(
    equations: Equations, shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, int]
) -> dict[str, Any]:
    """The value of every size and option, read off the shapes of arrays that are there.

    Raises
    ------
    DataError
        If a shape does not fit.

    Examples
    --------
    >>> sizes_of(read(LAYERS["dense"].with_axes(0)), {"x": (3, 2), "W": (4, 2), "b": (4,)}, {})
    {'M': 3, 'n': 2, 'm': 4}
    """
    found: dict[str, Any] = {**equations.options, **given}
    for name, shape in shapes.items():
        for axis, length in zip(equations.axes[name], shape, strict=True):
            if isinstance(axis.upper, ast.Name):
                found.setdefault(axis.upper.id, length + axis.lower - 1)
    for name, rule in equations.layer.sizes.items():
        found[name] = whole(ast.parse(rule, mode="eval").body, found)
    for name, shape in shapes.items():
        wanted = tuple(whole(a.upper, found) - a.lower + 1 for a in equations.axes[name])
        if wanted != shape:
            raise DataError(f"{equations.layer.name}: {name} has shape {shape}, expected {wanted}")
    return found
