"""The normal form: sums of products in which equal formulas are equal objects.

Products are expanded, Kronecker deltas collapsed, what does not depend on an index leaves its sum,
and bound indices get names that depend on their role alone. ``W x + b`` is recognized as z. The
functions of a problem are put in as polynomials in their values, where they are ones
(tanh′ = 1 − x²); what is none stays a name. Refuses to grow beyond :data:`TERMS` terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lagrangenet.errors import LagrangenetError
from lagrangenet.grading.formulas.indexed import (
    Add,
    Fun,
    Layer,
    Mul,
    Num,
    Pow,
    Range,
    Ref,
    Sum,
    Sym,
    Tree,
    changed,
    renamed,
    walk,
)

TERMS, FACTORS, POWER, ORDERS = 600, 40, 8, 24

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
        """This, times a number and a power of M."""
        factor = Normal((_term(scalar, {_sample_count: samples} if samples else {}, {}),))
        return _collected(product([self, factor]))

    def plus(self, other: Normal) -> Normal:
        """The sum of both."""
        return _collected((*self.terms, *other.terms))

    def minus(self, other: Normal) -> Normal:
        """The difference."""
        return self.plus(other.times(Fraction(-1)))


_sample_count: Factor = ("M", 0, None, (), None)


@dataclass(frozen=True)
class Rules:
    """What is known about the functions of a problem.

    Attributes
    ----------
    functions : mapping
        (name, order) → a tree in the entry ``X`` at ``"*"`` of a layer, for hidden layers; with the
        suffix ``"@N"`` in the name for the output.
    loss : mapping
        order → a tree in ``X`` and ``Y`` at ``("i", "p")``; of order 0 summed over p.
    distribution : bool
        Whether labels sum to one over the components; ``simplex`` whether outputs do.
    hidden, output : str
        The names of the activations, empty where they are left open.
    penalized : bool
        Whether there is a regularizer; without, terms with ρ vanish.
    through : bool
        Whether x = σ(z) may be used.
    """

    functions: Mapping[tuple[str, int], Tree] = field(default_factory=dict)
    loss: Mapping[int, Tree] = field(default_factory=dict)
    jacobian: Tree | None = None
    hidden: str = ""
    output: str = ""
    distribution: bool = False
    simplex: bool = False
    penalized: bool = True
    through: bool = True


def normal(tree: Tree, rules: Rules) -> Normal:
    """The normal form of a tree.

    Examples
    --------
    >>> x, W = Ref("X", Layer("k"), ("i", "q")), Ref("W", Layer("k"), ("p", "q"))
    >>> one = Sum("q", Range("component"), Mul((W, x)))
    >>> two = Sum("r", Range("component"), Mul((Ref("X", Layer("k"), ("i", "r")), W)))
    >>> normal(one, Rules()) == normal(two, Rules())
    False
    """
    found = _collected(_Expansion(rules).expand(tree))
    if not (rules.distribution or rules.simplex):
        return found
    return _collected(_without_units(term, rules) for term in found.terms)


def _without_units(term: Term, rules: Rules) -> Term:
    """Σ_p y_p = 1 of labels that are a distribution, and Σ_p x_p^N = 1 of outputs."""
    bound, powers = dict(term.bound), dict(term.factors)
    for factor, exponent in term.factors:
        name, _, layer, at, _ = factor
        unit = (name == "Y" and rules.distribution) or (
            name == "X" and layer == Layer("N") and rules.simplex
        )
        if not unit or exponent != 1 or at[1] not in bound:
            continue
        others = [f for f in powers if f != factor]
        if not any(_uses(f, at[1]) for f in others):
            del powers[factor], bound[at[1]]
    return _term(term.coefficient, powers, bound)


class _Expansion:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def expand(self, tree: Tree) -> list[Term]:
        match tree:
            case Num(value):
                return [_term(value, {}, {})] if value else []
            case Sym(name, layer):
                return self.symbol(name, layer)
            case Ref():
                return self.entry(tree)
            case Fun():
                return self.function(tree)
            case Add(terms):
                return _checked([term for one in terms for term in self.expand(one)])
            case Mul(factors):
                return product([Normal(tuple(self.expand(one))) for one in factors])
            case Pow(base, exponent):
                return self.power(base, exponent)
            case Sum(index, over, body):
                return [_summed(term, index, over) for term in self.expand(body)]
        raise TypeError(type(tree).__name__)

    def symbol(self, name: str, layer: Layer | None) -> list[Term]:
        if name == "rho" and not self.rules.penalized:
            return []
        return [_term(Fraction(1), {(name, 0, layer, (), None): 1}, {})]

    def entry(self, ref: Ref) -> list[Term]:
        """An entry; kept as it is, or what the problem says that it is."""
        rule: Tree | None = None
        names = dict(zip(("i", "p"), ref.at, strict=False))
        if ref.name in {"ell", "ell1"} and ref.layer == Layer("N"):
            rule = self.rules.loss.get(int(ref.name == "ell1"))
        elif ref.name == "jac" and ref.layer == Layer("N"):
            rule = self.rules.jacobian
            names = dict(zip(("i", "q", "p"), ref.at, strict=True))
        if rule is not None:
            return self.expand(_placed(rule, names))
        if ref.name == "jac" and ref.layer is not None and ref.layer.base == "k":
            i, q, p = ref.at
            slope = Fun("sigma", ref.layer, 1, Ref("Z", ref.layer, (i, p)))
            return self.expand(Mul((slope, Ref("kron", None, (q, p)))))
        layer = None if ref.name == "kron" else ref.layer
        return [_term(Fraction(1), {(ref.name, 0, layer, ref.at, None): 1}, {})]

    def function(self, fun: Fun) -> list[Term]:
        inner = _as_preactivation(_collected(self.expand(fun.arg)))
        layer = fun.layer or _layer_of(inner)
        if fun.name == "step" and self.rules.hidden == "relu":
            fun = Fun("sigma", layer, 1, fun.arg)
        if fun.name == "omega":
            layer = None
        known = self.known(fun.name, fun.order, layer, inner)
        if known is not None:
            return known
        return [_term(Fraction(1), {(fun.name, fun.order, layer, (), inner): 1}, {})]

    def known(self, name: str, order: int, layer: Layer | None, inner: Normal) -> list[Term] | None:
        """σ(z) as x, σ′(z) through x, ω′(W) in W: where the problem says so."""
        place = _single(inner)
        if place is None:
            return None
        array, where, at = place
        if name == "omega" and array in {"W", "b"}:
            rule = self.rules.functions.get((name, order))
            if rule is None:
                return None
            return self.expand(_placed(rule, {}, Ref(array, where, at)))
        last = layer == Layer("N")
        if name == (self.rules.output if last else self.rules.hidden):
            name = "sigma"
        if array != "Z" or where != layer or layer is None or not self.rules.through:
            return None
        if name == "sigma" and order == 0:
            return [_term(Fraction(1), {("X", 0, layer, at, None): 1}, {})]
        rule = self.rules.functions.get((name + "@N" * last, order))
        if rule is None:
            return None
        return self.expand(_placed(rule, {}, Ref("X", layer, at)))

    def power(self, base: Tree, exponent: int) -> list[Term]:
        inside = self.expand(base)
        if abs(exponent) > POWER:
            raise TooLarge(f"the power {exponent}")
        if exponent >= 0:
            return product([Normal(tuple(inside))] * exponent)
        if len(inside) == 1 and not inside[0].bound:
            (term,) = inside
            powers = {f: e * exponent for f, e in term.factors}
            return [_term(term.coefficient**exponent, powers, {})]
        inverse: Factor = ("inverse", 0, None, (), _collected(inside))
        return [_term(Fraction(1), {inverse: -exponent}, {})]


def product(factors: Iterable[Normal]) -> list[Term]:
    """Every term of each factor times every term of the others."""
    found = [_term(Fraction(1), {}, {})]
    for factor in factors:
        found = _checked([_times(a, b) for a in found for b in factor.terms])
    return found


def _checked(terms: list[Term]) -> list[Term]:
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
    return _term(a.coefficient * b.coefficient, powers, bound)


def _term(coefficient: Fraction, powers: Mapping[Factor, int], bound: Mapping[str, Range]) -> Term:
    kept = tuple((factor, exponent) for factor, exponent in powers.items() if exponent)
    return Term(coefficient, kept, tuple(bound.items()))


def _summed(term: Term, index: str, over: Range) -> Term:
    """Σ over an index of a term; an index that does not occur counts."""
    inside = [over for _, over in term.bound]
    used = any(_uses(factor, index) for factor, _ in term.factors) or any(
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
        return _term(term.coefficient, powers, dict(term.bound))
    fresh = f"b{next(_numbers)}"
    names = {index: fresh}
    powers = {_renamed(f, names, names): e for f, e in term.factors}
    bound = {name: _range(one, names) for name, one in term.bound}
    kind = Range(over.kind, None, over.low, over.high)
    return _term(term.coefficient, powers, {**bound, fresh: kind})


def _uses(factor: Factor, index: str) -> bool:
    _, _, layer, at, inner = factor
    if index in at or (layer is not None and layer.base == index):
        return True
    return inner is not None and any(
        _uses(one, index) for term in inner.terms for one, _ in term.factors
    )


def _renamed(factor: Factor, names: Mapping[str, str], layers: Mapping[str, str]) -> Factor:
    name, order, layer, at, inner = factor
    if layer is not None and layer.base in layers:
        layer = Layer(layers[layer.base], layer.offset)
    if inner is not None:
        terms = tuple(
            Term(
                term.coefficient,
                tuple((_renamed(f, names, layers), e) for f, e in term.factors),
                tuple((n, _range(over, layers)) for n, over in term.bound),
            )
            for term in inner.terms
        )
        inner = _collected(terms)
    return name, order, layer, tuple(names.get(index, index) for index in at), inner


def _range(over: Range, names: Mapping[str, str]) -> Range:
    def at(layer: Layer | None) -> Layer | None:
        if layer is None or layer.base not in names:
            return layer
        return Layer(names[layer.base], layer.offset)

    return Range(over.kind, at(over.layer), at(over.low), at(over.high))


# -- one name for each role ------------------------------------------------------------------------


def _collected(terms: Iterable[Term]) -> Normal:
    found: dict[tuple[Any, ...], Fraction] = {}
    for term in terms:
        canonical = _canonical(_collapsed(term))
        found[canonical.key] = found.get(canonical.key, Fraction(0)) + canonical.coefficient
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
            return _collapsed(_term(term.coefficient, powers, bound))
        gone = next((index for index in (a, b) if index in bound), None)
        if gone is None:
            if a > b:
                swapped: Factor = ("kron", 0, None, (b, a), None)
                return _term(term.coefficient, {**powers, swapped: 1}, bound)
            continue
        names = {gone: b if gone == a else a}
        merged: dict[Factor, int] = {}
        for f, e in powers.items():
            moved = _renamed(f, names, {})
            merged[moved] = merged.get(moved, 0) + e
        del bound[gone]
        return _collapsed(_term(term.coefficient, merged, bound))
    return term


def _canonical(term: Term) -> Term:
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
    seen = [(_renamed(f, names, names), e) for f, e in term.factors if _uses(f, name)]
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


# -- what a form says ------------------------------------------------------------------------------


def _single(inner: Normal) -> tuple[str, Layer | None, tuple[str, ...]] | None:
    """Name, layer and indices of a form that is one entry of an array."""
    if len(inner.terms) != 1:
        return None
    term = inner.terms[0]
    if term.coefficient != 1 or term.bound or len(term.factors) != 1:
        return None
    ((name, _, layer, at, nested), exponent) = term.factors[0]
    return (name, layer, at) if exponent == 1 and nested is None and at else None


def _layer_of(inner: Normal) -> Layer | None:
    """The layer that a function without one belongs to: of its weights, else of what it is taken at."""
    found: dict[str, Layer] = {}
    for term in inner.terms:
        for (name, _, layer, _, _), _ in term.factors:
            if layer is not None:
                found.setdefault(name, layer)
    for name in ("b", "W", "Z", "X"):
        if name in found:
            return found[name]
    return next(iter(found.values()), None)


def _as_preactivation(inner: Normal) -> Normal:
    """Σ_q W_pq^k x_iq^{k−1} + b_p^k is z_ip^k."""
    if len(inner.terms) != 2:
        return inner
    for term in inner.terms:
        match term.factors:
            case ((("b", 0, layer, (component,), None), 1),) if term.coefficient == 1:
                return _abbreviated(inner, term, layer, component)
    return inner


def _abbreviated(inner: Normal, bias: Term, layer: Layer | None, component: str) -> Normal:
    (rest,) = (term for term in inner.terms if term is not bias)
    states = [f for f, _ in rest.factors if f[0] == "X"]
    if len(states) != 1 or layer is None or len(rest.bound) != 1:
        return inner
    sample, q = states[0][3]
    weights: Factor = ("W", 0, layer, (component, q), None)
    state: Factor = ("X", 0, layer + -1, (sample, q), None)
    expected = _canonical(_term(Fraction(1), {weights: 1, state: 1}, {q: Range("component")}))
    if rest.coefficient != 1 or expected.key != rest.key:
        return inner
    return Normal((_term(Fraction(1), {("Z", 0, layer, (sample, component), None): 1}, {}),))


def _placed(rule: Tree, names: Mapping[str, str], value: Ref | None = None) -> Tree:
    """A rule at the indices of a place; its ``"*"`` is the value."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref) and one.at == ("*",):
            assert value is not None
            return value
        return one

    return renamed(changed(rule, change), names)


def arrays(tree: Tree) -> set[str]:
    """The names of the arrays in a tree."""
    return {one.name for one in walk(tree) if isinstance(one, Ref)}
