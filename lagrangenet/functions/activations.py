"""Activations, one entry each.

To add one, add an entry: definition, and where it has them a stable form, kinks, parameters. The
derivative is never stated. See CONTRIBUTING.md.
"""

from collections.abc import Mapping

import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp

from lagrangenet.errors import ProblemError
from lagrangenet.functions import written
from lagrangenet.functions.base import Activation, Top, Z, n, p, parameter, r, z
from lagrangenet.functions.catalogue import Catalogue

ACTIVATIONS: Catalogue[Activation] = Catalogue("activation", written.activation)

identity = ACTIVATIONS.add(Activation("identity", z, "z"))

_decay = sp.exp(-sp.Abs(z))
sigmoid = ACTIVATIONS.add(
    Activation(
        "sigmoid",
        1 / (1 + sp.exp(-z)),
        "1/(1 + exp(-z))",
        stable=sp.Piecewise((1, z >= 0), (_decay, True)) / (1 + _decay),
        positive=True,
    )
)

tanh = ACTIVATIONS.add(Activation("tanh", sp.tanh(z), "tanh(z)"))

relu = ACTIVATIONS.add(
    Activation(
        "relu",
        sp.Piecewise((z, z > 0), (0, True)),
        "max(z, 0)",
        stable=sp.Max(z, 0),
        kinks=(sp.S.Zero,),
        subgradient="0 at z = 0",
    )
)

_slope = parameter("slope")
leaky_relu = ACTIVATIONS.add(
    Activation(
        "leaky_relu",
        sp.Piecewise((z, z > 0), (_slope * z, True)),
        "z for z > 0, slope*z otherwise",
        kinks=(sp.S.Zero,),
        subgradient="slope at z = 0",
        parameters={"slope": 0.01},
    )
)

_alpha = parameter("alpha")
elu = ACTIVATIONS.add(
    Activation(
        "elu",
        sp.Piecewise((z, z > 0), (_alpha * (sp.exp(z) - 1), True)),
        "z for z > 0, alpha*(exp(z) - 1) otherwise",
        kinks=(sp.S.Zero,),
        subgradient="alpha at z = 0",
        parameters={"alpha": 1.0},
    )
)

softplus = ACTIVATIONS.add(
    Activation(
        "softplus",
        sp.log(1 + sp.exp(z)),
        "log(1 + exp(z))",
        stable=logaddexp(0, z),
        positive=True,
    )
)

silu = ACTIVATIONS.add(Activation("silu", z / (1 + sp.exp(-z)), "z/(1 + exp(-z))"))

gelu = ACTIVATIONS.add(
    Activation("gelu", z * (1 + sp.erf(z / sp.sqrt(2))) / 2, "z/2 (1 + erf(z/sqrt(2)))")
)

_inner = sp.sqrt(2 / sp.pi) * (z + sp.Rational("0.044715") * z**3)
gelu_tanh = ACTIVATIONS.add(
    Activation(
        "gelu_tanh",
        z / (1 + sp.exp(-2 * _inner)),
        "z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))",
    )
)

_low, _high = parameter("low", "real"), parameter("high", "real")


def _ordered(values: Mapping[str, float]) -> None:
    if not values["low"] < values["high"]:
        raise ProblemError(
            f"activation 'hard_tanh': low is {values['low']:g} and high is {values['high']:g}; "
            "low has to be below high"
        )


hard_tanh = ACTIVATIONS.add(
    Activation(
        "hard_tanh",
        sp.Piecewise(
            (sp.Piecewise((z, z < _high), (_high, True), evaluate=False), z > _low),
            (_low, True),
            evaluate=False,
        ),
        "z between low and high, otherwise the nearer of them",
        stable=sp.Min(sp.Max(z, _low), _high),
        kinks=(_low, _high),
        subgradient="0 at z = low and z = high",
        parameters={"low": -1.0, "high": 1.0},
        ranges={"low": "real", "high": "real"},
        accepts=_ordered,
    )
)

sin = ACTIVATIONS.add(Activation("sin", sp.sin(z), "sin(z)"))

threshold = ACTIVATIONS.add(
    Activation(
        "threshold",
        sp.Piecewise((1, z > 0), (0, True)),
        "1 for z > 0, 0 otherwise; without derivative",
        differentiable=False,
    )
)

sign = ACTIVATIONS.add(
    Activation("sign", sp.sign(z), "-1, 0 or 1; without derivative", differentiable=False)
)

softmax = ACTIVATIONS.add(
    Activation(
        "softmax",
        sp.exp(Z[p]) / sp.Sum(sp.exp(Z[r]), (r, 1, n)),
        "exp(z_p) / sum_r exp(z_r)",
        stable=sp.exp(Z[p] - Top(Z[r], r)) / sp.Sum(sp.exp(Z[r] - Top(Z[r], r)), (r, 1, n)),
        simplex=True,
        positive=True,
    )
)

_shifted = sp.log(sp.Sum(sp.exp(Z[r] - Top(Z[r], r)), (r, 1, n)))
log_softmax = ACTIVATIONS.add(
    Activation(
        "log_softmax",
        Z[p] - sp.log(sp.Sum(sp.exp(Z[r]), (r, 1, n))),
        "z_p - log sum_r exp(z_r)",
        stable=Z[p] - Top(Z[r], r) - _shifted,
        log_simplex=True,
    )
)
