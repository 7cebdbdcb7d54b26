"""Answers of one submission, and what equations predict, as one vector of numbers in blocks.

A block is one array of one probe: J, x^k, λ^k, ∂J/∂W^k or ∂J/∂b^k. Beside the numbers stands
whether the block is there and has its shape, because a missing array, or one of a wrong shape, is
compared too. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lagrangenet.grading.answers import Answers, Probe

Array = NDArray[Any]
#: The state of a block that is as it should be, and of one that is not there.
PRESENT, ABSENT = 0.0, -1.0
#: Arrays by the key of their block.
Found = Mapping["Key", Any]


def superscript(number: int) -> str:
    """A layer number above a symbol."""
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


class Key(NamedTuple):
    """Which array of a probe: of loss, states, multipliers, gradient; layer; W or b."""

    kind: str
    layer: int = 0
    of: str = ""

    @property
    def formula(self) -> str:
        """Such as ``∂J/∂W²``."""
        k = superscript(self.layer)
        names = {"loss": "J", "states": f"x{k}", "multipliers": f"λ{k}"}
        return names.get(self.kind, f"∂J/∂{self.of}{k}")


@dataclass(frozen=True)
class Block:
    """Where an array of a probe stands in the vector."""

    probe: int
    key: Key
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def span(self) -> slice:
        """Its part of the vector."""
        return slice(self.start, self.stop)


def keys(kinds: Iterable[str], depth: int) -> Iterator[Key]:
    """The blocks of a probe, in the order in which a program computes them."""
    kinds = set(kinds)
    layers = range(1, depth + 1)
    if "states" in kinds:
        yield from (Key("states", k) for k in layers)
    if "loss" in kinds:
        yield Key("loss")
    for k in reversed(layers):
        if "multipliers" in kinds:
            yield Key("multipliers", k)
        if "gradient" in kinds:
            yield from (Key("gradient", k, of) for of in "Wb")


@dataclass(frozen=True, eq=False)
class Sheet:
    """The blocks of a number of probes.

    Attributes
    ----------
    blocks : tuple of Block
        One after the other.
    """

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, probes: Sequence[Probe], kinds: Iterable[str]) -> Sheet:
        """The blocks that answers to these probes have."""
        found: list[Block] = []
        start = 0
        wanted = set(kinds)
        for j, probe in enumerate(probes):
            for key in keys(wanted, probe.problem.depth):
                shape = _shape(probe, key)
                stop = start + int(np.prod(shape))
                found.append(Block(j, key, shape, start, stop))
                start = stop
        return cls(tuple(found))

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.blocks[-1].stop if self.blocks else 0

    def starts(self) -> NDArray[np.intp]:
        """Where the blocks begin."""
        return np.array([block.start for block in self.blocks], dtype=np.intp)

    def filled(self, found: Sequence[Found]) -> tuple[Array, Array]:
        """Arrays of every probe as a vector, and the state of each block."""
        vector = np.full(self.size, np.nan)
        states = np.full(len(self.blocks), ABSENT)
        for j, block in enumerate(self.blocks):
            self.put(j, found[block.probe].get(block.key), vector, states)
        return vector, states

    def put(self, j: int, value: Any, vector: Array, states: Array) -> None:
        """Write the array of a block, or that there is none, into a vector."""
        block = self.blocks[j]
        vector[block.span], states[j] = np.nan, ABSENT
        if value is None:
            return
        array = np.asarray(value, dtype=float)
        if array.shape == block.shape:
            states[j] = PRESENT
            vector[block.span] = array.ravel()
        else:
            states[j] = shape_code(array.shape)


def shape_code(shape: tuple[int, ...]) -> float:
    """A number for a wrong shape, so that equal wrong shapes are found equal."""
    long = [length for length in shape if length != 1]  # a column is a vector with another name
    code = float(len(long) + 1)
    for length in long:
        code = 1000.0 * code + length
    return code


def _shape(probe: Probe, key: Key) -> tuple[int, ...]:
    widths = probe.problem.widths
    if key.kind == "loss":
        return ()
    if key.kind == "gradient":
        return (widths[key.layer], widths[key.layer - 1]) if key.of == "W" else (widths[key.layer],)
    return (probe.samples, widths[key.layer])


def answered(answer: Answers) -> dict[Key, Any]:
    """What a submission answered to a probe, by block."""
    found: dict[Key, Any] = {Key("loss"): answer.loss}
    for kind in ("states", "multipliers"):
        for k, array in enumerate(getattr(answer, kind) or (), 1):
            found[Key(kind, k)] = array
    for k, (weights, biases) in enumerate(answer.gradient or (), 1):
        found[Key("gradient", k, "W")] = weights
        found[Key("gradient", k, "b")] = biases
    return found
