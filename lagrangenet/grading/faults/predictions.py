"""What every fault hypothesis predicts at the probes, computed once for all submissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.errors import DerivationError
from lagrangenet.grading.answers import Probe
from lagrangenet.grading.blocks import Found, Key, Sheet, keys
from lagrangenet.grading.faults.calculation import Compiled, Name, Point
from lagrangenet.grading.faults.equations import Equations
from lagrangenet.grading.faults.hypotheses import Hypothesis, Program, hypotheses

Array = NDArray[Any]
#: The array of the equations that a block holds.
_ARRAYS = {"states": "X_out", "multipliers": "lambda_out"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Hypotheses and their numbers.

    Attributes
    ----------
    probes : tuple of Probe
        Ordinary ones, at which a fault is told from another by its numbers.
    kinds : tuple of str
        What is answered: of loss, gradient, multipliers, states.
    updates : bool
        Whether gradients are computed from updated weights.
    single : bool
        Whether the submission gets one sample at a time, and its answers are averaged.
    """

    probes: tuple[Probe, ...]
    kinds: tuple[str, ...]
    updates: bool = False
    single: bool = False

    @cached_property
    def equations(self) -> Equations:
        """Those of the family; with the regularizer, if it has one that is on anywhere."""
        regular = [p.problem for p in self.probes if p.problem.regularizer is not None]
        deepest = max(regular or [p.problem for p in self.probes], key=lambda p: p.depth)
        return Equations(deepest, self.updates)

    @cached_property
    def sheet(self) -> Sheet:
        """The blocks."""
        return Sheet.of(self.probes, self.kinds)

    @cached_property
    def hypotheses(self) -> list[Hypothesis]:
        """Every single fault that shows at all, the likeliest first; equal ones stay together."""
        return [h for h, _ in self._shown]

    @cached_property
    def numbers(self) -> tuple[Array, Array]:
        """Vectors and states of the hypotheses, one row each."""
        rows = [row for _, row in self._shown]
        return np.array([v for v, _ in rows]), np.array([s for _, s in rows])

    @cached_property
    def right(self) -> tuple[Array, Array]:
        """The numbers without a fault, from the derived equations."""
        return self.sheet.filled([self.at(j, {}) for j in range(len(self.probes))])

    @cached_property
    def _shown(self) -> list[tuple[Hypothesis, tuple[Array, Array]]]:
        depths = [probe.problem.depth for probe in self.probes]
        right, states = self.right
        unseen = 1e-9 * np.abs(right) + 1e-12
        found = []
        for hypothesis in hypotheses(self.equations, depths, self.kinds):
            try:
                row = self.of(hypothesis)
            except DerivationError:  # it calls a function that has no value
                continue
            if (row[1] != states).any() or not (np.abs(row[0] - right) <= unseen).all():
                found.append((hypothesis, row))
        return found

    def of(self, *faults: Hypothesis) -> tuple[Array, Array]:
        """The numbers of a program with these faults, in different equations, at all probes."""
        changes: list[dict[Name, Compiled]] = []
        for probe in self.probes:
            changes.append({})
            for fault in faults:
                changes[-1].update(fault.changes(probe.problem))
        return self.predicted(changes)

    def predicted(self, changes: Sequence[Mapping[Name, Compiled]]) -> tuple[Array, Array]:
        """The numbers of a program whose equations are changed, at all probes."""
        vector, states = self.right[0].copy(), self.right[1].copy()
        with np.errstate(all="ignore"):
            for j, change in enumerate(changes):
                if change:
                    self._write(j, change, vector, states)
        return vector, states

    def _write(
        self, j: int, changes: Mapping[Name, Compiled], vector: Array, states: Array
    ) -> None:
        """Put what is changed at a probe over the right numbers."""
        ran = [(program, *program.run(changes)) for program in self.programs[j]]
        touched = set().union(*(moved | lost for _, _, moved, lost in ran))
        for b in {b for name in touched for b in self._blocks_of[j].get(name, ())}:
            key = self.sheet.blocks[b].key
            parts = [self._read(key, program, point, lost) for program, point, _, lost in ran]
            self.sheet.put(b, _averaged(key, parts), vector, states)

    @cached_property
    def _blocks_of(self) -> list[dict[Name, list[int]]]:
        """For each probe the blocks that an array belongs to."""
        found: list[dict[Name, list[int]]] = [{} for _ in self.probes]
        for b, block in enumerate(self.sheet.blocks):
            for name in self.names(block.key, self.programs[block.probe][0]):
                found[block.probe].setdefault(name, []).append(b)
        return found

    def at(self, j: int, changes: Mapping[Name, Compiled]) -> Found:
        """The same at one probe, by block; without those that are lost in a crash."""
        with np.errstate(all="ignore"):
            ran = [(program, *program.run(changes)) for program in self.programs[j]]
            found = {}
            for key in keys(self.kinds, self.probes[j].problem.depth):
                parts = [self._read(key, program, point, lost) for program, point, _, lost in ran]
                value = _averaged(key, parts)
                if value is not None:
                    found[key] = value
        return found

    @cached_property
    def programs(self) -> list[list[Program]]:
        """The program at each probe; where a call gets one sample, one for each of them."""
        return [[self._program(probe) for probe in self._asked(probe)] for probe in self.probes]

    def _asked(self, probe: Probe) -> list[Probe]:
        if not self.single:
            return [probe]
        rows = range(probe.samples)
        return [replace(probe, X=probe.X[i : i + 1], Y=probe.Y[i : i + 1]) for i in rows]

    def _program(self, probe: Probe) -> Program:
        point = Point(probe.problem, probe.theta, probe.X, probe.Y, probe.eta)
        return Program.at(self.equations, probe.problem, point)

    def read(self, program: Program, point: Point, lost: set[Name]) -> Found:
        """The blocks of a program that has run; without those that are lost."""
        found = {}
        for key in keys(self.kinds, program.problem.depth):
            value = self._read(key, program, point, lost)
            if value is not None:
                found[key] = value
        return found

    def _read(self, key: Key, program: Program, point: Point, lost: set[Name]) -> Any:
        names = self.names(key, program)
        return self._value(key, point, names) if lost.isdisjoint(names) else None

    @cached_property
    def classes(self) -> list[int]:
        """Numbers of hypotheses: one of those that predict the same."""
        vectors, states = self.numbers
        scale = np.maximum(np.abs(self.right[0]), 1e-3)
        with np.errstate(all="ignore"):
            rounded = np.round(vectors / scale, 7) + 0.0
        seen: dict[bytes, int] = {}
        for j, row in enumerate(rounded):
            seen.setdefault(row.tobytes() + states[j].tobytes(), j)
        return list(seen.values())

    def names(self, key: Key, program: Program) -> list[Name]:
        """The arrays that a block is the sum of."""
        if key.kind == "loss":
            layers = range(1, program.problem.depth + 1)
            penalty = [(name, k) for k in layers for name in ("R", "R_b")]
            penalty = [name for name in penalty if name in program.point.arrays]
            return [("J", 0), *penalty]
        if key.kind == "gradient":
            return [(f"{key.of}_out", key.layer)]
        return [(_ARRAYS[key.kind], key.layer)]

    def _value(self, key: Key, point: Point, names: list[Name]) -> Any:
        values = [point.arrays[name] for name in names]
        if key.kind == "gradient" and self.updates:
            old = point.arrays[key.of, key.layer]
            try:
                return (old - values[0]) / point.scalars["eta"]
            except ValueError:
                return None
        return sum(values[1:], values[0])


def _averaged(key: Key, parts: list[Any]) -> Any:
    """Of single samples: means of J and its gradient, states and multipliers as rows."""
    count = len(parts)
    if count == 1 or any(part is None for part in parts):
        return None if count > 1 else parts[0]
    if key.kind in _ARRAYS:
        stacked: Array = np.concatenate(parts)
        return stacked / count if key.kind == "multipliers" else stacked
    return sum(parts[1:], parts[0]) / count
