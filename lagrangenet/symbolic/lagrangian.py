"""The Lagrangian of the chain with symbolic depth N, widths n(k) and batch M.

    L(x, θ, λ) = J + Σ_k Σ_i ⟨λ_i^k, x_i^k − σ^k(W^k x_i^{k-1} + b^k)⟩

stated once per splitting, as one SymPy expression. Nothing is differentiated here, and nothing
here knows an activation or a loss by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.display import Equation, display
from lagrangenet.symbolic.printing import check_form, in_order, terms, text
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tensor import Node, instantiate, total
from lagrangenet.symbolic.vectorized import vectorized

Splitting = Literal["activation", "preactivation"]

# Bound indices of the statement; conditions get the free ones of the language.
_k, _i, _p, _q = sp.symbols("k' i' p' q'", integer=True, positive=True)


def affine(layer: sp.Expr, sample: sp.Expr, component: sp.Expr) -> sp.Expr:
    """(W^k x_i^{k-1} + b^k)_p, what z^k abbreviates."""
    product = l.W[layer, component, _q] * l.X[layer - 1, sample, _q]
    return sp.Sum(product, (_q, 1, l.n(layer - 1))) + l.b[layer, component]


@dataclass(frozen=True)
class Lagrangian:
    """L as a sum: the objective and, for each constraint, its product with its multiplier.

    Attributes
    ----------
    splitting : {"activation", "preactivation"}
        Whether z^k = W^k x^{k-1} + b^k is an abbreviation or a constraint with multiplier μ^k.
    kinds : tuple of sympy.Symbol
        The kinds of layer that occur; with several, ``Member(k, kind)`` selects.
    biases : bool
        Whether the regularizer sums over the biases too.
    """

    splitting: Splitting = "activation"
    kinds: tuple[sp.Symbol, ...] = (l.COMPONENTWISE,)
    biases: bool = False

    def __post_init__(self) -> None:
        if self.splitting not in get_args(Splitting):
            known = ", ".join(get_args(Splitting))
            raise DerivationError(f"unknown splitting {self.splitting!r}; known: {known}")

    @cached_property
    def objective(self) -> sp.Expr:
        """J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Σ_k Σ_pq ω(W^k_pq), and + ρ Σ_k Σ_p ω(b^k_p)."""
        loss = l.ell(_i, l.X[l.N, _i, l.STAR], l.n(l.N))
        penalty = sp.Sum(
            l.omega(l.W[_k, _p, _q]), (_q, 1, l.n(_k - 1)), (_p, 1, l.n(_k)), (_k, 1, l.N)
        )
        objective = sp.Sum(loss, (_i, 1, l.M)) / l.M + l.rho * penalty
        if not self.biases:
            return objective
        return objective + l.rho * sp.Sum(l.omega(l.b[_k, _p]), (_p, 1, l.n(_k)), (_k, 1, l.N))

    @cached_property
    def constraints(self) -> tuple[tuple[sp.Indexed, sp.Expr], ...]:
        """Pairs (multiplier, residual) at layer k, sample i, component p (primed)."""
        at = (_k, _i, _p)
        if self.splitting == "activation":
            return ((l.lam[at], l.X[at] - self._sigma(lambda r: affine(_k, _i, r))),)
        linear = l.Z[at] - affine(*at)
        return (
            (l.mu[at], linear),
            (l.lam[at], l.X[at] - self._sigma(lambda r: l.Z[_k, _i, r])),
        )

    @cached_property
    def expr(self) -> sp.Expr:
        """L itself."""
        return self.objective + sp.Add(*self.products)

    @property
    def products(self) -> list[sp.Expr]:
        """Σ_k Σ_i Σ_p multiplier · residual, for each family of constraints."""
        over = ((_p, 1, l.n(_k)), (_i, 1, l.M), (_k, 1, l.N))
        return [sp.Sum(multiplier * residual, *over) for multiplier, residual in self.constraints]

    @cached_property
    def vector_form(self) -> Node:
        """L with vectors of one sample: Σ_k Σ_i ⟨λ_i^k, x_i^k − σ^k(...)⟩, for any kind of σ^k."""
        general = Lagrangian(self.splitting, (l.COUPLED,), self.biases)
        parts = sorted(general.objective.args, key=lambda term: not term.has(l.ell))
        parts += general.products
        return total([contract(part, (), (_k, _i)) for part in parts], ())

    def equation(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> str:
        """``L = ...``, in components or with vectors of one sample; at a concrete depth if given."""
        return str(self.written(form, style, depth))

    def written(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> Equation:
        """L as an equation in its parts."""
        chosen = named_style(style)
        summands = tuple(self.terms(form, chosen, depth))
        return Equation("", "Lagrangian", chosen.name("lagrangian"), "=", summands, chosen)

    def terms(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> list[str]:
        """The summands of L with their signs: loss, regularizer, each family of constraints."""
        chosen = named_style(style)
        last = l.N if depth is None else sp.Integer(depth)
        if check_form(form) == "index":
            return terms(self.expr.xreplace({l.N: last}), chosen, last=last)
        return terms(self._vectors(self.vector_form, form, {l.N: last}), chosen, last=last)

    def problem(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> tuple[list[str], list[str]]:
        """The objective's summands, and c = 0 for each family of constraints."""
        chosen = named_style(style)
        last = l.N if depth is None else sp.Integer(depth)
        free = {_k: l.k, _i: l.i, _p: l.p, _q: l.q}
        constraints = [residual.xreplace(free) for _, residual in self._shown(form).constraints]
        objective: sp.Expr | Node = self.objective.xreplace({l.N: last})
        if form == "index":
            parts: list[sp.Expr | Node] = list(constraints)
        else:
            summands = [contract(part, (), (_k, _i)) for part in in_order(self.objective)]
            objective = self._vectors(total(summands, ()), form, {l.N: last})
            trees = [contract(c, (l.i, l.p), (l.i,)) for c in constraints]
            parts = [self._vectors(tree, form, {l.N: last}) for tree in trees]
        zeros = [
            chosen.relation(text(c, chosen, last=last), "=", chosen.number("0")) for c in parts
        ]
        return terms(objective, chosen, last=last), zeros

    def _shown(self, form: str) -> Lagrangian:
        """With vectors, one σ^k stands for any kind of layer."""
        return self if check_form(form) == "index" else Lagrangian(self.splitting, (l.COUPLED,))

    @staticmethod
    def _vectors(tree: Node, form: str, values: dict[sp.Symbol, sp.Expr]) -> Node:
        return instantiate(vectorized(tree, l.k) if form == "vec" else tree, values)

    def __str__(self) -> str:
        return self.equation()

    def _repr_latex_(self) -> str:
        return f"$$ {self.equation('matrix', 'latex')} $$"

    def _repr_html_(self) -> str:
        return display(self.written("matrix", "mathml"))

    def _sigma(self, z: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
        """σ^k_p of the vector with components z(r), over the kinds that occur."""
        value = {
            l.COMPONENTWISE: l.sigma(_k, z(_p)),
            l.COUPLED: l.sigma_vector(_k, _p, z(l.STAR), l.n(_k)),
        }
        if len(self.kinds) == 1:
            return value[self.kinds[0]]
        return sp.Add(*(l.Member(_k, kind) * value[kind] for kind in self.kinds))
