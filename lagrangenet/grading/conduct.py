"""How an answer was computed: inputs left alone, calls independent, a derivative and no differences.

A right number is not enough if the program that gives it changes its arguments, remembers earlier
calls, or calls its own loss once for every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lagrangenet.grading.answers import Answers, Probe
from lagrangenet.grading.blocks import Key, answered
from lagrangenet.grading.comparison import Comparison, truth
from lagrangenet.grading.probes import AGAIN, COST

#: A derivative is off by rounding; differences are off by more than so many roundings.
EXACT = 1e3


@dataclass(frozen=True)
class Conduct:
    """A complaint about how answers were computed, or an observation.

    Attributes
    ----------
    wrong : bool
        Whether it costs the points.
    text : str
        For people.
    hint : str
        Where to look.
    first : bool
        Whether it explains wrong numbers, too.
    """

    wrong: bool
    text: str
    hint: str = ""
    first: bool = False


def conduct(
    probes: Sequence[Probe], answers: Sequence[Answers], tolerance: float
) -> tuple[Conduct, ...]:
    """Everything there is to say about how the answers came about."""
    found = [_changed(answers), _dependent(probes, answers, tolerance)]
    found.append(_differences(probes, answers))
    return tuple(one for one in found if one is not None)


def _changed(answers: Sequence[Answers]) -> Conduct | None:
    names = dict.fromkeys(name for answer in answers for name in answer.changed)
    if not names:
        return None
    if any(answer.updated for answer in answers):
        data = [name for name in names if name.upper() in {"X", "Y"}]
        if not data:
            return Conduct(False, "the weights are updated in place, which is accepted")
        names = dict.fromkeys(data)
    listed = ", ".join(names)
    text = f"the call changes its input {listed} in place; work on a copy"
    return Conduct(True, text, "Compare what you were given before and after the call.")


def _dependent(
    probes: Sequence[Probe], answers: Sequence[Answers], tolerance: float
) -> Conduct | None:
    """Two equal calls with different answers."""
    for probe, again in zip(probes, answers, strict=True):
        if probe.name == AGAIN:
            found = _differs(probe, answers[0], again, tolerance)
            if found is not None:
                return found
    return None


def _differs(probe: Probe, first: Answers, again: Answers, tolerance: float) -> Conduct | None:
    early, late = answered(first), answered(again)
    comparison = Comparison(probe, again, tolerance)
    for key, right in truth(probe).items():
        one, two = early.get(key), late.get(key)
        if one is None or two is None or np.shape(one) != np.shape(two):
            continue
        allowed = comparison.allowed(key, truth(probe))
        if not np.allclose(one, two, rtol=0, atol=allowed, equal_nan=True):
            excess = _accumulated(key, two, right)
            text = f"two equal calls give different answers for {key.formula}{excess}"
            hint = "What is left over from one call to the next? Is anything random?"
            return Conduct(True, text, hint, first=True)
    return None


def _accumulated(key: Key, late: Any, right: Any) -> str:
    if key.kind == "gradient" and np.abs(late).max() > 1.5 * np.abs(right).max():
        return ": gradients of earlier calls are added, they are not set to zero"
    return ": something is kept from earlier calls, or random"


def _differences(probes: Sequence[Probe], answers: Sequence[Answers]) -> Conduct | None:
    """Numerical differentiation: as many calls as parameters, and more than rounding errors."""
    for probe, answer in zip(probes, answers, strict=True):
        if probe.name != COST or not answer.calls:
            continue
        name, calls = most_called(answer.calls)
        error, key = _largest_error(probe, answer)
        if calls < probe.problem.size or key is None:
            return None
        precision = Comparison(probe, answer, 0.0).precision
        if error > EXACT * precision:
            text = (
                f"the gradient is computed by differences: {name} is called {calls} times for "
                f"{probe.problem.size} parameters, and {key.formula} is off by {error:.0e}, "
                "more than rounding"
            )
            return Conduct(True, text, "A derivative is asked, not differences of the loss.")
        return Conduct(False, f"{name} is called {calls} times; the result is exact")
    return None


def most_called(calls: Mapping[str, int]) -> tuple[str, int]:
    """The function that is called most often."""
    name = max(calls, key=lambda each: calls[each])
    return name, calls[name]


def _largest_error(probe: Probe, answer: Answers) -> tuple[float, Key | None]:
    """The largest relative error of the gradient, and where."""
    right = truth(probe)
    scale = max(float(np.abs(v).max()) for k, v in right.items() if k.kind == "gradient")
    worst: tuple[float, Key | None] = (0.0, None)
    for key, value in answered(answer).items():
        if key.kind != "gradient" or value is None or key not in right:
            continue
        if np.shape(value) == np.shape(right[key]):
            error = float(np.abs(value - right[key]).max()) / scale
            worst = (error, key) if worst[1] is None or error > worst[0] else worst
    return worst
