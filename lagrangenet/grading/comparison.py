"""Answers against the oracle: which blocks are right, and how far off the others are.

The right numbers are those of the hand-written :class:`~lagrangenet.verify.textbook.Textbook`; the
derivation has no part in the verdict. Shapes have to be equal, NaN never is, and what the
mathematics leaves open is accepted: any subgradient at a kink, a small ε inside a logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.grading.answers import Answers, Probe
from lagrangenet.grading.blocks import Key, answered, keys
from lagrangenet.grading.probes import AGAIN, COST, KINK, LARGE, SATURATED
from lagrangenet.signs import from_delta
from lagrangenet.verify.tables import Rule
from lagrangenet.verify.textbook import Textbook

Array = NDArray[Any]
Truth = Mapping[Key, Any]

#: Rounding errors of a right answer, in units of the precision and of the largest |z|.
ROUNDINGS = 200.0
#: A block is compared on its own scale, or on this share of the largest block of its kind.
SHARE = 1e-3
#: Epsilons inside a logarithm that are accepted.
EPSILONS = (1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16)
#: Probes whose smallest blocks are nothing but rounding.
EXTREME = frozenset({SATURATED, LARGE})
#: Probes that are not compared with predictions of faults.
SPECIAL = EXTREME | {KINK, COST, AGAIN}


@dataclass(frozen=True)
class Finding:
    """One block of one answer.

    Attributes
    ----------
    key : Key
        Which block.
    right : bool
        The verdict.
    why : str
        If it is wrong: ``value``, ``shape``, ``not finite``, or ``absent``.
    index : tuple of int
        Where the difference is largest, counted from 0.
    found, expected : float
        The numbers there.
    shape : tuple of int
        That it came in.
    note : str
        What was accepted.
    """

    key: Key
    right: bool
    why: str = ""
    index: tuple[int, ...] = ()
    found: float = 0.0
    expected: float = 0.0
    shape: tuple[int, ...] = ()
    note: str = ""


class _Kinked(Textbook):
    """The oracle with a chosen element of the subdifferential at kinks: 0 left, 1 right."""

    def __init__(self, probe: Probe, share: float) -> None:
        super().__init__(probe.problem)
        self._sigma = [Rule(one.value, _between(one, share)) for one in self._sigma]


def _between(entry: Rule, share: float) -> Any:
    def slope(z: Array) -> Array:
        below = entry.slope(np.nextafter(z, -np.inf))
        above = entry.slope(np.nextafter(z, np.inf))
        return np.asarray((1 - share) * below + share * above)

    return slope


@lru_cache(maxsize=512)
def truth(probe: Probe, share: float | None = None) -> Truth:
    """The right numbers of a probe, by block; ``share`` chooses a subgradient at kinks."""
    book = Textbook(probe.problem) if share is None else _Kinked(probe, share)
    theta, X, Y = probe.theta, probe.X, probe.Y
    found: dict[Key, Any] = {Key("loss"): float(book.loss(theta, X, Y))}
    with np.errstate(all="ignore"):
        for k, (_, x) in enumerate(book.forward(theta, X), 1):
            found[Key("states", k)] = x
        for k, delta in enumerate(book.deltas(theta, X, Y), 1):
            found[Key("multipliers", k)] = from_delta(delta, len(X))
    for k, (dW, db) in enumerate(book.gradient(theta, X, Y), 1):
        found[Key("gradient", k, "W")], found[Key("gradient", k, "b")] = dW, db
    return found


@dataclass(frozen=True, eq=False)
class Comparison:
    """The answers to one probe beside the right ones.

    Attributes
    ----------
    probe, answer
        The question and the answer.
    tolerance : float
        Largest relative error of a right float64 answer.
    """

    probe: Probe
    answer: Answers
    tolerance: float

    @property
    def precision(self) -> float:
        """Of one operation, in the type the answer came in."""
        single = self.answer.dtype == "float32"
        return float(np.finfo(np.float32 if single else np.float64).eps)

    @property
    def relative(self) -> float:
        """Largest relative error that is accepted."""
        output = max(float(np.abs(z).max()) for z, _ in _forward(self.probe))
        return max(self.tolerance, ROUNDINGS * self.precision * (1 + output))

    def allowed(self, key: Key, right: Truth) -> float:
        """Largest difference in a block that counts as equal."""
        own = _size(right[key])
        kind = max(_size(v) for k, v in right.items() if k.kind == key.kind)
        if self.probe.name in EXTREME:
            extent = 1 + float(np.abs(self.probe.X).max())
            return self.relative * max(own, kind) + ROUNDINGS * self.precision * 100 * extent
        allowed = self.relative * max(own, SHARE * kind, 1e-9)
        if key.kind == "gradient" and self.answer.updated:
            largest = max(float(np.abs(v).max()) for pair in self.probe.theta for v in pair)
            allowed += 4 * self.precision * largest / self.probe.eta
        return allowed

    def findings(self, kinds: frozenset[str]) -> dict[Key, Finding]:
        """The verdict on every block of the kinds that were asked."""
        right = self._right()
        given = answered(self.answer)
        return {
            key: self._finding(key, given.get(key), right)
            for key in keys(kinds, self.probe.problem.depth)
        }

    def _right(self) -> Truth:
        """The right numbers; at a kink those of the subgradient that the answer is nearest to."""
        if self.probe.name != KINK:
            return truth(self.probe)
        left, right = truth(self.probe, 0.0), truth(self.probe, 1.0)
        share = self.subgradient
        return {key: (1 - share) * start + share * right[key] for key, start in left.items()}

    @cached_property
    def subgradient(self) -> float:
        """The element of the subdifferential that the gradient is nearest to: 0 left, 1 right."""
        left, right = truth(self.probe, 0.0), truth(self.probe, 1.0)
        given = answered(self.answer)
        above = below = 0.0
        for key, start in left.items():
            value = given.get(key) if key.kind == "gradient" else None
            if value is not None and np.shape(value) == np.shape(start):
                step = right[key] - start
                above += float(np.sum((np.asarray(value) - start) * step))
                below += float(np.sum(step * step))
        share = above / below if below else 0.0
        return min(max(share, 0.0), 1.0) if np.isfinite(share) else 0.0

    def _finding(self, key: Key, value: Any, right: Truth) -> Finding:
        expected = np.asarray(right[key], dtype=float)
        if value is None:
            return Finding(key, False, "absent")
        array = np.asarray(value, dtype=float)
        if array.shape != expected.shape:
            return Finding(key, False, "shape", shape=array.shape)
        if not np.isfinite(expected).all():  # ∂ℓ/∂x where softmax has underflowed
            return Finding(key, True)
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(array - expected)
        at = tuple(int(j) for j in np.unravel_index(_worst(error), error.shape))
        found, wanted = float(array[at]), float(expected[at])
        if not np.isfinite(array).all():
            return Finding(key, False, "not finite", at, found, wanted, array.shape)
        if float(error[at]) <= self.allowed(key, right):
            note = self._epsilon(found, wanted) if key.kind == "loss" else ""
            return Finding(key, True, "", at, found, wanted, array.shape, note)
        note = self._epsilon(found, wanted) if key.kind == "loss" else ""
        return Finding(
            key, bool(note), "" if note else "value", at, found, wanted, array.shape, note
        )

    def _epsilon(self, found: float, expected: float) -> str:
        """A note, if J differs from the right one by a small ε inside its logarithm."""
        if abs(found - expected) <= 100 * self.precision * max(1.0, abs(expected)):
            return ""
        for epsilon in EPSILONS:
            moved = _with_epsilon(self.probe, epsilon)
            if moved and abs(found - expected - moved) <= 0.02 * abs(moved):
                return f"an ε of {epsilon:.0e} inside the logarithm is accepted"
        return ""


def _worst(error: Array) -> int:
    return int(np.argmax(np.where(np.isnan(error), np.inf, error)))


def _size(value: Any) -> float:
    array = np.abs(np.asarray(value, dtype=float))
    finite = array[np.isfinite(array)]
    return float(finite.max()) if finite.size else 0.0


@lru_cache(maxsize=512)
def _forward(probe: Probe) -> Any:
    return Textbook(probe.problem).forward(probe.theta, probe.X)


def _with_epsilon(probe: Probe, epsilon: float) -> float:
    """By how much −Σ y log(x + ε) is less than −Σ y log x; 0 where the loss has no logarithm."""
    Y, (z, x) = probe.Y, _forward(probe)[-1]
    name = probe.problem.loss.name
    if name == "cross_entropy":
        moved = Y * np.log1p(epsilon / x)
    elif name == "binary_cross_entropy":
        p = 1 / (1 + np.exp(-np.clip(z, -300, 300)))
        moved = Y * np.log1p(epsilon / p) + (1 - Y) * np.log1p(epsilon / (1 - p))
    else:
        return 0.0
    return -float(np.sum(moved)) / probe.samples
