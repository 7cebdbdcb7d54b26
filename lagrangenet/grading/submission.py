"""A submission as text: Python files, notebooks, formulas; read here, executed elsewhere.

A notebook is JSON; its code cells are taken in order, magics and shell lines dropped. A folder is
one submission: the Python file or notebook with the most to say (``submission``, ``solution``,
``main``, or the only one), further Python files as modules that it may import, and TOML, Markdown,
LaTeX or text files with formulas. Nothing is compiled or imported. It refuses files that are large, and a folder without an
answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from lagrangenet.errors import DataError
from lagrangenet.grading.formulas.submission import SUFFIXES, loads
from lagrangenet.grading.protocol import printable

MAX_BYTES = 2 * 2**20
CODE = (".py", ".ipynb")
_PREFERRED = ("submission", "solution", "homework", "answer", "main")
_MAGIC = re.compile(r"(\s*)(%{1,2}[A-Za-z]|![A-Za-z./]|\?{1,2}[A-Za-z]|[\w.]+\?{1,2}\s*$)")
#: Cell magics whose cell is Python all the same.
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun")
_MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Submission:
    """What was handed in.

    Attributes
    ----------
    name : str
        File or folder name.
    blocks : tuple of (str, str)
        Title and text of what is run, in order: one for a file, one for each cell.
    modules : mapping
        Name → text of other Python files in the folder.
    formulas : mapping
        Name → text of formula answers.
    digest : str
        Of everything that was read; the same source has the same digest.
    """

    name: str
    blocks: tuple[tuple[str, str], ...] = ()
    modules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    formulas: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    digest: str = ""

    @classmethod
    def load(cls, path: str | Path) -> Submission:
        """Read a file or a folder."""
        place = Path(path)
        files = _files(place) if place.is_dir() else [place]
        texts = {file.name: _text(file) for file in files}
        code = [name for name in texts if name.endswith(CODE)]
        main = _main(place, code)
        blocks = () if main is None else _blocks(main, texts[main])
        modules = {
            Path(name).stem: texts[name]
            for name in code
            if name != main and name.endswith(".py") and _MODULE.fullmatch(Path(name).stem)
        }
        formulas: dict[str, str] = {}
        for name, text in texts.items():
            if name.endswith(SUFFIXES):
                formulas |= _formulas(name, text, len(texts) == 1)
        if not blocks and not formulas:
            raise DataError(f"{place.name}: no code cell, no Python file, no formula in it")
        digest = hashlib.sha256(json.dumps(sorted(texts.items())).encode()).hexdigest()
        return cls(
            printable(place.name, 200),
            blocks,
            MappingProxyType(modules),
            MappingProxyType(formulas),
            digest,
        )

    @classmethod
    def of_source(cls, source: str, name: str = "submission.py") -> Submission:
        """A submission of one Python text."""
        return cls(name, ((name, source),), digest=hashlib.sha256(source.encode()).hexdigest())


def _files(folder: Path) -> list[Path]:
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix in {*CODE, *SUFFIXES} and file.is_file() and not file.name.startswith(".")
    )
    if not found:
        raise DataError(f"{folder.name}: no {', '.join((*CODE, *SUFFIXES))} file in it")
    return found[:50]


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            raise DataError(f"{file.name}: no such file")
        if (size := file.stat().st_size) > MAX_BYTES:
            raise DataError(f"{file.name} has {size} bytes; at most {MAX_BYTES}")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {file.name}: {error}") from None


def _main(place: Path, code: list[str]) -> str | None:
    if len(code) < 2:
        return code[0] if code else None
    for word in (place.name, *_PREFERRED):
        for name in code:
            if Path(name).stem.lower() == word.lower():
                return name
    notebooks = [name for name in code if name.endswith(".ipynb")]
    if len(notebooks) == 1:
        return notebooks[0]
    raise DataError(
        f"{place.name}: which of {', '.join(code[:5])} is the answer? name it submission.py"
    )


def _blocks(name: str, text: str) -> tuple[tuple[str, str], ...]:
    return notebook_cells(text, name) if name.endswith(".ipynb") else ((name, text),)


def notebook_cells(text: str, name: str = "notebook") -> tuple[tuple[str, str], ...]:
    r"""Title and code of a notebook's cells, without magics and shell lines.

    Examples
    --------
    >>> cells = [{"cell_type": "code", "source": ["%matplotlib inline\n", "x = 1"]}]
    >>> notebook_cells(json.dumps({"nbformat": 4, "cells": cells}))
    (('cell 1', 'pass\nx = 1'),)
    """
    try:
        table = json.loads(text)
        cells = table["cells"] if "cells" in table else table["worksheets"][0]["cells"]
        found = []
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] != "code":
                continue
            source = cell.get("source", cell.get("input", ""))
            lines = (source if isinstance(source, str) else "".join(source)).split("\n")
            if not lines[0].startswith("%%") or lines[0].split()[0] in _PYTHON_CELLS:
                found.append((f"cell {number}", "\n".join(_plain(line) for line in lines)))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise DataError(f"{name} is no notebook") from None
    return tuple(found)


def _plain(line: str) -> str:
    """The line, or one that does nothing in its place, so that line numbers and blocks stay."""
    found = _MAGIC.match(line)
    return f"{found[1]}pass" if found else line


def _formulas(name: str, text: str, alone: bool) -> dict[str, str]:
    """The formulas in a file; in a folder, a text without any is somebody's notes."""
    try:
        return loads(text.replace("\r\n", "\n"), Path(name).suffix, name)
    except DataError:
        if alone or name.endswith(".toml"):
            raise
        return {}
