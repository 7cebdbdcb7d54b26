"""Checks of the generated code against oracles that evaluate, differentiate or write out J and L."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lagrangenet.problem import Problem
from lagrangenet.runtime import Layers
from lagrangenet.verify.check import Array, Check, Finding, Point, Subject
from lagrangenet.verify.comparing import (
    Block,
    deviation,
    different,
    gradient_blocks,
    largest,
    leaves,
    per_layer,
    worst,
)
from lagrangenet.verify.differences import flatten, unflatten
from lagrangenet.verify.textbook import Textbook, Theta


class Forward(Check):
    """States against the textbook's forward pass."""

    name = "forward pass (∂L/∂λ = 0) against the textbook"
    tolerance = 1e-12
    reason = "relative; rounding of sums over a layer's inputs"

    def measure(self, subject: Subject) -> Finding:
        """Compare z^k and x^k at every point."""
        return largest([self._at(subject, point) for point in subject.points])

    def _at(self, subject: Subject, point: Point) -> Finding:
        found = subject.routines.forward(point.theta, point.X)
        expected = subject.textbook.forward(point.theta, point.X)
        return worst([
            *per_layer("S0", "z", found, [z for z, _ in expected], 0),
            *per_layer("S1", "x", found, [x for _, x in expected], 1),
        ])  # fmt: skip


class Loss(Check):
    """J against the textbook's."""

    name = "objective J against the textbook"
    tolerance = 1e-12
    reason = "relative; rounding of the sum over samples"

    def measure(self, subject: Subject) -> Finding:
        """Compare J at every point."""
        return largest([
            worst([Block("J", subject.routines.loss(p.theta, p.X, p.Y),
                         np.asarray(subject.textbook.loss(p.theta, p.X, p.Y)))], len(p.X))
            for p in subject.points
        ])  # fmt: skip


class Backward(Check):
    """Multipliers against the textbook's Δ^k = −M λ^k."""

    name = "backward pass (∂L/∂x = 0) against the textbook: λ = −Δ/M"
    tolerance = 1e-12
    reason = "relative to the largest multiplier of the layer; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare λ^k at every point."""
        return largest([self._at(subject, point) for point in subject.points])

    def _at(self, subject: Subject, point: Point) -> Finding:
        states = subject.routines.forward(point.theta, point.X)
        found = subject.routines.backward(point.theta, states, point.Y)
        deltas = subject.textbook.deltas(point.theta, point.X, point.Y)
        expected = [-delta / len(point.X) for delta in deltas]
        blocks = per_layer("S3", "λ", found, expected, 1)
        blocks[-1] = Block(blocks[-1].where.replace("S3", "S2"), found[-1][1], expected[-1])
        return worst(blocks, len(point.X))


class Gradient(Check):
    """∂L/∂W and ∂L/∂b against textbook backpropagation."""

    name = "gradient (∂L/∂W, ∂L/∂b) against textbook backpropagation"
    tolerance = 1e-12
    reason = "relative to the largest entry of the block; rounding of sums over samples"

    def measure(self, subject: Subject) -> Finding:
        """Compare the gradients at every point."""
        findings = []
        for point in subject.points:
            found = subject.routines.gradient(point.theta, point.X, point.Y)
            expected = subject.textbook.gradient(point.theta, point.X, point.Y)
            findings.append(worst(gradient_blocks(found, expected), len(point.X)))
        return largest(findings)


class ValueAndGradient(Check):
    """The one-pass evaluation that optimizers call, and its flat form."""

    name = "value_and_grad and the flat form for SciPy against the textbook"
    tolerance = 1e-12
    reason = "relative; the same routines behind another door"

    def measure(self, subject: Subject) -> Finding:
        """Compare J and the packed gradient."""
        point = subject.points[0]
        value, flat = subject.routines.fun(subject.routines.pack(point.theta), point.X, point.Y)
        expected = subject.textbook.gradient(point.theta, point.X, point.Y)
        loss = np.asarray(subject.textbook.loss(point.theta, point.X, point.Y))
        blocks = [Block("J", value, loss), Block("flat gradient", flat, flatten(expected))]
        return worst(blocks, len(point.X))


