"""Signs and scales that a student may choose, and the derived conditions written in them.

    L = a Σ_i ℓ_i + ρ Ω + s Σ_k Σ_i ⟨λ_i^k, c_i^k⟩,   a = 1/M or 1,  s = ±1 or ±1/M

gives λ = κ λ° with κ = a M / s, where λ° are the multipliers of the derivation. Δ and δ may likewise be
defined with a factor. The conditions are not written anew: λ° = λ/κ is put into the derived ones,
which are then solved again, as :mod:`lagrangenet.symbolic.backward` does for Δ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.backward import in_variable
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.lagrangian import Lagrangian, Splitting
from lagrangenet.symbolic.stationarity import Condition, stationarity
from lagrangenet.symbolic.tensor import Node, total
from lagrangenet.symbolic.tidy import tidy

BASES = {"lambda": l.lam, "mu": l.mu, "Delta": l.Delta, "delta": l.delta}
#: The two pairs of variables: multipliers, and derivatives of a sample's loss.
FAMILIES = {"lambda": "multipliers", "mu": "multipliers", "Delta": "errors", "delta": "errors"}


@dataclass(frozen=True)
class Scale:
    """A sign and a power of M.

    >>> print(Scale(-1, -1))
    −1/M
    """

    sign: int = 1
    samples: int = 0

    @property
    def expr(self) -> sp.Expr:
        """It as an expression."""
        return sp.Integer(self.sign) * l.M**self.samples

    def times(self, other: Scale) -> Scale:
        """The product of two."""
        return Scale(self.sign * other.sign, self.samples + other.samples)

    def inverse(self) -> Scale:
        """The reciprocal."""
        return Scale(self.sign, -self.samples)

    def __str__(self) -> str:
        body = {0: "1", 1: "M", -1: "1/M"}.get(self.samples, f"M^{self.samples}")
        return ("−" if self.sign < 0 else "") + body


UNIT = Scale()


@dataclass(frozen=True)
class Convention:
    """What is the student's choice.

    Attributes
    ----------
    objective : {"mean", "sum", "sample"}
        a = 1/M, a = 1, or one sample without a sum.
    constraint : Scale
        s.
    errors : Scale
        Δ and δ of the student, by those of the notes.
    splitting : {"activation", "preactivation", "z"}
        Which constraints have multipliers; ``z`` is z^k = W^k σ(z^{k−1}) + b^k alone.
    penalty_over_samples : bool
        Whether the regularizer is divided by M.
    """

    objective: str = "mean"
    constraint: Scale = UNIT
    errors: Scale = UNIT
    splitting: str = "activation"
    penalty_over_samples: bool = False

    @property
    def data(self) -> Scale:
        """A M: the student's data term by that of the derivation."""
        return UNIT if self.objective == "mean" else Scale(1, 1)

    @property
    def multipliers(self) -> Scale:
        """κ."""
        return self.data.times(self.constraint.inverse())

    def of(self, variable: str) -> Scale:
        """The student's variable by that of the derivation."""
        return self.multipliers if FAMILIES[variable] == "multipliers" else self.errors

    def words(self, used: set[str]) -> list[str]:
        """What differs from the derivation's own, of what is used, for the note beside an answer."""
        found = []
        multipliers, errors = "multipliers" in used, "errors" in used
        if self.objective == "sum" and (multipliers or "objective" in used):
            found.append("the objective is the sum over the samples, not their mean")
        if self.objective == "sample" and (multipliers or "objective" in used):
            found.append("the formulas are those of one sample")
        if multipliers and self.constraint.sign < 0:
            found.append("the multipliers have the opposite sign (L = J − Σ λ c)")
        if multipliers and self.constraint.samples:
            found.append("1/M stands before the constraints too, so λ is without it")
        if errors and self.errors.sign < 0:
            found.append("Δ and δ have the opposite sign")
        if errors and self.errors.samples:
            found.append("Δ and δ contain 1/M")
        return found


@cache
def derived(
    variable: str, splitting: Splitting, kinds: tuple[sp.Symbol, ...], biases: bool
) -> tuple[Condition, ...]:
    """The stationarity conditions with the backward pass in one of four variables.

    ``mu`` alone is δ with the factor −1/M; with the preactivation splitting, λ and Δ step through
    μ and δ.
    """
    found = stationarity(Lagrangian(splitting, kinds, biases))
    if variable == "mu":
        return tuple(_substituted(c, l.delta, l.mu, -l.M) for c in in_variable(found, "delta"))
    return in_variable(found, variable)


