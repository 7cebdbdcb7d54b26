"""Checks of the generated gradient against differences of an independent J, and of J itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from lagrangenet.verify import differences
from lagrangenet.verify.check import (
    CLEAR_OF_KINKS,
    Array,
    Check,
    Finding,
    Inconclusive,
    Point,
    Subject,
)
from lagrangenet.verify.comparing import deviation
from lagrangenet.verify.differences import flatten, kink_distance, unflatten
from lagrangenet.verify.tables import ACTIVATION_RULES

#: Parameters that are differentiated one by one: all, or a sample of a large or deep network.
MOST, LEAST = 1500, 64


class ComplexStep(Check):
    """The gradient against complex steps of an independent J."""

    name = "gradient against complex step"
    tolerance = 1e-14
    reason = "relative to the largest entry of the gradient; a complex step has no truncation error"

    def inapplicable(self, subject: Subject) -> str:
        """A complex step needs an analytic J, written so that it can be continued."""
        if not subject.problem.smooth:
            return "the network has kinks; a complex step needs an analytic J"
        for entry in subject.problem.activations:
            listed = entry.name in ACTIVATION_RULES
            if not listed and entry.expr.has(sp.Abs, sp.Piecewise, sp.Max, sp.Min):
                return f"{entry.name} is declared by cases or |.|, which have no complex values"
        return ""

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
    count = _affordable(subject, len(point.X))
    if flat.size > count:
        rng = np.random.default_rng(subject.seed + 3)
        chosen = np.sort(rng.choice(flat.size, count, replace=False))
    slopes = np.empty(len(chosen))
    for row, j in enumerate(chosen):
        direction = np.zeros(flat.size)
        direction[j] = 1.0
        slopes[row] = slope(flat, direction)
    oracle = subject.textbook.gradient(point.theta, point.X, point.Y)
    scale = max(float(np.abs(slopes).max()), float(np.abs(flatten(oracle)).max()))
    figure, seen = deviation(gradient[chosen], slopes, scale, len(point.X))
    place = int(chosen[int(np.abs(gradient[chosen] - slopes).argmax())])
    return Finding(figure, _parameter(subject, place), seen)


def _affordable(subject: Subject, samples: int) -> int:
    """How many evaluations of J take some two seconds, from sizes alone (and so reproducibly)."""
    seconds = 2e-5 * subject.problem.depth + 4e-9 * subject.problem.size * samples
    return int(np.clip(2.0 / seconds, LEAST, MOST))


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
        """Fit the rate along five directions, with steps that cross no kink."""
        point = subject.few
        rng = np.random.default_rng(subject.seed + 4)
        gradient = subject.routines.gradient(point.theta, point.X, point.Y)

        def J(theta: Any) -> float:
            return subject.routines.loss(theta, point.X, point.Y)

        if not (np.isfinite(J(point.theta)) and np.isfinite(flatten(gradient)).all()):
            return Finding(np.inf, "", "J or its gradient is not finite")
        # The median: along some directions the second derivative all but vanishes.
        rate = float(np.median([self._rate(subject, point, gradient, J, rng) for _ in range(5)]))
        seen = "the remainder does not fall quadratically"
        return Finding(max(0.0, 2.0 - rate), f"observed rate {rate:.3f}", seen)

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
