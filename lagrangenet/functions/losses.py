"""Losses of one sample, one entry each: Σ_p of an expression in label ``y`` and output ``x``.

The expression may also hold ``t`` = Σ_r y_r x_r, the output of the labelled class.
"""

import sympy as sp

from lagrangenet.functions import written
from lagrangenet.functions.base import Loss, parameter, t, x, y
from lagrangenet.functions.catalogue import Catalogue

LOSSES: Catalogue[Loss] = Catalogue("loss", written.loss)

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

log_probability = LOSSES.add(
    Loss(
        "log_probability",
        -y * x,
        "-sum y x, the cross-entropy of log-probabilities x (log_softmax outputs)",
        labels="distribution",
        needs_log_simplex=True,
        default_output="log_softmax",
    )
)

negative_log_density = LOSSES.add(
    Loss(
        "negative_log_density",
        -sp.log(x),
        "-sum log x, for outputs that are densities (positive); labels are not used",
        needs_positive=True,
        default_output="softplus",
    )
)

_margin = 1 - x * y
hinge = LOSSES.add(
    Loss(
        "hinge",
        sp.Piecewise((_margin, _margin > 0), (0, True)),
        "sum max(0, 1 - y x), for labels -1 and 1",
        kinks=(1 / y,),
        subgradient="0 at y x = 1",
        labels="sign",
    )
)

_behind = 1 + x - t
multiclass_hinge = LOSSES.add(
    Loss(
        "multiclass_hinge",
        sp.Piecewise((_behind, _behind > 0), (0, True)) - y,
        "sum over the other classes max(0, 1 + x - x_label), for one-hot labels",
        kinks=(t - 1,),
        subgradient="0 at x = x_label - 1",
        labels="distribution",
    )
)

perceptron = LOSSES.add(
    Loss(
        "perceptron",
        sp.Piecewise((-x * y, x * y < 0), (0, True)),
        "sum max(0, -y x), for labels -1 and 1",
        kinks=(sp.S.Zero,),
        subgradient="0 at x = 0",
        labels="sign",
    )
)

zero_one = LOSSES.add(
    Loss(
        "zero_one",
        sp.Piecewise((1, x * y <= 0), (0, True)),
        "the number of components with y x <= 0, for labels -1 and 1; without derivative",
        labels="sign",
        differentiable=False,
    )
)

_delta = parameter("delta")
huber = LOSSES.add(
    Loss(
        "huber",
        sp.Piecewise(
            ((x - y) ** 2 / 2, sp.Abs(x - y) <= _delta),
            (_delta * (sp.Abs(x - y) - _delta / 2), True),
        ),
        "sum of (x - y)^2/2 up to |x - y| = delta, beyond it delta (|x - y| - delta/2)",
        creases=(y - _delta, y + _delta),
        parameters={"delta": 1.0},
    )
)

log_cosh = LOSSES.add(Loss("log_cosh", sp.log(sp.cosh(x - y)), "sum log cosh(x - y)"))
