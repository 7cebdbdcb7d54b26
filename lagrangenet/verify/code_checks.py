"""Checks of the generated code against oracles that evaluate, differentiate or write out J and L."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from lagrangenet.verify import differences
from lagrangenet.verify.check import (
    CLEAR_OF_KINKS,
    Array,
    Block,
    Check,
    Finding,
    Inconclusive,
    Point,
    Subject,
    deviation,
    gradient_blocks,
    per_layer,
    worst,
)
from lagrangenet.verify.differences import flatten, kink_distance, unflatten

#: Parameters that are differentiated one by one; a larger network is sampled.
COORDINATES = 1500


def _largest(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda f: np.inf if np.isnan(f.figure) else f.figure)


class Forward(Check):
    """States against the textbook's forward pass."""

    name = "forward pass (∂L/∂λ = 0) against the textbook"
    tolerance = 1e-12
    reason = "relative; rounding of sums over a layer's inputs"

    def measure(self, subject: Subject) -> Finding:
        """Compare z^k and x^k at every point."""
        return _largest([self._at(subject, point) for point in subject.points])

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
        return _largest([
            worst([Block("J", subject.routines.loss(p.theta, p.X, p.Y),
                         np.asarray(subject.textbook.loss(p.theta, p.X, p.Y)))], len(p.X))
            for p in subject.points
        ])  # fmt: skip


class Backward(Check):
    """Multipliers against the textbook's Δ^k = −M λ^k."""

    name = "backward pass (∂L/∂x = 0) against the textbook: λ^k = −Δ^k/M"
    tolerance = 1e-12
    reason = "relative to the largest multiplier of the layer; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare λ^k at every point."""
        return _largest([self._at(subject, point) for point in subject.points])

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
        return _largest(findings)


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
        findings = []
        for point in subject.points:
            states = subject.routines.forward(point.theta, point.X)
            multipliers = subject.routines.backward(point.theta, states, point.Y)
            found = subject.routines.residuals(point.theta, point.X, point.Y, states, multipliers)
            for k, ((by_lam, by_x, *_), (_, x), (_, lam)) in enumerate(
                zip(found, states, multipliers, strict=True), 1
            ):
                label = "S2" if k == subject.problem.depth else "S3"
                for where, array, scale in ((f"layer {k}, (S1) ∂L/∂λ", by_lam, x),
                                            (f"layer {k}, ({label}) ∂L/∂x", by_x, lam)):  # fmt: skip
                    unit = max(float(np.abs(scale).max()), 1e-30)
                    figure, seen = deviation(array, np.zeros_like(scale), unit)
                    findings.append(Finding(figure, where, seen))
        return _largest(findings)


class ParameterResiduals(Check):
    """∂L/∂W and ∂L/∂b of the activation splitting equal the gradient of J at feasible points."""

    name = "residual blocks ∂L/∂W and ∂L/∂b equal the textbook gradient where x and λ solve"
    tolerance = 1e-12
    reason = "relative to the largest entry of the block; rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare at every point."""
        findings = []
        for point in subject.points:
            states = subject.routines.forward(point.theta, point.X)
            multipliers = subject.routines.backward(point.theta, states, point.Y)
            found = subject.routines.residuals(point.theta, point.X, point.Y, states, multipliers)
            expected = subject.textbook.gradient(point.theta, point.X, point.Y)
            findings.append(worst(gradient_blocks(found, expected, 2), len(point.X)))
        return _largest(findings)


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
            pairs = [tuple((a, a) for a in arrays) for arrays in (states, lam)]
            found = routines.residuals(theta, X, Y, *pairs)
            blocks = explicit.stationarity(explicit.pack(states, theta), lam, X, Y)
            by_lam, by_x = explicit.split(blocks["lambda"]), explicit.split(blocks["x"])
            findings.append(worst([
                *per_layer("S1", "∂L/∂λ", found, by_lam, 0),
                *per_layer("S3", "∂L/∂x", found, by_x, 1),
                *gradient_blocks(found, unflatten(blocks["theta"], theta), 2),
            ], len(X)))  # fmt: skip
        worst_one = _largest(findings)
        return Finding(worst_one.figure, worst_one.where, f"{worst_one.seen} {note}".strip())


