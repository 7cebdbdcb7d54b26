"""SciPy's SLSQP on the constrained problem: dense, so for few samples.

It measures its own progress in J alone, where rounding hides the last half of the digits. So it is
ended here, once the iterate fulfils the conditions with the best multipliers, far below the
tolerance; those that are returned and measured are its own, which lag one step behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lagrangenet import signs
from lagrangenet.optimize.full import Full, at_most
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

_NEVER = 10**9
#: The multipliers are as accurate as the last step is short: go on to this share of the tolerance.
SHARE = 1e-2
LARGEST = 600


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run SLSQP, again from where it ends while that brings it closer."""
    from scipy.optimize import minimize  # here, because the import takes a while

    full, tol = Full(task, progress, options["tol"]), options["tol"]

    def step(intermediate_result: Any) -> None:
        optimality, violation = full.report(intermediate_result.x)
        if optimality <= SHARE * tol and violation <= SHARE * tol:
            raise StopIteration

    v, lam, message, best = full.start(start), None, "", np.inf
    bounds = list(zip(*full.bounds(), strict=True))
    for _ in range(1 + options["restarts"]):
        found = minimize(full.objective, v, jac=full.gradient, bounds=bounds,
                         constraints=_constraints(full), method="SLSQP", callback=step,
                         options={"ftol": 1e-16, "maxiter": _NEVER})  # fmt: skip
        v, message = found.x, str(found.message)
        lam = signs.from_slsqp(found.multipliers[: full.conditions])
        residuals = task.residuals(*full.split(v), lam.astype(task.dtype))
        reached = max(residuals.optimality, residuals.violation)
        if reached <= tol or not reached < best:
            break
        best = reached
    return Outcome(full.point(v, lam), message, full.counts)


def _constraints(full: Full) -> list[dict[str, Any]]:
    """The constraints c = 0; then the equalities and inequalities on θ."""

    def jacobian(v: Array) -> Array:
        return np.asarray(full.jacobian(v).toarray(), np.float64)

    found = [{"type": "eq", "fun": full.constraints, "jac": jacobian}]
    if full.task.region.constraints is None:
        return found
    A, low, high = full.task.region.constraints
    wide = np.hstack([np.zeros((len(A), full.conditions)), A])
    equal = low == high
    rows = [
        ("eq", wide[equal], low[equal]),
        ("ineq", wide[~equal & np.isfinite(low)], low[~equal & np.isfinite(low)]),
        ("ineq", -wide[~equal & np.isfinite(high)], -high[~equal & np.isfinite(high)]),
    ]
    return found + [_linear(kind, R, r) for kind, R, r in rows if len(R)]


def _linear(kind: str, R: Array, r: Array) -> dict[str, Any]:
    """R v = r, or R v ≥ r."""
    return {"type": kind, "fun": lambda v: R @ v - r, "jac": lambda _: R}


METHODS.add(
    Method(
        "slsqp",
        "sequential quadratic programming, dense, quasi-Newton; SciPy",
        "full",
        solve,
        {"maxiter": 2000, "seconds": None, "restarts": 3},
        frozenset({"bounds", "constraints"}),
        unfit=at_most(LARGEST, "'lifted-newton' or 'ipopt'"),
    )
)
