"""Declarations as TOML: what reading and writing chains and graphs have in common."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.functions import Choice


def quoted(text: str) -> str:
    """A string as TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def inline(value: Any) -> str:
    """A choice, number, string, or list of them as TOML."""
    if isinstance(value, Choice):
        if not value.parameters:
            return quoted(value.name)
        inner = ", ".join(f"{key} = {inline(item)}" for key, item in value.parameters)
        return f"{{ name = {quoted(value.name)}, {inner} }}"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return repr(value)


def tables(text: str) -> dict[str, Any]:
    """TOML text as a dictionary, or a :class:`ProblemError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProblemError(f"not a TOML problem file: {error}") from None


def only(table: Mapping[str, object], known: set[str], what: str) -> None:
    """Refuse a key that means nothing."""
    if unknown := sorted(table.keys() - known):
        raise ProblemError(f"{what} has no key {unknown[0]!r}; known: {', '.join(sorted(known))}")


def array_of_tables(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Take ``[[key]]`` out of a table."""
    found = table.pop(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProblemError(f"{key!r} has to be an array of tables: [[{key}]]")
    return found


def read(path: str | Path) -> str:
    """The text of a problem file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"cannot read the problem file {str(path)!r}: {error}") from None
