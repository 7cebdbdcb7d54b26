"""A result with its certificate: what a method reached, measured by oracles that it does not know.

``success`` needs the certificate: whatever the generated residuals say, a result succeeds only if
the independent ones are within the tolerance too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lagrangenet.errors import LagrangenetError
from lagrangenet.optimize.independent import certify
from lagrangenet.optimize.multipliers import RegionMultipliers
from lagrangenet.optimize.result import NOT_CONVERGED
from lagrangenet.optimize.second_order import DENSE, SecondOrder, second_order
from lagrangenet.optimize.task import Point, Task

#: A point that is stationary to this, at least, is asked for its second order.
NEARLY = 1e-5


def certified_result(task: Task, result: Any, tol: float, second: bool | None = None) -> Any:
    """Add ``certificate``, ``second_order`` and ``inertia`` to a result, and correct its success.

    Parameters
    ----------
    task : Task
    result : OptimizeResult
    tol : float
    second : bool, optional
        Whether the second order is looked at; by default for at most 500 parameters, of which the
        Hessian is assembled at once. Of more, Lanczos takes some hundred products.

    Returns
    -------
    OptimizeResult
        The same one.
    """
    if not np.isfinite([result.fun, result.optimality, result.constr_violation]).all():
        result.update(certificate=None, second_order=None, inertia=None)
        return result
    multipliers = None
    if not task.region.free:
        multipliers = RegionMultipliers(result.bound_multipliers, result.constraint_multipliers)
    wanted = task.size <= DENSE if second is None else second
    near = result.optimality <= max(NEARLY, tol) and result.constr_violation <= max(NEARLY, tol)
    found = _second(task, result.x, multipliers) if wanted and near else None
    states = task.shapes.flat(result.states, "states")
    lam = task.shapes.flat(result.multipliers, "multipliers")
    certificate = certify(task, Point(result.x, states, lam), tol, multipliers, found)
    result.update(
        certificate=certificate,
        second_order=found,
        inertia=None if found is None else found.inertia,
    )
    if result.success and found is not None and found.condition == "violated":
        least = "" if found.inertia else "at least "
        result.message += (
            f"; a {found.kind} of index {least}{found.index}, no minimizer (escape_saddles=True "
            "follows the direction of negative curvature)"
        )
    if result.success and not certificate.holds:
        failed = certificate.failures[0]
        result.update(success=False, status=NOT_CONVERGED, message=(
            f"not certified: {failed.name} is {failed.figure:.1e} by the {failed.source}, "
            f"asked {failed.tolerance:.0e} ({failed.where})"
        ))  # fmt: skip
    return result


def _second(task: Task, theta: Any, multipliers: RegionMultipliers | None) -> SecondOrder | None:
    """The second order; None where J has none, as of functions without a derivative."""
    try:
        return second_order(task, theta, multipliers)
    except (LagrangenetError, ArithmeticError, ValueError):
        return None
