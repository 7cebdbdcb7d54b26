"""Losses of one sample, one entry each: Σ_p of an expression in label ``y`` and output ``x``."""

import sympy as sp

from lagrangenet.functions.base import Catalogue, Loss, x, y

LOSSES: Catalogue[Loss] = Catalogue("loss")

squared_error = LOSSES.add(Loss("squared_error", (x - y) ** 2 / 2, "1/2 sum (x - y)^2"))

cross_entropy = LOSSES.add(
    Loss(
        "cross_entropy",
        -y * sp.log(x),
        "-sum y log x, for softmax outputs and one-hot (or probability) labels",
        labels="distribution",
        needs_simplex=True,
        default_output="softmax",
    )
)

binary_cross_entropy = LOSSES.add(
    Loss(
        "binary_cross_entropy",
        sp.log(1 + sp.exp(x)) - y * x,
        "sum log(1 + exp(x)) - y x, the cross-entropy of labels in [0, 1] on logits x",
        labels="binary",
    )
)
