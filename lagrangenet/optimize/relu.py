"""A ReLU network without a kink: its layers as complementarity conditions, relaxed and solved.

    minimize J   subject to   x ≥ 0,   s ≥ 0,   x s ≤ t,   s = x − z,   z = W x⁻ + b        (t ↓ 0)

Small instances only: every state is a variable and SLSQP is dense. J, s and all derivatives are the
generated ones of the same network with its ReLU layers left affine, in which s = ∂L/∂λ; the product
x s is differentiated by SymPy. As t ↓ 0 the multipliers of the three inequalities combine into those
of a complementarity problem (derived in :mod:`lagrangenet.symbolic.complementarity`):

    α̂ = α − γ s,   β̂ = β − γ x,   μ = −β̂,   λ = −α̂ − β̂

so that where x = z = 0 the slope that the ReLU takes is μ/λ = β̂/(α̂ + β̂): the multipliers choose the
subgradient. α̂, β̂ ≥ 0 there (strong stationarity) says more than that it lies in [0, 1] (Clarke
stationarity): J then does not fall to first order along any direction, on either side of the kink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.graph import Graph
from lagrangenet.optimize.task import Task
from lagrangenet.problem import Dense, Problem
from lagrangenet.runtime import Array, generate
from lagrangenet.symbolic import complementarity as stated
from lagrangenet.symbolic.derivation import derive

#: Variables (states and parameters) up to which a solution takes seconds.
LARGEST = 200
#: The relaxation from one run to the next, and where it ends.
SHRINK, LAST = 0.1, 1e-12
#: A number of the size of this many times √t is zero but for the relaxation.
NEAR = 10.0

Stationarity = Literal["strong", "Clarke", "weak"]


@dataclass(frozen=True, eq=False)
class ReluSolution:
    """A solution of the relaxed problem, as t ↓ 0.

    Attributes
    ----------
    theta : ndarray
        Flat.
    x, slack, z : tuple of ndarray
        Of each ReLU layer, (M, n_k).
    alpha, beta : tuple of ndarray
        α̂ and β̂.
    fun : float
        J.
    violation, optimality : float
        Of the constraints at the last t; ‖∂L/∂(x, θ)‖∞ with α̂, β̂ and the multipliers of equations.
    t : float
    message : str
        SciPy's last word.
    """

    theta: Array
    x: tuple[Array, ...]
    slack: tuple[Array, ...]
    alpha: tuple[Array, ...]
    beta: tuple[Array, ...]
    fun: float
    violation: float
    optimality: float
    t: float
    message: str

    @property
    def z(self) -> tuple[Array, ...]:
        """The preactivations, x − s."""
        return tuple(x - s for x, s in zip(self.x, self.slack, strict=True))

    @property
    def rounding(self) -> float:
        """What is zero but for the relaxation."""
        return NEAR * float(np.sqrt(self.t))

    @property
    def kinks(self) -> tuple[Array, ...]:
        """Where a unit is at its kink: x = s = 0, up to the relaxation."""
        near = self.rounding
        return tuple((x <= near) & (s <= near) for x, s in zip(self.x, self.slack, strict=True))

    @property
    def slopes(self) -> tuple[Array, ...]:
        """μ/λ: the slope of each ReLU that the multipliers choose; 1 or 0 away from kinks.

        NaN at a kink where both multipliers vanish: any slope will do.
        """
        found = []
        for x, s, a, b, kink in zip(
            self.x, self.slack, self.alpha, self.beta, self.kinks, strict=True
        ):
            total = np.where(np.abs(a + b) > self.rounding, a + b, np.nan)
            found.append(np.where(kink, b / total, np.where(x > s, 1.0, 0.0)))
        return tuple(found)

    @property
    def stationarity(self) -> Stationarity:
        """What the signs of α̂ and β̂ at kinks say; without kinks all three are the same."""
        pairs = zip(self.alpha, self.beta, self.kinks, strict=True)
        a, b = (np.concatenate(p) for p in zip(*((a[k], b[k]) for a, b, k in pairs), strict=True))
        zero = self.rounding
        if ((a >= -zero) & (b >= -zero)).all():
            return "strong"
        alike = (a * b >= 0) | (np.minimum(np.abs(a), np.abs(b)) <= zero)
        return "Clarke" if alike.all() else "weak"


def affine(problem: Problem) -> Problem:
    """The network with its ReLU layers left affine, in which ∂L/∂λ of such a layer is x − z.

    Raises
    ------
    ProblemError
        Without a ReLU layer.
    """
    chain = not isinstance(problem, Graph)
    if not chain or all(layer.activation.name != "relu" for layer in problem.layers):
        raise ProblemError("complementarity is for chains with relu layers; this problem has none")
    layers = [Dense(layer.width, "identity") if layer.activation.name == "relu" else layer
              for layer in problem.layers]  # fmt: skip
    return replace(problem, layers=tuple(layers))


class Relaxed:
    """The relaxed problem in v = (x, θ), in the form that SciPy asks for.

    Parameters
    ----------
    problem : Problem
        A chain with ReLU layers.
    X, Y : array_like
        Data.
    """

    def __init__(self, problem: Problem, X: Any, Y: Any) -> None:
        self.problem, self.task = problem, Task(affine(problem), X, Y)
        if (size := self.task.size + self.task.conditions) > LARGEST:
            raise ProblemError(
                f"{size} variables: with every state a variable, at most {LARGEST} are solved in "
                "seconds; take fewer samples or units"
            )
        of_relu = [np.full((self.task.samples, layer.width), layer.activation.name == "relu")
                   for layer in problem.layers]  # fmt: skip
        self.relu = np.concatenate([mask.ravel() for mask in of_relu])
        self.layers = [k for k, mask in enumerate(of_relu) if mask.all()]
        self._last: tuple[Array, Array] | None = None
        x, s = stated.x, stated.s
        self._product, *self._by = (
            sp.lambdify((x, s), e, "numpy")
            for e in (stated.PRODUCT, stated.PRODUCT.diff(x), stated.PRODUCT.diff(s))
        )

    def split(self, v: Array) -> tuple[Array, Array]:
        """(x, θ)."""
        m = self.task.conditions
        return v[:m], v[m:]

    def objective(self, v: Array) -> tuple[float, Array]:
        """J and ∂J/∂v."""
        x, theta = self.split(v)
        found = self.task.residuals(theta, x, np.zeros_like(x))
        return self.task.objective(theta, x), np.concatenate([found.states, found.parameters])

    def equations(self, v: Array) -> Array:
        """∂L/∂λ of the affine network: c of smooth layers, s of ReLU layers."""
        x, theta = self.split(v)
        return self.task.residuals(theta, x, np.zeros_like(x)).constraints

    def jacobian(self, v: Array) -> Array:
        """∂(c, s)/∂v; SLSQP asks three times at each v."""
        if self._last is None or not np.array_equal(self._last[0], v):
            x, theta = self.split(v)
            kkt = self.task.kkt(theta, x, np.zeros_like(x))
            self._last = v.copy(), kkt.jacobian.toarray()
        return self._last[1]

    def product(self, v: Array) -> Array:
        """X s."""
        x, _ = self.split(v)
        found: Array = self._product(x[self.relu], self.equations(v)[self.relu])
        return found

    def product_jacobian(self, v: Array) -> Array:
        """∂(x s)/∂v, by the chain rule from SymPy's partial derivatives."""
        x, s = self.split(v)[0][self.relu], self.equations(v)[self.relu]
        by_x, by_s = (np.broadcast_to(by(x, s), x.shape)[:, None] for by in self._by)
        found: Array = by_x * self._selected() + by_s * self.jacobian(v)[self.relu]
        return found

    def _selected(self) -> Array:
        """∂x/∂v for the states of ReLU layers."""
        size = self.task.conditions + self.task.size
        found: Array = np.eye(size)[: self.task.conditions][self.relu]
        return found

    def constraints(self, t: float) -> list[dict[str, Any]]:
        """As SLSQP takes them: equations, x ≥ 0, s ≥ 0, t − x s ≥ 0."""
        smooth = ~self.relu

        def row(kind: str, fun: Callable[[Array], Array], jac: Callable[[Array], Array]) -> Any:
            return {"type": kind, "fun": fun, "jac": jac}

        found = [
            row("ineq", lambda v: self.split(v)[0][self.relu], lambda _: self._selected()),
            row("ineq", lambda v: self.equations(v)[self.relu],
                lambda v: self.jacobian(v)[self.relu]),
            row("ineq", lambda v: t - self.product(v), lambda v: -self.product_jacobian(v)),
        ]  # fmt: skip
        if smooth.any():
            found.insert(0, row("eq", lambda v: self.equations(v)[smooth],
                                lambda v: self.jacobian(v)[smooth]))  # fmt: skip
        return found

    def multipliers(self, v: Array, m: Array) -> tuple[Array, Array, Array]:
        """λ of the equations, α̂ and β̂, from SLSQP's, whose Lagrangian is J − ⟨m, g⟩."""
        n = int(self.relu.sum())
        lam, (alpha, beta, gamma) = -m[: -3 * n], np.split(m[-3 * n :], 3)
        x, s = self.split(v)[0][self.relu], self.equations(v)[self.relu]
        by_x, by_s = (np.broadcast_to(by(x, s), x.shape) for by in self._by)
        return lam, alpha - gamma * by_x, beta - gamma * by_s

    def optimality(self, v: Array, lam: Array, alpha: Array, beta: Array) -> float:
        """‖∂L/∂(x, θ)‖∞: by the generated residuals, with −β̂ as the multiplier of s."""
        x, theta = self.split(v)
        whole = np.zeros(self.task.conditions)
        whole[self.relu], whole[~self.relu] = -beta, lam
        found = self.task.residuals(theta, x, whole)
        by_x = found.states.copy()
        by_x[self.relu] -= alpha
        return float(max(np.abs(by_x).max(), np.abs(found.parameters).max()))

    def subgradient(self, theta: Array, slopes: tuple[Array, ...]) -> Array:
        """∂J/∂θ of the ReLU network if its ReLUs had these slopes, by generated residuals.

        In the affine network ∂L/∂x = m − Wᵀm⁺ for the multiplier m of s, so that Wᵀm⁺ is λ of the
        ReLU network and its μ is the slope times that; from the last layer to the first.
        """
        x, whole = _states(self.problem, self.task, theta), np.ones(self.task.conditions)
        whole[self.relu] = np.concatenate([slope.ravel() for slope in slopes])
        m = np.zeros_like(x)
        for _ in self.problem.layers:
            m = whole * (m - self.task.residuals(theta, x, m).states)
        return np.asarray(self.task.residuals(theta, x, m).parameters)

    def by_layer(self, values: Array) -> tuple[Array, ...]:
        """Values of the states of ReLU layers, each (M, n_k)."""
        whole = np.zeros(self.task.conditions)
        whole[self.relu] = values
        arrays = self.task.shapes.arrays(whole)
        return tuple(np.asarray(arrays[k]) for k in self.layers)


