"""Grades for people: in a terminal, as a page for a submission, as a page for a class.

Words that came from a submission are escaped and bounded before they get here. A hidden assignment
shows hints; ``full`` is for the teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from lagrangenet.grading.result import Grade, Part
from lagrangenet.grading.summary import mistakes, verdicts
from lagrangenet.report.html import wrapped

_WORDS = {"right": "right", "wrong": "wrong", "not_gradable": "not gradable"}
_COLOURS = {"right": "#1a7f37", "wrong": "#b42318", "not_gradable": "#8a6100"}


def grade_text(grade: Grade, full: bool = False) -> str:
    """A grade in plain lines.

    Examples
    --------
    >>> part = Part("gradient", "wrong", 0, 2, "1/M is missing", equation="(S2)", hint="The mean?")
    >>> print(grade_text(Grade("a.py", "Homework 1", (part,), seed=7)))
    a.py: Homework 1, 0 of 2 points
      wrong         gradient  0/2
          1/M is missing
          equation: (S2)
          hint: The mean?
      seed 7; isolation: none
    """
    shown = grade if full else grade.shown()
    return "\n".join(_lines(shown))


def _lines(grade: Grade) -> Iterator[str]:
    score = f"{grade.score:g} of {grade.max_score:g} points"
    yield f"{grade.submission}: {grade.assignment}, {score}"
    for part in grade.parts:
        yield f"  {_WORDS[part.verdict]:<12}  {part.name}  {part.points:g}/{part.max_points:g}"
        for line in part.lines():
            yield f"      {line}"
    if grade.note:
        yield f"  note: {grade.note}"
    yield f"  seed {grade.seed}; isolation: {', '.join(grade.isolation) or 'none'}"


def grade_page(grade: Grade, full: bool = False) -> str:
    """A grade as one HTML page: no network, no script."""
    shown = grade if full else grade.shown()
    score = f"{shown.score:g} of {shown.max_score:g} points"
    rows = "".join(map(_row, shown.parts))
    note = f"<p>{escape(shown.note)}</p>" if shown.note else ""
    isolation = escape(", ".join(shown.isolation) or "none")
    body = (
        f'<p class="subtitle">{escape(shown.submission)}: {score}</p>'
        f"<table><tbody>{rows}</tbody></table>{note}"
        f'<p class="subtitle">Probes of seed {shown.seed}; isolation: {isolation}.</p>'
    )
    return wrapped(shown.assignment, body) + "\n"


def _row(part: Part) -> str:
    words = "<br/>".join(escape(line) for line in part.lines())
    return (
        f"<tr><td>{_verdict(part.verdict)}</td><td>{escape(part.name)}</td>"
        f"<td>{part.points:g}/{part.max_points:g}</td><td>{words}</td></tr>"
    )


def _verdict(verdict: str) -> str:
    return f'<strong style="color:{_COLOURS[verdict]}">{_WORDS[verdict]}</strong>'


def class_page(grades: Sequence[Grade]) -> str:
    """A class as one HTML page, for the teacher: who has what, and which mistakes are common."""
    title = grades[0].assignment if grades else "No submission"
    count = ", ".join(f"{number} {word}" for word, number in sorted(verdicts(grades).items()))
    body = [
        f'<p class="subtitle">{len(grades)} submissions: {escape(count)}.</p>',
        "<h2>Mistakes</h2>",
        f"<table><tbody>{''.join(_mistakes(grades))}</tbody></table>",
        "<h2>Submissions</h2>",
        f"<table><tbody>{''.join(_class_rows(grades))}</tbody></table>",
    ]
    return wrapped(title, "".join(body)) + "\n"


def _mistakes(grades: Sequence[Grade]) -> Iterator[str]:
    for mistake in mistakes(grades):
        who = ", ".join(mistake.submissions[:12])
        more = len(mistake.submissions) - 12
        names = who + (f" and {more} more" if more > 0 else "")
        yield (
            f"<tr><td>{len(mistake.submissions)}</td><td>{escape(mistake.part)}</td>"
            f"<td>{escape(mistake.diagnosis)}<br/>{escape(mistake.equation)}</td>"
            f"<td>{escape(names)}</td></tr>"
        )


def _class_rows(grades: Sequence[Grade]) -> Iterator[str]:
    for grade in grades:
        cells = "".join(
            f"<td>{_verdict(part.verdict)} {part.points:g}/{part.max_points:g}</td>"
            for part in grade.parts
        )
        yield (
            f"<tr><td>{escape(grade.submission)}</td>"
            f"<td>{grade.score:g}/{grade.max_score:g}</td>{cells}</tr>"
        )
