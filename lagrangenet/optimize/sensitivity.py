"""What multipliers mean: the derivative of the optimal value by a perturbation of each constraint.

    x^k = σ^k(z^k) + ε e^k,    p(ε) = min J,    dp/dε = ∂L/∂ε = −Σ_k ⟨λ^k, e^k⟩

derived in :mod:`lagrangenet.symbolic.perturbed`; likewise −⟨μ, d⟩ for z = W x + b + ε d, −ν̄ for an upper
and ν̲ for a lower bound, and ∂J/∂y for the labels. ``check`` solves perturbed problems and measures
how well that predicts their values. The minimizer has to be isolated, or at least its value
differentiable: where the second-order condition fails, the check shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from lagrangenet.errors import DataError, ProblemError
from lagrangenet.functions import base as f
from lagrangenet.graph import Graph
from lagrangenet.optimize.minimize import minimize
from lagrangenet.optimize.norms import MultiplierNorms, norms_of
from lagrangenet.optimize.perturbed import Perturbed, perturbed
from lagrangenet.optimize.region import region
from lagrangenet.optimize.task import Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array
from lagrangenet.verify.differences import observed_rate

#: Sizes ε of the perturbations that are solved: small, so that the minimizer stays near by.
STEPS = (1e-2, 10**-2.5, 1e-3, 10**-3.5)
#: A remainder below this, relative to |p(0)| and at least 1, is rounding and tells no rate.
FLOOR = 1e-13
#: A perturbed problem counts as solved if it is stationary to this.
SOLVED = 1e-8


@dataclass(frozen=True, eq=False)
class ValueCheck:
    """Perturbed problems solved, and the optimal value that the multipliers predict.

    Attributes
    ----------
    steps : tuple of float
        ε.
    value : float
        p(0).
    values : ndarray
        p(ε).
    remainders : ndarray
        |p(ε) − p(0) − ε dp/dε|.
    slope : float
        dp/dε, by the multipliers.
    rate : float
        How the remainders fall with ε: 2 for the right derivative, 1 for a wrong one.
    difference : float
        (p(ε) − p(0))/ε for the smallest ε, by the values alone.
    """

    steps: tuple[float, ...]
    value: float
    values: Array
    remainders: Array
    slope: float
    rate: float
    difference: float

    def __str__(self) -> str:
        head = f"dp/dε = {self.slope:.6g} by the multipliers, {self.difference:.6g} by re-solving"
        rows = [f"ε = {e:.1e}  |p(ε) − p(0) − ε dp| = {r:.2e}"
                for e, r in zip(self.steps, self.remainders, strict=True)]  # fmt: skip
        return "\n".join([head, *rows, f"rate {self.rate:.2f}"])


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Derivatives of the optimal value at a solution.

    Attributes
    ----------
    constraints : mapping
        dp/dε for each entry of each constraint: "x1" and "z1" of a chain, the states of a graph;
        −λ and −μ in their shapes.
    labels : ndarray
        dp/dy.
    lower, upper : ndarray or None
        dp by the bounds on θ, flat; None without bounds.
    norms : MultiplierNorms
    """

    task: Task
    theta: Array
    constraints: Mapping[str, Array]
    labels: Array
    lower: Array | None
    upper: Array | None
    norms: MultiplierNorms

    def slope(self, perturbation: Mapping[str, Any]) -> float:
        """dp/dε along a perturbation: arrays by the names of constraints; "labels"; "lower", "upper"."""
        total = 0.0
        for name, direction in perturbation.items():
            by = self._by_name(name)
            along = np.asarray(direction, float)
            if along.shape != by.shape:
                raise DataError(f"{name!r} has shape {along.shape}, expected {by.shape}")
            total += float(np.sum(np.where(along == 0, 0.0, by) * along))
        return total

    def _by_name(self, name: str) -> Array:
        given = {"labels": self.labels, "lower": self.lower, "upper": self.upper}
        found: dict[str, Array | None] = {**self.constraints, **given}
        value = found.get(name)
        if value is None:
            known = ", ".join(key for key, array in found.items() if array is not None)
            raise ProblemError(f"no constraint {name!r} that can be perturbed; known: {known}")
        return value

    def check(
        self, perturbation: Mapping[str, Any], steps: Sequence[float] = STEPS, **options: Any
    ) -> ValueCheck:
        """Solve the problem perturbed by ε times a direction, from the solution on.

        Parameters
        ----------
        perturbation : mapping
            As in :meth:`slope`.
        steps : sequence of float
            ε.
        **options
            Of :func:`lagrangenet.minimize`: ``method``, ``tol``, ...

        Raises
        ------
        DataError
            If a perturbed problem is not solved, with the reason.
        """
        slope = self.slope(perturbation)
        start, base = self._solved(perturbation, 0.0, self.theta, options)
        values = [self._solved(perturbation, step, start, options)[1] for step in steps]
        changes = np.array(values) - base
        remainders = np.abs(changes - np.array(steps) * slope)
        floor = FLOOR * max(1.0, abs(base))
        smallest = int(np.argmin(np.abs(steps)))
        return ValueCheck(
            tuple(steps), base, np.array(values), remainders, slope,
            observed_rate(list(steps), remainders, floor), float(changes[smallest] / steps[smallest]),
        )  # fmt: skip

    @cached_property
    def _perturbed(self) -> Perturbed:
        return perturbed(self.task)

    @cached_property
    def _routines(self) -> Any:
        return Task(self._perturbed.graph, self._perturbed.data({}), self.task.Y).routines

    def _solved(
        self, perturbation: Mapping[str, Any], size: float, start: Array, options: dict[str, Any]
    ) -> tuple[Array, float]:
        """θ and the value of one perturbed problem."""
        inside = {name: np.asarray(array, float) for name, array in perturbation.items()}
        Y = self.task.Y + size * inside.pop("labels", 0.0)
        limits = {name: size * inside.pop(name, np.zeros(1)) for name in ("lower", "upper")}
        self._perturbed.check(inside)
        where = self.task.region
        more: dict[str, Any] = {"method": "trust-exact", "tol": SOLVED}
        if where.bounds is not None:
            lower, upper = where.bounds
            more |= {"bounds": list(zip(lower + limits["lower"], upper + limits["upper"], strict=True)),
                     "method": "l-bfgs-b"}  # fmt: skip
        if where.constraints is not None:
            more |= {"constraints": where.scipy_constraints, "method": "slsqp"}
        result = minimize(
            self._perturbed.graph, self._perturbed.data(inside, size), Y, x0=start,
            routines=self._routines, second_order=False, **{**more, **options},
        )  # fmt: skip
        if not result.success:
            raise DataError(
                f"the problem perturbed by ε = {size:g} was not solved: {result.message}"
            )
        return result.x, float(result.fun)


