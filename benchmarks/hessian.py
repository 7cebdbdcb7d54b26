"""Products of the Hessian with a direction: generated code against its peers."""

from __future__ import annotations

import numpy as np

from benchmarks import generated
from benchmarks.floor import Products, gemms
from benchmarks.peers import HESSIANS
from benchmarks.suite import Suite
from benchmarks.timing import Contender
from benchmarks.workloads import Case, packed


def contender(case: Case, target: str) -> Contender:
    """∇²J p, written into memory that is there."""
    flat, p = packed(case.theta), packed(case.direction)
    hessp, out = generated.objective(case, target, order=2).hessp, np.empty_like(flat)
    return Contender(hessp, (flat, p, out), lambda _: (out,))


def floor(case: Case) -> Contender:
    """What the chain rule needs: Z = W X, Ż = Ẇ X + W Ẋ; Wᵀ μ, Ẇᵀ μ + Wᵀ μ̇; μ̇ Xᵀ + μ Ẋᵀ.

    The first layer has no Ẋ and passes nothing on.
    """
    return gemms(case, first=Products(2, 1, 0), others=Products(3, 2, 3))


SUITE = Suite("hessian", contender, 2, HESSIANS, floor)
