"""The floor under a measurement: its matrix products and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.timing import Contender
from benchmarks.workloads import Array, Case


class Products(NamedTuple):
    """How many products of a layer are shaped like X Wᵀ, like Δᵀ X and like Δ W."""

    forward: int
    outer: int
    backward: int


def gemms(case: Case, first: Products, others: Products) -> Contender:
    """The products of all layers, each into memory that is there; the first layer needs fewer.

    They go through ``np.matmul(..., out=)``, that is NumPy's BLAS. Others can be below: on tiny
    matrices half a microsecond for each call is all that this floor measures, on small ones BLAS
    packs what a kernel for one shape need not, and on large ones another BLAS can be faster: see
    the architecture that it chose, in the environment of the figures.
    """
    products: list[tuple[Array, Array, Array]] = []
    X = case.X
    for k, (W, _) in enumerate(case.theta):
        delta, gradient, into = np.ones((len(X), len(W)), X.dtype), np.empty_like(W), X.copy()
        counts = others if k else first
        products += [(X, W.T, np.empty_like(delta))] * counts.forward
        products += [(delta.T, X, gradient)] * counts.outer
        products += [(delta, W, into)] * counts.backward
        X = delta

    def call() -> None:
        for left, right, out in products:
            np.matmul(left, right, out=out)

    return Contender(call, (), lambda _: ())
