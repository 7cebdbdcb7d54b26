"""Landlock: which files a process may open, for good and for its children, without privileges.

Reading is allowed beneath a list of paths, writing beneath one folder, executing nowhere; TCP,
abstract sockets and signals to others are refused where the kernel's version knows them. It
refuses nothing itself: a kernel without it leaves the layer out.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from . import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446
#: Access rights, by the version of Landlock that introduced them.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FIRST = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
#: What may be done in the working folder: read, write, make and remove files and folders.
_OWN = _WRITE_FILE | _READ_FILE | _READ_DIR | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8)
_TCP = 3
_SCOPED = 3


def version() -> int:
    """The kernel's version of Landlock; 0 if there is none."""
    try:
        return kernel.call(_CREATE, "landlock", None, 0, 1)
    except OSError:
        return 0


def restrict(readable: Sequence[str], listable: Sequence[str], writable: str) -> list[str]:
    """Restrict this thread and all that come from it.

    Parameters
    ----------
    readable : sequence of str
        Files and folders that may be read, with all in them.
    listable : sequence of str
        Folders whose names alone may be read, with those of the folders in them.
    writable : str
        The working folder.

    Returns
    -------
    list of str
        The names of the layers in force.
    """
    number = version()
    if number == 0:
        return []
    handled = _FIRST
    handled |= _REFER if number >= 2 else 0
    handled |= _TRUNCATE if number >= 3 else 0
    handled |= _IOCTL_DEV if number >= 5 else 0
    fields = [handled, _TCP if number >= 4 else 0, _SCOPED if number >= 6 else 0]
    used = 3 if number >= 6 else 2 if number >= 4 else 1
    try:
        rules = kernel.call(_CREATE, "landlock", (ctypes.c_uint64 * 3)(*fields), 8 * used, 0)
        try:
            for path in readable:
                _allow(rules, path, _READ_FILE | _READ_DIR)
            for path in listable:
                _allow(rules, path, _READ_DIR)
            _allow(rules, "/dev/null", _READ_FILE | _WRITE_FILE)
            _allow(rules, writable, _OWN | (handled & (_REFER | _TRUNCATE)))
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS)
            kernel.call(_RESTRICT, "landlock", rules, 0)
        finally:
            os.close(rules)
    except OSError:
        return []
    return [f"Landlock {number}"]


def _allow(rules: int, path: str, access: int) -> None:
    """One rule; a path that is not there needs none."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112  # no pathlib: start-up time
            access &= _READ_FILE | _WRITE_FILE | _EXECUTE | _TRUNCATE
        beneath = (ctypes.c_uint8 * 12)()
        beneath[:8] = list(access.to_bytes(8, "little"))
        beneath[8:] = list(handle.to_bytes(4, "little"))
        kernel.call(_ADD, f"landlock {path}", rules, 1, beneath, 0)
    finally:
        os.close(handle)
