"""A process for each contender, because thread pools in one process disturb each other.

OpenBLAS of NumPy, another one of SciPy, OpenMP, and the pools of torch and XLA each want all cores, and
wait for work by spinning. Here each contender has a process of its own, which serves one case after
another; this process says whose turn it is, and the others sleep.
"""

from __future__ import annotations

from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from benchmarks.timing import Skipped, Started

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from benchmarks.suite import Suite
    from benchmarks.workloads import Case


class Processes:
    """Starts contenders in processes of their own; a context manager that ends them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._found.values():
            connection.close()  # which ends the process

    def __call__(self, suite: Suite, case: Case, kind: str, name: str) -> Started:
        """A contender of a case after its first call."""
        key = kind, name
        if key not in self._found:
            self._found[key] = _served(suite.name)
        connection = self._found[key]
        place = _Place(connection, f"{kind} {name}".strip())
        seconds, result = place.ask(
            "start", (case.workload.name, case.dtype, case.activation, case.threads, kind, name)
        )
        return Started(place, seconds, result)


class _Place(NamedTuple):
    """A contender in another process."""

    connection: Connection
    title: str

    def ask(self, what: str, argument: Any) -> Any:
        """The answer to a request."""
        try:
            self.connection.send((what, argument))
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise SystemExit(f"python -m benchmarks: the process of {self.title} ended") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def seconds(self, count: int) -> float:
        """What so many calls take, after one that is not counted."""
        return float(self.ask("seconds", count))


def _served(suite: str) -> Connection:
    """The connection to a new process, which ends with this one."""
    context = get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(there, suite), daemon=True).start()
    there.close()
    return here


def serve(connection: Connection, name: str) -> None:
    """Answer requests until nobody asks any more."""
    from benchmarks.suite import here
    from benchmarks.suites import SUITES
    from benchmarks.workloads import WORKLOADS, case

    started: Started | None = None
    while True:
        try:
            what, argument = connection.recv()
        except EOFError:
            return
        if what == "seconds" and started is not None:
            connection.send(started.timed.seconds(argument))
            continue
        workload, dtype, activation, threads, kind, contender = argument
        started = None  # its memory is free before the next one is built
        measured = case(WORKLOADS[workload], dtype, activation, threads)
        try:
            started = here(SUITES[name], measured, kind, contender)
        except Skipped as reason:
            connection.send(Skipped(str(reason)))
        else:
            connection.send((started.seconds, started.result))
