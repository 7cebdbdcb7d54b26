"""Values with symbolic shapes: what fits is combined as mathematics says, what does not is a mistake.

A value is a scalar, a column, a row or a matrix whose axes run over n_k components or M samples. A
product that does not fit is recorded as a :class:`Trouble`. It is then either mended by the change
that makes it fit (a transpose, ⊙ for a matrix product), so that this change can be named, or taken
literally, so that the line can be compared with wrong lines of the same kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lagrangenet.grading.formulas.indexed import (
    SAMPLES,
    Add,
    Layer,
    Mul,
    Range,
    Ref,
    Sum,
    Tree,
    negative,
    renamed,
)


@dataclass(frozen=True)
class Axis:
    """An axis: the name of its index, and what that runs over."""

    index: str
    over: Range

    def fits(self, other: Axis) -> bool:
        """Whether both run over the same."""
        return self.over == other.over


@dataclass(frozen=True)
class Value:
    """A tree with its shape; an axis that is None has length one."""

    tree: Tree
    rows: Axis | None = None
    columns: Axis | None = None

    @property
    def scalar(self) -> bool:
        """Whether there is no axis."""
        return self.rows is None and self.columns is None

    @property
    def matrix(self) -> bool:
        """Whether there are two axes."""
        return self.rows is not None and self.columns is not None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes there are."""
        return tuple(axis for axis in (self.rows, self.columns) if axis is not None)

    def turned(self) -> Value:
        """The transpose."""
        return Value(self.tree, self.columns, self.rows)

    def summed(self) -> Value:
        """The sum of all entries."""
        tree = self.tree
        for axis in self.axes:
            tree = Sum(axis.index, axis.over, tree)
        return Value(tree)

    def as_column(self) -> Value:
        """A vector as a column."""
        return self.turned() if self.rows is None else self

    def __str__(self) -> str:
        if self.scalar:
            return "a number"
        sizes = [size(axis) for axis in (self.rows, self.columns)]
        if not self.matrix:
            kind = "column" if self.columns is None else "row"
            return f"a {kind} of length {''.join(s for s in sizes if s != '1')}"
        return f"{sizes[0]} by {sizes[1]}"


def size(axis: Axis | None) -> str:
    """The length of an axis as it is written."""
    if axis is None:
        return "1"
    return "M" if axis.over.kind == "sample" else width(axis.over.layer)


def width(layer: Layer | None) -> str:
    """The number of components of a layer as it is written; a bound layer is called k.

    >>> width(Layer("k", -1))
    'n_{k-1}'
    """
    if layer is None:
        return "n"
    base = layer.base if layer.base in {"", "N"} else "k"
    return (
        f"n_{{{Layer(base, layer.offset)}}}"
        if layer.offset and base
        else f"n_{Layer(base, layer.offset)}"
    )


@dataclass(frozen=True)
class Trouble:
    """Shapes that do not fit.

    Attributes
    ----------
    kind : str
        ``transpose``, ``hadamard`` (⊙ for a matrix product), ``product`` (a matrix product for
        ⊙), ``order``, ``shape``.
    message : str
        What does not fit, and what would.
    at : int
        Where in the text.
    """

    kind: str
    message: str
    at: int


