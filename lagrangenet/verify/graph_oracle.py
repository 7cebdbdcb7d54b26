"""A graph of constraints evaluated and differentiated without a derivation.

    J(θ) = (1/M) Σ_i ℓ(y_i, output_i) + ρ Ω(θ),   L(x, θ, λ) = J + Σ ⟨λ, x − f(x, θ)⟩

Every f is evaluated entry by entry from the layer's text (:mod:`lagrangenet.verify.equations`), σ, ℓ
and Ω from the hand-written tables of the textbook. First derivatives are complex steps; where a
function has no complex values, forward differentiation by :class:`Dual`. Second derivatives are
complex steps of the forward ones. Slow: for small data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.errors import DataError
from lagrangenet.functions import ACTIVATIONS, LOSSES, Choice
from lagrangenet.functions.base import Entry
from lagrangenet.graph import Constraint, Graph, Use
from lagrangenet.verify import unlisted, written_out
from lagrangenet.verify.dual import Dual, Number, applied
from lagrangenet.verify.equations import Equations, read
from lagrangenet.verify.evaluation import Evaluation, sizes_of
from lagrangenet.verify.textbook import (
    ACTIVATION_RULES,
    LOSS_RULES,
    REGULARIZER_RULES,
    Rule,
    rule,
)

Array = NDArray[Any]
#: Arrays by name; a sample's index comes first in inputs, states and multipliers.
Arrays = Mapping[str, Array]
#: A complex step has no cancellation, so it may be tiny.
STEP = 1e-30


class Point(NamedTuple):
    """Where a graph is evaluated."""

    theta: Arrays
    inputs: Arrays
    Y: Array


class _Node(NamedTuple):
    """A constraint with its equations and the names of its arrays in the graph."""

    constraint: Constraint
    equations: Equations
    names: dict[str, str]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self.names[local] for local in self.equations.states)


class GraphOracle:
    """J, L and their derivatives, by brute force.

    Examples
    --------
    >>> graph = Graph({"x0": 2}, [Constraint("x1", "affine", "x0", m=1)])
    >>> oracle = GraphOracle(graph)
    >>> theta = {"W_x1": np.array([[1.0, 2.0]]), "b_x1": np.array([0.5])}
    >>> point = Point(theta, {"x0": np.array([[1.0, 1.0]])}, np.array([[1.5]]))
    >>> float(oracle.loss(point)), oracle.gradient(point)["W_x1"]
    (2.0, array([[2., 2.]]))
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = tuple(_node(use) for use in graph.uses)
        #: Positions of maxima, which count from 0 in arrays and from 1 in the equations.
        self.selections = frozenset(
            node.names[local] for node in self.nodes for local in node.equations.selections
        )
        #: States without a multiplier: selections, and those that are declared constant.
        self.constants = self.selections | frozenset(
            node.names[local] for node in self.nodes for local in node.equations.layer.constants
        )
        self.tokens = frozenset(
            node.names[local] for node in self.nodes for local in node.equations.layer.integers
        )
        #: The entries of a state that a constraint determines: not those at subscript 0.
        self.within = {
            node.names[local]: tuple(
                slice(1 - axis.lower, None) for axis in node.equations.axes[local]
            )
            for node in self.nodes
            for local in node.equations.states
        }
        self._sigma = {
            c.activation: _sigma(c.activation) for c in graph.constraints if c.activation
        }
        self._weights = np.array(graph.class_weights or (1.0,))
        plain = rule(LOSS_RULES, graph.loss, unlisted.loss)
        self._loss = Rule(
            lambda y, x: self._weights * plain.value(y, x),
            lambda y, x: self._weights * plain.slope(y, x),
        )
        self._omega: Rule | None = None
        if graph.regularizer is not None:
            self._omega = rule(REGULARIZER_RULES, graph.regularizer, unlisted.regularizer)

    @property
    def continuable(self) -> bool:
        """Whether every function has complex values, so that a complex step goes through it."""
        chosen: list[tuple[Mapping[str, Rule], Entry]] = [
            (ACTIVATION_RULES, ACTIVATIONS[c.activation.name])
            for c in self.graph.constraints
            if c.activation
        ]
        chosen.append((LOSS_RULES, LOSSES[self.graph.loss.name]))
        by_cases = (sp.Abs, sp.Piecewise, sp.Max, sp.Min, sp.sign, sp.Heaviside)
        return all(entry.name in table or not entry.expr.has(*by_cases) for table, entry in chosen)

    @property
    def kinks(self) -> dict[str, float]:
        """A kink of the activation that is applied to a state, by the state's name."""
        found = {}
        for node in self.nodes:
            chosen, local = node.constraint.activation, node.equations.preactivation
            kinks = _kinks(chosen) if chosen and local in node.equations.states else []
            if kinks:
                found[node.names[local]] = kinks[0]
        return found

    def arguments(self, theta: Arrays, inputs: Arrays) -> dict[Choice, Array]:
        """What each activation is applied to in a forward pass, whether it is a state or not."""
        seen: dict[Choice, list[Array]] = {choice: [] for choice in self._sigma}
        watching = copy(self)
        watching._sigma = {
            choice: Rule(partial(_noted, seen[choice], found.value), found.slope)
            for choice, found in self._sigma.items()
        }
        watching.forward(theta, inputs)
        return {choice: np.concatenate(arrays) for choice, arrays in seen.items() if arrays}

    # -- values ----------------------------------------------------------------------------------

    def forward(self, theta: Arrays, inputs: Arrays) -> dict[str, Array]:
        """Every state, in the shape (M, ...)."""
        states = self._states(_numbers(theta), self._data(inputs))
        return {n: _floats(array) - (n in self.selections) for n, array in states.items()}

    def loss(self, point: Point) -> Any:
        """J(x(θ), θ)."""
        return _float(self._reduced(_numbers(point.theta), point))

    def lagrangian(self, point: Point, states: Arrays, multipliers: Arrays) -> Any:
        """L at any point, feasible or not; ``multipliers`` by the names of the states."""
        return _float(self._whole(_numbers(point.theta), self._given(states), multipliers, point))

    # -- first derivatives -----------------------------------------------------------------------

    def gradient(self, point: Point) -> dict[str, Array]:
        """∂J/∂θ of the reduced objective."""
        return self._derivatives(lambda theta: self._reduced(theta, point), point.theta)

    def slope(self, point: Point, direction: Arrays) -> float:
        """⟨∂J/∂θ, v⟩ by one complex step, where :meth:`gradient` would take one for each parameter.

        Raises
        ------
        DataError
            If a function has no complex values.
        """
        self._need_complex()
        moved = {n: np.asarray(a) + 1j * STEP * direction[n] for n, a in point.theta.items()}
        value = np.ravel(self._reduced(_numbers(moved), point))[0]
        return float(np.imag(value)) / STEP

    def multipliers(self, point: Point) -> dict[str, Array]:
        """λ = −dJ/dε where x = f(x, θ) + ε: what the multiplier of a constraint says.

        A constant state has none, and neither has an entry that no constraint determines.
        """
        theta, zero = _numbers(point.theta), self.forward(point.theta, point.inputs)
        shifts = {name: np.zeros_like(x) for name, x in zero.items() if name not in self.constants}
        found = self._derivatives(lambda shift: self._reduced(theta, point, shift), shifts)
        return {name: -slope[self.within[name]] for name, slope in found.items()}

    def residuals(self, point: Point, states: Arrays, multipliers: Arrays) -> dict[str, Array]:
        """∂L/∂v for every multiplier (``lambda_x1``), state that has one, and parameter."""
        found = self._blocks(point, states, multipliers, dual=not self.continuable)
        return {name: np.real(array) for name, array in found.items()}

    def _blocks(
        self, point: Point, states: Arrays, multipliers: Arrays, dual: bool
    ) -> dict[str, Array]:
        """∇L, complex where the point is."""
        theta, x = _numbers(point.theta), self._given(states)
        right = self._right_sides(theta, self._data(point.inputs), x)
        free = {name: np.asarray(states[name]) for name in states if name not in self.constants}
        found = {f"lambda_{n}": (a - _values(right[n]))[self.within[n]] for n, a in free.items()}

        def by_state(moved: dict[str, Array]) -> Number:
            return self._whole(theta, x | moved, multipliers, point)

        def by_theta(moved: dict[str, Array]) -> Number:
            return self._whole(moved, x, multipliers, point)

        slopes = self._derivatives(by_state, free, dual)
        found |= {n: a[self.within[n]] for n, a in slopes.items()}
        return found | self._derivatives(by_theta, point.theta, dual)

    def constraint_jacobian(
        self, point: Point, states: Arrays
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """C = x − f(x, θ) of every state, and its derivatives: by variable, (..., entries)."""
        data, names = self._data(point.inputs), [n for n in states if n not in self.constants]
        variables = {**{n: np.asarray(states[n]) for n in names}, **point.theta}
        batch = _Batch(variables, dual=not self.continuable)
        moved = batch.numbers
        theta = {name: moved[name] for name in point.theta}
        x = self._given(states) | {name: moved[name] for name in names}
        right = self._right_sides(theta, data, x)
        values, slopes = {}, {}
        for name in names:
            c = x[name] - right[name]
            values[name] = _floats(c)
            slopes[name] = batch.slopes(c)
        return values, slopes

    def objective_gradient(self, point: Point, states: Arrays) -> tuple[float, dict[str, Array]]:
        """J(x, θ) with states as variables of their own, and its derivatives by both."""
        names = [n for n in states if n not in self.constants]
        variables = {**{n: np.asarray(states[n]) for n in names}, **point.theta}

        def J(moved: dict[str, Array]) -> Number:
            theta = {name: moved[name] for name in point.theta}
            return self._objective(theta, moved[self.graph.output], point.Y)

        value = _float(J(_numbers(variables)))
        return float(value), self._derivatives(J, variables)

    # -- second derivatives ----------------------------------------------------------------------

    def hessian_product(self, point: Point, direction: Arrays) -> dict[str, Array]:
        """(∂²J/∂θ²) v: a complex step along v of the gradient by forward differentiation.

        Raises
        ------
        DataError
            If a function has no complex values.
        """
        self._need_complex()
        batch = _Batch({n: np.asarray(a) + 1j * STEP * direction[n] for n, a in point.theta.items()},
                       dual=True)  # fmt: skip
        slope = Dual.of(self._reduced(batch.numbers, point)).slope
        return batch.named(np.imag(batch.spread(slope)) / STEP)

    def kkt_product(
        self, point: Point, states: Arrays, multipliers: Arrays, direction: Mapping[str, Arrays]
    ) -> dict[str, Array]:
        """∇²L v at any point, v = (ẋ, λ̇, θ̇): a complex step along v of ∇L.

        ``direction`` holds ``states``, ``multipliers`` and ``theta``.
        """
        self._need_complex()

        def moved(arrays: Arrays, along: Arrays) -> dict[str, Array]:
            return {n: a + 1j * STEP * along[n] if n in along else a for n, a in arrays.items()}

        at = point._replace(theta=moved(point.theta, direction["theta"]))
        x, lam = moved(states, direction["states"]), moved(multipliers, direction["multipliers"])
        found = self._blocks(at, x, lam, dual=True)
        return {name: np.imag(array) / STEP for name, array in found.items()}

    def gauss_newton_product(self, point: Point, direction: Arrays) -> dict[str, Array]:
        """Jᵀ (∂²ℓ/∂x²) J v / M with J = ∂x/∂θ, plus the regularizer's second derivative.

        x is the output; for cross-entropy of softmax it is the preactivation z, as in the
        generalized Gauss-Newton matrix: ∂ℓ/∂z = Σy · softmax(z) − y.
        """
        self._need_complex()
        batch = _Batch(point.theta, dual=True)
        name, slope_of = self._curved()
        known = {
            **self._data(point.inputs),
            **self._states(batch.numbers, self._data(point.inputs)),
        }
        value, slope = _floats(known[name]), batch.slopes(known[name])
        along = slope @ np.concatenate([np.ravel(direction[n]) for n in point.theta])
        rows = slope_of(_rows(point.Y), _rows(value + 1j * STEP * along)).reshape(value.shape)
        curved = np.imag(rows) / STEP / len(value)
        found = batch.named(np.tensordot(curved, slope, axes=curved.ndim))
        for penalized in self._penalized(point.theta):
            w = np.asarray(point.theta[penalized]) + 1j * STEP * direction[penalized]
            if self._omega is not None:
                more = self._rho * np.imag(self._omega.slope(w)) / STEP
                found[penalized] = found[penalized] + more
        return found

    def _curved(self) -> tuple[str, Callable[[Array, Array], Array]]:
        """The array x in which ∂²ℓ/∂x² is taken, and ∂ℓ/∂x."""
        if self.graph.loss.name != "cross_entropy":
            return self.graph.output, lambda y, x: np.asarray(self._loss.slope(y, x))
        softmax = ACTIVATION_RULES["softmax"].value
        node = next(n for n in self.nodes if n.constraint.state == self.graph.output)
        z = node.names[node.equations.preactivation]

        def slope(y: Array, x: Array) -> Array:
            weighted = self._weights * y
            return np.asarray(weighted.sum(axis=1, keepdims=True) * softmax(x) - weighted)

        return z, slope

    def _need_complex(self) -> None:
        if not self.continuable:
            raise DataError("a function is declared by cases or |.|, which have no complex values")

    # -- evaluation in numbers of any kind -------------------------------------------------------

    def _derivatives(
        self,
        f: Callable[[dict[str, Array]], Number],
        variables: Arrays,
        dual: bool | None = None,
    ) -> dict[str, Array]:
        batch = _Batch(variables, dual=not self.continuable if dual is None else dual)
        return batch.named(batch.slope(f(batch.numbers)))

    def _reduced(
        self, theta: dict[str, Array], point: Point, shift: Mapping[str, Array] | None = None
    ) -> Number:
        states = self._states(theta, self._data(point.inputs), shift)
        return self._objective(theta, states[self.graph.output], point.Y)

    def _whole(
        self, theta: dict[str, Array], x: dict[str, Array], multipliers: Arrays, point: Point
    ) -> Number:
        right = self._right_sides(theta, self._data(point.inputs), x)
        total = self._objective(theta, x[self.graph.output], point.Y)
        for name, lam in multipliers.items():
            if name not in self.constants:
                within = self.within[name]
                total = total + (np.asarray(lam) * (x[name] - right[name])[within]).sum()
        return total

    def _states(
        self,
        theta: dict[str, Array],
        data: dict[str, Array],
        shift: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """All states by forward substitution."""
        known = {**data, **theta}
        found = {}
        for node in self.nodes:
            evaluation = self._evaluation(node, known, {}, shift)
            for local in node.equations.states:
                found[node.names[local]] = known[node.names[local]] = evaluation.state(local)
        return found

    def _right_sides(
        self, theta: dict[str, Array], data: dict[str, Array], x: dict[str, Array]
    ) -> dict[str, Array]:
        """f(x, θ) of every equation, with all states given."""
        known, found = {**data, **theta, **x}, {}
        for node in self.nodes:
            given = {local: x[node.names[local]] for local in node.equations.states}
            evaluation = self._evaluation(node, known, given, None)
            for local in node.equations.states:
                found[node.names[local]] = evaluation.state(local, right=True)
        return found

    def _evaluation(
        self,
        node: _Node,
        known: Mapping[str, Array],
        states: Mapping[str, Array],
        shift: Mapping[str, Array] | None,
    ) -> Evaluation:
        own = set(node.equations.states)
        arrays = {a: known[g] for a, g in node.names.items() if a not in own}
        shapes = {local: array.shape for local, array in arrays.items()}
        sizes = sizes_of(node.equations, shapes, dict(node.constraint.sizes))
        shifted = {a: shift[node.names[a]] for a in own if shift and node.names[a] in shift}
        choice = node.constraint.activation
        coupled = choice is not None and ACTIVATIONS[choice.name].coupled
        sigma = partial(_applied, None if choice is None else self._sigma[choice], coupled)
        return Evaluation(node.equations, sizes, {**arrays, **states}, sigma, coupled, shifted)

    def _given(self, states: Arrays) -> dict[str, Array]:
        """States as numbers."""
        return _numbers({n: np.asarray(x) + (n in self.selections) for n, x in states.items()})

    def _data(self, inputs: Arrays) -> dict[str, Array]:
        """Inputs as numbers; tokens count from 1 in the equations."""
        found = {}
        for name, _ in self.graph.inputs:
            array = np.asarray(inputs[name])
            found[name] = (
                (array.astype(int) + 1).astype(object)
                if name in self.tokens
                else _numbers({name: array})[name]
            )
        return found

    # -- objective -------------------------------------------------------------------------------

    @property
    def _rho(self) -> float:
        chosen = self.graph.regularizer
        return 0.0 if chosen is None else dict(chosen.parameters).get("strength", 1.0)

    def _penalized(self, theta: Mapping[str, Array]) -> list[str]:
        """Parameters in Ω: those with two axes or more, with ``biases`` all of them."""
        chosen = self.graph.regularizer
        if chosen is None:
            return []
        everything = bool(dict(chosen.parameters).get("biases", 0))
        return [name for name, array in theta.items() if everything or np.ndim(array) > 1]

    def _objective(self, theta: Mapping[str, Array], output: Array, Y: Array) -> Number:
        if output.shape != np.shape(Y):
            raise DataError(f"Y has shape {np.shape(Y)}, the output {output.shape}")
        total = _by_rows(self._loss, np.asarray(Y), output) / len(Y)
        if self._omega is not None:
            for name in self._penalized(theta):
                for w in theta[name].flat:
                    total = total + self._rho * applied(self._omega, _as_array(w))
        return total


# -- numbers -----------------------------------------------------------------------------------------


class _Batch:
    """Variables that vary one by one: complex steps side by side, or Duals."""

    def __init__(self, variables: Arrays, dual: bool) -> None:
        self.shapes = {name: np.shape(array) for name, array in variables.items()}
        self.size = sum(int(np.prod(shape)) for shape in self.shapes.values())
        self.dual, self.numbers, start = dual, {}, 0
        for name, array in variables.items():
            made = np.empty(np.shape(array), dtype=object)
            for place in np.ndindex(made.shape):
                made[place] = self._varying(np.asarray(array)[place], start)
                start += 1
            self.numbers[name] = made

    def _varying(self, value: Any, position: int) -> Number:
        unit = np.zeros(self.size)
        unit[position] = 1.0
        return Dual(np.atleast_1d(value), unit) if self.dual else value + 1j * STEP * unit

    def slope(self, number: Number) -> Array:
        """The derivatives of a number by all variables."""
        if self.dual:
            return self.spread(Dual.of(number).slope)
        return self.spread(np.imag(number) / STEP)

    def spread(self, slope: Any) -> Array:
        """A slope along every direction, also where none has an effect."""
        return np.array(np.broadcast_to(np.atleast_1d(slope), self.size))

    def slopes(self, numbers: Array) -> Array:
        """The derivatives of many numbers, along a last axis."""
        found = np.empty((*numbers.shape, self.size))
        for place in np.ndindex(numbers.shape):
            found[place] = self.slope(numbers[place])
        return found

    def named(self, vector: Array) -> dict[str, Array]:
        """A vector over all variables as arrays by name."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        parts = np.split(vector, ends[:-1])
        return {n: p.reshape(s) for (n, s), p in zip(self.shapes.items(), parts, strict=True)}


def _numbers(arrays: Arrays) -> dict[str, Array]:
    """Numbers that do not vary: one copy of each."""
    found = {}
    for name, array in arrays.items():
        made = np.empty(np.shape(array), dtype=object)
        for place in np.ndindex(made.shape):
            made[place] = np.atleast_1d(np.asarray(array)[place])
        found[name] = made
    return found


def _float(number: Number) -> Any:
    value = np.ravel(number.value if isinstance(number, Dual) else number)[0]
    return value.real if np.iscomplexobj(value) else value


def _values(numbers: Array) -> Array:
    """As :func:`_floats`, with imaginary parts."""
    found = np.empty(numbers.shape, dtype=complex)
    for place in np.ndindex(numbers.shape):
        found[place] = np.ravel(numbers[place])[0]
    return found


def _floats(numbers: Array) -> Array:
    found = np.empty(numbers.shape)
    for place in np.ndindex(numbers.shape):
        found[place] = _float(numbers[place])
    return found


def _noted(seen: list[Array], value: Callable[[Array], Array], z: Array) -> Array:
    seen.append(np.ravel(np.real(z)))
    return value(z)


def _as_array(number: Number) -> Number:
    return number if isinstance(number, Dual) else np.atleast_1d(number)


def _rows(array: Array) -> Array:
    """(..., n) as (rows, n), as the textbook's rules expect."""
    return np.reshape(array, (-1, np.shape(array)[-1] if np.ndim(array) > 1 else 1))


def _by_rows(loss: Rule, Y: Array, output: Array) -> Number:
    """Σ ℓ(y, x) over all rows: the components of one vector lie along the last axis."""
    total: Number = 0.0
    for y, x in zip(_rows(Y), _rows(output), strict=True):
        numbers = [_as_array(entry) for entry in x]
        if any(isinstance(number, Dual) for number in numbers):
            duals = [Dual.of(number) for number in numbers]
            row = np.concatenate([np.atleast_1d(d.value) for d in duals])[None]
            slopes = np.ravel(loss.slope(y[None], row))
            along = sum((s * d.slope for s, d in zip(slopes, duals, strict=True)), np.zeros(1))
            total = total + Dual(np.sum(loss.value(y[None], row)), along)
        else:
            rows = np.stack(np.broadcast_arrays(*numbers), axis=-1)
            value = np.asarray(loss.value(np.broadcast_to(y, rows.shape), rows))
            total = total + value.reshape(len(rows), -1).sum(axis=1)
    return total


def _sigma(choice: Choice) -> Rule:
    """σ and σ′. At a kink both are what the table says there, and σ′ does not vary.

    A complex step of two factors leaves the square of the step in the real part of z; that is at the
    kink still.
    """
    found, kinks = rule(ACTIVATION_RULES, choice, unlisted.activation), _kinks(choice)

    def at_kinks(z: Array) -> Array:
        for kink in kinks:
            z = np.where(np.abs(np.real(z) - kink) <= STEP, kink + 1j * np.imag(z), z)
        return z

    def value(z: Array) -> Array:
        return found.value(at_kinks(z) if np.iscomplexobj(z) else z)

    def slope(z: Array) -> Array:
        z = at_kinks(z) if np.iscomplexobj(z) else z
        return found.slope(np.where(np.isin(np.real(z), kinks), np.real(z), z))

    return Rule(value, slope) if kinks else found


def _kinks(choice: Choice) -> list[float]:
    entry = ACTIVATIONS[choice.name]
    return [float(written_out.bound(entry, choice, kink)) for kink in entry.kinks]


def _applied(sigma: Rule | None, coupled: bool, vector: list[Number]) -> list[Number]:
    """σ of a vector of numbers."""
    if sigma is None:
        return vector
    numbers = [_as_array(number) for number in vector]
    if not coupled:
        return [applied(sigma, number) for number in numbers]
    if not any(isinstance(number, Dual) for number in numbers):
        rows = np.stack(np.broadcast_arrays(*numbers), axis=-1)
        return list(np.moveaxis(sigma.value(rows), -1, 0))
    duals = [Dual.of(number) for number in numbers]
    row = np.concatenate([np.atleast_1d(d.value) for d in duals])[None]
    jacobian = sigma.slope(row)[0]
    return [
        Dual(np.atleast_1d(value), sum((a * d.slope for a, d in zip(line, duals, strict=True)),
                                       np.zeros(1)))
        for value, line in zip(sigma.value(row)[0], jacobian, strict=True)
    ]  # fmt: skip


# -- names -------------------------------------------------------------------------------------------


def _node(use: Use) -> _Node:
    """Local names to those of the graph: ``z`` of the constraint of ``x1`` is ``z_x1``."""
    constraint = use.constraint
    equations = read(use.layer, constraint.options)
    *inner, last = equations.states
    names = dict(zip(equations.inputs, constraint.of, strict=True)) | dict(constraint.names)
    names |= {local: f"{local}_{constraint.state}" for local in inner}
    return _Node(constraint, equations, names | {last: constraint.state})
