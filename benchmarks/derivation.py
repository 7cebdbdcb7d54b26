"""What deriving and generating cost at depths 1 to 1000.

Each measurement is one fresh interpreter, so that nothing is remembered from another; rounds go
through all depths in turn, so that a slow minute of the machine hits all of them; figures are
medians. Importing the package is not counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import NamedTuple

DEPTHS = (1, 3, 10, 100, 1000)
ROUNDS = 5
REFERENCE = 3

_ONE = """
import json, sys, time
from lagrangenet import chain, derive, generate
problem = chain([4] * (int(sys.argv[1]) + 1), "tanh")
start = time.perf_counter()
derivation = derive(problem)
derived = time.perf_counter()
generate(derivation)
generated = time.perf_counter()
print(json.dumps([derived - start, generated - derived]))
"""


class Row(NamedTuple):
    """Median seconds at one depth, and their ratios to those at depth 3."""

    depth: int
    derive: float
    derive_ratio: float
    generate: float
    generate_ratio: float


def _once(depth: int) -> tuple[float, float]:
    """Seconds to derive and to generate in a fresh interpreter."""
    command = [sys.executable, "-c", _ONE, str(depth)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    derive, generate = json.loads(done.stdout)
    return derive, generate


def measure(depths: tuple[int, ...] = DEPTHS, rounds: int = ROUNDS) -> list[Row]:
    """One row for each depth; ``depths`` contains 3."""
    seconds: dict[int, list[tuple[float, float]]] = {depth: [] for depth in depths}
    for _ in range(rounds):
        for depth in depths:
            seconds[depth].append(_once(depth))
    median = {
        depth: tuple(statistics.median(column) for column in zip(*runs, strict=True))
        for depth, runs in seconds.items()
    }
    base = median[REFERENCE]
    return [
        Row(depth, derive, derive / base[0], generate, generate / base[1])
        for depth, (derive, generate) in median.items()
    ]


def sentence(rows: list[Row]) -> str:
    """The finding in one line."""
    deepest = max(rows)
    return (
        f"Deriving {deepest.depth} layers takes {deepest.derive_ratio:.2f} times as long as "
        f"deriving {REFERENCE} ({deepest.derive:.2f} s); generating their code takes "
        f"{deepest.generate:.2f} s."
    )


def table(rows: list[Row], rounds: int) -> str:
    """The figures as text."""
    lines = [
        f"medians of {rounds} fresh interpreters, seconds; ratios to depth {REFERENCE}",
        f"{'depth':>6}{'derive':>10}{'ratio':>8}{'generate':>11}{'ratio':>8}",
    ]
    lines += [
        f"{r.depth:>6}{r.derive:>10.3f}{r.derive_ratio:>8.2f}{r.generate:>11.3f}"
        f"{r.generate_ratio:>8.2f}"
        for r in rows
    ]
    return "\n".join([*lines, "", sentence(rows)])
