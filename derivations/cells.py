"""Documents in the percent format: read into cells, executed in one namespace from top to bottom."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from derivations.document import Formula, Shown, display, recording

_MARK = "# %%"
_MARKDOWN = "# %% [markdown]"


@dataclass(frozen=True)
class Cell:
    """A cell: prose (Markdown) or code, the line it begins on, and what its code showed."""

    kind: str
    text: str
    line: int
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Executed:
    """A document after its run: cells with outputs, and the formulas that have names."""

    path: Path
    cells: tuple[Cell, ...]
    formulas: Mapping[str, Formula]


def read(path: Path) -> tuple[Cell, ...]:
    """The cells of a document; the header comment before the first mark is jupytext's."""
    cells: list[Cell] = []
    kind, start, lines = "", 0, list[str]()

    def close() -> None:
        body = [line.removeprefix("#").removeprefix(" ") for line in lines]
        text = "\n".join(body if kind == "markdown" else lines).strip("\n")
        if kind and text:
            cells.append(Cell(kind, text, start))

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith(_MARK):
            lines.append(line)
            continue
        if line.rstrip() not in {_MARK, _MARKDOWN}:
            raise ValueError(f"{path.name}, line {number}: unknown kind of cell: {line}")
        close()
        kind, start = ("markdown" if line.startswith(_MARKDOWN) else "code"), number
        lines = []
    close()
    return tuple(cells)


def execute(path: Path) -> Executed:
    """Run every code cell; an exception names the document and its line."""
    namespace: dict[str, object] = {"__name__": f"derivations.{path.stem}"}
    done = []
    with recording() as record:
        for cell in read(path):
            if cell.kind == "code":
                _run(cell, path, namespace)
            done.append(Cell(cell.kind, cell.text, cell.line, tuple(record.take())))
    return Executed(path, tuple(done), record.formulas)


def _run(cell: Cell, path: Path, namespace: dict[str, object]) -> None:
    """Execute a cell; a last expression is shown, as a notebook does."""
    # Compiled with its place in the file, so that a traceback points into the document.
    tree = ast.parse("\n" * cell.line + cell.text, str(path))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(path), "exec"), namespace)  # noqa: S102  the repository's own documents
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), str(path), "eval"), namespace)  # noqa: S307
        if value is not None:
            display(value)
