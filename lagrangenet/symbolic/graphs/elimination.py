"""Terms with affine subscripts: which sums a Kronecker delta removes, and what is stored where.

A delta that fixes a summed index removes that sum if the index stays in its range, which interval
arithmetic proves. Otherwise there are two ways to read ∂/∂x_s of Σ_t λ_t x_{2t+r}: as a formula,
λ_{(s−r)/2} where that exists (an Iverson guard), or as an order to store, "add λ_t at 2t + r". People
want the first, code the second: in bounds because the forward equation is, for every stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy as sp

from lagrangenet.symbolic.collapse import Between, Term, terms

Ranges = Mapping[sp.Symbol, tuple[sp.Expr, sp.Expr]]


@dataclass(frozen=True)
class Part:
    """Σ over ``bound`` of factor · Π guards, stored at subscripts.

    Attributes
    ----------
    factor : sympy.Expr
        May hold deltas of a subscript that is data.
    bound : tuple of (index, lower, upper)
    guards : tuple of Between
        Iverson brackets.
    stores : tuple of (free index, subscript)
        Where the part is added to its array; a free index that is not here is its own subscript.
    """

    factor: sp.Expr
    bound: tuple[tuple[sp.Symbol, sp.Expr, sp.Expr], ...] = ()
    guards: tuple[Between, ...] = ()
    stores: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()

    def xreplace(self, swap: Mapping[sp.Basic, sp.Basic]) -> Part:
        """Substitute everywhere."""
        return Part(
            self.factor.xreplace(swap),
            tuple((v.xreplace(swap), a.xreplace(swap), b.xreplace(swap)) for v, a, b in self.bound),
            tuple(g.xreplace(swap) for g in self.guards),
            tuple((v.xreplace(swap), e.xreplace(swap)) for v, e in self.stores),
        )

    def unguarded(self, ranges: Ranges) -> Part:
        """The guards as shorter ranges to store at: what [s + 1 ≤ T] keeps is s = 1..T−1."""
        part = replace(self, guards=())
        for low, value, high in (guard.args for guard in self.guards):
            v = next((v for v in value.free_symbols & set(ranges) if value.coeff(v) == 1), None)
            if v is None or (value - v).has(v):
                return self
            first, last = ranges[v]
            if low != value:
                first = low - value + v
            if high != value:
                last = high - value + v
            index = sp.Dummy(v.name, integer=True, positive=True)
            place = sp.expand(index + first - 1)
            part = part.xreplace({v: place})
            bound = (*part.bound, (index, sp.S.One, sp.expand(last - first + 1)))
            part = replace(part, bound=bound, stores=(*part.stores, (v, place)))
        return part

    @property
    def expr(self) -> sp.Expr:
        """The part as a SymPy expression; what is stored elsewhere appears as a delta."""
        deltas = [sp.KroneckerDelta(v, e) for v, e in self.stores]
        number, rest = self.factor.as_coeff_Mul()
        product = sp.Mul(rest, *self.guards, *deltas)
        return number * (sp.Sum(product, *self.bound) if self.bound else product)


def parts(expr: sp.Expr, ranges: Ranges, store: bool, kept: frozenset[str]) -> tuple[Part, ...]:
    """A derivative of sums of indexed expressions, free of the deltas that can be solved.

    Parameters
    ----------
    expr : sympy.Expr
    ranges : mapping
        Of the free indices.
    store : bool
        Whether a free index may become a subscript to store at, rather than a guard.
    kept : frozenset of str
        Names of indices along which a recurrence runs: there, guards are what is wanted.
    """
    return tuple(_solved(term, ranges, store, kept) for term in terms(expr))


def _solved(term: Term, ranges: Ranges, store: bool, kept: frozenset[str]) -> Part:
    part = Part(term.factor, term.bound)
    deltas = list(term.deltas)
    while deltas:
        found = _choose(deltas, part, ranges, store, kept)
        if found is None:
            break
        delta, v, value, guard = found
        deltas.remove(delta)
        swap = {v: value}
        if v in ranges:
            part = replace(part, stores=(*part.stores, (v, value)))
            continue
        rest = tuple(limit for limit in part.bound if limit[0] != v)
        part = replace(part, bound=rest).xreplace(swap)
        if guard is not None:
            part = replace(part, guards=(*part.guards, guard))
        deltas = [d for d in (d.xreplace(swap) for d in deltas) if d != 1]
    return replace(part, factor=sp.Mul(part.factor, *deltas))


_Choice = tuple[sp.KroneckerDelta, sp.Symbol, sp.Expr, Between | None]


def _choose(
    deltas: list[sp.KroneckerDelta], part: Part, ranges: Ranges, store: bool, kept: frozenset[str]
) -> _Choice | None:
    """The next delta and the index it fixes: sums without a guard, then stores, then guards."""
    inside = {v: (a, b) for v, a, b in part.bound}
    every = {**ranges, **inside}
    guarded: list[tuple[int, _Choice]] = []
    for delta in deltas:
        for v, limits in inside.items():
            value = _value(delta, v)
            if value is None:
                continue
            guard = _guard(value, *limits, every)
            if guard is None:
                return delta, v, value, None
            guarded.append((len(value.free_symbols & set(every)), (delta, v, value, guard)))
    along = [c for _, c in guarded if c[1].name in kept]
    if along:
        return along[0]
    taken = {v for v, _ in part.stores}
    if store:
        for delta in deltas:
            for v, value in (delta.args, delta.args[::-1]):
                if v in ranges and v not in taken and not value.free_symbols & set(ranges):
                    return delta, v, value, None
    return min(guarded, key=lambda g: g[0])[1] if guarded else None


def _value(delta: sp.KroneckerDelta, v: sp.Symbol) -> sp.Expr | None:
    """What v has to be, if the delta is affine in it with coefficient ±1 and no data."""
    if not delta.has(v) or delta.atoms(sp.Indexed):
        return None
    difference = sp.expand(delta.args[0] - delta.args[1])
    slope = difference.coeff(v)
    if slope not in (1, -1):
        return None
    return sp.expand(v - difference / slope)


def _guard(value: sp.Expr, lower: sp.Expr, upper: sp.Expr, ranges: Ranges) -> Between | None:
    """None if ``value`` provably stays in lower..upper, otherwise the Iverson bracket of it."""
    low, high = interval(value, ranges)
    above = sp.expand(low - lower).is_nonnegative
    below = sp.expand(upper - high).is_nonnegative
    if above and below:
        return None
    return Between(lower if not above else value, value, upper if not below else value)


def interval(value: sp.Expr, ranges: Ranges) -> tuple[sp.Expr, sp.Expr]:
    """The least and the largest value of an affine subscript."""
    low = high = sp.expand(value)
    for v in sorted(value.free_symbols & set(ranges), key=str):
        slope = low.coeff(v)
        first, last = ranges[v] if slope.is_nonnegative else ranges[v][::-1]
        low, high = low.subs(v, first), high.subs(v, last)
    return low, high
