"""Checks of a graph's generated code against the brute-force oracle."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lagrangenet.verify.check import Array, Finding, Inapplicable
from lagrangenet.verify.comparing import Block, deviation, different, largest, leaves
from lagrangenet.verify.graph_oracle import Point
from lagrangenet.verify.graph_subject import (
    NO_SECOND,
    Arrays,
    GraphCheck,
    GraphSubject,
    ParameterCheck,
    blocks,
    worst,
)

ROUNDING = "relative to the largest entry of all arrays; rounding"


class GraphForward(GraphCheck):
    """States against the equations, entry by entry."""

    name = "forward pass (∂L/∂λ = 0) against the equations, entry by entry"
    tolerance = 1e-12
    reason = ROUNDING

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare every state, inner ones too."""
        return largest([self._at(subject, point) for point in subject.points])

    @staticmethod
    def _at(subject: GraphSubject, point: Point) -> Finding:
        found = subject.routines.forward(point.theta, point.inputs)
        return worst(blocks("S1", found, subject.oracle.forward(point.theta, point.inputs)))


class GraphLoss(GraphCheck):
    """J against the oracle's."""

    name = "objective J against the equations"
    tolerance = 1e-12
    reason = "relative; rounding of the sum over samples"

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare J at every point."""
        return largest([
            worst([Block("J", subject.routines.loss(*p), np.asarray(subject.oracle.loss(p)))],
                  len(p.Y))
            for p in subject.points
        ])  # fmt: skip


class GraphBackward(GraphCheck):
    """Multipliers against the sensitivity of J to a shift of each constraint."""

    name = "backward pass (∂L/∂x = 0) against λ = −dJ/dε of the constraints x = f + ε"
    tolerance = 1e-12
    reason = "relative to the largest multiplier; rounding of a complex step"

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare every multiplier."""
        return largest([self._at(subject, point) for point in subject.points])

    @staticmethod
    def _at(subject: GraphSubject, point: Point) -> Finding:
        states = subject.routines.forward(point.theta, point.inputs)
        found = subject.routines.backward(point.theta, point.inputs, states, point.Y)
        expected = subject.oracle.multipliers(point)
        return worst(blocks("S3", found, expected, "λ of "), len(point.Y))


class GraphGradient(ParameterCheck):
    """∂J/∂θ against complex steps."""

    name = "gradient (∂L/∂θ) against complex steps of J"
    tolerance = 1e-12
    reason = ROUNDING + "; a complex step has no truncation error"

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare every parameter's gradient."""
        return largest([
            worst(blocks("S5", subject.routines.gradient(*point), subject.oracle.gradient(point),
                         "∂L/∂"), len(point.Y))
            for point in subject.points
        ])  # fmt: skip


class GraphValueAndGradient(ParameterCheck):
    """The one-pass evaluation, the flat form for SciPy and the parameter step."""

    name = "value_and_grad, the flat form for SciPy and the step against complex steps of J"
    tolerance = 1e-12
    reason = "relative; the same routines behind another door"

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare J, the packed gradient and θ − η·gradient."""
        routines, point = subject.routines, subject.points[0]
        expected, J = subject.oracle.gradient(point), np.asarray(subject.oracle.loss(point))
        value, flat = routines.fun(routines.pack(point.theta), point.inputs, point.Y)
        once, gradient = routines.value_and_grad(*point)
        largest_entry = max(float(np.abs(a).max()) for a in expected.values())
        eta = 10.0 / max(largest_entry, 1e-30)
        step = routines.update(point.theta, expected, eta)
        moved = {n: a - eta * expected[n] for n, a in point.theta.items()}
        return worst([
            Block("J", value, J),
            Block("J", once, J),
            *blocks("S5", gradient, expected, "∂L/∂"),
            *blocks("S5", routines.unpack(flat), expected, "flat ∂L/∂"),
            *blocks("step", step, moved),
        ])  # fmt: skip


class GraphFeasibleResiduals(GraphCheck):
    """∂L/∂λ and ∂L/∂x vanish at the states and multipliers that the passes return."""

    name = "residuals ∂L/∂λ and ∂L/∂x vanish after forward and backward pass"
    tolerance = 1e-12
    reason = "relative to the largest state and multiplier; rounding"

    def measure(self, subject: GraphSubject) -> Finding:
        """Evaluate ∇L with the generated code."""
        return largest([f for point in subject.points for f in self._at(subject, point)])

    @staticmethod
    def _at(subject: GraphSubject, point: Point) -> list[Finding]:
        states, multipliers, found = passed(subject, point)
        within = subject.oracle.within
        scale = {f"lambda_{n}": states[n][within[n]] for n in multipliers} | multipliers
        findings = []
        for name, array in scale.items():
            of = multipliers if name in multipliers else states
            unit = max(*(float(np.abs(a).max()) for a in of.values()), 1e-30)
            figure, seen = deviation(found[name], np.zeros_like(array), unit)
            findings.append(Finding(figure, f"∂L/∂{name}", seen))
        return findings


class GraphResiduals(GraphCheck):
    """∇L at arbitrary (x, λ, θ)."""

    name = "∇L at arbitrary points against complex steps of L"
    tolerance = 1e-12
    reason = ROUNDING

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare all blocks at points that are not feasible."""
        return largest([self._at(subject, seed) for seed in (2, 3)])

    @staticmethod
    def _at(subject: GraphSubject, seed: int) -> Finding:
        rng = np.random.default_rng(subject.seed + seed)
        point, states, multipliers = subject.infeasible(rng)
        found = subject.routines.residuals(*point, states, multipliers)
        expected = subject.oracle.residuals(point, states, multipliers)
        return worst(blocks("∇L", found, expected, "∂L/∂"), len(point.Y))


