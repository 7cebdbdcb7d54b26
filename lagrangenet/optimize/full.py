"""The constrained problem in v = (x, θ), in the form that general solvers ask for.

    minimize f(v) = J(x, θ)  subject to  c(v) = 0,  bounds and linear constraints on θ

Gradient, sparse Jacobian and Hessian of the Lagrangian are the generated ones. A general solver does
not know the structure of the KKT matrix and factorizes it as it comes, so it is for small problems:
larger ones than :data:`Method`s say are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Residuals, Task
from lagrangenet.runtime import KKT, Array

#: Where J takes the logarithm of an output, a solver with bounds keeps that output above this.
LEAST_OUTPUT = 1e-8


class Full:
    """f, c and their derivatives, counted; and the reports.

    Attributes
    ----------
    conditions, size : int
        m, and the number of variables n = m + P.
    nfev, njev, nhev : int
        Evaluations of f or c, of their first and of their second derivatives.
    """

    def __init__(self, task: Task, progress: Progress, tol: float) -> None:
        self.task, self.progress, self.tol = task, progress, tol
        self.conditions = task.conditions
        self.size = task.conditions + task.size
        self.nfev = self.njev = self.nhev = 0
        self._zeros = np.zeros(self.conditions, task.dtype)
        self._first: tuple[Array, Residuals] | None = None
        self._second: tuple[Array, Array, KKT] | None = None

    # -- points ------------------------------------------------------------------------------------

    def start(self, point: Point) -> Array:
        """V of a point; states that it does not have are those of a forward pass."""
        states = self.task.states(point.theta) if point.states is None else point.states
        return np.concatenate([states, point.theta]).astype(np.float64)

    def split(self, v: Array) -> tuple[Array, Array]:
        """(θ, x)."""
        v = v.astype(self.task.dtype, copy=False)
        return v[self.conditions :], v[: self.conditions]

    def point(self, v: Array, multipliers: Array | None = None) -> Point:
        """A point of v and λ."""
        theta, states = self.split(v)
        if multipliers is not None:
            multipliers = multipliers.astype(self.task.dtype)
        return Point(theta.copy(), states.copy(), multipliers)

    # -- functions ---------------------------------------------------------------------------------

    def objective(self, v: Array) -> float:
        """f, infinite where it has no value, so that a line search steps back."""
        self.nfev += 1
        value = self.task.objective(*self.split(v))
        return value if np.isfinite(value) else np.inf

    def gradient(self, v: Array) -> Array:
        """∂f/∂v: ∂L/∂v at λ = 0."""
        found = self._residuals(v)
        return np.concatenate([found.states, found.parameters]).astype(np.float64, copy=False)

    def constraints(self, v: Array) -> Array:
        """The constraints c."""
        return self._residuals(v).constraints.astype(np.float64, copy=False)

    def jacobian(self, v: Array) -> Any:
        """∂c/∂v, (m, n), sparse."""
        return self.kkt(v).jacobian

    def hessian(self, v: Array, multipliers: Array) -> Any:
        """∂²L/∂v², (n, n), sparse."""
        self.nhev += 1
        return self.kkt(v, multipliers).hessian

    def _residuals(self, v: Array) -> Residuals:
        if self._first is None or not np.array_equal(self._first[0], v):
            self.njev += 1
            self._first = v.copy(), self.task.residuals(*self.split(v), self._zeros)
        return self._first[1]

    def kkt(self, v: Array, multipliers: Array | None = None) -> KKT:
        """Both matrices; the Jacobian is the same for all multipliers."""
        lam = self._zeros if multipliers is None else multipliers.astype(self.task.dtype)
        if self._second is not None:
            at, by, found = self._second
            if np.array_equal(at, v) and (multipliers is None or np.array_equal(by, lam)):
                return found
        found = self.task.kkt(*self.split(v), lam)
        self._second = v.copy(), lam, found
        return found

    # -- bounds ------------------------------------------------------------------------------------

    def bounds(self, positive: bool = True) -> tuple[Array, Array]:
        """Of v: those of θ, and x^N > 0 where J takes its logarithm (never active at a solution).

        Of a softmax those are the components with a label; the others may vanish.
        """
        low = np.full(self.size, -np.inf)
        high = np.full(self.size, np.inf)
        if self.task.region.bounds is not None:
            low[self.conditions :], high[self.conditions :] = self.task.region.bounds
        entry = self.task.problem.loss_entry
        if positive and (entry.needs_simplex or entry.needs_positive):
            taken = self.task.Y.ravel() > 0 if entry.needs_simplex else True
            low[self.task.outputs] = np.where(taken, LEAST_OUTPUT, -np.inf)
        return low, high

    # -- what a solver tells -------------------------------------------------------------------------

    def report(self, v: Array, multipliers: Array | None = None) -> tuple[float, float]:
        """Report an iterate; its optimality and violation.

        Without multipliers they are those that solve ∂L/∂x = 0 at these states.
        """
        theta, states = self.split(v)
        if multipliers is None:
            lam = self.task.multipliers(theta, states)
        else:
            lam = multipliers.astype(self.task.dtype)
        found = self.task.residuals(theta, states, lam)
        slope = self.task.region.optimality(theta, found.parameters)
        optimality = max(float(np.abs(found.states).max()), slope)
        fun = self.task.objective(theta, states)
        self.progress.report(theta.copy(), states.copy(), lam, fun=fun, optimality=optimality,
                             violation=found.violation)  # fmt: skip
        return optimality, found.violation

    @property
    def counts(self) -> dict[str, int]:
        """Evaluations, by SciPy's names."""
        return {"nfev": self.nfev, "njev": self.njev, "nhev": self.nhev}


def at_most(limit: int, others: str) -> Callable[[Task], str]:
    """A reason for refusing more variables than ``limit``, and what takes them."""

    def unfit(task: Task) -> str:
        if coupled := getattr(task.problem, "couples_samples", None):
            return (
                f"the equation of {coupled!r} reads several samples, and the sparse KKT matrix is "
                "assembled sample by sample; take a method of the reduced problem, as 'l-bfgs-b'"
            )
        count = task.conditions + task.size
        if count <= limit:
            return ""
        return (
            f"{count} variables ({task.conditions} states, {task.size} parameters), it would not "
            f"finish with more than {limit}; take {others}, or fewer samples"
        )

    return unfit
