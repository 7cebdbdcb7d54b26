"""Neural networks as constrained optimization: derived KKT conditions, code, and a certificate.

    minimize (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ)   subject to   x^k = σ^k(W^k x^{k-1} + b^k)

``derive`` states the Lagrangian and its stationarity conditions, ``generate`` turns them into
routines, ``verify`` checks those routines against independent oracles, ``minimize`` solves the
problem.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lagrangenet.errors import (
    DataError,
    DerivationError,
    LagrangenetError,
    MissingExtra,
    ProblemError,
)
from lagrangenet.functions import ACTIVATIONS, LOSSES, REGULARIZERS
from lagrangenet.functions.regularizers import L2
from lagrangenet.graph import Constraint, Graph
from lagrangenet.layers import LAYERS, Layer
from lagrangenet.problem import Dense, Problem, chain
from lagrangenet.runtime import Routines, generate
from lagrangenet.symbolic.derivation import Derivation, derive
from lagrangenet.symbolic.notation import Notation
from lagrangenet.verify import Certificate, Stationary, classify, verify

__all__ = [
    "ACTIVATIONS",
    "L2",
    "LAYERS",
    "LOSSES",
    "METHODS",
    "REGULARIZERS",
    "Certificate",
    "Constraint",
    "DataError",
    "Dense",
    "Derivation",
    "DerivationError",
    "Graph",
    "LagrangenetError",
    "Layer",
    "MissingExtra",
    "Notation",
    "Problem",
    "ProblemError",
    "Routines",
    "Stationary",
    "chain",
    "classify",
    "derive",
    "generate",
    "load",
    "minimize",
    "save",
    "sensitivity",
    "verify",
]


if TYPE_CHECKING:
    from lagrangenet.optimize import METHODS, load, save
    from lagrangenet.optimize.minimize import minimize
    from lagrangenet.optimize.sensitivity import sensitivity

    __version__: str
else:
    _OPTIMIZE = {"METHODS", "load", "minimize", "save", "sensitivity"}

    def __getattr__(name: str) -> object:
        """What is read when it is asked for, because importing it takes a while."""
        if name in _OPTIMIZE:
            return getattr(import_module("lagrangenet.optimize"), name)
        if name != "__version__":
            raise AttributeError(f"module 'lagrangenet' has no attribute {name!r}")
        from importlib.metadata import version

        return version("lagrangenet")
