"""How a call is timed: all contenders in turn, so that a slow minute hits all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from timeit import Timer
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.workloads import Array

SHORTEST = 2e-3  # seconds of one timing: the clock and a stray interrupt do not matter then
LONGEST = 10.0  # seconds of all timings of one contender: those that take long get fewer rounds
# OpenBLAS's idle threads keep a core busy for 2^28 ticks of the processor's clock (0.10 s at 2.6 GHz)
# before they sleep, those of OpenMP for a few milliseconds.
SETTLE = 0.15
LONGER = 10  # times as long with several threads, which a scheduler moves now and then
TOLERANCE = {"float64": 1e-6, "float32": 1e-2}

Result = tuple[Array, ...]


class WrongResult(Exception):
    """A contender computes something else than the others."""


class Skipped(Exception):
    """A contender that is not measured in this case, with the reason."""


class Contender(NamedTuple):
    """``function(*arguments)`` is timed; ``read`` turns what it returns into arrays to compare."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    read: Callable[[Any], Result]


class Timed(Protocol):
    """Something that can be called and timed, here or in another process."""

    def seconds(self, count: int) -> float:
        """What so many calls take, after one that is not counted."""


class Calls:
    """Calls in this process.

    On one core their time is what the process computes: the time of an idle machine, also where
    others interrupt it. With more threads it is that on the wall.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        # The plain call: ``partial`` or ``*arguments`` would cost 40 ns more. ``timeit`` turns
        # garbage collection off.
        self.contender = contender  # its ``read`` may keep memory alive that ``function`` uses
        names = {f"a{k}": argument for k, argument in enumerate(contender.arguments)}
        call = f"f({', '.join(names)})"
        clock = time.perf_counter if threads > 1 else time.process_time
        self._timer = Timer(call, timer=clock, globals={"f": contender.function, **names})

    def seconds(self, count: int) -> float:
        """What so many calls take, after one that is not counted."""
        self._timer.timeit(1)  # the pool of the contender is woken
        return self._timer.timeit(count)


class Started(NamedTuple):
    """A contender after its first call."""

    timed: Timed
    seconds: float
    result: Result


def start(build: Callable[[], Contender], threads: int) -> Started:
    """Build a contender and call it once: with whatever it generates, traces and compiles."""
    begin = time.perf_counter()
    contender = build()
    returned = contender.function(*contender.arguments)
    seconds = time.perf_counter() - begin
    # A copy: the next call may write into the same memory.
    result = tuple(np.array(array, dtype=float) for array in contender.read(returned))
    return Started(Calls(contender, threads), seconds, result)


def check(name: str, result: Result, reference: Result, dtype: str) -> None:
    """Refuse a contender that was set up wrongly, before it is timed."""
    for found, expected in zip(result, reference, strict=True):
        if found.shape != expected.shape:
            raise WrongResult(f"{name} gives shape {found.shape} instead of {expected.shape}")
        error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30)
        if not error <= TOLERANCE[dtype]:  # so that NaN is refused too
            raise WrongResult(f"{name} differs from the generated code by {error:.1e}, relative")


def measure(
    contenders: Mapping[Any, Timed], rounds: int, threads: int, shortest: float = SHORTEST
) -> dict[Any, float]:
    """Median seconds of one call of each."""
    settle = SETTLE if threads > 1 else 0.0
    least = shortest * (LONGER if threads > 1 else 1)
    counts = {name: _count(timed, least) for name, timed in contenders.items()}
    seconds: dict[Any, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, timed in contenders.items():
            if counts[name] * sum(seconds[name]) > LONGEST:
                continue
            time.sleep(settle)  # the pool of the contender before goes to sleep
            seconds[name].append(timed.seconds(counts[name]) / counts[name])
    return {name: statistics.median(times) for name, times in seconds.items()}


def _count(timed: Timed, shortest: float) -> int:
    """How many calls take long enough."""
    count = 1
    while timed.seconds(count) < shortest:
        count *= 2
    return count
