"""Resource limits and identity of the child: POSIX, and nothing where the system has none.

A process limit counts all processes of a user, so it is set on top of those that are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any


def apply(limits: Mapping[str, Any]) -> list[str]:
    """Set CPU time, memory, file size, open files, no core; the names of what is limited."""
    try:
        import resource as r
    except ImportError:
        return []
    mega = 2**20
    seconds = int(limits["seconds"]) + 1
    wanted = {
        "CPU time": ("RLIMIT_CPU", seconds),
        "memory": ("RLIMIT_AS", limits["memory_mb"] * mega),
        "file size": ("RLIMIT_FSIZE", limits["file_mb"] * mega),
        "open files": ("RLIMIT_NOFILE", 64),
        "core": ("RLIMIT_CORE", 0),
        "locked memory": ("RLIMIT_MEMLOCK", 0),
        "message queues": ("RLIMIT_MSGQUEUE", 0),
    }
    done = []
    for name, (word, value) in wanted.items():
        if hasattr(r, word):
            number = getattr(r, word)
            hard = r.getrlimit(number)[1]
            least = value if hard == r.RLIM_INFINITY else min(value, hard)
            try:
                r.setrlimit(number, (least, least))
            except (OSError, ValueError):  # macOS refuses a limit on memory
                continue
            done.append(name)
    return done[:3]


def apply_processes(number: int, own_users: bool) -> None:
    """Limit processes and threads: of this user, in its own user namespace or on the machine."""
    try:
        import resource as r

        there = 0 if own_users else _processes_of(os.getuid())
        hard = r.getrlimit(r.RLIMIT_NPROC)[1]
        most = number + there if hard == r.RLIM_INFINITY else min(number + there, hard)
        r.setrlimit(r.RLIMIT_NPROC, (most, most))
    except (ImportError, AttributeError, OSError, ValueError):
        return


def _processes_of(user: int) -> int:
    """Processes and threads of a user; a generous guess where there is no /proc."""
    try:
        names: Iterable[str] = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return 512
    count = 0
    for name in names:
        try:
            if os.stat(f"/proc/{name}").st_uid == user:  # noqa: PTH116
                count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
        except OSError:
            continue
    return count
