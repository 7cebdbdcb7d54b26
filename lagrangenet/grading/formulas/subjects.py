"""The unknown of a line: what stands alone on one side, or before an arrow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lagrangenet.grading.formulas.indexed import LAST, K, Layer
from lagrangenet.grading.formulas.names import ERRORS
from lagrangenet.grading.formulas.reading import Reader
from lagrangenet.grading.formulas.tree import Chain, Line, Literal, Mark, Name, Slope, Turned


@dataclass(frozen=True)
class Subject:
    """The unknown of a line, as it is written."""

    role: str
    layer: Layer
    letters: tuple[str, ...] = ()
    slope: str = "objective"
    increment: bool = False
    turned: bool = False


REMEDIES = {
    "forward": "write x^k = ... or z^k = ...",
    "output": "write λ^N = ..., or Δ^N, δ^N",
    "recursion": "write λ^k = ..., or Δ^k, δ^k",
    "weights": "write ∂L/∂W^k = ...",
    "biases": "write ∂L/∂b^k = ...",
    "update": "write W^k ← W^k − η ...",
}


def subject_of(reader: Reader, line: Line, part: str) -> tuple[Subject | None, list[Mark]]:
    """The unknown of a line, and the members that say what it is equal to."""
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


def extents(subject: Subject) -> tuple[Layer, ...]:
    """The layers that the components of an unknown belong to."""
    if subject.role == "W":
        return subject.layer, subject.layer + -1
    return (subject.layer,)
