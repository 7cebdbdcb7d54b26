"""Gauss-Newton with Levenberg's and Marquardt's damping: ∇²J without the curvature of the network.

    G = Σ_i (∂x_i^N/∂θ)ᵀ ∂²ℓ_i (∂x_i^N/∂θ) + ρ Ω″,     (G + δ) θ̇ = −∇J

G is positive semidefinite where ℓ and Ω are convex, and needs no multipliers. Where residuals stay
large it converges linearly: after ``patience`` slow steps in a row the reduced Newton method goes
on. The damping follows Nielsen (1999), as in Madsen, Nielsen & Tingleff (2004), Algorithm 3.16.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from lagrangenet.optimize.inertia import Shifted
from lagrangenet.optimize.kinks import explained
from lagrangenet.optimize.lifted_chain import LiftedChain
from lagrangenet.optimize.lifted_sparse import couples_samples
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.reduced_newton import descent
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

#: The first damping relative to the largest diagonal entry, and the largest.
FIRST, LARGEST = 1e-3, 1e16
#: Rounding of J, in units of |J| + 1 and of the precision.
NOISE = 8.0
#: A dense matrix is for at most this many parameters.
DENSE = 1000
#: A step that leaves more than this share of the gradient is slow.
SLOW = 0.5


def matrix(task: Task) -> Callable[[Array], Array]:
    """The function θ ↦ G, (P, P): assembled by the layers of a chain, or from P products.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> matrix(Task(chain([1, 1]), [[2.0]], [[0.0]]))(np.zeros(2))
    array([[4., 2.],
           [2., 1.]])
    """
    if isinstance(task.problem, Problem):
        system = LiftedChain(task)

        def assembled(theta: Array) -> Array:
            at = system.forward(system.rows(theta))
            lower = system.condensed.matrix(system.net.linearized(at))
            found: Array = np.tril(lower) + np.tril(lower, -1).T
            ordered: Array = found[np.ix_(system.net.order, system.net.order)]
            return ordered

        return assembled
    units = np.eye(task.size, dtype=task.dtype)

    def by_products(theta: Array) -> Array:
        found: Array = np.stack([task.gauss_newtonp(theta, unit) for unit in units])
        return (found + found.T) / 2

    return by_products


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Iterate until the gradient vanishes or damping does not help."""
    theta, tol = start.theta, options["tol"]
    value, slope = task.fun_and_grad(theta)
    if not np.isfinite(value):
        return Outcome(start, "J has no finite value at the start", {"nfev": 1})
    assemble = matrix(task)
    G = assemble(theta)
    slow = 0
    damping, growth = FIRST * float(max(np.abs(np.diag(G)).max(), 1e-12)), 2.0
    counts = {"nfev": 1, "nhev": 1}
    noise = NOISE * float(np.finfo(task.dtype).eps)
    message = "J falls no more with any damping"
    while damping < LARGEST:
        if np.abs(slope).max() <= tol:
            message = "the gradient vanishes"
            break
        factor = Shifted().factor(G + damping * np.eye(task.size, dtype=G.dtype))
        if factor is None:
            message = "the Gauss-Newton matrix is not finite"
            break
        along = -factor.solve(slope)
        new_value, new_slope = task.fun_and_grad(theta + along)
        counts["nfev"] += 1
        promised = 0.5 * float(along @ (damping * along - slope))
        slack = noise * (1 + abs(value))
        ratio = (value - new_value + slack) / (promised + slack)
        if ratio > 0 and np.abs(new_slope).max() < np.inf:
            linear = np.abs(new_slope).max() > SLOW * np.abs(slope).max()
            slow = slow + 1 if linear else 0
            theta, value, slope = theta + along, new_value, new_slope
            G = assemble(theta)
            counts["nhev"] += 1
            damping = max(damping * max(1 / 3, 1 - (2 * ratio - 1) ** 3), 1e-14)
            growth = 2.0
        else:
            damping, growth = damping * growth, 2 * growth
        progress.report(theta, fun=value, optimality=float(np.abs(slope).max()), shift=damping,
                        step=float(np.linalg.norm(along)))  # fmt: skip
        if slow >= options["patience"] and not couples_samples(task):
            message = "it converged slowly, and the reduced Newton method went on"
            return descent(task, theta, options, progress, counts, message)
    return Outcome(Point(theta), explained(task.problem, message), counts)


def _too_many(task: Task) -> str:
    if task.size <= DENSE:
        return ""
    return f"{task.size} parameters, and it factorizes a matrix of at most {DENSE}; take 'steihaug'"


METHODS.add(
    Method(
        "gauss-newton",
        "Gauss-Newton in θ with Levenberg-Marquardt damping",
        "reduced",
        solve,
        MappingProxyType({"maxiter": 5000, "seconds": None, "patience": 30}),
        unfit=_too_many,
    )
)
