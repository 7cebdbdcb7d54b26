"""The blocks of ∇²L of a graph: ∂²L/∂u∂v for every pair of variables that meet in a constraint.

∂L̇/∂u is linear in the tangents v̇, and its coefficients are the blocks: they are read off the
conditions (T1) to (T5) by SymPy's derivative with respect to v̇. The rows of a multiplier are the
Jacobian of its constraint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import sympy as sp

from lagrangenet.symbolic.collapse import differentiate
from lagrangenet.symbolic.graphs.elimination import parts
from lagrangenet.symbolic.graphs.network import Network, NetworkCondition
from lagrangenet.symbolic.graphs.objective import Limits
from lagrangenet.symbolic.graphs.pieces import base, dotted, multiplier
from lagrangenet.symbolic.graphs.writing import GraphWriter, readable
from lagrangenet.symbolic.styles import Text, named_style


@dataclass(frozen=True)
class GraphBlock:
    """∂²L/∂u∂v, for all subscripts of u and v.

    Attributes
    ----------
    label : str
        The condition that it was read off.
    rows, columns : sympy.Indexed
        u and v at free indices.
    expr : sympy.Expr
        The second derivative; Kronecker deltas say where it is not zero.
    """

    label: str
    rows: sp.Indexed
    columns: sp.Indexed
    expr: sp.Expr

    def equation(self, style: str | Text = "text") -> str:
        """``∂²L/∂u∂v = ...`` in index form."""
        chosen = named_style(style)
        writer = GraphWriter(chosen)
        both = (*self.rows.indices, *self.columns.indices)
        expr, free = readable(self.expr, both)
        count = len(self.rows.indices)
        u, v = (writer.write(array.base[at])[0] for array, at in
                ((self.rows, free[:count]), (self.columns, free[count:])))  # fmt: skip
        return f"{chosen.derivative(chosen.name('lagrangian'), u, v)} = {writer.write(expr)[0]}"

    def __str__(self) -> str:
        return f"({self.label})  {self.equation()}"

    def _repr_latex_(self) -> str:
        return f"$$ {self.equation('latex')} $$"


@cache
def hessian_blocks(network: Network) -> tuple[GraphBlock, ...]:
    """Every block of ∇²L that is not zero.

    Examples
    --------
    >>> from lagrangenet.graph import Constraint, Graph
    >>> from lagrangenet.symbolic.graphs.network import network
    >>> graph = Graph({"x0": 2}, [Constraint("x1", "affine", "x0", m=1)])
    >>> for block in hessian_blocks(network(graph, store=False)):
    ...     print(block)
    (T1)  ∂²L/∂λ_ip^{x¹}∂x_jq¹ = δ_ij δ_pq
    (T1)  ∂²L/∂λ_ip^{x¹}∂W_qr^{x1} = −x_ir⁰ δ_pq
    (T1)  ∂²L/∂λ_ip^{x¹}∂b_q^{x1} = −δ_pq
    (T2)  ∂²L/∂x_ip¹∂λ_jq^{x¹} = δ_ij δ_pq
    (T2)  ∂²L/∂x_ip¹∂x_jq¹ = (1/M) ∂²ℓ(y_i, x_i¹)/∂x_iq¹∂x_ip¹ δ_ij
    (T5)  ∂²L/∂W_pq^{x1}∂λ_jr^{x¹} = −x_jq⁰ δ_pr
    (T5)  ∂²L/∂b_p^{x1}∂λ_jq^{x¹} = −δ_pq
    """
    return tuple(b for condition in network.every_tangent for b in _blocks(network, condition))


def _blocks(network: Network, condition: NetworkCondition) -> Iterator[GraphBlock]:
    if condition.wrt.removeprefix("lambda_") in network.constants:
        return
    solved = condition.label != "T5"
    residual = condition.target - condition.expr if solved else condition.expr
    rows = base(condition.wrt)[condition.target.indices]
    for name, limits in _variables(network):
        moved = base(dotted(name))
        if not residual.has(moved):
            continue
        ranges = {v: (a, b) for v, a, b in (*condition.ranges, *limits)}
        free = tuple(v for v, *_ in limits)
        found = parts(sp.expand(differentiate(residual, moved[free])), ranges, False, frozenset())
        expr = sp.Add(*(part.expr for part in found))
        if expr != 0:
            yield GraphBlock(condition.label, rows, base(name)[free], expr)


def _variables(network: Network) -> Iterator[tuple[str, Limits]]:
    """Multipliers, states and parameters with free indices of their own."""
    shapes = network.graph.shapes
    states = [name for name in network.graph.states if name not in network.constants]
    named = [(multiplier(s), s) for s in states] + [(s, s) for s in states]
    named += [(p, p) for p in network.graph.parameters]
    for name, of in named:
        sampled = of in states
        letters = (["j"] if sampled else []) + list("qrsuvwabc")
        yield (
            name,
            tuple(
                (sp.Dummy(letter, integer=True, positive=True), sp.S.One, high)
                for letter, (_, high) in zip(letters, shapes[of], strict=False)
            ),
        )
