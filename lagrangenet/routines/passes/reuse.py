"""Memory for the arrays of a routine: an array that is not needed any more gives its memory to another.

The lines are read from the last to the first. An array that a line reads for the last time may lie
where the line's result lies, if the line writes an entry only after it has read it; everything else
takes what is free, or new memory. Values do not change: two arrays share memory only if one is dead
before the other is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import sympy as sp

from lagrangenet.routines.ir import Assign, Routine
from lagrangenet.routines.passes.atomic import CONDITION, RELATIONS, REPEAT, TEMPORARY
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.routines.shapes import Shape, Shapes
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Ref


@dataclass(frozen=True)
class Memory:
    """A piece of memory: the ``index``-th of its kind and shape, or that of a result."""

    kind: str
    shape: Shape
    index: int
    result: Key | None = None


def reuse(routine: Routine, shapes: Shapes) -> dict[Key, Memory]:
    """The memory of every array that an atomic routine assigns.

    Examples
    --------
    One piece of memory holds the product W^1 x^0 (t1), then z^1, then x^1 = tanh(z^1). b^1 has to be
    repeated beside it (t2):

    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.atomic import atomic
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> problem = chain([2, 3, 1])
    >>> routine = atomic(link(lower(derive(problem))).routine("value"))
    >>> for (name, layer), memory in reuse(routine, Shapes(problem)).items():
    ...     print(f"{name}{layer}", memory.shape, memory.index)
    t6 (M, 1) 0
    t5 (M, 1) 0
    Z2 (M, 1) 0
    t3 (M, 1) 0
    t4 (M, 1) 1
    X1 (M, 3) 0
    Z1 (M, 3) 0
    t1 (M, 3) 0
    t2 (M, 3) 1
    """
    return _Reuse(routine, shapes).found


class _Reuse:
    def __init__(self, routine: Routine, shapes: Shapes) -> None:
        self.routine, self.shapes = routine, shapes
        self.free: dict[tuple[str, Shape], list[Memory]] = {}
        self.counters: dict[tuple[str, Shape], Iterator[int]] = {}
        self.found: dict[Key, Memory] = {}
        self.owner: dict[Key, Ref] = {}
        self.assigned = {key(line.target): line.target for line in routine.body}
        for line in routine.body:  # shapes of what is read are known before what is made of it
            if isinstance(line.value, Ref) and not self._result(line.target):
                self.owner[key(line.target)] = self._own(line.value)
            if line.target.name in {TEMPORARY, CONDITION}:
                self.shapes.declare(line.target, self.shapes.of(line.value))
        for line in reversed(routine.body):
            self._place(line)

    def _result(self, array: Ref) -> bool:
        return array.name in self.routine.returns

    def _own(self, array: Ref) -> Ref:
        """The array that this one is another name of, or itself."""
        return self.owner.get(key(array), array)

    def _place(self, line: Assign) -> None:
        """Give memory to what a line reads for the last time; that of its result is free before it."""
        target = self._memory(line.target) if self._has_memory(line.target) else None
        reads = {key(own): own for own in map(self._own, operands(line)) if self._has_memory(own)}
        dying = [own for name, own in reads.items() if name not in self.found]
        heir = next((own for own in dying if self._inherits(line, own, target)), None)
        if heir is not None and target is not None:
            self.found[key(heir)] = target
        for own in dying:
            if own is not heir:
                self._memory(own)
        if target is not None and heir is None:
            self.free.setdefault((target.kind, target.shape), []).append(target)

    def _has_memory(self, array: Ref) -> bool:
        """Whether an array is made here: no argument, no number, no other name of one that is."""
        name = key(array)
        return bool(array.axes) and name in self.assigned and name not in self.owner

    def _inherits(self, line: Assign, own: Ref, target: Memory | None) -> bool:
        if target is None or self._result(own) or self._kind(own) != (target.kind, target.shape):
            return False
        return in_place(line, lambda array: key(self._own(array)) == key(own))

    def _kind(self, array: Ref) -> tuple[str, Shape]:
        kind = "bool" if array.name == CONDITION else "real"
        shape = self.shapes.of(array)
        return kind, shape if array.axes != (l.i,) else (*shape, sp.S.One)  # a column

    def _memory(self, array: Ref) -> Memory:
        """The memory of an array, found now if it has none yet."""
        name = key(array)
        if name not in self.found:
            kind = self._kind(array)
            if self._result(array):
                self.found[name] = Memory(*kind, 0, name)
            elif self.free.get(kind):
                self.found[name] = self.free[kind].pop()
            else:
                self.found[name] = Memory(*kind, next(self.counters.setdefault(kind, count())))
        return self.found[name]


def operands(line: Assign) -> tuple[Ref, ...]:
    """The arrays that an atomic line reads."""
    return tuple(node for node in line.value.walk() if isinstance(node, Ref))


def in_place(line: Assign, here: Callable[[Ref], bool]) -> bool:
    """Whether a line may write where the operands lie that are ``here``, all of the same shape.

    A case distinction first writes what holds otherwise, then what holds where the condition does.
    """
    value = line.value
    if isinstance(value, t.Call) and value.fn.name == "where":
        return not any(isinstance(node, Ref) and here(node) for node in value.args[:2])
    if isinstance(value, t.Call):
        return value.fn.name not in RELATIONS | {REPEAT.name}
    return isinstance(value, t.Product | t.Total | t.Power)
