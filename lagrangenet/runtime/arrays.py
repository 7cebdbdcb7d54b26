"""Arrays that come from a user: converted exactly, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lagrangenet.errors import DataError

Array = npt.NDArray[Any]
Theta = tuple[tuple[Array, Array], ...]
Layers = tuple[tuple[Array, ...], ...]


def packed(theta: Theta) -> Array:
    """(W^1, b^1, ..., W^N, b^N) as one vector."""
    return np.concatenate([array.ravel() for layer in theta for array in layer])


def floating(value: Any, name: str, dtype: str) -> Array:
    """An array of the given type, if that conversion loses nothing."""
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array; fill or remove the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name} is not a rectangular array: {error}") from None
    if array.dtype.kind in "biu":
        return _exact(array, name, dtype)
    if array.dtype.kind != "f":
        raise DataError(f"{name} has type {array.dtype}, expected real numbers")
    if array.dtype.itemsize > np.dtype(dtype).itemsize:
        raise DataError(
            f"{name} is {array.dtype}, the routines are {dtype}: converting would lose digits; "
            f"convert it yourself with .astype(np.{dtype}), or generate(..., dtype={str(array.dtype)!r})"
        )
    return array.astype(dtype, copy=False)


def _exact(integers: Array, name: str, dtype: str) -> Array:
    """Integers as floating numbers, if all of them are floating numbers."""
    array = integers.astype(dtype)
    largest = 2 ** (np.finfo(dtype).nmant + 1)
    outside = (integers > largest) | (integers < -largest) if integers.dtype.kind != "b" else []
    for at in np.argwhere(outside):
        where = tuple(int(j) for j in at)
        if int(array[where]) != int(integers[where]):
            raise DataError(f"{name} holds {integers[where]} at index {where}, which is no {dtype}")
    return array


def generator(seed: Any) -> np.random.Generator:
    """A random generator from a seed, or the generator that was given."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise DataError(
            f"the seed is {seed!r}; it has to be a whole number, not negative, or a NumPy Generator"
        ) from None


def step_size(eta: Any) -> float:
    """A step size as a number."""
    try:
        value = float(eta)
    except (TypeError, ValueError):
        value = float("nan")
    if isinstance(eta, (bool, str)) or not np.isfinite(value):
        raise DataError(f"the step size eta is {eta!r}; it has to be a finite number")
    return value


def sequence(value: Any, name: str, length: int, what: str) -> Sequence[Any]:
    """A tuple or list of the right length."""
    if not isinstance(value, (tuple, list)):
        raise DataError(f"{name} is a {type(value).__name__}, expected a tuple of {what}")
    if len(value) != length:
        raise DataError(f"{name} has {len(value)} entries, expected {length}: {what}")
    return value
