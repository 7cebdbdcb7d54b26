"""J and its full gradient: generated code against its peers."""

from __future__ import annotations

import numpy as np

from benchmarks import generated
from benchmarks.floor import Products, gemms
from benchmarks.peers import GRADIENTS
from benchmarks.suite import Suite
from benchmarks.timing import Contender
from benchmarks.workloads import Case, packed


def contender(case: Case, target: str) -> Contender:
    """J and its gradient, written into memory that is there."""
    flat = packed(case.theta)
    into, g = generated.objective(case, target, order=1).into, np.empty_like(flat)
    return Contender(into, (flat, g), lambda value: (np.array(value), g))


def floor(case: Case) -> Contender:
    """Z and ∂J/∂W of each layer; ∂J/∂X of all but the first."""
    return gemms(case, first=Products(1, 1, 0), others=Products(1, 1, 1))


SUITE = Suite("gradient", contender, 1, GRADIENTS, floor)
