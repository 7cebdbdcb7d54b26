"""Lifted Newton: θ, x and λ are unknowns; the step is condensed to P equations layer by layer.

    ( ∂²L/∂v²  (∂c/∂v)ᵀ ) ( v̇  )     ( ∂J/∂v )
    ( ∂c/∂v        0     ) ( λ⁺ ) = − (   c   )         v = (x, θ)

is solved at the cost of the reduced Newton method (Albersmeyer & Diehl 2010), but iterates may be
infeasible, which saves most iterations: a filter line search (Wächter & Biegler 2006) decides on
steps. A shift of the condensed matrix keeps its inertia right; a rejected step is followed by a
restoration, which here is a forward pass. It ends at a point that is exactly feasible, where a
Cholesky factorization without shift shows a minimum, or along negative curvature it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lagrangenet.optimize.filter import Filter
from lagrangenet.optimize.inertia import Shifted, lowest
from lagrangenet.optimize.lifted_chain import LiftedChain, blended
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

#: The shortest step of a line search, and the most restorations of one attempt.
SHORTEST, RESTORATIONS = 1e-3, 10
#: Below these max |∂L| and Σ|c|, J cannot tell a better point from rounding: full steps are taken.
CLOSE, NEARLY_FEASIBLE = 1e-6, 1e-5
#: An eigenvalue below minus this, relative to the largest entry, is negative curvature.
CURVED = 1e-8
#: Steps along negative curvature that are tried.
ESCAPES = (1.0, -1.0, 0.3, -0.3, 0.1, -0.1, 0.03, -0.03, 0.01, -0.01)


@dataclass
class Search:
    """An attempt from one start.

    Attributes
    ----------
    system : LiftedChain
        Or another with the same methods.
    at, multipliers
        Where it is.
    tol, weight : float
        The tolerance, and what the shift of ∂²L/∂x² is relative to that of ∂²L/∂θ².
    """

    system: Any
    at: Any
    multipliers: Any
    tol: float
    weight: float
    inertia: Shifted = field(default_factory=Shifted)
    restorations: int = 0
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.filter = Filter(self.at.violation)
        self.ceiling = 10 * abs(self.at.fun) + 1

    def run(self, progress: Progress, most: int) -> tuple[bool, str]:
        """Iterate until the KKT conditions hold; whether they do, and else why it ended."""
        for _ in range(most):
            linear = self.system.linear(self.at, self.multipliers)
            residual = max(linear.optimality, self.at.worst)
            if not np.isfinite(residual):
                return False, "the residuals are not finite"
            if residual <= self.tol:
                linear = self.exact()
                if linear.optimality <= self.tol:
                    return True, "the KKT conditions hold"
            reason = self.iterate(linear, max(linear.optimality, self.at.worst), progress)
            if reason:
                return False, reason
        return False, f"no KKT point after {most} iterations; allow more (iterations)"

    def exact(self) -> Any:
        """Go to where the states are those of a forward pass and the multipliers its adjoint."""
        self.at = self.system.forward(self.at.theta)
        self.multipliers = self.system.adjoint(self.at)
        return self.system.linear(self.at, self.multipliers)

    def iterate(self, linear: Any, residual: float, progress: Progress) -> str:
        """One step, or a restoration where none is accepted; why there is neither, or ""."""
        H = linear.matrix()
        factor = self.inertia.factor(
            H, (lambda: self.weight * linear.metric()) if self.weight else None
        )
        if factor is None:
            return "the condensed KKT matrix has no Cholesky factor with any shift"
        weight = factor.shift * self.weight
        along = factor.solve(linear.right(weight))
        dx, plus = linear.step(along, weight)
        slope = linear.slope(along, dx)
        found, length = self.searched(linear, along, dx, slope, residual)
        if found is None:
            return self.restored(progress, linear, factor.shift)
        before = (self.at.violation, self.at.fun)
        if not self.filter.descends(slope, before[0], length):
            self.filter.add(*before)
        self.at, self.multipliers = found, blended(self.multipliers, plus, length)
        self.tell(progress, linear, step=length, shift=factor.shift)
        return ""

    def searched(
        self, linear: Any, along: Array, dx: Any, slope: float, residual: float
    ) -> tuple[Any, float]:
        """The first point that the filter accepts, of full, corrected, half, quarter, ... steps."""
        length = 1.0
        while length > SHORTEST:
            found = self.system.moved(self.at, along, dx, length)
            self.evaluations += 1
            if self.accepted(found, slope, length, residual):
                return found, length
            if length == 1.0 and np.isfinite(found.violation):
                found = self.system.moved(self.at, along, linear.corrected(dx, found), 1.0)
                self.evaluations += 1
                if self.accepted(found, slope, length, residual):
                    return found, length
            length *= 0.5
        return None, 0.0

    def accepted(self, found: Any, slope: float, length: float, residual: float) -> bool:
        """Whether a point is progress."""
        if not np.isfinite(found.fun) or not found.violation <= self.filter.most:
            return False
        if length == 1.0 and residual < CLOSE and found.violation < NEARLY_FEASIBLE:
            return True
        pairs = ((self.at.violation, self.at.fun), (found.violation, found.fun))
        return self.filter.accepts(*pairs, slope, length)

    def restored(self, progress: Progress, linear: Any, shift: float) -> str:
        """Go back to feasible states; why that does not help any more, or ""."""
        self.filter.add(self.at.violation, self.at.fun)
        if self.at.violation < 1e-10:
            self.inertia.last = max(10 * self.inertia.last, 1e-3)
        self.restorations += 1
        self.at = self.system.forward(self.at.theta)
        self.multipliers = self.system.adjoint(self.at)
        self.tell(progress, linear, step=0.0, shift=shift)
        if self.restorations > RESTORATIONS:
            return f"no step was accepted after {RESTORATIONS} restorations"
        if not self.at.fun <= self.ceiling:
            return "a restoration raised J far above its start"
        return ""

    def tell(self, progress: Progress, linear: Any, step: float, shift: float) -> None:
        """Report the point, with the residuals of the system that led to it."""
        theta, states, multipliers = self.system.point(self.at, self.multipliers)
        progress.report(
            theta,
            states,
            multipliers,
            fun=self.at.fun,
            optimality=linear.optimality,
            violation=self.at.worst,
            step=step,
            shift=shift,
        )


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Attempts from the starts of the chain of fallbacks, then along negative curvature."""
    system = LiftedChain(task)
    rows, tol = system.rows(start.theta), options["tol"]
    counts = {"nfev": 0, "restorations": 0, "escapes": 0}
    for escape in range(options["escapes"] + 1):
        found, message = None, ""
        for how in _starts(system, options["states"]):
            at = system.forward(rows) if how == "forward" else system.towards(rows)
            search = Search(system, at, system.adjoint(at), tol, options["weight"])
            good, message = search.run(progress, options["iterations"])
            counts["nfev"] += search.evaluations
            counts["restorations"] += search.restorations
            found = search
            if good:
                break
        assert found is not None
        rows = found.at.theta
        if not good or escape == options["escapes"]:
            break
        leaving = escaped(system, found.at, found.multipliers, escape)
        if leaving is None:
            break
        counts["escapes"] += 1
        rows = leaving
    return Outcome(Point(system.net.flat(rows)), message, counts)


