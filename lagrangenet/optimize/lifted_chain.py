"""The lifted system of a chain: values, steps and multipliers by sweeps over the layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lagrangenet.optimize.blocks import Blocks, Layered, Values
from lagrangenet.optimize.compiled import Condenser
from lagrangenet.optimize.condensed import Condensed, corrected
from lagrangenet.optimize.inertia import Shifted
from lagrangenet.optimize.search import Memory, Step
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

#: How far outputs are moved at once towards what the loss wants, relative to 1/M.
SOFT = 0.1


@dataclass(frozen=True, eq=False)
class Linear:
    """The KKT system of a chain at (θ, x, λ).

    Attributes
    ----------
    net : Layered
    blocks : Blocks
    multipliers : list of ndarray
    parameters : ndarray
        ∂L/∂θ.
    optimality : float
        max |∂L/∂x|, |∂L/∂θ|.
    condensed : Condensed or Condenser
        What assembles and sweeps.
    """

    net: Layered
    blocks: Blocks
    multipliers: list[Array]
    parameters: Array
    optimality: float
    condensed: Condensed | Condenser

    def step(self, inertia: Shifted, weight: float) -> Step | None:
        """The Newton step, with the smallest shift that makes the condensed matrix positive definite.

        The shift of ∂²L/∂x² is ``weight`` times that of ∂²L/∂θ²: in the condensed matrix it is that
        of Σ_k |ẋ^k|² as a quadratic form in θ̇. It enters the sweeps as well.
        """
        factor = inertia.factor(self.hessian(), partial(self.metric, weight) if weight else None)
        if factor is None:
            return None
        shift = weight * factor.shift
        along = factor.solve(-self.condensed.sweep(self.blocks, None, shift)[2])
        dx, plus, _ = self.condensed.sweep(self.blocks, along, shift)
        return Step(along, dx, plus, self.slope(along, dx), factor.shift)

    def metric(self, weight: float) -> Array:
        """``weight`` times Σ_k |ẋ^k|² as a quadratic form in θ̇."""
        found = self.condensed.matrix(self.blocks, metric=True)
        return found if weight == 1 else weight * found

    def hessian(self) -> Array:
        """The condensed matrix; its lower half counts. At feasible points, ∇²J of θ alone."""
        return self.condensed.matrix(self.blocks)

    def slope(self, along: Array, dx: list[Array]) -> float:
        """The derivative of J along a step."""
        return float(self.blocks.penalty @ along - np.vdot(self.blocks.wanted, dx[-1]))

    def corrected(self, step: Step, new: Values) -> Step:
        """A step whose ẋ also undoes what the constraints were at the new point."""
        change = corrected(self.net, self.blocks, new.gaps)
        return replace(step, states=[x + more for x, more in zip(step.states, change, strict=True)])


class LiftedChain:
    """A chain whose states and multipliers are unknowns."""

    def __init__(self, task: Task) -> None:
        assert isinstance(task.problem, Problem)
        assert isinstance(task.X, np.ndarray)
        self.net = Layered(task.problem, task.X, task.Y)
        self.task = task
        self.samples, self.depth = len(task.X), task.problem.depth
        compiled = Condenser(self.net)
        self.condensed = compiled if compiled.works else Condensed(self.net)
        self.identity = task.problem.layers[-1].activation.name == "identity"

    def rows(self, theta: Array) -> Array:
        """θ in the order in which it is solved for."""
        return self.net.rows(theta)

    def flat(self, rows: Array) -> Array:
        """The inverse of :meth:`rows`."""
        return self.net.flat(rows)

    def forward(self, theta: Array) -> Values:
        """The point with the states of a forward pass."""
        return self.net.values(theta, self.net.forward(theta))

    def towards(self, theta: Array) -> Values:
        """A forward pass whose outputs are moved to where the loss is smaller: z^N one Newton step on."""
        at = self.forward(theta)
        wanted, output = self.net.output(at)
        soft = 0.0 if self.identity else SOFT / self.samples
        if output.ndim == 2:
            size = np.abs(output) + soft
            move = np.divide(wanted, size, out=np.zeros_like(wanted), where=size > 0)
        else:
            eye = np.eye(output.shape[1], dtype=output.dtype)
            soft = max(soft, SOFT * 1e-3 / self.samples)
            move = np.linalg.solve(output + soft * eye, wanted[:, :, None])[:, :, 0]
        return self.net.values(theta, [*at.states[:-1], at.states[-1] + move])

    def resumed(self, point: Point, memory: Memory) -> tuple[Values, list[Array]] | None:
        """A point (θ, x, λ) that was saved; where z^N is no x^N, from what was kept beside it."""
        if self.identity and point.states is not None and point.multipliers is not None:
            kept = {"theta": point.theta, "states": point.states, "multipliers": point.multipliers}
        else:
            kept = dict(memory)
        same = kept.keys() >= {"theta", "states", "multipliers"} and np.array_equal(
            kept["theta"], point.theta
        )
        if not same or len(kept["states"]) != self.task.conditions:
            return None
        states, multipliers = (list(self.task.shapes.arrays(kept[name]))
                               for name in ("states", "multipliers"))  # fmt: skip
        return self.net.values(self.rows(point.theta), states), multipliers

    def memory(self, at: Values, multipliers: list[Array]) -> Memory:
        """What a resumption needs beside the point: the iterate, where z^N is no x^N."""
        if self.identity:
            return {}
        return {
            "theta": self.net.flat(at.theta),
            "states": np.concatenate([x.ravel() for x in at.states]),
            "multipliers": np.concatenate([lam.ravel() for lam in multipliers]),
        }

    def adjoint(self, at: Values) -> list[Array]:
        """The multipliers with ∂L/∂x = 0."""
        return self.net.adjoint(at)

    def linear(self, at: Values, multipliers: list[Array]) -> Linear:
        """The KKT system at a point."""
        blocks = self.net.blocks(at, multipliers)
        parameters, worst = self.condensed.gradient(blocks, multipliers)
        largest = float(max(parameters.max(), -parameters.min()))
        residual = float(np.maximum(worst, largest))  # NaN if one of them is
        return Linear(self.net, blocks, multipliers, parameters, residual, self.condensed)

    def moved(self, at: Values, step: Step, length: float) -> Values:
        """The point after a step."""
        states = [x + length * change for x, change in zip(at.states, step.states, strict=True)]
        return self.net.values(at.theta + length * step.along, states)

    def blended(self, old: list[Array], step: Step, length: float) -> list[Array]:
        """Multipliers after a step."""
        new: list[Array] = step.multipliers
        if length == 1.0:
            return new
        return [a + length * (b - a) for a, b in zip(old, new, strict=True)]

    def point(self, at: Values, multipliers: list[Array] | None = None) -> Point:
        """θ, x and λ in the order of the task; x and λ are those of θ where z^N has no equal."""
        theta = self.net.flat(at.theta)
        if multipliers is None or not self.identity:
            return Point(theta)
        states, lam = (np.concatenate([a.ravel() for a in arrays])
                       for arrays in (at.states, multipliers))  # fmt: skip
        return Point(theta, states, lam)
