"""The derivation of a graph: its Lagrangian and every condition, each printable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lagrangenet.errors import DerivationError
from lagrangenet.graph import Graph
from lagrangenet.symbolic.display import Equation, display, stacked, table
from lagrangenet.symbolic.graphs.blocks import GraphBlock, hessian_blocks
from lagrangenet.symbolic.graphs.network import Network, NetworkCondition, network
from lagrangenet.symbolic.graphs.writing import equation, lagrangian_equation
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
    >>> graph = Graph({"x0": 2}, [Constraint("x1", "affine", "x0", m=1)])
    >>> print(GraphDerivation(graph))
    L = (1/M) Σ_{i=1}^{M} ℓ(y_i, x_i¹)
        + Σ_{i=1}^{M} Σ_{p=1}^{m^{x1}} λ_ip^{x¹} (x_ip¹ − (Σ_{q=1}^{n^{x0}} W_pq^{x1} x_iq⁰ + b_p^{x1}))
    <BLANKLINE>
    (S1)  x_ip¹ = Σ_{q=1}^{n^{x0}} W_pq^{x1} x_iq⁰ + b_p^{x1}
    (S2)  λ_ip^{x¹} = −(1/M) ∂ℓ(y_i, x_i¹)/∂x_ip¹
    (S5)  ∂L/∂W_pq^{x1} = −Σ_{i=1}^{M} λ_ip^{x¹} x_iq⁰
    (S5)  ∂L/∂b_p^{x1} = −Σ_{i=1}^{M} λ_ip^{x¹}
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

    @cached_property
    def hessian_blocks(self) -> tuple[GraphBlock, ...]:
        """∂²L/∂u∂v for every pair of variables that meet in a constraint."""
        return hessian_blocks(self.network)

    def equations(
        self, form: str = "index", style: str | Text = "text"
    ) -> list[tuple[str, str, str]]:
        """Every condition as (label, meaning, equation)."""
        rows = self.written(form, style)
        return [(row.label, row.title, str(row)) for row in rows]

    def written(self, form: str = "index", style: str | Text = "text") -> list[Equation]:
        """Every condition as an equation in its parts; a graph has the index form only.

        Raises
        ------
        DerivationError
            For another form.
        """
        if form != "index":
            raise DerivationError(f"a graph is written in index form, not in {str(form)!r} form")
        chosen = named_style(style)
        return [equation(condition, chosen) for condition in self.stationarity]

    def lagrangian(self, style: str | Text = "text") -> Equation:
        """L as an equation in its parts."""
        return lagrangian_equation(self.network, named_style(style))

    def __str__(self) -> str:
        rows = [f"({label})  {equation}" for label, _, equation in self.equations()]
        return "\n".join([stacked(self.lagrangian()), "", *rows])

    def _repr_latex_(self) -> str:
        rows = [str(self.lagrangian("latex"))]
        rows += [equation for _, _, equation in self.equations("index", "latex")]
        return "$$\\begin{gathered}" + r"\\ ".join(rows) + "\\end{gathered}$$"

    def _repr_html_(self) -> str:
        shown = display(self.lagrangian("mathml"))
        return f"<div>{shown}{table(self.written('index', 'mathml'))}</div>"
