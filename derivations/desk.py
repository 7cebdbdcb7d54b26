"""A desk for the guides: files in a temporary folder, and commands that are run for real on them.

A command's line is shown with what it printed. What differs between machines, the isolation in
force, is left out.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import weakref
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import mkdtemp

from lagrangenet.cli import main

_MACHINE = re.compile(r"; isolation: .*")


class Desk:
    """A folder that goes away with its document."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="desk-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.said = ""

    def write(self, name: str, text: str) -> None:
        """Put a file on the desk."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), encoding="utf-8")

    def read(self, name: str) -> str:
        """Take a file up."""
        return (self.folder / name).read_text(encoding="utf-8")

    def run(self, line: str) -> None:
        """Run a command of the package here and print it, its output and its exit status."""
        program, *arguments = shlex.split(line)
        if program != "lagrangenet":
            raise ValueError(f"{program!r} is no command of this package")
        out, status = io.StringIO(), 0
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(out):
            try:
                main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        said = _MACHINE.sub("", out.getvalue()).splitlines()
        self.said = "\n".join(said)
        print("\n".join([f"$ {line}", *said, f"(exit status {status})"]))
