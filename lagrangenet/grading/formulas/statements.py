"""What a line states: which unknown equals which expression, in index notation.

The unknown is found on either side, or solved for where the line says that something vanishes
(∂L/∂x^k = ... = 0). Layers are counted from the unknown's: Δ^{k−1} = ... becomes a statement about Δ^k.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from lagrangenet.grading.formulas.indexed import (
    LAST,
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
    changed,
    moved,
    negative,
    renamed,
    walk,
)
from lagrangenet.grading.formulas.names import ERRORS
from lagrangenet.grading.formulas.normal import Rules, TooLarge, normal
from lagrangenet.grading.formulas.reading import Reader
from lagrangenet.grading.formulas.shapes import Trouble, Value, component
from lagrangenet.grading.formulas.tree import (
    Chain,
    FormulaError,
    Line,
    Literal,
    Mark,
    Name,
    Slope,
    Turned,
)


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


@dataclass(frozen=True)
class Subject:
    """The unknown of a line, as it is written."""

    role: str
    layer: Layer
    letters: tuple[str, ...] = ()
    slope: str = "objective"
    increment: bool = False
    turned: bool = False


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
    found, members = _subject(reader, line, part)
    chosen = found or subject
    if found is not None and not found.role and subject is not None:
        chosen = replace(subject, letters=found.letters)  # a letter that is overwritten
    if chosen is None:
        raise FormulaError(
            reader.text,
            line.at,
            "I do not see what this line is about",
            _REMEDIES.get(part, "write the unknown on the left"),
        )
    for letter in chosen.letters:
        reader.letters.kinds.setdefault(letter, "component")
    if found is None or not members:
        yield _solved(reader, line, chosen, members or list(line.members))
        return
    for member in members:
        yield _stated(reader, line, chosen, member)


_REMEDIES = {
    "forward": "write x^k = ... or z^k = ...",
    "output": "write λ^N = ..., or Δ^N, δ^N",
    "recursion": "write λ^k = ..., or Δ^k, δ^k",
    "weights": "write ∂L/∂W^k = ...",
    "biases": "write ∂L/∂b^k = ...",
    "update": "write W^k ← W^k − η ...",
}


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


# -- the unknown -----------------------------------------------------------------------------------


def _subject(reader: Reader, line: Line, part: str) -> tuple[Subject | None, list[Mark]]:
    members = list(line.members)
    if part in {"weights", "biases", "update"} and len(members) > 1:
        while len(members) > 2 and _is_zero(members[-1]):
            members.pop()
    header: Subject | None = None
    if part in {"weights", "biases"}:
        header = _header(reader, members[0], part) if len(members) > 1 else None
        return header, members[1:] if header else members
    if part == "update":
        header = _updated(reader, members[0]) if len(members) > 1 else None
        return header, members[1:] if header else members
    members = [m for m in members if not _is_condition(reader, m)]
    for position, member in enumerate(members):
        header = _unknown(reader, member, part)
        if header is not None:
            rest = members[:position] + members[position + 1 :]
            rest = [m for m in rest if not _is_zero(m)] or rest
            return header, rest
    return None, members


def _is_zero(mark: Mark) -> bool:
    return isinstance(mark, Literal) and mark.value == 0


def _is_condition(reader: Reader, mark: Mark) -> bool:
    """``∂L/∂x^k``: it says which condition follows."""
    return isinstance(mark, Slope) and reader.role(mark.of) in {"lagrangian", "objective"}


def _header(reader: Reader, mark: Mark, part: str) -> Subject | None:
    role = "W" if part == "weights" else "b"
    if isinstance(mark, Slope) and isinstance(mark.by, Name) and reader.role(mark.by) == role:
        found = reader.scripts(mark.by, role)
        slope = "sample" if reader.role(mark.of) == "ell" else "objective"
        return Subject(role, found.layer or K, found.letters, slope)
    name = mark.base if isinstance(mark, Turned) else mark
    if isinstance(name, Name) and name.name in {f"d{role}", f"D{role}", f"grad{role}", "G", "g"}:
        found = reader.scripts(name, role)
        return Subject(role, found.layer or K, found.letters)
    return None


def _updated(reader: Reader, mark: Mark) -> Subject | None:
    increment = False
    if isinstance(mark, Chain) and len(mark.factors) == 2:
        (_, first), (_, second) = mark.factors
        if isinstance(first, Name) and first.name == "Delta" and not first.sups:
            mark, increment = second, True
    if isinstance(mark, Name) and reader.role(mark) in {"W", "b"}:
        role = reader.role(mark)
        found = reader.scripts(_without_words(mark), role)
        return Subject(role, found.layer or K, found.letters, increment=increment)
    return None


def _without_words(mark: Name) -> Name:
    """W^{k,new} is W^k."""
    letters = {"n", "e", "w"}
    kept = tuple(s for s in mark.sups if s.symbol not in letters | {"+"})
    return replace(mark, sups=kept)


def _unknown(reader: Reader, mark: Mark, part: str) -> Subject | None:
    turned = isinstance(mark, Turned)
    mark = mark.base if isinstance(mark, Turned) else mark
    if isinstance(mark, Slope) and isinstance(mark.by, Name) and reader.role(mark.of) == "ell":
        role = {"X": "Delta", "Z": "delta", "output": "Delta"}.get(reader.role(mark.by), "")
        if not role:
            return None
        found = reader.scripts(mark.by, "X" if reader.role(mark.by) != "output" else "Y")
        layer = LAST if reader.role(mark.by) == "output" else found.layer
        return None if layer is None else Subject(role, layer, _components(reader, found.letters))
    if not isinstance(mark, Name) or mark.primes or mark.args:
        return None
    role = reader.role(mark)
    if role in ERRORS or (part == "forward" and role in {"X", "Z", "output"}):
        found = reader.scripts(mark, role)
        layer = LAST if role == "output" else found.layer
        if layer is None:
            if reader.overwritten is None:
                return None
            return Subject("", K, _components(reader, found.letters))
        role = {"output": "X"}.get(role, role)
        return Subject(role, layer, _components(reader, found.letters), turned=turned)
    return None


def _components(reader: Reader, letters: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(letter for letter in letters if reader.letters.kind(letter) == "component")


# -- the other side --------------------------------------------------------------------------------


def _stated(reader: Reader, line: Line, subject: Subject, member: Mark) -> Statement:
    value = _oriented(reader, subject, member)
    if subject.increment:
        value = _around(reader, subject, value, 1)
    sign = line.signs[0] if line.signs else "="
    if sign in {"+=", "-="} and subject.role in {"W", "b"}:
        value = _around(reader, subject, value, 1 if sign == "+=" else -1)
    return _finished(reader, subject, value.tree, member.at, bool(subject.letters))


def _oriented(reader: Reader, subject: Subject, member: Mark) -> Value:
    """The value with the free indices of the subject."""
    names = ("p", "q")
    for letter, layer in zip(subject.letters, _extents(subject), strict=False):
        reader.index(letter, component(layer), member.at)
    value = reader.value(member)
    if value.scalar and (subject.letters or not _needs_axes(value.tree)):
        free = dict(zip(subject.letters, names, strict=False))
        return replace(value, tree=renamed(value.tree, free))
    return _with_axes(reader, subject, value, member)


def _needs_axes(tree: Tree) -> bool:
    return bool([one for one in walk(tree) if isinstance(one, Ref | Fun)])


def _extents(subject: Subject) -> tuple[Layer, ...]:
    if subject.role == "W":
        return subject.layer, subject.layer + -1
    return (subject.layer,)


def _with_axes(reader: Reader, subject: Subject, value: Value, member: Mark) -> Value:
    """A vector, a matrix, or an array of all samples: axes by what they run over."""
    names = {}
    wanted = [component(layer) for layer in _extents(subject)]
    labels = ["p", "q"][: len(wanted)]
    if reader.reading.inputs_first and len(wanted) == 2:
        wanted, labels = wanted[::-1], labels[::-1]
    axes = [axis for axis in value.axes if axis.over != SAMPLES]
    for axis in value.axes:
        if axis.over == SAMPLES:
            names[axis.index] = "i"
    described = " × ".join(f"n_{one.layer}" for one in wanted)
    free = _free_letters(reader, value.tree)
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
            axes = axes[::-1]
    elif not all(a.over == w for a, w in zip(axes, wanted, strict=True)):
        reader.shapes.trouble(
            "shape", f"the left side is {described}, the right side is {value}", member.at
        )
    every = [*labels, "q"] if labels == ["p"] else labels
    names |= {axis.index: label for axis, label in zip(axes, every, strict=False)}
    return replace(value, tree=renamed(value.tree, names))


def _free_letters(reader: Reader, tree: Tree) -> list[str]:
    found = [index for one in walk(tree) if isinstance(one, Ref) for index in one.at]
    return [x for x in dict.fromkeys(found) if len(x) == 1 and x.isalpha() and x != "i"]


def _around(reader: Reader, subject: Subject, value: Value, sign: int) -> Value:
    """W ± what is added to it."""
    own = Ref(subject.role, subject.layer, ("p", "q")[: len(_extents(subject))])
    del reader
    return replace(value, tree=Add((own, value.tree if sign > 0 else negative(value.tree))))


def _solved(reader: Reader, line: Line, subject: Subject, members: list[Mark]) -> Statement:
    """``... = 0`` solved for the subject; or an expression alone, which is its value."""
    if len(members) == 1:
        return _stated(reader, line, subject, members[0])
    left, right = (_oriented(reader, subject, member) for member in members[:2])
    tree: Tree = Add((left.tree, negative(right.tree)))
    if subject.role in {"W", "b"}:
        return _finished(reader, subject, tree, line.at, bool(subject.letters))
    unknown = next((one for one in walk(tree) if isinstance(one, Ref) and _is(one, subject)), None)
    slope = None if unknown is None else _coefficient(tree, unknown)
    if unknown is None or slope is None:
        raise FormulaError(
            reader.text, line.at, "this is not solved for the unknown", "write it on the left"
        )
    rest = changed(tree, lambda one: Num(Fraction(0)) if one == unknown else one)
    solution = Mul((Num(Fraction(-1)), rest, Pow(slope, -1)))
    return _finished(reader, subject, solution, line.at, bool(subject.letters))


def _is(one: Ref, subject: Subject) -> bool:
    return (
        one.name == subject.role
        and one.layer == subject.layer
        and one.at[-1] in {"p", *subject.letters}
    )


def _coefficient(tree: Tree, unknown: Ref) -> Tree | None:
    """The number, times a power of M, that stands before the unknown."""
    try:
        form = normal(tree, Rules(through=False))
    except TooLarge:
        return None
    wanted = (unknown.name, 0, unknown.layer, unknown.at, None)
    for term in form.terms:
        powers = dict(term.factors)
        if powers.pop(wanted, 0) == 1 and not term.bound:
            if set(powers) <= {("M", 0, None, (), None)}:
                scale = Pow(Sym("M"), next(iter(powers.values()), 0))
                return Mul((Num(term.coefficient), scale))
    return None


def _finished(reader: Reader, subject: Subject, tree: Tree, at: int, indices: bool) -> Statement:
    """Layers counted from the unknown's."""
    layer, below = subject.layer, False
    if layer.base == "k" and layer.offset:
        tree, layer = moved(tree, -layer.offset), K
    elif layer.base == "N" and layer.offset == -1:
        below = True
        tree, layer = _from_last(tree), K
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


def _from_last(tree: Tree) -> Tree:
    """N as k+1: a statement about layer N−1 as one about layer k."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref | Fun) and one.layer is not None and one.layer.base == "N":
            return replace(one, layer=Layer("k", one.layer.offset + 1))
        return one

    return changed(tree, change)
