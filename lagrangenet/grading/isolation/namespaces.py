"""Namespaces: a process tree, a network, a file system and users of the submission's own.

As an ordinary user through a user namespace, as root directly; then the child has no network but a
loopback that is down, sees no process but its own, and its root directory holds, read-only, what
Python and the allowed packages need, and one small folder in memory. Everything goes when the
first process of the namespace does. It refuses nothing: where the kernel says no, the layer is
missing from the returned names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from . import kernel

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_OTHERS = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
#: The nobody of most systems: whom root becomes.
NOBODY = 65534
#: Of the folder in memory: bytes and files.
FOLDER = "size=8m,nr_inodes=1024,mode=777"
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def unshare(flags: int) -> None:
    """Leave the namespaces of the parent."""
    kernel.checked(kernel.libc().unshare(flags), "unshare")


def enter() -> list[str]:
    """Enter new namespaces; the names of those in force."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid == 0:
            unshare(_OTHERS)
            return ["process namespace", "network namespace"]
        unshare(_OTHERS | _NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    except (OSError, AttributeError):
        return []
    return ["user namespace", "process namespace", "network namespace"]


def leave_users(needed: Sequence[str], work: str) -> list[str]:
    """As root: become nobody, if that user can read what is needed, and leave the machine's users.

    The working folder is given to nobody where it is not in memory already.
    """
    if os.geteuid() != 0:
        return []
    try:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        enough = all(os.access(path, os.R_OK, effective_ids=True) for path in needed)
        os.seteuid(0)
        os.setegid(0)
        if not enough:
            return []
        os.chown(work, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:  # root of a namespace that has no nobody
        return []
    try:
        unshare(_NEWUSER)
    except (OSError, AttributeError):
        return ["another user"]
    return ["another user", "user namespace"]


def private_root(base: str, readable: Sequence[str], hidden: Iterable[str], work: str) -> list[str]:
    """Put together a root directory of what may be seen, and make it the only one.

    Parameters
    ----------
    base : str
        An empty folder to build it on.
    readable : sequence of str
        Absolute paths that are seen at their own place, read-only.
    hidden : iterable of str
        Folders inside them that are shown empty, apart from what is readable itself.
    work : str
        Absolute path of the writable folder in memory.
    """
    try:
        kernel.mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        kernel.mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
        covered = list(hidden)
        inner = [path for path in readable if any(_inside(path, other) for other in covered)]
        for path in (*DEVICES, *readable):
            if path not in inner:
                _bind(path, base + path)
        for path in covered:
            if os.path.isdir(base + path):  # noqa: PTH112  # no pathlib: each import is start-up time
                kernel.mount("tmpfs", base + path, "tmpfs", _MS_NOSUID, "size=64k,mode=755")
        for path in inner:
            _bind(path, base + path)
        os.makedirs(base + work, exist_ok=True)  # noqa: PTH103
        kernel.read_only(base)
    except OSError:
        return []
    return _moved(base, work)


def _moved(base: str, work: str) -> list[str]:
    try:
        kernel.mount("tmpfs", base + work, "tmpfs", _MS_NOSUID | _MS_NODEV, FOLDER)
        kernel.pivot_root(base)
    except OSError:
        return []
    return ["private file system"]


def _bind(path: str, place: str) -> None:
    """Show a file or folder at another place; what is not there is left out."""
    if os.path.isdir(path):  # noqa: PTH112
        os.makedirs(place, exist_ok=True)  # noqa: PTH103
    elif os.path.exists(path):  # noqa: PTH110
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
    else:
        return
    kernel.mount(path, place, "", _MS_BIND | _MS_REC)


def _inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
