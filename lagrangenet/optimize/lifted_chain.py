"""The lifted system of a chain: values, steps and multipliers by sweeps over the layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lagrangenet.optimize.blocks import Blocks, Layered, Values, flattened
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
    parameters : ndarray
        ∂L/∂θ.
    optimality : float
        max |∂L/∂x|, |∂L/∂θ|.
    condensed : Condensed or Condenser
        What assembles and sweeps.
    """

    net: Layered
    blocks: Blocks
    parameters: Array
    optimality: float
    condensed: Condensed | Condenser

    def step(self, inertia: Shifted, weight: float) -> Step | None:
        """The Newton step, with the smallest shift that makes the condensed matrix positive definite."""
        return self.condensed.step(self.blocks, inertia, weight)

    def hessian(self) -> Array:
        """The condensed matrix; its lower half counts. At feasible points, ∇²J of θ alone."""
        return self.condensed.matrix(self.blocks)

    def corrected(self, step: Step, new: Values) -> Step:
        """A step whose ẋ also undoes what the constraints were at the new point."""
        change = corrected(self.net, self.blocks, new.gaps)
        return replace(step, states=step.states + flattened(change))


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
        return self.net.values(theta, flattened([*at.states[:-1], at.states[-1] + move]))

    def resumed(self, point: Point, memory: Memory) -> tuple[Values, Array] | None:
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
        return self.net.values(self.rows(point.theta), kept["states"]), kept["multipliers"]

    def memory(self, at: Values, multipliers: Array) -> Memory:
        """What a resumption needs beside the point: the iterate, where z^N is no x^N."""
        if self.identity:
            return {}
        return {
            "theta": self.net.flat(at.theta),
            "states": at.flat,
            "multipliers": multipliers,
        }

    def adjoint(self, at: Values) -> Array:
        """The multipliers with ∂L/∂x = 0."""
        return self.net.adjoint(at)

    def linear(self, at: Values, multipliers: Array) -> Linear:
        """The KKT system at a point."""
        blocks = self.net.blocks(at, multipliers)
        parameters, residual = self.condensed.gradient(blocks, multipliers)
        return Linear(self.net, blocks, parameters, residual, self.condensed)

    def moved(self, at: Values, step: Step, length: float) -> Values:
        """The point after a step."""
        if length == 1.0:
            return self.net.values(at.theta + step.along, at.flat + step.states)
        return self.net.values(at.theta + length * step.along, at.flat + length * step.states)

    def blended(self, old: Array, step: Step, length: float) -> Array:
        """Multipliers after a step."""
        new: Array = step.multipliers
        return new if length == 1.0 else old + length * (new - old)

    def point(self, at: Values, multipliers: Array | None = None) -> Point:
        """θ, x and λ in the order of the task; x and λ are those of θ where z^N has no equal."""
        theta = self.net.flat(at.theta)
        if multipliers is None or not self.identity:
            return Point(theta)
        return Point(theta, at.flat, multipliers)
