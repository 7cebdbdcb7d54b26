"""A graph's full-space problem solved by SciPy: states and parameters as variables.

    minimize J(x, θ)  subject to  x − f(x, θ) = 0

SLSQP sees the brute-force oracle alone. Its solution, its own multipliers included, is put into the
generated routines. J gets an L2 term in all parameters, so that a minimizer exists.
"""

from __future__ import annotations

import numpy as np

from lagrangenet import signs
from lagrangenet.functions.regularizers import L2
from lagrangenet.graph import Graph
from lagrangenet.verify.graph_oracle import GraphOracle, Point
from lagrangenet.verify.varying import Array, Arrays

#: Variables up to which a solution takes seconds.
LARGEST = 80
#: ρ of the L2 term.
STRENGTH = 2e-3
#: Tolerances of a certified solution: ‖c‖∞, and ‖∇_{x,θ} L‖∞ with SciPy's own multipliers.
FEASIBLE, OPTIMAL = 1e-9, 1e-7
RUNS, ITERATIONS = 3, 150


def regularized(graph: Graph) -> Graph:
    """The graph with an objective that has a minimizer."""
    term = L2(STRENGTH, biases=True)
    loss = graph.loss_entry.without_options(graph.loss)
    inputs, weights = dict(graph.inputs), graph.class_weights
    return Graph(inputs, graph.constraints, graph.output, loss, term, graph.name, weights)


class GraphSpace:
    """J, c and their derivatives as functions of one vector v = (x, θ)."""

    def __init__(self, oracle: GraphOracle, point: Point) -> None:
        self.oracle, self.point = oracle, point
        states = oracle.forward(point.theta, point.inputs)
        self.like = states
        self.names = [name for name in states if name not in oracle.constants]
        self.free = {n: np.zeros(states[n].shape, dtype=bool) for n in self.names}
        for n, mask in self.free.items():
            mask[oracle.within[n]] = True
        self.kept = np.concatenate(
            [*(self.free[n].ravel() for n in self.names),
             *(np.ones(a.size, dtype=bool) for a in point.theta.values())]
        )  # fmt: skip
        self.conditions = sum(int(mask.sum()) for mask in self.free.values())

    @property
    def size(self) -> int:
        """The number of variables."""
        return int(self.kept.sum())

    def pack(self, states: Arrays, theta: Arrays) -> Array:
        """V."""
        parts = [*(states[n][self.free[n]] for n in self.names), *map(np.ravel, theta.values())]
        return np.concatenate(parts)

    def unpack(self, v: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        """(x, θ)."""
        whole = np.zeros(self.kept.size)
        whole[self.kept] = v
        states = {n: x for n, x in self.like.items() if n in self.oracle.constants}
        theta, start = {}, 0
        for n in self.names:
            end = start + self.like[n].size
            states[n], start = whole[start:end].reshape(self.like[n].shape), end
        for n, a in self.point.theta.items():
            theta[n], start = whole[start : start + a.size].reshape(a.shape), start + a.size
        return states, theta

    def split(self, lam: Array) -> dict[str, Array]:
        """Multipliers by state."""
        found, start = {}, 0
        for n in self.names:
            shape = self.like[n][self.oracle.within[n]].shape
            end = start + int(np.prod(shape))
            found[n], start = lam[start:end].reshape(shape), end
        return found

    def at(self, v: Array) -> tuple[dict[str, Array], Point]:
        """States, and the point with θ."""
        states, theta = self.unpack(v)
        return states, Point(theta, self.point.inputs, self.point.Y)

    def objective(self, v: Array) -> tuple[float, Array]:
        """J and its derivatives by v."""
        states, point = self.at(v)
        value, slopes = self.oracle.objective_gradient(point, states)
        return value, np.concatenate([slopes[n].ravel() for n in [*self.names, *point.theta]])[
            self.kept
        ]

    def constraints(self, v: Array) -> tuple[Array, Array]:
        """C and its Jacobian, one row for each condition."""
        states, point = self.at(v)
        values, slopes = self.oracle.constraint_jacobian(point, states)
        c = np.concatenate([values[n][self.free[n]] for n in self.names])
        rows = np.concatenate([slopes[n][self.free[n]] for n in self.names])
        return c, rows[:, self.kept]

    def residuals(self, v: Array, lam: Array) -> tuple[float, float]:
        """‖c‖∞ and ‖∇_v L‖∞."""
        c, jacobian = self.constraints(v)
        return float(np.abs(c).max()), float(np.abs(self.objective(v)[1] + lam @ jacobian).max())


def solve_graph(space: GraphSpace, start: Array) -> tuple[Array, Array, str]:
    """v, λ in the package's sign, and a reason if the solution does not certify itself."""
    from scipy.optimize import minimize  # here, because it takes longer to import than the rest

    constraint = {
        "type": "eq",
        "fun": lambda v: space.constraints(v)[0],
        "jac": lambda v: space.constraints(v)[1],
    }
    v, lam, found = start, np.zeros(space.conditions), (np.inf, np.inf)
    for _ in range(RUNS):
        result = minimize(space.objective, v, jac=True, constraints=[constraint], method="SLSQP",
                          options={"ftol": 1e-15, "maxiter": ITERATIONS})  # fmt: skip
        v, lam = result.x, signs.from_slsqp(result.multipliers)
        found = space.residuals(v, lam)
        if found[0] <= FEASIBLE and found[1] <= OPTIMAL:
            return v, lam, ""
    return v, lam, f"SLSQP: violation {found[0]:.0e}, optimality {found[1]:.0e}; {result.message}"
