"""What every tree of frozen dataclasses can do: list its children, be walked, be rebuilt.

Array operations (:mod:`.tensor`) are such trees, and so are the formulas that the grader reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

N = TypeVar("N")


class Branching(Generic[N]):
    """A node of a frozen dataclass; its children are fields, alone, in a tuple or there in a pair."""

    @property
    def children(self) -> tuple[N, ...]:
        """The operands."""
        found: list[Any] = []
        for value in vars(self).values():
            if isinstance(value, Branching):
                found.append(value)
            elif isinstance(value, tuple):
                inner = (v[-1] if isinstance(v, tuple) and v else v for v in value)
                found += [v for v in inner if isinstance(v, Branching)]
        return tuple(found)

    def walk(self) -> list[N]:
        """The node and all below it."""
        children = cast("tuple[Branching[N], ...]", self.children)
        return [cast(N, self), *(below for child in children for below in child.walk())]

    def map(self, change: Callable[[N], N]) -> N:
        """Rebuild the tree bottom-up, every node passed through ``change``; not those in pairs."""
        new: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Branching):
                changed: Any = value.map(change)
            elif isinstance(value, tuple) and value and isinstance(value[0], Branching):
                changed = tuple(v.map(change) for v in value)
                if all(a is b for a, b in zip(changed, value, strict=True)):
                    continue
            else:
                continue
            if changed is not value:
                new[name] = changed
        return change(cast(N, replace(cast(Any, self), **new) if new else self))
