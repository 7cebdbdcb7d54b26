"""``target="auto"``: which target is expected to be fastest, and why.

    t = call + line · (lines) + value · (function values) + flop · (operations of products)

with the constants that a target declares (:class:`lagrangenet.emit.targets.Cost`). They were fitted
to one machine; what decides are their ratios, which are far apart where the choice matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lagrangenet.emit import TARGETS, Target
from lagrangenet.routines.ir import Program

AUTO = "auto"


@dataclass(frozen=True)
class Estimate:
    """What a call of ``value_and_grad`` is expected to take.

    Attributes
    ----------
    target : str
    seconds : float
    missing : str
        Why the target cannot be used here; empty if it can.
    """

    target: str
    seconds: float
    missing: str = ""


def estimates(program: Program, samples: int, dtype: str) -> list[Estimate]:
    """All targets for a linked program, those that can be used first, the fastest of them first.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> program = link(lower(derive(chain([8, 5, 1]))))
    >>> {e.target for e in estimates(program, 100, "float64")} >= {"c", "numpy"}
    True
    """
    found = [
        Estimate(target.name, _seconds(target, program, samples, dtype), _missing(target))
        for target in TARGETS.values()
    ]
    return sorted(found, key=lambda e: (bool(e.missing), e.seconds))


class Amounts(NamedTuple):
    """How much of everything that costs is in a call of ``value_and_grad``."""

    call: float
    line: float
    value: float
    flop: float


def amounts(program: Program, samples: int, dtype: str) -> Amounts:
    """Of float32 a vector holds twice as many, so that two count as one."""
    problem = program.problem
    routines = {routine.name: routine for routine in program.routines}
    lines = len(routines.get("value_and_grad", program.routines[0]).body)
    each = samples / (2 if dtype == "float32" else 1)
    return Amounts(1, lines, each * sum(problem.widths[1:]), each * 6 * problem.size)


def _seconds(target: Target, program: Program, samples: int, dtype: str) -> float:
    cost, found = target.cost, amounts(program, samples, dtype)
    return (
        cost.call * found.call
        + cost.line * found.line
        + cost.value * found.value
        + cost.flop * found.flop
    )


def _missing(target: Target) -> str:
    if package := target.missing():
        return f'{package} is not installed: pip install "lagrangenet[{target.extra}]"'
    if target.language == "c":
        from lagrangenet.runtime.compiled import NotCompiled, find_compiler

        try:
            find_compiler()
        except NotCompiled as reason:
            return str(reason)
    return ""


def explained(found: list[Estimate], samples: int, chosen: str) -> str:
    """A table of estimates, and what follows from them."""
    lines = [f"expected time of J and its gradient for {samples} samples:"]
    for e in found:
        mark = "→" if e.target == chosen else " "
        reason = f"   {e.missing}" if e.missing else ""
        lines.append(f"{mark} {e.target:<16}{_readable(e.seconds):>10}{reason}")
    return "\n".join(lines)


def _readable(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
