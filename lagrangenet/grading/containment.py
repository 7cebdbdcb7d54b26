"""Which layers this machine can put up, and whether they are enough for code of a stranger."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache

from lagrangenet.errors import IsolationError
from lagrangenet.grading.assignment import Limits
from lagrangenet.grading.isolation import surroundings
from lagrangenet.grading.process import Child
from lagrangenet.grading.submission import Submission

#: Any of these sets of layers keeps a submission from files, network and other processes.
ENOUGH = (
    frozenset({"process namespace", "network namespace", "private file system"}),
    frozenset({"bubblewrap"}),
    frozenset({"Landlock", "seccomp"}),
)


@cache
def layers_to_use() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to ask for on this machine, and what then came into force, found out by trying.

    bubblewrap is asked where the kernel lets no ordinary program make namespaces, as some
    distributions let it alone.
    """
    use = surroundings.LAYERS
    there = in_force(use)
    if "process namespace" not in there and sys.platform == "linux":
        wrapped = ("bubblewrap", *use)
        if "bubblewrap" in (found := in_force(wrapped)):
            return wrapped, found
    return use, there


def in_force(use: Iterable[str]) -> tuple[str, ...]:
    """Start a child with nothing in it and see which layers it has."""
    with Child(Submission("nothing"), Limits(seconds=5), use=use) as child:
        return child.isolation


def enough(isolation: Iterable[str]) -> bool:
    """Whether the layers in force contain code that wants to get out.

    Examples
    --------
    >>> enough(["memory", "Landlock 7", "seccomp"]), enough(["memory", "seccomp"])
    (True, False)
    """
    names = {name.split()[0] if name.startswith("Landlock") else name for name in isolation}
    return any(wanted <= names for wanted in ENOUGH)


def require_enough(isolation: Iterable[str]) -> None:
    """Refuse to run a stranger's code where the layers are too few.

    Raises
    ------
    IsolationError
        It says what is in force and what is needed.
    """
    names = list(isolation)
    if not enough(names):
        there = ", ".join(names) or "nothing"
        raise IsolationError(
            f"untrusted submissions need more isolation than is there ({there}): a Linux kernel that "
            "lets you create user, process, network and mount namespaces; or the program bwrap "
            "(Debian's package bubblewrap); or a kernel with Landlock and seccomp (5.13 or newer)"
        )
