"""One interface to all methods, after ``scipy.optimize.minimize``.

    minimize J(x, θ)  subject to  c(x, θ) = 0

It makes the task, the start and the reporter, runs a method, and measures where it ended. Bad input
is refused with an error; what happens during a run is not: it is a result with ``success=False``
and a message that names cause and remedy.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from lagrangenet.errors import DataError, ProblemError
from lagrangenet.graph import Graph
from lagrangenet.optimize import checkpoint as files
from lagrangenet.optimize.certifying import certified_result
from lagrangenet.optimize.choose import AUTO, choose
from lagrangenet.optimize.escape import escaped
from lagrangenet.optimize.methods import METHODS, Method, Outcome
from lagrangenet.optimize.progress import Callback, Progress, Stop
from lagrangenet.optimize.region import region
from lagrangenet.optimize.result import certified, resumed_point
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import GraphRoutines, Routines

#: The default of ``tol``: what rounding leaves room for.
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
#: Options of every method: they are the reporter's.
COMMON = ("maxiter", "seconds")
#: What numerical libraries raise at singular matrices and the like (LinAlgError is a ValueError).
_BREAKS = (ArithmeticError, ValueError, RuntimeError)
#: Entries of a result that a method needs to go on with its run.
_MEMORY = "memory_"
#: The message of a checkpoint.
RUNNING = "the run had not ended when this was written; continue with x0"


def minimize(
    problem: Problem | Graph,
    X: Any,
    Y: Any,
    method: str = AUTO,
    x0: Any = None,
    *,
    seed: int | np.random.Generator = 0,
    tol: float | None = None,
    dtype: str = "float64",
    target: str = "numpy",
    bounds: Any = None,
    constraints: Any = None,
    callback: Callback | None = None,
    options: dict[str, Any] | None = None,
    routines: Routines | GraphRoutines | None = None,
    checkpoint: str | PathLike[str] | None = None,
    escape_saddles: bool = False,
    second_order: bool | None = None,
) -> Any:
    """Train a network: find a KKT point of its constrained problem.

    Parameters
    ----------
    problem : Problem or Graph
        The declaration.
    X, Y : array_like
        Data, as the routines take them.
    method : str
        A name of :data:`lagrangenet.METHODS`, or "auto".
    x0 : optional
        Where to start: a flat vector, θ in its shapes, or an earlier result or the path of a saved
        one, whose run is then continued: from its iterate, with its history. Lifted Newton and SQP
        go on as if they had not been stopped; what others remember besides, as a quasi-Newton
        matrix, begins anew. By default random parameters of ``seed``.
    seed : int or numpy.random.Generator
    tol : float, optional
        For stationarity and feasibility, both absolute; by default 1e-8, in float32 1e-4.
    dtype : {"float64", "float32"}
    target : str
        What computes J and its derivatives, as in :func:`lagrangenet.generate`.
    bounds, constraints : optional
        On the parameters, as SciPy's methods take them, or bounds by name, ``{"W2": (0, None),
        "biases": 0}``: see :func:`lagrangenet.optimize.region.region`.
    callback : callable, optional
        ``callback(intermediate_result)`` after every iteration; StopIteration ends the run.
    options : dict, optional
        ``maxiter``, ``seconds`` (a limit on time), and the method's own: ``METHODS[name].defaults``.
    routines : Routines or GraphRoutines, optional
        Code of the second order to use instead of freshly generated code.
    checkpoint : path, optional
        A file in which the run is kept while it goes on; ``x0`` takes it.
    escape_saddles : bool
        Whether a run that ends in a saddle follows its direction of negative curvature and goes on,
        at most ten times.
    second_order : bool, optional
        Whether the second order at the solution is computed; by default for at most 500 parameters.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` (θ flat), ``theta``, ``states``, ``multipliers`` (in the package's sign), ``fun``,
        ``optimality``, ``constr_violation``, ``nit``, ``success``, ``status``, ``message``,
        ``history``, ``method``, ``wall_s``; ``certificate`` with the residuals by independent
        oracles, without which nothing is a success; ``second_order`` and ``inertia`` of the reduced
        Hessian on the tangent space of active limits; with limits on θ ``bound_multipliers`` and
        ``constraint_multipliers``, positive at an upper limit.

    Raises
    ------
    LagrangenetError
        For an unknown method or option, data that do not fit, a method that does not fit the
        problem, or a missing package.

    Examples
    --------
    >>> import lagrangenet as ln
    >>> problem = ln.chain([1, 1], regularizer=ln.L2(0.1))
    >>> result = minimize(problem, [[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]], method="l-bfgs-b")
    >>> result.success, result.x.round(4).tolist()
    (True, [0.8696, 0.1304])
    """
    began = time.perf_counter()
    if not problem.size:
        raise ProblemError("the problem has no parameters: there is nothing to minimize over")
    where = region(problem, bounds, constraints)
    task = Task(problem, X, Y, dtype=dtype, target=target, routines=routines, region=where)
    name, reason = choose(task) if method == AUTO else (method, "asked for")
    chosen = METHODS[name]
    chosen.require(task)
    limits, given = _options(chosen, options)
    tolerance = TOLERANCE[task.dtype] if tol is None else _tolerance(tol)
    start, history, memory = _start(task, x0, seed)
    keep = None if checkpoint is None else _keeper(checkpoint, task, chosen, tolerance)
    progress = Progress(task, callback, **limits, save=keep, history=history, memory=memory)
    wanted = True if escape_saddles else second_order

    def go(point: Point, record: dict[str, Any] | None = None) -> Any:
        found = run(task, chosen, point, {**given, "tol": tolerance}, progress, tolerance, record)
        return certified_result(task, found, tolerance, wanted)

    result = go(start)
    if escape_saddles:
        result = escaped(task, result, go)
    result.update(reason=reason, wall_s=time.perf_counter() - began)
    if checkpoint is not None:
        files.save(result, checkpoint)
    return result


def run(
    task: Task,
    method: Method,
    start: Point,
    options: dict[str, Any],
    progress: Progress,
    tol: float,
    record: dict[str, Any] | None = None,
) -> Any:
    """Run a method and measure where it ends; nothing that happens on the way is raised.

    ``record`` is reported about the start, where that is no start of the user's.
    """
    stopped = ""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            if record is not None:
                slope = task.fun_and_grad(start.theta)[1]
                stationary = task.region.optimality(start.theta, slope)
                progress.report(start.theta, optimality=stationary, **record)
            outcome = Outcome(start, "J has no finite value at the start")
            if np.isfinite(task.fun(start.theta)):
                outcome = method.solve(task, start, options, progress)
        except Stop as reason:
            outcome, stopped = _interrupted(progress, start), str(reason)
        except _BREAKS as error:
            if progress.raised is not None:
                raise progress.raised from None
            outcome = Outcome(progress.last or start, f"the method broke off: {error}")
        return certified(task, method, outcome, progress, tol, stopped)


def _keeper(
    path: str | PathLike[str], task: Task, method: Method, tol: float
) -> Callable[[Progress], None]:
    """Writes a run as it stands."""

    def keep(progress: Progress) -> None:
        assert progress.last is not None
        outcome = _interrupted(progress, progress.last)
        files.save(certified(task, method, outcome, progress, tol, RUNNING), path)

    return keep


def _interrupted(progress: Progress, start: Point) -> Outcome:
    """The last iterate, with what the method needs to go on from it."""
    kept = {f"{_MEMORY}{name}": array for name, array in progress.memory.items()}
    return Outcome(progress.last or start, extra=kept)


def _options(method: Method, given: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Limits of the reporter, and the method's options with its defaults."""
    merged = method.options(given)
    limits = {name: merged.pop(name, None) for name in COMMON}
    for name, value in limits.items():
        if value is not None and not value > 0:
            raise DataError(f"the option {name!r} is {value!r}; it has to be positive")
    return limits, merged


def _tolerance(tol: Any) -> float:
    value = float(tol)
    if not 0 < value < np.inf:
        raise DataError(f"tol is {tol!r}; it has to be a positive number")
    return value


def _start(task: Task, x0: Any, seed: Any) -> tuple[Point, list[dict[str, Any]], dict[str, Any]]:
    """The point to start from, and history and memory of a run that is continued."""
    if x0 is None:
        return Point(task.initial(seed)), [], {}
    if isinstance(x0, str | PathLike):
        x0 = files.load(x0)
    if hasattr(x0, "states") and hasattr(x0, "x"):
        memory = {name.removeprefix(_MEMORY): array for name, array in x0.items()
                  if name.startswith(_MEMORY)}  # fmt: skip
        return resumed_point(task, x0), list(x0.get("history", [])), memory
    if isinstance(x0, np.ndarray) and x0.ndim == 1 and x0.dtype != object:
        return Point(task.routines.pack(task.routines.unpack(x0)).copy()), [], {}
    return Point(task.routines.pack(x0)), [], {}
