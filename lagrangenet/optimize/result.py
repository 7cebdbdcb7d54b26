"""The outcome of a method as ``scipy.optimize.OptimizeResult``, measured and not believed.

    optimality = max |∂L/∂x|, |∂L/∂θ|        constr_violation = max |∂L/∂λ|

are computed here by the generated residuals at (x, λ, θ) where the method ended. ``success`` means
that both are at most the tolerance, whatever the method says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.optimize.methods import Method, Outcome
from lagrangenet.optimize.multipliers import RegionMultipliers
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task, largest

#: ``status`` of a result.
CONVERGED, NOT_CONVERGED, STOPPED, NOT_FINITE = 0, 1, 2, 3
_NOWHERE = "J or a derivative has no finite value where the method ended"
_FINITE = (
    "start elsewhere (seed, x0), scale the data, or add a regularizer, without which a minimizer may "
    "lie at infinity"
)
_REMEDY = "go on from there (x0=result), with another method, or ask for less (tol)"
_KINKS = (
    "J has kinks, and at one no derivative tells the way: start elsewhere (seed), or take a smooth "
    "activation"
)


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
    measured = _measured(task, point)
    fun = task.objective(point.theta, point.solved_states)
    converged = measured.within(tol) and bool(np.isfinite(fun))
    status = _status(converged, measured, fun, stopped)
    found = OptimizeResult({**outcome.extra, **outcome.counts})
    found.update(
        x=point.theta,
        theta=task.shaped(point.theta),
        states=task.shapes.arrays(point.solved_states),
        multipliers=task.shapes.arrays(point.solved_multipliers),
        fun=fun,
        optimality=measured.optimality,
        constr_violation=measured.violation,
        nit=progress.nit,
        success=converged,
        status=status,
        message=_message(status, measured, tol, stopped or outcome.message, task.problem.smooth),
        history=progress.history,
        method=method.name,
        tol=tol,
    )
    if measured.region is not None:
        found.update(bound_multipliers=measured.region.bounds,
                     constraint_multipliers=measured.region.constraints)  # fmt: skip
    return found


class _Measures(NamedTuple):
    """Stationarity, feasibility, and the multipliers of bounds and linear constraints."""

    optimality: float
    violation: float
    region: RegionMultipliers | None

    def within(self, tol: float) -> bool:
        """Whether both are at most the tolerance; NaN is not."""
        return bool(self.optimality <= tol and self.violation <= tol)

    def __str__(self) -> str:
        return f"stationary to {self.optimality:.1e}, feasible to {self.violation:.1e}"


def _measured(task: Task, point: Point) -> _Measures:
    residuals = task.residuals(point.theta, point.solved_states, point.solved_multipliers)
    region, slope = task.region, residuals.parameters
    if region.free:
        return _Measures(residuals.optimality, residuals.violation, None)
    if not np.isfinite(slope).all():
        return _Measures(np.nan, residuals.violation, None)
    multipliers = region.multipliers(point.theta, slope)
    left = region.stationarity(slope, multipliers)
    outside = max(residuals.violation, region.violation(point.theta))
    optimality = max(largest(residuals.states), largest(left))
    return _Measures(optimality, outside, multipliers)


def _status(converged: bool, measured: _Measures, fun: float, stopped: str) -> int:
    if converged:
        return CONVERGED
    if not np.isfinite([fun, measured.optimality, measured.violation]).all():
        return NOT_FINITE
    return STOPPED if stopped else NOT_CONVERGED


def _message(status: int, measured: _Measures, tol: float, last_word: str, smooth: bool) -> str:
    """What happened, why, and what to do about it."""
    if status == CONVERGED:
        return f"converged: {measured} (tolerance {tol:.0e})"
    if status == NOT_FINITE:
        return f"not finite: {last_word or _NOWHERE}; {_FINITE}"
    cause = last_word or "the method ended"
    values = {"not stationary": measured.optimality, "not feasible": measured.violation}
    what = " and ".join(words for words, value in values.items() if not value <= tol)
    remedy = f"; {_REMEDY if smooth else _KINKS}" if status == NOT_CONVERGED else ""
    return f"{what}: {cause}; {measured}, asked {tol:.0e}{remedy}"


def resumed_point(task: Task, saved: Any) -> Point:
    """The point of an earlier result of the same task."""
    if (found := np.size(saved.x)) != task.size:
        raise DataError(
            f"the result that x0 names has {found} parameters, the problem has {task.size}: resume a "
            "run with the problem that it was begun with"
        )
    theta = task.routines.pack(task.routines.unpack(saved.x))
    states = task.shapes.flat(saved.states, "states of x0")
    return Point(theta, states, task.shapes.flat(saved.multipliers, "multipliers of x0"))
