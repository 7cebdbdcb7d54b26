"""What all routines share: an emitted module that is loaded, its type, and the order it was made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from lagrangenet.errors import DataError, DerivationError
from lagrangenet.runtime.checks import LABEL_TOLERANCE


class Loaded:
    """A base of routines; ``_functions`` are those of the module, by name."""

    dtype: str
    _functions: dict[str, Callable[..., Any]]

    def _set(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Take the functions of a frozen object, whose type has to be known."""
        if self.dtype not in LABEL_TOLERANCE:
            raise DataError(f"unknown dtype {self.dtype!r}; known: float64, float32")
        object.__setattr__(self, "_functions", dict(functions))

    @property
    def order(self) -> int:
        """2 if the module has the routines of the second order, otherwise 1."""
        return 2 if "hessian_product" in self._functions else 1

    def stage(self, name: str) -> Callable[..., Any]:
        """A function of the module as it is, for callers whose arrays are checked already."""
        return self._second(name)

    def _second(self, name: str) -> Callable[..., Any]:
        """A routine of the second order, or an error that says how to get it."""
        if name not in self._functions:
            raise first_order(name)
        return self._functions[name]


def no_gradient(*_: Any) -> NoReturn:
    """Stands for the gradient of a J that has jumps."""
    raise DerivationError("J of this problem has no gradient; objective.value gives J alone")


def first_order(name: str) -> DerivationError:
    """The error of routines that lack one of the second order."""
    return DerivationError(
        f"these routines are of the first order and have no {name!r}; "
        "generate(derive(problem, order=2)) has"
    )
