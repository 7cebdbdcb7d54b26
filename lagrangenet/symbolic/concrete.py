"""From opaque functions to those of a problem: σ, ℓ and Ω put into a condition.

The derivatives that are put in come from :mod:`.derivatives`.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from lagrangenet.functions import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    Activation,
    Choice,
    Loss,
    Regularizer,
)
from lagrangenet.functions import base as f
from lagrangenet.functions.base import Bound
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.curvature import curvature, s
from lagrangenet.symbolic.derivatives import jacobian, penalty, slope
from lagrangenet.symbolic.losses import loss_at
from lagrangenet.symbolic.stable import evaluable, settled, softplus, stably
from lagrangenet.symbolic.tangent import tangent
from lagrangenet.symbolic.tidy import tidy


def concrete(
    expr: sp.Expr,
    sigma: Choice,
    loss: Choice,
    regularizer: Choice | None,
    through_value: bool,
) -> sp.Expr:
    """Put the functions of a problem in place of the opaque derivatives.

    Parameters
    ----------
    expr : sympy.Expr
        A condition in index form.
    sigma : Choice
        The activation of the one layer whose σ occurs.
    loss, regularizer : Choice
        ℓ and Ω; without a regularizer ρ becomes 0.
    through_value : bool
        Whether x^k = σ^k(z^k) holds, so that σ′ may be written through x^k.
    """
    omega = None if regularizer is None else REGULARIZERS.bind(regularizer)
    return _concrete(expr, ACTIVATIONS.bind(sigma), LOSSES.bind(loss), omega, through_value)


@cache
def _concrete(
    expr: sp.Expr,
    sigma: Bound[Activation],
    loss: Bound[Loss],
    regularizer: Bound[Regularizer] | None,
    through_value: bool,
) -> sp.Expr:
    def change(node: sp.Expr) -> sp.Expr:
        if node.name == "omega":
            if regularizer is None:
                return sp.S.Zero
            return penalty(regularizer.choice, node.order).xreplace({f.w: node.args[-1]})
        if node.name == "ell":
            return _loss_at(node, loss)
        if isinstance(node, l.Opaque) and node.order:
            known = l.X[node.args[1].indices] if through_value else l.sigma(*node.args)
            return slope(sigma.choice, node.order).xreplace({f.x: known, f.z: node.args[1]})
        if isinstance(node, _Moved):
            return tangent(_jacobian_at(node, sigma, through_value))
        if isinstance(node, l.Partial):
            return _jacobian_at(node, sigma, through_value)
        return node

    if regularizer is None:
        expr = expr.xreplace({l.rho: sp.S.Zero}).doit(deep=False)
    functions = (l.Opaque, l.Coupled, l.Partial)
    moved = expr.replace(lambda e: isinstance(e, sp.Sum), _moved) if through_value else expr
    nested = moved.replace(lambda e: isinstance(e, sp.Sum) and e.has(l.Partial), _nested)
    put = nested.replace(lambda e: isinstance(e, functions), change)
    return simple(put.replace(lambda e: isinstance(e, _Contracted), _collapsed))


def simple(expr: sp.Expr) -> sp.Expr:
    """Common factors out, readable names for bound indices."""
    return sp.factor_terms(tidy(expr), sign=False)


class _Moved(l.Partial):
    """Σ_r ∂²σ_q/∂z_r∂z_p ż_r, the tangent of the Jacobian: arguments as of the first derivative."""

    name = "sigma"


def _moved(total: sp.Sum) -> sp.Expr:
    """Second derivatives along ż as tangents of the Jacobian, which is known through x and ẋ."""
    factors = list(sp.Mul.make_args(total.function))
    for second in factors:
        if not (isinstance(second, l.Partial) and second.order == 2 and second.name == "sigma"):
            continue
        layer, above, *below, vector, size = second.args
        for limit in total.limits:
            along = l.TANGENTS[l.Z][layer, vector.indices[1], limit[0]]
            if limit[0] not in below or along not in factors:
                continue
            (other,) = (index for index in below if index != limit[0])
            rest = sp.Mul(*(e for e in factors if e not in (second, along)))
            limits = [kept for kept in total.limits if kept != limit]
            whole = rest * _Moved(layer, above, other, vector, size)
            return sp.Sum(whole, *limits) if limits else whole
    return total


#: What the derivative of a coupled function is contracted with before anything else.
_VECTORS = frozenset({l.lam, l.mu, *(l.TANGENTS[base] for base in (l.X, l.Z, l.lam, l.mu))})


def _nested(total: sp.Sum) -> sp.Expr:
    """Σ_q Σ_r W_rp J_qr λ_q as Σ_r W_rp (Σ_q J_qr λ_q): the Jacobian meets its multiplier first.

    A second derivative meets both of its vectors first.
    """
    factors = sp.Mul.make_args(total.function)

    def met(v: sp.Symbol) -> bool:
        """Whether v is a component of both a derivative and a vector."""
        of_derivative = any(isinstance(e, l.Partial) and v in e.args[1:-2] for e in factors)
        vectors = [e for e in factors if isinstance(e, sp.Indexed) and e.base in _VECTORS]
        return of_derivative and any(v in e.indices for e in vectors)

    summed = [limit for limit in total.limits if met(limit[0])]
    if not summed:
        return total
    inner = [e for e in factors if e.has(*(v for v, *_ in summed))]
    whole = sp.Mul(*(e for e in factors if e not in inner)) * _Contracted(sp.Mul(*inner), *summed)
    rest = [limit for limit in total.limits if limit not in summed]
    return sp.Sum(whole, *rest) if rest else whole


class _Contracted(sp.Function):
    """A sum Σ_v J λ that waits for its Jacobian, so that ``Sum`` does not merge it again."""


def _collapsed(contracted: sp.Expr) -> sp.Expr:
    product, *limits = contracted.args
    bound = {v for v, *_ in limits}
    (_, lower, upper), *_ = limits
    ranges = {v: (lower, upper) for v in product.free_symbols - bound if v.is_Symbol}
    return simple(collapse(sp.Sum(sp.expand(product), *limits), ranges))


def _loss_at(node: sp.Expr, loss: Bound[Loss]) -> sp.Expr:
    """ℓ, ∂ℓ/∂x_p or ∂²ℓ/∂x_p∂x_r at the sample and components of an opaque ℓ."""
    sample, vector, size = node.args[0], node.args[-2], node.args[-1]

    label, weight = l.Y[sample, l.STAR], l.C[l.STAR]
    return loss_at(loss.choice, label, vector, weight, size, node.args[1:-2])


def _jacobian_at(node: sp.Expr, sigma: Bound[Activation], through_value: bool) -> sp.Expr:
    layer, *components, vector, size = node.args
    sample = vector.indices[1]
    derivative = (jacobian if node.order == 1 else curvature)(sigma.choice, through_value)
    matrix = derivative.xreplace(dict(zip((f.p, f.r, s), components, strict=False)))

    def known(e: sp.Expr) -> sp.Expr:
        if isinstance(e, l.Coupled):
            return l.sigma_vector(layer, e.args[1], vector, size)
        if e.base == f.Z:
            return l.Z[layer, sample, e.indices[0]]
        return l.X[layer, sample, e.indices[0]] if str(e.base) == "x" else e

    placed = matrix.replace(lambda e: isinstance(e, l.Coupled | sp.Indexed), known)
    return placed.xreplace({f.n: size})


def log_of_output(expr: sp.Expr, choice: Choice) -> sp.Expr:
    """Write log x^N through z^N where σ^N is a quotient of exponentials (softmax, sigmoid).

    log(exp(z_p)/Σ_r exp(z_r)) = z_p − log Σ_r exp(z_r) holds for every z, and does not underflow.
    """
    sigma = ACTIVATIONS.bind(choice)
    if not sigma.entry.coupled:
        return _log_of_componentwise(expr, sigma)
    expanded = sp.expand_log(sp.log(sigma.expr), force=True)

    def change(node: sp.Expr) -> sp.Expr:
        layer, sample, component = node.args[0].indices
        vector, size = l.Z[layer, sample, l.STAR], l.n(layer)
        written = expanded.replace(
            lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.Sum),
            lambda _: l.LogSumExp(vector, size),
        )
        return written.xreplace({f.Z[f.p]: l.Z[layer, sample, component]})

    return expr.replace(
        lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.Indexed), change
    )


def _log_of_componentwise(expr: sp.Expr, sigma: Bound[Activation]) -> sp.Expr:
    """Write log x^N through z^N where log σ has a stable form without a logarithm."""
    if not sigma.entry.positive:
        return expr
    written = evaluable(stably(sp.log(settled(sigma))))
    if any(e.has(f.z) for e in written.atoms(sp.log)):
        return expr
    return expr.replace(
        lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.Indexed),
        lambda e: written.xreplace({f.z: l.Z[e.args[0].indices]}),
    )


def quotient_of_output(expr: sp.Expr, choice: Choice) -> sp.Expr:
    """Write 1/x^N through z^N where σ′/σ has a form that is stable where x^N underflows."""
    sigma = ACTIVATIONS.bind(choice)
    if sigma.entry.coupled or not settled(sigma).has(softplus):
        return expr
    return expr.replace(
        lambda e: e.is_Pow and e.exp.is_negative and isinstance(e.base, sp.Indexed),
        lambda e: settled(sigma).xreplace({f.z: l.Z[e.base.indices]}) ** e.exp,
    )
