"""What all functions of a C file have in common: names, arguments, blocks of registers.

Arrays over samples lie component by component, STRIDE numbers apart, so that a vector holds the same
component of neighbouring samples. Equal functions are written once, whatever layer they serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lagrangenet.emit.c.plan import Plan, Shape
from lagrangenet.routines.kernels import BATCH, ROW
from lagrangenet.symbolic.tensor import Ref


@dataclass(frozen=True)
class Blocks:
    """Accumulators that registers have room for.

    Attributes
    ----------
    rows : int
        Of a product with weights, of two vectors each.
    outer : pair of int
        Rows and columns of a sum over samples.
    """

    rows: int
    outer: tuple[int, int]


#: For 16 vector registers, and for 32.
NARROW, WIDE = Blocks(6, (3, 4)), Blocks(12, (6, 4))
#: Bytes that are read again and again should stay in the first cache.
CACHED = 16_384
#: From this number of rows, columns and samples a sum over samples turns one of its operands.
LARGE = 48
#: Loops over components that are no longer than this are unrolled.
UNROLLED = 16


@dataclass
class Functions:
    """The functions of a file, each once.

    Attributes
    ----------
    texts : dict
        Name by everything that follows the name.
    """

    texts: dict[str, str] = field(default_factory=dict)

    def name(self, stem: str, text: str) -> str:
        """The name of the function with this text (``{name}`` stands for it)."""
        if text not in self.texts:
            count = sum(n == stem or n.startswith(f"{stem}_") for n in self.texts.values())
            self.texts[text] = f"{stem}_{count + 1}" if count else stem
        return self.texts[text]

    def source(self) -> Iterator[str]:
        """All functions, in the order in which they were needed."""
        yield from (text.replace("{name}", name) for text, name in self.texts.items())


@dataclass
class Arguments:
    """Pointers of a function: what they are called inside, and what they are outside."""

    address: Callable[[Ref], str]
    inside: dict[tuple[str, str], str] = field(default_factory=dict)

    def pointer(self, array: Ref, out: bool = False) -> str:
        """The parameter for an array."""
        where = self.address(array)
        kind = "T *" if out else "const T *"
        letter = "y" if out else ("w" if array.axes not in (BATCH, ROW) else "x")
        number = sum(name.startswith(letter) for name in self.inside.values())
        return self.inside.setdefault((kind, where), f"{letter}{number}")

    @property
    def parameters(self) -> str:
        """For the definition."""
        return "".join(f", {kind}{name}" for (kind, _), name in self.inside.items())

    @property
    def values(self) -> str:
        """For the call."""
        return "".join(f", {where}" for _, where in self.inside)


@dataclass
class Writer:
    """What writes some of the groups of a plan."""

    plan: Plan
    shape: Shape
    registers: Blocks
    functions: Functions
    address: Callable[[Ref], str]
    inline: bool = False

    @property
    def linkage(self) -> str:
        """How functions begin: those of a small batch are put where they are called."""
        return "INLINE" if self.inline else "static NOINLINE"

    @property
    def unrolled(self) -> list[str]:
        """What stands before a loop of a small batch."""
        return [f"#pragma GCC unroll {UNROLLED}"] * self.inline


def loaded(array: Ref, pointer: str, at: str, p: str, i: str) -> str:
    """A vector of an array in a loop."""
    if array.axes == BATCH:
        return f"load({pointer} + {at})"
    if array.axes == ROW:
        return f"load({pointer} + {i})"
    return f"all({pointer}[{p}])" if array.axes else f"all({pointer}[0])"


def steps(total: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Height, begin and end of the blocks of :func:`split`."""
    begin = 0
    for height, count in split(total, most):
        yield height, begin, begin + height * count
        begin += height * count


def full(total: int, most: int) -> list[tuple[int, int]]:
    """A length in blocks of ``most`` and one of what is left.

    >>> full(14, 4)
    [(4, 3), (2, 1)]
    """
    found = [(most, total // most), (total % most, 1)]
    return [(size, times) for size, times in found if size and times]


def split(total: int, most: int) -> list[tuple[int, int]]:
    """A length in nearly equal blocks of at most ``most``: (height, how many), higher ones first.

    >>> split(32, 6)
    [(6, 2), (5, 4)]
    """
    count = -(-total // most)
    height, higher = divmod(total, count)
    found = [(height + 1, higher), (height, count - higher)]
    return [(size, times) for size, times in found if size and times]
