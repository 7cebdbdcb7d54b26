"""What kind of point a stationary point is: the inertia of the reduced Hessian.

    inertia = (n_+, n_−, n_0), the numbers of positive, negative and zero eigenvalues of ∇²J(θ)

All positive: a strict local minimum. A negative one beside a positive one: a saddle, whose index is
n_−. A zero without a negative one: the second order does not decide. It refuses to judge at points
that are not stationary, and at kinks, where ∇²J does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array, Routines, Theta, generate
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.verify.differences import kink_distance

#: More parameters than this are not assembled into a dense Hessian.
LARGEST = 3000

Kind = Literal["minimum", "maximum", "saddle", "degenerate"]


@dataclass(frozen=True, eq=False)
class Stationary:
    """A stationary point, classified.

    Attributes
    ----------
    kind : {"minimum", "maximum", "saddle", "degenerate"}
        ``degenerate`` if there are zero eigenvalues and not both signs among the others.
    inertia : tuple of int
        (n_+, n_−, n_0).
    eigenvalues : ndarray, shape (P,)
        Of the reduced Hessian, ascending.
    tolerance : float
        Eigenvalues of at most this size count as zero.
    gradient : float
        ‖∇J‖∞, how stationary the point is.
    direction : tuple or None
        The direction of most negative curvature, of norm 1 and in the shapes of θ; None without
        negative eigenvalues.
    """

    kind: Kind
    inertia: tuple[int, int, int]
    eigenvalues: Array
    tolerance: float
    gradient: float
    direction: Theta | None

    @property
    def index(self) -> int:
        """n_−, the index of a saddle."""
        return self.inertia[1]

    def __str__(self) -> str:
        named = f"saddle of index {self.index}" if self.kind == "saddle" else self.kind
        return (
            f"{named}: inertia {self.inertia}, eigenvalues from {self.eigenvalues[0]:.3g} to "
            f"{self.eigenvalues[-1]:.3g}, zero up to {self.tolerance:.1e}; "
            f"‖∇J‖∞ = {self.gradient:.1e}"
        )


def classify(
    problem: Problem,
    theta: Any,
    X: Any,
    Y: Any,
    *,
    tolerance: float = 1e-8,
    stationary: float = 1e-5,
    routines: Routines | None = None,
) -> Stationary:
    """Classify a stationary point of J by the inertia of its Hessian.

    Parameters
    ----------
    problem : Problem
        The declaration.
    theta, X, Y
        The point and the data.
    tolerance : float
        An eigenvalue counts as zero if it is at most ``tolerance`` times the largest in size.
    stationary : float
        ‖∇J‖∞ may be this large.
    routines : Routines, optional
        Code of the second order to use instead of freshly generated code.

    Returns
    -------
    Stationary

    Raises
    ------
    DataError
        If the point is not stationary, lies at a kink, or has too many parameters.

    Examples
    --------
    The origin of a linear network with a hidden layer is a saddle:

    >>> from lagrangenet.problem import chain
    >>> problem = chain([1, 1, 1], activation="identity")
    >>> theta = ((np.zeros((1, 1)), np.zeros(1)),) * 2
    >>> X = np.array([[-1.0], [1.0]])
    >>> print(classify(problem, theta, X, 2 * X))
    saddle of index 1: inertia (2, 1, 1), eigenvalues from -2 to 2, zero up to 2.0e-08; ‖∇J‖∞ = 0.0e+00
    """
    code = generate(Derivation(problem, order=2)) if routines is None else routines
    if problem.size > LARGEST:
        raise DataError(
            f"{problem.size} parameters; a dense Hessian is assembled for at most {LARGEST}"
        )
    point, inputs, labels = code.theta(theta), code.inputs(X), code.labels(Y)
    flat = code.pack(point)
    gradient = float(np.abs(code.fun(flat, inputs, labels)[1]).max())
    if not gradient <= stationary:
        raise DataError(
            f"‖∇J‖∞ is {gradient:.3g}: the point is not stationary (at most {stationary:g} is); "
            "converge further, or pass a larger stationary="
        )
    clear = kink_distance(problem, point, inputs, labels)
    if clear == 0:
        raise DataError(
            "a preactivation, or a regularized weight, lies at a kink, where the Hessian does not exist"
        )
    units = np.eye(problem.size, dtype=code.dtype)
    hessian = np.stack([code.hessp(flat, unit, inputs, labels) for unit in units], axis=1)
    return _judged(code, (hessian + hessian.T) / 2, tolerance, gradient)


def _judged(code: Routines, hessian: Array, tolerance: float, gradient: float) -> Stationary:
    import scipy.linalg  # here, because the import is slow

    eigenvalues, vectors = scipy.linalg.eigh(hessian)
    zero = tolerance * float(np.abs(eigenvalues).max())
    plus, minus = int((eigenvalues > zero).sum()), int((eigenvalues < -zero).sum())
    none = len(eigenvalues) - plus - minus
    kind: Kind = "degenerate"
    if plus and minus:
        kind = "saddle"
    elif not none:
        kind = "minimum" if plus else "maximum"
    direction = code.unpack(vectors[:, 0].copy()) if minus else None
    return Stationary(kind, (plus, minus, none), eigenvalues, zero, gradient, direction)
