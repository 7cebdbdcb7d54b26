"""Probes: the networks and numbers that a submission is called with, drawn after it was handed in.

Together they leave no mistake of the usual kinds a place to hide: layers that are not square and
layers that are, sizes all different and all equal, six and more samples and one, biases that are
not zero, a regularizer on and off, saturated and very large preactivations, a kink that is hit
exactly, a deeper and a larger network, and one question asked twice. It refuses nothing: an
assignment that fixes its sizes gets what can be varied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lagrangenet.functions import ACTIVATIONS, LOSSES
from lagrangenet.grading.answers import Layers, Probe
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.network import Network
from lagrangenet.problem import Problem
from lagrangenet.verify.textbook import Textbook

Array = NDArray[Any]

#: Purposes that the judge treats on their own; every other probe is an ordinary one.
SATURATED, LARGE, KINK, COST, AGAIN = "saturated", "very large", "kink", "larger", "again"
#: Preactivations stay so far away from kinks that rounding, also in float32, decides nothing.
MARGIN = 0.02
#: A labelled class has at least this probability: an epsilon inside a logarithm stays small.
LEAST_PROBABILITY = 0.02
#: Where sigmoid and tanh are saturated, and exp overflows in no precision.
EXTREME = 30.0
_TRIES = 200


class _Plan(NamedTuple):
    """What a probe is to be: widths where they are open, M, ρ relative to the declared one."""

    name: str
    width: int | None
    samples: int
    depth: int = 0
    strength: float = 1.0
    counted: bool = False


def probes(assignment: Assignment, seed: int) -> tuple[Probe, ...]:
    """The questions to one submission.

    Parameters
    ----------
    assignment : Assignment
        The family of networks, and how it is called.
    seed : int
        Equal seeds give equal probes, one tuple.

    Returns
    -------
    tuple of Probe
        In the order in which they are to be asked, in one process.

    Examples
    --------
    >>> assignment = Assignment.from_toml('''
    ... [network]
    ... widths = ["any", "any", 3]
    ... loss = "cross_entropy"
    ... [submission]
    ... calls = "grads = gradients(theta, X, Y)"
    ... ''')
    >>> asked = probes(assignment, seed=1)
    >>> sorted({probe.samples for probe in asked})[0]
    1
    >>> asked[0] is not asked[-1], (asked[0].X == asked[-1].X).all()
    (True, np.True_)
    """
    contract = assignment.contract
    told = contract is not None and contract.takes("rho")
    labels = "matrix" if contract is None else contract.layout.labels
    single = contract is not None and contract.layout.single
    return _probes(assignment.network, told, labels, single, seed)


@lru_cache(maxsize=16)
def _probes(
    network: Network, told: bool, labels: str, single: bool, seed: int
) -> tuple[Probe, ...]:
    rng = np.random.default_rng(seed)
    draw = _Draw(network, rng, labels)
    plans = [_few(plan) if single else plan for plan in _plans(network, told)]
    found = [draw.ordinary(plan) for plan in plans]
    found += [probe for probe in (draw.saturated(), draw.very_large(), draw.kink()) if probe]
    again = replace(found[0], name=AGAIN, count=False)
    return (found[0], again, *found[1:], again)


def _plans(network: Network, told: bool) -> Iterator[_Plan]:
    low, high = network.depths
    usual = min(max(3, low), high)
    fixed = [n for n in network.widths[1:] if n]
    equal = fixed[0] if len(set(fixed)) == 1 and fixed[0] > 1 else 4
    yield _Plan("all sizes different", None, 7, usual, counted=True)
    yield _Plan("square layers", 3 if equal != 3 else 4, 6, usual)
    yield _Plan("all sizes equal", equal, equal, usual)
    yield _Plan("one sample", None, 1, usual)
    if high > usual or low < usual:
        other = high if high > usual else low
        yield _Plan("another depth", None, 8, other)
        yield _Plan("another depth, square layers", 4, 5, other)
    if network.regularizer is not None and told:
        yield _Plan("no regularizer", None, 6, usual, 0.0)
        yield _Plan("stronger regularizer", None, 6, usual, 3.0)
    else:
        yield _Plan("other sizes", None, 9, usual)
    yield _Plan(COST, 11, 1, usual, counted=True)


def _few(plan: _Plan) -> _Plan:
    """Where each call gets one sample, the number of samples tells nothing and costs time."""
    return plan._replace(samples=min(plan.samples, 2))


class _Draw:
    """Random members of a family at random points."""

    def __init__(self, network: Network, rng: np.random.Generator, labels: str) -> None:
        self.network, self.rng = network, rng
        self.depth = min(max(3, network.depths[0]), network.depths[1])
        kind = LOSSES[network.loss.name].labels
        classes = labels not in {"matrix", "vector"}
        self.one_hot = kind == "distribution" or (kind in {"real", "binary"} and classes)
        self.single = labels == "vector" or (kind == "sign" and classes)

    def ordinary(self, plan: _Plan) -> Probe:
        """A point at which no function is near a kink, and none of the layers is dead."""
        problem = self._problem(plan)
        best: tuple[float, Probe] | None = None
        for _ in range(_TRIES):
            probe = self._drawn(plan, problem)
            quality = _quality(probe)
            if best is None or quality > best[0]:
                best = quality, probe
            if quality >= 1:
                break
        assert best is not None
        return best[1]

    def _problem(self, plan: _Plan) -> Problem:
        widths = self._widths(plan)
        strength = self.network.strength * plan.strength
        return self.network.problem(widths, plan.samples, strength)

    def _widths(self, plan: _Plan) -> list[int]:
        declared = self.network.widths or (None,) * (plan.depth + 1)
        free = [int(n) for n in self.rng.permutation([2, 3, 4, 5, 6])]
        taken = {n for n in declared if n}
        free = [n for n in free if n not in taken] + [7, 8, 9, 10, 11, 12]
        widths = [n or plan.width or free[j % len(free)] for j, n in enumerate(declared)]
        if self.single and not declared[-1]:
            widths[-1] = 1
        return widths

    def _drawn(self, plan: _Plan, problem: Problem) -> Probe:
        rng, theta = self.rng, []
        for (after, before), _ in problem.shapes:
            W = rng.normal(size=(after, before)) * 1.2 / np.sqrt(before)
            theta.append((W, rng.normal(size=after) * 0.6))
        X = rng.normal(size=(plan.samples, problem.inputs))
        Y = self.labels(problem, plan.samples)
        strength = self.network.strength * plan.strength
        return Probe(plan.name, problem, tuple(theta), X, Y, strength, 0.3, plan.counted)

    def labels(self, problem: Problem, samples: int) -> Array:
        """Labels of the kind that the loss is for."""
        rng, outputs = self.rng, problem.widths[-1]
        kind = problem.loss_entry.labels
        if self.one_hot and outputs > 1:
            return np.asarray(np.eye(outputs)[rng.permutation(samples) % outputs])
        if kind == "real" and not self.one_hot:
            return rng.normal(size=(samples, outputs))
        bits = rng.integers(0, 2, size=(samples, outputs)).astype(float)
        if samples > 1:
            bits[0], bits[1] = 0.0, 1.0
        return 2 * bits - 1 if kind == "sign" else bits

    # -- points where a right formula may be computed wrongly ------------------------------------

    def saturated(self) -> Probe | None:
        """Preactivations of up to ±30, labels on the side of the output."""
        plan = _Plan(SATURATED, None, 6, self.depth)
        problem = self._problem(plan)
        probe = self._drawn(plan, problem)
        theta = _scaled(probe, probe.theta, 1)
        if not _bounded(problem):
            theta = _scaled(probe, theta, problem.depth)
        output = Textbook(problem).forward(theta, probe.X)[-1][0]
        kind = problem.loss_entry.labels
        if kind == "binary" and self.one_hot and output.shape[1] > 1:
            *below, (W, b) = theta  # the labels disagree with some output: log 0 is near
            shrink = 3 / float(np.abs(output).max())
            theta, output = (*below, (shrink * W, shrink * b)), shrink * output
        return replace(probe, theta=theta, Y=self._agreeing(kind, probe.Y, output))

    def _agreeing(self, kind: str, Y: Array, output: Array) -> Array:
        if kind == "distribution" or (self.one_hot and output.shape[1] > 1):
            return np.asarray(np.eye(output.shape[1])[output.argmax(axis=1)])
        if kind == "binary":
            return (output > 0).astype(float)
        return Y

    def very_large(self) -> Probe | None:
        """All outputs before softmax moved by 750, where exp overflows; softmax does not change."""
        if self.network.output.name not in {"softmax", "log_softmax"}:
            return None
        probe = self.ordinary(_Plan(LARGE, None, 6, self.depth))
        *below, (W, b) = probe.theta
        return replace(probe, theta=(*below, (W, b + 750.0)))

    def kink(self) -> Probe | None:
        """One preactivation of one sample exactly at a kink, in any order of summation."""
        plan = _Plan(KINK, None, 6, self.depth)
        problem = self._problem(plan)
        kinks = ACTIVATIONS[problem.layers[0].activation.name].kinks
        if not kinks or problem.depth == 1:
            return None
        values = dict(problem.layers[0].activation.parameters)
        place = float(kinks[0].subs({s: values[str(s)] for s in kinks[0].free_symbols}))
        probe = self.ordinary(plan)
        (W, b), *above = probe.theta
        W, b, X = W.copy(), b.copy(), probe.X.copy()
        W[0] = self.rng.integers(1, 4, size=W.shape[1]) / 4
        X[0] = self.rng.integers(-6, 7, size=X.shape[1]) / 4
        b[0] = place - float(W[0] @ X[0])
        return replace(probe, theta=((W, b), *above), X=X)


def _scaled(probe: Probe, theta: Layers, layer: int) -> Layers:
    """Parameters whose layer has preactivations of up to ±30."""
    z = Textbook(probe.problem).forward(theta, probe.X)[layer - 1][0]
    factor = EXTREME / float(np.abs(z).max())
    W, b = theta[layer - 1]
    return (*theta[: layer - 1], (factor * W, factor * b), *theta[layer:])


def _bounded(problem: Problem) -> bool:
    return problem.layers[0].activation.name in {"tanh", "sigmoid", "softmax", "hard_tanh", "sin"}


def _quality(probe: Probe) -> float:
    """At least 1 for a point that is generic enough; the smallest of its margins otherwise."""
    problem = probe.problem
    passed = Textbook(problem).forward(probe.theta, probe.X)
    margins = [1.0]
    for (z, _), layer in zip(passed, problem.layers, strict=True):
        entry = ACTIVATIONS[layer.activation.name]
        values = dict(layer.activation.parameters)
        for kink in entry.kinks:
            place = float(kink.subs({s: values[str(s)] for s in kink.free_symbols}))
            sides = z > place
            margins.append(float(np.abs(z - place).min()) / MARGIN)
            if len(z) > 1:
                margins.append(_at_least(sides.any(axis=1).mean() * (~sides).any()))
    output = passed[-1][1]
    if problem.loss_entry.needs_simplex:
        margins.append(float(output.min()) / LEAST_PROBABILITY)
    return min(margins)


def _at_least(share: float) -> float:
    return 1.0 if share > 0.9 else float(share)
