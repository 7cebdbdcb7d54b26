"""The sign of a multiplier: declared here once, and every other convention converted into it.

    L(x, θ, λ) = J + Σ_k Σ_i ⟨λ_i^k, c_i^k⟩,    c_i^k = x_i^k − σ^k(W^k x_i^{k-1} + b^k)

The sign is plus and the multiplier carries the 1/M of the objective, so that λ^k = −∂J/∂x^k. No
other module flips a sign because a solver or a book has another convention. It converts numbers
only, and refuses nothing but a sample count below one.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangenet.errors import DataError

#: L = J + CONSTRAINT_SIGN · ⟨λ, c⟩.
CONSTRAINT_SIGN = +1

T = TypeVar("T", bound=np.floating)


def from_slsqp(multipliers: ArrayLike) -> NDArray[np.float64]:
    """Multipliers of SciPy's SLSQP, whose Lagrangian is J − ⟨m, c⟩.

    Parameters
    ----------
    multipliers : array_like
        ``OptimizeResult.multipliers`` of the equality constraints c = x − σ(W x + b).

    Returns
    -------
    ndarray
        λ = −m, a new array of the same shape.

    Examples
    --------
    >>> from_slsqp([2.0, -1.0])
    array([-2.,  1.])
    """
    return -np.asarray(multipliers, dtype=np.float64)


def from_trust_constr(v: ArrayLike) -> NDArray[np.float64]:
    """Multipliers of SciPy's trust-constr, whose Lagrangian is J + ⟨v, c⟩: the package's own.

    Parameters
    ----------
    v : array_like
        The entry of ``OptimizeResult.v`` that belongs to the constraint c = 0.

    Returns
    -------
    ndarray
        λ = v, a new array of the same shape.

    Examples
    --------
    >>> from_trust_constr([-2.0, 1.0])
    array([-2.,  1.])
    """
    return np.array(v, dtype=np.float64)


def from_ipopt(lam_g: ArrayLike) -> NDArray[np.float64]:
    """Multipliers of IPOPT (``lam_g`` in CasADi), whose Lagrangian is J + ⟨λ_g, c⟩: the package's.

    Parameters
    ----------
    lam_g : array_like
        Multipliers of the constraints c = 0, of any shape; a column (m, 1) stays a column.

    Returns
    -------
    ndarray
        λ = λ_g, a new array of the same shape.

    Examples
    --------
    >>> from_ipopt([-2.0, 1.0])
    array([-2.,  1.])
    """
    return np.array(lam_g, dtype=np.float64)


def to_delta(lam: NDArray[T], samples: int) -> NDArray[T]:
    """Δ^k = ∂ℓ_i/∂x_i^k = −M λ^k, the per-sample derivative of the lecture notes.

    Parameters
    ----------
    lam : ndarray, shape (M, n_k)
        Multipliers λ^k.
    samples : int
        M ≥ 1.

    Raises
    ------
    DataError
        If ``samples`` is below 1.

    Examples
    --------
    >>> to_delta(np.array([[0.25, -0.5]]), samples=4)
    array([[-1.,  2.]])
    """
    return lam * lam.dtype.type(-_at_least_one(samples))


def from_delta(delta: NDArray[T], samples: int) -> NDArray[T]:
    """λ^k = −Δ^k / M, the inverse of :func:`to_delta`.

    Parameters
    ----------
    delta : ndarray, shape (M, n_k)
        Derivatives ∂ℓ_i/∂x_i^k of the loss of sample i.
    samples : int
        M ≥ 1.

    Raises
    ------
    DataError
        If ``samples`` is below 1.

    Examples
    --------
    >>> from_delta(np.array([[-1.0, 2.0]]), samples=4)
    array([[ 0.25, -0.5 ]])
    """
    return delta / delta.dtype.type(-_at_least_one(samples))


def _at_least_one(samples: int) -> int:
    if samples < 1:
        raise DataError(f"the number of samples is {samples}; it has to be at least 1")
    return samples
