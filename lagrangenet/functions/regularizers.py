"""Regularizers, one entry each: an expression in one weight ``w``, summed over all weights.

With the option ``biases`` the sum runs over the biases too.
"""

import sympy as sp

from lagrangenet.functions import written
from lagrangenet.functions.base import Regularizer, parameter, w
from lagrangenet.functions.catalogue import Catalogue

REGULARIZERS: Catalogue[Regularizer] = Catalogue("regularizer", written.regularizer)

#: ρ/2 Σ W²; the strength ρ is the entry's one parameter and multiplies Ω in the objective.
L2 = REGULARIZERS.add(
    Regularizer("L2", w**2 / 2, "strength/2 * sum W^2", parameters={"strength": 1e-3})
)

L1 = REGULARIZERS.add(
    Regularizer(
        "L1",
        sp.Abs(w),
        "strength * sum |W|",
        kinks=(sp.S.Zero,),
        subgradient="0 at W = 0",
        parameters={"strength": 1e-3},
    )
)

_l1, _l2 = parameter("l1", "nonnegative"), parameter("l2", "nonnegative")
elastic_net = REGULARIZERS.add(
    Regularizer(
        "elastic_net",
        _l1 * sp.Abs(w) + _l2 * w**2 / 2,
        "strength * sum (l1 |W| + l2/2 W^2)",
        kinks=(sp.S.Zero,),
        subgradient="the l1 part has derivative 0 at W = 0",
        parameters={"l1": 1e-3, "l2": 1e-3, "strength": 1.0},
        ranges={"l1": "nonnegative", "l2": "nonnegative"},
    )
)
