"""How a routine runs: groups of steps that share loops, buffers by liveness, the size of a tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from lagrangenet.problem import Problem
from lagrangenet.routines.kernels import (
    BATCH,
    Kernels,
    Linear,
    Outer,
    Pointwise,
    Rowwise,
    Step,
    Sum,
)
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Ref

#: Bytes of the data of one tile, and numbers of samples in a tile.
TILE_BYTES = 120_000
TILE_LEAST, TILE_MOST = 128, 512
#: From this number of components a layer's weights are read from afar, for as many samples as possible.
WIDE_LAYER = 256
#: Bytes of a register block of samples, with as many components as a chunk of a product has.
CHUNK_BYTES = 32_768
#: A product over so many components is never done in chunks: a register block has 128 bytes at most.
UNDIVIDED = CHUNK_BYTES // 128
#: BLAS is worth its call for a matrix with so many weights, both sides at least so long.
BLAS_WEIGHTS, BLAS_SIDE = 2048, 24
#: Samples times parameters from which threads are worth waking.
WORTH_SHARING = 30_000
#: Sums over samples stay in vectors between tiles if that takes no more bytes.
LANES_BYTES = 65_536


@dataclass(frozen=True)
class Group:
    """Steps that run in the same loops: a Linear with what follows it, or steps row by row."""

    steps: tuple[Step, ...]

    @property
    def first(self) -> Step:
        """The step that decides how the group runs."""
        return self.steps[0]


@dataclass(frozen=True)
class Shape:
    """Numbers of samples: of the batch, a vector, a tile; ``size`` is that of a number in bytes.

    If lanes go ``across`` components, a vector belongs to one sample.
    """

    samples: int
    lanes: int
    vectors: int
    tile: int
    stride: int
    size: int
    across: bool = False

    @property
    def step(self) -> int:
        """Samples in a register block."""
        return 1 if self.across else self.lanes * self.vectors

    @property
    def in_registers(self) -> bool:
        """Whether the batch is one register block."""
        return self.samples <= self.step and self.tile == self.step

    @property
    def tiles(self) -> int:
        """The number of tiles of the batch."""
        return -(-self.samples // self.tile)


def shape(
    samples: int, dtype: str, bytes_each: int, large: bool, threads: int, vector: int
) -> Shape:
    """Lanes and tiles for a batch, given the bytes that one sample occupies in all buffers.

    If the layers are ``large``, it is their weights that are worth reading seldom.
    """
    size = 8 if dtype == "float64" else 4
    lanes = vector // size
    while lanes > 1 and lanes // 2 >= samples:
        lanes //= 2
    vectors = 2 if -(-samples // lanes) % 2 == 0 or samples > 8 * lanes else 1
    step = lanes * vectors
    wanted = TILE_MOST if large else min(TILE_MOST, max(TILE_LEAST, TILE_BYTES // bytes_each))
    tiles = 1 if samples <= 1.5 * wanted else -(-samples // wanted)
    tile = -(-samples // (-(-tiles // threads) * threads))
    tile = -(-tile // step) * step
    padding = (
        64 // size if tile * size % 256 == 0 else 0
    )  # rows a power of two apart share cache sets
    return Shape(samples, lanes, vectors, tile, tile + padding, size)


@dataclass
class Plan:
    """Groups and buffers of one routine.

    Attributes
    ----------
    groups : list of Group
    places : dict
        The first component of every stored array in the workspace, which has ``components`` in all.
    """

    kernels: Kernels
    problem: Problem
    samples: int
    may_use_blas: bool = False
    groups: list[Group] = field(default_factory=list)
    places: dict[Key, int] = field(default_factory=dict)
    components: int = 0

    def __post_init__(self) -> None:
        steps = [one for step in self.kernels.tile for one in self._without_start(step)]
        self.groups = list(self._grouped(steps))
        self._allocate()

    def on_blas(self, step: Step) -> bool:
        """Whether a step is a product that is given to BLAS."""
        if isinstance(step, Outer):
            pairs = [(step.left, step.right)]
        elif isinstance(step, Linear):
            pairs = [(step.target, term.state) for term in step.terms]
        else:
            return False
        sizes = [tuple(map(self.kernels.width, pair)) for pair in pairs]
        large = all(a * b >= BLAS_WEIGHTS and min(a, b) >= BLAS_SIDE for a, b in sizes)
        return self.may_use_blas and large and self.samples >= 8

    @property
    def blas(self) -> bool:
        """Whether a product is given to BLAS."""
        return any(self.on_blas(step) for group in self.groups for step in group.steps)

    def _without_start(self, step: Step) -> Iterator[Step]:
        """A product on BLAS, and then its bias."""
        if not isinstance(step, Linear) or step.start is None or not self.on_blas(step):
            yield step
            return
        bare = replace(step.target, name=f"{step.target.name}_bare")
        self.kernels.widths[key(bare)] = self.kernels.width(step.target)
        yield replace(step, target=bare, start=None)
        yield Pointwise(step.target, step.note, t.total([bare, step.start], BATCH))

    def _grouped(self, steps: list[Step]) -> Iterator[Group]:
        waiting: list[Step] = []
        for step in steps:
            if waiting and not self._joins(waiting, step):
                yield Group(tuple(waiting))
                waiting = []
            waiting.append(step)
        if waiting:
            yield Group(tuple(waiting))

    def _joins(self, group: list[Step], step: Step) -> bool:
        if isinstance(step, Linear | Outer) or isinstance(group[0], Outer):
            return False
        if isinstance(step, Sum) and step.target.axes:
            return False
        if isinstance(group[0], Sum) and group[0].target.axes:
            return False
        if isinstance(group[0], Linear):
            if self.on_blas(group[0]) or not isinstance(step, Pointwise):
                return False
            return step.target.axes == BATCH and self._same(group, step)
        return self._same(group, step)

    def _same(self, group: list[Step], step: Step) -> bool:
        widths = {self.wide(one) for one in (*group, step)} - {0}
        return len(widths) <= 1

    def wide(self, step: Step) -> int:
        """The number of components that a step loops over; 0 if it has none."""
        arrays = (
            [step.target, *step.reads] if isinstance(step, Pointwise | Rowwise) else [*step.reads]
        )
        if isinstance(step, Linear):
            arrays = [step.target]
        return max((self.kernels.width(a) for a in arrays if a.axes == BATCH), default=0)

    # -- buffers -------------------------------------------------------------------------------

    @cached_property
    def last(self) -> dict[Key, int]:
        """The last group that reads an array over samples."""
        positions = enumerate(self.groups)
        return {key(a): at for at, group in positions for step in group.steps for a in step.reads}

    def stored(self, position: int) -> list[Ref]:
        """Arrays that the group at a position has to leave in the workspace."""
        steps = self.groups[position].steps
        again = phases_apart(steps)
        over = (s.target for s in steps if isinstance(s, Linear | Pointwise | Rowwise))
        return [a for a in over if self.last.get(key(a), -1) > position or key(a) in again]

    def _allocate(self) -> None:
        """First fit: an array takes the place of one that is dead."""
        free: list[tuple[int, int]] = []
        for position, group in enumerate(self.groups):
            stored = {key(a) for a in self.stored(position)}
            for loop, ended in last_reads(group.steps):
                holes = {
                    name: (self.places[name], self.kernels.widths[name])
                    for name, end in self.last.items()
                    if end == position and name in ended and name in self.places
                }
                here = {name for name in holes if self._in_place(group, name)}
                free += [hole for name, hole in holes.items() if name in here]
                for step in loop:
                    if key(step.target) in stored:
                        self.places[key(step.target)] = self._hole(step.target, free)
                free += [hole for name, hole in holes.items() if name not in here]

    def _in_place(self, group: Group, array: Key) -> bool:
        """Whether a loop reads every number of an array before it writes one in its place."""
        step = group.first
        if not isinstance(step, Linear):
            return True
        operands = [term.state for term in step.terms]
        whole = max(map(self.kernels.width, operands)) <= UNDIVIDED  # no sum waits there
        return whole and array not in map(key, operands)

    def _hole(self, array: Ref, free: list[tuple[int, int]]) -> int:
        """The smallest free place that is wide enough, or a new one."""
        width = self.kernels.width(array)
        fits = [hole for hole in free if hole[1] >= width]
        if not fits:
            self.components += width
            return self.components - width
        start, most = min(fits, key=lambda hole: hole[1])
        free.remove((start, most))
        if most > width:
            free.append((start + width, most - width))
        return start


def phases_apart(steps: tuple[Step, ...]) -> set[Key]:
    """Arrays over components that a later loop of the same group reads again."""
    found: set[Key] = set()
    phase: dict[Key, int] = {}
    for number, loop in enumerate(loops(steps)):
        for step in loop:
            found |= {
                key(a) for a in step.reads if a.axes == BATCH and phase.get(key(a), number) < number
            }
            phase[key(step.target)] = number
    return found


def last_reads(steps: tuple[Step, ...]) -> Iterator[tuple[list[Step], set[Key]]]:
    """The loops of a group, each with the arrays that it reads and no later one does."""
    found = loops(steps)
    reads = [{key(a) for step in loop for a in step.reads} for loop in found]
    for number, loop in enumerate(found):
        yield loop, reads[number].difference(*reads[number + 1 :])


def loops(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Steps of a row in loops over components: a loop ends where a sum over them is needed."""
    found: list[list[Step]] = [[]]
    pending: set[Key] = set()
    for step in steps:
        if any(key(a) in pending for a in step.reads):
            found.append([])
            pending = set()
        found[-1].append(step)
        if isinstance(step, Rowwise):
            pending.add(key(step.target))
    return found