class ComplexStep(Check):
    """The gradient against complex steps of an independent J."""

    name = "gradient against complex step"
    tolerance = 1e-14
    reason = "relative to the largest entry of the gradient; a complex step has no truncation error"

    def inapplicable(self, subject: Subject) -> str:
        """Kinked functions are not analytic."""
        return "" if subject.problem.smooth else "the network has kinks; a complex step needs smooth J"

    def measure(self, subject: Subject) -> Finding:
        """Differentiate the textbook's loss."""
        point = subject.few

        def J(theta: Any) -> Any:
            return subject.textbook.loss(theta, point.X, point.Y)

        def slope(at: Array, direction: Array) -> float:
            moved = unflatten(at + 1e-30j * direction, point.theta)
            return float(np.imag(J(moved)) / 1e-30)

        return _along_coordinates(subject, point, slope)


class CentralDifferences(Check):
    """The gradient against central differences, clear of kinks."""

    name = "gradient against central differences"
    tolerance = 1e-7
    reason = "relative to the largest entry; truncation h² and rounding ε/h of a step h = 1e-5"

    def measure(self, subject: Subject) -> Finding:
        """Differentiate the textbook's loss with real steps that cross no kink."""
        point, step = subject.few, 1e-5
        clear = kink_distance(subject.problem, point.theta, point.X, point.Y)
        if clear < CLEAR_OF_KINKS:
            raise Inconclusive(f"the nearest kink is {clear:.1e} away")

        def slope(at: Array, direction: Array) -> float:
            ends = [unflatten(at + s * step * direction, point.theta) for s in (1, -1)]
            values = [subject.textbook.loss(theta, point.X, point.Y) for theta in ends]
            return float(values[0] - values[1]) / (2 * step)

        return _along_coordinates(subject, point, slope)


def _along_coordinates(subject: Subject, point: Point, slope: Any) -> Finding:
    """Compare the gradient with slopes along parameters, all of them or a sample of each block."""
    gradient = flatten(subject.routines.gradient(point.theta, point.X, point.Y))
    flat = flatten(point.theta)
    chosen = np.arange(flat.size)
    if flat.size > COORDINATES:
        rng = np.random.default_rng(subject.seed + 3)
        chosen = np.sort(rng.choice(flat.size, COORDINATES, replace=False))
    slopes = np.empty(len(chosen))
    for row, j in enumerate(chosen):
        direction = np.zeros(flat.size)
        direction[j] = 1.0
        slopes[row] = slope(flat, direction)
    scale = float(np.abs(slopes).max())
    figure, seen = deviation(gradient[chosen], slopes, scale, len(point.X))
    place = int(chosen[int(np.abs(gradient[chosen] - slopes).argmax())])
    return Finding(figure, _parameter(subject, place), seen)


def _parameter(subject: Subject, place: int) -> str:
    """Which entry of θ a flat index is."""
    for k, (weight, bias) in enumerate(subject.problem.shapes, 1):
        for label, name, shape in (("S5", "W", weight), ("S6", "b", bias)):
            size = int(np.prod(shape))
            if place < size:
                index = [int(j) for j in np.unravel_index(place, shape)]
                return f"layer {k}, ({label}) ∂L/∂{name}{index}"
            place -= size
    return ""


class Taylor(Check):
    """Second-order remainders of the generated J with the generated gradient."""

    name = "Taylor rate of J with its gradient (2 minus the observed rate)"
    tolerance = 0.1
    reason = "a wrong gradient shows rate 1; weak alone, so only beside the other checks"

    def measure(self, subject: Subject) -> Finding:
        """Fit the rate along three directions, with steps that cross no kink."""
        point = subject.few
        rng = np.random.default_rng(subject.seed + 4)
        gradient = subject.routines.gradient(point.theta, point.X, point.Y)

        def J(theta: Any) -> float:
            return subject.routines.loss(theta, point.X, point.Y)

        rates = [self._rate(subject, point, gradient, J, rng) for _ in range(3)]
        return Finding(max(0.0, 2.0 - min(rates)), f"observed rate {min(rates):.3f}",
                       "the remainder does not fall quadratically")  # fmt: skip

    @staticmethod
    def _rate(subject: Subject, point: Point, gradient: Any, J: Any, rng: Any) -> float:
        theta = point.theta
        direction = flatten(theta) * 0 + rng.standard_normal(flatten(theta).size)
        direction /= np.abs(direction).max() * max(1.0, np.sqrt(direction.size) / 10)
        clear = kink_distance(subject.problem, theta, point.X, point.Y)
        largest = 1e-2 if np.isinf(clear) else min(1e-2, clear / 50)
        steps = [largest / 2**j for j in range(5)]
        remainders = differences.taylor_remainders(
            J, gradient, theta, unflatten(direction, theta), steps
        )
        rounding = 1e-14 * max(1.0, abs(J(theta)))
        return differences.observed_rate(steps, remainders, rounding)


