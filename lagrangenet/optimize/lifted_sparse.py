"""The lifted system of any network, with ∇²L as a sparse matrix.

    ( H + δ   Aᵀ ) ( v̇  )     ( ∂J/∂v )
    (   A     0  ) ( λ⁺ ) = − (   c   )        v = (x, θ),  A = ∂c/∂v,  H = ∂²L/∂v²

Two ways to a step. *Condensed*: ∂c/∂x is unit triangular in the order of evaluation, so its columns
give ẋ for each parameter, and Cholesky factors of the P equations that are left show the inertia.
*Sparse*: the whole matrix is factorized with the unknowns of a sample, or of a layer, next to each
other, so that fill-in stays within them. The inertia is that of the condensed matrix; where P is too
large for one, tᵀ(H + δ)t > 0 has to do, t being the part of the step that is tangent to the
constraints (Chiang & Zavala 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lagrangenet.optimize.inertia import Factor, Shifted
from lagrangenet.optimize.search import Memory, Step
from lagrangenet.optimize.task import Point, Residuals, Task, largest
from lagrangenet.runtime import KKT, Array

#: Up to so many parameters the condensed matrix, which is dense, shows the inertia exactly.
MODERATE = 500
#: tᵀ(H + δ)t ≥ this |t|² is taken for the right inertia (κ of Chiang & Zavala 2016).
CURVATURE = 1e-10
Way = Literal["condensed", "sparse"]


@dataclass(frozen=True, eq=False)
class SparseValues:
    """A point (θ, x) with what its constraints are.

    Attributes
    ----------
    theta, states, gaps : ndarray
        θ, x and c, flat.
    fun, violation, worst : float
        J, Σ|c| and max |c|.
    slopes : Residuals
        ∂J/∂x and ∂J/∂θ, as residuals at λ = 0.
    """

    theta: Array
    states: Array
    gaps: Array
    fun: float
    violation: float
    worst: float
    slopes: Residuals


def couples_samples(task: Task) -> str:
    """Why a network has no sparse KKT matrix; "" if it has one."""
    coupled = getattr(task.problem, "couples_samples", None)
    if not coupled:
        return ""
    return (
        f"the equation of {coupled!r} reads several samples, and the sparse KKT matrix is assembled "
        "sample by sample; take a method of the reduced problem, as 'steihaug'"
    )


class SparseSystem:
    """A network whose states and multipliers are unknowns.

    Parameters
    ----------
    task : Task
    way : {"condensed", "sparse"}
    """

    def __init__(self, task: Task, way: Way = "condensed") -> None:
        self.task, self.way = task, way
        self.depth = len(task.shapes.ends) + 1
        self._zero = np.zeros(task.conditions, task.dtype)

    def rows(self, theta: Array) -> Array:
        """θ itself."""
        return theta

    def flat(self, rows: Array) -> Array:
        """θ itself."""
        return rows

    def values(self, theta: Array, states: Array) -> SparseValues:
        """The network at (θ, x), feasible or not."""
        slopes = self.task.residuals(theta, states, self._zero)
        gaps = slopes.constraints
        sizes = float(np.abs(gaps).sum())
        fun = self.task.objective(theta, states)
        return SparseValues(theta, states, gaps, fun, sizes, largest(gaps), slopes)

    def forward(self, theta: Array) -> SparseValues:
        """The point with the states of a forward pass."""
        return self.values(theta, self.task.states(theta))

    def towards(self, theta: Array) -> SparseValues:
        """The same: outputs of any shape have no general step towards their labels."""
        return self.forward(theta)

    def memory(self, at: SparseValues, multipliers: Array) -> Memory:  # noqa: ARG002
        """Nothing: the point is the iterate."""
        return {}

    def resumed(self, point: Point, memory: Memory) -> tuple[SparseValues, Array] | None:  # noqa: ARG002
        """A point (θ, x, λ) that was saved."""
        if point.states is None or point.multipliers is None:
            return None
        return self.values(point.theta, point.states), point.multipliers

    def adjoint(self, at: SparseValues) -> Array:
        """The multipliers with ∂L/∂x = 0."""
        return self.task.multipliers(at.theta, at.states)

    def linear(self, at: SparseValues, multipliers: Array) -> SparseLinear:
        """The KKT system at a point."""
        found = self.task.residuals(at.theta, at.states, multipliers)
        return SparseLinear(self, at, multipliers, found.optimality, found.parameters)

    def moved(self, at: SparseValues, step: Step, length: float) -> SparseValues:
        """The point after a step."""
        return self.values(at.theta + length * step.along, at.states + length * step.states)

    def blended(self, old: Array, step: Step, length: float) -> Array:
        """Multipliers after a step."""
        found: Array = old + length * (step.multipliers - old)
        return found

    def point(self, at: SparseValues, multipliers: Array | None = None) -> Point:
        """θ, x and λ."""
        return Point(at.theta, at.states, multipliers)

    # -- orders of elimination ---------------------------------------------------------------------

    @cached_property
    def order(self) -> Array:
        """A permutation of (x, θ, λ) whose fill-in is small.

        Samples one by one with all parameters last, or layers one by one with their parameters
        before their states: whichever promises fewer operations.
        """
        m, P = self.task.conditions, self.task.size
        sample, stage, of_theta = self._places()
        width = np.bincount(stage)
        by_sample = m * (P + m / self.task.samples) ** 2
        by_layer = float((width.astype(float) ** 3).sum())
        if by_sample <= by_layer:
            keys = (np.concatenate([stage, np.zeros(P, int), stage]),
                    np.concatenate([sample, np.full(P, self.task.samples), sample]))  # fmt: skip
        else:
            keys = (np.concatenate([sample, np.full(P, -1), sample]),
                    np.concatenate([stage, of_theta, stage]))  # fmt: skip
        found: Array = np.lexsort(keys)
        return found

    def _places(self) -> tuple[Array, Array, Array]:
        """Sample and stage of every state, and the stage of every parameter: the first that reads it."""
        shapes, m = self.task.shapes, self.task.conditions
        stage = np.searchsorted(np.asarray(shapes.ends), np.arange(m), side="right")
        entries = self._jacobian[:, m:].tocoo()
        unused = len(shapes.ends) + 1
        first = np.full(self.task.size, unused)
        np.minimum.at(first, entries.col, stage[entries.row])
        return np.asarray(shapes.layout.sample), stage, np.where(first == unused, 0, first)

    @cached_property
    def _jacobian(self) -> Any:
        theta = self.task.initial()
        states = self.task.states(theta)
        return self.task.kkt(theta, states, self._zero).jacobian


@dataclass(frozen=True, eq=False)
class SparseLinear:
    """The KKT system of a network at (θ, x, λ)."""

    system: SparseSystem
    at: SparseValues
    multipliers: Array
    optimality: float
    parameters: Array

    @cached_property
    def kkt(self) -> KKT:
        """∇²L."""
        return self.system.task.kkt(self.at.theta, self.at.states, self.multipliers)

    @property
    def conditions(self) -> int:
        """The number of states."""
        return self.system.task.conditions

    def step(self, inertia: Shifted, weight: float) -> Step | None:
        """The Newton step with the smallest shift of right inertia; None if there is none."""
        if self.system.way == "condensed":
            return self.condensed(inertia, weight)
        return self.factorized(inertia, weight)

    def slope(self, along: Array, dx: Array) -> float:
        """The derivative of J along a step."""
        return float(self.at.slopes.parameters @ along + self.at.slopes.states @ dx)

    def corrected(self, step: Step, new: SparseValues) -> Step:
        """A step whose ẋ also undoes what the constraints were at a new point."""
        return replace(step, states=step.states - self.by_states.solve(new.gaps))

    # -- condensed -----------------------------------------------------------------------------------

    @cached_property
    def by_states(self) -> Any:
        """∂c/∂x, factorized; unit triangular but for the order."""
        from scipy.sparse.linalg import splu

        return splu(self.kkt.jacobian[:, : self.conditions].tocsc())

    @cached_property
    def basis(self) -> Array:
        """How x moves with each parameter, (m, P)."""
        found: Array = self.by_states.solve(-self.kkt.jacobian[:, self.conditions :].toarray())
        return found

    @cached_property
    def products(self) -> Array:
        """H times the directions in which x moves with each parameter."""
        Z = np.vstack([self.basis, np.eye(self.system.task.size, dtype=self.basis.dtype)])
        return np.asarray(self.kkt.hessian @ Z)

    def hessian(self) -> Array:
        """The condensed matrix, (P, P)."""
        m = self.conditions
        found: Array = self.basis.T @ self.products[:m] + self.products[m:]
        return (found + found.T) / 2

    def factor(self, inertia: Shifted, weight: float) -> Factor | None:
        """Of the condensed matrix, with the smallest shift that makes it positive definite."""
        S = self.basis
        return inertia.factor(self.hessian(), (lambda: weight * (S.T @ S)) if weight else None)

    def condensed(self, inertia: Shifted, weight: float) -> Step | None:
        """A step by P equations."""
        m, S = self.conditions, self.basis
        factor = self.factor(inertia, weight)
        if factor is None:
            return None
        shift = weight * factor.shift
        still = -self.by_states.solve(self.at.gaps)
        bent = self.kkt.hessian[:, :m] @ still
        by_x = self.at.slopes.states + bent[:m] + shift * still
        along = factor.solve(-(S.T @ by_x + self.at.slopes.parameters + bent[m:]))
        dx = still + S @ along
        moved = self.kkt.hessian[:m] @ np.concatenate([dx, along]) + shift * dx
        plus = -self.by_states.solve(self.at.slopes.states + moved, trans="T")
        return Step(along, dx, plus, self.slope(along, dx), factor.shift)

    # -- sparse --------------------------------------------------------------------------------------

    def factorized(self, inertia: Shifted, weight: float) -> Step | None:
        """A step by sparse factors of the whole matrix."""
        m, P = self.conditions, self.system.task.size
        if P <= MODERATE:
            factor = self.factor(inertia, weight)
            v = None if factor is None else self.solved(factor.shift, weight)
            return None if v is None or factor is None else self.taken(v, factor.shift)
        still = self.by_states.solve(self.at.gaps)
        for shift in (0.0, *inertia.shifts()):
            v = self.solved(shift, weight)
            if v is None:
                continue
            tangent = v[: m + P].copy()
            tangent[:m] += still
            bent = tangent @ (self.kkt.hessian @ tangent)
            bent += shift * (weight * tangent[:m] @ tangent[:m] + tangent[m:] @ tangent[m:])
            if bent >= CURVATURE * (tangent @ tangent):
                inertia.last = shift or inertia.last
                return self.taken(v, shift)
        return None

    def taken(self, v: Array, shift: float) -> Step:
        """(ẋ, θ̇, λ⁺) as a step."""
        m = self.conditions
        dx, along, plus = np.split(v, [m, m + self.system.task.size])
        return Step(along, dx, plus, self.slope(along, dx), shift)

    def solved(self, shift: float, weight: float) -> Array | None:
        """(ẋ, θ̇, λ⁺) with a shift; None where the matrix is singular."""
        from scipy import sparse
        from scipy.sparse.linalg import splu

        m, P = self.conditions, self.system.task.size
        H, A, order = self.kkt.hessian, self.kkt.jacobian, self.system.order
        if shift:
            H = H + sparse.diags_array(np.repeat([shift * weight, shift], [m, P]).astype(H.dtype))
        matrix = sparse.block_array([[H, A.T], [A, None]], format="csc")[order][:, order]
        slopes = self.at.slopes
        right = -np.concatenate([slopes.states, slopes.parameters, slopes.constraints])
        try:
            factor = splu(matrix.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=1e-3)
        except RuntimeError:  # exactly singular
            return None
        found = np.empty_like(right)
        found[order] = factor.solve(right[order])
        return found if np.isfinite(found).all() else None
