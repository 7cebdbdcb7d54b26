"""What a line states: which unknown equals which expression, in index notation.

The unknown is found on either side, or solved for where the line says that something vanishes
(∂L/∂x^k = ... = 0). Layers are counted from the unknown's: Δ^{k−1} = ... becomes a statement about Δ^k.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from lagrangenet.grading.formulas.indexed import (
    FREE,
    SAMPLES,
    Add,
    Fun,
    K,
    Layer,
    Mul,
    Num,
    Pow,
    Ref,
    Sym,
    Tree,
    free_letters,
    negative,
    rebased,
    relayered,
    renamed,
)
from lagrangenet.grading.formulas.normal import Rules, normal
from lagrangenet.grading.formulas.reading import Reader
from lagrangenet.grading.formulas.shapes import Trouble, Value, component, width
from lagrangenet.grading.formulas.subjects import REMEDIES, Subject, extents, subject_of
from lagrangenet.grading.formulas.terms import TooLarge
from lagrangenet.grading.formulas.tree import FormulaError, Line, Literal, Mark


@dataclass(frozen=True)
class Statement:
    """``unknown = tree``.

    Attributes
    ----------
    unknown : str
        Role of the unknown: ``X``, ``Z``, ``lambda``, ...; ``W`` or ``b`` for a gradient or an
        update; ``L``.
    layer : Layer
        Of the unknown, ``k`` or ``N``, after counting from it.
    tree : Tree
        With the free indices ``i``, ``p``, ``q``.
    troubles, notes
        Of reading it.
    slope : str
        ``objective`` or ``sample``: what is differentiated, for gradients.
    at : int
        Where the expression stands.
    indices : bool
        Whether it is written in components.
    below : bool
        Whether the unknown is layer N−1.
    """

    unknown: str
    layer: Layer
    tree: Tree
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    slope: str = "objective"
    at: int = 0
    indices: bool = False
    below: bool = False


def statements(
    reader: Reader, line: Line, part: str, subject: Subject | None = None
) -> Iterator[Statement]:
    """What a line states about the unknown of a part, one statement for each right-hand side.

    Parameters
    ----------
    subject : Subject, optional
        Where the line has none of its own.

    Raises
    ------
    FormulaError
        If it states nothing about one.
    """
    reader.begin(line)
    if part == "lagrangian":
        yield _whole(reader, line)
        return
    found, members = subject_of(reader, line, part)
    chosen = found or subject
    if found is not None and not found.role and subject is not None:
        chosen = replace(subject, letters=found.letters)  # a letter that is overwritten
    if chosen is None:
        raise FormulaError(
            reader.text,
            line.at,
            "I do not see what this line is about",
            REMEDIES.get(part, "write the unknown on the left"),
        )
    for letter in chosen.letters:
        reader.letters.kinds.setdefault(letter, "component")
    if found is None or not members:
        yield _solved(reader, line, chosen, members or list(line.members))
        return
    for member in members:
        yield _stated(reader, line, chosen, member)


def _whole(reader: Reader, line: Line) -> Statement:
    """L = ..., a number."""
    member = line.members[-1]
    if isinstance(member, Literal) and len(line.members) > 1:
        member = line.members[-2]
    value = reader.value(member)
    value = reader.summed_squares(value)
    if not value.scalar:
        reader.shapes.trouble(
            "shape", f"the Lagrangian is a number, and this is {value}", member.at
        )
    return Statement(
        "L", K, value.tree, tuple(reader.shapes.troubles), tuple(reader.shapes.notes), at=member.at
    )


def _stated(reader: Reader, line: Line, subject: Subject, member: Mark) -> Statement:
    value = _oriented(reader, subject, member)
    if subject.increment:
        value = _around(subject, value, 1)
    sign = line.signs[0] if line.signs else "="
    if sign in {"+=", "-="} and subject.role in {"W", "b"}:
        value = _around(subject, value, 1 if sign == "+=" else -1)
    return _finished(reader, subject, value.tree, member.at, bool(subject.letters))


def _oriented(reader: Reader, subject: Subject, member: Mark) -> Value:
    """The value with the free indices of the subject."""
    names = ("p", "q")
    for letter, layer in zip(subject.letters, extents(subject), strict=False):
        reader.index(letter, component(layer), member.at)
    value = reader.value(member)
    constant = not any(isinstance(one, Ref | Fun) for one in value.tree.walk())
    if value.scalar and (subject.letters or constant):
        free = dict(zip((FREE + one for one in subject.letters), names, strict=False))
        return replace(value, tree=renamed(value.tree, free))
    return _with_axes(reader, subject, value, member)


def _with_axes(reader: Reader, subject: Subject, value: Value, member: Mark) -> Value:
    """A vector, a matrix, or an array of all samples: axes by what they run over."""
    names = {}
    wanted = [component(layer) for layer in extents(subject)]
    labels = ["p", "q"][: len(wanted)]
    if reader.reading.inputs_first and len(wanted) == 2:
        wanted, labels = wanted[::-1], labels[::-1]
    axes = [axis for axis in value.axes if axis.over != SAMPLES]
    for axis in value.axes:
        if axis.over == SAMPLES:
            names[axis.index] = "i"
    described = " by ".join(width(one.layer) for one in wanted)
    free = free_letters(value.tree)
    if value.scalar and len(free) == len(wanted) == 1:
        return replace(value, tree=renamed(value.tree, {free[0]: "p"}))
    if len(axes) != len(wanted):
        reader.shapes.trouble(
            "shape",
            f"the left side has the shape {described}, the right side is {value}",
            member.at,
        )
    elif len(axes) == 2 and axes[0].over == wanted[1] and axes[0].over != wanted[0]:
        reader.shapes.trouble(
            "order",
            f"the left side is {described}, the right side {value}: it is the transpose",
            member.at,
        )
        if reader.mend:
            axes.reverse()
    elif not all(a.over == w for a, w in zip(axes, wanted, strict=True)):
        reader.shapes.trouble(
            "shape", f"the left side is {described}, the right side is {value}", member.at
        )
    every = [*labels, "q"] if labels == ["p"] else labels
    names |= {axis.index: label for axis, label in zip(axes, every, strict=False)}
    return replace(value, tree=renamed(value.tree, names))


def _around(subject: Subject, value: Value, sign: int) -> Value:
    """W ± what is added to it."""
    own = Ref(subject.role, subject.layer, ("p", "q")[: len(extents(subject))])
    return replace(value, tree=Add((own, value.tree if sign > 0 else negative(value.tree))))


def _solved(reader: Reader, line: Line, subject: Subject, members: list[Mark]) -> Statement:
    """``... = 0`` solved for the subject; or an expression alone, which is its value."""
    if len(members) == 1:
        return _stated(reader, line, subject, members[0])
    left, right = (_oriented(reader, subject, member) for member in members[:2])
    tree: Tree = Add((left.tree, negative(right.tree)))
    if subject.role in {"W", "b"}:
        return _finished(reader, subject, tree, line.at, bool(subject.letters))
    unknown = next((one for one in tree.walk() if isinstance(one, Ref) and _is(one, subject)), None)
    slope = None if unknown is None else _coefficient(tree, unknown)
    if unknown is None or slope is None:
        raise FormulaError(
            reader.text, line.at, "this is not solved for the unknown", "write it on the left"
        )
    rest = tree.map(lambda one: Num(Fraction(0)) if one == unknown else one)
    solution = Mul((Num(Fraction(-1)), rest, Pow(slope, -1)))
    return _finished(reader, subject, solution, line.at, bool(subject.letters))


def _is(one: Ref, subject: Subject) -> bool:
    return one.name == subject.role and one.layer == subject.layer and one.at[-1] == "p"


def _coefficient(tree: Tree, unknown: Ref) -> Tree | None:
    """The number, times a power of M, that stands before the unknown."""
    try:
        form = normal(tree, Rules(through=False))
    except TooLarge:
        return None
    wanted = (unknown.name, 0, unknown.layer, unknown.at, None)
    for term in form.terms:
        powers = dict(term.factors)
        alone = powers.pop(wanted, 0) == 1 and not term.bound
        if alone and set(powers) <= {("M", 0, None, (), None)}:
            scale = Pow(Sym("M"), next(iter(powers.values()), 0))
            return Mul((Num(term.coefficient), scale))
    return None


def _finished(reader: Reader, subject: Subject, tree: Tree, at: int, indices: bool) -> Statement:
    """Layers counted from the unknown's."""
    layer, below = subject.layer, False
    if layer.base == "k" and layer.offset:
        tree, layer = relayered(tree, rebased("k", "k", -layer.offset)), K
    elif layer.base == "N" and layer.offset == -1:
        below = True
        tree, layer = relayered(tree, rebased("N", "k", 1)), K
    return Statement(
        subject.role,
        layer,
        tree,
        tuple(reader.shapes.troubles),
        tuple(reader.shapes.notes),
        subject.slope,
        at,
        indices,
        below,
    )
