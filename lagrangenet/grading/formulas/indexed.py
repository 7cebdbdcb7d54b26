"""Index notation, into which both sides are brought: what a student wrote and what was derived.

An index is a name; a layer is a base (``k``, ``N``, or a bound name) and an offset. Array operations
of the derivation (:mod:`lagrangenet.symbolic.tensor`) become the same trees as a formula that was read,
so that they can be compared. A changed tree whose shapes no longer fit is contracted by position,
because that is what a student's wrong line means too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True, order=True)
class Layer:
    """The layer ``base + offset``; base ``k``, ``N``, the empty string for a number, or bound."""

    base: str
    offset: int = 0

    def __add__(self, step: int) -> Layer:
        return Layer(self.base, self.offset + step)

    def __str__(self) -> str:
        if not self.base:
            return str(self.offset)
        return self.base + (f"{self.offset:+d}" if self.offset else "")


K, LAST = Layer("k"), Layer("N")


@dataclass(frozen=True)
class Range:
    """What an index runs over: ``sample``, ``component`` of a layer, or ``layer`` from low to high."""

    kind: str
    layer: Layer | None = None
    low: Layer | None = None
    high: Layer | None = None

    def relayered(self, at: Callable[[Layer], Layer]) -> Range:
        """The range with its layers passed through ``at``."""
        layers = (None if one is None else at(one) for one in (self.layer, self.low, self.high))
        return Range(self.kind, *layers)


SAMPLES = Range("sample")
#: What stands before the letter of an index that no sum binds.
FREE = "free "


class Tree:
    """An expression in index notation."""


@dataclass(frozen=True)
class Num(Tree):
    """A number."""

    value: Fraction


@dataclass(frozen=True)
class Sym(Tree):
    """A scalar by name: M, rho, eta, or the width ``n`` of a layer."""

    name: str
    layer: Layer | None = None


@dataclass(frozen=True)
class Ref(Tree):
    """An entry of an array; ``ell`` and ``ell1`` are a sample's loss and ∂ℓ/∂x_p, ``jac`` ∂x_q/∂z_p."""

    name: str
    layer: Layer | None
    at: tuple[str, ...]


@dataclass(frozen=True)
class Fun(Tree):
    """A function of an entry; ``along`` is the index of the vector it is a component of."""

    name: str
    layer: Layer | None
    order: int
    arg: Tree
    along: str = ""


@dataclass(frozen=True)
class Add(Tree):
    """A sum of terms."""

    terms: tuple[Tree, ...]


@dataclass(frozen=True)
class Mul(Tree):
    """A product."""

    factors: tuple[Tree, ...]


@dataclass(frozen=True)
class Pow(Tree):
    """A whole power, also a negative one."""

    base: Tree
    exponent: int


@dataclass(frozen=True)
class Sum(Tree):
    """Σ over an index."""

    index: str
    over: Range
    body: Tree


ONE, MINUS = Num(Fraction(1)), Num(Fraction(-1))


def negative(tree: Tree) -> Tree:
    """−tree."""
    return Mul((MINUS, tree))


def changed(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """The tree rebuilt bottom-up, every node passed through ``change``."""
    match tree:
        case Fun():
            tree = replace(tree, arg=changed(tree.arg, change))
        case Add(terms):
            tree = Add(tuple(changed(term, change) for term in terms))
        case Mul(factors):
            tree = Mul(tuple(changed(factor, change) for factor in factors))
        case Pow(base, exponent):
            tree = Pow(changed(base, change), exponent)
        case Sum():
            tree = replace(tree, body=changed(tree.body, change))
    return change(tree)


def walk(tree: Tree) -> Iterator[Tree]:
    """The node and all below it."""
    yield tree
    match tree:
        case Fun() as function:
            yield from walk(function.arg)
        case Add(inside) | Mul(inside):
            for one in inside:
                yield from walk(one)
        case Pow(base, _):
            yield from walk(base)
        case Sum() as total:
            yield from walk(total.body)


def renamed(tree: Tree, names: Mapping[str, str]) -> Tree:
    """The tree with its indices renamed."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref):
            return replace(one, at=tuple(names.get(index, index) for index in one.at))
        if isinstance(one, Fun):
            return replace(one, along=names.get(one.along, one.along))
        if isinstance(one, Sum):
            return replace(one, index=names.get(one.index, one.index))
        return one

    return changed(tree, change)


def relayered(tree: Tree, at: Callable[[Layer], Layer]) -> Tree:
    """The tree with every layer passed through ``at``, those of ranges too."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref | Fun | Sym) and one.layer is not None:
            return replace(one, layer=at(one.layer))
        if isinstance(one, Sum):
            return replace(one, over=one.over.relayered(at))
        return one

    return changed(tree, change)


def rebased(base: str, other: str, step: int = 0) -> Callable[[Layer], Layer]:
    """Layers counted from another one: base + j becomes other + j + step.

    >>> str(rebased("k", "N", -1)(Layer("k", 1)))
    'N'
    """

    def at(layer: Layer) -> Layer:
        return Layer(other, layer.offset + step) if layer.base == base else layer

    return at
