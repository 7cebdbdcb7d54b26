"""The derivation of a graph: its Lagrangian and every condition, each printable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lagrangenet.graph import Graph
from lagrangenet.symbolic.graphs.network import Network, NetworkCondition, network
from lagrangenet.symbolic.graphs.writing import lagrangian_equation, title, written
from lagrangenet.symbolic.styles import Text, named_style


@dataclass(frozen=True)
class GraphDerivation:
    """Every stage from a declared graph to its stationarity conditions.

    Attributes
    ----------
    problem : Graph
    order : {1, 2}
        Whether the conditions of the tangent Lagrangian are printed too.

    Examples
    --------
    >>> from lagrangenet.graph import Constraint
    >>> graph = Graph({"x": 2}, [Constraint("y", "affine", "x", m=1)])
    >>> print(GraphDerivation(graph))
    L = (1/M) Σ_{i=1}^{M} ℓ(y_i, y_i) + Σ_{i=1}^{M} Σ_{p=1}^{m_y} λ^y_{i,p} (y_{i,p} − …)
    """

    problem: Graph
    order: int = 1

    @cached_property
    def network(self) -> Network:
        """The conditions as formulas: guards rather than orders to store."""
        return network(self.problem, store=False)

    @property
    def stationarity(self) -> tuple[NetworkCondition, ...]:
        """∂L/∂λ, ∂L/∂x and ∂L/∂θ = 0 for every array; for order 2, those of L̇ too."""
        first = self.network.conditions(1)
        return first if self.order == 1 else (*first, *self.network.conditions(2))

    def equations(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> list[tuple[str, str, str]]:
        """Every condition as (label, meaning, equation)."""
        chosen = named_style(style)
        return [(c.label, f"{title(c)}, {c.wrt}", written(c, chosen)) for c in self.stationarity]

    def __str__(self) -> str:
        rows = [f"({label})  {equation}" for label, _, equation in self.equations()]
        return "\n".join([lagrangian_equation(self.network, named_style("text")), "", *rows])

    def _repr_latex_(self) -> str:
        rows = [lagrangian_equation(self.network, named_style("latex"))]
        rows += [equation for _, _, equation in self.equations("index", "latex")]
        return "$$\\begin{gathered}" + r"\\ ".join(rows) + "\\end{gathered}$$"
