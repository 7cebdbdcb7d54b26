"""σ of a vector and J of a graph's output, by the hand-written tables, in numbers that vary.

See :mod:`.varying` for the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.graph import Graph
from lagrangenet.verify import unlisted, written_out
from lagrangenet.verify.dual import Dual, Number, applied
from lagrangenet.verify.tables import ACTIVATION_RULES, LOSS_RULES, REGULARIZER_RULES, Rule, rule
from lagrangenet.verify.varying import STEP, Array, as_array


class Objective:
    """J of a graph: the mean of ℓ over the samples, and ρ Ω(θ)."""

    def __init__(self, graph: Graph) -> None:
        self.weights = np.array(graph.class_weights or (1.0,))
        plain = rule(LOSS_RULES, graph.loss, unlisted.loss)
        self.loss = Rule(
            lambda y, x: self.weights * plain.value(y, x),
            lambda y, x: self.weights * plain.slope(y, x),
        )
        self.omega: Rule | None = None
        self.rho, self.biases = 0.0, False
        if graph.regularizer is not None:
            self.omega = rule(REGULARIZER_RULES, graph.regularizer, unlisted.regularizer)
            options = dict(graph.regularizer.parameters)
            self.rho, self.biases = options.get("strength", 1.0), bool(options.get("biases", 0))

    def __call__(self, theta: Mapping[str, Array], output: Array, Y: Array) -> Number:
        """J of an output and parameters."""
        if output.shape != np.shape(Y):
            raise DataError(f"Y has shape {np.shape(Y)}, the output {output.shape}")
        total = summed_loss(self.loss, np.asarray(Y), output) / len(Y)
        if self.omega is not None:
            for array in self.penalized(theta).values():
                for w in array.flat:
                    total = total + self.rho * applied(self.omega, as_array(w))
        return total

    def penalized(self, theta: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters in Ω: those with two axes or more, with ``biases`` all of them."""
        if self.omega is None:
            return {}
        return {name: w for name, w in theta.items() if self.biases or np.ndim(w) > 1}

    def penalty_slope(self, w: Array) -> Array:
        """ρ ∂Ω/∂w."""
        assert self.omega is not None
        return np.asarray(self.rho * self.omega.slope(w))


def rows_of(array: Array) -> Array:
    """(..., n) as (rows, n), as the tables expect."""
    return np.reshape(array, (-1, np.shape(array)[-1] if np.ndim(array) > 1 else 1))


def summed_loss(loss: Rule, Y: Array, output: Array) -> Number:
    """Σ ℓ(y, x) over all rows: the components of one vector lie along the last axis."""
    total: Number = 0.0
    for y, x in zip(rows_of(Y), rows_of(output), strict=True):
        numbers = [as_array(entry) for entry in x]
        if any(isinstance(number, Dual) for number in numbers):
            duals = [Dual.of(number) for number in numbers]
            row = np.concatenate([np.atleast_1d(d.value) for d in duals])[None]
            slopes = np.ravel(loss.slope(y[None], row))
            along = sum((s * d.slope for s, d in zip(slopes, duals, strict=True)), np.zeros(1))
            total = total + Dual(np.sum(loss.value(y[None], row)), along)
        else:
            rows = np.stack(np.broadcast_arrays(*numbers), axis=-1)
            value = np.asarray(loss.value(np.broadcast_to(y, rows.shape), rows))
            total = total + value.reshape(len(rows), -1).sum(axis=1)
    return total


def activation(choice: Choice) -> Rule:
    """σ and σ′. At a kink both are what the table says there, and σ′ does not vary.

    A complex step of two factors leaves the square of the step in the real part of z; that is at the
    kink still.
    """
    found, places = rule(ACTIVATION_RULES, choice, unlisted.activation), kinks(choice)

    def at_kinks(z: Array) -> Array:
        for kink in places:
            z = np.where(np.abs(np.real(z) - kink) <= STEP, kink + 1j * np.imag(z), z)
        return z

    def value(z: Array) -> Array:
        return found.value(at_kinks(z) if np.iscomplexobj(z) else z)

    def slope(z: Array) -> Array:
        z = at_kinks(z) if np.iscomplexobj(z) else z
        return found.slope(np.where(np.isin(np.real(z), places), np.real(z), z))

    return Rule(value, slope) if places else found


def kinks(choice: Choice) -> list[float]:
    """Where an activation is not differentiable."""
    entry = ACTIVATIONS[choice.name]
    return [float(written_out.bound(entry, choice, kink)) for kink in entry.kinks]


def applied_along(sigma: Rule | None, coupled: bool, vector: list[Number]) -> list[Number]:
    """σ of a vector of numbers."""
    if sigma is None:
        return vector
    numbers = [as_array(number) for number in vector]
    if not coupled:
        return [applied(sigma, number) for number in numbers]
    if not any(isinstance(number, Dual) for number in numbers):
        rows = np.stack(np.broadcast_arrays(*numbers), axis=-1)
        return list(np.moveaxis(sigma.value(rows), -1, 0))
    duals = [Dual.of(number) for number in numbers]
    row = np.concatenate([np.atleast_1d(d.value) for d in duals])[None]
    jacobian = sigma.slope(row)[0]
    return [
        Dual(np.atleast_1d(value), sum((a * d.slope for a, d in zip(line, duals, strict=True)),
                                       np.zeros(1)))
        for value, line in zip(sigma.value(row)[0], jacobian, strict=True)
    ]  # fmt: skip
