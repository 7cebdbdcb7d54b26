"""Trees of equations as numbers, at one probe: the right ones, and those that a fault has changed.

A tree is compiled to a function once and evaluated at many layers and probes; only what depends on
a changed equation is evaluated again. The functions σ, ℓ, ω are those of the oracle
(:mod:`lagrangenet.verify.tables`), the equations those of the derivation. It refuses nothing:
shapes that do not fit are an outcome, as they are for the program that has the fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.errors import DerivationError
from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.grading.answers import Layers
from lagrangenet.grading.faults.named import CHOICES, FUNCTIONS, HALF_LOSSES
from lagrangenet.problem import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node
from lagrangenet.verify import unlisted
from lagrangenet.verify.tables import ACTIVATION_RULES, LOSS_RULES, REGULARIZER_RULES, Rule, rule

Array = NDArray[Any]
#: An array by name and layer: ("X", 2).
Name = tuple[str, int]
Evaluate = Callable[["Point", int], Any]


class Absent(LookupError):
    """An array of a layer that the network does not have."""


class Point:
    """The arrays of one probe, as far as they are known, and the functions of its network.

    Attributes
    ----------
    arrays : dict
        Values by name and layer.
    """

    def __init__(self, problem: Problem, theta: Layers, X: Array, Y: Array, eta: float) -> None:
        self.depth, self.widths = problem.depth, problem.widths
        self.scalars = {"M": len(X), "N": self.depth, "rho": problem.strength, "eta": eta}
        self.arrays: dict[Name, Any] = {("X", 0): X, ("Y", 0): Y}
        for k, (W, b) in enumerate(theta, 1):
            self.arrays["W", k], self.arrays["b", k] = W, b
        self.sigmas = [
            rule(ACTIVATION_RULES, layer.activation, unlisted.activation)
            for layer in problem.layers
        ]
        self.ell = rule(LOSS_RULES, problem.loss, unlisted.loss)
        self.class_weights = np.array(problem.class_weights or (1.0,))
        self.omega: Rule | None = None
        if problem.regularizer is not None:
            self.omega = rule(REGULARIZER_RULES, problem.regularizer, unlisted.regularizer)

    def changed(self) -> Point:
        """A point whose new arrays do not touch this one's."""
        other = object.__new__(Point)
        other.__dict__.update(self.__dict__)
        other.arrays = dict(self.arrays)
        return other


@dataclass(frozen=True, eq=False)
class Compiled:
    """A tree as a function of a point and a layer, and the arrays it reads.

    ``reads`` are pairs of a name and how its layer follows from k and N.
    """

    evaluate: Evaluate
    reads: tuple[tuple[str, Callable[[int, int], int]], ...]

    def names(self, k: int, depth: int) -> set[Name]:
        """What is read at layer k."""
        return {(name, layer(k, depth)) for name, layer in self.reads}


def compiled(node: Node, axes: t.Axes) -> Compiled:
    """A tree as a function; its result has these axes if the shapes fit.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> x = t.Ref((l.i, l.p), "X", l.k - 1)
    >>> theta = ((np.eye(2), np.zeros(2)),)
    >>> point = Point(chain([2, 2]), theta, np.ones((3, 2)), np.zeros((3, 2)), 0.1)
    >>> double = compiled(t.Product(x.axes, (t.scalar(2), x)), x.axes)
    >>> double.evaluate(point, 1).sum()
    np.float64(12.0)
    """
    refs = [one for one in node.walk() if isinstance(one, t.Ref)]
    reads = tuple((one.name, _layer(one.layer)) for one in refs)
    body = _compile(node)
    shaped = _aligned(node.axes, axes) if node.axes != axes else None
    wide = len(node.axes) < len(axes) or not reads
    if not wide and shaped is None:
        return Compiled(body, reads)

    def whole(point: Point, k: int) -> Any:
        value = body(point, k)
        value = shaped(value) if shaped and np.ndim(value) == len(node.axes) else value
        return np.broadcast_to(value, _extents(axes, point, k)) if wide and axes else value

    return Compiled(whole, reads)


