"""Lifted Newton: θ, x and λ are unknowns; the step is condensed to P equations layer by layer.

    ( ∂²L/∂v²  (∂c/∂v)ᵀ ) ( v̇  )     ( ∂J/∂v )
    ( ∂c/∂v        0     ) ( λ⁺ ) = − (   c   )         v = (x, θ)

is solved at the cost of the reduced Newton method (Albersmeyer & Diehl 2010), but iterates may be
infeasible, which saves most iterations: a filter line search (:mod:`.search`) decides on steps. It
ends at a point that is exactly feasible, where Cholesky factors without a shift show a minimum; from
a saddle it goes on along negative curvature. What fails from one start of the states is tried from
another, and then by the reduced Newton method.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from lagrangenet.optimize.lifted_chain import LiftedChain
from lagrangenet.optimize.lifted_sparse import SparseSystem, couples_samples
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.reduced_newton import descent, escaped
from lagrangenet.optimize.search import Memory, Search, System
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

#: Up to this depth states start as a forward pass gives them, beyond it with targets as outputs.
SHALLOW = 3
DEFAULTS = {
    "maxiter": 2000,
    "seconds": None,
    "weight": 1.0,
    "states": "auto",
    "attempt": 150,
    "escapes": 5,
}


def lifted(task: Task) -> Any:
    """The system of a task: by sweeps over the layers of a chain, else by sparse matrices."""
    return LiftedChain(task) if isinstance(task.problem, Problem) else SparseSystem(task)


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Attempts from the starts of the chain of fallbacks, then along negative curvature."""
    return attempts(task, lifted(task), start, options, progress)


def attempts(
    task: Task, system: Any, start: Point, options: Options, progress: Progress
) -> Outcome:
    """Search from each start until one succeeds; then leave saddles.

    Returns
    -------
    Outcome
        At θ, with the states and multipliers of its passes.
    """
    counts = {"nfev": 0, "restorations": 0, "escapes": 0}
    rows = system.rows(start.theta)
    begin: Point | None = start
    while True:
        found, good, message = _searched(system, rows, begin, options, progress, counts)
        rows, begin = found.at.theta, None
        if not good:
            message = f"{message}; the reduced Newton method went on"
            return descent(task, system.flat(rows), options, progress, counts, message)
        if counts["escapes"] == options["escapes"]:
            break
        leaving = escaped(system, found.at, found.multipliers, counts["escapes"])
        if leaving is None:
            break
        counts["escapes"] += 1
        rows = leaving
    return Outcome(Point(system.flat(rows)), message, counts)


def _searched(
    system: System,
    rows: Array,
    begin: Point | None,
    options: Options,
    progress: Progress,
    counts: dict[str, int],
) -> tuple[Search, bool, str]:
    """The first search that succeeds, or the last."""
    starts = _starts(system, rows, begin, progress.memory, options["states"])
    for at, multipliers, resumed in starts:
        search = Search(system, at, multipliers, options["tol"], options["weight"])
        if resumed:
            search.resume(progress.history)
        good, message = search.run(progress, options["attempt"])
        counts["nfev"] += search.evaluations
        counts["restorations"] += search.restorations
        if good:
            break
    return search, good, message


def _starts(
    system: System, rows: Array, begin: Point | None, memory: Memory, asked: str
) -> Iterator[tuple[Any, Any, bool]]:
    """Where a run was stopped; states passed forward, and with outputs moved towards the targets."""
    resumed = None if begin is None else system.resumed(begin, memory)
    if resumed is not None:
        yield *resumed, True
    if asked == "auto":
        asked = "forward" if system.depth <= SHALLOW else "targets"
    for how in (asked, "targets" if asked == "forward" else "forward"):
        at = system.forward(rows) if how == "forward" else system.towards(rows)
        yield at, system.adjoint(at), False


METHODS.add(
    Method(
        "lifted-newton",
        "Newton's method in θ, x and λ, condensed layer by layer, with a filter line search",
        "full",
        solve,
        MappingProxyType(DEFAULTS),
        unfit=couples_samples,
    )
)
