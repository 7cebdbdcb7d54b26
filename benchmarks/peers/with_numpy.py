"""Peers that compute with NumPy: HIPS autograd and scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from benchmarks.peers.base import GRADIENTS, value_and_gradient
from benchmarks.timing import Contender, Result
from benchmarks.workloads import Case


@GRADIENTS.add("autograd", "autograd")
def hips_autograd(case: Case) -> Contender:
    import autograd
    from autograd import numpy as anp
    from autograd.scipy.special import logsumexp

    sigma = {
        "tanh": anp.tanh,
        "sigmoid": lambda z: 1 / (1 + anp.exp(-z)),
        "relu": lambda z: anp.maximum(z, 0),
    }[case.hidden]

    def loss(theta: Any) -> Any:
        *hidden, (W, b) = theta
        x = case.X
        for V, c in hidden:
            x = sigma(anp.dot(x, V.T) + c)
        x = anp.dot(x, W.T) + b
        if case.classifies:
            return (anp.sum(logsumexp(x, axis=1)) - anp.sum(case.Y * x)) / len(case.X)
        return 0.5 * anp.sum((x - case.Y) ** 2) / len(case.X)

    def read(pair: Any) -> Result:
        return value_and_gradient(pair[0], [g for layer in pair[1] for g in layer])

    return Contender(autograd.value_and_grad(loss), (case.theta,), read)


@GRADIENTS.add("scikit-learn", "sklearn")
def scikit_learn(case: Case) -> Contender:
    """``_backprop`` of its MLP, on the attributes that ``fit`` would set."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    hidden = "logistic" if case.hidden == "sigmoid" else case.hidden
    network = (MLPClassifier if case.classifies else MLPRegressor)(activation=hidden, alpha=0.0)
    network.n_layers_ = len(case.workload.widths)
    network.out_activation_ = "softmax" if case.classifies else "identity"
    network.coefs_ = [np.ascontiguousarray(W.T) for W, _ in case.theta]
    network.intercepts_ = [b for _, b in case.theta]
    blank: list[Any] = [None] * len(case.theta)
    lists = [case.X, *blank], [*blank], [*blank], [*blank]
    weighted = "sample_weight" in inspect.signature(network._backprop).parameters
    arguments = case.X, case.Y, *([None] if weighted else []), *lists

    def read(found: Any) -> Result:
        value, weights, biases = found
        # Its squared error is also divided by the number of outputs; its gradient is not.
        outputs = 1 if case.classifies else case.workload.widths[-1]
        pairs = zip(weights, biases, strict=True)
        return value_and_gradient(outputs * value, [g for W, b in pairs for g in (W.T, b)])

    return Contender(network._backprop, arguments, read)
