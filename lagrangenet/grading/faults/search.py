"""Which fault, or which two, explain the answers of a submission.

One fault: its predictions are compared with the answers at all probes. Two: the first is one that
explains some of the wrong blocks, or a constant factor, or, while time is left, any; the second is
tried on top of it. Only predictions that agree at every probe count; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.errors import DerivationError
from lagrangenet.grading.blocks import ABSENT, PRESENT, Found, Sheet
from lagrangenet.grading.faults.calculation import Compiled, Name
from lagrangenet.grading.faults.hypotheses import Accepts, Hypothesis
from lagrangenet.grading.faults.predictions import Predictions
from lagrangenet.grading.faults.rule import mutants

Array = NDArray[Any]
Changes = dict[Name, Compiled]
Pair = tuple[Hypothesis, Hypothesis]

#: Pairs of faults that are tried.
TRIES = 20_000
#: First faults that are tried in full, by how much of the answers they explain.
FIRST = 24
#: Of explanations that give the same numbers, so many are named.
NAMED = 2
#: Rules whose changes scale whole results, and so hide every other fault from view.
SCALING = frozenset({
    "constant factor", "sign of the whole", "factor missing", "factor twice",
    "mean over the components",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Given:
    """The answers of a submission to the probes of the predictions.

    Attributes
    ----------
    vector, states : ndarray
        As a :class:`~lagrangenet.grading.blocks.Sheet` has them.
    allowed : ndarray
        Largest difference of each number that counts as equal.
    """

    sheet: Sheet
    vector: Array
    states: Array
    allowed: Array

    def matches(self, vectors: Array, states: Array) -> NDArray[np.bool_]:
        """Which blocks of each row agree with the answers; shape (rows, blocks)."""
        with np.errstate(invalid="ignore"):
            near = np.abs(vectors - self.vector) <= self.allowed
        near |= np.isnan(vectors) & np.isnan(self.vector)
        near |= vectors == self.vector
        equal = np.logical_and.reduceat(near, self.sheet.starts(), axis=-1)
        there = (states == PRESENT) & (self.states == PRESENT)
        other = (states != PRESENT) & (self.states != PRESENT)
        other &= (states == self.states) | (states == ABSENT) | (self.states == ABSENT)
        crashed = self._of_same_probe((states == ABSENT).astype(float)) & (self.states == ABSENT)
        return np.asarray((there & equal) | other | crashed)

    def _of_same_probe(self, marks: Array) -> NDArray[np.bool_]:
        """For every block whether any block of its probe is marked: one call, one crash."""
        numbers = np.array([block.probe for block in self.sheet.blocks])
        starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
        return np.asarray(np.maximum.reduceat(marks, starts, axis=-1)[..., numbers] > 0)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Faults that together give exactly the answers.

    Attributes
    ----------
    faults : tuple of Hypothesis
        One or two.
    others : tuple of Hypothesis
        Instead of the first, if it is the only one: what gives the same numbers.
    """

    faults: tuple[Hypothesis, ...]
    others: tuple[Hypothesis, ...] = ()


