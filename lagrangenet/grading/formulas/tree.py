"""What the parser makes of a formula: a tree of marks, before any of them has a meaning.

A node knows where it stands in the text, so that a message can point at it. Whether ``k`` is a layer
and whether a product is one of matrices is decided later, by :mod:`.reading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from lagrangenet.errors import LagrangenetError
from lagrangenet.symbolic.branches import Branching


class FormulaError(LagrangenetError, ValueError):
    """A formula that cannot be read; the message shows the place and says what to write.

    Attributes
    ----------
    cause, remedy : str
    position : int
        Where in the text, counted from 0.
    """

    def __init__(self, text: str, position: int, cause: str, remedy: str) -> None:
        self.cause, self.remedy, self.position = cause, remedy, position
        before = text.rfind("\n", 0, position) + 1
        after = text.find("\n", position)
        line = text[before : len(text) if after < 0 else after].replace("\t", " ")
        column = position - before
        start = max(0, column - 60)
        shown = line[start : start + 100]
        row = text.count("\n", 0, position)
        place = f"line {row + 1}, column {column + 1}" if "\n" in text else f"column {column + 1}"
        super().__init__(f"{place}: {cause}; {remedy}\n    {shown}\n    {' ' * (column - start)}^")


@dataclass(frozen=True)
class Script:
    """One entry of a sub- or superscript: a symbol and an offset, ``k+1``; or a number.

    ``grouped`` says that it stood in parentheses.
    """

    symbol: str
    offset: int = 0
    grouped: bool = False

    def __str__(self) -> str:
        return self.symbol + (f"{self.offset:+d}" if self.offset else "")


@dataclass(frozen=True)
class Mark(Branching["Mark"]):
    """A node; ``at`` is its place in the text."""

    at: int


@dataclass(frozen=True)
class Literal(Mark):
    """A number."""

    value: Fraction


@dataclass(frozen=True)
class Name(Mark):
    """A name with its scripts, its primes and, for a function, its arguments."""

    name: str
    subs: tuple[Script, ...] = ()
    sups: tuple[Script, ...] = ()
    primes: int = 0
    args: tuple[Mark, ...] | None = None


@dataclass(frozen=True)
class Signed(Mark):
    """A sum of terms, each with its sign."""

    terms: tuple[tuple[int, Mark], ...]


@dataclass(frozen=True)
class Chain(Mark):
    """Factors in their order, each with the sign before it; the first has none.

    Whether ``A B ⊙ C`` is (A B) ⊙ C or A (B ⊙ C) depends on what fits.
    """

    factors: tuple[tuple[str, Mark], ...]


@dataclass(frozen=True)
class Powered(Mark):
    """A bracket or a function to a whole power."""

    base: Mark
    exponent: int


@dataclass(frozen=True)
class Turned(Mark):
    """A transpose."""

    base: Mark


@dataclass(frozen=True)
class Picked(Mark):
    """A component of a bracket, ``(W^T λ)_p``."""

    base: Mark
    subs: tuple[Script, ...]


@dataclass(frozen=True)
class Binder(Mark):
    """An index of a sum with its limits, where they are written; ``within`` is the set of i ∈ I."""

    symbol: str
    lower: Mark | None = None
    upper: Mark | None = None
    within: str = ""


@dataclass(frozen=True)
class SumOver(Mark):
    """Σ over some indices, of the product that follows."""

    binders: tuple[Binder, ...]
    body: Mark


@dataclass(frozen=True)
class Slope(Mark):
    """∂of/∂by, or ∇_by of."""

    of: Mark
    by: Mark


@dataclass(frozen=True)
class Bars(Mark):
    """Something between bars: a norm, or the number of elements of a set."""

    inside: Mark


@dataclass(frozen=True)
class Inner(Mark):
    """⟨left, right⟩."""

    left: Mark
    right: Mark


@dataclass(frozen=True)
class Line(Mark):
    """One line: ``members`` are what stands between the signs ``signs`` of equality."""

    members: tuple[Mark, ...]
    signs: tuple[str, ...] = ()
    source: str = ""
