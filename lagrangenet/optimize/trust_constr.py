"""SciPy's trust-constr on the constrained problem, with the exact sparse Hessian of the Lagrangian."""

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
LARGEST = 1000
#: The distance to an active bound is the barrier parameter over the multiplier: go on to this share.
BARRIER = 1e-5


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run trust-constr."""
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, minimize

    full, tol = Full(task, progress, options["tol"]), options["tol"]
    nothing = sparse.csr_array((full.size, full.size))

    def hessian(v: Array, lam: Array) -> Any:
        """∂²L/∂v²: that of J comes with that of the constraints, whose sum SciPy forms."""
        return full.hessian(v, lam)

    def step(v: Array, state: Any) -> bool:
        lam = signs.from_trust_constr(state.v[0])
        optimality, violation = full.report(v, lam)
        close = state.get("barrier_parameter", 0.0) <= BARRIER * tol
        return bool(close and optimality <= tol / 10 and violation <= tol / 10)

    constraints = [NonlinearConstraint(full.constraints, 0.0, 0.0, jac=full.jacobian, hess=hessian)]
    more: dict[str, Any] = {}
    if task.region.constraints is not None:
        A, low, high = task.region.constraints
        wide = sparse.hstack([sparse.csr_array((len(A), full.conditions)), sparse.csr_array(A)])
        constraints.append(LinearConstraint(wide, low, high))
    if task.region.bounds is not None:
        more["bounds"] = Bounds(*full.bounds(positive=False))
    found = minimize(full.objective, full.start(start), jac=full.gradient, hess=lambda _: nothing,
                     constraints=constraints, method="trust-constr", callback=step,
                     options={"gtol": 0.0, "xtol": options["xtol"], "maxiter": _NEVER,
                              "barrier_tol": BARRIER * tol / 10,
                              "initial_tr_radius": options["initial_tr_radius"]}, **more)  # fmt: skip
    lam = signs.from_trust_constr(found.v[0])
    return Outcome(full.point(np.asarray(found.x), lam), str(found.message), full.counts)


METHODS.add(
    Method(
        "trust-constr",
        "trust-region SQP with exact sparse Hessian, or a barrier with bounds; SciPy",
        "full",
        solve,
        {"maxiter": 3000, "seconds": None, "xtol": 1e-14, "initial_tr_radius": 1.0},
        frozenset({"bounds", "constraints"}),
        unfit=at_most(LARGEST, "'lifted-newton' or 'ipopt'"),
    )
)
