"""The second order at a solution: how J curves on the tangent space of what is active.

A KKT point is a strict local minimizer if ∇²J is positive definite on the directions that keep every
active limit with a multiplier (second-order sufficient condition); it is none if ∇²J has a negative
eigenvalue on the directions that keep every active limit (the necessary condition is violated). The
two spaces are the same where complementarity is strict. ∇²J is that of the reduced objective, the
Hessian of L on the null space of ∂c/∂v; every product with it is generated.

It decides nothing at kinks and, where an eigenvalue is zero and none is negative, nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lagrangenet.optimize.hessian import hessian
from lagrangenet.optimize.multipliers import RegionMultipliers, signs_of
from lagrangenet.optimize.task import Task
from lagrangenet.runtime import Array
from lagrangenet.verify.classification import nearest_kink
from lagrangenet.verify.spectrum import FEW, Inertia, Kind, Spectrum, lowest_of, spectrum_of

Condition = Literal["sufficient", "necessary", "violated", "undecided"]
#: Up to so many free parameters the Hessian is assembled; of more, Lanczos finds the smallest.
DENSE = 500
#: A multiplier of an active limit counts as zero up to this, relative to the largest (at least 1).
STRICT = 1e-7

_WORDS = {
    "sufficient": "a strict local minimizer: the second-order sufficient condition holds",
    "necessary": "the second-order necessary condition holds, the sufficient one does not",
    "violated": "no minimizer: a direction of negative curvature is left",
    "undecided": "the second order is undecided",
}


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """What the second derivatives say of a KKT point.

    Attributes
    ----------
    condition : {"sufficient", "necessary", "violated", "undecided"}
    kind : {"minimum", "maximum", "saddle", "degenerate"} or None
        On the tangent space of all active limits; None where there is no Hessian.
    inertia : tuple of int or None
        (n_+, n_−, n_0) there; None where the eigenvalues that were computed do not say.
    eigenvalues : ndarray
        Ascending: all of them, or the smallest and the largest.
    zero : float
        Eigenvalues of at most this size count as zero.
    direction : ndarray or None
        Flat, of norm 1: the direction of most negative curvature.
    curvature : float
        The smallest eigenvalue; NaN if there is none.
    active : int
        How many limits on θ are active.
    strict : bool
        Strict complementarity: every active limit has a multiplier that is not zero.
    computed : str
        What was computed, and what stood in the way.
    """

    condition: Condition
    kind: Kind | None
    inertia: Inertia | None
    eigenvalues: Array
    zero: float
    direction: Array | None
    curvature: float
    active: int
    strict: bool
    computed: str

    @property
    def index(self) -> int:
        """n_−; where the inertia is not known, at least so much."""
        return int((self.eigenvalues < -self.zero).sum())

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without the direction."""
        return {
            "condition": self.condition,
            "kind": self.kind,
            "inertia": None if self.inertia is None else list(self.inertia),
            "index": self.index,
            "curvature": None if np.isnan(self.curvature) else self.curvature,
            "active": self.active,
            "strict_complementarity": self.strict,
            "computed": self.computed,
        }

    def __str__(self) -> str:
        counted = "" if self.inertia is None else f"inertia {self.inertia}, "
        low = "" if np.isnan(self.curvature) else f"smallest eigenvalue {self.curvature:.3g}, "
        limits = ""
        if self.active:
            strict = "strict complementarity" if self.strict else "complementarity is not strict"
            limits = f"; {self.active} active limits, {strict}"
        return f"{_WORDS[self.condition]} ({counted}{low}{self.computed}{limits})"


def second_order(
    task: Task,
    theta: Array,
    multipliers: RegionMultipliers | None = None,
    *,
    tolerance: float = 1e-8,
    matrix: Array | None = None,
) -> SecondOrder:
    """The second-order conditions at a stationary point.

    Parameters
    ----------
    task : Task
    theta : ndarray, shape (P,)
        A KKT point; whether it is one is not looked at.
    multipliers : RegionMultipliers, optional
        Of the limits on θ; by default recovered from the gradient.
    tolerance : float
        An eigenvalue counts as zero if it is at most this times the largest in size.
    matrix : ndarray, shape (P, P), optional
        ∇²J at θ, if it is there already.

    Examples
    --------
    The origin of a linear network with a hidden layer is a saddle:

    >>> from lagrangenet.problem import chain
    >>> task = Task(chain([1, 1, 1], "identity"), [[-1.0], [1.0]], [[-2.0], [2.0]])
    >>> found = second_order(task, np.zeros(4))
    >>> found.condition, found.inertia, found.direction.round(3).tolist()
    ('violated', (2, 1, 1), [0.707, 0.0, 0.707, 0.0])
    """
    if not _smooth(task, theta):
        return _nothing("a preactivation or a weight lies at a kink, where ∇²J does not exist")
    if multipliers is None and not task.region.free:
        multipliers = task.region.multipliers(theta, task.fun_and_grad(theta)[1])
    every, kept, strict = _tangent_spaces(task, theta, multipliers)
    found = _spectrum(task, theta, every, tolerance, matrix)
    low = found
    if not strict and found.kind == "minimum":
        low = _spectrum(task, theta, kept, tolerance, matrix)
    down = every.full(found.lowest) if found.negative and found.lowest is not None else None
    return SecondOrder(
        condition=_condition(found, low),
        kind=found.kind,
        inertia=found.inertia,
        eigenvalues=found.eigenvalues,
        zero=found.zero,
        direction=None if down is None else _oriented(down),
        curvature=float(found.eigenvalues[0]) if found.size else float("nan"),
        active=every.active,
        strict=strict,
        computed=found.computed,
    )


