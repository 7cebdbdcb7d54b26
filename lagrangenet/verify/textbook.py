"""Backpropagation as a textbook writes it: the first independent oracle, in plain NumPy.

    z^k = W^k x^{k-1} + b^k,  x^k = σ^k(z^k),  Δ^N = ∂ℓ/∂x^N,
    δ^k = (∂σ^k/∂z^k)ᵀ Δ^k,  Δ^{k-1} = W^kᵀ δ^k,  ∂J/∂W^k = (1/M) Σ_i δ_i^k x_i^{k-1}ᵀ + ρ ∂Ω/∂W^k

The functions are those of the hand-written :mod:`lagrangenet.verify.tables`; nothing here comes out
of the derivation that it checks. It refuses arrays that do not fit the problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.problem import Problem
from lagrangenet.verify import unlisted
from lagrangenet.verify.tables import (
    ACTIVATION_RULES,
    LOGIT_RULES,
    LOSS_RULES,
    REGULARIZER_RULES,
    Array,
    Rule,
    rule,
)

Theta = tuple[tuple[Array, Array], ...]
States = list[tuple[Array, Array]]


class Textbook:
    """Forward pass, loss, gradient and Δ^k of a problem, by standard backpropagation.

    Parameters
    ----------
    problem : Problem
        The declaration. θ is ``((W1, b1), ..., (WN, bN))``, X is (M, n_0), Y is (M, n_N).

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> book = Textbook(chain([1, 1, 1]))
    >>> theta = ((np.array([[0.5]]), np.zeros(1)), (np.array([[2.0]]), np.ones(1)))
    >>> X, Y = np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])
    >>> round(float(book.loss(theta, X, Y)), 6)
    0.925669
    >>> book.gradient(theta, X, Y)[1][1].round(6)
    array([0.962117])
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._sigma = [
            rule(ACTIVATION_RULES, layer.activation, unlisted.activation)
            for layer in problem.layers
        ]
        self._loss = rule(LOSS_RULES, problem.loss, unlisted.loss)
        self._omega: Rule | None = None
        if problem.regularizer is not None:
            self._omega = rule(REGULARIZER_RULES, problem.regularizer, unlisted.regularizer)
        last = problem.layers[-1].activation.name
        self._logits = LOGIT_RULES.get((last, problem.loss.name))
        self._weights = np.array(problem.class_weights or (1.0,))

    @property
    def on_logits(self) -> bool:
        """Whether ℓ is taken from z^N: see ``LOGIT_RULES``."""
        return self._logits is not None

    def output_slope(self, Y: Array, output: Array) -> Array:
        """∂ℓ/∂x^N of every sample; on logits ∂ℓ/∂z^N, of z^N."""
        if self._logits is not None:
            return np.asarray(self._logits.slope(self._weights, Y, output))
        return np.asarray(self._weights * self._loss.slope(Y, output))

    def forward(self, theta: Theta, X: Array) -> States:
        """[(Z^1, X^1), ..., (Z^N, X^N)], each array (M, n_k).

        Raises
        ------
        DataError
            If an array does not have the shape that the problem declares.
        """
        self._check(theta, X)
        passed: States = []
        x = X
        for (W, b), sigma in zip(theta, self._sigma, strict=True):
            z = x @ W.T + b
            x = sigma.value(z)
            passed.append((z, x))
        return passed

    def loss(self, theta: Theta, X: Array, Y: Array) -> Any:
        """J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(W^1, ..., W^N), complex for complex θ.

        After softmax, cross-entropy is taken from the logits: −Σ_p y_p log softmax(z)_p. So are the
        other pairs of ``LOGIT_RULES``.
        """
        z, x = self.forward(theta, X)[-1]
        self._check_labels(Y, x)
        if self._logits is not None:
            each = self._logits.value(self._weights, Y, z)
        else:
            each = self._weights * self._loss.value(Y, x)
        total = each.sum() / len(X)
        if self._omega is not None:
            counted = 2 if self.problem.penalizes_biases else 1
            omega = sum(self._omega.value(v).sum() for pair in theta for v in pair[:counted])
            total += self.problem.strength * omega
        return total

    def gradient(self, theta: Theta, X: Array, Y: Array) -> Theta:
        """((∂J/∂W^1, ∂J/∂b^1), ..., (∂J/∂W^N, ∂J/∂b^N)), in the shapes of θ."""
        passed = self.forward(theta, X)
        _, local = self._backward(theta, passed, Y)
        inputs = [X, *(x for _, x in passed[:-1])]
        gradient = []
        for (W, b), x, delta in zip(theta, inputs, local, strict=True):
            dW = np.einsum("ip,iq->pq", delta, x) / len(X)
            db = delta.sum(axis=0) / len(X)
            if self._omega is not None:
                dW = dW + self.problem.strength * self._omega.slope(W)
                if self.problem.penalizes_biases:
                    db = db + self.problem.strength * self._omega.slope(b)
            gradient.append((dW, db))
        return tuple(gradient)

    def deltas(self, theta: Theta, X: Array, Y: Array) -> list[Array]:
        """[Δ^1, ..., Δ^N] with Δ^k = ∂ℓ_i/∂x_i^k of each sample, (M, n_k); λ^k = −Δ^k/M.

        Δ^N of cross-entropy is infinite where softmax underflows to zero; the others stay finite.
        """
        return self._backward(theta, self.forward(theta, X), Y)[0]

    def residuals(
        self, theta: Theta, X: Array, Y: Array, states: Sequence[Array], lam: Sequence[Array]
    ) -> list[tuple[Array, Array, Array, Array]]:
        """[(c^k, ∂L/∂x^k, ∂L/∂W^k, ∂L/∂b^k)] at any point: x^k and λ^k as they are given.

        On logits, where ∂ℓ/∂x^N may overflow, the last ∂L/∂x^N is that by z^N: μ^N + (1/M) ∂ℓ/∂z^N.
        """
        inputs, samples = [X, *states[:-1]], len(X)
        z = [x @ W.T + b for x, (W, b) in zip(inputs, theta, strict=True)]
        local = [_pulled_back(sigma.slope(z_k), lam_k)
                 for sigma, z_k, lam_k in zip(self._sigma, z, lam, strict=True)]  # fmt: skip
        if self._logits is not None:
            by_x = [local[-1] + self._logits.slope(self._weights, Y, z[-1]) / samples]
        else:
            by_x = [lam[-1] + self._weights * self._loss.slope(Y, states[-1]) / samples]
        for k in range(len(theta) - 1, 0, -1):
            by_x.insert(0, lam[k - 1] - local[k] @ theta[k][0])
        found = []
        for k, (W, b) in enumerate(theta):
            dW, db = -np.einsum("ip,iq->pq", local[k], inputs[k]), -local[k].sum(axis=0)
            if self._omega is not None:
                dW = dW + self.problem.strength * self._omega.slope(W)
                if self.problem.penalizes_biases:
                    db = db + self.problem.strength * self._omega.slope(b)
            found.append((states[k] - self._sigma[k].value(z[k]), by_x[k], dW, db))
        return found

    def _backward(self, theta: Theta, passed: States, Y: Array) -> tuple[list[Array], list[Array]]:
        """Δ^k and δ^k = ∂ℓ_i/∂z_i^k for k = 1..N."""
        x = passed[-1][1]
        self._check_labels(Y, x)
        outer: list[Array] = [self._weights * self._loss.slope(Y, x)]
        local: list[Array] = []
        for k in reversed(range(len(theta))):
            if self.on_logits and k == len(theta) - 1:
                delta = self.output_slope(Y, passed[k][0])
            else:
                delta = _pulled_back(self._sigma[k].slope(passed[k][0]), outer[0])
            local.insert(0, delta)
            if k:
                outer.insert(0, delta @ theta[k][0])
        return outer, local

    def _check(self, theta: Theta, X: Array) -> None:
        found = tuple((np.shape(W), np.shape(b)) for W, b in theta)
        if found != self.problem.shapes:
            raise DataError(f"theta has shapes {found}; expected {self.problem.shapes}")
        if np.ndim(X) != 2 or X.shape[1] != self.problem.inputs or len(X) == 0:
            raise DataError(f"X has shape {np.shape(X)}; expected (M, {self.problem.inputs})")

    def _check_labels(self, Y: Array, x: Array) -> None:
        if np.shape(Y) != x.shape:
            raise DataError(f"Y has shape {np.shape(Y)}; expected {x.shape}")


def _pulled_back(slope: Array, outer: Array) -> Array:
    """(∂σ/∂z)ᵀ Δ for each sample: by the whole Jacobian, or by its diagonal."""
    if slope.ndim == 3:
        return np.asarray(np.einsum("ipq,ip->iq", slope, outer))
    return np.asarray(slope * outer)
