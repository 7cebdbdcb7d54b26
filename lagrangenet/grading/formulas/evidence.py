"""A line and its derived equation in numbers, and where they differ first."""

from __future__ import annotations

from collections.abc import Iterator

from lagrangenet.errors import DerivationError
from lagrangenet.grading.formulas.attempts import Attempt, Setting
from lagrangenet.grading.formulas.conventions import FAMILIES
from lagrangenet.grading.formulas.expected import Expected
from lagrangenet.grading.formulas.indexed import array_names
from lagrangenet.grading.formulas.networks import instances, scaled
from lagrangenet.grading.formulas.numbers import Comparison, compared
from lagrangenet.grading.formulas.task import Task

#: Numbers agree everywhere; there are none.
AGREE, UNKNOWN = "agree", "unknown"


def first_gap(attempt: Attempt, setting: Setting) -> Comparison | str:
    """Where both sides differ first."""
    result = UNKNOWN
    for comparison in comparisons(attempt, setting):
        if not comparison.equal:
            return comparison
        result = AGREE
    return result


def comparisons(attempt: Attempt, setting: Setting) -> Iterator[Comparison]:
    """Both sides at random networks; nothing where one of them has no numbers."""
    stated, expected = attempt.stated, attempt.expected
    task, convention = setting.task, setting.convention
    free = expected.label in {"L", "S1"}
    tied = expected.label != "L" or convention.splitting == "activation"
    forward = not free or (expected.label == "L" and convention.splitting == "z")
    for drawn in instances(task.functions, forward, tied):
        network = scaled(drawn, convention.multipliers, convention.errors)
        for k in _layers(expected, network.depth, task):
            try:
                yield compared(stated.tree, expected.expr, network, k, expected.axes or ())
            except (DerivationError, ZeroDivisionError, FloatingPointError):
                return


def _layers(expected: Expected, depth: int, task: Task) -> list[int]:
    """The layers at which an equation is evaluated: those of the hidden activation."""
    if expected.label == "L" or expected.layers == "output":
        return [depth]
    if expected.layers == "below":
        return [depth - 1]
    alike = task.functions.hidden == task.functions.output
    last = depth - (expected.layers == "hidden") - (not alike)
    return list(range(1, last + 1))


def decisive(attempt: Attempt) -> bool:
    """Whether equal numbers prove a line: not a Lagrangian with constraints that numbers satisfy."""
    used = array_names(attempt.stated.tree) & set(FAMILIES)
    return attempt.expected.label != "L" or used == attempt.expected.variables