class Update(Check):
    """The parameter step against θ − η g with the textbook's gradient."""

    name = "parameter step against θ − η·(textbook gradient)"
    tolerance = 1e-12
    reason = "relative; one multiplication and one subtraction more than the gradient"

    def measure(self, subject: Subject) -> Finding:
        """Compare the steps of a large step size, so that the gradient dominates."""
        point = subject.points[0]
        gradient = subject.textbook.gradient(point.theta, point.X, point.Y)
        largest = max(float(np.abs(flatten(gradient)).max()), 1e-30)
        eta = 10.0 / largest
        found = subject.routines.update(point.theta, gradient, eta)
        moved = flatten(point.theta) - eta * flatten(gradient)
        return worst([
            Block(b.where.replace("∂L/∂", "step of "), b.found, b.expected)
            for b in gradient_blocks(found, unflatten(moved, point.theta))
        ])  # fmt: skip


class FeasibleResiduals(Check):
    """∂L/∂λ and ∂L/∂x vanish at the states and multipliers the passes return."""

    name = "residual blocks ∂L/∂λ and ∂L/∂x vanish after forward and backward pass"
    tolerance = 1e-12
    reason = "absolute, relative to the largest state and multiplier; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Evaluate ∇L of the activation splitting with the generated code."""
        return largest([f for point in subject.points for f in self._at(subject, point)])

    @staticmethod
    def _at(subject: Subject, point: Point) -> Iterator[Finding]:
        states, multipliers, found = _passed(subject, point)
        layers = enumerate(zip(found, states, multipliers, strict=True), 1)
        for k, ((by_lam, by_x, *_), (_, x), (_, lam)) in layers:
            label = "S2" if k == subject.problem.depth else "S3"
            for where, array, scale in (
                (f"layer {k}, (S1) ∂L/∂λ", by_lam, x),
                (f"layer {k}, ({label}) ∂L/∂x", by_x, lam),
            ):
                unit = max(float(np.abs(scale).max()), 1e-30)
                figure, seen = deviation(array, np.zeros_like(scale), unit)
                yield Finding(figure, where, seen)


class ParameterResiduals(Check):
    """∂L/∂W and ∂L/∂b of the activation splitting equal the gradient of J at feasible points."""

    name = "residual blocks ∂L/∂W and ∂L/∂b equal the textbook gradient where x and λ solve"
    tolerance = 1e-12
    reason = "relative to the largest entry of the block; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare at every point."""
        findings = []
        for point in subject.points:
            *_, found = _passed(subject, point)
            expected = subject.textbook.gradient(point.theta, point.X, point.Y)
            findings.append(worst(gradient_blocks(found, expected, 2), len(point.X)))
        return largest(findings)


def _passed(subject: Subject, point: Point) -> tuple[Layers, Layers, Layers]:
    """States, multipliers and ∇L after a forward and a backward pass."""
    states = subject.routines.forward(point.theta, point.X)
    multipliers = subject.routines.backward(point.theta, states, point.Y)
    found = subject.routines.residuals(point.theta, point.X, point.Y, states, multipliers)
    return states, multipliers, found


class ExplicitResiduals(Check):
    """∇L at arbitrary (x, λ, θ) against an element-by-element SymPy Lagrangian."""

    name = "∇L at arbitrary points against an element-by-element SymPy Lagrangian"
    tolerance = 1e-12
    reason = "relative to the largest entry of the block; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare all blocks at points that are not feasible."""
        routines, explicit, X, Y, note = subject.written_out
        rng = np.random.default_rng(subject.seed + 2)
        findings = []
        for _ in range(3):
            theta = tuple((W, 0.3 * rng.standard_normal(b.shape)) for W, b in routines.initial(rng))
            states = [x + 0.05 * rng.random(x.shape) for _, x in routines.forward(theta, X)]
            lam = [rng.standard_normal(x.shape) for x in states]
            # z and μ are not read: they are arbitrary, so that code which reads them disagrees.
            pairs = [
                tuple((rng.standard_normal(a.shape), a) for a in arrays) for arrays in (states, lam)
            ]
            found = routines.residuals(theta, X, Y, *pairs)
            blocks = explicit.stationarity(explicit.pack(states, theta), lam, X, Y)
            by_lam, by_x = explicit.split(blocks["lambda"]), explicit.split(blocks["x"])
            findings.append(worst([
                *per_layer("S1", "∂L/∂λ", found, by_lam, 0),
                *per_layer("S3", "∂L/∂x", found, by_x, 1),
                *gradient_blocks(found, unflatten(blocks["theta"], theta), 2),
            ], len(X)))  # fmt: skip
        worst_one = largest(findings)
        return Finding(worst_one.figure, worst_one.where, f"{worst_one.seen} {note}".strip())


