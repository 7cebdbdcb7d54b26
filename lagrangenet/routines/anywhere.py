"""J(x, θ) at any states, feasible or not.

The routine ``loss`` writes log x^N through z^N, which is exact where x^N = σ^N(z^N) and nowhere
else. A method whose states are unknowns of their own needs J, and with it ∂J/∂x, as stated.
"""

from __future__ import annotations

from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.routines.graph_ir import GraphProgram
from lagrangenet.routines.graphs import objective_of_graph
from lagrangenet.routines.ir import Program
from lagrangenet.routines.lower import objective_of_chain
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.graphs.network import network


def objective_anywhere(problem: Problem | Graph) -> Program | GraphProgram:
    """A program of the one routine ``objective(theta, states, Y)``.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> program = objective_anywhere(chain([2, 3], loss="cross_entropy"))
    >>> [line.target.name for line in program.routine("objective").body]
    ['J']
    """
    if isinstance(problem, Graph):
        return objective_of_graph(network(problem))
    return objective_of_chain(Derivation(problem))
