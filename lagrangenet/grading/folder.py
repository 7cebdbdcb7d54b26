"""The temporary folder of a submission: how large it has become, and its removal whatever is in it.

A submission may nest folders deeper than Python recurses, or take away the right to enter them. Links
are never followed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: What an entry costs besides its bytes, and how many are looked at.
ENTRY, MOST = 4096, 20_000


def size(folder: str) -> int:
    """Bytes of all files, and some for each entry, as far as they can be seen.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "x").write_bytes(bytes(10))
    ...     size(folder)
    4106
    """
    total = 0
    for entry in _entries(folder):
        total += ENTRY
        with contextlib.suppress(OSError):
            total += (
                entry.stat(follow_symlinks=False).st_size
                if entry.is_file(follow_symlinks=False)
                else 0
            )
    return total


def remove(folder: str) -> None:
    """Remove a folder with all that is in it."""
    for entry in _entries(folder):
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                Path(entry.path).chmod(stat.S_IRWXU)
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if Path(folder).exists() and (program := shutil.which("rm")) is not None:
        subprocess.run([program, "-rf", "--", folder], check=False)  # noqa: S603  # our own folder


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder and of those in it, without recursion, a folder before what it holds."""
    left, seen = [folder], 0
    while left and seen < MOST:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                seen += 1
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
