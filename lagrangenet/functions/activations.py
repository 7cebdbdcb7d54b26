"""Activations, one entry each.

To add one, add an entry: definition, and where it has them a stable form, kinks, parameters. The
derivative is never stated. See CONTRIBUTING.md.
"""

import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp

from lagrangenet.functions.base import Activation, Catalogue, Top, Z, n, p, parameter, r, z

ACTIVATIONS: Catalogue[Activation] = Catalogue("activation")

identity = ACTIVATIONS.add(Activation("identity", z, "z"))

_decay = sp.exp(-sp.Abs(z))
sigmoid = ACTIVATIONS.add(
    Activation(
        "sigmoid",
        1 / (1 + sp.exp(-z)),
        "1/(1 + exp(-z))",
        stable=sp.Piecewise((1, z >= 0), (_decay, True)) / (1 + _decay),
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

softplus = ACTIVATIONS.add(
    Activation("softplus", sp.log(1 + sp.exp(z)), "log(1 + exp(z))", stable=logaddexp(0, z))
)

softmax = ACTIVATIONS.add(
    Activation(
        "softmax",
        sp.exp(Z[p]) / sp.Sum(sp.exp(Z[r]), (r, 1, n)),
        "exp(z_p) / sum_r exp(z_r)",
        stable=sp.exp(Z[p] - Top(Z[r], r)) / sp.Sum(sp.exp(Z[r] - Top(Z[r], r)), (r, 1, n)),
        simplex=True,
    )
)
