"""Index notation, into which both sides are brought: what a student wrote and what was derived.

An index is a name; a layer is a base (``k``, ``N``, or a bound name) and an offset. Array operations
of the derivation (:mod:`lagrangenet.symbolic.tensor`) become the same trees as a formula that was read,
so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from lagrangenet.symbolic.branches import Branching


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


class Tree(Branching["Tree"]):
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


MINUS = Num(Fraction(-1))


def negative(tree: Tree) -> Tree:
    """−tree."""
    return Mul((MINUS, tree))


def array_names(tree: Tree) -> set[str]:
    """The names of all arrays in a tree."""
    return {one.name for one in tree.walk() if isinstance(one, Ref)}


def free_letters(tree: Tree) -> list[str]:
    """The indices that no sum binds, each once."""
    found = [index for one in tree.walk() if isinstance(one, Ref) for index in one.at]
    return [index for index in dict.fromkeys(found) if index.startswith(FREE)]


def belongs(layers: Mapping[str, Layer]) -> Layer | None:
    """The layer of a function without one: of its weights, else of what it is taken at.

    ``layers`` are those of the arrays in its argument, by name.
    """
    for name in ("b", "W", "Z", "X"):
        if name in layers:
            return layers[name]
    return next(iter(layers.values()), None)


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

    return tree.map(change)


def relayered(tree: Tree, at: Callable[[Layer], Layer]) -> Tree:
    """The tree with every layer passed through ``at``, those of ranges too."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref | Fun | Sym) and one.layer is not None:
            return replace(one, layer=at(one.layer))
        if isinstance(one, Sum):
            return replace(one, over=one.over.relayered(at))
        return one

    return tree.map(change)


def rebased(base: str, other: str, step: int = 0) -> Callable[[Layer], Layer]:
    """Layers counted from another one: base + j becomes other + j + step.

    >>> str(rebased("k", "N", -1)(Layer("k", 1)))
    'N'
    """

    def at(layer: Layer) -> Layer:
        return Layer(other, layer.offset + step) if layer.base == base else layer

    return at
