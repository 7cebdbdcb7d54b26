"""∇²L as sparse matrices, assembled from products with unit directions.

The generated ``kkt_product`` is exact for any direction, so its values at unit directions are the
columns. All samples of a state component move at once: ∂²L/∂x_i∂x_j and ∂c_i/∂x_j are zero for
i ≠ j. Nothing here knows a derivative. SciPy is imported where it is used: it would take a third
of the package's import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lagrangenet.problem import Problem
from lagrangenet.runtime.arrays import Array, Layers

Product = Callable[[Any, Any, Any], Any]
#: Rows, columns and values of entries.
Entries = list[tuple[Array, Array, Array]]


@dataclass(frozen=True)
class KKT:
    """The second derivatives of the Lagrangian at a point.

    Attributes
    ----------
    hessian : scipy.sparse.csr_array, shape (n, n)
        ∂²L/∂v² in v = (x^1, ..., x^N, W^1, b^1, ..., W^N, b^N): each x^k is (M, n_k) row by row,
        each W^k is (n_k, n_{k-1}) row by row.
    jacobian : scipy.sparse.csr_array, shape (m, n)
        ∂c/∂v; constraints, and so multipliers, are in the order of the states, so m = M Σ n_k.
    """

    hessian: Any
    jacobian: Any

    @property
    def matrix(self) -> Any:
        """The KKT matrix ((∂²L/∂v², (∂c/∂v)ᵀ), (∂c/∂v, 0)), sparse, of order n + m."""
        from scipy import sparse

        A = self.jacobian
        return sparse.block_array([[self.hessian, A.T], [A, None]], format="csr")

    def null_space(self) -> Array:
        """A basis of the null space of ∂c/∂v, (n, P): how v moves with each parameter.

        ∂c/∂x is unit triangular in the order of evaluation (which, with a recurrence, is not that
        of v), so the basis exists at every point and its last P rows are the identity.
        """
        from scipy.sparse.linalg import splu

        m, n = self.jacobian.shape
        by_states, by_theta = self.jacobian[:, :m].tocsc(), self.jacobian[:, m:].toarray()
        moved = splu(by_states).solve(-by_theta)
        return np.vstack([moved, np.eye(n - m, dtype=by_theta.dtype)])

    def reduced_hessian(self) -> Array:
        """Zᵀ (∂²L/∂v²) Z for the basis Z of the null space: at feasible points, ∇²J of θ alone."""
        Z = self.null_space()
        return np.asarray(Z.T @ (self.hessian @ Z))


class Layout(Protocol):
    """Where the states and parameters of a problem stand in v.

    ``conditions`` is m, ``size`` the number of parameters, ``sample`` the sample of each state in v.
    The directions yield places in v and the three arguments of a product, reused from one to the
    next; ``flat`` makes vectors of its result.
    """

    conditions: int
    size: int
    sample: Array

    def state_directions(self, dtype: str) -> Iterator[tuple[Array, tuple[Any, Any, Any]]]:
        """Each state component of all samples, with its places in v by sample."""
        ...

    def parameter_directions(self, dtype: str) -> Iterator[tuple[int, tuple[Any, Any, Any]]]:
        """Each parameter with its place in v."""
        ...

    def flat(self, found: Any) -> tuple[Array, Array, Array]:
        """∂L̇/∂λ, ∂L̇/∂x and ∂L̇/∂θ as vectors."""
        ...


def assemble(layout: Layout, product: Product, dtype: str) -> KKT:
    """∂²L/∂v² and ∂c/∂v from ``product(direction, state tangents, multiplier tangents)``."""
    m, n = layout.conditions, layout.conditions + layout.size
    hessian: Entries = []
    jacobian: Entries = []
    for columns, moved in layout.state_directions(dtype):
        by_lambda, by_x, _ = layout.flat(product(*moved))
        for found, entries in ((by_lambda, jacobian), (by_x, hessian)):
            rows = np.flatnonzero(found)
            entries.append((rows, columns[layout.sample[rows]], found[rows]))
    for column, moved in layout.parameter_directions(dtype):
        by_lambda, by_x, by_theta = layout.flat(product(*moved))
        rows = np.flatnonzero(by_lambda)
        jacobian.append((rows, np.full(rows.size, column), by_lambda[rows]))
        rows = np.flatnonzero(by_x)
        side = np.full(rows.size, column)
        hessian += [(rows, side, by_x[rows]), (side, rows, by_x[rows])]
        rows = np.flatnonzero(by_theta)
        hessian.append((rows + m, np.full(rows.size, column), by_theta[rows]))
    return KKT(_sparse(hessian, (n, n), dtype), _sparse(jacobian, (m, n), dtype))


def _sparse(entries: Entries, shape: tuple[int, int], dtype: str) -> Any:
    from scipy import sparse

    rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    return sparse.coo_array((values.astype(dtype), (rows, columns)), shape=shape).tocsr()


class ChainLayout:
    """v = (x^1, ..., x^N, W^1, b^1, ..., W^N, b^N) of a chain."""

    def __init__(self, problem: Problem, samples: int) -> None:
        self.problem, self.samples = problem, samples
        self.widths = problem.widths[1:]
        self.conditions, self.size = samples * sum(self.widths), problem.size
        #: The sample of each state in v.
        self.sample = np.concatenate([np.repeat(np.arange(samples), n) for n in self.widths])

    def zeros(self, dtype: str) -> tuple[Any, Any, Any]:
        """A direction, state tangents and multiplier tangents that do not move."""
        direction = tuple((np.zeros(W, dtype), np.zeros(b, dtype)) for W, b in self.problem.shapes)
        states, multipliers = (
            tuple((np.zeros((self.samples, n), dtype),) for n in self.widths) for _ in range(2)
        )
        return direction, states, multipliers

    def state_directions(self, dtype: str) -> Iterator[tuple[Array, tuple[Any, Any, Any]]]:
        """Each state component of all samples, with its places in v (by sample)."""
        moved, start = self.zeros(dtype), 0
        for (x,), width in zip(moved[1], self.widths, strict=True):
            for p in range(width):
                x[:, p] = 1
                yield start + p + width * np.arange(self.samples), moved
                x[:, p] = 0
            start += self.samples * width

    def parameter_directions(self, dtype: str) -> Iterator[tuple[int, tuple[Any, Any, Any]]]:
        """Each parameter with its place in v."""
        moved, place = self.zeros(dtype), self.conditions
        for array in (array for pair in moved[0] for array in pair):
            for at in np.ndindex(array.shape):
                array[at] = 1
                yield place, moved
                array[at] = 0
                place += 1

    def flat(self, found: Layers) -> tuple[Array, Array, Array]:
        """∂L̇/∂λ, ∂L̇/∂x and ∂L̇/∂θ as vectors."""
        by_lambda, by_x = (np.concatenate([layer[j].ravel() for layer in found]) for j in (0, 1))
        theta = [array.ravel() for layer in found for array in layer[2:]]
        return by_lambda, by_x, np.concatenate(theta)
