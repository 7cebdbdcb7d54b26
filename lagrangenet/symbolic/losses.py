"""ℓ of one sample at the arrays of a problem, and its derivatives by the outputs.

    ℓ = Σ_p e(y_p, x_p, t),  t = Σ_r y_r x_r

An entry of the catalogue states e. Its derivatives by x and by t come from :mod:`.derivatives`; what
they mean for ∂ℓ/∂x_q is the chain rule, which SymPy applies to the sums above.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from lagrangenet.functions import LOSSES, Choice
from lagrangenet.functions import base as f
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.derivatives import loss_slope, loss_value

_y, _x = sp.IndexedBase("y", real=True), sp.IndexedBase("x", real=True)
_components = sp.symbols("q r", integer=True, positive=True)


class _Term(sp.Function):
    """∂^(a+b) e/∂x^a ∂t^b, with arguments (a, b, p, y_p, x_p, t)."""

    nargs = (6,)
    is_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        a, b, *at = self.args
        return _Term(a + int(argindex == 5), b + int(argindex == 6), *at)


def loss_at(
    choice: Choice,
    label: sp.Expr,
    output: sp.Expr,
    weight: sp.Expr,
    size: sp.Expr,
    by: tuple[sp.Expr, ...] = (),
) -> sp.Expr:
    """ℓ, ∂ℓ/∂x_q or ∂²ℓ/∂x_q∂x_r.

    Parameters
    ----------
    choice : Choice
        The loss.
    label, output, weight : sympy.Expr
        y, x and the class weights c, as vectors written with the index ``STAR``.
    size : sympy.Expr
        The number of components.
    by : tuple of sympy.Expr
        The components by which ℓ is differentiated.

    Examples
    --------
    >>> y, x, c = (sp.IndexedBase(name)[l.STAR] for name in "yxc")
    >>> print(loss_at(Choice("squared_error"), y, x, c, l.n(l.N), (l.p,)))
    x[p] - y[p]
    """

    def at(expr: sp.Expr, component: sp.Expr, t: sp.Expr) -> sp.Expr:
        here = {
            **{v: e.xreplace({l.STAR: component}) for v, e in ((f.y, label), (f.c, weight))},
            f.x: output.xreplace({l.STAR: component}),
            f.t: t,
        }
        return expr.replace(lambda e: e in here, lambda e: here[e])

    def known(term: sp.Expr) -> sp.Expr:
        a, b, component, _, _, t = term.args
        order = (int(a), int(b))
        if order == (0, 0):
            return at(loss_value(choice), component, t)
        return at(loss_slope(choice, *order), component, t)

    def array(e: sp.Indexed) -> sp.Expr:
        return (label if e.base == _y else output).xreplace({l.STAR: e.indices[0]})

    stated = _chain_rule(LOSSES[choice.name].coupled, len(by))
    stated = stated.xreplace({f.n: size, **dict(zip(_components, by, strict=False))})
    placed = stated.replace(lambda e: isinstance(e, sp.Indexed) and e.base in {_y, _x}, array)
    found = placed.replace(lambda e: isinstance(e, _Term), known)
    return found.replace(_is_sum, _carried_out) if by else found


@cache
def _chain_rule(coupled: bool, order: int) -> sp.Expr:
    """ℓ, differentiated by as many outputs, in terms of the derivatives of e."""
    p, r = (sp.Dummy(name, integer=True, positive=True) for name in "pr")
    t = sp.Sum(_y[r] * _x[r], (r, 1, f.n)) if coupled else sp.S.Zero
    expr = sp.Sum(_Term(0, 0, p, _y[p], _x[p], t), (p, 1, f.n))
    for component in _components[:order]:
        expr = expr.diff(_x[component])
    return collapse(expr, dict.fromkeys(_components[:order], (sp.S.One, f.n)))


def _is_sum(e: sp.Expr) -> bool:
    return isinstance(e, sp.Sum)


def _carried_out(total: sp.Sum) -> sp.Expr:
    """A sum of nothing is nothing; factors that do not depend on the index go before the sum."""
    outside, inside = total.function.as_independent(*(v for v, *_ in total.limits), as_Add=False)
    return outside * sp.Sum(inside, *total.limits) if inside != 0 and outside != 0 else sp.S.Zero