def _starts(system: LiftedChain, asked: str) -> list[str]:
    """Where the states start: passed forward up to three layers, with targets as outputs beyond."""
    if asked == "auto":
        asked = "forward" if system.depth <= 3 else "targets"
    return [asked, "targets" if asked == "forward" else "forward"]


def escaped(system: LiftedChain, at: Any, multipliers: Any, seed: int) -> Array | None:
    """θ beyond a saddle, along its most negative curvature; None at a minimum."""
    H = system.linear(at, multipliers).matrix()
    if (factor := Shifted().factor(H)) is not None and factor.shift == 0:
        return None
    value, vector = lowest(H)
    if value >= -CURVED * np.abs(H).max():
        return None
    tried = [(system.forward(at.theta + t * vector).fun, t) for t in ESCAPES]
    fun, length = min(tried)
    if not fun < at.fun:
        return None
    noise = np.random.default_rng(seed).standard_normal(len(vector)).astype(vector.dtype)
    found: Array = at.theta + length * vector + 1e-3 * abs(length) * noise
    return found


METHODS.add(
    Method(
        "lifted-newton",
        "Newton's method in θ, x and λ, condensed layer by layer, with a filter line search",
        "full",
        solve,
        MappingProxyType(
            {
                "weight": 1.0,
                "states": "auto",
                "iterations": 150,
                "escapes": 5,
            }
        ),
    )
)