def _extents(axes: t.Axes, point: Point, k: int) -> tuple[int, ...]:
    sizes = {l.i: point.scalars["M"], l.p: point.widths[k], l.q: point.widths[k - 1]}
    return tuple(int(sizes[axis]) for axis in axes)


@cache
def _layer(layer: sp.Expr | None) -> Callable[[int, int], int]:
    """How the layer of an array follows from k and N."""
    if layer is None:
        return lambda _, __: 0
    of_k, of_depth = int(layer.coeff(l.k)), int(layer.coeff(l.N))
    rest = int(layer - of_k * l.k - of_depth * l.N)
    return lambda k, depth: of_k * k + of_depth * depth + rest


# -- one small function per node ---------------------------------------------------------------------


def _compile(node: Node) -> Evaluate:
    return _COMPILERS[type(node)](node)


def _ref(node: t.Ref) -> Evaluate:
    name, layer = node.name, _layer(node.layer)

    def get(point: Point, k: int) -> Any:
        try:
            return point.arrays[name, layer(k, point.depth)]
        except KeyError:
            raise Absent(name) from None

    return get


def _number(node: t.Number) -> Evaluate:
    return _scalar(node.value)


def _scalar(expr: sp.Expr) -> Evaluate:
    if expr.is_Symbol:
        name = expr.name
        return lambda point, _: point.scalars[name]
    if isinstance(expr, l.n):
        layer = _layer(expr.args[0])
        return lambda point, k: point.widths[layer(k, point.depth)]
    if expr.is_number:
        number = float(expr)
        return lambda _, __: number
    parts = [_scalar(part) for part in expr.args]
    combine = math.prod if expr.is_Mul else math.fsum
    return lambda point, k: np.float64(combine([part(point, k) for part in parts]))


def _operands(nodes: Iterable[Node], axes: t.Axes) -> list[Evaluate]:
    return [_operand(node, axes) for node in nodes]


def _operand(node: Node, axes: t.Axes) -> Evaluate:
    """An operand of a componentwise operation, shaped so that it broadcasts over ``axes``."""
    value = _compile(node)
    if not node.axes or node.axes == axes[len(axes) - len(node.axes) :]:
        return value
    shaped = _aligned(node.axes, axes)
    count = len(node.axes)

    def operand(point: Point, k: int) -> Any:
        found = value(point, k)
        return shaped(found) if np.ndim(found) == count else found

    return operand


def _aligned(own: t.Axes, axes: t.Axes) -> Callable[[Any], Any]:
    """From an array over ``own`` to one that broadcasts over ``axes``."""
    if len(own) == len(axes) and set(own) != set(axes):
        return lambda value: value
    order = sorted(range(len(own)), key=lambda j: axes.index(own[j]) if own[j] in axes else j)
    index = tuple(slice(None) if axis in own else None for axis in axes)
    if len(own) > len(axes) or not set(own) <= set(axes):
        return lambda value: value
    return lambda value: np.transpose(value, order)[index]


def _product(node: t.Product) -> Evaluate:
    first, *factors = _operands(node.factors, node.axes)
    divisors = _operands(node.divisors, node.axes)

    def product(point: Point, k: int) -> Any:
        value = first(point, k)
        for factor in factors:
            value = value * factor(point, k)
        for divisor in divisors:
            value = value / divisor(point, k)
        return value

    return product


def _total(node: t.Total) -> Evaluate:
    plus, minus = _operands(node.plus, node.axes), _operands(node.minus, node.axes)

    def total(point: Point, k: int) -> Any:
        value: Any = 0.0
        for term in plus:
            value = value + term(point, k)
        for term in minus:
            value = value - term(point, k)
        return value

    return total


def _power(node: t.Power) -> Evaluate:
    base, exponent = _compile(node.base), float(node.exponent)
    return lambda point, k: base(point, k) ** exponent


def _matmul(node: t.MatMul) -> Evaluate:
    left, right = _compile(node.left), _compile(node.right)
    return lambda point, k: left(point, k) @ right(point, k)


