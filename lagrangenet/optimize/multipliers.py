"""Multipliers of bounds and linear constraints on the parameters, and their recovery.

    L = J + ⟨λ, c⟩ + ⟨ν⁺, θ − upper⟩ + ⟨ν⁻, lower − θ⟩ + ⟨η⁺, A θ − high⟩ + ⟨η⁻, low − A θ⟩

with ν⁺, ν⁻, η⁺, η⁻ ≥ 0, of which at most one of a pair is not zero where its two limits differ; so
ν = ν⁺ − ν⁻ and η = η⁺ − η⁻ say everything. The stationarity condition ∂J/∂θ + ν + Aᵀη = 0 is
derived in :mod:`lagrangenet.symbolic.limited`. A sign is positive at an upper limit, negative at
a lower one: SciPy's trust-constr and IPOPT have the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lagrangenet.runtime import Array

#: A limit counts as active if θ is as close to it as this, relative to its size (float64, float32).
ACTIVE = {8: 1e-6, 4: 1e-4}


@dataclass(frozen=True, eq=False)
class RegionMultipliers:
    """ν of the bounds, (P,), and η of the linear constraints, (r,), in the package's sign."""

    bounds: Array
    constraints: Array

    @property
    def any(self) -> bool:
        """Whether one of them is not zero."""
        return bool(self.bounds.any() or self.constraints.any())


def active(values: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Which lower and which upper limits are active."""
    near = ACTIVE[values.dtype.itemsize]
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is not near
        return (
            np.abs(values - low) <= near * (1 + np.abs(np.where(np.isfinite(low), low, 0))),
            np.abs(values - high) <= near * (1 + np.abs(np.where(np.isfinite(high), high, 0))),
        )


def recovered(
    theta: Array, slope: Array, limits: tuple[Array, Array], rows: tuple[Array, Array, Array]
) -> RegionMultipliers:
    """The multipliers that come closest to ∂L/∂θ = 0, with the signs that active limits allow.

    Parameters
    ----------
    theta : ndarray, shape (P,)
    slope : ndarray, shape (P,)
        ∂J/∂θ of the reduced objective.
    limits, rows : tuples of ndarray
        (lower, upper) and (A, low, high).

    Examples
    --------
    J = ½ (θ + 1)² with θ ≥ 0 is stationary at 0, where its slope is 1:

    >>> zero, one = np.zeros(1), np.ones(1)
    >>> none = np.empty((0, 1)), np.empty(0), np.empty(0)
    >>> recovered(zero, one, (zero, np.inf * one), none).bounds
    array([-1.])
    """
    A, low, high = rows
    nu_sign, eta_sign = signs_of(theta, *limits), signs_of(A @ theta, low, high)
    held, used = nu_sign[0] | nu_sign[1], eta_sign[0] | eta_sign[1]
    eta = np.zeros(len(A))
    if used.any():
        eta[used] = np.linalg.lstsq(A[used][:, ~held].T, -slope[~held], rcond=None)[0]
    nu = np.where(held, -(slope + A.T @ eta), 0.0)
    if used.any() and not (_allowed(nu, nu_sign) and _allowed(eta, eta_sign)):
        return _with_signs(A, slope, nu_sign, eta_sign)
    return RegionMultipliers(_clipped(nu, nu_sign), _clipped(eta, eta_sign))


def signs_of(values: Array, low: Array, high: Array) -> Array:
    """Row 0: whether a multiplier may be negative (lower active); row 1: positive (upper active)."""
    return np.stack(active(values, low, high))


def _allowed(multipliers: Array, signs: Array) -> bool:
    return bool((np.where(signs[0], 0.0, multipliers) >= 0).all()
                and (np.where(signs[1], 0.0, multipliers) <= 0).all())  # fmt: skip


def _clipped(multipliers: Array, signs: Array) -> Array:
    least, most = np.where(signs[0], -np.inf, 0.0), np.where(signs[1], np.inf, 0.0)
    return np.clip(multipliers, least, most)


def _with_signs(A: Array, slope: Array, nu_sign: Array, eta_sign: Array) -> RegionMultipliers:
    """Least squares within the signs: where gradients of active limits depend on each other."""
    from scipy.optimize import lsq_linear  # here, because the import takes a while

    matrix = np.hstack([np.eye(len(slope)), A.T])
    signs = np.hstack([nu_sign, eta_sign])
    used = signs[0] | signs[1]
    least, most = np.where(signs[0], -np.inf, 0.0), np.where(signs[1], np.inf, 0.0)
    found = np.zeros(len(used))
    if used.any():
        within = (least[used], most[used])
        found[used] = lsq_linear(matrix[:, used], -slope, within, tol=1e-14).x
    return RegionMultipliers(found[: len(slope)], found[len(slope) :])