def sensitivity(
    result: Any,
    problem: Problem | Graph,
    X: Any,
    Y: Any,
    *,
    bounds: Any = None,
    constraints: Any = None,
) -> Sensitivity:
    """How the optimal value answers to a perturbation of each constraint, label and bound.

    Parameters
    ----------
    result : OptimizeResult
        Of :func:`lagrangenet.minimize`: a local minimizer.
    problem, X, Y, bounds, constraints
        What was solved.

    Returns
    -------
    Sensitivity

    Raises
    ------
    DataError
        If the result is no solution.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.functions.regularizers import L2
    >>> problem, X, Y = chain([1, 1], regularizer=L2(0.1)), [[0.0], [1.0]], [[0.0], [1.0]]
    >>> found = sensitivity(minimize(problem, X, Y, "l-bfgs-b"), problem, X, Y)
    >>> found.constraints["x1"].round(4).tolist()
    [[0.0714], [-0.0714]]
    >>> check = found.check({"x1": [[1.0], [0.0]]})
    >>> round(check.rate, 3)
    2.0
    """
    if not result.success:
        raise DataError(f"the result is no solution: {result.message}")
    task = Task(problem, X, Y, region=region(problem, bounds, constraints))
    theta = np.asarray(result.x, dtype=np.float64)
    states = task.states(theta)
    multipliers = task.multipliers(theta, states)
    shaped = task.shapes.arrays(multipliers)
    lower = upper = None
    if task.region.bounds is not None:
        nu = task.region.multipliers(theta, task.fun_and_grad(theta)[1]).bounds
        lower, upper = -np.minimum(nu, 0.0), -np.maximum(nu, 0.0)
    outputs = np.asarray(task.shapes.arrays(states)[_output(problem)])
    return Sensitivity(
        task=task,
        theta=theta,
        constraints=_by_constraint(task, theta, shaped),
        labels=label_slope(problem, task.Y, outputs),
        lower=lower,
        upper=upper,
        norms=norms_of(shaped, task.samples),
    )


def _output(problem: Problem | Graph) -> Any:
    return problem.output if isinstance(problem, Graph) else -1


def _by_constraint(task: Task, theta: Array, shaped: Any) -> dict[str, Array]:
    """−λ, and −μ of a chain, by name."""
    if isinstance(shaped, dict):
        return {name: -array for name, array in shaped.items()}
    pairs = task.routines.stage("forward")(task.shaped(theta), task.X)
    found: dict[str, Array] = {}
    for k, (mu, lam) in enumerate(
        task.routines.stage("backward")(task.shaped(theta), pairs, task.Y), 1
    ):
        found |= {f"z{k}": -mu, f"x{k}": -lam}
    return found


def label_slope(problem: Problem | Graph, Y: Array, outputs: Array) -> Array:
    """∂J/∂y at given outputs: SymPy differentiates the declared loss by the label.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> label_slope(chain([1, 1]), np.array([[1.0]]), np.array([[3.0]]))
    array([[-2.]])
    """
    entry, choice = problem.loss_entry, entry_choice(problem)
    expr = entry.at(choice)
    own = sp.lambdify((f.y, f.x, f.t), expr.diff(f.y), "numpy")
    shared = sp.lambdify((f.y, f.x, f.t), expr.diff(f.t), "numpy")
    t = np.broadcast_to((Y * outputs).sum(axis=-1, keepdims=True), Y.shape)
    with np.errstate(all="ignore"):
        by_y = np.broadcast_to(own(Y, outputs, t), Y.shape)
        by_t = np.broadcast_to(shared(Y, outputs, t), Y.shape).sum(axis=-1, keepdims=True)
    weights = np.array(problem.class_weights or (1.0,))
    found: Array = (weights * by_y + by_t * outputs) / len(Y)
    return found


def entry_choice(problem: Problem | Graph) -> Any:
    """The loss with its parameters, without class weights."""
    return problem.loss_entry.without_options(problem.loss)
