"""``target="auto"``: which target is expected to be fastest, and why.

    t = call + line · (lines) + row · (rows assigned) + value · (entries assigned)
        + exponential · (values of exp, log)
        + function · (values of tanh, erf, ...) + flop · (operations of products)

with the constants that a target declares (:class:`lagrangenet.emit.targets.Cost`). They were fitted
to one machine (``python -m benchmarks auto --fit``); what decides are their ratios, which are far
apart where the choice matters. The first call is left out: C and Numba compile for seconds before it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import sympy as sp

from lagrangenet.emit import TARGETS, Target
from lagrangenet.routines.ir import Program
from lagrangenet.routines.passes.expand import PRIMITIVE, expanded
from lagrangenet.routines.shapes import Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t

AUTO = "auto"
#: Functions that compilers have for whole vectors.
EXPONENTIALS = frozenset({"exp", "log", "sqrt"})
#: Others that take many operations; what is left takes one or two.
FUNCTIONS = PRIMITIVE - EXPONENTIALS - {
    "abs", "sign", "maximum", "minimum", "where", "zeros_like", "positive", ">", ">=", "<", "<=",
}  # fmt: skip


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


def amounts(program: Program, samples: int, dtype: str) -> dict[str, float]:
    """How much of everything that a target's ``cost`` prices is in a call of ``value_and_grad``.

    It is counted in the assignments, activations and helpers written out.

    Of float32 a vector holds twice as many numbers, so that two count as one.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> program = link(lower(derive(chain([8, 5, 1]))))
    >>> {name: int(number) for name, number in amounts(program, 100, "float64").items()}
    {'call': 1, 'line': 13, 'row': 809, 'value': 2452, 'exponential': 0, 'function': 500, 'flop': 19000}
    """
    lines, *counts = _counts(program)
    rows, values, exponentials, functions, flops = (float(n.subs(l.M, samples)) for n in counts)
    share = 0.5 if dtype == "float32" else 1.0
    return {
        "call": 1,
        "line": lines,
        "row": rows,
        "value": share * values,
        "exponential": share * exponentials,
        "function": share * functions,
        "flop": share * flops,
    }


@lru_cache(maxsize=64)
def _counts(program: Program) -> tuple[Any, ...]:
    """Lines, rows and entries of what they assign, values of both kinds of functions, operations."""
    routines = {routine.name: routine for routine in program.routines}
    lines = routines.get("value_and_grad", program.routines[0]).body
    shapes = Shapes(program.problem)
    rows, values, exponentials, functions, flops = [], [], [], [], []
    for line in lines:
        *before, last = shapes.of(line.target) or (1,)
        rows.append(prod(before))
        values.append(prod(before) * last)
        for node in line.value.walk():
            if isinstance(node, t.Call):
                size = prod(shapes.of(node.args[0]))
                exponentials.append(size * _calls(node, EXPONENTIALS))
                functions.append(size * _calls(node, FUNCTIONS))
            elif isinstance(node, t.MatMul):
                flops.append(2 * prod(shapes.of(node.left)) * shapes.of(node.right)[-1])
    return len(lines), *(sp.Add(*terms) for terms in (rows, values, exponentials, functions, flops))


def _calls(call: t.Call, kind: Collection[str]) -> int:
    """How many functions of a kind an entry of a result takes."""
    own = t.Call(call.axes, call.fn, tuple(t.Ref(a.axes, "X") for a in call.args))
    return sum(isinstance(n, t.Call) and n.fn.name in kind for n in expanded(own).walk())


def _seconds(target: Target, program: Program, samples: int, dtype: str) -> float:
    found = amounts(program, samples, dtype)
    return sum(number * float(getattr(target.cost, name)) for name, number in found.items())


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