def _substituted(
    condition: Condition, old: sp.IndexedBase, new: sp.IndexedBase, factor: sp.Expr
) -> Condition:
    """``old = factor · new`` put into a condition; solved for the new one if for the old before."""

    def put(expr: sp.Expr) -> sp.Expr:
        return expr.replace(
            lambda e: isinstance(e, sp.Indexed) and e.base == old,
            lambda e: factor * sp.Indexed(new, *e.indices),
        )

    changed = replace(condition, residual=tidy(sp.expand_mul(put(condition.residual))))
    if condition.unknown is None:
        return changed
    assert condition.solution is not None
    solution, unknown = put(condition.solution), condition.unknown
    if unknown.base == old:
        solution, unknown = solution / factor, sp.Indexed(new, *unknown.indices)
    return replace(changed, unknown=unknown, solution=tidy(sp.expand_mul(solution)))


@cache
def conditions(
    variable: str,
    splitting: Splitting,
    kinds: tuple[sp.Symbol, ...],
    biases: bool,
    convention: Convention,
    slope: str = "objective",
) -> tuple[Condition, ...]:
    """The derived conditions in a student's convention.

    Parameters
    ----------
    slope : {"objective", "sample"}
        Whether gradients are those of L, or of the loss of one sample.

    Examples
    --------
    >>> minus = Convention(constraint=Scale(-1))
    >>> for condition in conditions("lambda", "activation", (l.COMPONENTWISE,), False, minus)[1:3]:
    ...     print(condition)
    (S2)  λ_ip^N = (1/M) ∂ℓ(y_i, x_i^N)/∂x_ip^N
    (S3)  λ_ip^k = Σ_{q=1}^{n_{k+1}} W_qp^{k+1} σ′^{k+1}(z_iq^{k+1}) λ_iq^{k+1}
    """
    found = []
    for condition in derived(variable, splitting, kinds, biases):
        chosen = condition
        for name, base in BASES.items():
            scale = convention.of(name)
            if scale != UNIT:
                chosen = _substituted(chosen, base, base, scale.inverse().expr)
        gradient = chosen.label in {"S5", "S6"}
        found.append(_gradient(chosen, convention, slope) if gradient else chosen)
    return tuple(found)


def _gradient(condition: Condition, convention: Convention, slope: str) -> Condition:
    """∂L/∂θ with the student's factor of the data term; or that of one sample's loss."""
    terms = sp.Add.make_args(sp.expand_mul(condition.residual))
    data = sp.Add(*(term for term in terms if not term.has(l.rho)))
    penalty = sp.Add(*(term for term in terms if term.has(l.rho)))
    one = slope == "sample" or convention.objective == "sample"
    if one:
        data = data.replace(
            lambda e: isinstance(e, sp.Sum) and e.limits[0][2] == l.M,
            lambda e: e.function.xreplace({e.limits[0][0]: l.i}),
        )
    scale = Scale(1, 1) if one else convention.data
    data = data * scale.expr
    if slope == "sample":
        penalty = sp.S.Zero
    elif convention.penalty_over_samples:
        penalty = penalty / l.M
    return replace(condition, residual=tidy(sp.expand_mul(data + penalty)))


# -- the Lagrangian --------------------------------------------------------------------------------


@cache
def lagrangian_parts(
    convention: Convention, biases: bool, kinds: tuple[sp.Symbol, ...] = (l.COUPLED,)
) -> tuple[sp.Expr, ...]:
    """The summands of the student's L: data term, penalty, each family of constraints."""
    splitting: Splitting = "activation" if convention.splitting == "activation" else "preactivation"
    stated = Lagrangian(splitting, kinds, biases)
    objective = sp.Add.make_args(stated.objective)
    data = [part * convention.data.expr for part in objective if not part.has(l.rho)]
    share = 1 / l.M if convention.penalty_over_samples else sp.S.One
    penalty = [part * share for part in objective if part.has(l.rho)]
    families = stated.products[:1] if convention.splitting == "z" else stated.products
    constraints = [part * convention.constraint.expr for part in families]
    parts = (*data, *penalty, *constraints)
    if convention.objective != "sample":
        return parts
    return tuple(_of_one_sample(part) for part in parts)


def _of_one_sample(part: sp.Expr) -> sp.Expr:
    """A summand without its sum over the samples."""

    def without(total: sp.Sum) -> sp.Expr:
        limits = [limit for limit in total.limits if limit[2] != l.M]
        gone = {limit[0]: l.i for limit in total.limits if limit[2] == l.M}
        body = total.function.xreplace(gone)
        return sp.Sum(body, *limits) if limits else body

    changed = part.replace(lambda e: isinstance(e, sp.Sum), without)
    return changed * l.M / l.M


def lagrangian_tree(convention: Convention, biases: bool, penalized: bool = True) -> Node:
    """L as array operations, with vectors of one sample."""
    bound = sp.symbols("k' i'", integer=True, positive=True)
    summands = [p for p in lagrangian_parts(convention, biases) if penalized or not p.has(l.rho)]
    parts = [contract(p, (), (*bound, l.i)) for p in summands]
    return total(parts, ())
