"""SciPy's methods on the reduced problem: one entry each.

The gradient is the generated adjoint, a product with the Hessian the generated second-order adjoint.
A method that gives up, because it no longer sees J fall, is started again from where it stopped as
long as that brings it closer to stationarity: a new start forgets a bad approximation.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lagrangenet.optimize.methods import METHODS, Accepts, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.reduced import Reduced
from lagrangenet.optimize.task import Point, Task

#: Methods end by the tolerance of this package alone; these would end them before.
_NEVER = 10**9
_QUIET = {"maxiter": _NEVER, "gtol": 0.0}
#: For methods that take a curvature p·∇²J p of 1e-15 for zero, whatever the size of p.
_SCALE = 2.0**20
#: A method with a dense Hessian is for at most this many parameters.
DENSE = 500


def solve(
    scipy_name: str,
    second: str,
    fixed: dict[str, Any],
    scale: float,
    task: Task,
    start: Point,
    options: Options,
    progress: Progress,
) -> Outcome:
    """Run a method of ``scipy.optimize.minimize``.

    Parameters
    ----------
    scipy_name : str
    second : {"", "hessp", "hess"}
        What it takes of the second order.
    fixed : dict
        Options that are the same in every run.
    scale : float
        What J is multiplied with, see :class:`Reduced`.
    task, start, options, progress
        As of every method.
    """
    from scipy.optimize import minimize  # here, because the import takes a while

    reduced = Reduced(task, progress, options["tol"], scale)
    more: dict[str, Any] = {}
    if second:
        more[second] = reduced.hessp if second == "hessp" else reduced.hessian
    if task.region.bounds is not None:
        more["bounds"] = list(zip(*task.region.bounds, strict=True))
    own = {k: v for k, v in options.items() if k not in {"tol", "restarts"} and v is not None}
    theta, message, best = start.theta.astype(np.float64), "", np.inf
    for _ in range(1 + options["restarts"]):
        found = minimize(reduced.fun, theta, jac=True, method=scipy_name,
                         callback=reduced.callback, options={**fixed, **own}, **more)  # fmt: skip
        theta, message = found.x, str(found.message)
        reached = reduced.optimality(theta)
        if reached <= options["tol"] or not reached < best:
            break
        best = reached
    return Outcome(reduced.point(theta), reduced.ended(message), reduced.counts)


def _too_many(task: Task) -> str:
    if task.size <= DENSE:
        return ""
    return (
        f"{task.size} parameters, and it factorizes a dense Hessian of at most {DENSE}; take "
        "'trust-krylov' or 'newton-cg', which only take products with it"
    )


def _add(
    scipy_name: str,
    summary: str,
    fixed: dict[str, Any],
    second: str = "",
    defaults: Options | None = None,
    accepts: frozenset[Accepts] = frozenset(),
    scale: float = 1.0,
    **more: Any,
) -> None:
    METHODS.add(
        Method(
            scipy_name.lower(),
            summary,
            "reduced",
            partial(solve, scipy_name, second, fixed, scale),
            {"maxiter": 20_000, "seconds": None, "restarts": 10, **(defaults or {})},
            accepts,
            **more,
        )
    )


_add(
    "L-BFGS-B",
    "quasi-Newton with few vectors and bounds; SciPy",
    {**_QUIET, "ftol": 0.0, "maxfun": _NEVER, "maxls": 40},
    defaults={"maxcor": 20},
    accepts=frozenset({"bounds"}),
)
_add("BFGS", "quasi-Newton with a dense inverse Hessian; SciPy", _QUIET)
_add("CG", "nonlinear conjugate gradients; SciPy", _QUIET)
_add(
    "Newton-CG",
    "Newton with line search, steps by conjugate gradients; SciPy",
    {"maxiter": _NEVER, "xtol": 0.0},
    "hessp",
    scale=_SCALE,
)
_add(
    "trust-ncg",
    "Newton in a trust region, steps by conjugate gradients; SciPy",
    _QUIET,
    "hessp",
    {"initial_trust_radius": 1.0, "max_trust_radius": 1000.0},
)
_add(
    "trust-krylov",
    "Newton in a trust region, steps by the Lanczos method; SciPy",
    {**_QUIET, "inexact": True},
    "hessp",
    scale=_SCALE,
)
_add(
    "trust-exact",
    "Newton in a trust region, steps by Cholesky factors of a dense Hessian; SciPy",
    _QUIET,
    "hess",
    {"initial_trust_radius": 1.0, "max_trust_radius": 1000.0},
    unfit=_too_many,
)
