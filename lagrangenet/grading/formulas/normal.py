"""The normal form: sums of products in which equal formulas are equal objects.

Products are expanded, Kronecker deltas collapsed, what does not depend on an index leaves its sum,
and bound indices get names that depend on their role alone. ``W x + b`` is recognized as z. The
functions of a problem are put in as polynomials in their values, where they are ones
(tanh′ = 1 − x²); what is none stays a name. Refuses to grow beyond :data:`TERMS` terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

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
    belongs,
    renamed,
)
from lagrangenet.grading.formulas.terms import (
    Factor,
    Normal,
    Term,
    TooLarge,
    bounded,
    canonical,
    collected,
    make,
    product,
    summed,
    uses,
)

#: The largest power that is multiplied out.
POWER = 8


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
    found = collected(_Expansion(rules).expand(tree))
    if not (rules.distribution or rules.simplex):
        return found
    return collected(_without_units(term, rules) for term in found.terms)


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
        if not any(uses(f, at[1]) for f in others):
            del powers[factor], bound[at[1]]
    return make(term.coefficient, powers, bound)


class _Expansion:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def expand(self, tree: Tree) -> list[Term]:
        match tree:
            case Num(value):
                return [make(value, {}, {})] if value else []
            case Sym(name, layer):
                return self.symbol(name, layer)
            case Ref():
                return self.entry(tree)
            case Fun():
                return self.function(tree)
            case Add(terms):
                return bounded([term for one in terms for term in self.expand(one)])
            case Mul(factors):
                return product([Normal(tuple(self.expand(one))) for one in factors])
            case Pow(base, exponent):
                return self.power(base, exponent)
            case Sum(index, over, body):
                return [summed(term, index, over) for term in self.expand(body)]
        raise TypeError(type(tree).__name__)

    def symbol(self, name: str, layer: Layer | None) -> list[Term]:
        if name == "rho" and not self.rules.penalized:
            return []
        return [make(Fraction(1), {(name, 0, layer, (), None): 1}, {})]

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
        return [make(Fraction(1), {(ref.name, 0, layer, ref.at, None): 1}, {})]

    def function(self, fun: Fun) -> list[Term]:
        inner = _as_preactivation(collected(self.expand(fun.arg)))
        layer = fun.layer or _layer_of(inner)
        name, order = fun.name, fun.order
        own = self.rules.output if layer == Layer("N") else self.rules.hidden
        if (name, own) == ("step", "relu"):
            name, order = "sigma", 1
        elif name == own:
            name = "sigma"
        elif name == "omega":
            layer = None
        known = self.known(name, order, layer, inner)
        if known is not None:
            return known
        return [make(Fraction(1), {(name, order, layer, (), inner): 1}, {})]

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
        if array != "Z" or where != layer or layer is None or not self.rules.through:
            return None
        if name == "sigma" and order == 0:
            return [make(Fraction(1), {("X", 0, layer, at, None): 1}, {})]
        rule = self.rules.functions.get((name + "@N" * (layer == Layer("N")), order))
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
            return [make(term.coefficient**exponent, powers, {})]
        inverse: Factor = ("inverse", 0, None, (), collected(inside))
        return [make(Fraction(1), {inverse: -exponent}, {})]


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
    """The layer that a function without one belongs to."""
    found: dict[str, Layer] = {}
    for term in inner.terms:
        for (name, _, layer, _, _), _ in term.factors:
            if layer is not None:
                found.setdefault(name, layer)
    return belongs(found)


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
    expected = canonical(make(Fraction(1), {weights: 1, state: 1}, {q: Range("component")}))
    if rest.coefficient != 1 or expected.key != rest.key:
        return inner
    return Normal((make(Fraction(1), {("Z", 0, layer, (sample, component), None): 1}, {}),))


def _placed(rule: Tree, names: Mapping[str, str], value: Ref | None = None) -> Tree:
    """A rule at the indices of a place; its ``"*"`` is the value."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref) and one.at == ("*",):
            assert value is not None
            return value
        return one

    return renamed(rule.map(change), names)
