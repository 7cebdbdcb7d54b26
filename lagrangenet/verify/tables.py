"""Functions and their derivatives, typed in by hand: what the oracles compute with.

Every σ, σ', ℓ, ∂ℓ/∂x and ∂Ω/∂w is written out here, on purpose: nothing comes out of the derivation
that it checks. A function without an entry is evaluated from its declared expression with 40 digits
and differentiated numerically (:mod:`lagrangenet.verify.unlisted`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lagrangenet.errors import DerivationError
from lagrangenet.functions import Choice

Array = NDArray[Any]
Pair = Callable[[Choice], tuple[Callable[..., Array], Callable[..., Array]]]


class Rule(NamedTuple):
    """A function and its derivative; for an activation that couples components, the Jacobian."""

    value: Callable[..., Array]
    slope: Callable[..., Array]

    def of(self, order: int) -> Callable[..., Array]:
        """The function itself, or its derivative."""
        return self.slope if order else self.value


def _decay(z: Array) -> Array:
    """exp(−|Re z|), with the sign of z kept so that it is analytic on either side."""
    return np.asarray(np.exp(np.where(z.real > 0, -z, z)))


def _sigmoid(z: Array) -> Array:
    return np.asarray(np.where(z.real > 0, 1.0, _decay(z)) / (1.0 + _decay(z)))


def _sigmoid_slope(z: Array) -> Array:
    return np.asarray(_decay(z) / (1.0 + _decay(z)) ** 2)


def _softplus(z: Array) -> Array:
    return np.asarray(np.where(z.real > 0, z, 0.0) + np.log1p(_decay(z)))


def _log_softmax(z: Array) -> Array:
    shifted = z - z.real.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _softmax(z: Array) -> Array:
    weights = np.exp(z - z.real.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _softmax_jacobian(z: Array) -> Array:
    s = _softmax(z)
    diagonal = np.einsum("ip,pq->ipq", s, np.eye(s.shape[1]))
    return np.asarray(diagonal - np.einsum("ip,iq->ipq", s, s))


def _erfc(z: Array) -> Array:
    from scipy.special import erfc  # here: importing it takes a quarter of the package's import

    return np.asarray(erfc(z))


def _gelu(z: Array) -> Array:
    return np.asarray(0.5 * z * _erfc(-z / np.sqrt(2.0)))


def _gelu_slope(z: Array) -> Array:
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(0.5 * _erfc(-z / np.sqrt(2.0)) + z * density)


def _gelu_tanh(z: Array) -> Array:
    """0.5 z (1 + tanh u) with 1 + tanh u = 2 sigmoid(2u)."""
    return np.asarray(z * _sigmoid(2.0 * np.sqrt(2.0 / np.pi) * (z + 0.044715 * z**3)))


def _gelu_tanh_slope(z: Array) -> Array:
    scale = 2.0 * np.sqrt(2.0 / np.pi)
    u, du = scale * (z + 0.044715 * z**3), scale * (1.0 + 3.0 * 0.044715 * z**2)
    return np.asarray(_sigmoid(u) + z * _sigmoid_slope(u) * du)


def _log_softmax_jacobian(z: Array) -> Array:
    return np.asarray(np.eye(z.shape[1])[None, :, :] - _softmax(z)[:, None, :])


def _density_slope(_: Array, x: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(-1.0 / x)


def _log_cosh(u: Array) -> Array:
    """|u| + log(1 + exp(−2|u|)) − log 2."""
    return np.asarray(np.where(u.real > 0, u, -u) + np.log1p(_decay(2.0 * u)) - np.log(2.0))


def _huber(u: Array, delta: float) -> Array:
    size = np.where(u.real > 0, u, -u)
    return np.where(size.real <= delta, 0.5 * u**2, delta * size - 0.5 * delta**2)


def _cross_entropy(y: Array, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(y == 0, 0.0 * x, -y * np.log(x))


def _cross_entropy_slope(y: Array, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(y == 0, 0.0, -y / x)


def _multiclass_hinge(y: Array, x: Array) -> Array:
    """max(0, 1 + x_p − x_label) of every class p, without the 1 of the labelled class itself."""
    behind = 1.0 + x - (y * x).sum(axis=1, keepdims=True)
    return np.asarray(np.where(behind.real > 0, behind, 0.0) - y)


def _multiclass_hinge_slope(y: Array, x: Array) -> Array:
    """1 for each class within the margin; the labelled one is pushed by all of them."""
    within = (1.0 + x.real > (y * x.real).sum(axis=1, keepdims=True)).astype(float)
    return np.asarray(within - y * within.sum(axis=1, keepdims=True))


def _no_slope(name: str) -> Callable[..., Array]:
    """The derivative of a function with jumps: none."""

    def refused(*_: Any, **__: Any) -> Array:
        raise DerivationError(f"{name!r} has jumps and no derivative")

    return refused


#: σ(z) and σ'(z) on arrays (M, n_k); for softmax σ' is the whole Jacobian (M, n_k, n_k).
ACTIVATION_RULES: dict[str, Rule] = {
    "identity": Rule(lambda z: z, np.ones_like),
    "sigmoid": Rule(_sigmoid, _sigmoid_slope),
    "tanh": Rule(np.tanh, lambda z: 4.0 * _sigmoid_slope(2.0 * z)),
    "relu": Rule(lambda z: np.where(z.real > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": Rule(
        lambda z, slope: np.where(z.real > 0, z, slope * z),
        lambda z, slope: np.where(z > 0, 1.0, slope),
    ),
    "elu": Rule(
        lambda z, alpha: np.where(z > 0, z, alpha * np.expm1(np.where(z > 0, 0.0, z))),
        lambda z, alpha: np.where(z > 0, 1.0, alpha * np.exp(np.where(z > 0, 0.0, z))),
    ),
    "softplus": Rule(_softplus, _sigmoid),
    "silu": Rule(lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) + z * _sigmoid_slope(z)),
    "gelu": Rule(_gelu, _gelu_slope),
    "gelu_tanh": Rule(_gelu_tanh, _gelu_tanh_slope),
    "hard_tanh": Rule(
        lambda z, low, high: np.minimum(np.maximum(z, low), high),
        lambda z, low, high: np.where((z > low) & (z < high), 1.0, 0.0),
    ),
    "sin": Rule(np.sin, np.cos),
    "threshold": Rule(lambda z: np.where(z > 0, 1.0, 0.0), _no_slope("threshold")),
    "sign": Rule(np.sign, _no_slope("sign")),
    "softmax": Rule(_softmax, _softmax_jacobian),
    "log_softmax": Rule(_log_softmax, _log_softmax_jacobian),
}

#: ℓ(y, x) and ∂ℓ/∂x, one value for each component, on arrays (M, n_N).
LOSS_RULES: dict[str, Rule] = {
    "squared_error": Rule(lambda y, x: 0.5 * (x - y) ** 2, lambda y, x: x - y),
    "cross_entropy": Rule(_cross_entropy, _cross_entropy_slope),
    "binary_cross_entropy": Rule(
        lambda y, x: y * _softplus(-x) + (1.0 - y) * _softplus(x),
        lambda y, x: (1.0 - y) * _sigmoid(x) - y * _sigmoid(-x),
    ),
    "log_probability": Rule(lambda y, x: -y * x, lambda y, x: -y + 0.0 * x),
    "negative_log_density": Rule(lambda _, x: -np.log(x), _density_slope),
    "hinge": Rule(
        lambda y, x: np.where(y * x < 1, 1.0 - y * x, 0.0),
        lambda y, x: np.where(y * x < 1, -y, 0.0),
    ),
    "multiclass_hinge": Rule(_multiclass_hinge, _multiclass_hinge_slope),
    "perceptron": Rule(
        lambda y, x: np.where(y * x < 0, -y * x, 0.0), lambda y, x: np.where(y * x < 0, -y, 0.0)
    ),
    "zero_one": Rule(lambda y, x: np.where(y * x <= 0, 1.0, 0.0), _no_slope("zero_one")),
    "huber": Rule(
        lambda y, x, delta: _huber(x - y, delta),
        lambda y, x, delta: np.clip(x - y, -delta, delta),
    ),
    "log_cosh": Rule(lambda y, x: _log_cosh(x - y), lambda y, x: np.tanh(x - y)),
}


def _log_softplus(z: Array) -> Array:
    """The logarithm of softplus, which is z − exp(z)/2 + ... far below zero."""
    inside = np.where(z.real > _FAR, z, _FAR)
    return np.where(z.real > _FAR, np.log(_softplus(inside)), z)


def _log_softplus_slope(z: Array) -> Array:
    inside = np.where(z.real > _FAR, z, _FAR)
    return np.where(z.real > _FAR, _sigmoid(inside) / _softplus(inside), 1.0)


_FAR = -40.0

#: Pairs of σ^N and ℓ that are taken from the logits, where x^N may underflow and ∂ℓ/∂x^N overflow:
#: ℓ of weights c, labels y and z^N, each component, and its gradient ∂ℓ/∂z^N.
LOGIT_RULES: dict[tuple[str, str], Rule] = {
    ("softmax", "cross_entropy"): Rule(
        lambda c, y, z: -c * y * _log_softmax(z),
        lambda c, y, z: _softmax(z) * (c * y).sum(axis=1, keepdims=True) - c * y,
    ),
    ("softmax", "negative_log_density"): Rule(
        lambda c, _, z: -c * _log_softmax(z),
        lambda c, y, z: _softmax(z) * (c + 0.0 * y).sum(axis=1, keepdims=True) - c,
    ),
    ("sigmoid", "negative_log_density"): Rule(
        lambda c, _, z: c * _softplus(-z), lambda c, _, z: -c * _sigmoid(-z)
    ),
    ("softplus", "negative_log_density"): Rule(
        lambda c, _, z: -c * _log_softplus(z), lambda c, _, z: -c * _log_softplus_slope(z)
    ),
}

#: Ω(w) and ∂Ω/∂w of one weight, without the strength.
REGULARIZER_RULES: dict[str, Rule] = {
    "L2": Rule(lambda w: 0.5 * w**2, lambda w: w),
    "L1": Rule(np.abs, np.sign),
    "elastic_net": Rule(
        lambda w, l1, l2: l1 * np.abs(w) + 0.5 * l2 * w**2,
        lambda w, l1, l2: l1 * np.sign(w) + l2 * w,
    ),
}


def rule(table: dict[str, Rule], choice: Choice, unlisted_pair: Pair) -> Rule:
    """The hand-written rule with its parameters bound, or the numeric one of an unlisted entry."""
    if choice.name not in table:
        return Rule(*unlisted_pair(choice))
    value, slope = table[choice.name]
    named = {
        key: number
        for key, number in choice.parameters
        if key != "strength" and not isinstance(number, bool)
    }
    return Rule(partial(value, **named), partial(slope, **named))
