"""The first lines of the child: put the layers around itself, then serve the submission.

    grader ── launcher (waits, kills what is left)
                └── first process of the namespace (waits)
                      └── runner: limits, private root, Landlock, seccomp, then the submission

Everything up to :func:`~lagrangenet.grading.isolation.runner.serve` is trusted; what runs there is not. When the
grader dies or kills the launcher, the kernel kills the next one, and with it the namespace.
Standard input and output carry messages; before the submission starts they are moved away, so that
what it prints goes to standard error and what it reads is empty.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from . import landlock, limits, namespaces, runner, seccomp
from .wire import receive, send

#: Where the submission lives in a private root.
FOLDER = "/submission"


def main() -> None:
    """Start: read the configuration, put up the layers, serve until the requests end."""
    requests, results = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    config, _ = receive(requests)
    runner.prepare(config)
    layers = limits.apply(config["limits"])
    linux = sys.platform == "linux"
    entered = namespaces.enter() if linux and "namespaces" in config["use"] else []
    _descend(bool(entered), requests, results)
    layers += [*entered, *_enclose(config, bool(entered))]
    layers += config["around"]
    send(results, {"status": "ready", "isolation": layers})
    runner.serve(requests, results, config)


def _enclose(config: dict[str, Any], entered: bool) -> list[str]:
    """Everything that is done in the process that the submission runs in."""
    roots, readable, work = config["roots"], config["readable"], config["work"]
    layers: list[str] = []
    if entered:
        layers += namespaces.private_root(work, roots, config["hidden"], FOLDER)
        if layers:
            work = FOLDER
            os.chdir(work)
            os.environ.update(HOME=work, TMPDIR=work)
    if sys.platform == "linux":
        layers += namespaces.leave_users([*roots[:1], *config["packages"].values()], work)
        _or_not(_no_privileges)
    limits.apply_processes(config["limits"]["processes"], entered)
    if "landlock" in config["use"]:
        layers += landlock.restrict(readable, roots[:1], work)
    if "seccomp" in config["use"]:
        layers += seccomp.restrict()
    return layers


def _no_privileges() -> None:
    from . import kernel

    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _or_not(layer: Callable[[], None]) -> None:
    """Put a layer up; a kernel without it leaves it out."""
    try:
        layer()
    except (OSError, AttributeError):
        return


def _descend(namespace: bool, *pipes: int) -> None:
    """Return in a new process that dies with this one; this one waits for it."""
    if not hasattr(os, "fork"):
        return
    _or_not(_adopt)
    for _ in range(2 if namespace else 1):
        child = os.fork()
        if child:
            for pipe in pipes:
                os.close(pipe)
            _wait(child)
        _or_not(_die_with_parent)


def _adopt() -> None:
    from . import kernel

    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _die_with_parent() -> None:
    from . import kernel

    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(child: int) -> None:
    """Wait for the child, kill what it left behind, and end as it ended."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    status = 0
    while True:
        try:
            process, ended = os.waitpid(-1, 0)
        except ChildProcessError:
            break
        if process == child:
            status = ended
            break
    _kill_the_rest()
    if os.WIFSIGNALED(status):
        os._exit(128 + os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _kill_the_rest() -> None:
    """Kill orphans, which have become children of this process; a namespace does it by itself."""
    for _ in range(1000):
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
                orphans = [int(word) for word in file.read().split()]
        except (OSError, ValueError):
            return
        if not orphans:
            return
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        for orphan in orphans:
            os.waitpid(orphan, 0)
