"""Faults of factors, terms and signs: what is missing, doubled, on the wrong side or reversed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sympy as sp

from lagrangenet.grading.faults.rule import Change, Place, Words, rule
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node

_SAMPLES = t.Number((), l.M)


def mean_of(divisor: Node) -> Words:
    """A divisor in words: M makes the mean over the samples."""
    if divisor == _SAMPLES:
        return ("1/M (the mean over the samples)",)
    return ("the divisor ", divisor)


@rule("factor missing", "Count the factors of this product.")
def _factor_missing(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Product):
        return
    for j, factor in enumerate(node.factors):
        rest = node.factors[:j] + node.factors[j + 1 :]
        if rest or node.divisors:
            yield Change(
                _product(node, rest, node.divisors), ("the factor ", factor, " is missing")
            )
    for j, divisor in enumerate(node.divisors):
        rest = node.divisors[:j] + node.divisors[j + 1 :]
        words = (*mean_of(divisor), " is missing")
        yield Change(_product(node, node.factors, rest), words)


def _product(node: t.Product, factors: tuple[Node, ...], divisors: tuple[Node, ...]) -> Node:
    if len(factors) == 1 and not divisors and factors[0].axes == node.axes:
        return factors[0]
    return t.Product(node.axes, factors or (t.ONE,), divisors)


@rule("factor twice", "A factor may already be contained in what you multiply it with.", cost=1.1)
def _factor_twice(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Product):
        return
    for factor in node.factors:
        if not isinstance(factor, t.Ref) or factor.name == "X":
            twice = replace(node, factors=(*node.factors, factor))
            yield Change(twice, ("the factor ", factor, " is applied twice"))
    for divisor in node.divisors:
        twice = replace(node, divisors=(*node.divisors, divisor))
        yield Change(twice, (*mean_of(divisor), " is applied twice"))


@rule("factor on the wrong side", "Which quantities are multiplied, which divided?", cost=1.5)
def _upside_down(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Product):
        return
    for j, divisor in enumerate(node.divisors):
        rest = node.divisors[:j] + node.divisors[j + 1 :]
        changed = t.Product(node.axes, (*node.factors, divisor), rest)
        yield Change(changed, ("multiplied by ", divisor, " instead of divided by it"))
    for j, factor in enumerate(node.factors):
        rest = node.factors[:j] + node.factors[j + 1 :]
        if rest and not isinstance(factor, t.Number):
            changed = t.Product(node.axes, rest, (*node.divisors, factor))
            yield Change(changed, ("divided by ", factor, " instead of multiplied by it"))


@rule("term missing", "Count the terms of this sum.")
def _term_missing(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Total) or len(node.plus) + len(node.minus) < 2:
        return
    for j, term in enumerate(node.plus):
        rest = node.plus[:j] + node.plus[j + 1 :]
        yield Change(_sum(node, rest, node.minus), ("the term ", term, " is missing"))
    for j, term in enumerate(node.minus):
        rest = node.minus[:j] + node.minus[j + 1 :]
        yield Change(_sum(node, node.plus, rest), ("the term ", term, " is missing"))


def _sum(node: t.Total, plus: tuple[Node, ...], minus: tuple[Node, ...]) -> Node:
    if len(plus) == 1 and not minus and plus[0].axes == node.axes:
        return plus[0]
    return t.Total(node.axes, plus, minus)


@rule("sign", "Check the signs, one term at a time.", cost=0.9)
def _sign(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Total) or len(node.plus) + len(node.minus) < 2:
        return
    for j, term in enumerate(node.plus):
        rest = node.plus[:j] + node.plus[j + 1 :]
        changed = t.Total(node.axes, rest, (*node.minus, term))
        yield Change(changed, ("the sign of ", term, " is reversed"))
    for j, term in enumerate(node.minus):
        rest = node.minus[:j] + node.minus[j + 1 :]
        changed = t.Total(node.axes, (*node.plus, term), rest)
        yield Change(changed, ("the sign of ", term, " is reversed"))


@rule("sign of the whole", "Check the sign of the result.", at="root", cost=0.8)
def _whole_sign(node: Node, _: Place) -> Iterator[Change]:
    yield Change(t.negate(node), ("the sign is reversed",))


@rule("sign of an argument", "What goes into the function?", cost=1.6)
def _argument_sign(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and isinstance(node.args[0], t.Ref):
        first = node.args[0]
        minus = t.Total(first.axes, (), (first,))
        changed = replace(node, args=(minus, *node.args[1:]))
        yield Change(changed, ("the sign of ", first, " in the argument is reversed"))


@rule("power missing", "Which quantities are squared?")
def _power_missing(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Power):
        yield Change(node.base, (node.base, " stands where its power belongs"))
        multiple = t.Product(node.axes, (t.scalar(node.exponent), node.base))
        yield Change(multiple, (multiple, " stands where ", node, " belongs"))


def _scaled(node: Node, factors: tuple[Node, ...], divisors: tuple[Node, ...]) -> Node:
    return t.Product(node.axes, (*factors, node), divisors)


#: Constant factors of wrong results: multiplied by, divided by, in words.
SCALES: tuple[tuple[tuple[Node, ...], tuple[Node, ...], str], ...] = (
    ((_SAMPLES,), (), "M times too large: the mean over the samples is missing"),
    ((), (_SAMPLES,), "M times too small: the mean over the samples is taken once too often"),
    ((_SAMPLES,), (t.Number((), l.M - 1),), "divided by M − 1 instead of M"),
    ((t.scalar(2),), (), "twice too large"),
    ((), (t.scalar(2),), "half as large as it should be"),
)


@rule(
    "constant factor",
    "A constant factor is off; follow it through the equations.",
    at="root",
    cost=1.15,
)
def _constant_factor(node: Node, _: Place) -> Iterator[Change]:
    for factors, divisors, words in SCALES:
        yield Change(_scaled(node, factors, divisors), (words,))


@rule("mean over the components", "What does the mean run over?", at="root", cost=1.1)
def _components(node: Node, place: Place) -> Iterator[Change]:
    width = t.Number((), l.n(l.N))
    if place.label in {"J", "S2", "S4", ""}:
        words = "too small by the number of outputs: the mean runs over the components too"
        yield Change(_scaled(node, (), (width,)), (words,))


@rule("constant factor of a term", "Check the constants, one term at a time.", cost=1.05)
def _term_factor(node: Node, _: Place) -> Iterator[Change]:
    """As above for one of several terms: the penalty, or what comes from the data."""
    if not isinstance(node, t.Total) or len(node.plus) + len(node.minus) < 2:
        return
    for name in ("plus", "minus"):
        terms: tuple[Node, ...] = getattr(node, name)
        for j, term in enumerate(terms):
            if is_penalty(term) or isinstance(term, t.MatMul | t.Reduced):
                for factors, divisors, words in SCALES:
                    changed = (*terms[:j], _scaled(term, factors, divisors), *terms[j + 1 :])
                    new = replace(node, **{name: changed})
                    yield Change(new, ("the term ", term, " is ", words))


def is_penalty(node: Node) -> bool:
    """Whether a term is a product with ρ."""
    return isinstance(node, t.Product) and t.Number((), l.rho) in node.factors


@rule("nothing computed", "Is this computed at all?", at="root", cost=1.01)
def _zero(node: Node, _: Place) -> Iterator[Change]:
    zero = t.Product(node.axes, (t.Number((), sp.S.Zero), node))
    yield Change(zero, ("it is zero",))