def _condition(on_all: Spectrum, on_kept: Spectrum) -> Condition:
    """From the eigenvalues on the tangent space of all active limits, and of those with multipliers."""
    if on_all.negative:
        return "violated"
    if on_all.kind == "minimum" and on_kept.kind == "minimum":
        return "sufficient"
    return "necessary"


def _nothing(why: str) -> SecondOrder:
    return SecondOrder("undecided", None, None, np.empty(0), 0.0, None, float("nan"), 0, True, why)


def _smooth(task: Task, theta: Array) -> bool:
    return nearest_kink(task.routines, theta, task.X, task.Y) != 0


def _oriented(direction: Array) -> Array:
    """The one of ±d whose largest entry is positive, so that two equal calls agree."""
    sign = np.sign(direction[np.abs(direction).argmax()])
    found: Array = sign * direction
    return found


# -- tangent spaces ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Tangents:
    """The directions d with d_j = 0 where ``held``, and ``rows`` d = 0."""

    held: Array
    rows: Array

    @property
    def active(self) -> int:
        return int(self.held.sum()) + len(self.rows)

    @property
    def free(self) -> int:
        """How many entries are not held."""
        return int((~self.held).sum())

    def full(self, direction: Array) -> Array:
        """A direction of the free entries, as one of θ."""
        found = np.zeros(len(self.held), direction.dtype)
        found[~self.held] = direction
        return found

    def basis(self) -> Array | None:
        """An orthonormal basis of ``rows`` d = 0 in the free entries; None for all of them."""
        from scipy.linalg import null_space  # here, because the import is slow

        rows = self.rows[:, ~self.held]
        return null_space(rows) if len(rows) else None


def _tangent_spaces(
    task: Task, theta: Array, multipliers: RegionMultipliers | None
) -> tuple[_Tangents, _Tangents, bool]:
    """That of every active limit, that of those with multipliers, and whether they are the same."""
    size = task.size
    if multipliers is None:
        nothing = _Tangents(np.zeros(size, bool), np.empty((0, size)))
        return nothing, nothing, True
    A, low, high = task.region.rows(size)
    sides = signs_of(theta, *task.region.limits(size)), signs_of(A @ theta, low, high)
    values = multipliers.bounds, multipliers.constraints
    largest = max([1.0, *(float(np.abs(v).max()) for v in values if v.size)])
    held, used = (side[0] | side[1] for side in sides)
    kept = [
        (side[0] | side[1]) & ((np.abs(v) > STRICT * largest) | (side[0] & side[1]))
        for side, v in zip(sides, values, strict=True)
    ]
    strict = bool((held == kept[0]).all() and (used == kept[1]).all())
    return _Tangents(held, A[used]), _Tangents(kept[0], A[kept[1]]), strict


def _spectrum(
    task: Task, theta: Array, space: _Tangents, tolerance: float, matrix: Array | None
) -> Spectrum:
    """Eigenvalues of ∇²J on a tangent space."""
    free, Z = ~space.held, space.basis()
    order = space.free if Z is None else Z.shape[1]
    if matrix is None and order > max(DENSE, FEW + 2):
        return _lanczos(task, theta, space, Z, tolerance)
    H = hessian(task, theta) if matrix is None else matrix
    H = H[np.ix_(free, free)]
    found = spectrum_of(H if Z is None else Z.T @ H @ Z, tolerance)
    return found if Z is None else _in_free(found, Z)


def _lanczos(
    task: Task, theta: Array, space: _Tangents, Z: Array | None, tolerance: float
) -> Spectrum:
    free = ~space.held

    def product(v: Array) -> Array:
        d = space.full(v if Z is None else Z @ v).astype(task.dtype, copy=False)
        Hd = task.hessp(theta, np.ascontiguousarray(d))[free]
        found: Array = Hd if Z is None else Z.T @ Hd
        return found

    order = space.free if Z is None else Z.shape[1]
    found = lowest_of(product, order, task.dtype, tolerance)
    return found if Z is None else _in_free(found, Z)


def _in_free(found: Spectrum, Z: Array) -> Spectrum:
    """The lowest eigenvector in terms of the free entries."""
    lowest = None if found.lowest is None else Z @ found.lowest
    return Spectrum(found.eigenvalues, found.size, found.zero, lowest, found.computed)
