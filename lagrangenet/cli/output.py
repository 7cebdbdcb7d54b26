"""Where results go: standard output or a file; progress goes to standard error."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from lagrangenet.errors import DataError
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem


def console() -> Console:
    """A console that does not cut lines where there is no terminal to fit."""
    return Console() if sys.stdout.isatty() else Console(width=110)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A status line on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


def put(path: Path | None, text: str) -> None:
    """Write to a file if one is named, otherwise to standard output."""
    if path is None:
        typer.echo(text, nl=False)
    else:
        write(path, text)


def write(path: Path, text: str) -> None:
    """Write a text file, folders included."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error}") from None


def file_name(problem: Problem | Graph) -> str:
    """The problem's name as the name of a module: no path, no character of another meaning."""
    plain = re.sub(r"\W", "_", problem.name, flags=re.ASCII)[:40]
    return plain if plain[:1].isalpha() else f"net_{plain}"
