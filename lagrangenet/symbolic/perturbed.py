"""The Lagrangian of the perturbed problem, and what it says about the optimal value.

    x^k = σ^k(z^k) + ε e^k,    p(ε) = min J,    dp/dε = ∂L/∂ε

at a minimizer, because L does not change to first order with anything that is optimal. So the
derivative of the optimal value is read off L: it is derived, as every condition is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import differentiate
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.tidy import tidy

_k, _i, _p = sp.symbols("k' i' p'", integer=True, positive=True)
epsilon = sp.Symbol("kkt_epsilon", real=True)
#: The directions e^k of the constraints of x^k, and d^k of those of z^k.
E, D = (sp.IndexedBase(f"kkt_{name}", real=True) for name in ("e", "d"))


@dataclass(frozen=True)
class PerturbedLagrangian(Lagrangian):
    """L with ε e^k (and ε d^k in the preactivation splitting) on the right sides.

    Examples
    --------
    >>> from lagrangenet.symbolic.printing import text
    >>> print(text(PerturbedLagrangian("preactivation").value_derivative))
    −Σ_{k=1}^{N} Σ_{i=1}^{M} Σ_{q=1}^{n_k} d_iq^k μ_iq^k − Σ_{k=1}^{N} Σ_{i=1}^{M} Σ_{q=1}^{n_k} e_iq^k λ_iq^k
    """

    @cached_property
    def constraints(self) -> tuple[tuple[sp.Indexed, sp.Expr], ...]:
        """Pairs (multiplier, residual − ε direction)."""
        at, moved = (_k, _i, _p), {l.lam: E, l.mu: D}
        return tuple(
            (multiplier, residual - epsilon * moved[multiplier.base][at])
            for multiplier, residual in Lagrangian(self.splitting, self.kinds).constraints
        )

    @cached_property
    def value_derivative(self) -> sp.Expr:
        """∂L/∂ε, the derivative of the optimal value."""
        return tidy(differentiate(self.expr, epsilon))
