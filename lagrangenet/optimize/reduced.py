"""The reduced problem min J(x(θ), θ) in the form that ``scipy.optimize`` asks for.

SciPy calculates in float64; J and its derivatives are calculated in the type of the task. The
evaluation at an iterate is kept, so that reporting about it costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

#: Evaluations that are kept: the iterate is one of the last that a line search made.
KEPT = 3


class Reduced:
    """J(θ), its gradient and Hessian products, counted; and the callback that reports.

    Parameters
    ----------
    task, progress, tol
        As of every method.
    scale : float
        A power of two: SciPy sees ``scale`` J, whose digits are those of J. Where a method compares
        a curvature or a step with an absolute threshold, this says what is small.

    Attributes
    ----------
    nfev, nhev : int
        Evaluations of J with its gradient, and of products with its Hessian.
    undefined : int
        How many evaluations were not finite.
    """

    def __init__(self, task: Task, progress: Progress, tol: float, scale: float = 1.0) -> None:
        self.task, self.progress, self.tol, self.scale = task, progress, tol, scale
        self.nfev = self.nhev = self.undefined = 0
        self.best = np.inf
        self._kept: list[tuple[Array, float, Array]] = []

    def fun(self, theta: Array) -> tuple[float, Array]:
        """``scale`` times J and its gradient; infinite where J has no value."""
        value, slope = self.evaluated(theta)
        return self.scale * value, self.scale * slope

    def evaluated(self, theta: Array) -> tuple[float, Array]:
        """J and its gradient."""
        self.nfev += 1
        value, slope = self.task.fun_and_grad(theta.astype(self.task.dtype, copy=False))
        slope = slope.astype(np.float64, copy=False)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            self.undefined += 1
            value, slope = np.inf, np.nan_to_num(slope, posinf=0.0, neginf=0.0)
        self._kept = [*self._kept[1 - KEPT :], (theta.copy(), value, slope)]
        return value, slope

    def hessp(self, theta: Array, p: Array) -> Array:
        """``scale`` ∇²J p."""
        self.nhev += 1
        dtype = self.task.dtype
        found = self.task.hessp(theta.astype(dtype, copy=False), p.astype(dtype, copy=False))
        return self.scale * found.astype(np.float64, copy=False)

    def hessian(self, theta: Array) -> Array:
        """``scale`` ∇²J, (P, P), from P products."""
        columns = [self.hessp(theta, unit) for unit in np.eye(self.task.size)]
        found: Array = np.stack(columns, axis=1)
        return (found + found.T) / 2

    def at(self, theta: Array) -> tuple[float, Array]:
        """J and its gradient, from the last evaluations if θ is among them."""
        for kept, value, slope in reversed(self._kept):
            if np.array_equal(kept, theta):
                return value, slope
        return self.evaluated(theta)

    def optimality(self, theta: Array) -> float:
        """How far from stationary θ is."""
        return self.task.region.optimality(theta, self.at(theta)[1])

    def callback(self, intermediate_result: Any) -> None:
        """Report an iterate; end SciPy's method, with StopIteration, where it is stationary."""
        theta = intermediate_result.x
        value, _ = self.at(theta)
        self.best = self.optimality(theta)
        self.progress.report(theta.astype(self.task.dtype), fun=value, optimality=self.best)
        if self.best <= self.tol:
            raise StopIteration

    def point(self, theta: Array) -> Point:
        """Where a method ended."""
        return Point(theta.astype(self.task.dtype))

    @property
    def counts(self) -> dict[str, int]:
        """Evaluations, by SciPy's names."""
        return {"nfev": self.nfev, "njev": self.nfev, "nhev": self.nhev}

    def ended(self, message: str) -> str:
        """SciPy's last word, and what it does not say."""
        if self.undefined:
            return f"{message}; J had no finite value at {self.undefined} points that were tried"
        return message
