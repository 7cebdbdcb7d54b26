"""Lines of generated code: comments beside or above them, long statements over several lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from lagrangenet.emit.layout import WIDTH

_COMMENT_COLUMN = 48
#: Where a statement is broken, the loosest first; within brackets at commas before that.
_OPERATORS = tuple(
    re.compile(f" (?=(?:{signs}) )") for signs in (r"[<>]=?|==", r"\+|-", r"\*\*?|/|//|@")
)
_COMMA = re.compile("(?<=,) ")
_TARGET = re.compile(r"(return |.*? [-+]?= )?(.*)")


def definition(name: str, arguments: str, summary: str, body: Iterable[str]) -> str:
    """A function whose body is these lines, with those that are too long broken."""
    title = textwrap.wrap(f'"""{summary}"""', WIDTH - 4, break_long_words=False)
    lines = "\n".join([*title, *body]).splitlines()
    inside = [part for line in lines for part in broken(f"    {line}")]
    return "\n".join([*broken(f"def {name}({arguments}):"), *inside])


def commented(code: str, comment: str) -> list[str]:
    """A statement with its comment: to the right if there is room, else above."""
    if len(code) > _COMMENT_COLUMN - 2 or _COMMENT_COLUMN + len(comment) > WIDTH - 4:
        return [*textwrap.wrap(comment, WIDTH - 8, subsequent_indent="#   "), code]
    return [f"{code:<{_COMMENT_COLUMN}}{comment}"]


def broken(line: str, width: int = WIDTH) -> list[str]:
    """A statement over as many lines as it needs, broken within brackets at blanks.

    Examples
    --------
    >>> for line in broken("    J = (first - second) * (third + fourth) + fifth.sum(axis=0)", 36):
    ...     print(line)
        J = (
            (first - second)
            * (third + fourth)
            + fifth.sum(axis=0)
        )
    """
    code = line.lstrip()
    if len(line) <= width or code.startswith("#"):
        return [line]
    room = width - len(line) + len(code)
    target, value = _TARGET.fullmatch(code).groups(default="")  # type: ignore[union-attr]
    if len(_parts(value)) > 1:
        lines = [f"{target}(", *_indented(_filled(value, room - 4)), ")"]
    else:
        lines = _opened(code, room)
    return [line[: len(line) - len(code)] + part for part in lines]


def _filled(code: str, room: int) -> list[str]:
    """An expression within brackets as lines: one for each term, factors together if they fit."""
    if len(code) <= room:
        return [code]
    parts = _parts(code)
    if len(parts) == 1:
        return _opened(code, room)
    if _OPERATORS[-1].match(f" {parts[1]}"):
        parts = list(_packed(parts, room))
    return [line for part in parts for line in _filled(part, room)]


def _packed(parts: list[str], room: int) -> Iterator[str]:
    line = parts[0]
    for part in parts[1:]:
        if len(f"{line} {part}") <= room:
            line = f"{line} {part}"
        else:
            yield line
            line = part
    yield line


def _opened(code: str, room: int) -> list[str]:
    """A call, or what else ends in brackets, with what is within its longest ones on own lines."""
    first, last = max(_brackets(code), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    if last - first < 2:
        return [code]
    inside = code[first + 1 : last]
    parts = [inside] if len(inside) <= room - 4 else _split(_COMMA, inside)
    lines = [line for part in parts for line in _filled(part, room - 4)]
    return [code[: first + 1], *_indented(lines), code[last:]]


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _parts(code: str) -> list[str]:
    """The expression at its loosest operators outside of brackets, each with what follows it."""
    for operator in _OPERATORS:
        if len(parts := _split(operator, code)) > 1:
            return parts
    return [code]


def _split(pattern: re.Pattern[str], code: str) -> list[str]:
    parts, start = [], 0
    inside = list(_brackets(code))
    for match in pattern.finditer(code):
        if match.start() and not any(first < match.start() < last for first, last in inside):
            parts.append(code[start : match.start()])
            start = match.end()
    return [*parts, code[start:]]


def _brackets(code: str) -> Iterator[tuple[int, int]]:
    """Where the outermost brackets open and close."""
    depth = first = 0
    for place, character in enumerate(code):
        if character in "([{":
            first = first if depth else place
            depth += 1
        elif character in ")]}":
            depth -= 1
            if not depth:
                yield first, place
