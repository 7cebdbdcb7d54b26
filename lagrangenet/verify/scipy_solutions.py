"""The full-space problem solved by SciPy: min J(x^N, θ) subject to c(x, θ) = 0 in (x, W, b).

SLSQP and trust-constr get exact derivatives of the written-out Lagrangian and return their own
primal *and dual* solution; the third oracle. It certifies itself before it certifies anything
else: a solution that does not fulfil the optimality conditions is marked as not converged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lagrangenet import signs
from lagrangenet.errors import ProblemError
from lagrangenet.verify.full_space import FullSpace
from lagrangenet.verify.instance import Instance

Array = NDArray[np.float64]
Theta = tuple[tuple[Array, Array], ...]
Report = Callable[[str], None]

#: Tolerances of a certified solution: ‖c‖∞, and ‖∇_{x,θ} L‖∞ with SciPy's own multipliers.
FEASIBLE, OPTIMAL = 1e-10, 1e-8
#: Closer to a kink than this, derivatives depend on the side they are taken from.
CLEAR_OF_KINKS = 1e-6
#: SLSQP, which would try for long, gives up once its steps are short and it is as close as this.
AT_A_KINK = 1e-10
#: A run of SLSQP that ends this far from feasible is not continued.
HOPELESS = 1e-2
#: SLSQP runs again from its own end point if need be; iterations of each run.
RUNS, ITERATIONS = 2, 700
#: Where no run converges, up to this many times more starting points are tried: networks with kinks
#: often stop at one, and a valley may be too flat.
TRIES = 2


@dataclass(frozen=True, eq=False)
class Solution:
    """What SciPy found from one start, with the residuals of its own optimality conditions.

    Attributes
    ----------
    method : str
        ``"slsqp"`` or ``"trust-constr"``.
    seed : int
        Of the starting point.
    theta : tuple of (W, b)
        The parameters.
    states, multipliers : tuple of ndarray, shapes (M, n_k)
        x^k and λ^k, in the sign of :mod:`lagrangenet.signs`.
    fun : float
        J.
    constr_violation, optimality : float
        ‖c‖∞ and ‖∇_{x,θ} L‖∞.
    nit : int
        Iterations, restarts included.
    converged : bool
        Whether all tolerances of this module hold, whatever SciPy's status says.
    message : str
        SciPy's last word.
    kink_distance : float
        The smallest |z − kink|, infinite for a smooth network.
    """

    method: str
    seed: int
    theta: Theta
    states: tuple[Array, ...]
    multipliers: tuple[Array, ...]
    fun: float
    constr_violation: float
    optimality: float
    nit: int
    converged: bool
    message: str
    kink_distance: float

    def __str__(self) -> str:
        word = "converged" if self.converged else "not converged"
        return (
            f"{self.method}, start {self.seed}: {word} in {self.nit} iterations, J = {self.fun:.8g},"
            f" violation {self.constr_violation:.0e}, optimality {self.optimality:.0e}"
        )


def solve(
    instance: Instance,
    method: str,
    seed: int = 0,
    starts: int = 3,
    *,
    near: Solution | None = None,
    report: Report | None = None,
    maxiter: int = ITERATIONS,
) -> tuple[Solution, ...]:
    """Solve the full-space problem from several seeded starts, consistent states included.

    Parameters
    ----------
    instance : Instance
        From :func:`~lagrangenet.verify.instance.small_instance`.
    method : str
        ``"slsqp"`` or ``"trust-constr"``.
    seed : int
        The first start; the next ones are ``seed + 1``, ...
    starts : int
        Starting points; up to twice as many, until one of the solutions converges away from kinks.
    near : Solution, optional
        Start close to this one instead, on its side of every kink: trust-constr shrinks its
        region to nothing at the first kink that it meets.
    report : callable, optional
        Is told a line about each solution.
    maxiter : int
        Iterations of each run of the solver.

    Returns
    -------
    tuple of Solution
        One for each start, those that did not converge included.

    Raises
    ------
    ProblemError
        For another method.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.verify.instance import small_instance
    >>> line = small_instance(chain([1, 1]), [[0.0], [1.0], [2.0]], [[1.0], [1.5], [2.0]])
    >>> (solution,) = solve(line, "trust-constr", starts=1)
    >>> solution.converged, float(solution.theta[0][0][0, 0].round(2))
    (True, 0.5)
    """
    if method not in METHODS:
        raise ProblemError(f"no method {method!r}; known: {', '.join(METHODS)}")
    space = FullSpace(instance)
    found: list[Solution] = []
    for start in range(seed, seed + TRIES * starts):
        v = (
            space.start(start)
            if near is None
            else space.moved(near.theta, near.kink_distance, start)
        )
        outcome = _outcome(space, method, v, maxiter)
        found.append(_certified(space, outcome, method, start))
        if report is not None:
            report(str(found[-1]))
        if len(found) >= starts and any(solution.converged for solution in found):
            break
    return tuple(found)


class _Outcome(NamedTuple):
    """What a solver returned: v, λ in the package's sign, iterations, and its last word."""

    v: Array
    lam: Array
    nit: int
    message: str