def _transposed(node: t.Transposed) -> Evaluate:
    inner = _compile(node.arg)
    return lambda point, k: np.transpose(inner(point, k))


def _outer(node: t.Outer) -> Evaluate:
    left, right = _compile(node.left), _compile(node.right)
    return lambda point, k: np.outer(left(point, k), right(point, k))


def _reduced(node: t.Reduced) -> Evaluate:
    inner, over = _compile(node.arg), node.over
    if not node.axes:
        return lambda point, k: getattr(np, node.op)(inner(point, k))
    return lambda point, k: getattr(np, node.op)(inner(point, k), axis=over)


def _call(node: t.Call) -> Evaluate:
    fn = node.fn
    if fn.name in CHOICES:
        inner = _compile(node.args[0])
        choice = CHOICES[fn.name]
        return lambda point, k: choice(inner(point, k))
    if fn.name == "sigma":
        return _sigma(node, _compile(node.args[0]))
    args = _operands(node.args, node.axes)
    if fn.name == "ell":
        return lambda point, k: (
            point.class_weights * point.ell.of(fn.order)(point.arrays["Y", 0], args[0](point, k))
        )
    if fn.name == "omega":
        return lambda point, k: _omega(point, fn.order)(args[0](point, k))
    return _named(fn, args)


def _sigma(node: t.Call, argument: Evaluate) -> Evaluate:
    layer, order, coupled = _layer(node.fn.layer), node.fn.order, node.fn.coupled

    def sigma(point: Point, k: int) -> Any:
        at = layer(k, point.depth)
        if not 1 <= at <= point.depth:
            raise Absent("sigma")
        value = point.sigmas[at - 1].of(order)(argument(point, k))
        if order and coupled and value.ndim == 2:  # a mixed network: this layer's is diagonal
            value = value[:, :, None] * np.eye(value.shape[1])
        return value

    return sigma


def _omega(point: Point, order: int) -> Callable[..., Any]:
    if point.omega is None:
        return np.zeros_like
    return point.omega.of(order)


def _named(fn: t.Fn, args: list[Evaluate]) -> Evaluate:
    """A function by its own name: of the catalogue, of a rule, or NumPy's."""
    if fn.name in ACTIVATION_RULES:
        parameters = sorted(ACTIVATIONS[fn.name].parameters)
        first, *rest = args
        function = ACTIVATION_RULES[fn.name].of(fn.order)

        def activation(point: Point, k: int) -> Any:
            values = [one(point, k) for one in rest]
            values += list(ACTIVATIONS[fn.name].parameters.values())[len(values) :]
            return function(first(point, k), **dict(zip(parameters, values, strict=False)))

        return activation
    if fn.name in HALF_LOSSES:
        half = HALF_LOSSES[fn.name]
        return lambda point, k: half(point.arrays["Y", 0], args[0](point, k))
    if fn.name in LOSS_RULES:
        compare = LOSS_RULES[fn.name].of(fn.order)
        return lambda point, k: compare(point.arrays["Y", 0], args[0](point, k))
    if fn.name in REGULARIZER_RULES:
        penalty = REGULARIZER_RULES[fn.name].of(fn.order)
        return lambda point, k: penalty(args[0](point, k))
    plain = FUNCTIONS.get(fn.name) or getattr(np, fn.name, None)
    if plain is None and fn.name in ACTIVATIONS:  # one that a user has given by its formula
        written = Rule(*unlisted.activation(Choice(fn.name))).of(fn.order)
        return lambda point, k: written(args[0](point, k))
    if plain is None:
        raise DerivationError(f"no value for the function {fn.name!r}")
    function_of: Callable[..., Any] = plain
    return lambda point, k: function_of(*(one(point, k) for one in args))


_COMPILERS: Mapping[type[Node], Callable[[Any], Evaluate]] = {
    t.Ref: _ref,
    t.Number: _number,
    t.Product: _product,
    t.Total: _total,
    t.Power: _power,
    t.MatMul: _matmul,
    t.Transposed: _transposed,
    t.Outer: _outer,
    t.Reduced: _reduced,
    t.Call: _call,
}
