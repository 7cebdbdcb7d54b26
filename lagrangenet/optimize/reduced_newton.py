"""Newton's method for J(x(θ), θ): a Hessian assembled by layers, Cholesky with a shift, line search.

Every iterate is feasible. The shift is the smallest of a schedule that makes ∇²J + δ positive
definite (:mod:`.inertia`), the line search is Armijo's. At a stationary point that is no minimum it
goes on along the most negative curvature.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from lagrangenet.optimize.inertia import Shifted, lowest
from lagrangenet.optimize.kinks import explained
from lagrangenet.optimize.lifted_chain import LiftedChain
from lagrangenet.optimize.lifted_sparse import SparseSystem, couples_samples
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.search import System
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

#: Armijo's constant, and the shortest step.
ARMIJO, SHORTEST = 1e-4, 1e-10
#: Rounding of J, relative to |J| and absolute.
NOISE = 1e-15
#: An eigenvalue below minus this, relative to the largest entry, is negative curvature.
CURVED = 1e-8
#: Steps along negative curvature that are tried.
ESCAPES = (1.0, -1.0, 0.3, -0.3, 0.1, -0.1, 0.03, -0.03, 0.01, -0.01)


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Descend; leave saddles."""
    counts = {"nfev": 0, "escapes": 0}
    theta = start.theta
    while True:
        outcome = descent(task, theta, options, progress, counts)
        if counts["escapes"] == options["escapes"]:
            return outcome
        system = _system(task)
        at = system.forward(system.rows(outcome.point.theta))
        if not _stationary(system, at, options["tol"]):
            return outcome
        leaving = escaped(system, at, system.adjoint(at), counts["escapes"])
        if leaving is None:
            return outcome
        counts["escapes"] += 1
        theta = system.flat(leaving)


def descent(
    task: Task,
    theta: Array,
    options: Options,
    progress: Progress,
    counts: dict[str, int],
    message: str = "",
) -> Outcome:
    """Iterate until ∇J = 0 or J falls no more; ``message`` says what was before."""
    system, inertia = _system(task), Shifted()
    at = system.forward(system.rows(theta))
    done: dict[str, Any] | None = None
    while True:
        linear = system.linear(at, system.adjoint(at))
        if done is not None:
            progress.report(system.flat(at.theta), fun=at.fun, optimality=linear.optimality,
                            **done)  # fmt: skip
        if not np.isfinite(at.fun) or not np.isfinite(linear.optimality):
            why = "J or its gradient is not finite"
            break
        if linear.optimality <= options["tol"]:
            why = "the gradient vanishes"
            break
        factor = inertia.factor(linear.hessian())
        if factor is None:
            why = "the Hessian has no Cholesky factor with any shift"
            break
        along = -factor.solve(linear.parameters)
        new, length = _searched(system, at, along, float(linear.parameters @ along), counts)
        if new is None:
            why = "J falls no more along the Newton step"
            break
        at = new
        if length < 1:
            inertia.last = max(2 * inertia.last, 1e-4)
        done = {"step": length, "shift": factor.shift}
    words = "; ".join(filter(None, (message, why)))
    return Outcome(Point(system.flat(at.theta)), explained(task.problem, words), counts)


def _system(task: Task) -> Any:
    return LiftedChain(task) if isinstance(task.problem, Problem) else SparseSystem(task)


def _stationary(system: System, at: Any, tol: float) -> bool:
    return bool(system.linear(at, system.adjoint(at)).optimality <= tol)


def _searched(
    system: System, at: Any, along: Array, slope: float, counts: dict[str, int]
) -> tuple[Any, float]:
    """The first of full, half, quarter, ... steps that lowers J enough."""
    length = 1.0
    noise = NOISE * (1 + abs(at.fun))
    while length > SHORTEST:
        found = system.forward(at.theta + length * along)
        counts["nfev"] += 1
        if found.fun <= at.fun + ARMIJO * length * slope + noise:
            return found, length
        length *= 0.5
    return None, 0.0


def escaped(system: System, at: Any, multipliers: Any, seed: int) -> Array | None:
    """θ beyond a saddle, along its most negative curvature; None at a minimum."""
    H = system.linear(at, multipliers).hessian()
    if (factor := Shifted().factor(H)) is not None and factor.shift == 0:
        return None
    value, vector = lowest(H)
    if value >= -CURVED * np.abs(H).max():
        return None
    fun, length = min((system.forward(at.theta + t * vector).fun, t) for t in ESCAPES)
    if not fun < at.fun:
        return None
    noise = np.random.default_rng(seed).standard_normal(len(vector)).astype(vector.dtype)
    found: Array = at.theta + length * vector + 1e-3 * abs(length) * noise
    return found


METHODS.add(
    Method(
        "reduced-newton",
        "Newton's method in θ, with a shifted Hessian and a line search",
        "reduced",
        solve,
        MappingProxyType({"maxiter": 2000, "seconds": None, "escapes": 5}),
        unfit=couples_samples,
    )
)
