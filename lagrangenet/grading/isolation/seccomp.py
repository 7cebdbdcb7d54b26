"""seccomp: the system calls that NumPy needs; every other one fails with "not permitted".

An allow-list, so that a call that a newer kernel brings is refused too. There is no starting of
programs or processes, no socket, no signal to another process, no look into another process. The
filter is classic BPF written as data. It refuses nothing itself: on another machine or kernel the
layer is left out.
"""

from __future__ import annotations

import ctypes
import os
import struct

from . import kernel

#: Audit numbers of (x86-64, arm64).
_ARCHITECTURE = (0xC000003E, 0xC00000B7)
_LOAD, _EQUAL, _AT_LEAST, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH = 0, 4
_EPERM, _ENOSYS = 1, 38
_SET_FILTER = (317, 277)
_THREAD = 0x00010000

# fmt: off
#: Allowed whatever the arguments: (x86-64, arm64), −1 where a machine has no such call.
CALLS: dict[str, tuple[int, int]] = {
    # files that Landlock or the private root allow
    "read": (0, 63), "write": (1, 64), "open": (2, -1), "close": (3, 57), "stat": (4, -1),
    "fstat": (5, 80), "lstat": (6, -1), "poll": (7, -1), "lseek": (8, 62), "ioctl": (16, 29),
    "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66),
    "access": (21, -1), "pipe": (22, -1), "select": (23, -1), "dup": (32, 23), "dup2": (33, -1),
    "fcntl": (72, 25), "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83),
    "truncate": (76, 45), "ftruncate": (77, 46), "getdents": (78, -1), "getcwd": (79, 17),
    "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, -1), "mkdir": (83, -1), "rmdir": (84, -1),
    "creat": (85, -1), "unlink": (87, -1), "readlink": (89, -1), "chmod": (90, -1),
    "fchmod": (91, 52), "umask": (95, 166), "statfs": (137, 43), "fstatfs": (138, 44),
    "getdents64": (217, 61), "fadvise64": (221, 223), "openat": (257, 56), "mkdirat": (258, 34),
    "newfstatat": (262, 79), "unlinkat": (263, 35), "renameat": (264, 38), "readlinkat": (267, 78),
    "fchmodat": (268, 53), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "utimensat": (280, 88), "fallocate": (285, 47), "dup3": (292, 24), "pipe2": (293, 59),
    "preadv": (295, 69), "pwritev": (296, 70), "renameat2": (316, 276), "copy_file_range": (326, 285),
    "statx": (332, 291), "openat2": (437, 437), "faccessat2": (439, 439),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "mremap": (25, 216), "msync": (26, 227), "mincore": (27, 232), "madvise": (28, 233),
    # its own signals, threads, time, limits
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pause": (34, -1), "getitimer": (36, 102), "alarm": (37, -1), "setitimer": (38, 103),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "sched_yield": (24, 124), "futex": (202, 98), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "set_tid_address": (218, 96),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "arch_prctl": (158, -1), "membarrier": (324, 283), "getcpu": (309, 168),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "times": (100, 153), "time": (201, -1),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179),
    "getpriority": (140, 141), "exit": (60, 93), "exit_group": (231, 94),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, -1),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    # who it is
    "getpid": (39, 172), "uname": (63, 160), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "getpgrp": (111, -1),
    "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150), "getpgid": (121, 155),
    "getsid": (124, 156), "gettid": (186, 178), "getrandom": (318, 278),
}
#: Allowed for the process itself: the first argument is its number, or 0.
OWN: dict[str, tuple[int, int]] = {
    "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261),
}
# fmt: on
_CLONE, _CLONE3 = (56, 220), (435, 435)


def program(process: int, machine: int) -> bytes:
    """The filter for a process number on a machine (0: x86-64, 1: arm64).

    Examples
    --------
    >>> len(program(2, 0)) % 8
    0
    """
    lines = [
        _line(_LOAD, _ARCH),
        _line(_EQUAL, _ARCHITECTURE[machine], 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
    ]
    if machine == 0:  # the same calls under the numbers of the x32 ABI
        lines += [_line(_AT_LEAST, 0x40000000, 0, 1), _line(_RETURN, _ERRNO | _EPERM)]
    for pair in CALLS.values():
        if pair[machine] >= 0:
            lines += [_line(_EQUAL, pair[machine], 0, 1), _line(_RETURN, _ALLOW)]
    for pair in OWN.values():
        test = [_line(_LOAD, _argument()), _line(_EQUAL, process, 2, 0), _line(_EQUAL, 0, 1, 0)]
        lines += _guarded(pair[machine], test)
    thread = [_line(_LOAD, _argument()), _line(_SET, _THREAD, 1, 0)]
    lines += _guarded(_CLONE[machine], thread)
    lines += [_line(_EQUAL, _CLONE3[machine], 0, 1), _line(_RETURN, _ERRNO | _ENOSYS)]
    return b"".join([*lines, _line(_RETURN, _ERRNO | _EPERM)])


def restrict() -> list[str]:
    """Install the filter for this thread and all that come from it; the layer's name if it is on."""
    if kernel.MACHINE is None:
        return []
    code = program(os.getpid(), kernel.MACHINE)
    held = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    try:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS)
        kernel.call(_SET_FILTER, "seccomp", 1, 1, header)  # MODE_FILTER, on every thread
    except OSError:
        return []
    return ["seccomp"]


def _guarded(number: int, test: list[bytes]) -> list[bytes]:
    """If this is the call, decide by the test, whose last line jumps over the refusal."""
    after = len(test) + 2
    refuse = [_line(_RETURN, _ERRNO | _EPERM), _line(_RETURN, _ALLOW)]
    return [_line(_EQUAL, number, 0, after), *test, *refuse]


def _argument() -> int:
    """Offset of the low half of the first argument."""
    return 16


def _line(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
