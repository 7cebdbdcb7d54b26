"""A filter line search in all unknowns: what methods with infeasible iterates share.

A system says how θ, x and λ are kept, what the KKT residuals are and what the Newton step is; this
file decides which steps are taken. The filter and the second-order correction are those of Wächter &
Biegler (2006); the restoration is a forward pass, after which the point is feasible, with adjoint
multipliers. Attempts end in a point whose constraints hold exactly, or with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan, nan
from typing import Any, Protocol

from lagrangenet.optimize.filter import Filter
from lagrangenet.optimize.inertia import Shifted
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point
from lagrangenet.runtime import Array

#: The shortest step of a line search, and the most restorations of one attempt.
SHORTEST, RESTORATIONS = 1e-3, 10
#: Below these max |∂L| and Σ|c|, J cannot tell a better point from rounding: full steps are taken.
CLOSE, NEARLY_FEASIBLE = 1e-6, 1e-5


Memory = Mapping[str, Array]


def worse(a: float, b: float) -> float:
    """The larger of two numbers; NaN if one of them is."""
    return nan if isnan(a) or isnan(b) else max(a, b)


@dataclass(frozen=True, eq=False)
class Step:
    """A step of all unknowns.

    Attributes
    ----------
    along : ndarray
        θ̇.
    states, multipliers
        ẋ and λ⁺ = λ + λ̇, as the system keeps them.
    slope, shift : float
        The derivative of J along the step, and the shift of ∂²L/∂θ² that it needed.
    """

    along: Array
    states: Any
    multipliers: Any
    slope: float
    shift: float


class Values(Protocol):
    """A point (θ, x): J, Σ|c| and max |c| there."""

    theta: Array
    fun: float
    violation: float
    worst: float


class Linear(Protocol):
    """The KKT system at a point; ``optimality`` is max |∂L/∂x|, |∂L/∂θ|, ``parameters`` is ∂L/∂θ."""

    optimality: float
    parameters: Array

    def step(self, inertia: Shifted, weight: float) -> Step | None:
        """The Newton step with the smallest shift of right inertia; None if there is none."""

    def corrected(self, step: Step, new: Any) -> Step:
        """A step whose ẋ also undoes what the constraints were at a new point."""

    def hessian(self) -> Array:
        """The condensed matrix, (P, P); its lower half counts."""


class System(Protocol):
    """A problem whose states and multipliers are unknowns; ``depth`` counts its layers."""

    depth: int

    def resumed(self, point: Point, memory: Memory) -> tuple[Any, Any] | None:
        """A point (θ, x) and λ that were saved; None where there are none, or they are not enough."""

    def memory(self, at: Any, multipliers: Any) -> Memory:
        """Arrays that a resumption needs beside the point."""

    def rows(self, theta: Array) -> Array:
        """θ in the order of the system."""

    def flat(self, rows: Array) -> Array:
        """θ in the order of the task."""

    def forward(self, theta: Array) -> Any:
        """The point with the states of a forward pass."""

    def towards(self, theta: Array) -> Any:
        """The same with outputs moved towards what the loss wants."""

    def adjoint(self, at: Any) -> Any:
        """The multipliers with ∂L/∂x = 0."""

    def linear(self, at: Any, multipliers: Any) -> Linear:
        """The KKT system at a point."""

    def moved(self, at: Any, step: Step, length: float) -> Any:
        """The point after a step."""

    def blended(self, old: Any, step: Step, length: float) -> Any:
        """Multipliers after a step."""

    def point(self, at: Any, multipliers: Any = None) -> Point:
        """θ, x and λ in the order of the task."""


@dataclass
class Search:
    """An attempt from one start.

    Attributes
    ----------
    system : System
    at, multipliers
        Where it is.
    tol, weight : float
        The tolerance, and what the shift of ∂²L/∂x² is relative to that of ∂²L/∂θ².
    """

    system: System
    at: Any
    multipliers: Any
    tol: float
    weight: float
    inertia: Shifted = field(default_factory=Shifted)
    restorations: int = 0
    evaluations: int = 0
    done: dict[str, Any] | None = None
    origin: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.origin is None:
            self.origin = (self.at.violation, self.at.fun)
        self.filter = Filter(self.origin[0])
        self.ceiling = 10 * abs(self.origin[1]) + 1

    def resume(self, history: list[dict[str, Any]]) -> None:
        """Take over what the records of an interrupted attempt say about its filter and shifts."""
        last = history[-1] if history else {}
        if "origin" not in last:
            return
        mine = [record for record in history if record.get("origin") == last["origin"]]
        self.origin = tuple(last["origin"])
        self.__post_init__()
        for record in mine:
            if record["filter"] is not None:
                self.filter.add(*record["filter"])
        self.inertia.last = last["memory"]
        self.restorations = sum(record["step"] == 0 for record in mine)

    def run(self, progress: Progress, most: int) -> tuple[bool, str]:
        """Iterate until the KKT conditions hold; whether they do, and else why it ended."""
        for _ in range(most):
            linear = self.system.linear(self.at, self.multipliers)
            self.tell(progress, linear)
            residual = worse(linear.optimality, self.at.worst)
            if not isfinite(residual):
                return False, "the residuals are not finite"
            if residual <= self.tol:
                linear = self.exact()
                if linear.optimality <= self.tol:
                    return True, "the KKT conditions hold"
            reason = self.iterate(linear, worse(linear.optimality, self.at.worst))
            if reason:
                return False, reason
        return False, f"no KKT point after {most} iterations; allow more (iterations)"

    def exact(self) -> Linear:
        """Go to where the states are those of a forward pass and the multipliers its adjoint."""
        self.at = self.system.forward(self.at.theta)
        self.multipliers = self.system.adjoint(self.at)
        return self.system.linear(self.at, self.multipliers)

    def iterate(self, linear: Linear, residual: float) -> str:
        """One step, or a restoration where none is accepted; why there is neither, or ""."""
        step = linear.step(self.inertia, self.weight)
        if step is None:
            return "the KKT matrix has no factor of the right inertia with any shift"
        found, length = self.searched(linear, step, residual)
        if found is None:
            return self.restored(step.shift)
        before = (self.at.violation, self.at.fun)
        added = not self.filter.descends(step.slope, before[0], length)
        if added:
            self.filter.add(*before)
        self.at, self.multipliers = found, self.system.blended(self.multipliers, step, length)
        self.note(length, step.shift, before if added else None)
        return ""

    def searched(self, linear: Linear, step: Step, residual: float) -> tuple[Any, float]:
        """The first point that the filter accepts, of full, corrected, half, quarter, ... steps."""
        length = 1.0
        while length > SHORTEST:
            found = self.system.moved(self.at, step, length)
            self.evaluations += 1
            if self.accepted(found, step.slope, length, residual):
                return found, length
            if length == 1.0 and isfinite(found.violation):
                found = self.system.moved(self.at, linear.corrected(step, found), 1.0)
                self.evaluations += 1
                if self.accepted(found, step.slope, length, residual):
                    return found, length
            length *= 0.5
        return None, 0.0

    def accepted(self, found: Any, slope: float, length: float, residual: float) -> bool:
        """Whether a point is progress."""
        if not isfinite(found.fun) or not found.violation <= self.filter.most:
            return False
        if length == 1.0 and residual < CLOSE and found.violation < NEARLY_FEASIBLE:
            return True
        pairs = ((self.at.violation, self.at.fun), (found.violation, found.fun))
        return self.filter.accepts(*pairs, slope, length)

    def restored(self, shift: float) -> str:
        """Go back to feasible states; why that does not help any more, or ""."""
        before = (self.at.violation, self.at.fun)
        self.filter.add(*before)
        if self.at.violation < 1e-10:
            self.inertia.last = max(10 * self.inertia.last, 1e-3)
        self.restorations += 1
        self.at = self.system.forward(self.at.theta)
        self.multipliers = self.system.adjoint(self.at)
        self.note(0.0, shift, before)
        if self.restorations > RESTORATIONS:
            return f"no step was accepted after {RESTORATIONS} restorations"
        if not self.at.fun <= self.ceiling:
            return "a restoration raised J far above its start"
        return ""

    def note(self, step: float, shift: float, added: tuple[float, float] | None) -> None:
        """What the record of the next report says, beside the point."""
        self.done = {
            "step": step,
            "shift": shift,
            "memory": self.inertia.last,
            "filter": added,
            "origin": self.origin,
        }

    def tell(self, progress: Progress, linear: Linear) -> None:
        """Report the point, if a step or a restoration led to it."""
        if self.done is None:
            return
        theta, states, multipliers = self.system.point(self.at, self.multipliers)
        progress.memory = dict(self.system.memory(self.at, self.multipliers))
        progress.report(
            theta,
            states,
            multipliers,
            fun=self.at.fun,
            optimality=linear.optimality,
            violation=self.at.worst,
            gap=self.at.violation,
            **self.done,
        )
        self.done = None
