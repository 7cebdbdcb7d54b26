"""The catalogue of peers.

Data and parameters are in a peer's own arrays before it is timed, in the form that suits it best, and
its results stay there. A peer whose package is not installed is named and left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import Contender, Result
from benchmarks.workloads import Case

Build = Callable[[Case], Contender]


class Peer(NamedTuple):
    """``build`` makes the contender of a case; slow ones are measured on demand."""

    package: str
    build: Build
    slow: bool = False


class Peers(dict[str, Peer]):
    """Peers by name."""

    def add(self, name: str, package: str, slow: bool = False) -> Callable[[Build], Build]:
        """A decorator, and the only registration that a peer needs."""

        def register(build: Build) -> Build:
            self[name] = Peer(package, build, slow)
            return build

        return register


GRADIENTS = Peers()  # J and ∂J/∂θ
HESSIANS = Peers()  # ∇²J p


def value_and_gradient(value: Any, gradients: Any) -> Result:
    """J and (∂J/∂W^1, ∂J/∂b^1, ...) as two arrays."""
    return np.array(float(value)), np.concatenate([np.ravel(g) for g in gradients])
