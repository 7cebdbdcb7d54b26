"""A problem with its data, as functions of flat vectors, which is what methods work on.

    minimize J(x, θ)  subject to  c(x, θ) = 0,    L = J + ⟨λ, c⟩

in θ (P numbers), x and λ (m numbers each). Every value and derivative comes from generated
routines; nothing here knows a formula. It refuses data that do not fit, when it is made; afterwards
nothing raises because of a number: what has no value is NaN or infinite.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from lagrangenet.emit.graphs import emit_graph
from lagrangenet.emit.numpy import emit
from lagrangenet.errors import DataError, LagrangenetError
from lagrangenet.graph import Graph
from lagrangenet.optimize.region import Region
from lagrangenet.optimize.shapes import ChainShapes, GraphShapes, Shapes
from lagrangenet.problem import Problem
from lagrangenet.routines.anywhere import objective_anywhere
from lagrangenet.routines.ir import Program
from lagrangenet.runtime import KKT, Array, GraphRoutines, Routines, generate
from lagrangenet.runtime.load import load
from lagrangenet.symbolic.derivation import derive


class Point(NamedTuple):
    """θ, x and λ as flat vectors; x or λ are None where they follow from a pass."""

    theta: Array
    states: Array | None = None
    multipliers: Array | None = None

    @property
    def solved_states(self) -> Array:
        """x, of a point that has it: see :meth:`Task.completed`."""
        assert self.states is not None
        return self.states

    @property
    def solved_multipliers(self) -> Array:
        """λ, of a point that has it."""
        assert self.multipliers is not None
        return self.multipliers


class Residuals(NamedTuple):
    """∂L/∂λ = c, ∂L/∂x and ∂L/∂θ as flat vectors."""

    constraints: Array
    states: Array
    parameters: Array

    @property
    def violation(self) -> float:
        """The largest |∂L/∂λ|; NaN if one entry is."""
        return largest(self.constraints)

    @property
    def optimality(self) -> float:
        """The largest |∂L/∂x| or |∂L/∂θ|; NaN if one entry is."""
        return max(largest(self.states), largest(self.parameters), key=_nan_first)


class Task:
    """A problem, its data and the generated routines of the second order.

    Parameters
    ----------
    problem : Problem or Graph
    X, Y : array_like
        Data, as the routines take them.
    dtype : {"float64", "float32"}
    target : str
        What computes J and its derivatives, as in :func:`lagrangenet.generate`.
    routines : Routines or GraphRoutines, optional
        Code of the second order to use instead of freshly generated code; its type and target count.
    region : Region
        Where θ may be.

    Raises
    ------
    DataError
        For data that do not fit, or routines of another problem or of the first order.

    Attributes
    ----------
    size : int
        P.
    conditions : int
        m, the number of states and of constraints.

    Examples
    --------
    >>> import lagrangenet as ln
    >>> task = Task(ln.chain([2, 3, 1]), [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]])
    >>> theta = task.initial(seed=0)
    >>> states = task.states(theta)
    >>> residuals = task.residuals(theta, states, task.multipliers(theta, states))
    >>> task.size, task.conditions, residuals.violation
    (13, 16, 0.0)
    >>> bool(np.allclose(residuals.parameters, task.fun_and_grad(theta)[1]))
    True
    """

    def __init__(
        self,
        problem: Problem | Graph,
        X: Any,
        Y: Any,
        *,
        dtype: str = "float64",
        target: str = "numpy",
        routines: Routines | GraphRoutines | None = None,
        region: Region | None = None,
    ) -> None:
        self.problem = problem
        if routines is None:
            routines = generate(derive(problem, order=2), dtype, target)
        if routines.order < 2 or routines.problem != problem:
            raise DataError(
                "routines have to be those of the problem and of the second order: "
                "generate(derive(problem, order=2))"
            )
        self.routines: Routines | GraphRoutines = routines
        self.dtype, self.size = routines.dtype, problem.size
        self.region = Region() if region is None else region
        self.X: Any
        self.shapes: Shapes
        if isinstance(routines, GraphRoutines):
            self.X, self.Y = routines.data(X, Y)
            self.shapes = GraphShapes(routines, self.X, self.Y)
        else:
            self.objective_of_data = routines.objective(X, Y)
            self.X, self.Y = routines.inputs(X), routines.labels(Y)
            self.shapes = ChainShapes(routines, len(self.X))
        self.conditions = self.shapes.conditions
        self.samples = len(self.Y)
        self._rounding = 8 * float(np.finfo(self.dtype).eps)

    # -- the reduced problem: states follow from θ ---------------------------------------------

    def fun(self, theta: Array) -> float:
        """J(x(θ), θ)."""
        if isinstance(self.routines, Routines):
            return float(self.objective_of_data.value(theta))
        return self.fun_and_grad(theta)[0]

    def fun_and_grad(self, theta: Array) -> tuple[float, Array]:
        """J and its gradient, (P,)."""
        if isinstance(self.routines, Routines):
            return self.objective_of_data(theta)
        inputs, shaped = self.X, self.shaped(theta)
        states = self.routines.stage("forward")(shaped, inputs)
        value = float(self.routines.stage("loss")(shaped, states, self.Y))
        multipliers = self.routines.stage("backward")(shaped, inputs, states, self.Y)
        gradient = self.routines.stage("gradient")(shaped, inputs, states, multipliers)
        return value, self._by_name(gradient)

    def hessp(self, theta: Array, p: Array) -> Array:
        """∇²J p, (P,)."""
        if isinstance(self.routines, Routines):
            return self.objective_of_data.hessp(theta, p)
        return self._product("hessian_product", theta, p)

    def gauss_newtonp(self, theta: Array, p: Array) -> Array:
        """The Gauss-Newton matrix times p, (P,)."""
        if isinstance(self.routines, Routines):
            return self.objective_of_data.gauss_newtonp(theta, p)
        return self._product("gauss_newton_product", theta, p)

    # -- the full problem: θ, x and λ are unknowns ---------------------------------------------

    def states(self, theta: Array) -> Array:
        """x(θ), (m,): ∂L/∂λ = 0 solved by a forward pass."""
        try:
            found = self.routines.stage("forward")(self.shaped(theta), self.X)
        except LagrangenetError:  # an argument outside the domain of a function
            return np.full(self.conditions, np.nan, self.dtype)
        return self.shapes.flat(found, "states")

    def multipliers(self, theta: Array, states: Array) -> Array:
        """λ, (m,): ∂L/∂x = 0 solved by a backward pass, at any states.

        The generated pass is for states that fulfil the constraints. At others its result is
        corrected by λ ← λ − ∂L/∂x, which ends after at most as many steps as a sample has states,
        because a state feeds only later ones.
        """
        found = self._backward(theta, states)
        for _ in range(self.conditions // self.samples):
            step = self.residuals(theta, states, found).states
            if not largest(step) > self._rounding * largest(found):
                break
            found = found - step
        return found

    def objective(self, theta: Array, states: Array) -> float:
        """J(x, θ) at any states, feasible or not."""
        shaped = self.shaped(theta)
        return float(self._objective(shaped, self.shapes.states(states, shaped), self.Y))

    def residuals(self, theta: Array, states: Array, multipliers: Array) -> Residuals:
        """∂L/∂λ, ∂L/∂x and ∂L/∂θ at any point."""
        shaped = self.shaped(theta)
        found = self.routines.stage("residuals")(
            shaped, self.X, self.Y, self.shapes.states(states, shaped),
            self.shapes.multipliers(multipliers),
        )  # fmt: skip
        return Residuals(*self.shapes.layout.flat(found))

    def kkt(self, theta: Array, states: Array, multipliers: Array) -> KKT:
        """∇²L at any point, sparse, in the order v = (x, θ)."""
        shaped = self.shaped(theta)
        return self.routines.kkt_matrix(
            shaped, self.X, self.Y, self.shapes.states(states, shaped),
            self.shapes.multipliers(multipliers),
        )  # fmt: skip

    def completed(self, point: Point) -> Point:
        """A point with the states and multipliers that its passes give where it has none."""
        theta, states, multipliers = point
        states = self.states(theta) if states is None else states
        multipliers = self.multipliers(theta, states) if multipliers is None else multipliers
        return Point(theta, states, multipliers)

    # -- shapes ------------------------------------------------------------------------------------

    @property
    def outputs(self) -> Array:
        """Where the outputs stand among the states."""
        key = self.problem.output if isinstance(self.problem, Graph) else -1
        places = self.shapes.arrays(np.arange(self.conditions))
        return np.asarray(places[key]).ravel()

    def initial(self, seed: Any = 0) -> Array:
        """Random θ, flat (:meth:`lagrangenet.Routines.initial`)."""
        return self.routines.pack(self.routines.initial(seed))

    def shaped(self, theta: Array) -> Any:
        """θ as routines take it: pairs (W^k, b^k), or by name; views."""
        parts = (theta[at].reshape(shape) for at, shape in self._places)
        if isinstance(self.problem, Graph):
            return dict(zip(self.problem.parameters, parts, strict=True))
        return tuple(zip(parts, parts, strict=True))

    @cached_property
    def _places(self) -> list[tuple[slice, tuple[int, ...]]]:
        """Where each parameter array stands in θ."""
        shapes: list[tuple[int, ...]]
        if isinstance(self.problem, Graph):
            shapes = [tuple(n or 0 for n in self.problem.shape_of(p))
                      for p in self.problem.parameters]  # fmt: skip
        else:
            shapes = [shape for pair in self.problem.shapes for shape in pair]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        starts = [0, *ends[:-1]]
        return [(slice(a, b), s) for a, b, s in zip(starts, ends, shapes, strict=True)]

    def _by_name(self, arrays: Any) -> Array:
        names = self.problem.parameters if isinstance(self.problem, Graph) else ()
        return np.concatenate([arrays[name].ravel() for name in names])

    def _product(self, name: str, theta: Array, p: Array) -> Array:
        shaped, along = self.shaped(theta), self.shaped(p)
        states = self.routines.stage("forward")(shaped, self.X)
        lam = self.routines.stage("backward")(shaped, self.X, states, self.Y)
        found = self.routines.stage(name)(shaped, self.X, self.Y, states, lam, along)
        return self._by_name(found)

    def _backward(self, theta: Array, states: Array) -> Array:
        shaped = self.shaped(theta)
        at = self.shapes.states(states, shaped)
        try:
            if isinstance(self.routines, GraphRoutines):
                found = self.routines.stage("backward")(shaped, self.X, at, self.Y)
            else:
                z = self.routines.stage("forward")(shaped, self.X)
                pairs = tuple((zx[0], x[1]) for zx, x in zip(z, at, strict=True))
                found = self.routines.stage("backward")(shaped, pairs, self.Y)
        except LagrangenetError:
            return np.full(self.conditions, np.nan, self.dtype)
        return self.shapes.flat(found, "multipliers")

    @cached_property
    def _objective(self) -> Any:
        program = objective_anywhere(self.problem)
        source = emit(program) if isinstance(program, Program) else emit_graph(program)
        return load(source)["objective"]


def largest(array: Array) -> float:
    """The largest |a|; NaN if one entry is, 0 if there is none."""
    return float(np.abs(array).max()) if array.size else 0.0


def _nan_first(value: float) -> float:
    return np.inf if np.isnan(value) else value
