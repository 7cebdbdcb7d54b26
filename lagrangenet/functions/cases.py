"""Functions by cases, as the parser builds them: where, max, min, abs, sign, and what goes with them.

Case distinctions stay as they are written: SymPy would merge nested ones into conditions joined by
"and". A condition never contains cases; it is distributed over their branches instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

Function = Callable[..., sp.Expr]

#: Comparisons in one expression.
CASES = 12


def where(condition: sp.Basic, yes: sp.Expr, no: sp.Expr) -> sp.Expr:
    """``yes`` where the condition holds, otherwise ``no``."""
    left, right = condition.args

    def chosen(a: sp.Expr, b: sp.Expr) -> sp.Expr:
        if a.is_number and b.is_number:
            return yes if condition.func(a, b) else no
        return _piecewise((yes, condition.func(a, b, evaluate=False)), (no, sp.true))

    return _by_cases(chosen, left, right)


def largest(first: sp.Expr, second: sp.Expr) -> sp.Expr:
    """max; where both are equal, its derivative is that of the constant one, otherwise the second."""
    return _by_cases(lambda a, b: _extreme(a, b, sp.StrictGreaterThan, sp.Max), first, second)


def smallest(first: sp.Expr, second: sp.Expr) -> sp.Expr:
    """min; where both are equal, its derivative is that of the constant one, otherwise the second."""
    return _by_cases(lambda a, b: _extreme(a, b, sp.StrictLessThan, sp.Min), first, second)


def _extreme(first: sp.Expr, second: sp.Expr, beats: Any, constant: Any) -> sp.Expr:
    if first.is_number and second.is_number:
        return constant(first, second)
    a, b = (second, first) if first.is_number else (first, second)
    return _piecewise((a, beats(a, b, evaluate=False)), (b, sp.true))


def _by_cases(function: Function, first: sp.Expr, second: sp.Expr) -> sp.Expr:
    """The function on every branch of its arguments, so that no condition contains cases."""
    first, second = _split(first), _split(second)
    if isinstance(first, sp.Piecewise):
        return _piecewise(*((_by_cases(function, a, second), c) for a, c in first.args))
    if isinstance(second, sp.Piecewise):
        return _piecewise(*((_by_cases(function, first, b), c) for b, c in second.args))
    if first.has(sp.Piecewise, sp.Abs) or second.has(sp.Piecewise, sp.Abs):
        raise ValueError("cases inside a comparison; compare before you calculate")
    return function(first, second)


def _split(value: sp.Expr) -> sp.Expr:
    """|a| by cases."""
    if not isinstance(value, sp.Abs):
        return value
    (a,) = value.args
    return sp.Piecewise(
        (a, sp.StrictGreaterThan(a, 0, evaluate=False)), (-a, sp.true), evaluate=False
    )


def _piecewise(*branches: tuple[sp.Expr, sp.Basic]) -> sp.Expr:
    whole = sp.Piecewise(*branches, evaluate=False)
    if len(whole.atoms(sp.core.relational.Relational)) > CASES or _size(whole) > 4 * CASES:
        raise ValueError(f"more than {CASES} cases; write fewer")
    return whole


def _size(whole: sp.Expr) -> int:
    inner = (_size(e) for e, _ in whole.args if isinstance(e, sp.Piecewise))
    return len(whole.args) + sum(inner)


def magnitude(value: sp.Expr) -> sp.Expr:
    """|value|, with derivative 0 at 0."""
    return _by_cases(lambda a, _: sp.Abs(a), value, sp.S.Zero)


def sign(value: sp.Expr) -> sp.Expr:
    """−1, 0 or 1."""
    return _by_cases(lambda a, _: sp.sign(a), value, sp.S.Zero)


def sigmoid(value: sp.Expr) -> sp.Expr:
    """1/(1 + exp(−value))."""
    return 1 / (1 + sp.exp(-value))


def softplus(value: sp.Expr) -> sp.Expr:
    """log(1 + exp(value))."""
    return sp.log(1 + sp.exp(value))
