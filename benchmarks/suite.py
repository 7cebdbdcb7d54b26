"""What every comparison does: start, check and time generated code, its peers and the floor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from benchmarks import generated
from benchmarks.peers import Peers
from benchmarks.timing import SHORTEST, Contender, Skipped, Started, check, measure, start
from benchmarks.workloads import WORKLOADS, Case, case
from lagrangenet import DerivationError


class Suite(NamedTuple):
    """What is compared; ``floor`` has no result to check."""

    name: str
    generated: Callable[[Case, str], Contender]
    order: int  # of the derivation
    peers: Peers
    floor: Callable[[Case], Contender]


class Found(NamedTuple):
    """What was measured, and what was not: one row for each case and target, or contender."""

    results: list[dict[str, Any]]
    first_calls: list[dict[str, Any]]
    skipped: list[dict[str, Any]]
    missing: dict[str, str]  # the package that a contender needs


class Options(NamedTuple):
    """What to measure; ``targets`` and ``peers`` are names, or None for all that are there."""

    workloads: Sequence[str]
    dtypes: Sequence[str]
    activations: Sequence[str]
    threads: int
    targets: Sequence[str] | None
    peers: Sequence[str] | None
    slow: bool
    rounds: int
    shortest: float = SHORTEST


Starter = Callable[[Suite, Case, str, str], Started]


def here(suite: Suite, case: Case, kind: str, name: str) -> Started:
    """A contender in this process: a "target", a "peer", or the "floor"."""
    if kind == "floor":
        return start(partial(suite.floor, case), case.threads)
    if kind == "peer":
        import_module(suite.peers[name].package)
        return start(partial(suite.peers[name].build, case), case.threads)
    # Not part of a first call: the derivation is the same for every target and type.
    generated.derived(case.workload, case.activation, suite.order)
    generated.targets([name])
    try:
        return start(partial(suite.generated, case, name), case.threads)
    except DerivationError as reason:
        raise Skipped(str(reason)) from None


def run(suite: Suite, options: Options, starter: Starter = here) -> dict[str, Any]:
    """The fields of :class:`Found` as JSON, by a process with so many threads."""
    targets, missing = generated.targets(options.targets)
    found = Found([], [], [], missing)
    if not targets:
        return found._asdict()
    peers = _installed(suite.peers, options, missing)
    for name in options.workloads:
        for dtype in options.dtypes:
            for activation in options.activations:
                workload = WORKLOADS[name]
                if activation == "softmax" and workload.widths[-1] == 1:
                    progress(f"{name}: skipped, the softmax of one output is the constant 1")
                    continue
                measured = case(workload, dtype, activation, options.threads)
                progress(f"{suite.name}: {measured.title}")
                started = _started(suite, measured, targets, peers, starter, found)
                _measure(measured, started, options, found)
    return found._asdict()


def progress(line: str) -> None:
    """Say what is going on where it does not disturb the results."""
    print(line, file=sys.stderr, flush=True)


def _installed(registry: Peers, options: Options, missing: dict[str, str]) -> Peers:
    """The peers that can be imported; importing is not part of a first call."""
    chosen = Peers()
    for name, peer in registry.items():
        wanted = not peer.slow or options.slow if options.peers is None else name in options.peers
        if not wanted:
            continue
        try:
            import_module(peer.package)
        except ImportError:
            missing[name] = peer.package
        else:
            chosen[name] = peer
    return chosen


def _started(
    suite: Suite, case: Case, targets: list[str], peers: Peers, starter: Starter, found: Found
) -> dict[tuple[str, str], Started]:
    """All contenders after their first call, which has to give what that of the first one gave."""
    started: dict[tuple[str, str], Started] = {}
    wanted = [*(("target", name) for name in targets), *(("peer", name) for name in peers)]
    for kind, name in wanted:
        if kind == "peer" and not started:
            break  # there is nothing to compare with
        try:
            one = starter(suite, case, kind, name)
        except Skipped as reason:
            found.skipped.append(named(case) | {kind: name, "reason": str(reason)})
            progress(f"{kind} {name}: skipped, {reason}")
            continue
        first = next(iter(started.values()), one)
        check(f"target {name}" if kind == "target" else name, one.result, first.result, case.dtype)
        started[kind, name] = one
        found.first_calls.append(named(case) | {kind: name, "seconds": round(one.seconds, 4)})
    if started:
        started["floor", ""] = starter(suite, case, "floor", "")
    return started


def _measure(
    case: Case, started: dict[tuple[str, str], Started], options: Options, found: Found
) -> None:
    """One row per target."""
    timed = {name: one.timed for name, one in started.items()}
    seconds = measure(timed, options.rounds, case.threads, options.shortest)
    us = {name: round(1e6 * each, 3) for name, each in seconds.items()}
    peers = {name: value for (kind, name), value in us.items() if kind == "peer"}
    for (kind, name), value in us.items():
        if kind == "target":
            found.results.append(row(named(case), name, value, peers, us["floor", ""]))


def named(case: Case) -> dict[str, Any]:
    """What tells a case from others."""
    return {
        "workload": case.workload.name,
        "dtype": case.dtype,
        "threads": case.threads,
        "activation": case.activation,
    }


def row(
    case: dict[str, Any], target: str, us: float, peers: dict[str, float], floor: float
) -> dict[str, Any]:
    """What was found for one target; ratios above 1 mean that generated code is slower."""
    best = min(peers, key=peers.__getitem__, default=None)
    return case | {
        "target": target,
        "generated_us": us,
        "peers": peers,
        "best_peer": best,
        "ratio": None if best is None else round(us / peers[best], 4),
        "floor_us": floor,
        "floor_ratio": round(us / floor, 4),
    }