class Saturated(Check):
    """Finite, warning-free and right where every unit is saturated, |z| up to 1e4."""

    name = "saturated inputs (|z| up to 1e4): finite, no warnings, gradient as the textbook's"
    tolerance = 1e-12
    reason = "relative to the largest entry; σ′ through σ keeps absolute accuracy in the tails"

    def measure(self, subject: Subject) -> Finding:
        """Scale each layer's weights until its preactivations reach 1e4."""
        rng = np.random.default_rng(subject.seed + 5)
        X, Y = subject.X[:16], subject.Y[:16]
        x, theta = X, []
        for (W, b), layer in zip(subject.routines.initial(rng), subject.problem.layers, strict=True):
            bias = rng.standard_normal(b.shape)
            reach = float(np.abs(x @ W.T + bias).max()) or 1.0
            factor = 1e4 / reach if layer.activation.name != "identity" else 1.0
            theta.append((W * factor, bias * factor))
            x = subject.textbook.forward(
                (*theta, *subject.routines.initial(0)[len(theta):]), X)[len(theta) - 1][1]  # fmt: skip
        theta = tuple(theta)
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            value, found = subject.routines.value_and_grad(theta, X, Y)
            states = subject.routines.forward(theta, X)
            multipliers = subject.routines.backward(theta, states, Y)
        for arrays in (states, multipliers, found, ((value,),)):
            if not all(np.isfinite(a).all() for layer in arrays for a in layer):
                return Finding(np.inf, "", "a value is not finite")
        expected = subject.textbook.gradient(theta, X, Y)
        loss = np.asarray(subject.textbook.loss(theta, X, Y))
        largest = max(float(np.abs(flatten(expected)).max()), 1e-30)
        findings = [worst([Block("J", value, loss)])]
        for block in gradient_blocks(found, expected):
            findings.append(Finding(*_named(block, *deviation(block.found, block.expected, largest))))
        return _largest(findings)


class Purity(Check):
    """Inputs are not modified, and two equal calls give equal bits."""

    name = "arguments unchanged, equal calls give equal bits"
    tolerance = 0.0
    reason = "exact: the number of arrays that differ"

    def measure(self, subject: Subject) -> Finding:
        """Call every routine twice and compare everything."""
        point = subject.points[0]
        before = copy.deepcopy((point.theta, point.X, point.Y))
        first, second = (self._everything(subject, point) for _ in range(2))
        changed = sum(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        after = (point.theta, point.X, point.Y)
        changed += sum(
            not np.array_equal(a, b) for a, b in zip(_leaves(before), _leaves(after), strict=True)
        )
        return Finding(changed, "", "a call modified its arguments or depends on earlier calls")

    @staticmethod
    def _everything(subject: Subject, point: Point) -> list[Array]:
        routines = subject.routines
        states = routines.forward(point.theta, point.X)
        multipliers = routines.backward(point.theta, states, point.Y)
        value, gradient = routines.value_and_grad(point.theta, point.X, point.Y)
        moved = routines.update(point.theta, gradient, 0.1)
        found = routines.residuals(point.theta, point.X, point.Y, states, multipliers)
        return _leaves((states, multipliers, value, gradient, moved, found))


def _named(block: Block, figure: float, seen: str) -> tuple[float, str, str]:
    return figure, block.where, seen


def _leaves(tree: Any) -> list[Array]:
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in _leaves(part)]
    return [np.array(tree)]
