"""What a document shows: formulas, listings and tables.

In a notebook they are displayed at once; under ``python -m derivations`` they are recorded, and the
writers turn the record into Markdown and LaTeX. A formula is the LaTeX that the package printed;
documents do not spell formulas out.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import sympy as sp


@dataclass(frozen=True)
class Formula:
    """A display formula: lines aligned at their first ``=``, and the label of its condition.

    ``name`` is the key under which :attr:`Record.formulas` holds it, for whoever quotes it.
    """

    lines: tuple[str, ...]
    label: str = ""
    name: str = ""

    @property
    def body(self) -> str:
        """The formula without its label, for use inside ``equation``."""
        if len(self.lines) == 1:
            return self.lines[0]
        rows = (" \\\\\n".join(_aligned(line) for line in self.lines)).replace("\n", "\n  ")
        return f"\\begin{{aligned}}\n  {rows}\n\\end{{aligned}}"

    @property
    def latex(self) -> str:
        """The formula with its label as a tag."""
        return self.body + (f"\n\\tag{{{self.label}}}" if self.label else "")

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"

    def __repr__(self) -> str:
        return self.latex


@dataclass(frozen=True)
class Listing:
    """Generated code."""

    source: str

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.source}\n```"

    def __repr__(self) -> str:
        return self.source


@dataclass(frozen=True)
class Table:
    """A table whose cells are inline Markdown."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_markdown_(self) -> str:
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def __repr__(self) -> str:
        return self._repr_markdown_()


@dataclass(frozen=True)
class Printed:
    """Text that a cell printed."""

    text: str


Shown = Formula | Listing | Table | Printed


@dataclass
class Record(io.TextIOBase):
    """Everything that a document showed or printed, in order; also a stream for ``print``."""

    shown: list[Shown] = field(default_factory=list)
    formulas: dict[str, Formula] = field(default_factory=dict)

    def write(self, text: str) -> int:
        """Append printed text."""
        before = self.shown.pop().text if self.shown and isinstance(self.shown[-1], Printed) else ""
        self.shown.append(Printed(before + text))
        return len(text)

    def add(self, what: Shown) -> None:
        """Append what was shown; a name may be given only once."""
        if isinstance(what, Formula) and what.name:
            if what.name in self.formulas:
                raise ValueError(f"two formulas are named {what.name!r}")
            self.formulas[what.name] = what
        self.shown.append(what)

    def take(self) -> list[Shown]:
        """What was shown since the last call."""
        taken, self.shown = self.shown, []
        return taken


_records: list[Record] = []


@contextlib.contextmanager
def recording() -> Iterator[Record]:
    """Record instead of display."""
    record = Record()
    _records.append(record)
    try:
        with contextlib.redirect_stdout(record):
            yield record
    finally:
        _records.remove(record)


def display(what: object) -> None:
    """Show an object: recorded, displayed in a notebook, or printed."""
    if _records:
        shown = what if isinstance(what, Formula | Listing | Table) else Printed(f"{what!r}\n")
        _records[-1].add(shown)
    elif "IPython" in sys.modules:
        importlib.import_module("IPython.display").display(what)
    else:
        print(what)


def show(*lines: str, label: str = "", name: str = "") -> None:
    """Display a formula given as LaTeX, one string per line."""
    display(Formula(lines, label, name))


def equation(*sides: sp.Expr | str, label: str = "", name: str = "") -> None:
    """Display sides that are equal: SymPy expressions, or LaTeX that the package printed.

    A side that reads like one before it is left out.
    """
    written = dict.fromkeys(side if isinstance(side, str) else sp.latex(side) for side in sides)
    show(" = ".join(written), label=label, name=name)


def listing(source: str, *functions: str) -> None:
    """Display functions of a module, as they stand in its source."""
    found = {
        node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }
    pieces = [ast.get_source_segment(source, found[name]) for name in functions]
    display(Listing("\n\n\n".join(piece for piece in pieces if piece)))


def table(header: Sequence[str], *rows: Sequence[str]) -> None:
    """Display a table; its cells are inline Markdown."""
    display(Table(tuple(header), tuple(tuple(row) for row in rows)))


def _aligned(line: str) -> str:
    """A line with its alignment point: at the first ``=`` between spaces, or before a sign."""
    head, equals, rest = line.partition(" = ")
    return f"{head} &= {rest}" if equals else rf"&\phantom{{=}}\;\, {line}"
