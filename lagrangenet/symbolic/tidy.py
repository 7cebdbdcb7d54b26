"""Sums as a reader expects them: constant factors outside, bound indices with readable names."""

from __future__ import annotations

import sympy as sp

from lagrangenet.symbolic import language as l

_COMPONENTS = [
    sp.Symbol(name, integer=True, positive=True) for name in ("q", "r", "s", "t", "u", "v")
]
#: Names of bound indices by the upper limit of their range: samples, layers, linear constraints.
_POOLS = {l.M: [l.i, l.j], l.N: [l.k, l.m], l.R: [l.r]}


def tidy(expr: sp.Expr) -> sp.Expr:
    """Factors that do not depend on the index out of sums, and readable names for bound indices.

    Samples are called i or j, layers k or m, components by the first of q, r, s, ... that is free.

    >>> j, m = sp.symbols("j m", integer=True, positive=True)
    >>> tidy(sp.Sum(-2 * l.b[1, j], (j, 1, m)))
    -2*Sum(b[1, q], (q, 1, m))
    """
    apart = with_dummies(expr)
    return _renamed(apart, frozenset(s for s in apart.free_symbols if isinstance(s, sp.Symbol)))


def with_dummies(expr: sp.Expr) -> sp.Expr:
    """The same expression with bound indices that occur nowhere else: safe to substitute into."""

    def fresh(total: sp.Sum) -> sp.Sum:
        names = {v: sp.Dummy(integer=True, positive=True) for v, *_ in total.limits}
        return total.func(*(arg.xreplace(names) for arg in total.args))

    return expr.replace(lambda e: isinstance(e, sp.Sum), fresh)


def _renamed(expr: sp.Expr, taken: frozenset[sp.Symbol]) -> sp.Expr:
    if not expr.has(sp.Sum):
        return expr
    if not isinstance(expr, sp.Sum):
        return expr.func(*(_renamed(arg, taken) for arg in expr.args))
    names: dict[sp.Symbol, sp.Symbol] = {}
    for v, _, upper in reversed(expr.limits):
        pool = _POOLS.get(upper, _COMPONENTS)
        names[v] = next(s for s in pool if s not in taken and s not in names.values())
    inner = _renamed(expr.function.xreplace(names), taken | frozenset(names.values()))
    constant, rest = inner.as_independent(*names.values(), as_Add=False)
    limits = [(names[v], a.xreplace(names), b.xreplace(names)) for v, a, b in expr.limits]
    return constant * sp.Sum(rest, *limits)
