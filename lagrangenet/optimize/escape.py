"""Leaving a saddle: along negative curvature, by a line search, and then the method again.

At a stationary point J(θ + t d) = J(θ) + ½ κ t² + O(t³) with κ = dᵀ ∇²J d. With κ < 0 both ±d lead
down, so a step is found as long as rounding does not hide it. It refuses nothing: where J does not
fall, or the second order says nothing, the saddle stays and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lagrangenet.optimize.region import Region
from lagrangenet.optimize.second_order import SecondOrder
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

#: How often one run may leave a saddle.
MOST = 10
#: What J has to fall by, as a share of the quadratic model's ½ |κ| t².
SUFFICIENT = 0.25
#: Steps are halved from the first one at most so often, and doubled while J falls.
HALVINGS, DOUBLINGS = 40, 10


class Step(NamedTuple):
    """A step that leads down: θ + t d, and J there."""

    theta: Array
    length: float
    fun: float


def step_down(task: Task, theta: Array, second: SecondOrder) -> Step | None:
    """A step along the direction of negative curvature after which J is smaller; None if none is.

    Parameters
    ----------
    task : Task
    theta : ndarray, shape (P,)
        A saddle.
    second : SecondOrder
        What is known there.

    Examples
    --------
    >>> from lagrangenet.optimize.second_order import second_order
    >>> from lagrangenet.problem import chain
    >>> task = Task(chain([1, 1, 1], "identity"), [[-1.0], [1.0]], [[-2.0], [2.0]])
    >>> origin = np.zeros(4)
    >>> found = step_down(task, origin, second_order(task, origin))
    >>> found.length, found.fun < task.fun(origin)
    (2.0, True)
    """
    if second.direction is None:
        return None
    start, d = task.fun(theta), second.direction.astype(theta.dtype)
    best: Step | None = None
    for along in (d, -d):
        for length in _lengths(_longest(task.region, theta, along)):
            there = theta + theta.dtype.type(length) * along
            value = task.fun(there)
            fallen = value - start <= SUFFICIENT * second.curvature * length**2 / 2
            if fallen and value < start:
                found = _doubled(task, theta, along, Step(there, length, value))
                best = found if best is None or found.fun < best.fun else best
                break
    return best


def _lengths(longest: float) -> Iterator[float]:
    length = min(1.0, longest)
    for _ in range(HALVINGS):
        yield length
        length /= 2


def _doubled(task: Task, theta: Array, along: Array, step: Step) -> Step:
    """As long as J falls, twice the step."""
    longest = _longest(task.region, theta, along)
    for _ in range(DOUBLINGS):
        length = min(2 * step.length, longest)
        there = theta + theta.dtype.type(length) * along
        value = task.fun(there)
        if not value < step.fun:
            break
        step = Step(there, length, value)
    return step


def _longest(region: Region, theta: Array, along: Array) -> float:
    """How far θ may move in a direction, within limits that it keeps."""
    A, low, high = region.rows(len(theta))
    longest = np.inf
    for values, rates, lower, upper in (
        (theta, along, *region.limits(len(theta))),
        (A @ theta, A @ along, low, high),
    ):
        moving = np.abs(rates) > 64 * np.finfo(theta.dtype).eps
        room = np.where(rates > 0, upper - values, values - lower)[moving] / np.abs(rates[moving])
        longest = min([longest, *room])
    return max(float(longest), 0.0)


def escaped(
    task: Task, result: Any, again: Callable[[Point, dict[str, Any]], Any], most: int = MOST
) -> Any:
    """The result of going on from each saddle until a run ends in none.

    Parameters
    ----------
    task : Task
    result : OptimizeResult
        Of the first run, with ``second_order``.
    again : callable
        ``again(start, record) -> OptimizeResult``: the run from another start; ``record`` says in
        the history how the saddle was left.
    most : int
        How often.

    Returns
    -------
    OptimizeResult
        With ``escapes``, the number of saddles that were left.
    """
    count = 0
    while count < most and _is_saddle(result):
        second: SecondOrder = result.second_order
        found = step_down(task, result.x, second)
        if found is None:
            break
        count += 1
        record = {"escaped_curvature": second.curvature, "escaped_index": second.index,
                  "step": found.length}  # fmt: skip
        result = again(Point(found.theta), {"fun": found.fun, **record})
    result.escapes = count
    if _is_saddle(result):
        why = "as often as it may be" if count == most else "and no step along it lowers J any more"
        result.message += f"; negative curvature was followed {count} times, {why}"
    return result


def _is_saddle(result: Any) -> bool:
    second = result.get("second_order")
    return second is not None and second.condition == "violated"
