"""The networks that are measured, with their parameters and data.

Half the squared error, or cross-entropy of a softmax, both divided by the number of samples M.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Theta = tuple[tuple[Array, Array], ...]

DTYPES = ("float64", "float32")
# Of the hidden layers, before an identity; "softmax" is tanh before a softmax.
ACTIVATIONS = ("tanh", "sigmoid", "relu", "softmax")


class Workload(NamedTuple):
    """A chain of dense layers and a number of samples."""

    name: str
    widths: tuple[int, ...]
    samples: int

    @property
    def work(self) -> int:
        """Weights times samples: multiplications of a forward pass."""
        pairs = pairwise(self.widths)
        return self.samples * sum(before * after for before, after in pairs)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tiny", (2, 2, 1), 4),
        Workload("small-1", (5, 5, 5, 5, 5), 1),
        Workload("small-32", (5, 5, 5, 5, 5), 32),
        Workload("notes", (8, 5, 5, 5, 1), 15000),
        Workload("medium", (64, 64, 64, 10), 128),
        Workload("deep", (32,) * 51, 64),
        Workload("large", (784, 512, 512, 10), 256),
        Workload("wide", (1024, 2048, 1024), 512),
    )
}


class Case(NamedTuple):
    """A workload with everything that decides its numbers, and the threads that compute them."""

    workload: Workload
    dtype: str
    activation: str
    threads: int
    theta: Theta
    X: Array
    Y: Array
    direction: Theta

    @property
    def hidden(self) -> str:
        """σ of the hidden layers."""
        return "tanh" if self.activation == "softmax" else self.activation

    @property
    def classifies(self) -> bool:
        """Whether the loss is the cross-entropy of a softmax."""
        return self.activation == "softmax"

    @property
    def title(self) -> str:
        """What is measured, in one line."""
        number = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.workload.name} {self.dtype} {self.activation}, {number}"


def case(workload: Workload, dtype: str, activation: str, threads: int = 1) -> Case:
    """Seeded parameters and data; biases are not zero, so that a forgotten one shows."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(dtype)

    def layers() -> Theta:
        pairs = pairwise(workload.widths)
        return tuple((normal(m, n) * n**-0.5, normal(m) * 0.1) for n, m in pairs)

    X = normal(workload.samples, workload.widths[0])
    Y = normal(workload.samples, workload.widths[-1])
    if activation == "softmax":
        largest = Y.max(axis=1, keepdims=True)
        Y = np.equal(Y, largest).astype(dtype)
    return Case(workload, dtype, activation, threads, layers(), X, Y, layers())


def packed(theta: Theta) -> Array:
    """(W^1, b^1, ..., W^N, b^N), row-wise, as one vector."""
    return np.concatenate([np.ravel(array) for layer in theta for array in layer])


def unpacked(flat: Array, widths: tuple[int, ...]) -> list[tuple[Array, Array]]:
    """The inverse of :func:`packed`, as views; for any array type that slices and reshapes."""
    theta, start = [], 0
    for before, after in pairwise(widths):
        end = start + before * after
        theta.append((flat[start:end].reshape(after, before), flat[end : end + after]))
        start = end + after
    return theta
