"""What is true of wrong numbers whose fault is not known: their ratio, their order, where they begin.

Every statement is checked at all probes that it speaks of; the first that holds is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lagrangenet.grading.answers import Probe
from lagrangenet.grading.blocks import Key
from lagrangenet.grading.comparison import Finding

Array = NDArray[Any]


class Pair(NamedTuple):
    """A block as it was answered and as it should be."""

    probe: Probe
    key: Key
    found: Array
    expected: Array


def joined(pairs: Sequence[Pair]) -> Pair:
    """The blocks of a layer as one row of numbers."""
    found = np.concatenate([np.ravel(pair.found) for pair in pairs])
    expected = np.concatenate([np.ravel(pair.expected) for pair in pairs])
    return Pair(pairs[0].probe, pairs[0].key, found, expected)


#: Ratios that have a meaning: a name, and the number for a probe.
RATIOS: tuple[tuple[str, Callable[[Probe], float]], ...] = (
    ("−1", lambda _: -1.0),
    ("2", lambda _: 2.0),
    ("½", lambda _: 0.5),
    ("M", lambda p: float(p.samples)),
    ("1/M", lambda p: 1.0 / p.samples),
    ("2M", lambda p: 2.0 * p.samples),
    ("2/M", lambda p: 2.0 / p.samples),
    ("1/(2M)", lambda p: 0.5 / p.samples),
    ("−2", lambda _: -2.0),
    ("−M", lambda p: -float(p.samples)),
    ("−1/M", lambda p: -1.0 / p.samples),
    ("the number of outputs", lambda p: float(p.problem.widths[-1])),
    ("1/(the number of outputs)", lambda p: 1.0 / p.problem.widths[-1]),
    ("1/η", lambda p: 1.0 / p.eta),
    ("η", lambda p: p.eta),
)


def ratio(pairs: Sequence[Pair]) -> str:
    """The constant ratio of found to expected, by name if it has one; empty if there is none.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> probe = Probe("", chain([2, 1]), (), np.zeros((4, 2)), np.zeros((4, 1)))
    >>> ratio([Pair(probe, Key("gradient", 1, "W"), np.array([4.0, 8.0]), np.array([1.0, 2.0]))])
    'the ratio is 4 = M everywhere'
    """
    constants = [(pair.probe, _constant(pair)) for pair in pairs]
    known = [(probe, c) for probe, c in constants if c is not None]
    if not known or len(known) < len(pairs):
        return ""
    value = known[0][1]
    for name, of in RATIOS:
        if all(np.isclose(c, of(probe), rtol=1e-5) for probe, c in known):
            number = "" if name in {"−1", "2", "½", "−2"} else f"{value:.4g} = "
            return f"the ratio is {number}{name} everywhere"
    if all(np.isclose(c, value, rtol=1e-5) for _, c in known):
        return f"the ratio is {value:.4g} everywhere"
    return ""


def _constant(pair: Pair) -> float | None:
    """The c with found = c · expected, if there is one that is not 0."""
    if pair.found.shape != pair.expected.shape or not np.isfinite(pair.found).all():
        return None
    square = float(np.sum(pair.expected**2))
    if square == 0:
        return None
    c = float(np.sum(pair.found * pair.expected)) / square
    error = float(np.abs(pair.found - c * pair.expected).max())
    close = error <= 1e-6 * float(np.abs(pair.found).max())
    return c if close and abs(c) > 1e-12 else None


def _transposed(pair: Pair) -> bool:
    return pair.expected.ndim == 2 and _equal(pair.found, pair.expected.T)


def _permuted(pair: Pair) -> bool:
    one, two = np.sort(pair.found, axis=None), np.sort(pair.expected, axis=None)
    return pair.expected.size > 1 and _equal(one, two)


def _signs(pair: Pair) -> bool:
    return _equal(np.abs(pair.found), np.abs(pair.expected))


def _zero(pair: Pair) -> bool:
    return not pair.found.any()


def _not_finite(pair: Pair) -> bool:
    return not np.isfinite(pair.found).all()


def _near(pair: Pair) -> bool:
    if pair.found.shape != pair.expected.shape:
        return False
    error = np.abs(pair.found - pair.expected).max()
    return bool(error <= 1e-3 * np.abs(pair.expected).max())


def _equal(one: Array, two: Array) -> bool:
    if one.shape != two.shape:
        return False
    scale = max(float(np.abs(two).max(initial=0.0)), 1e-300)
    return bool((np.abs(one - two) <= 1e-6 * scale).all())


#: Statements about blocks, the most telling first.
SIGNATURES: tuple[tuple[Callable[[Pair], bool], str], ...] = (
    (_not_finite, "the result is not finite"),
    (_zero, "the result is zero"),
    (_transposed, "the result is the transpose of the right one"),
    (_permuted, "the right numbers stand in another order"),
    (_signs, "the sizes are right and some signs are not"),
    (_near, "the result is off by less than 0.1 %: an approximation, or single precision"),
)


def signature(pairs: Sequence[Pair]) -> str:
    """The first statement that is true of all these blocks; empty if none is."""
    if named := ratio(pairs):
        return named
    for holds, words in SIGNATURES:
        if pairs and all(holds(pair) for pair in pairs):
            return words
    return ""


def agreement(findings: Sequence[Mapping[Key, Finding]], probes: Sequence[Probe]) -> str:
    """Where agreement ends: over all probes, in the order of computation.

    ``findings`` are those of ordinary probes, aligned with ``probes``.
    """
    whole = [probe for probe, each in zip(probes, findings, strict=True) if _all_right(each)]
    partly = [(p, each) for p, each in zip(probes, findings, strict=True) if not _all_right(each)]
    text = ""
    if partly:
        _, first = max(partly, key=lambda item: item[0].problem.depth)
        right = [key.formula for key, one in first.items() if one.right]
        wrong = [key.formula for key, one in first.items() if not one.right]
        text = f"{wrong[0]} is the first that is wrong"
        text += f"; right are {', '.join(right)}" if right else "; nothing is right"
    if whole and partly:
        text += f"; everything is right for: {', '.join(probe.name for probe in whole)}"
    return text


def _all_right(findings: Mapping[Key, Finding]) -> bool:
    return all(one.right for one in findings.values())
