"""How many eigenvalues of a symmetric operator are positive, negative and zero.

A matrix is decomposed; an operator that is too large for that gives its smallest eigenvalues to the
Lanczos method of ARPACK, and what is counted then is said. Nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lagrangenet.runtime import Array

Product = Callable[[Array], Array]
Kind = Literal["minimum", "maximum", "saddle", "degenerate"]
Inertia = tuple[int, int, int]

#: Eigenvalues that Lanczos is asked for, at the lower end.
FEW = 6
#: Accuracy that Lanczos is asked for, and how many restarts it gets.
ACCURACY, RESTARTS = 1e-9, 3000


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of a symmetric operator of order ``size``.

    Attributes
    ----------
    eigenvalues : ndarray
        Ascending: all of them, or the smallest that were found and the largest.
    size : int
    zero : float
        Eigenvalues of at most this size count as zero.
    lowest : ndarray or None
        The eigenvector of the smallest eigenvalue, of norm 1; None where there is no need of one.
    computed : str
        What the count rests on.
    """

    eigenvalues: Array
    size: int
    zero: float
    lowest: Array | None
    computed: str

    @property
    def negative(self) -> int:
        """Eigenvalues below zero that were found; there may be more unless :attr:`inertia` says not."""
        return int((self.eigenvalues < -self.zero).sum())

    @property
    def inertia(self) -> Inertia | None:
        """(n_+, n_−, n_0); None where the eigenvalues that were found do not say."""
        plus, minus = int((self.eigenvalues > self.zero).sum()), self.negative
        none = len(self.eigenvalues) - plus - minus
        if len(self.eigenvalues) == self.size:
            return plus, minus, none
        *lower, _ = self.eigenvalues
        if lower and lower[-1] > self.zero:  # all others are larger than the smallest few
            return self.size - minus - none, minus, none
        return None

    @property
    def kind(self) -> Kind:
        """What a stationary point with this Hessian is; degenerate if this does not decide."""
        low, high = self.eigenvalues[[0, -1]] if self.size else (1.0, 1.0)
        if low < -self.zero:
            if high > self.zero:
                return "saddle"
            return "maximum" if (self.eigenvalues < -self.zero).all() else "degenerate"
        return "minimum" if low > self.zero else "degenerate"

    def __str__(self) -> str:
        if not self.size:
            return "no direction is left"
        counted = (
            f"inertia {self.inertia}" if self.inertia else f"at least {self.negative} negative"
        )
        low, high = self.eigenvalues[[0, -1]]
        return f"{counted}, eigenvalues from {low:.3g} to {high:.3g}, zero up to {self.zero:.1e}"


def spectrum_of(matrix: Array, tolerance: float = 1e-8) -> Spectrum:
    """All eigenvalues of a symmetric matrix.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        Its symmetric part is taken.
    tolerance : float
        An eigenvalue counts as zero if it is at most this times the largest in size; a few roundings
        of the matrix's type are the least.

    Examples
    --------
    >>> found = spectrum_of(np.diag([2.0, 0.0, -1.0]))
    >>> found.kind, found.inertia
    ('saddle', (1, 1, 1))
    """
    size = len(matrix)
    if not size:
        return Spectrum(np.empty(0), 0, 0.0, None, "nothing: no direction is left")
    symmetric = (matrix + matrix.T) / 2
    eigenvalues = np.linalg.eigvalsh(symmetric)
    zero = _relative(tolerance, matrix) * float(np.abs(eigenvalues).max())
    lowest = None
    if eigenvalues[0] < -zero:
        from scipy.linalg import eigh  # here, because the import is slow

        lowest = eigh(symmetric, subset_by_index=[0, 0])[1][:, 0]
    return Spectrum(eigenvalues, size, zero, lowest, f"all {size} eigenvalues")


def lowest_of(
    product: Product, size: int, dtype: str = "float64", tolerance: float = 1e-8, few: int = FEW
) -> Spectrum:
    """The smallest eigenvalues of an operator, and the largest, by Lanczos.

    Parameters
    ----------
    product : callable
        v → H v for vectors of length ``size``.
    size : int
        At least ``few`` + 2.
    tolerance : float
        As in :func:`spectrum_of`.

    Examples
    --------
    >>> diagonal = np.arange(1.0, 101.0)
    >>> found = lowest_of(lambda v: diagonal * v, 100)
    >>> found.kind, found.inertia, found.computed
    ('minimum', (100, 0, 0), 'the 6 smallest of 100 eigenvalues by Lanczos, and the largest')
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=product, dtype=np.dtype(dtype))
    start = np.random.default_rng(0).standard_normal(size).astype(dtype)  # the same in every call
    (largest,) = eigsh(
        operator, 1, which="LA", v0=start, tol=1e-3, return_eigenvectors=False, maxiter=RESTARTS
    )
    try:
        values, vectors = eigsh(operator, few, which="SA", v0=start, tol=ACCURACY, maxiter=RESTARTS)
    except ArpackNoConvergence as stopped:
        values, vectors = stopped.eigenvalues, stopped.eigenvectors
    if not len(values):  # the Rayleigh quotient of a vector bounds the smallest from above
        values, vectors = np.array([start @ product(start) / (start @ start)]), start[:, None]
    order = np.argsort(values)
    found = np.append(values[order], largest)
    zero = _relative(tolerance, start) * float(np.abs(found).max())
    said = f"the {len(values)} smallest of {size} eigenvalues by Lanczos, and the largest"
    lowest = np.asarray(vectors[:, order[0]])
    return Spectrum(found, size, zero, lowest / np.linalg.norm(lowest), said)


def _relative(tolerance: float, array: Array) -> float:
    return max(tolerance, 64 * float(np.finfo(array.dtype).eps))
