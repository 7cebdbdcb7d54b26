"""``python -m derivations [--check] [NAME ...]``: execute documents and write their text.

Without ``--check``, ``NN_name.md`` and ``NN_name.tex`` are written beside each document. With it,
nothing is written, and the exit status is 1 if a file differs from what it should be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from derivations.cells import Executed, execute
from derivations.latex import latex
from derivations.markdown import markdown

FOLDER = Path(__file__).parent


def documents() -> dict[str, Path]:
    """The numbered documents by name, in their order."""
    return {path.stem: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.py"))}


def outputs(document: Executed) -> Iterator[tuple[Path, str]]:
    """The files that belong to a document, with their text."""
    yield document.path.with_suffix(".md"), markdown(document)
    yield document.path.with_suffix(".tex"), latex(document)


def stale(document: Executed) -> list[Path]:
    """The generated files that are missing or differ."""
    return [
        path
        for path, text in outputs(document)
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    known = documents()
    parser = argparse.ArgumentParser(prog="python -m derivations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no document {unknown[0]!r}; known: {', '.join(known)}")
    status = 0
    for name in options.names or known:
        document = execute(known[name])
        if options.check:
            for path in stale(document):
                status = 1
                print(f"stale: derivations/{path.name}; run `python -m derivations {name}`")
            continue
        for path, text in outputs(document):
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote derivations/{path.name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
