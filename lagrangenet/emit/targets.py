"""What code can be generated for: a catalogue of targets. A file in this folder that adds to it is read.

A target prints the *linked* routines of a problem (:mod:`lagrangenet.routines.passes.link`): J, its
gradient and products with its Hessian, from flat parameters and data to numbers. Its module defines

    NAME(theta, X, Y)               → J (``value``), or J and its gradient (``value_and_grad``)
    NAME(theta, X, Y, direction)    → a product with the Hessian, a flat vector

where theta, direction, gradients and products are flat vectors (W^1, b^1, ..., W^N, b^N), row by row.
If arrays are not NumPy's, ``native(array)`` and ``plain(array)`` convert them. If the module defines
``workspace(M, dtype)``, every routine takes such a workspace and an array for its result as two more
arguments, and allocates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from lagrangenet.errors import DerivationError, MissingExtra


@dataclass(frozen=True)
class Cost:
    """What a call of generated code takes, in seconds, float64 on one core.

    Attributes
    ----------
    call : float
        For the call itself.
    line : float
        For each line of the routine.
    row : float
        For each row of an array that is assigned.
    value : float
        For each entry of an array that is assigned.
    exponential : float
        For each value of exp, log or a root.
    function : float
        For each value of another function: tanh, erf, sin.
    flop : float
        For each operation of a product.
    """

    call: float = 0.0
    line: float = 1.2e-6
    row: float = 5e-9
    value: float = 4.4e-10
    exponential: float = 1.7e-9
    function: float = 0.0
    flop: float = 1.15e-11


@dataclass(frozen=True)
class Target:
    """A kind of code.

    Attributes
    ----------
    name, summary : str
    emit : callable
        From a linked program to source text; of C also with the type, the number of samples and
        of threads, for which compiled code is made.
    language : {"python", "c"}
        How the source is loaded.
    package, extra : str
        What the source imports besides numpy and scipy, and the extra that installs it.
    cost : Cost
        For ``target="auto"``; by default that of NumPy.
    """

    name: str
    summary: str
    emit: Callable[..., str]
    language: Literal["python", "c"] = "python"
    package: str = ""
    extra: str = ""
    cost: Cost = Cost()

    def missing(self) -> str:
        """The package that this target needs and that is not installed; empty if nothing is."""
        return self.package if self.package and find_spec(self.package) is None else ""

    def require(self) -> None:
        """Refuse a target whose package is missing, with the line that installs it."""
        if self.missing():
            raise MissingExtra(self.package, self.extra, f"the target {self.name!r}")


class Targets(Mapping[str, Target]):
    """Targets by name. ``add`` is the only registration a target needs."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}

    def add(self, target: Target) -> Target:
        """Register a target and return it."""
        self._targets[target.name] = target
        return target

    def remove(self, name: str) -> None:
        """Take a target out again, as an experiment or a test does with its own."""
        del self._targets[self[name].name]

    def __getitem__(self, name: str) -> Target:
        try:
            return self._targets[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._targets))
            raise DerivationError(f"unknown target {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


TARGETS = Targets()
