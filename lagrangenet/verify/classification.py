"""What kind of point a stationary point is: the inertia of the reduced Hessian.

    inertia = (n_+, n_−, n_0), the numbers of positive, negative and zero eigenvalues of ∇²J(θ)

All positive: a strict local minimum. A negative one beside a positive one: a saddle, whose index is
n_−. A zero without a negative one: the second order does not decide. It refuses to judge at points
that are not stationary, and at kinks, where ∇²J does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array, Routines, generate
from lagrangenet.runtime.graphs import GraphRoutines
from lagrangenet.symbolic.derivation import derive
from lagrangenet.verify.differences import kink_distance
from lagrangenet.verify.graph_kinks import graph_kink_distance
from lagrangenet.verify.spectrum import Inertia, Kind, Spectrum, lowest_of, spectrum_of

#: Up to so many parameters the Hessian is assembled; of more, Lanczos finds the smallest eigenvalues.
LARGEST = 3000


@dataclass(frozen=True, eq=False)
class Stationary:
    """A stationary point, classified.

    Attributes
    ----------
    kind : {"minimum", "maximum", "saddle", "degenerate"}
        ``degenerate`` if there are zero eigenvalues and not both signs among the others.
    inertia : tuple of int or None
        (n_+, n_−, n_0); None where the few eigenvalues of a large problem do not say.
    eigenvalues : ndarray
        Of the reduced Hessian, ascending: all P, or the smallest few and the largest.
    tolerance : float
        Eigenvalues of at most this size count as zero.
    gradient : float
        ‖∇J‖∞, how stationary the point is.
    direction : tuple, dict or None
        The direction of most negative curvature, of norm 1 and in the shapes of θ; None without
        negative eigenvalues.
    computed : str
        What the count rests on: all eigenvalues, or some.
    """

    kind: Kind
    inertia: Inertia | None
    eigenvalues: Array
    tolerance: float
    gradient: float
    direction: Any
    computed: str = ""

    @property
    def index(self) -> int:
        """n_−, the index of a saddle; where the inertia is not known, at least so much."""
        return int((self.eigenvalues < -self.tolerance).sum())

    def __str__(self) -> str:
        least = "" if self.inertia else "at least "
        named = f"saddle of index {least}{self.index}" if self.kind == "saddle" else self.kind
        counted = f"inertia {self.inertia}" if self.inertia else self.computed
        return (
            f"{named}: {counted}, eigenvalues from {self.eigenvalues[0]:.3g} to "
            f"{self.eigenvalues[-1]:.3g}, zero up to {self.tolerance:.1e}; "
            f"‖∇J‖∞ = {self.gradient:.1e}"
        )


def classify(
    problem: Problem | Graph,
    theta: Any,
    X: Any,
    Y: Any,
    *,
    tolerance: float = 1e-8,
    stationary: float = 1e-5,
    routines: Routines | GraphRoutines | None = None,
) -> Stationary:
    """Classify a stationary point of J by the inertia of its Hessian.

    Parameters
    ----------
    problem : Problem or Graph
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
        Of more than 3000 parameters the smallest few eigenvalues, by Lanczos.

    Raises
    ------
    DataError
        If the point is not stationary, or lies at a kink.

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
    code = generate(derive(problem, order=2)) if routines is None else routines
    inputs, labels, flat = code.inputs(X), code.labels(Y), code.pack(theta)
    gradient = float(np.abs(code.fun(flat, inputs, labels)[1]).max())
    if not gradient <= stationary:
        raise DataError(
            f"‖∇J‖∞ is {gradient:.3g}: the point is not stationary (at most {stationary:g} is); "
            "converge further, or pass a larger stationary="
        )
    if nearest_kink(code, flat, inputs, labels) == 0:
        raise DataError(
            "a preactivation, or a regularized weight, lies at a kink, where the Hessian does not exist"
        )
    found = spectrum(code, flat, inputs, labels, tolerance)
    down = code.unpack(found.lowest) if found.negative and found.lowest is not None else None
    return Stationary(
        found.kind, found.inertia, found.eigenvalues, found.zero, gradient, down, found.computed
    )


def nearest_kink(code: Routines | GraphRoutines, flat: Array, inputs: Any, labels: Array) -> float:
    """The distance from the nearest kink, infinite for a smooth problem."""
    theta = cast(Any, code.unpack(flat))
    if isinstance(code.problem, Problem):
        return kink_distance(code.problem, theta, inputs, labels)
    states = cast(Any, code.forward(theta, inputs))
    return graph_kink_distance(code.problem, theta, inputs, labels, states)


def spectrum(
    code: Routines | GraphRoutines, flat: Array, inputs: Any, labels: Array, tolerance: float
) -> Spectrum:
    """The eigenvalues of ∇²J, from generated products with directions."""

    def product(v: Array) -> Array:
        return code.hessp(flat, np.ascontiguousarray(v, code.dtype), inputs, labels)

    if (size := code.problem.size) > LARGEST:
        return lowest_of(product, size, code.dtype, tolerance)
    return spectrum_of(np.stack([product(e) for e in np.eye(size)], axis=1), tolerance)