class Saturated(Check):
    """Finite, warning-free and right where every unit is saturated, |z| up to 1e4."""

    name = "saturated inputs (|z| up to 1e4): finite, no warnings, gradient as the textbook's"
    tolerance = 1e-12
    reason = "relative to |Δ| |x|; σ′ through σ keeps absolute accuracy in the tails"

    def measure(self, subject: Subject) -> Finding:
        """Evaluate everything with floating-point errors raised, and compare."""
        X, Y = subject.X[:16], subject.Y[:16]
        theta = self._theta(subject, X)
        routines = subject.routines
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            value, found = routines.value_and_grad(theta, X, Y)
            states = routines.forward(theta, X)
            multipliers = routines.backward(theta, states, Y)
            blocks = routines.residuals(theta, X, Y, states, multipliers)
        everything = (states, multipliers, blocks, found, value)
        if not all(np.isfinite(leaf).all() for leaf in leaves(everything)):
            return Finding(np.inf, "", "a value is not finite")
        expected = subject.textbook.gradient(theta, X, Y)
        findings = [worst([Block("J", value, np.asarray(subject.textbook.loss(theta, X, Y)))])]
        scales = self._scales(subject, theta, X, Y)
        for block, scale in zip(gradient_blocks(found, expected), scales * 2, strict=True):
            figure, seen = deviation(block.found, block.expected, scale)
            findings.append(Finding(figure, block.where, seen))
        return largest(findings)

    @staticmethod
    def _scales(subject: Subject, theta: Theta, X: Array, Y: Array) -> list[float]:
        """Of each layer's gradient, |Δ^k| |x^{k-1}|: what it would be with σ′ = 1.

        σ′ through σ is right to an absolute ε, so this times ε is the error to expect, also where
        the gradient itself vanishes with σ′.
        """
        states = [X, *(x for _, x in subject.textbook.forward(theta, X))]
        scales = []
        for x, delta in zip(states, subject.textbook.deltas(theta, X, Y), strict=False):
            finite = np.abs(delta[np.isfinite(delta)])
            scales.append(max(float(finite.max(initial=1.0) * np.abs(x).max()), 1.0))
        return scales

    @staticmethod
    def _theta(subject: Subject, X: Array) -> Theta:
        """Scale each layer's parameters until its preactivations reach 1e4."""
        rng = np.random.default_rng(subject.seed + 5)
        x, theta = X, []
        for (W, b), layer in zip(
            subject.routines.initial(rng), subject.problem.layers, strict=True
        ):
            bias = rng.standard_normal(b.shape)
            reach = float(np.abs(x @ W.T + bias).max()) or 1.0
            factor = 1.0 if layer.activation.name == "identity" else 1e4 / reach
            theta.append((W * factor, bias * factor))
            one_layer = Textbook(Problem(W.shape[1], [layer], "squared_error"))
            x = one_layer.forward((theta[-1],), x)[0][1]
        return tuple(theta)


class Purity(Check):
    """Inputs are not modified, and two equal calls give equal bits."""

    name = "arguments unchanged, equal calls give equal bits"
    tolerance = 0.0
    reason = "exact: the number of arrays that differ"

    def measure(self, subject: Subject) -> Finding:
        """Call every routine twice and compare everything."""
        point = subject.points[0]
        arguments = (point.theta, point.X, point.Y)
        before = leaves(arguments)
        first, second = (self._everything(subject, point) for _ in range(2))
        changed = different(first, second) + different(before, leaves(arguments))
        return Finding(changed, "", "a call modified its arguments or depends on earlier calls")

    @staticmethod
    def _everything(subject: Subject, point: Point) -> list[Array]:
        routines = subject.routines
        value, gradient = routines.value_and_grad(point.theta, point.X, point.Y)
        moved = routines.update(point.theta, gradient, 0.1)
        return leaves((*_passed(subject, point), value, gradient, moved))
