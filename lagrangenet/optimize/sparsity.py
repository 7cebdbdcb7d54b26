"""Where the second derivatives of the Lagrangian can be other than zero, for solvers that ask once.

The products at random points tell it: an entry that depends on the point is zero at all of them only
by chance, unless a unit with a flat piece, as a relu, is inactive. So what is found for one sample
holds for all: every sample goes through the same equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lagrangenet.optimize.shapes import Shapes
from lagrangenet.runtime import Array

#: Random points.
DRAWS = 4


class Pattern:
    """Places of a sparse matrix, column by column, and values in that order.

    Attributes
    ----------
    shape : tuple of int
    columns, rows : ndarray
        Of every place; ``starts`` says where each column begins.
    """

    def __init__(self, matrix: Any) -> None:
        found = matrix.tocsc()
        found.sort_indices()
        self.shape: tuple[int, int] = found.shape
        self.starts, self.rows = found.indptr, found.indices
        self.columns = np.repeat(np.arange(self.shape[1]), np.diff(self.starts))
        self._keys = self.columns.astype(np.int64) * self.shape[0] + self.rows

    def values(self, matrix: Any) -> Array:
        """The entries of a matrix at the places.

        Raises
        ------
        ArithmeticError
            If there is one elsewhere.
        """
        found = matrix.tocoo()
        keys = found.col.astype(np.int64) * self.shape[0] + found.row
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if not np.array_equal(self._keys[places], keys):
            raise ArithmeticError("a second derivative is not zero where it was at random points")
        values = np.zeros(len(self._keys))
        values[places] = found.data
        return values


def patterns(
    shapes: Shapes, size: int, kkt: Callable[[Array, Array], Any], near: Array
) -> tuple[Any, Any]:
    """The places of ∂²L/∂v² and of ∂c/∂v, as sparse matrices of ones.

    Parameters
    ----------
    shapes : Shapes
        Of the states.
    size : int
        P.
    kkt : callable
        ``kkt(v, λ)``.
    near : ndarray
        V, around which the random points are.
    """
    rng = np.random.default_rng(0)
    hessian, jacobian = 0, 0
    for _ in range(DRAWS):
        v = near + rng.normal(size=near.shape)
        v[: shapes.conditions] = rng.uniform(0.1, 0.9, shapes.conditions)
        found = kkt(v, rng.normal(size=shapes.conditions))
        hessian, jacobian = hessian + abs(found.hessian), jacobian + abs(found.jacobian)
    component, sample = _components(shapes)
    here = np.concatenate([component, component.max(initial=-1) + 1 + np.arange(size)])
    own = np.concatenate([sample, np.full(size, -1)])
    return (
        _for_every_sample(hessian, (here, own), (here, own)),
        _for_every_sample(jacobian, (component, sample), (here, own)),
    )


def _components(shapes: Shapes) -> tuple[Array, Array]:
    """Of every state in v: which component it is, and of which sample."""
    component, start = [], 0
    arrays = shapes.arrays(np.arange(shapes.conditions))
    for array in arrays.values() if isinstance(arrays, dict) else arrays:
        width = array[0].size
        component.append(np.tile(start + np.arange(width), len(array)))
        start += width
    return np.concatenate(component), np.asarray(shapes.layout.sample)


def _for_every_sample(
    matrix: Any, by_row: tuple[Array, Array], by_column: tuple[Array, Array]
) -> Any:
    """What one sample has, for all: its own rows and columns, and those of no sample."""
    from scipy import sparse

    (row, row_sample), (column, column_sample) = by_row, by_column
    found = matrix.tocoo()
    pairs = np.unique(np.stack([row[found.row], column[found.col]]), axis=1)
    rows, columns = [], []
    of_row, of_column = _places(row), _places(column)
    for r, c in pairs.T:
        i, j = np.meshgrid(of_row[r], of_column[c], indexing="ij")
        a, b = row_sample[i], column_sample[j]
        keep = (a == b) | (a < 0) | (b < 0)
        rows.append(i[keep])
        columns.append(j[keep])
    places = np.concatenate(rows), np.concatenate(columns)
    return sparse.coo_array((np.ones(len(places[0])), places), shape=matrix.shape)


def _places(component: Array) -> list[Array]:
    """Where each component stands."""
    order = np.argsort(component, kind="stable")
    return np.split(order, np.cumsum(np.bincount(component))[:-1])
