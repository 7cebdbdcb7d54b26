"""What a problem says about its functions, for the normal form: derived from their declarations.

σ′ through the value of σ, ∂ℓ/∂x, ω′ and the Jacobian of an output that couples its components come
from the derivation's own derivatives. What is no polynomial of them (log, a kink) stays opaque, which
is no loss: then both sides keep its name, and numbers decide about anything else.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import sympy as sp

from lagrangenet.functions import ACTIVATIONS, LOSSES, Choice
from lagrangenet.functions import base as f
from lagrangenet.grading.formulas.indexed import (
    LAST,
    Add,
    Fun,
    Mul,
    Num,
    Pow,
    Range,
    Ref,
    Sum,
    Tree,
)
from lagrangenet.grading.formulas.normal import Rules
from lagrangenet.symbolic.derivatives import jacobian, loss_slope, loss_value, penalty, slope

_VALUE = Ref("X", None, ("*",))
_OUTPUT = Ref("X", LAST, ("i", "p"))
_LABEL = Ref("Y", LAST, ("i", "p"))


class _Opaque(Exception):
    """The expression is no polynomial, nor a quotient of them."""


@cache
def rules(
    hidden: Choice | None, output: Choice | None, loss: Choice | None, penalty_: Choice | None
) -> Rules:
    """The rules of a problem whose hidden layers are alike; None where a function is left open.

    Examples
    --------
    >>> found = rules(Choice("tanh"), Choice("identity"), Choice("squared_error"), None)
    >>> sorted(found.functions)
    [('sigma', 1), ('sigma@N', 1)]
    """
    functions: dict[tuple[str, int], Tree] = {}
    for choice, suffix in ((hidden, ""), (output, "@N")):
        if choice is None or ACTIVATIONS[choice.name].coupled:
            continue
        if not ACTIVATIONS[choice.name].differentiable:
            continue
        tree = _polynomial(slope(choice, 1), {f.x: _VALUE})
        if tree is not None:
            functions["sigma" + suffix, 1] = tree
    if penalty_ is not None:
        for order in (0, 1):
            tree = _polynomial(penalty(penalty_, order), {f.w: _VALUE})
            if tree is not None:
                functions["omega", order] = tree
    found = Rules(
        functions,
        _loss(loss),
        hidden="" if hidden is None else hidden.name,
        output="" if output is None else output.name,
        penalized=penalty_ is not None,
    )
    if loss is not None and LOSSES[loss.name].labels == "distribution":
        found = replace(found, distribution=True)
    if output is not None and ACTIVATIONS[output.name].coupled:
        found = replace(found, jacobian=_jacobian(output), simplex=ACTIVATIONS[output.name].simplex)
    return found


def _loss(loss: Choice | None) -> dict[int, Tree]:
    if loss is None or LOSSES[loss.name].coupled or not LOSSES[loss.name].differentiable:
        return {}
    names: dict[sp.Expr, Tree] = {f.x: _OUTPUT, f.y: _LABEL}
    found: dict[int, Tree] = {}
    value = _polynomial(loss_value(loss), names)
    if value is not None:
        found[0] = Sum("p", Range("component", LAST), value)
    first = _polynomial(loss_slope(loss), names)
    if first is not None:
        found[1] = first
    return found


def _jacobian(output: Choice) -> Tree | None:
    """∂x_q/∂z_p through the values of x."""
    x = sp.IndexedBase("x", real=True)
    names: dict[sp.Expr, Tree] = {
        x[f.p]: Ref("X", LAST, ("i", "q")),
        x[f.r]: Ref("X", LAST, ("i", "p")),
        sp.KroneckerDelta(f.p, f.r): Ref("kron", None, ("q", "p")),
    }
    return _polynomial(jacobian(output, through_value=True), names)


def _polynomial(expr: sp.Expr, names: dict[sp.Expr, Tree]) -> Tree | None:
    try:
        return _tree(expr, names)
    except _Opaque:
        return None


def _tree(expr: sp.Expr, names: dict[sp.Expr, Tree]) -> Tree:
    if expr in names:
        return names[expr]
    if expr.is_Rational:
        return Num(Fraction(int(expr.p), int(expr.q)))
    if expr.is_Add:
        return Add(tuple(_tree(arg, names) for arg in expr.args))
    if expr.is_Mul:
        return Mul(tuple(_tree(arg, names) for arg in expr.args))
    if expr.is_Pow and expr.exp.is_Integer and abs(int(expr.exp)) <= 4:
        return Pow(_tree(expr.base, names), int(expr.exp))
    if isinstance(expr, sp.log | sp.exp):
        return Fun(type(expr).__name__, None, 0, _tree(expr.args[0], names))
    raise _Opaque
