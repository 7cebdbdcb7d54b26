"""Derivatives of scalar functions by SymPy, written for evaluation.

They are expressed through values that are already known (tanh′ = 1 − x², tanh″ = −2x(1 − x²))
where SymPy proves the identity, and through functions that the catalogue can evaluate stably
(softplus′ = sigmoid). Nothing here is a derivative that somebody typed.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    Activation,
    Catalogue,
    Choice,
    Loss,
    Regularizer,
)
from lagrangenet.functions import base as f
from lagrangenet.functions.base import Bound, E, Entry
from lagrangenet.problem import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.stable import defined, derivative, evaluable, settled


def slope(choice: Choice, order: int = 1) -> sp.Expr:
    """σ′ or σ″ of a componentwise activation, in its value ``x`` if possible, otherwise in ``z``.

    At a kink it is the derivative of the branch that is chosen there; σ″ is 0 across a kink.

    Examples
    --------
    >>> slope(Choice("tanh"))
    1 - x**2
    >>> slope(Choice("softplus"))
    sigmoid(z)
    >>> slope(Choice("tanh"), 2)
    -2*x*(1 - x**2)
    """
    return _slope(_differentiable(ACTIVATIONS, choice), order)


@cache
def _slope(sigma: Bound[Activation], order: int) -> sp.Expr:
    if order > 1:
        below = _slope(sigma, order - 1)
        if below.has(f.x):
            return sp.diff(below, f.x) * _slope(sigma, 1)
    found = derivative(settled(sigma), f.z, order)
    if not found.has(f.z) or found.has(l.Where):
        return evaluable(found)
    through = _in_value(sigma.expr, found) if order == 1 else None
    return evaluable(found) if through is None else through


def _in_value(value: sp.Expr, slope: sp.Expr) -> sp.Expr | None:
    """The quadratic c with σ′ = c(σ), found numerically and then proved, or None."""
    points = [sp.Rational(j, 7) for j in (-5, 1, 6)]
    rows = [[value.subs(f.z, at).evalf(30) ** e for e in range(3)] for at in points]
    right = [defined(slope).subs(f.z, at).evalf(30) for at in points]
    try:
        found = sp.Matrix(rows).LUsolve(sp.Matrix(right))
    except (ValueError, ZeroDivisionError):
        return None
    if not all(entry.is_real for row in rows for entry in row):
        return None
    exact = [sp.nsimplify(c, rational=True, tolerance=1e-20) for c in found]
    guess = sum(c * value**e for e, c in enumerate(exact))
    if any(abs(c.q) > 100 for c in exact) or sp.simplify(defined(slope) - guess) != 0:
        return None
    if exact[0] == 0:
        return f.x * (exact[1] + exact[2] * f.x)
    return exact[0] + exact[1] * f.x + exact[2] * f.x**2


def jacobian(choice: Choice, through_value: bool) -> sp.Expr:
    """∂σ_p/∂z_r of a coupled activation in ``Z[.]``, or through its value, ``IndexedBase x``.

    Examples
    --------
    >>> jacobian(Choice("softmax"), through_value=True)
    KroneckerDelta(p, r)*x[p] - x[p]*x[r]
    """
    return _jacobian(_differentiable(ACTIVATIONS, choice), through_value)


@cache
def _jacobian(sigma: Bound[Activation], through_value: bool) -> sp.Expr:
    value = sigma.expr
    inner = sp.Dummy("s", integer=True, positive=True)
    value = value.replace(
        lambda e: isinstance(e, sp.Sum),
        lambda e: sp.Sum(e.function.xreplace({f.r: inner}), (inner, 1, f.n)),
    )
    slope = collapse(value.diff(f.Z[f.r]), {f.p: (sp.S.One, f.n), f.r: (sp.S.One, f.n)})
    x = sp.IndexedBase("x", real=True)
    slope = _through_logarithm(value, slope, x)
    # σ_p = N_p / D: writing N_a as x_a · D at both components folds the derivative into values.
    for index in (f.p, f.r):
        numerator, denominator = value.xreplace({f.p: index}).as_numer_denom()
        folded = sp.expand(slope).subs(numerator, x[index] * denominator)
        slope = sp.expand(folded)
    if through_value:
        return slope
    return slope.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == x,
        lambda e: l.sigma_vector(l.k, e.indices[0], f.Z[l.STAR], f.n),
    )


def _through_logarithm(value: sp.Expr, slope: sp.Expr, x: sp.IndexedBase) -> sp.Expr:
    """Where σ_p = N_p − log S: 1/S in the Jacobian is exp(x_r − N_r)."""
    logs = [e for e in value.args if isinstance(-e, sp.log)] if value.is_Add else []
    if len(logs) != 1:
        return slope
    total = (-logs[0]).args[0]
    inverse = sp.exp((x[f.p] - value + logs[0]).xreplace({f.p: f.r}))
    return slope.replace(lambda e: e == 1 / total, lambda _: inverse)


def loss_value(choice: Choice) -> sp.Expr:
    """ℓ of one component in label ``y`` and output ``x``.

    Examples
    --------
    >>> loss_value(Choice("binary_cross_entropy"))
    -x*y + softplus(x)
    """
    return _weighted(choice, evaluable(settled(LOSSES.bind(choice))))


def loss_slope(choice: Choice, order: int = 1, by_labelled: int = 0) -> sp.Expr:
    """∂e/∂x, or a higher derivative, of one component of a loss in label ``y`` and output ``x``.

    With ``by_labelled`` it is also differentiated by ``t``, the output of the labelled class.

    Examples
    --------
    >>> loss_slope(Choice("cross_entropy"))
    -y/x
    >>> loss_slope(Choice("multiclass_hinge"), 0, 1)
    Where(t - x < 1, -1, 0)
    """
    return _weighted(choice, _loss_slope(_differentiable(LOSSES, choice), order, by_labelled))


def _weighted(choice: Choice, expr: sp.Expr) -> sp.Expr:
    """An expression of ℓ, times the weight of its component where the loss is weighted."""
    return f.c * expr if ("weighted", True) in choice.parameters else expr


@cache
def _loss_slope(loss: Bound[Loss], order: int, by_labelled: int) -> sp.Expr:
    return evaluable(derivative(derivative(settled(loss), f.x, order), f.t, by_labelled))


def _differentiable(catalogue: Catalogue[E], choice: Choice) -> Bound[E]:
    found = catalogue.bind(choice)
    if not found.entry.differentiable:
        raise DerivationError(refusal(found.entry))
    return found


def without_derivative(problem: Problem) -> str:
    """Why J of a problem has no gradient, naming layer and entry; empty if it has one."""
    for k, entry in enumerate(problem.activations, 1):
        if not entry.differentiable:
            return f"layer {k}: {refusal(entry)}"
    return "" if problem.loss_entry.differentiable else refusal(problem.loss_entry)


def refusal(entry: Entry) -> str:
    """Why there is no derivative of an entry with jumps, and what to do."""
    others = {"loss": "'hinge' or 'perceptron'"}.get(entry.kind, "'sigmoid' or 'tanh'")
    return (
        f"{entry.kind} {entry.name!r} jumps and has no derivative: it can be evaluated, but not "
        f"trained; use {others} for training"
    )


def penalty(choice: Choice, order: int = 1) -> sp.Expr:
    """Ω, Ω′ or Ω″ of one weight ``w``, without the strength.

    Examples
    --------
    >>> penalty(Choice("L2", (("strength", 1.0),)))
    w
    """
    return _penalty(REGULARIZERS.bind(choice), order)


@cache
def _penalty(regularizer: Bound[Regularizer], order: int) -> sp.Expr:
    return evaluable(derivative(settled(regularizer), f.w, order))
