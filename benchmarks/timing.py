"""How a call is timed: all contenders in one process, in turn, so that a slow minute hits all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from benchmarks.workloads import Array

SHORTEST = 2e-3  # seconds of one timing: the clock and a stray interrupt do not matter then
LONGEST = 10.0  # seconds of all timings of one contender: those that take long get fewer rounds
# OpenBLAS's idle threads spin for about 25 ms before they sleep, those of OpenMP for a few.
SETTLE = 0.04
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


class Started(NamedTuple):
    """A contender after its first call."""

    contender: Contender
    seconds: float
    result: Result


def start(build: Callable[[], Contender]) -> Started:
    """Build a contender and call it once: with whatever it generates, traces and compiles."""
    begin = time.perf_counter()
    contender = build()
    returned = contender.function(*contender.arguments)
    seconds = time.perf_counter() - begin
    # A copy: the next call may write into the same memory.
    result = tuple(np.array(array, dtype=float) for array in contender.read(returned))
    return Started(contender, seconds, result)


def check(name: str, result: Result, reference: Result, dtype: str) -> None:
    """Refuse a contender that was set up wrongly, before it is timed."""
    for found, expected in zip(result, reference, strict=True):
        if found.shape != expected.shape:
            raise WrongResult(f"{name} gives shape {found.shape} instead of {expected.shape}")
        error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30)
        if not error <= TOLERANCE[dtype]:  # so that NaN is refused too
            raise WrongResult(f"{name} differs from the generated code by {error:.1e}, relative")


def measure(
    contenders: dict[str, Contender], rounds: int, threads: int, shortest: float = SHORTEST
) -> dict[str, float]:
    """Median seconds of one call of each.

    On one core they are those that the process computes: the time of an idle machine, also where
    others interrupt it. With more threads they are those on the wall.
    """
    settle, clock = (SETTLE, time.perf_counter) if threads > 1 else (0.0, time.process_time)
    timers = {name: _timer(contender, clock) for name, contender in contenders.items()}
    counts = {name: _count(timer, shortest) for name, timer in timers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            if counts[name] * sum(seconds[name]) > LONGEST:
                continue
            # The pool of the contender before goes to sleep, that of this one is woken.
            time.sleep(settle)
            timer.timeit(1)
            seconds[name].append(timer.timeit(counts[name]) / counts[name])
    return {name: statistics.median(times) for name, times in seconds.items()}


def _timer(contender: Contender, clock: Callable[[], float]) -> Timer:
    """A timer of the plain call: ``partial`` or ``*arguments`` would cost 40 ns more.

    ``timeit`` turns garbage collection off.
    """
    names = {f"a{k}": argument for k, argument in enumerate(contender.arguments)}
    call = f"f({', '.join(names)})"
    return Timer(call, timer=clock, globals={"f": contender.function, **names})


def _count(timer: Timer, shortest: float) -> int:
    """How many calls take long enough."""
    timer.timeit(1)
    count = 1
    while timer.timeit(count) < shortest:
        count *= 2
    return count
