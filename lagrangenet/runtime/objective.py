"""J of one data set as a function of a flat vector of parameters, by whichever target is chosen.

The data are checked and laid out once; after that a call costs what the generated code costs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.runtime.arrays import Array
from lagrangenet.runtime.loaded import first_order, no_gradient


class Engine(Protocol):
    """Generated code with its data: each call writes into ``out`` and allocates no result."""

    names: frozenset[str]

    def value(self, theta: Array) -> float:
        """J."""

    def value_and_grad(self, theta: Array, out: Array) -> float:
        """J; its gradient goes into ``out``."""

    def product(self, name: str, theta: Array, direction: Array, out: Array) -> None:
        """The product called ``name`` goes into ``out``."""


class ModuleEngine:
    """The routines of a Python module, by the contract of :mod:`lagrangenet.emit.targets`.

    The data are copied. Threads may call at once: each has a workspace of its own, if there is one.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], X: Array, Y: Array) -> None:
        self.functions = functions
        self.names = frozenset(functions)
        self.native = functions.get("native", _same)
        self.plain = functions.get("plain", _same)
        self.data = tuple(self.native(np.array(array, order="C")) for array in (X, Y))
        self._workspace: _Workspace | None = None
        if "workspace" in functions:
            self._workspace = _Workspace(partial(functions["workspace"], len(X), X.dtype))

    def value(self, theta: Array) -> float:
        """J."""
        more = () if self._workspace is None else (self._workspace.arrays, None)
        return float(self.functions["value"](self.native(theta), *self.data, *more))

    def value_and_grad(self, theta: Array, out: Array) -> float:
        """J; its gradient goes into ``out``."""
        function: Callable[..., Any] = self.functions.get("value_and_grad", no_gradient)
        if self._workspace is not None:
            return float(function(theta, *self.data, self._workspace.arrays, out))
        value, gradient = function(self.native(theta), *self.data)
        out[...] = self.plain(gradient)
        return float(value)

    def product(self, name: str, theta: Array, direction: Array, out: Array) -> None:
        """The product called ``name`` goes into ``out``."""
        function = self.functions[name]
        if self._workspace is not None:
            function(theta, *self.data, direction, self._workspace.arrays, out)
        else:
            found = function(self.native(theta), *self.data, self.native(direction))
            out[...] = self.plain(found)


class _Workspace(threading.local):
    """The arrays of the thread that asks."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.arrays = make()


def _same(array: Array) -> Array:
    return array


class Objective:
    """J, its gradient and Hessian products at flat parameters, for fixed data.

    Made by :meth:`lagrangenet.Routines.objective`. Calls are checked for type and length alone, so
    that a call of a small network costs little more than its arithmetic; a NaN in ``theta`` gives NaN.

    Attributes
    ----------
    size : int
        The number of parameters.
    dtype : str
    target : str
        What computes.
    """

    def __init__(self, engine: Engine, size: int, dtype: str, target: str) -> None:
        self.size, self.dtype, self.target = size, dtype, target
        self._engine = engine
        # A compiled engine checks its arguments itself, at once.
        self.into: Callable[[Array, Array], float] = getattr(engine, "into", self._into)

    def __call__(self, theta: Any) -> tuple[float, Array]:
        """J and its gradient, for ``scipy.optimize.minimize(objective, x0, jac=True)``."""
        out = np.empty(self.size, self.dtype)
        return self.into(self._vector(theta, "theta"), out), out

    def value(self, theta: Any) -> float:
        """J alone, from one forward pass."""
        return self._engine.value(self._vector(theta, "theta"))

    def _into(self, theta: Array, out: Array) -> float:
        """J; its gradient is written into ``out``. Nothing is converted."""
        theta = self._plain(theta, "theta")
        return self._engine.value_and_grad(theta, self._written(out, theta=theta))

    def hessp(self, theta: Any, p: Any, out: Array | None = None) -> Array:
        """∇²J p, for ``scipy.optimize.minimize(..., hessp=objective.hessp)``.

        It is written into ``out``, if that is given; then nothing is converted, as in ``into``.
        """
        return self._product("hessian_product", theta, p, out)

    def gauss_newtonp(self, theta: Any, p: Any, out: Array | None = None) -> Array:
        """The Gauss-Newton matrix times p."""
        return self._product("gauss_newton_product", theta, p, out)

    def _product(self, name: str, theta: Any, p: Any, out: Array | None) -> Array:
        if name not in self._engine.names:
            raise first_order(name)
        if out is None:
            found = np.empty(self.size, self.dtype)
            self._engine.product(name, self._vector(theta, "theta"), self._vector(p, "p"), found)
            return found
        if not hasattr(self._engine, "into"):
            theta, p = self._plain(theta, "theta"), self._plain(p, "p")
            self._written(out, theta=theta, p=p)
        self._engine.product(name, theta, p, out)
        return out

    def _vector(self, value: Any, name: str) -> Array:
        array = np.ascontiguousarray(value)
        if array.dtype != self.dtype and np.can_cast(array.dtype, self.dtype):
            array = array.astype(self.dtype)
        return self._plain(array, name)

    def _written(self, out: Any, **read: Array) -> Array:
        """A vector that may be written while others are still read."""
        array = self._plain(out, "out")
        if not array.flags.writeable:
            raise DataError(
                f"out has to be a contiguous writable vector of {self.size} {self.dtype}; "
                "this one is read-only"
            )
        for name, other in read.items():
            if np.may_share_memory(array, other):
                raise DataError(f"out shares memory with {name}")
        return array

    def _plain(self, array: Any, name: str) -> Array:
        fits = isinstance(array, np.ndarray) and array.dtype == self.dtype
        if not fits or array.shape != (self.size,) or not array.flags.c_contiguous:
            found = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
            raise DataError(
                f"{name} is {found}, expected a contiguous vector of {self.size} {self.dtype}"
            )
        return array  # type: ignore[no-any-return]