class GraphProduct(ParameterCheck):
    """Products with a direction of the parameters, ``product`` by name, against the oracle's."""

    tolerance = 1e-12
    reason = ROUNDING
    product: ClassVar[str]
    shown: ClassVar[str]
    draws: ClassVar[int]

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare along random directions."""
        rng = np.random.default_rng(subject.seed + self.draws)
        found = []
        for point in subject.smooth_points:
            v = subject.direction(rng)
            expected = getattr(subject.oracle, self.product)(point, v)
            product = getattr(subject.routines, self.product)(*point, v)
            found.append(worst(blocks("T5", product, expected, self.shown), len(point.Y)))
        return largest(found)


class GraphHessian(GraphProduct):
    """Hessian-vector products against complex steps of an independent gradient."""

    name = "Hessian-vector product against complex steps of a forward-mode gradient"
    product, shown, draws = "hessian_product", "∇²J v, ", 4


class GraphKktProduct(GraphCheck):
    """∇²L times a direction, at arbitrary (x, λ, θ)."""

    name = "KKT matrix times a direction at arbitrary points against complex steps of ∇L"
    tolerance = 1e-12
    reason = ROUNDING

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare all blocks along a direction in which everything moves."""
        if not subject.oracle.continuable:
            raise Inapplicable(NO_SECOND)
        rng = np.random.default_rng(subject.seed + 8)
        point, states, multipliers = subject.infeasible(rng)
        v = subject.direction(rng)
        x_dot: dict[str, Array] = {n: np.zeros_like(states[n]) for n in multipliers}
        for name, within in subject.oracle.within.items():
            if name in x_dot:
                x_dot[name][within] = rng.standard_normal(multipliers[name].shape)
        lam_dot = {n: np.asarray(rng.standard_normal(a.shape)) for n, a in multipliers.items()}
        along: dict[str, Arrays] = {"theta": v, "states": x_dot, "multipliers": lam_dot}
        expected = subject.oracle.kkt_product(point, states, multipliers, along)
        found = subject.routines.kkt_product(*point, states, multipliers, v, x_dot, lam_dot)
        return worst(blocks("∇²L v", found, expected, "∂L̇/∂"), len(point.Y))


class GraphGaussNewton(GraphProduct):
    """Gauss-Newton products against Jᵀ (∂²ℓ/∂x²) J v."""

    name = "Gauss-Newton product against Jᵀ (∂²ℓ/∂x²) J v of the oracle"
    product, shown, draws = "gauss_newton_product", "G v, ", 5


class GraphSymmetry(ParameterCheck):
    """⟨u, H v⟩ = ⟨v, H u⟩."""

    name = "Hessian- and Gauss-Newton products are symmetric"
    tolerance = 1e-12
    reason = "relative to ‖u‖ ‖H v‖; rounding"

    def measure(self, subject: GraphSubject) -> Finding:
        """Compare the two products of random directions."""
        rng, routines = np.random.default_rng(subject.seed + 6), subject.routines
        findings = []
        for point in subject.points[:3]:
            u, v = subject.direction(rng), subject.direction(rng)
            for where in ("hessian_product", "gauss_newton_product"):
                product = getattr(routines, where)
                Hu, Hv = product(*point, u), product(*point, v)
                scale = max(_dot(u, u) * _dot(Hv, Hv), _dot(v, v) * _dot(Hu, Hu)) ** 0.5
                gap = abs(_dot(u, Hv) - _dot(v, Hu))
                findings.append(Finding(gap / max(scale, 1e-30), where, "not symmetric"))
        return largest(findings)


def _dot(a: Arrays, b: Arrays) -> float:
    return float(sum((a[name] * b[name]).sum() for name in a))


class GraphPurity(GraphCheck):
    """Inputs are not modified, and two equal calls give equal bits."""

    name = "arguments unchanged, equal calls give equal bits"
    tolerance = 0.0
    reason = "exact: the number of arrays that differ"

    def measure(self, subject: GraphSubject) -> Finding:
        """Call every routine twice and compare everything."""
        point = subject.points[0]
        direction = subject.direction(np.random.default_rng(subject.seed))
        arguments = (point, direction)
        before = leaves(arguments)
        first, second = (self._everything(subject, *arguments) for _ in range(2))
        changed = different(first, second) + different(before, leaves(arguments))
        changed += self._passes(subject, point)
        return Finding(changed, "", "a call modified its arguments or depends on earlier calls")

    @staticmethod
    def _passes(subject: GraphSubject, point: Point) -> int:
        """How many states and multipliers change when they are passed on."""
        states, multipliers, _ = passed(subject, point)
        before = leaves((states, multipliers))
        subject.routines.residuals(*point, states, multipliers)
        subject.routines.backward(point.theta, point.inputs, states, point.Y)
        return different(before, leaves((states, multipliers)))

    @staticmethod
    def _everything(subject: GraphSubject, point: Point, direction: Arrays) -> list[Array]:
        routines = subject.routines
        value, gradient = routines.value_and_grad(*point)
        moved = routines.update(point.theta, gradient, 0.1)
        hessian = routines.hessian_product(*point, direction)
        gauss_newton = routines.gauss_newton_product(*point, direction)
        return leaves((passed(subject, point), value, gradient, moved, hessian, gauss_newton))


def passed(
    subject: GraphSubject, point: Point
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """States, multipliers and ∇L after a forward and a backward pass."""
    states = subject.routines.forward(point.theta, point.inputs)
    multipliers = subject.routines.backward(point.theta, point.inputs, states, point.Y)
    found = subject.routines.residuals(*point, states, multipliers)
    return states, multipliers, found
