"""A graph of constraints evaluated and differentiated without a derivation.

    J(θ) = (1/M) Σ_i ℓ(y_i, output_i) + ρ Ω(θ),   L(x, θ, λ) = J + Σ ⟨λ, x − f(x, θ)⟩

Every f is evaluated entry by entry from the layer's text (:mod:`lagrangenet.verify.equations`), σ, ℓ
and Ω from the hand-written tables (:mod:`lagrangenet.verify.tables`). First derivatives are complex
steps; where a function has no complex values, forward differentiation by :class:`Dual`. Second
derivatives are complex steps of the forward ones. Slow: for small data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from lagrangenet.errors import DataError
from lagrangenet.functions import ACTIVATIONS, LOSSES, Choice
from lagrangenet.functions.base import Entry
from lagrangenet.graph import Constraint, Graph, Use
from lagrangenet.verify.dual import Dual, Number
from lagrangenet.verify.equations import Equations, read
from lagrangenet.verify.evaluation import Evaluation, sizes_of
from lagrangenet.verify.tables import ACTIVATION_RULES, LOSS_RULES, Rule
from lagrangenet.verify.varying import (
    STEP,
    Array,
    Arrays,
    Batch,
    constants,
    real_part,
    real_parts,
    values,
)
from lagrangenet.verify.vector_functions import Objective, activation, applied_along, kinks, rows_of


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
            c.activation: activation(c.activation) for c in graph.constraints if c.activation
        }
        self._objective = Objective(graph)

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
            places = kinks(chosen) if chosen and local in node.equations.states else []
            if places:
                found[node.names[local]] = places[0]
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
        states = self._states(constants(theta), self._data(inputs))
        return {n: real_parts(array) - (n in self.selections) for n, array in states.items()}

    def loss(self, point: Point) -> Any:
        """J(x(θ), θ)."""
        return real_part(self._reduced(constants(point.theta), point))

    def lagrangian(self, point: Point, states: Arrays, multipliers: Arrays) -> Any:
        """L at any point, feasible or not; ``multipliers`` by the names of the states."""
        return real_part(
            self._whole(constants(point.theta), self._given(states), multipliers, point)
        )

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
        value = np.ravel(self._reduced(constants(moved), point))[0]
        return float(np.imag(value)) / STEP

    def multipliers(self, point: Point) -> dict[str, Array]:
        """λ = −dJ/dε where x = f(x, θ) + ε: what the multiplier of a constraint says.

        A constant state has none, and neither has an entry that no constraint determines.
        """
        theta, zero = constants(point.theta), self.forward(point.theta, point.inputs)
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
        theta, x = constants(point.theta), self._given(states)
        right = self._right_sides(theta, self._data(point.inputs), x)
        free = {name: np.asarray(states[name]) for name in states if name not in self.constants}
        found = {f"lambda_{n}": (a - values(right[n]))[self.within[n]] for n, a in free.items()}

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
        batch = Batch(variables, dual=not self.continuable)
        moved = batch.numbers
        theta = {name: moved[name] for name in point.theta}
        x = self._given(states) | {name: moved[name] for name in names}
        right = self._right_sides(theta, data, x)
        values, slopes = {}, {}
        for name in names:
            c = x[name] - right[name]
            values[name] = real_parts(c)
            slopes[name] = batch.slopes(c)
        return values, slopes

    def objective_gradient(self, point: Point, states: Arrays) -> tuple[float, dict[str, Array]]:
        """J(x, θ) with states as variables of their own, and its derivatives by both."""
        names = [n for n in states if n not in self.constants]
        variables = {**{n: np.asarray(states[n]) for n in names}, **point.theta}

        def J(moved: dict[str, Array]) -> Number:
            theta = {name: moved[name] for name in point.theta}
            return self._objective(theta, moved[self.graph.output], point.Y)

        value = real_part(J(constants(variables)))
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
        batch = Batch({n: np.asarray(a) + 1j * STEP * direction[n] for n, a in point.theta.items()},
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
        batch = Batch(point.theta, dual=True)
        x, slope_of = self._curved()
        known = {
            **self._data(point.inputs),
            **self._states(batch.numbers, self._data(point.inputs)),
        }
        value, slope = real_parts(known[x]), batch.slopes(known[x])
        along = slope @ np.concatenate([np.ravel(direction[n]) for n in point.theta])
        rows = slope_of(rows_of(point.Y), rows_of(value + 1j * STEP * along)).reshape(value.shape)
        curved = np.imag(rows) / STEP / len(value)
        found = batch.named(np.tensordot(curved, slope, axes=curved.ndim))
        for name, w in self._objective.penalized(point.theta).items():
            moved = np.asarray(w) + 1j * STEP * direction[name]
            found[name] = found[name] + np.imag(self._objective.penalty_slope(moved)) / STEP
        return found

    def _curved(self) -> tuple[str, Callable[[Array, Array], Array]]:
        """The array x in which ∂²ℓ/∂x² is taken, and ∂ℓ/∂x."""
        if self.graph.loss.name != "cross_entropy":
            return self.graph.output, lambda y, x: np.asarray(self._objective.loss.slope(y, x))
        softmax = ACTIVATION_RULES["softmax"].value
        node = next(n for n in self.nodes if n.constraint.state == self.graph.output)
        z = node.names[node.equations.preactivation]

        def slope(y: Array, x: Array) -> Array:
            weighted = self._objective.weights * y
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
        batch = Batch(variables, dual=not self.continuable if dual is None else dual)
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
        sigma = partial(applied_along, None if choice is None else self._sigma[choice], coupled)
        return Evaluation(node.equations, sizes, {**arrays, **states}, sigma, coupled, shifted)

    def _given(self, states: Arrays) -> dict[str, Array]:
        """States as numbers."""
        return constants({n: np.asarray(x) + (n in self.selections) for n, x in states.items()})

    def _data(self, inputs: Arrays) -> dict[str, Array]:
        """Inputs as numbers; tokens count from 1 in the equations."""
        found = {}
        for name, _ in self.graph.inputs:
            array = np.asarray(inputs[name])
            found[name] = (
                (array.astype(int) + 1).astype(object)
                if name in self.tokens
                else constants({name: array})[name]
            )
        return found


def _noted(seen: list[Array], value: Callable[[Array], Array], z: Array) -> Array:
    seen.append(np.ravel(np.real(z)))
    return value(z)


def _node(use: Use) -> _Node:
    """Local names to those of the graph: ``z`` of the constraint of ``x1`` is ``z_x1``."""
    constraint = use.constraint
    equations = read(use.layer, constraint.options)
    *inner, last = equations.states
    names = dict(zip(equations.inputs, constraint.of, strict=True)) | dict(constraint.names)
    names |= {local: f"{local}_{constraint.state}" for local in inner}
    return _Node(constraint, equations, names | {last: constraint.state})