class Shapes:
    """The operations on values; collects troubles.

    Parameters
    ----------
    mend : bool
        Whether what does not fit is changed so that it does.
    inner : bool
        Whether two columns side by side are an inner product, or a product of their components.
    """

    def __init__(self, mend: bool, inner: bool) -> None:
        self.mend, self.inner = mend, inner
        self.troubles: list[Trouble] = []
        self.notes: list[str] = []
        self._numbers = itertools.count()

    def fresh(self) -> str:
        """A new index name."""
        return f"e{next(self._numbers)}"

    def trouble(self, kind: str, message: str, at: int) -> None:
        """Record what does not fit, once."""
        found = Trouble(kind, message, at)
        if found not in self.troubles:
            self.troubles.append(found)

    # -- sums --------------------------------------------------------------------------------------

    def add(self, values: Iterable[tuple[int, Value]], at: int) -> Value:
        """A sum; a number is added to every entry, a bias to every sample."""
        signed = list(values)
        shape = max((v for _, v in signed), key=lambda v: len(v.axes))
        terms = []
        for sign, value in signed:
            moved = self.like(value, shape, at)
            terms.append(moved.tree if sign > 0 else negative(moved.tree))
        tree = terms[0] if len(terms) == 1 else Add(tuple(terms))
        return replace(shape, tree=tree)

    def like(self, value: Value, shape: Value, at: int) -> Value:
        """A value with the axes of another."""
        if value.scalar or value is shape:
            return value
        if shape.matrix and not value.matrix:
            return self.spread(value, shape, at)
        mine, wanted = value.axes, shape.axes
        turned = len(mine) == 1 and (value.rows is None) != (shape.rows is None)
        swapped = (
            len(mine) == 2
            and not mine[0].fits(wanted[0])
            and mine[0].fits(wanted[1])
            and mine[1].fits(wanted[0])
        )
        if turned:
            self.trouble("transpose", f"{value} is added to {shape}", at)
        if swapped:
            self.trouble(
                "transpose", f"{value} is added to {shape}: one of them is to be transposed", at
            )
            mine = mine[::-1] if self.mend else mine
        elif not all(a.fits(b) for a, b in zip(mine, wanted, strict=True)):
            self.trouble("shape", f"{value} is added to {shape}", at)
        return self.named(value, dict(zip(mine, wanted, strict=True)))

    def spread(self, value: Value, shape: Value, at: int) -> Value:
        """A vector beside a matrix with samples: the same for every sample."""
        (axis,) = value.axes
        for wanted in shape.axes:
            other = shape.rows if wanted is shape.columns else shape.columns
            if axis.fits(wanted) and other is not None and other.over == SAMPLES:
                return self.named(value, {axis: wanted})
        self.trouble("shape", f"{value} is added to {shape}", at)
        return self.named(value, {axis: shape.axes[0]})

    @staticmethod
    def named(value: Value, axes: dict[Axis, Axis]) -> Value:
        """A value with its axes under other names."""
        names = {a.index: b.index for a, b in axes.items()}
        return Value(
            renamed(value.tree, names),
            axes.get(value.rows, value.rows) if value.rows else None,
            axes.get(value.columns, value.columns) if value.columns else None,
        )

    # -- products ----------------------------------------------------------------------------------

    def multiply(self, sign: str, a: Value, b: Value, at: int) -> Value:
        """A product; which one follows from the sign and from what fits."""
        if a.scalar or b.scalar:
            tree = Mul((a.tree, b.tree))
            return Value(tree, a.rows or b.rows, a.columns or b.columns)
        if sign == "⊙":
            return self.entrywise(a, b, at)
        if self.chains(a, b):
            return self.contract(a, b)
        if self.alike(a, b) and sign != "@" and (not a.matrix or sign == "*"):
            if self.inner and not a.matrix:
                return self.dot(a, b)
            if sign == " " and not a.matrix:
                self.note("a product of two columns was read component by component: write ⊙")
            return self.entrywise(a, b, at)
        return self.misfit(a, b, at)

    def note(self, text: str) -> None:
        """Record how something was read."""
        if text not in self.notes:
            self.notes.append(text)

    @staticmethod
    def chains(a: Value, b: Value) -> bool:
        """Whether the columns of a are the rows of b."""
        if a.columns is None or b.rows is None:
            return a.columns is None and b.rows is None
        return a.columns.fits(b.rows)

    @staticmethod
    def alike(a: Value, b: Value) -> bool:
        """Whether both have the same shape."""
        for mine, other in ((a.rows, b.rows), (a.columns, b.columns)):
            if (mine is None) != (other is None):
                return False
            if mine is not None and other is not None and not mine.fits(other):
                return False
        return True

    def contract(self, a: Value, b: Value) -> Value:
        """The matrix product, whatever its inner axes run over."""
        if a.columns is None or b.rows is None:
            names = {}
            if b.columns is not None:
                fresh = Axis(self.fresh(), b.columns.over)
                names = {b.columns: fresh}
            moved = self.named(b, names)
            return Value(Mul((a.tree, moved.tree)), a.rows, moved.columns)
        inner = Axis(self.fresh(), a.columns.over)
        left = renamed(a.tree, {a.columns.index: inner.index})
        right = renamed(b.tree, {b.rows.index: inner.index})
        tree = Sum(inner.index, inner.over, Mul((left, right)))
        return Value(tree, a.rows, b.columns)

    def dot(self, a: Value, b: Value) -> Value:
        """⟨a, b⟩ of two vectors."""
        left, right = a.as_column(), b.as_column()
        return self.contract(left.turned(), right)

    def entrywise(self, a: Value, b: Value, at: int) -> Value:
        """A ⊙ b; a column beside a matrix scales its rows, a row its columns."""
        if self.alike(a, b):
            moved = self.named(b, dict(zip(b.axes, a.axes, strict=True)))
            return Value(Mul((a.tree, moved.tree)), a.rows, a.columns)
        for one, other in ((a, b), (b, a)):
            if other.matrix and not one.matrix:
                mine = one.rows or one.columns
                target = other.rows if one.rows is not None else other.columns
                assert mine is not None
                assert target is not None
                if mine.fits(target):
                    scaled = self.named(one, {mine: target})
                    return replace(other, tree=Mul((scaled.tree, other.tree)))
        if self.chains(a, b) and (a.matrix or b.matrix):
            self.trouble("hadamard", f"⊙ between {a} and {b}: this is a matrix product", at)
            return self.contract(a, b)
        if not a.matrix and not b.matrix and a.axes[0].fits(b.axes[0]):
            self.trouble("transpose", f"⊙ between {a} and {b}", at)
            return self.entrywise(a.as_column(), b.as_column(), at)
        if self.mend and a.matrix and not b.matrix and self.chains(a.turned(), b):
            self.trouble(
                "hadamard",
                f"⊙ between {a} and {b}: this is a matrix product, with the transpose of the first",
                at,
            )
            return self.contract(a.turned(), b)
        self.trouble("shape", f"{a} ⊙ {b} does not fit", at)
        return self.literal(a, b)

    def misfit(self, a: Value, b: Value, at: int) -> Value:
        """A matrix product that does not fit: mended by a transpose, or taken literally."""
        message = f"{a} times {b} does not fit"
        if a.rows is not None and a.columns is None and b.rows is not None and b.columns is None:
            if self.inner:
                self.trouble("shape", message, at)
                return self.dot(a, b)
            self.trouble("transpose", f"{message}; the transpose of the second is missing", at)
            return self.contract(a, b.turned())
        options = [
            ("first", self.chains(a.turned(), b) and not (b.rows is None), a.turned(), b),
            ("second", self.chains(a, b.turned()) and not (a.columns is None), a, b.turned()),
        ]
        fitting = [(which, left, right) for which, fits, left, right in options if fits]
        if self.alike(a, b) and a.matrix:
            self.trouble("product", f"{message}; the product entry by entry is ⊙", at)
            return self.entrywise(a, b, at) if self.mend else self.literal(a, b)
        if fitting and self.mend:
            which, left, right = next(
                (f for f in fitting if (a if f[0] == "first" else b).matrix), fitting[0]
            )
            word = f"the transpose of the {which} is missing"
            if self.is_turned(a if which == "first" else b):
                word = f"the {which} is not to be transposed"
            self.trouble("transpose", f"{message}; {word}", at)
            return self.contract(left, right)
        self.trouble("shape", message, at)
        return self.literal(a, b)

    @staticmethod
    def is_turned(value: Value) -> bool:
        """Whether a value is an array that was transposed."""
        if not (value.matrix and isinstance(value.tree, Ref)):
            return False
        assert value.rows is not None
        return value.tree.at[-1] == value.rows.index

    def literal(self, a: Value, b: Value) -> Value:
        """A product that does not fit, contracted by position."""
        if a.columns is not None and b.rows is not None:
            return self.contract(a, b)
        if a.matrix or b.matrix:
            if a.columns is None and b.rows is not None and b.columns is not None:
                return self.contract(a.turned(), b)
            if a.columns is not None and b.rows is None:
                return self.contract(a, b.turned())
        if len(a.axes) == len(b.axes) == 1:
            moved = self.named(b.as_column(), {b.axes[0]: a.axes[0]})
            return Value(Mul((a.tree, moved.tree)), a.rows, a.columns)
        return self.contract(a, b)


def component(layer: Layer | None) -> Range:
    """The range of the components of a layer."""
    return Range("component", layer)
