"""Checks at SciPy's solutions of the constrained problem, in all variables (x, W, b).

SciPy sees only the element-by-element Lagrangian; it knows neither the derivation nor the code.
What it returns, its own multipliers included, is put into the generated routines.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from lagrangenet.runtime import Layers
from lagrangenet.verify.check import Check, Finding, Subject
from lagrangenet.verify.comparing import Block, deviation, largest, worst
from lagrangenet.verify.scipy_solutions import Solution


class _AtSolutions(Check):
    """The worst finding over the solutions of one method."""

    method = ""

    def measure(self, subject: Subject) -> Finding:
        found = [self.at(subject, s) for s in subject.solutions(self.method)]
        worst_one = largest(found)
        count = f"{len(found)} solutions of the subproblem"
        where = f"{worst_one.where}; {count}" if worst_one.where else count
        return Finding(
            worst_one.figure, where, f"{worst_one.seen} {subject.solved.instance.note}".strip()
        )

    @abstractmethod
    def at(self, subject: Subject, solution: Solution) -> Finding:
        """The worst figure at one solution."""

    @staticmethod
    def residuals(subject: Subject, solution: Solution) -> Layers:
        """The generated ∇L at SciPy's x, λ and θ."""
        small = subject.solved.instance
        states = tuple((x, x) for x in solution.states)
        multipliers = tuple((lam, lam) for lam in solution.multipliers)
        return subject.solved.routines.residuals(
            solution.theta, small.X, small.Y, states, multipliers
        )


class _Violation(_AtSolutions):
    tolerance = 1e-10
    reason = "absolute; what SciPy is asked to reach"

    def at(self, subject: Subject, solution: Solution) -> Finding:
        blocks = self.residuals(subject, solution)
        return worst(
            (Block(f"layer {k}, (S1) ∂L/∂λ", layer[0], np.zeros_like(layer[0]))
             for k, layer in enumerate(blocks, 1)), absolute=True)  # fmt: skip


class _Stationarity(_AtSolutions):
    tolerance = 1e-8
    reason = "absolute; what SciPy is asked to reach"

    def at(self, subject: Subject, solution: Solution) -> Finding:
        labels = ((1, "S3", "∂L/∂x"), (2, "S5", "∂L/∂W"), (3, "S6", "∂L/∂b"))
        return worst(
            (Block(f"layer {k}, ({label}) {symbol}", layer[j], np.zeros_like(layer[j]))
             for k, layer in enumerate(self.residuals(subject, solution), 1)
             for j, label, symbol in labels), absolute=True)  # fmt: skip


class _Multipliers(_AtSolutions):
    tolerance = 1e-5
    reason = "relative to the largest multiplier; the solvers' own accuracy"

    def at(self, subject: Subject, solution: Solution) -> Finding:
        small, routines = subject.solved.instance, subject.solved.routines
        states = tuple(
            (z, x)
            for (z, _), x in zip(
                routines.forward(solution.theta, small.X), solution.states, strict=True
            )
        )
        found = routines.backward(solution.theta, states, small.Y)
        # Below this the solvers' own accuracy, 1e-8, is more than the tolerance of the largest.
        unit = max(1e-3, *(float(np.abs(lam).max()) for lam in solution.multipliers))
        findings = []
        for k, ((_, lam), oracle) in enumerate(zip(found, solution.multipliers, strict=True), 1):
            figure, seen = deviation(lam, oracle, unit, len(small.X))
            label = "S2" if k == small.problem.depth else "S3"
            findings.append(Finding(figure, f"layer {k}, ({label}) λ", seen))
        return largest(findings)


class SlsqpViolation(_Violation):
    """Constraint violation at SLSQP's solutions."""

    method = "slsqp"
    name = "SLSQP solutions: constraint violation in the generated code"


class SlsqpStationarity(_Stationarity):
    """∇L at SLSQP's solutions, with SLSQP's multipliers."""

    method = "slsqp"
    name = "SLSQP solutions: residual blocks ∂L/∂x, ∂L/∂W, ∂L/∂b with SLSQP's multipliers"


class SlsqpMultipliers(_Multipliers):
    """SLSQP's multipliers against the generated backward pass."""

    method = "slsqp"
    name = "SLSQP solutions: SLSQP's multipliers against the backward pass"


class TrustConstrViolation(_Violation):
    """Constraint violation at trust-constr's solutions."""

    method = "trust-constr"
    name = "trust-constr solutions: constraint violation in the generated code"


class TrustConstrStationarity(_Stationarity):
    """∇L at trust-constr's solutions, with its multipliers."""

    method = "trust-constr"
    name = "trust-constr solutions: residual blocks ∂L/∂x, ∂L/∂W, ∂L/∂b with its multipliers"


class TrustConstrMultipliers(_Multipliers):
    """trust-constr's multipliers against the generated backward pass."""

    method = "trust-constr"
    name = "trust-constr solutions: its multipliers against the backward pass"
