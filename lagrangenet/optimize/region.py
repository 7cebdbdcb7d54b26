"""Where the parameters may be: bounds and linear constraints on θ. None of them, by default.

    lower ≤ θ ≤ upper,   low ≤ A θ ≤ high

A region is given as SciPy takes it (``Bounds``, pairs, ``LinearConstraint``) or by the names of
parameters. It refuses what is not linear: the norm of a weight matrix is a matter of the regularizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lagrangenet.errors import ProblemError
from lagrangenet.graph import Graph
from lagrangenet.optimize.multipliers import RegionMultipliers, recovered
from lagrangenet.optimize.names import Names
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

_EMPTY = np.empty(0)


@dataclass(frozen=True, eq=False)
class Region:
    """{θ : lower ≤ θ ≤ upper, low ≤ A θ ≤ high}.

    Attributes
    ----------
    bounds : tuple of ndarray or None
        (lower, upper), flat; infinite where there is none.
    constraints : tuple or None
        (A, low, high).
    names : Names or None
        What a parameter is called in a message.
    """

    bounds: tuple[Array, Array] | None = None
    constraints: tuple[Array, Array, Array] | None = None
    names: Names | None = None

    @property
    def free(self) -> bool:
        """Whether every θ is allowed."""
        return self.bounds is None and self.constraints is None

    def limits(self, size: int) -> tuple[Array, Array]:
        """(lower, upper), infinite without bounds."""
        if self.bounds is not None:
            return self.bounds
        return np.full(size, -np.inf), np.full(size, np.inf)

    def rows(self, size: int) -> tuple[Array, Array, Array]:
        """(A, low, high), without rows if there are none."""
        if self.constraints is not None:
            return self.constraints
        return np.empty((0, size)), _EMPTY, _EMPTY

    def clipped(self, theta: Array) -> Array:
        """θ within its bounds."""
        return theta if self.bounds is None else np.clip(theta, *self.bounds).astype(theta.dtype)

    def violation(self, theta: Array) -> float:
        """How far θ is outside, zero inside; NaN if an entry is."""
        if self.free:
            return 0.0
        lower, upper = self.limits(len(theta))
        A, low, high = self.rows(len(theta))
        values = A @ theta
        gaps = np.concatenate([lower - theta, theta - upper, low - values, values - high, [0.0]])
        return float(gaps.max())

    def multipliers(self, theta: Array, slope: Array) -> RegionMultipliers:
        """Multipliers of what is active at θ, where ∂L/∂θ without them is ``slope``."""
        size = len(theta)
        return recovered(theta, slope, self.limits(size), self.rows(size))

    def stationarity(self, slope: Array, multipliers: RegionMultipliers) -> Array:
        """∂L/∂θ with the terms of the region."""
        if self.free:
            return slope
        A = self.rows(len(slope))[0]
        found: Array = slope + multipliers.bounds + A.T @ multipliers.constraints
        return found

    def optimality(self, theta: Array, slope: Array) -> float:
        """How far from stationary θ is where ∂L/∂θ is ``slope``: with the best multipliers."""
        if self.free:
            return float(np.abs(slope).max())
        if not np.isfinite(slope).all():
            return float("nan")
        left = self.stationarity(slope, self.multipliers(theta, slope))
        return float(np.abs(left).max())

    @cached_property
    def scipy_constraints(self) -> list[Any]:
        """The linear constraints as ``scipy.optimize.LinearConstraint``."""
        from scipy.optimize import LinearConstraint  # here, because the import takes a while

        return [] if self.constraints is None else [LinearConstraint(*self.constraints)]

    def beside(self, states: int) -> Region:
        """The same region for v = (x, θ) with so many states, which are free."""
        if self.free:
            return self
        bounds, rows = self.bounds, self.constraints
        if bounds is not None:
            open_ = np.full(states, np.inf)
            bounds = np.concatenate([-open_, bounds[0]]), np.concatenate([open_, bounds[1]])
        if rows is not None:
            A, low, high = rows
            rows = np.hstack([np.zeros((len(A), states)), A]), low, high
        return Region(bounds, rows)


def region(problem: Problem | Graph, bounds: Any = None, constraints: Any = None) -> Region:
    """A region from what a user says.

    Parameters
    ----------
    problem : Problem or Graph
    bounds : optional
        ``scipy.optimize.Bounds`` or P pairs (low, high) for flat θ, None for no bound; or a mapping
        by name: of a chain "W2" and "b1", of a graph its parameters; "weights", "biases", "all";
        of a chain also "layer 2". A value is a pair, or a number (or array) that fixes the
        parameter. Several entries for one parameter hold together.
    constraints : optional
        ``scipy.optimize.LinearConstraint`` on flat θ, or several; see :func:`linear`.

    Raises
    ------
    ProblemError
        For bounds that leave no value, an unknown name, a wrong length, or what is not linear.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> found = region(chain([1, 2, 1]), {"W2": (0, None), "biases": 0})
    >>> found.bounds[0].tolist()
    [-inf, -inf, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    names = Names.of(problem)
    lower, upper = _bounds(names, bounds)
    limited = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
    return Region((lower, upper) if limited else None, _linear(names.size, constraints), names)


def linear(
    problem: Problem | Graph, coefficients: Mapping[str, Any], low: float, high: float
) -> Any:
    """One linear constraint low ≤ Σ ⟨coefficients, parameter⟩ ≤ high, by the names of parameters.

    Returns
    -------
    scipy.optimize.LinearConstraint
        On flat θ.

    Examples
    --------
    The weights of the last layer add to one:

    >>> from lagrangenet.problem import chain
    >>> linear(chain([1, 2, 1]), {"W2": 1}, 1, 1).A
    array([[0., 0., 0., 0., 1., 1., 0.]])
    """
    from scipy.optimize import LinearConstraint

    names = Names.of(problem)
    row = np.zeros(names.size)
    for name, values in coefficients.items():
        for at, shape in names.places(name):
            row[at] += names.filled(name, values, shape)
    return LinearConstraint(row[None], low, high)


def _bounds(names: Names, given: Any) -> tuple[Array, Array]:
    lower, upper = np.full(names.size, -np.inf), np.full(names.size, np.inf)
    if given is None:
        return lower, upper
    if isinstance(given, Mapping):
        for name, value in given.items():
            low, high = value if isinstance(value, tuple) and len(value) == 2 else (value, value)
            for at, shape in names.places(name):
                if low is not None:
                    lower[at] = np.maximum(lower[at], names.filled(name, low, shape))
                if high is not None:
                    upper[at] = np.minimum(upper[at], names.filled(name, high, shape))
    else:
        lower, upper = _flat_bounds(names.size, given)
    if (empty := np.flatnonzero(~(lower <= upper))).size:
        j = int(empty[0])
        raise ProblemError(
            f"bounds on {names.entry(j)}: no number is ≥ {lower[j]:g} and ≤ {upper[j]:g}"
        )
    return lower, upper


def _flat_bounds(size: int, given: Any) -> tuple[Array, Array]:
    if hasattr(given, "lb") and hasattr(given, "ub"):
        sides = (given.lb, given.ub)
    else:
        try:
            pairs = [(low, high) for low, high in given]
        except (TypeError, ValueError):
            raise ProblemError(
                f"bounds are {type(given).__name__}: give scipy.optimize.Bounds, {size} pairs "
                "(low, high), or a mapping by name"
            ) from None
        if len(pairs) != size:
            raise ProblemError(f"{len(pairs)} bounds for {size} parameters")
        sides = (
            [-np.inf if low is None else low for low, _ in pairs],
            [np.inf if high is None else high for _, high in pairs],
        )
    try:
        lower, upper = (np.broadcast_to(np.asarray(side, float), size).copy() for side in sides)
    except ValueError:
        raise ProblemError(f"bounds do not fit {size} parameters") from None
    return lower, upper


def _linear(size: int, given: Any) -> tuple[Array, Array, Array] | None:
    if given is None:
        return None
    listed = list(given) if isinstance(given, Iterable) and not hasattr(given, "A") else [given]
    parts = []
    for one in listed:
        if not hasattr(one, "A"):
            raise ProblemError(
                f"a constraint on the parameters is {type(one).__name__}; only "
                "scipy.optimize.LinearConstraint is supported: a norm, or any other nonlinear "
                "function of the weights, belongs into the regularizer"
            )
        dense = one.A.toarray() if hasattr(one.A, "toarray") else one.A
        A = np.atleast_2d(np.asarray(dense, dtype=float))
        if A.shape[1] != size or not np.isfinite(A).all():
            raise ProblemError(f"a linear constraint has A of shape {A.shape}, expected (r, {size})"
                               " and finite")  # fmt: skip
        low, high = (np.broadcast_to(np.asarray(b, float), len(A)) for b in (one.lb, one.ub))
        if not (low <= high).all():
            raise ProblemError("a linear constraint has lb > ub: no point fulfils it")
        parts.append((A, low, high))
    if not parts:
        return None
    A, low, high = (np.concatenate(side) for side in zip(*parts, strict=True))
    return A, low, high
