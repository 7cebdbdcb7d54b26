"""Second derivatives of activations that couple their components, by SymPy, folded into values."""

from __future__ import annotations

from functools import cache

import sympy as sp

from lagrangenet.functions import ACTIVATIONS, Activation, Choice
from lagrangenet.functions import base as f
from lagrangenet.functions.base import Bound
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.derivatives import jacobian

#: The index of the second derivative's second component, beside ``p`` and ``r``.
s = sp.Symbol("s", integer=True)


def curvature(choice: Choice, through_value: bool) -> sp.Expr:
    """∂²σ_p/∂z_r∂z_s of a coupled activation: its Jacobian, differentiated along z_s.

    Like the Jacobian it is in ``Z[.]``, or through the value, ``IndexedBase x``.

    Examples
    --------
    >>> curvature(Choice("softmax"), through_value=True).xreplace({f.r: f.p, s: f.p})
    2*x[p]**3 - 3*x[p]**2 + x[p]
    """
    return _curvature(ACTIVATIONS.bind(choice), through_value)


@cache
def _curvature(sigma: Bound[Activation], through_value: bool) -> sp.Expr:
    matrix = jacobian(sigma.choice, True)
    epsilon = sp.Dummy("epsilon")

    def moved(e: sp.Indexed) -> sp.Expr:
        (component,) = e.indices
        if e.base == f.Z:
            return e + epsilon * sp.KroneckerDelta(component, s)
        return e + epsilon * matrix.xreplace({f.p: component, f.r: s})

    along = matrix.replace(lambda e: isinstance(e, sp.Indexed), moved).diff(epsilon)
    ranges = dict.fromkeys((f.p, f.r, s), (sp.S.One, f.n))
    derivative = sp.expand(collapse(along.xreplace({epsilon: sp.S.Zero}), ranges))
    if through_value:
        return derivative
    return derivative.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base != f.Z,
        lambda e: l.sigma_vector(l.k, e.indices[0], f.Z[l.STAR], f.n),
    )
