"""How far a point of a graph is from the nearest kink, by the graph's states and its oracle.

Ties of a maximum (max pooling) are not looked for: which of two equal entries is taken changes no
value, but may change a derivative.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.graph import Graph
from lagrangenet.verify import written_out
from lagrangenet.verify.differences import loss_distance, penalty_kinks
from lagrangenet.verify.graph_oracle import GraphOracle
from lagrangenet.verify.varying import Array, Arrays


def graph_kink_distance(
    graph: Graph, theta: Arrays, inputs: Arrays, Y: Array, states: Arrays
) -> float:
    """The smallest |z − kink| over all activations, outputs and penalized parameters.

    Parameters
    ----------
    graph : Graph
    theta, inputs, Y
        The point and the data.
    states : mapping
        The states at that point. Where an activation's argument is none of them, as in a gate
        σ(V u) x, the oracle evaluates it, entry by entry.

    Examples
    --------
    >>> from lagrangenet.graph import Constraint
    >>> graph = Graph({"x": 1}, [Constraint("y", "dense", "x", m=1, activation="relu")])
    >>> theta, X = {"W_y": np.array([[2.0]]), "b_y": np.array([-1.0])}, np.array([[1.0]])
    >>> states = GraphOracle(graph).forward(theta, {"x": X})
    >>> graph_kink_distance(graph, theta, {"x": X}, X, states)
    1.0
    """
    nearest = loss_distance(graph, np.asarray(states[graph.output]), Y)
    for array in theta.values():
        if np.ndim(array) > 1 or graph.penalizes_biases:
            nearest = min([nearest, *(np.abs(array - k).min() for k in penalty_kinks(graph))])
    for choice, z in _arguments(GraphOracle(graph), theta, inputs, states):
        nearest = min([nearest, *(np.abs(z - kink).min() for kink in _kinks(choice))])
    return float(nearest)


def _arguments(
    oracle: GraphOracle, theta: Arrays, inputs: Arrays, states: Arrays
) -> Iterator[tuple[Choice, Array]]:
    """What each activation that has kinks is applied to: a state, or what the oracle finds."""
    for node in oracle.nodes:
        choice, local = node.constraint.activation, node.equations.preactivation
        if choice is None or not _kinks(choice):
            continue
        if local not in node.equations.states:
            yield from oracle.arguments(theta, inputs).items()
            return
        yield choice, np.asarray(states[node.names[local]])


def _kinks(choice: Choice) -> list[float]:
    entry = ACTIVATIONS[choice.name]
    found = (*entry.kinks, *entry.creases)
    return [float(written_out.bound(entry, choice, kink)) for kink in found]
