"""The outcome of a method as ``scipy.optimize.OptimizeResult``, measured and not believed.

    optimality = max |∂L/∂x|, |∂L/∂θ|        constr_violation = max |∂L/∂λ|

are computed here by the generated residuals at (x, λ, θ) where the method ended. ``success`` means
that both are at most the tolerance, whatever the method says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lagrangenet.optimize.methods import Method, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Residuals, Task

#: ``status`` of a result.
CONVERGED, NOT_CONVERGED, STOPPED, NOT_FINITE = 0, 1, 2, 3


def certified(
    task: Task, method: Method, outcome: Outcome, progress: Progress, tol: float, stopped: str
) -> Any:
    """The result of a run.

    Parameters
    ----------
    task, method, outcome, progress
        What was solved, how, where it ended and what it reported.
    tol : float
        For both measures.
    stopped : str
        Why the run was ended from outside; empty if the method ended by itself.

    Returns
    -------
    scipy.optimize.OptimizeResult
    """
    from scipy.optimize import OptimizeResult

    point = task.completed(outcome.point)
    assert point.states is not None
    assert point.multipliers is not None
    residuals = task.residuals(*point)
    optimality, violation = measures(residuals, outcome.extra)
    fun = task.objective(point.theta, point.states)
    converged = bool(optimality <= tol and violation <= tol and np.isfinite(fun))
    status = _status(converged, fun, optimality, violation, stopped)
    found = OptimizeResult(
        x=point.theta,
        theta=task.shaped(point.theta),
        states=task.shapes.arrays(point.states),
        multipliers=task.shapes.arrays(point.multipliers),
        fun=fun,
        optimality=optimality,
        constr_violation=violation,
        nit=progress.nit,
        success=converged,
        status=status,
        message=_message(status, outcome.message, stopped, optimality, violation, tol),
        history=progress.history,
        method=method.name,
        tol=tol,
    )
    found.update(outcome.counts)
    found.update(outcome.extra)
    return found


def measures(residuals: Residuals, extra: Mapping[str, Any]) -> tuple[float, float]:  # noqa: ARG001
    """Optimality and violation."""
    return residuals.optimality, residuals.violation


def _status(
    converged: bool, fun: float, optimality: float, violation: float, stopped: str
) -> int:
    if converged:
        return CONVERGED
    if not np.isfinite([fun, optimality, violation]).all():
        return NOT_FINITE
    return STOPPED if stopped else NOT_CONVERGED


def _message(
    status: int, last_word: str, stopped: str, optimality: float, violation: float, tol: float
) -> str:
    """What happened, why, and what to do about it."""
    measured = f"stationary to {optimality:.1e}, feasible to {violation:.1e}"
    if status == CONVERGED:
        return f"converged: {measured} (tolerance {tol:.0e})"
    cause = stopped or last_word or "the method ended"
    if status == NOT_FINITE:
        remedy = (
            "J or a derivative has no finite value there: start elsewhere (x0, seed), scale the "
            "data, or add a regularizer, without which a minimizer may lie at infinity"
        )
        return f"not finite: {cause}; {remedy}"
    too = " and ".join(
        words
        for words, value in (("not stationary", optimality), ("not feasible", violation))
        if not value <= tol
    )
    return f"{too}: {cause}; {measured}, asked {tol:.0e}"


def resumed_point(task: Task, saved: Any) -> Point:
    """The point of an earlier result of the same task."""
    theta = task.routines.pack(task.routines.unpack(saved.x))
    states = task.shapes.flat(saved.states, "states of x0")
    return Point(theta, states, task.shapes.flat(saved.multipliers, "multipliers of x0"))
