"""The Lagrangian of a network whose ReLU layers are stated as complementarity conditions.

    x ≥ 0,   x ≥ z,   x (x − z) ≤ t        (at t = 0: x = max(z, 0), without a kink)

    L = J + ⟨μ, z − W x − b⟩ + [smooth] ⟨λ, x − σ(z)⟩ + [relu] (−⟨α, x⟩ − ⟨β, x − z⟩ + ⟨γ, x (x − z) − t⟩)

for symbolic depth, with layers of both kinds in any order. The products are stated here; everything
else is derived by the machinery of the smooth problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.lagrangian import Lagrangian, Splitting, affine
from lagrangenet.symbolic.stationarity import Row

_k, _i, _p = sp.symbols("k' i' p'", integer=True, positive=True)
#: The kind of a layer that is a complementarity condition.
RELU = sp.Symbol("relu")
#: Multipliers of x ≥ 0, of x ≥ z and of x (x − z) ≤ t; and t.
alpha, beta, gamma = (
    sp.IndexedBase(f"kkt_{name}", real=True) for name in ("alpha", "beta", "gamma")
)
t = sp.Symbol("kkt_t", nonnegative=True)
#: The product that is relaxed, in x and s = x − z; its derivatives are SymPy's.
x, s = sp.symbols("x s", real=True)
PRODUCT = x * s


@dataclass(frozen=True)
class ComplementarityLagrangian(Lagrangian):
    """L with ReLU layers as complementarity conditions, in the preactivation splitting.

    Examples
    --------
    >>> from lagrangenet.symbolic.inequalities import conditions, written
    >>> for condition in conditions(ComplementarityLagrangian()):
    ...     if condition.kind == RELU and condition.layers != "output":
    ...         print(f"({condition.label}) {written(condition)}")
    (S3) ∂L/∂x_ip^k = 2 γ_ip^k x_ip^k − α_ip^k − β_ip^k − Σ_{q=1}^{n_{k+1}} W_qp^{k+1} μ_iq^{k+1} − γ_ip^k z_ip^k
    (S4) μ_ip^k = γ_ip^k x_ip^k − β_ip^k
    """

    splitting: Splitting = "preactivation"
    kinds: tuple[sp.Symbol, ...] = (l.COMPONENTWISE, RELU)

    @cached_property
    def constraints(self) -> tuple[tuple[sp.Indexed, sp.Expr], ...]:
        """The equations: those of z, and those of the layers that are not ReLU."""
        at = (_k, _i, _p)
        smooth = l.Member(_k, l.COMPONENTWISE) * (l.X[at] - l.sigma(_k, l.Z[at]))
        return (l.mu[at], l.Z[at] - affine(*at)), (l.lam[at], smooth)

    @cached_property
    def expr(self) -> sp.Expr:
        """L itself."""
        at = (_k, _i, _p)
        slack = l.X[at] - l.Z[at]
        product = PRODUCT.subs({x: l.X[at], s: slack}, simultaneous=True)
        terms = (-alpha[at] * l.X[at], -beta[at] * slack, gamma[at] * (product - t))
        over = ((_p, 1, l.n(_k)), (_i, 1, l.M), (_k, 1, l.N))
        inside = [sp.Sum(l.Member(_k, RELU) * term, *over) for term in terms]
        return self.objective + sp.Add(*self.products) + sp.Add(*inside)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The inequalities, by multiplier."""
        at = (l.k, l.i, l.p)
        named = ((alpha, "x is not negative"), (beta, "x is not below z"),
                 (gamma, "one of the two holds with equality, up to t"))  # fmt: skip
        return tuple(Row("S1", title, base[at], "all", None) for base, title in named)