def _outcome(space: FullSpace, method: str, v: Array, maxiter: int) -> _Outcome:
    """Run a solver; what it warns about or breaks on shows in the residuals and the message."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return METHODS[method](space, v, maxiter)
    except (ArithmeticError, ValueError) as error:  # numpy's LinAlgError is a ValueError
        return _Outcome(v, np.zeros(space.explicit.conditions), 0, f"broke off: {error}")


def _certified(space: FullSpace, outcome: _Outcome, method: str, seed: int) -> Solution:
    """The solution with its own residuals, and the verdict on it."""
    v, lam = outcome.v, outcome.lam
    violation, optimality = space.residuals(v, lam)
    states, theta = space.explicit.unpack(v)
    distance = space.kink_distance(v)
    good = violation <= FEASIBLE and optimality <= OPTIMAL and distance > CLEAR_OF_KINKS
    return Solution(
        method=method,
        seed=seed,
        theta=theta,
        states=states,
        multipliers=space.explicit.split(lam),
        fun=space.objective(v),
        constr_violation=violation,
        optimality=optimality,
        nit=outcome.nit,
        converged=bool(good and np.isfinite(v).all() and np.isfinite(lam).all()),
        message=outcome.message,
        kink_distance=distance,
    )


class _Settled:
    """Stops SLSQP once its iterates fulfil the conditions with the best possible multipliers.

    SLSQP measures progress in J alone, where rounding hides the last half of the digits. Its own
    multipliers are still the ones that are returned and certified.
    """

    def __init__(self, space: FullSpace, v: Array) -> None:
        self.space, self.last = space, v

    def __call__(self, intermediate_result: Any) -> None:
        v = intermediate_result.x
        step, self.last = np.abs(v - self.last).max(), v.copy()
        if not step < 1e-4 or not np.isfinite(intermediate_result.fun):
            return
        jacobian, gradient = self.space.jacobian(v), self.space.gradient(v)
        if not (np.isfinite(jacobian).all() and np.isfinite(gradient).all()):
            return
        lam: Array = np.linalg.lstsq(jacobian.T, -gradient, rcond=None)[0].astype(np.float64)
        violation, optimality = self.space.residuals(v, lam)
        if violation <= FEASIBLE / 10 and optimality <= OPTIMAL / 100:
            raise StopIteration
        if self.space.kink_distance(v) < AT_A_KINK:
            raise StopIteration


def _slsqp(space: FullSpace, v: Array, maxiter: int) -> _Outcome:
    """SLSQP, restarted from its own end point while its multipliers are not accurate."""
    from scipy.optimize import minimize  # here, because it takes longer to import than the rest

    constraint = {"type": "eq", "fun": space.constraints, "jac": space.jacobian}
    nit = 0
    for _ in range(RUNS):
        result = minimize(
            space.objective,
            v,
            jac=space.gradient,
            bounds=space.bounds(),
            constraints=[constraint],
            method="SLSQP",
            callback=_Settled(space, v),
            options={"ftol": 1e-16, "maxiter": maxiter},
        )
        v, lam, nit = result.x, signs.from_slsqp(result.multipliers), nit + int(result.nit)
        violation, optimality = space.residuals(v, lam)
        done = violation <= FEASIBLE and optimality <= OPTIMAL
        if done or not violation <= HOPELESS or space.kink_distance(v) < AT_A_KINK:
            break
    return _Outcome(v, lam, nit, str(result.message))


def _trust_constr(space: FullSpace, v: Array, maxiter: int) -> _Outcome:
    """trust-constr with the exact Hessians of J and of ⟨λ, c⟩."""
    from scipy.optimize import NonlinearConstraint, minimize

    constraint = NonlinearConstraint(
        space.constraints, 0.0, 0.0, jac=space.jacobian, hess=space.constraints_hessian
    )
    result = minimize(
        space.objective,
        v,
        jac=space.gradient,
        hess=space.hessian,
        constraints=[constraint],
        method="trust-constr",
        options={"gtol": OPTIMAL / 100, "xtol": 1e-14, "maxiter": maxiter},
    )
    lam = signs.from_trust_constr(result.v[0])
    return _Outcome(result.x, lam, int(result.nit), str(result.message))


#: The solvers, by the names that :func:`solve` takes.
METHODS: dict[str, Callable[[FullSpace, Array, int], _Outcome]] = {
    "slsqp": _slsqp,
    "trust-constr": _trust_constr,
}
