"""A class: its grades as a table, and which mistakes are common."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lagrangenet.grading.result import Grade


class Mistake(NamedTuple):
    """A diagnosis without the numbers of one submission, and who made it in which part."""

    part: str
    diagnosis: str
    equation: str
    submissions: tuple[str, ...]


def mistakes(grades: Iterable[Grade]) -> list[Mistake]:
    """Mistakes by how many made them.

    Examples
    --------
    >>> from lagrangenet.grading.result import Part
    >>> def graded(name, words):
    ...     return Grade(name, "hw", (Part("gradient", "wrong", 0, 1, words),))
    >>> both = mistakes([graded("a", "1/M is missing; 4, not 1"), graded("b", "1/M is missing; 2, not 1")])
    >>> [(mistake.diagnosis, mistake.submissions) for mistake in both]
    [('1/M is missing', ('a', 'b'))]
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for grade in grades:
        for part in grade.parts:
            if not part.right:
                words = part.diagnosis.split(";")[0].strip() or part.verdict.replace("_", " ")
                found.setdefault((part.name, words, part.equation), []).append(grade.submission)
    rows = [Mistake(*key, tuple(names)) for key, names in found.items()]
    return sorted(rows, key=lambda row: (-len(row.submissions), row.part, row.diagnosis))


def verdicts(grades: Iterable[Grade]) -> Counter[str]:
    """How many submissions are right, wrong in something, not gradable in something."""
    names = ("right", "wrong", "not gradable")
    return Counter(names[grade.status] for grade in grades)


def table(grades: Sequence[Grade]) -> str:
    """CSV: a line for each submission, for each part its points, verdict and diagnosis.

    Cells that a spreadsheet would compute are made text.
    """
    names = list(dict.fromkeys(part.name for grade in grades for part in grade.parts))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    each = [f"{name}{what}" for name in names for what in ("", " verdict", " diagnosis")]
    writer.writerow([*map(_text, ["submission", "score", "max_score", *each, "seed", "note"])])
    for grade in grades:
        parts = {part.name: part for part in grade.parts}
        cells: list[object] = [_text(grade.submission), grade.score, grade.max_score]
        for name in names:
            part = parts.get(name)
            words = _text(part.diagnosis or part.note) if part else ""
            cells += [part.points, part.verdict, words] if part else ["", "", ""]
        writer.writerow([*cells, grade.seed, _text(grade.note)])
    return stream.getvalue()


def _text(words: str) -> str:
    return f"'{words}" if words[:1] in {"=", "+", "-", "@", "\t", "\r"} else words
