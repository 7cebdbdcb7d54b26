"""Catalogues: entries by name or by formula, and the one registration that an entry needs.

It refuses a name that is taken or no identifier, kinks without a subgradient, and unknown symbols.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Generic

from lagrangenet.errors import ProblemError
from lagrangenet.functions.base import Bound, Choice, E, Z, n, p, r, t, w, x, y, z

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


class Catalogue(Mapping[str, E], Generic[E]):
    """Entries by name, or by formula. ``add`` is the only registration an entry needs.

    Parameters
    ----------
    kind : str
        What the entries are called in messages.
    written : callable, optional
        Makes the entry that a formula declares. A formula is its own name, so that equal text is
        the same function; nothing is registered.
    """

    def __init__(self, kind: str, written: Callable[[str], E] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}
        self._written = written

    def add(self, entry: E) -> E:
        """Register a complete entry and return it.

        Raises
        ------
        ProblemError
            If the name is taken or no identifier, kinks have no declared subgradient, or a symbol is unknown.
        """
        if not _NAME.fullmatch(entry.name) or keyword.iskeyword(entry.name):
            raise ProblemError(
                f"{self.kind} {entry.name!r}: a name is a letter, then at most 30 letters, digits "
                "and underscores, and no keyword"
            )
        if entry.name in self._entries:
            raise ProblemError(f"{self.kind} {entry.name!r} is declared twice")
        if bool(entry.kinks) != bool(entry.subgradient):
            raise ProblemError(f"{self.kind} {entry.name!r}: kinks and subgradient go together")
        known = {z, w, y, x, t, p, r, n, Z, Z.label, Z[p], Z[r]}
        known |= {entry.symbol(name) for name in entry.parameters}
        if unknown := entry.expr.free_symbols - known:
            names = ", ".join(sorted(map(str, unknown)))
            raise ProblemError(f"{self.kind} {entry.name!r} uses the undeclared symbol(s) {names}")
        self._entries[entry.name] = entry
        return entry

    def remove(self, name: str) -> None:
        """Take an entry out again, as an experiment or a test does with its own."""
        del self._entries[self[name].name]

    def __getitem__(self, name: str) -> E:
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            if self._written is not None and is_formula(name):
                return self._written(name)
            known = ", ".join(sorted(self._entries))
            hint = ", or a formula" if self._written is not None else ""
            raise ProblemError(f"unknown {self.kind} {name!r}; known: {known}{hint}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (self._written is not None and is_formula(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def bind(self, choice: Choice) -> Bound[E]:
        """The function that a choice names. What is derived from it may be kept under this key."""
        return Bound(self[choice.name], choice)

    def choose(self, what: str | Choice | Mapping[str, object]) -> Choice:
        """Turn a name, a formula, a choice or a table ``{"name": ..., parameter: value}`` into a choice."""
        if isinstance(what, Choice):
            return self[what.name](**dict(what.parameters))
        if isinstance(what, Mapping):
            table = dict(what)
            name = table.pop("name", None)
            return self[name](**table)  # type: ignore[index, arg-type]  # both are checked there
        return self[what]()


def is_formula(name: object) -> bool:
    """Whether a name can only be a formula: a variable, or text that is no identifier."""
    return isinstance(name, str) and (
        name in {"z", "x", "w"} or not re.fullmatch(r"\s*\w*\s*", name)
    )
