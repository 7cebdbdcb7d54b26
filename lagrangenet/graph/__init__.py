"""Networks as graphs of constraints: states that feed several constraints, shared parameters.

A constraint says by which layer a state is determined, and from what:

    Constraint("x2", "dense", "x1", m=3, activation="tanh", W="w1")

A graph is frozen and comparable, and round-trips through TOML. The sizes of all arrays follow from
the inputs and the layers' equations; what does not fit together is refused here, by name.
"""

from lagrangenet.graph.constraint import Constraint
from lagrangenet.graph.graph import Graph
from lagrangenet.graph.sizes import Length, Use

__all__ = ["Constraint", "Graph", "Length", "Use"]
