"""The generated code as contenders: one per target, called as a user calls it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import lagrangenet as ln
from benchmarks.timing import Skipped
from benchmarks.workloads import Case, Workload
from lagrangenet.emit import TARGETS


def targets(chosen: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """Names of the targets that are installed, and the package that each of the others needs."""
    names = TARGETS if chosen is None else chosen
    missing = {name: TARGETS[name].missing() for name in names}
    installed = [name for name in names if not missing[name]]
    for name in installed:
        if package := TARGETS[name].package:
            import_module(package)  # so that it is not part of the first call
    return installed, {name: package for name, package in missing.items() if package}


def problem(workload: Workload, activation: str) -> ln.Problem:
    """The declaration of a case."""
    inputs, *hidden, outputs = workload.widths
    classifies = activation == "softmax"
    sigma = "tanh" if classifies else activation
    last = ln.Dense(outputs, "softmax" if classifies else "identity")
    loss = "cross_entropy" if classifies else "squared_error"
    return ln.Problem(inputs, [*(ln.Dense(width, sigma) for width in hidden), last], loss)


@cache
def derived(workload: Workload, activation: str, order: int) -> Any:
    """The derivation, done once."""
    return ln.derive(problem(workload, activation), order=order)


def objective(case: Case, target: str, order: int) -> Any:
    """Generated code with the data of a case."""
    derivation = derived(case.workload, case.activation, order)
    routines = ln.generate(derivation, case.dtype, target=target, threads=case.threads)
    made = routines.objective(case.X, case.Y)
    if made.target != target:
        raise Skipped(f"it falls back to the target {made.target}")
    return made
