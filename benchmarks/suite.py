"""What every comparison does: start, check and time generated code, its peers and the floor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from benchmarks import generated
from benchmarks.peers import Peers
from benchmarks.timing import (
    SHORTEST,
    Contender,
    Result,
    Skipped,
    Started,
    check,
    measure,
    start,
)
from benchmarks.workloads import WORKLOADS, Case, case
from lagrangenet import DerivationError


class Suite(NamedTuple):
    """What is compared; ``floor`` has no result to check."""

    name: str
    generated: Callable[[Case, str], Contender]
    order: int  # of the derivation
    peers: Peers
    floor: Callable[[Case], Contender]


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


def run(suite: Suite, options: Options) -> dict[str, Any]:
    """``{"results": rows, "missing": {name: package}}``, by this process with its threads."""
    targets, missing = generated.targets(options.targets)
    if not targets:
        return {"results": [], "missing": missing}
    peers = _installed(suite.peers, options, missing)
    rows = []
    for name in options.workloads:
        for dtype in options.dtypes:
            for activation in options.activations:
                workload = WORKLOADS[name]
                if activation == "softmax" and workload.widths[-1] == 1:
                    progress(f"{name}: skipped, the softmax of one output is the constant 1")
                    continue
                measured = case(workload, dtype, activation, options.threads)
                rows += _rows(suite, measured, targets, peers, options)
    return {"results": rows, "missing": missing}


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


def _rows(
    suite: Suite, case: Case, targets: list[str], peers: Peers, options: Options
) -> list[dict[str, Any]]:
    """One row per target."""
    progress(f"{suite.name}: {case.title}")
    skipped: dict[str, str] = {}
    ours = _start_targets(suite, case, targets, skipped)
    if not ours:
        return []
    reference = next(iter(ours.values())).result
    others = _start_peers(case, peers, reference, skipped)
    contenders = {("target", name): started.contender for name, started in ours.items()}
    contenders |= {("peer", name): started.contender for name, started in others.items()}
    contenders["floor", ""] = suite.floor(case)
    seconds = measure(contenders, options.rounds, case.threads, options.shortest)
    us = {name: round(1e6 * each, 3) for name, each in seconds.items()}
    shared = {
        "workload": case.workload.name,
        "dtype": case.dtype,
        "threads": case.threads,
        "activation": case.activation,
        "peers": {name: us["peer", name] for name in others},
        "skipped": skipped,
        "floor_us": us["floor", ""],
        "peers_first_call_s": {name: round(found.seconds, 4) for name, found in others.items()},
    }
    return [row(shared, name, us["target", name], found.seconds) for name, found in ours.items()]


def _start_targets(
    suite: Suite, case: Case, targets: list[str], skipped: dict[str, str]
) -> dict[str, Started]:
    """The targets after their first call, which has to give what that of the first one gave."""
    # Not part of a first call: the derivation is the same for every target and type.
    generated.derived(case.workload, case.activation, suite.order)
    started: dict[str, Started] = {}
    for name in targets:
        try:
            found = start(partial(suite.generated, case, name))
        except (DerivationError, Skipped) as reason:
            skipped[f"target {name}"] = str(reason)
            progress(f"target {name}: skipped, {reason}")
            continue
        reference = next(iter(started.values()), found).result
        check(f"target {name}", found.result, reference, case.dtype)
        started[name] = found
    return started


def _start_peers(
    case: Case, peers: Peers, reference: Result, skipped: dict[str, str]
) -> dict[str, Started]:
    """The peers after their first call, which has to give what generated code gives."""
    started: dict[str, Started] = {}
    for name, peer in peers.items():
        try:
            found = start(partial(peer.build, case))
        except Skipped as reason:
            skipped[name] = str(reason)
            continue
        check(name, found.result, reference, case.dtype)
        started[name] = found
    return started


def row(shared: dict[str, Any], target: str, us: float, first_call: float) -> dict[str, Any]:
    """What was found for one target; ratios above 1 mean that generated code is slower."""
    peers, floor = shared["peers"], shared["floor_us"]
    best = min(peers, key=peers.__getitem__, default=None)
    return shared | {
        "target": target,
        "generated_us": us,
        "best_peer": best,
        "ratio": None if best is None else round(us / peers[best], 4),
        "floor_ratio": round(us / floor, 4),
        "first_call_s": round(first_call, 4),
    }
