r"""The formulas of a submission from a file: TOML, Markdown, LaTeX or plain text.

In TOML each part is a key. In the others a heading begins a part: ``## Backward pass``,
``\section{Backward pass}``, or a line ``Backward pass:``, with or without a number. In Markdown only
formulas count: what stands in code fences, in ``$...$`` or in indented lines; a part without any is taken
whole. Files are bounded, read as text and never executed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from lagrangenet.errors import DataError
from lagrangenet.grading.formulas.task import PARTS, part_of

#: The kinds of file, and the largest one that is read.
SUFFIXES = (".toml", ".md", ".tex", ".txt")
SIZE = 1 << 16

_HEADINGS = {
    ".md": re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$"),
    ".tex": re.compile(r"^[ \t]*\\(?:sub)*(?:section|paragraph)\*?\{([^{}]{1,80})\}[ \t]*$"),
    ".txt": re.compile(r"^[ \t]*([^=:←]{1,80}):[ \t]*(?P<rest>.*)$"),
}
_FORMULA = re.compile(
    r"```[^\n]*\n(?P<fence>.*?)```|\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL
)
_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_COMMENT = re.compile(r"(?<!\\)%.*")


def load(path: str | Path) -> dict[str, str]:
    r"""The formulas in a file, by part; ``notation`` and ``conventions`` too, where they are given.

    Raises
    ------
    DataError
        For another kind of file, one that is too large or no text, and for one without a part.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "answer.md")
    ...     _ = path.write_text("## 3. Backward pass\n$\\lambda^k = W^{k+1}$\n", encoding="utf-8")
    ...     load(path)
    {'recursion': '\\lambda^k = W^{k+1}'}
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{place.name}: formulas are read from {', '.join(SUFFIXES)} files")
    try:
        with place.open("rb") as file:
            content = file.read(SIZE + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {place.name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{place.name} is no UTF-8 text; save it as UTF-8") from None
    if len(content) > SIZE:
        raise DataError(f"{place.name} is larger than {SIZE} bytes")
    return loads(text.replace("\r\n", "\n"), suffix, place.name)


def loads(text: str, suffix: str, name: str = "the submission") -> dict[str, str]:
    """The formulas in a text of one of the kinds in :data:`SUFFIXES`; see :func:`load`."""
    found = _from_toml(text, name) if suffix == ".toml" else dict(_sections(text, suffix, name))
    if not any(part_of(key) for key in found):
        known = ", ".join(PARTS)
        raise DataError(f"{name} has none of the parts {known}: give each a heading or a key")
    return found


def _from_toml(text: str, name: str) -> dict[str, str]:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{name} is no TOML: {error}; write formulas between ''' and '''") from None
    inner = table.get("formulas", table)
    found: dict[str, str] = {}
    for key, value in inner.items() if isinstance(inner, dict) else ():
        if key == "conventions" and isinstance(value, dict):
            found[key] = "\n".join(f"{k} = {v}" for k, v in value.items())
        elif isinstance(value, str) and _key(key):
            found[_key(key)] = value
        elif isinstance(value, list) and _key(key) and all(isinstance(v, str) for v in value):
            found[_key(key)] = "\n".join(value)
        else:
            known = ", ".join((*PARTS, "notation", "conventions"))
            raise DataError(f"{name}: key {key!r} is not one of {known} with a text")
    return found


def _key(heading: str) -> str:
    """The part that a heading begins, or an option."""
    plain = heading.strip().strip("*_`").lower()
    return plain if plain in {"notation", "conventions"} else part_of(plain)


def _sections(text: str, suffix: str, name: str) -> Iterator[tuple[str, str]]:
    if suffix == ".tex":
        body = _BODY.search(text)
        text = _COMMENT.sub("", body[1] if body else text)
    heading, lines = "", list[str]()
    seen: set[str] = set()
    for line in [*text.split("\n"), None]:
        found = _HEADINGS[suffix].match(line) if line is not None else None
        key = _key(found[1]) if found else ""
        if line is None or key or (found and suffix != ".txt"):
            if heading:
                if heading in seen:
                    raise DataError(f"{name} has the part {heading!r} twice")
                seen.add(heading)
                yield heading, _formulas("\n".join(lines), suffix, heading)
            heading, lines = key, []
            if found and suffix == ".txt":
                lines.append(found["rest"])
        elif line is not None:
            lines.append(line)


def _formulas(text: str, suffix: str, heading: str) -> str:
    """What is formula in a section of Markdown; all of it elsewhere."""
    text = text.strip("\n")
    if suffix != ".md" or heading in {"notation", "conventions"}:
        return text.strip()
    found = [next(g for g in match.groups() if g is not None) for match in _FORMULA.finditer(text)]
    if not found:
        found = [line for line in text.split("\n") if line.startswith(("    ", "\t"))]
    return "\n\n".join(one.strip() for one in found) if found else text.strip()
