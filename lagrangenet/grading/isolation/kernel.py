"""System calls that Python has no name for, through ctypes.

Only Linux on x86-64 and arm64, where the numbers below were read from the kernel's headers; on
everything else :data:`MACHINE` is None and the layers that need it are not there.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

#: Index into pairs of numbers (x86-64, arm64), or None.
MACHINE = {"x86_64": 0, "aarch64": 1}.get(platform.machine()) if sys.platform == "linux" else None
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
_PIVOT_ROOT, _CAPSET = (155, 41), (126, 91)
_MOUNT_SETATTR = 442
_AT_RECURSIVE = 0x8000


def libc() -> ctypes.CDLL:
    """The C library, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result, or an OSError that says which call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(number: int | tuple[int, int], what: str, *arguments: object) -> int:
    """One system call by number; integers are passed as C longs."""
    if MACHINE is None:
        raise OSError(0, f"{what}: not on this machine")
    chosen = number if isinstance(number, int) else number[MACHINE]
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(int(libc().syscall(ctypes.c_long(chosen), *given)), what)


def prctl(option: int, value: int = 1) -> None:
    """``prctl(option, value)``."""
    zero = ctypes.c_ulong(0)
    checked(libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl({option})")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """``mount(2)``."""
    words = [text.encode() or None for text in (source, target, kind)]
    done = libc().mount(*words, ctypes.c_ulong(flags), data.encode() or None)
    checked(done, f"mount {target}")


def read_only(folder: str) -> None:
    """Make a mount and all below it read-only, without set-uid programs and devices."""
    attributes = (ctypes.c_uint64 * 4)(0x1 | 0x2, 0, 0, 0)  # RDONLY | NOSUID
    size = ctypes.sizeof(attributes)
    path = folder.encode()
    call(_MOUNT_SETATTR, f"mount_setattr {folder}", -100, path, _AT_RECURSIVE, attributes, size)


def pivot_root(folder: str) -> None:
    """Make a mount the root of this mount namespace and let go of the old one."""
    os.chdir(folder)
    call(_PIVOT_ROOT, "pivot_root", b".", b".")
    checked(libc().umount2(b".", 2), "umount the old root")  # MNT_DETACH
    os.chdir("/")


def drop_capabilities() -> None:
    """Give up every capability, also of the bounding set."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # the last one was before, or there are none to give up
            break
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    call(_CAPSET, "capset", header, (ctypes.c_uint32 * 6)())