class Search:
    """The explanation of one submission.

    Parameters
    ----------
    predictions : Predictions
        Of the assignment at the ordinary probes.
    given : Given
        The answers.
    tries : int
        How many pairs of faults are tried, a quarter of them where calls get single samples; a
        number, not a time, so that equal answers get equal diagnoses. One takes some 30 µs.
    """

    def __init__(self, predictions: Predictions, given: Given, tries: int = TRIES) -> None:
        self.predictions, self.given, self.tries = predictions, given, tries

    def explanation(self) -> Explanation | None:
        """The simplest explanation, or None; also if no wrong array has come at all."""
        if not (~self.right & (self.given.states != ABSENT)).any():
            return None
        singles = [
            h for h, row in zip(self.predictions.hypotheses, self.blocks, strict=True) if row.all()
        ]
        if singles:
            best = self._narrowest(singles)
            return Explanation((best,), tuple(_differing(best, singles)))
        if not self._finite:
            return None
        for pair in islice(self._pairs(), self.tries // (4 if self.predictions.single else 1)):
            if self._fits(pair, self.shown) and all(map(partial(self._fits, pair), self._others)):
                return Explanation(pair)
        return None

    def _narrowest(self, singles: list[Hypothesis]) -> Hypothesis:
        """The likeliest; of one change at different layers, that of the fewest layers."""
        deepest = max((p.problem for p in self.predictions.probes), key=lambda p: p.depth)
        same = [h for h in singles if h.mutant is singles[0].mutant]
        return min(same, key=lambda h: (len(h.layers(deepest)), h.cost))

    @cached_property
    def blocks(self) -> NDArray[np.bool_]:
        """Which blocks each hypothesis explains."""
        return self.given.matches(*self.predictions.numbers)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which blocks are right."""
        vector, states = self.predictions.right
        return np.asarray(self.given.matches(vector[None], states[None])[0])

    @property
    def _finite(self) -> bool:
        """Whether there are numbers at the probe that is looked at first."""
        return all(
            np.isfinite(self.given.vector[block.span]).all()
            for block, state in zip(self.given.sheet.blocks, self.given.states, strict=True)
            if block.probe == self.shown and state == PRESENT
        )

    @cached_property
    def shown(self) -> int:
        """The probe at which most can be seen: where the most blocks are wrong and there."""
        counts = [0] * len(self.predictions.probes)
        for block, right, state in zip(
            self.given.sheet.blocks, self.right, self.given.states, strict=True
        ):
            counts[block.probe] += int(not right and state == PRESENT)
        return int(np.argmax(counts))

    # -- two faults ------------------------------------------------------------------------------

    def _pairs(self) -> Iterator[Pair]:
        """Pairs of faults, the likeliest first."""
        for j in self._promising():
            first = self.predictions.hypotheses[j]
            for second in self._rest(j):
                yield first, second
            yield from self._doubled(first)
        classes = [self.predictions.hypotheses[j] for j in self.predictions.classes]
        scaling = [h for h in classes if h.mutant.rule in SCALING]
        for first in (*scaling, *classes):
            yield from self._doubled(first)
            for second in classes:
                yield first, second

    def _promising(self) -> list[int]:
        """Hypotheses that explain wrong blocks, those that explain most of them first."""
        wrong = ~self.right
        gains = self.blocks[:, wrong].sum(axis=1)
        total = self.blocks.sum(axis=1)
        found = [j for j in self.predictions.classes if gains[j]]
        return sorted(found, key=lambda j: -int(total[j]))[:FIRST]

    def _rest(self, first: int) -> list[Hypothesis]:
        """Second faults for a first one: those that move what it leaves unexplained."""
        explained = self.blocks[first]
        moved = ~self._like_right
        useful = (moved & ~explained).any(axis=1)
        conflicts = (moved & explained).sum(axis=1)
        found = [j for j in self.predictions.classes if useful[j] and j != first]
        found.sort(key=lambda j: int(conflicts[j]))
        return [self.predictions.hypotheses[j] for j in found]

    @cached_property
    def _like_right(self) -> NDArray[np.bool_]:
        """Blocks in which each hypothesis predicts the right numbers."""
        vector, states = self.predictions.right
        return replace(self.given, vector=vector, states=states).matches(*self.predictions.numbers)

    def _doubled(self, first: Hypothesis) -> Iterator[Pair]:
        """Two faults in one equation."""
        changed = replace(first.equation, node=first.mutant.node)
        for mutant in mutants(changed.node, self.predictions.equations.place(changed)):
            yield first, Hypothesis(changed, mutant, first.scope, first.beside)

    def _changes(self, fault: Hypothesis, j: int) -> Changes:
        """What a fault changes at a probe; of those that are tried often, kept."""
        kept = self._kept[j].get(id(fault))
        if kept is None:
            kept = fault.changes(self.predictions.probes[j].problem)
            if id(fault) in self._known:
                self._kept[j][id(fault)] = kept
        return kept

    def _fits(self, pair: Pair, j: int) -> bool:
        """Whether a program with two faults gives the answers at a probe."""
        try:
            first, second = (self._changes(fault, j) for fault in pair)
        except DerivationError:  # a function that has no value
            return False
        again = second.keys() & first.keys()
        if again and pair[1].equation.node is not pair[0].mutant.node:
            return (
                False  # one equation cannot be wrong in two ways, unless one is on top of the other
            )
        changes = {**first, **second}
        if self.predictions.single:
            return self._agree(self.predictions.at(j, changes), j)
        (program,) = self.predictions.programs[j]
        with np.errstate(all="ignore"):
            ran = program.run_while(changes, self._accepts[j])
            if ran is None:
                return False
            point, moved, lost = ran
            if not self._wrong[j] <= moved | lost:
                return False
            return self._agree(self.predictions.read(program, point, lost), j)

    @cached_property
    def _others(self) -> list[int]:
        return [j for j in range(len(self.predictions.probes)) if j != self.shown]

    @cached_property
    def _known(self) -> set[int]:
        return {id(fault) for fault in self.predictions.hypotheses}

    @cached_property
    def _kept(self) -> list[dict[int, Changes]]:
        return [{} for _ in self.predictions.probes]

    @cached_property
    def _wrong(self) -> list[set[Name]]:
        """Arrays of each probe that a fault has to move, because they came and are wrong."""
        found: list[set[Name]] = [set() for _ in self.predictions.probes]
        for b, block in enumerate(self.given.sheet.blocks):
            if not self.right[b] and self.given.states[b] == PRESENT:
                (program,) = self.predictions.programs[block.probe]
                names = self.predictions.names(block.key, program)
                if len(names) == 1:
                    found[block.probe].add(names[0])
        return found

    @cached_property
    def _accepts(self) -> list[Accepts]:
        """For each probe whether an array is what came, as far as it came as such."""
        tables: list[dict[Name, tuple[Array, Array]]] = [{} for _ in self.predictions.probes]
        for b, block in enumerate(self.given.sheet.blocks):
            (program,) = self.predictions.programs[block.probe]
            names = self.predictions.names(block.key, program)
            plain = len(names) == 1 and block.key.kind != "loss"
            if not plain or self.given.states[b] != PRESENT:
                continue
            value, allowed = (
                part[block.span].reshape(block.shape)
                for part in (self.given.vector, self.given.allowed)
            )
            if self.predictions.updates and block.key.kind == "gradient":
                eta = self.predictions.probes[block.probe].eta
                old = program.point.arrays[block.key.of, block.key.layer]
                value, allowed = old - eta * value, eta * allowed
            tables[block.probe][names[0]] = value, allowed
        return [partial(_equal, table) for table in tables]

    @cached_property
    def _of_probe(self) -> list[list[int]]:
        """Blocks of each probe, the wrong ones first."""
        found: list[list[int]] = [[] for _ in self.predictions.probes]
        order = sorted(range(len(self.right)), key=lambda b: bool(self.right[b]))
        for b in order:
            found[self.given.sheet.blocks[b].probe].append(b)
        return found

    def _agree(self, found: Found, j: int) -> bool:
        given = self.given
        for b in self._of_probe[j]:
            block = given.sheet.blocks[b]
            value = found.get(block.key)
            if given.states[b] == ABSENT and len(found) < len(self._of_probe[j]):
                continue
            there = value is not None and np.shape(value) == block.shape
            if there != (given.states[b] == PRESENT):
                return False
            if not there:
                continue
            wanted, allowed = given.vector[block.span], given.allowed[block.span]
            if not _close(np.ravel(np.asarray(value)), wanted, allowed):
                return False
        return True


def _equal(table: Mapping[Name, tuple[Array, Array]], name: Name, value: Any) -> bool:
    """Whether an array is the one of the table, if it is in it."""
    if name not in table:
        return True
    wanted, allowed = table[name]
    return np.shape(value) == wanted.shape and _close(value, wanted, allowed)


def _close(value: Array, wanted: Array, allowed: Array) -> bool:
    """Whether numbers agree; NaN with NaN, and ∞ with ∞, as where something is divided by M − 1."""
    with np.errstate(invalid="ignore"):
        near = np.abs(value - wanted) <= allowed
    if near.all():
        return True
    if np.isfinite(wanted).all():
        return False
    return bool((near | (value == wanted) | (np.isnan(value) & np.isnan(wanted))).all())


def _differing(best: Hypothesis, singles: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Other explanations that are told apart by rule or equation, a few of them."""
    found: list[Hypothesis] = []
    seen = {(best.label, best.mutant.rule)}
    for hypothesis in singles:
        mark = (hypothesis.label, hypothesis.mutant.rule)
        if mark not in seen:
            seen.add(mark)
            found.append(hypothesis)
    return found[:NAMED]