def solve_relu(
    problem: Problem,
    X: Any,
    Y: Any,
    theta: Any = None,
    *,
    seed: int = 0,
    start: float = 1.0,
    last: float = LAST,
    maxiter: int = 500,
) -> ReluSolution:
    """Solve a small ReLU network as a complementarity problem, t from ``start`` to ``last``.

    Parameters
    ----------
    problem : Problem
        A chain with relu layers.
    X, Y : array_like
        Data.
    theta : optional
        Flat parameters to start from; by default random ones of ``seed``.
    start, last : float
        The first and the last relaxation.

    Returns
    -------
    ReluSolution

    Raises
    ------
    ProblemError
        Without a relu layer, or with more than 200 variables.
    """
    from scipy.optimize import minimize  # here, because the import takes a while

    relaxed = Relaxed(problem, X, Y)
    task = relaxed.task
    flat = task.initial(seed) if theta is None else np.asarray(theta, float)
    v, t = np.concatenate([_states(problem, task, flat), flat]), start
    while True:
        found = minimize(relaxed.objective, v, jac=True, method="SLSQP",
                         constraints=relaxed.constraints(t),
                         options={"ftol": 1e-15, "maxiter": maxiter})  # fmt: skip
        v = found.x
        if t <= last:
            break
        t = max(t * SHRINK, last)
    lam, alpha, beta = relaxed.multipliers(v, np.asarray(found.multipliers))
    x, theta_found = relaxed.split(v)
    equations = relaxed.equations(v)
    outside = np.concatenate([-x[relaxed.relu], -equations[relaxed.relu],
                              relaxed.product(v) - t, np.abs(equations[~relaxed.relu])])  # fmt: skip
    return ReluSolution(
        theta=theta_found,
        x=relaxed.by_layer(x[relaxed.relu]),
        slack=relaxed.by_layer(equations[relaxed.relu]),
        alpha=relaxed.by_layer(alpha),
        beta=relaxed.by_layer(beta),
        fun=float(found.fun),
        violation=float(np.maximum(outside, 0.0).max()),
        optimality=relaxed.optimality(v, lam, alpha, beta),
        t=t,
        message=str(found.message),
    )


def _states(problem: Problem, task: Task, theta: Array) -> Array:
    """Feasible states: those of the network with its ReLU."""
    network = generate(derive(problem))
    return task.shapes.flat(network.forward(network.unpack(theta), task.X), "states")
