"""What is wrong with a line: a fault of the derived equation, shapes that do not fit, or a true statement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lagrangenet.grading.faults import RULES
from lagrangenet.grading.formulas.attempts import (
    Attempt,
    Setting,
    form_of,
    in_variables,
    renamed_variable,
)
from lagrangenet.grading.formulas.conventions import FAMILIES
from lagrangenet.grading.formulas.evidence import comparisons
from lagrangenet.grading.formulas.expected import candidates
from lagrangenet.grading.formulas.indexed import FREE, Range, Sum, free_letters
from lagrangenet.grading.formulas.numbers import Comparison
from lagrangenet.grading.formulas.shapes import Trouble

#: What a trouble with shapes is called, and where to look.
TROUBLES: Mapping[str, tuple[str, str]] = {
    "transpose": ("transpose", "Check the shapes: which factor is to be transposed?"),
    "order": ("transposed result", "Check the shape of the result."),
    "hadamard": ("elementwise product", "Is this a matrix product or a product entry by entry?"),
    "product": ("matrix product", "Is this a matrix product or a product entry by entry?"),
    "shape": ("shape", "Write the shape of each factor below it."),
    "index": ("shape", "Which layer does each index belong to?"),
    "layer": ("neighbouring layer", "Check the layer index of every array."),
    "circular": ("circular", "Write out what this is equal to."),
    "sum": ("limits of a sum", "What does each index run over?"),
}
#: At most so many pairs of mistakes are tried, and so many readings of a wrong line.
PAIRS, READINGS = 1500, 4
#: Numbers below this say nothing about a ratio.
SMALL = 1e-6


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a line.

    Attributes
    ----------
    kind : str
        The fault rule, or the kind of trouble.
    message : str
    hint : str
        Where to look, without the answer.
    """

    kind: str
    message: str
    hint: str


def explained(attempt: Attempt, setting: Setting, pairs: bool) -> tuple[Mistake, ...]:
    """What one mistake, or two, explain."""
    expected, troubles = attempt.expected, attempt.stated.troubles
    shapes = [one for one in troubles if one.kind != "circular"]
    if troubles and attempt.form == expected.normal:
        return tuple(_trouble(one) for one in troubles[:1])
    for one in (attempt, *attempt.others):
        if found := _single(one, shapes):
            return found
    if missing := _unbound(attempt):
        return (missing,)
    if other := _another(attempt, setting):
        return (other,)
    for first, second, wrong in itertools.islice(
        expected.pairs(), PAIRS if pairs and expected.label != "L" else 0
    ):
        if wrong in attempt.forms:
            return tuple(
                Mistake(m.rule, m.description, RULES[m.rule].hint) for m in (first, second)
            )
    return tuple(_trouble(one) for one in troubles[:1])


def _single(attempt: Attempt, shapes: list[Trouble]) -> tuple[Mistake, ...]:
    """The likeliest fault that makes the line of the derived equation; shapes may be another."""
    for form in attempt.forms:
        found = [(m.cost, m) for m, wrong in attempt.expected.wrong if wrong == form]
        if found:
            _, mutant = min(found, key=lambda pair: pair[0])
            mistake = Mistake(mutant.rule, mutant.description, RULES[mutant.rule].hint)
            mended = shapes and form is attempt.form
            return (_trouble(shapes[0]), mistake) if mended else (mistake,)
    return ()


#: Variables and parameters that are taken for each other, and what the other one is.
_OTHERS: Mapping[str, tuple[str, str]] = {
    "lambda": ("mu", "the multiplier μ^k of z^k"),
    "mu": ("lambda", "the multiplier λ^k of x^k"),
    "Delta": ("delta", "δ^k = ∂ℓ/∂z^k"),
    "delta": ("Delta", "Δ^k = ∂ℓ/∂x^k"),
    "b": ("W", "∂L/∂W^k"),
    "W": ("b", "∂L/∂b^k"),
}


def _unbound(attempt: Attempt) -> Mistake | None:
    """An index that stands on the right alone, where a sum over it would make the line right."""
    tree = attempt.stated.tree
    letters = free_letters(tree)
    for index in letters:
        tree = Sum(index, Range("component"), tree)
    if not letters or form_of(tree, attempt.expected) != attempt.expected.normal:
        return None
    names = ", ".join(index.removeprefix(FREE) for index in letters)
    return Mistake("sum missing", f"the sum over {names} is missing", RULES["sum missing"].hint)


def _another(attempt: Attempt, setting: Setting) -> Mistake | None:
    """The right equation of something else."""
    stated = attempt.stated
    if stated.unknown not in _OTHERS:
        return None
    other, what = _OTHERS[stated.unknown]
    tree = stated.tree
    if stated.unknown in FAMILIES:
        tree = renamed_variable(stated, stated.unknown, other).tree
    for expected in candidates(setting.task, setting.convention, replace(stated, unknown=other)):
        if form_of(in_variables(tree, expected, setting), expected) == expected.normal:
            hint = "Which quantity is this line about?"
            return Mistake("another equation", f"this is what {what} is equal to", hint)
    return None


def _trouble(trouble: Trouble) -> Mistake:
    kind, hint = TROUBLES[trouble.kind]
    return Mistake(kind, trouble.message, hint)


def where_it_ends(attempt: Attempt, setting: Setting) -> tuple[Mistake, ...]:
    """No mistake explains the line: what is true of it all the same."""
    hint = "Derive this line again, one factor at a time."
    every = [] if attempt.stated.troubles else list(comparisons(attempt, setting))
    if not every:
        return (Mistake("not recognized", "this is not what the derivation gives", hint),)
    equal = [c for c in every if c.equal]
    text = "this is not what the derivation gives"
    if equal and all((c.network.samples == 1) == c.equal for c in every):
        text = "this is right for M = 1 only"
    elif equal:
        layers = sorted({c.layer for c in every if not c.equal})
        text = f"this agrees at some layers and differs at layer {layers[0]}"
    else:
        ratios = {_ratio(c) for c in every}
        if len(ratios) == 1 and None not in ratios:
            text = f"this is {ratios.pop():g} times what the derivation gives"
    return (Mistake("not recognized", text, hint),)


def _ratio(comparison: Comparison) -> float | None:
    """The constant factor between both sides, if there is one."""
    big = abs(comparison.expected) > SMALL
    ratios = comparison.found[big] / comparison.expected[big]
    if not ratios.size or not np.isfinite(ratios).all():
        return None
    first = float(ratios.ravel()[0])
    return round(first, 6) if abs(ratios - first).max() < SMALL else None
