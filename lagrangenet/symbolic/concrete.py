"""From opaque functions to those of a problem: derivatives by SymPy, written for evaluation.

Derivatives are expressed through values that are already known (tanh′ = 1 − x²) where SymPy proves
the identity, and through functions that the catalogue can evaluate stably (softplus′ = sigmoid).
Nothing here is a derivative that somebody typed.
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
from lagrangenet.symbolic.stationarity import tidy


def slope(choice: Choice) -> sp.Expr:
    """σ′ of a componentwise activation, in its value ``x`` if possible, otherwise in ``z``.

    Examples
    --------
    >>> slope(Choice("tanh"))
    1 - x**2
    >>> slope(Choice("softplus"))
    sigmoid(z)
    """
    return _slope(ACTIVATIONS.bind(choice))


@cache
def _slope(sigma: Bound[Activation]) -> sp.Expr:
    derivative = sp.piecewise_fold(sp.diff(sigma.expr, f.z))
    if isinstance(derivative, sp.Piecewise):
        return l.cases(derivative)
    if not derivative.has(f.z):
        return derivative
    through = _in_value(sigma.expr, derivative)
    return stably(derivative, f.z) if through is None else through


def _in_value(value: sp.Expr, derivative: sp.Expr) -> sp.Expr | None:
    """The quadratic c with σ′ = c(σ), found numerically and then proved, or None."""
    points = [sp.Rational(j, 7) for j in (-5, 1, 6)]
    rows = [[value.subs(f.z, at).evalf(30) ** e for e in range(3)] for at in points]
    right = [derivative.subs(f.z, at).evalf(30) for at in points]
    try:
        found = sp.Matrix(rows).LUsolve(sp.Matrix(right))
    except (ValueError, ZeroDivisionError):
        return None
    exact = [sp.nsimplify(c, rational=True, tolerance=1e-20) for c in found]
    guess = sum(c * value**e for e, c in enumerate(exact))
    if any(abs(c.q) > 100 for c in exact) or sp.simplify(derivative - guess) != 0:
        return None
    if exact[0] == 0:
        return f.x * (exact[1] + exact[2] * f.x)
    return exact[0] + exact[1] * f.x + exact[2] * f.x**2


def stably(expr: sp.Expr, argument: sp.Symbol) -> sp.Expr:
    """Write each term through the catalogue's stable functions where SymPy proves the identity.

    Examples
    --------
    >>> stably(sp.exp(f.x) / (1 + sp.exp(f.x)) - f.y, f.x)
    -y + sigmoid(x)
    """
    return sp.Add(*(_stable_term(term, argument) for term in sp.Add.make_args(expr)))


def _stable_term(term: sp.Expr, argument: sp.Symbol) -> sp.Expr:
    if not term.has(sp.exp):
        return term
    for name, entry in ACTIVATIONS.items():
        if entry.stable is None or entry.coupled or entry.parameters or not entry.expr.has(sp.exp):
            continue
        ratio = sp.simplify(term / entry.expr.xreplace({f.z: argument}))
        if not ratio.has(argument):
            return ratio * sp.Function(name, real=True)(argument)
    return term


def jacobian(choice: Choice, through_value: bool) -> sp.Expr:
    """∂σ_p/∂z_r of a coupled activation in ``Z[.]``, or through its value, ``IndexedBase x``.

    Examples
    --------
    >>> jacobian(Choice("softmax"), through_value=True)
    KroneckerDelta(p, r)*x[p] - x[p]*x[r]
    """
    return _jacobian(ACTIVATIONS.bind(choice), through_value)


@cache
def _jacobian(sigma: Bound[Activation], through_value: bool) -> sp.Expr:
    value = sigma.expr
    inner = sp.Dummy("s", integer=True, positive=True)
    value = value.replace(
        lambda e: isinstance(e, sp.Sum),
        lambda e: sp.Sum(e.function.xreplace({f.r: inner}), (inner, 1, f.n)),
    )
    derivative = collapse(value.diff(f.Z[f.r]), {f.p: (sp.S.One, f.n), f.r: (sp.S.One, f.n)})
    x = sp.IndexedBase("x", real=True)
    # σ_p = N_p / D: writing N_a as x_a · D at both components folds the derivative into values.
    for index in (f.p, f.r):
        numerator, denominator = value.xreplace({f.p: index}).as_numer_denom()
        folded = sp.expand(derivative).subs(numerator, x[index] * denominator)
        derivative = sp.expand(folded)
    if through_value:
        return derivative
    return derivative.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == x,
        lambda e: l.sigma_vector(l.k, e.indices[0], f.Z[l.STAR], f.n),
    )


def loss_slope(choice: Choice) -> sp.Expr:
    """∂ℓ/∂x_p of a loss in label ``y`` and output ``x``.

    Examples
    --------
    >>> loss_slope(Choice("cross_entropy"))
    -y/x
    """
    return _loss_slope(LOSSES.bind(choice))


@cache
def _loss_slope(loss: Bound[Loss]) -> sp.Expr:
    return stably(sp.diff(loss.expr, f.x), f.x)


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
    penalty = None if regularizer is None else REGULARIZERS.bind(regularizer)
    return _concrete(expr, ACTIVATIONS.bind(sigma), LOSSES.bind(loss), penalty, through_value)


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
            assert regularizer is not None
            return sp.diff(regularizer.expr, f.w, node.order).xreplace({f.w: node.args[-1]})
        if node.name == "ell":
            return _loss_at(node, loss)
        if isinstance(node, l.Opaque) and node.order == 1:
            known = l.X[node.args[1].indices] if through_value else l.sigma(*node.args)
            return _slope(sigma).xreplace({f.x: known, f.z: node.args[1]})
        if isinstance(node, l.Partial):
            return _jacobian_at(node, sigma, through_value)
        return node

    if regularizer is None:
        expr = expr.xreplace({l.rho: sp.S.Zero}).doit(deep=False)
    functions = (l.Opaque, l.Coupled, l.Partial)
    nested = expr.replace(lambda e: isinstance(e, sp.Sum), _nested) if sigma.entry.coupled else expr
    put = nested.replace(lambda e: isinstance(e, functions), change)
    return simple(put.replace(lambda e: isinstance(e, _Vjp), _collapsed))


def simple(expr: sp.Expr) -> sp.Expr:
    """Common factors out, readable names for bound indices."""
    return sp.factor_terms(tidy(expr), sign=False)


def _nested(total: sp.Sum) -> sp.Expr:
    """Σ_q Σ_r W_rp J_qr λ_q as Σ_r W_rp (Σ_q J_qr λ_q): the Jacobian meets its multiplier first."""
    for v, lower, upper in total.limits:
        factors = sp.Mul.make_args(total.function)
        inner = [e for e in factors if e.has(v)]
        if not any(isinstance(e, l.Partial) for e in inner):
            continue
        if not any(isinstance(e, sp.Indexed) and e.base in (l.lam, l.mu) for e in inner):
            continue
        rest = [limit for limit in total.limits if limit[0] != v]
        whole = sp.Mul(*(e for e in factors if not e.has(v))) * _Vjp(
            sp.Mul(*inner), v, lower, upper
        )
        return sp.Sum(whole, *rest) if rest else whole
    return total


class _Vjp(sp.Function):
    """A sum Σ_v J λ that waits for its Jacobian, so that ``Sum`` does not merge it again."""

    nargs = (4,)


def _collapsed(vjp: sp.Expr) -> sp.Expr:
    product, v, lower, upper = vjp.args
    ranges = {s: (lower, upper) for s in product.free_symbols if s != v and s.is_Symbol}
    summed = collapse(sp.Sum(sp.expand(product), (v, lower, upper)), ranges)
    return simple(summed)


def _loss_at(node: sp.Expr, loss: Bound[Loss]) -> sp.Expr:
    """ℓ or ∂ℓ/∂x_p at the sample and component of an opaque ℓ."""
    sample, vector, size = node.args[0], node.args[-2], node.args[-1]

    def at(expr: sp.Expr, component: sp.Expr) -> sp.Expr:
        here = {f.y: l.Y[sample, component], f.x: vector.xreplace({l.STAR: component})}
        return expr.replace(lambda e: e in here, lambda e: here[e])

    if isinstance(node, l.Partial):
        return at(_loss_slope(loss), node.args[1])
    component = sp.Dummy("p", integer=True, positive=True)
    value = stably(loss.expr, f.x)
    return sp.Sum(at(value, component), (component, 1, size))


def _jacobian_at(node: sp.Expr, sigma: Bound[Activation], through_value: bool) -> sp.Expr:
    layer, above, below, vector, size = node.args
    sample = vector.indices[1]
    matrix = _jacobian(sigma, through_value).xreplace({f.p: above, f.r: below})

    def known(e: sp.Expr) -> sp.Expr:
        if isinstance(e, l.Coupled):
            return l.sigma_vector(layer, e.args[1], vector, size)
        if e.base == f.Z:
            return l.Z[layer, sample, e.indices[0]]
        return l.X[layer, sample, e.indices[0]] if str(e.base) == "x" else e

    placed = matrix.replace(lambda e: isinstance(e, l.Coupled | sp.Indexed), known)
    return placed.xreplace({f.n: size})


def log_of_output(expr: sp.Expr, choice: Choice) -> sp.Expr:
    """Write log x^N through z^N where σ^N is a quotient of exponentials (softmax).

    log(exp(z_p)/Σ_r exp(z_r)) = z_p − log Σ_r exp(z_r) holds for every z, and does not underflow.
    """
    sigma = ACTIVATIONS.bind(choice)
    if not sigma.entry.coupled:
        return expr
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
