"""Values of a TOML table, checked; an error names the key and what it should have been."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from lagrangenet.errors import ProblemError

#: No family draws networks wider than this.
LARGEST_WIDTH = 512
T = TypeVar("T")


def subtable(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Take a table out of a table."""
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ProblemError(f"{key!r} has to be a table: [{key}]")
    return dict(found)


def typed(table: Mapping[str, Any], key: str, kind: type[T], default: T) -> T:
    """Take a value of a type."""
    found = table.get(key, default)
    if not isinstance(found, kind):
        raise ProblemError(f"{key!r} is {found!r}; expected as in {default!r}")
    return found


def positive(table: Mapping[str, Any], key: str, default: float) -> float:
    """Take a positive number."""
    found = table.get(key, default)
    real = isinstance(found, int | float) and not isinstance(found, bool)
    if not (real and math.isfinite(found) and found > 0):
        raise ProblemError(f"{key!r} is {found!r}; it has to be a positive number")
    return float(found)


def strings(table: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Take a list of names."""
    found = table.get(key, default)
    if isinstance(found, str) or not all(isinstance(item, str) for item in found):
        raise ProblemError(f"{key!r} is {found!r}; expected a list of names")
    return tuple(found)


def whole(key: str, value: object) -> int:
    """Check a size."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_WIDTH:
        raise ProblemError(
            f'network.{key}: {value!r} is neither a whole number (1 to {LARGEST_WIDTH}) nor "any"'
        )
    return value
