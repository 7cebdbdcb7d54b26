"""Checks of a graph's code at SciPy's solution of the constrained problem, in all its variables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lagrangenet.runtime import generate
from lagrangenet.symbolic.derivation import derive
from lagrangenet.verify.check import Array, Finding, Inapplicable, Inconclusive
from lagrangenet.verify.graph_oracle import GraphOracle, Point
from lagrangenet.verify.graph_solutions import LARGEST, GraphSpace, regularized, solve_graph
from lagrangenet.verify.graph_subject import Arrays, GraphSubject, ParameterCheck, blocks, worst


class GraphSolution(ParameterCheck):
    """The KKT conditions of the generated code at a solution that SLSQP found."""

    name = "SLSQP solution: ∇L of the generated code vanishes, backward pass gives its multipliers"
    tolerance = 1e-5
    reason = "absolute; a hundred times what SciPy is asked to reach"

    def measure(self, subject: GraphSubject) -> Finding:
        """Solve the problem of two samples with an L2 term, and evaluate the code there."""
        graph = regularized(subject.problem)
        if not graph.smooth:
            raise Inapplicable("the graph has kinks, at which the solver stops")
        rng = np.random.default_rng(subject.seed + 7)
        point = Point(subject.theta(rng, 1.0), *subject.rows(rng, 2))
        space = GraphSpace(GraphOracle(graph), point)
        if space.size > LARGEST:
            raise Inapplicable(
                f"{space.size} variables with {graph.size} parameters; "
                f"SLSQP solves up to {LARGEST} in seconds"
            )
        routines = generate(derive(graph, order=2))
        v, lam = self._solution(space, descended(routines, point))
        states, at = space.at(v)
        multipliers = space.split(lam)
        gradient = routines.residuals(*at, states, multipliers)
        backward = routines.backward(at.theta, at.inputs, states, at.Y)
        zero = {name: np.zeros(np.shape(array)) for name, array in gradient.items()}
        return worst([
            *blocks("∇L", gradient, zero, "∂L/∂"), *blocks("S3", backward, multipliers, "λ of ")
        ], absolute=True)  # fmt: skip

    @staticmethod
    def _solution(space: GraphSpace, theta: Arrays) -> tuple[Array, Array]:
        states = space.oracle.forward(theta, space.point.inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the solver breaks on shows in the residuals
            v, lam, reason = solve_graph(space, space.pack(states, theta))
        if reason:
            raise Inconclusive(reason)
        return v, lam


def descended(routines: Any, point: Point) -> Arrays:
    """A better start: some steps of a quasi-Newton method on the reduced problem."""
    from scipy.optimize import minimize  # here, because it takes longer to import than the rest

    start, data = routines.pack(point.theta), (point.inputs, point.Y)
    result = minimize(
        routines.fun, start, data, method="BFGS", jac=True, options={"gtol": 1e-4, "maxiter": 100}
    )
    theta: Arrays = routines.unpack(result.x)
    return theta
