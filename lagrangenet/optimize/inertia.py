"""The inertia of a condensed matrix: positive definite by the smallest shift that Cholesky accepts.

The schedule is that of Wächter & Biegler (2006), Algorithm IC, with their constants but one: it
tries a third of the last shift, enlarges it a hundredfold until a first one is known, eightfold
after that. Where a symmetric matrix has its lower half filled, only that half is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lagrangenet.runtime import Array

#: δ_0, δ_min, δ_max, κ⁻, κ⁺ and κ̄⁺ of Wächter & Biegler (2006), table at the end of section 3.
FIRST, SMALLEST, LARGEST = 1e-4, 1e-20, 1e20
LESS, MORE, MUCH_MORE = 1 / 3, 8.0, 100.0


@dataclass
class Shifted:
    """Factors H + δ D, and remembers δ.

    Attributes
    ----------
    last : float
        The last shift that was needed; 0 if none was.
    """

    last: float = 0.0
    _routines: dict[Any, Any] = field(default_factory=dict)

    def factor(self, H: Array, shape: Callable[[], Array] | None = None) -> Factor | None:
        """The Cholesky factor of H + δ D for the smallest δ of the schedule; None if there is none.

        Parameters
        ----------
        H : ndarray
            Its lower half counts.
        shape : callable, optional
            Gives D without the identity, D = 1 + shape(), when a shift is needed; by default D = 1.
        """
        cholesky, solve = self._lapack(H.dtype)
        c, info = cholesky(H.T, lower=0, clean=0)
        if info == 0:  # also where an entry is NaN, which the last pivot then is, too
            return Factor(c, 0.0, solve) if np.isfinite(c[-1, -1]) else None
        if not np.isfinite(H).all():
            return None
        D = None if shape is None else shape()
        for shift in self.shifts():
            A = H.copy() if D is None else np.multiply(D, shift)
            if D is not None:
                A += H
            A.flat[:: len(H) + 1] += shift
            c, info = cholesky(A.T, lower=0, clean=0, overwrite_a=1)
            if info == 0:
                self.last = shift
                return Factor(c, shift, solve)
        return None

    def shifts(self) -> Iterator[float]:
        """The shifts to try where none is not enough."""
        shift, more = self.schedule()
        while shift < LARGEST:
            yield shift
            shift *= more

    def schedule(self) -> tuple[float, float]:
        """The first of the shifts, and what each is multiplied by for the next."""
        if self.last == 0:
            return FIRST, MUCH_MORE
        return max(SMALLEST, self.last * LESS), MORE

    def _lapack(self, dtype: Any) -> Any:
        if dtype not in self._routines:
            from scipy.linalg import get_lapack_funcs

            like = np.empty(0, dtype)
            self._routines[dtype] = get_lapack_funcs(("potrf", "potrs"), (like, like))
        return self._routines[dtype]


@dataclass(frozen=True, eq=False)
class Factor:
    """A factored matrix.

    Attributes
    ----------
    upper : ndarray
    shift : float
        δ; zero if the matrix was positive definite.
    """

    upper: Array
    shift: float
    _solve: Any

    def solve(self, right: Array) -> Array:
        """The solution of (H + δ D) x = right."""
        found: Array = self._solve(self.upper, right, lower=0)[0]
        return found


def lowest(H: Array) -> tuple[float, Array]:
    """The smallest eigenvalue of a matrix whose lower half is filled, and its eigenvector."""
    from scipy.linalg import eigh

    values, vectors = eigh(H, lower=True, subset_by_index=[0, 0], check_finite=False)
    return float(values[0]), vectors[:, 0]
