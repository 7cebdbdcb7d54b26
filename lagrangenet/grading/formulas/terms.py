"""Sums of products in which equal formulas are equal objects: terms, and names for bound indices.

Kronecker deltas are collapsed, what does not depend on an index leaves its sum, and bound indices get
names that depend on their role alone. Refuses to grow beyond :data:`TERMS` terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lagrangenet.errors import LagrangenetError
from lagrangenet.grading.formulas.indexed import Layer, Range

#: At most so many terms, factors of one, and orders of bound indices that are tried.
TERMS, FACTORS, ORDERS = 600, 40, 24

#: A factor: name, order, layer, indices, normal form of an argument.
Factor = tuple[str, int, Layer | None, tuple[str, ...], "Normal | None"]


class TooLarge(LagrangenetError):
    """A formula whose expansion is not worth anybody's time."""


@dataclass(frozen=True)
class Term:
    """coefficient · Π factors^exponent, summed over the bound indices."""

    coefficient: Fraction
    factors: tuple[tuple[Factor, int], ...]
    bound: tuple[tuple[str, Range], ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What two terms that can be added have in common."""
        return self.factors, self.bound


@dataclass(frozen=True)
class Normal:
    """A normal form; equal ones are equal formulas."""

    terms: tuple[Term, ...]

    def __bool__(self) -> bool:
        return bool(self.terms)

    def names(self) -> set[str]:
        """The names of all factors, those of arguments included."""
        found: set[str] = set()
        for term in self.terms:
            for (name, _, _, _, inner), _ in term.factors:
                found.add(name)
                found |= inner.names() if inner is not None else set()
        return found

    def times(self, scalar: Fraction, samples: int = 0) -> Normal:
        """The form times a number and a power of M."""
        factor = Normal((make(scalar, {_sample_count: samples} if samples else {}, {}),))
        return collected(product([self, factor]))

    def plus(self, other: Normal) -> Normal:
        """The sum of both."""
        return collected((*self.terms, *other.terms))

    def minus(self, other: Normal) -> Normal:
        """The difference."""
        return self.plus(other.times(Fraction(-1)))


_sample_count: Factor = ("M", 0, None, (), None)


def product(factors: Iterable[Normal]) -> list[Term]:
    """Every term of each factor times every term of the others."""
    found = [make(Fraction(1), {}, {})]
    for factor in factors:
        found = bounded([_times(a, b) for a in found for b in factor.terms])
    return found


def bounded(terms: list[Term]) -> list[Term]:
    """The terms, if they are not too many."""
    if len(terms) > TERMS:
        raise TooLarge(f"expanded, the formula has more than {TERMS} terms")
    return terms


_numbers = itertools.count()


def _times(a: Term, b: Term) -> Term:
    """The product of two terms, the bound indices of the second renamed apart."""
    names = {name: f"b{next(_numbers)}" for name, _ in b.bound}
    powers = dict(a.factors)
    for factor, exponent in b.factors:
        moved = _renamed(factor, names, names) if names else factor
        powers[moved] = powers.get(moved, 0) + exponent
    if sum(map(abs, powers.values())) > FACTORS:
        raise TooLarge(f"expanded, a product has more than {FACTORS} factors")
    bound = dict(a.bound) | {names[name]: _range(over, names) for name, over in b.bound}
    return make(a.coefficient * b.coefficient, powers, bound)


def make(coefficient: Fraction, powers: Mapping[Factor, int], bound: Mapping[str, Range]) -> Term:
    """A term without the factors whose exponent is zero."""
    kept = tuple((factor, exponent) for factor, exponent in powers.items() if exponent)
    return Term(coefficient, kept, tuple(bound.items()))


def summed(term: Term, index: str, over: Range) -> Term:
    """Σ over an index of a term; an index that does not occur counts."""
    inside = [over for _, over in term.bound]
    used = any(uses(factor, index) for factor, _ in term.factors) or any(
        layer is not None and layer.base == index
        for one in inside
        for layer in (one.layer, one.low, one.high)
    )
    if not used:
        counted: Factor = _sample_count
        if over.kind == "component":
            counted = ("n", 0, over.layer, (), None)
        elif over.kind == "layer":
            counted = ("count", 0, None, (str(over.low), str(over.high)), None)
        powers = dict(term.factors)
        powers[counted] = powers.get(counted, 0) + 1
        return make(term.coefficient, powers, dict(term.bound))
    fresh = f"b{next(_numbers)}"
    names = {index: fresh}
    powers = {_renamed(f, names, names): e for f, e in term.factors}
    bound = {name: _range(one, names) for name, one in term.bound}
    kind = Range(over.kind, None, over.low, over.high)
    return make(term.coefficient, powers, {**bound, fresh: kind})


def uses(factor: Factor, index: str) -> bool:
    """Whether an index occurs in a factor."""
    _, _, layer, at, inner = factor
    if index in at or (layer is not None and layer.base == index):
        return True
    return inner is not None and any(
        uses(one, index) for term in inner.terms for one, _ in term.factors
    )


def _renamed(factor: Factor, names: Mapping[str, str], layers: Mapping[str, str]) -> Factor:
    name, order, layer, at, inner = factor
    layer = None if layer is None else _layer(layer, layers)
    if inner is not None:
        terms = tuple(
            Term(
                term.coefficient,
                tuple((_renamed(f, names, layers), e) for f, e in term.factors),
                tuple((n, _range(over, layers)) for n, over in term.bound),
            )
            for term in inner.terms
        )
        inner = collected(terms)
    return name, order, layer, tuple(names.get(index, index) for index in at), inner


def _range(over: Range, names: Mapping[str, str]) -> Range:
    return over.relayered(lambda layer: _layer(layer, names))


def _layer(layer: Layer, names: Mapping[str, str]) -> Layer:
    return Layer(names.get(layer.base, layer.base), layer.offset)


def collected(terms: Iterable[Term]) -> Normal:
    """The normal form of a sum: like terms added, in a fixed order."""
    found: dict[tuple[Any, ...], Fraction] = {}
    for term in terms:
        found_form = canonical(_collapsed(term))
        found[found_form.key] = found.get(found_form.key, Fraction(0)) + found_form.coefficient
    kept = [Term(c, *key) for key, c in found.items() if c]
    return Normal(tuple(sorted(kept, key=lambda term: repr(term.key))))


def _collapsed(term: Term) -> Term:
    """Kronecker deltas under their sums are substituted."""
    bound = dict(term.bound)
    for factor, exponent in term.factors:
        name, _, _, at, _ = factor
        if name != "kron" or exponent < 1:
            continue
        a, b = at
        powers = {f: e for f, e in term.factors if f != factor}
        if a == b:
            return _collapsed(make(term.coefficient, powers, bound))
        gone = next((index for index in (a, b) if index in bound), None)
        if gone is None:
            if a > b:
                swapped: Factor = ("kron", 0, None, (b, a), None)
                return make(term.coefficient, {**powers, swapped: 1}, bound)
            continue
        names = {gone: b if gone == a else a}
        merged: dict[Factor, int] = {}
        for f, e in powers.items():
            moved = _renamed(f, names, {})
            merged[moved] = merged.get(moved, 0) + e
        del bound[gone]
        return _collapsed(make(term.coefficient, merged, bound))
    return term


def canonical(term: Term) -> Term:
    """A term with names for its bound indices that depend on their role alone."""
    if not term.bound:
        return Term(term.coefficient, _sorted(term.factors), ())
    bound = dict(term.bound)
    colours = {name: repr((over.kind, _limits(over, bound))) for name, over in bound.items()}
    for _ in range(2):
        colours = {name: colours[name] + _signature(term, name, colours) for name in bound}
        ranks = {c: f"{n:02d}" for n, c in enumerate(sorted(set(colours.values())))}
        colours = {name: ranks[c] for name, c in colours.items()}
    groups: dict[str, list[str]] = {}
    for name in bound:
        groups.setdefault(colours[name], []).append(name)
    ordered = [groups[colour] for colour in sorted(groups)]
    choices = itertools.product(*(itertools.permutations(group) for group in ordered))
    best: Term | None = None
    for choice in itertools.islice(choices, ORDERS):
        order = [name for group in choice for name in group]
        candidate = _in_order(term, order, bound)
        if best is None or repr(candidate.key) < repr(best.key):
            best = candidate
    assert best is not None
    return best


def _limits(over: Range, bound: Mapping[str, Range]) -> tuple[str, str]:
    low, high = (
        "" if one is None or one.base in bound else str(one) for one in (over.low, over.high)
    )
    return low, high


def _signature(term: Term, name: str, colours: Mapping[str, str]) -> str:
    """How an index occurs: in which factors, at which places, beside which others."""
    names = {other: f"?{colour}" for other, colour in colours.items()} | {name: "!"}
    seen = [(_renamed(f, names, names), e) for f, e in term.factors if uses(f, name)]
    return repr(sorted(map(repr, seen)))


def _depth(factor: Factor) -> int:
    inner = factor[-1]
    if inner is None:
        return 0
    return 1 + max((_depth(f) for term in inner.terms for f, _ in term.factors), default=0)


def _in_order(term: Term, order: list[str], bound: Mapping[str, Range]) -> Term:
    """Bound names by position; those of an argument have fewer marks than what is around it."""
    mark = "#" * (1 + max((_depth(f) for f, _ in term.factors), default=0))
    names = {name: f"{mark}{n}" for n, name in enumerate(order)}
    factors = _sorted((_renamed(f, names, names), e) for f, e in term.factors)
    kinds = tuple((names[name], _range(bound[name], names)) for name in order)
    return Term(term.coefficient, factors, kinds)


def _sorted(factors: Iterable[tuple[Factor, int]]) -> tuple[tuple[Factor, int], ...]:
    return tuple(sorted(factors, key=repr))
