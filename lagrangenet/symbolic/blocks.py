"""The blocks of ∇²L in index form: ∂²L/∂u∂v for every pair of variables of the Lagrangian.

∂L̇/∂u is linear in the tangents v̇ and its coefficients are ∂²L/∂u∂v. So the blocks are read off the
conditions (T0) to (T6), by SymPy's derivative with respect to v̇; the rows of a multiplier are the
Jacobian of its constraint. A block couples layer k with layer k − 1, k or k + 1 and with no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse, differentiate
from lagrangenet.symbolic.lagrangian import affine
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import Condition, stationarity
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tangent import TangentLagrangian, tangent
from lagrangenet.symbolic.tidy import tidy, with_dummies

#: Sample and components of the variable that is differentiated by second.
j, r, s = sp.symbols("j r s", integer=True, positive=True)


@dataclass(frozen=True)
class Block:
    """∂²L/∂u∂v at a symbolic layer, for all components of u and v.

    Attributes
    ----------
    rows, columns : sympy.Indexed
        u, with free indices k (or N), i, p, q; and v, with free indices j, r, s.
    layers : str
        The layers of u it holds for: ``all``, ``hidden`` (k < N) or ``output`` (k = N), as far as
        the layer of v is one of 1..N.
    expr : sympy.Expr
        The second derivative; Kronecker deltas say where it is not zero.
    kind, kind_of : sympy.Symbol and sympy.Expr, or None
        As in :class:`~.stationarity.Condition`.
    label : str
        The condition of the tangent Lagrangian that it was read off.
    """

    rows: sp.Indexed
    columns: sp.Indexed
    layers: str
    expr: sp.Expr
    label: str
    kind: sp.Symbol | None = None
    kind_of: sp.Expr | None = None

    def equation(self, style: str | Text = "text") -> str:
        """``∂²L/∂u∂v = ...`` in index form."""
        chosen = named_style(style)
        above = chosen.power(chosen.partial.strip(), "2") + "L"
        below = "".join(chosen.partial + text(v, chosen) for v in (self.rows, self.columns))
        return f"{chosen.fraction(above, below)} = {text(self.expr, chosen)}"

    def __str__(self) -> str:
        where = "" if self.kind is None else f", layer {text(self.kind_of)} {self.kind}"
        return f"({self.label}{where})  {self.equation()}"

    def _repr_latex_(self) -> str:
        return f"$$ {self.equation('latex')} $$"


@cache
def hessian_blocks(lagrangian: TangentLagrangian) -> tuple[Block, ...]:
    """Every block of ∇²L that is not zero, for symbolic depth, widths and batch.

    Examples
    --------
    >>> blocks = hessian_blocks(TangentLagrangian("preactivation"))
    >>> for block in blocks[:4]:
    ...     print(block)
    (T0)  ∂²L/∂μ_ip^k∂x_jr^{k−1} = −W_pr^k δ_ij
    (T0)  ∂²L/∂μ_ip^k∂z_jr^k = δ_ij δ_pr
    (T0)  ∂²L/∂μ_ip^k∂W_rs^k = −x_is^{k−1} δ_pr
    (T0)  ∂²L/∂μ_ip^k∂b_r^k = −δ_pr
    """
    lifted = lagrangian.splitting == "preactivation"
    return tuple(
        block
        for condition in stationarity(lagrangian)
        for block in _blocks(
            condition, with_dummies(condition.residual if lifted else _opened(condition))
        )
    )


def _opened(condition: Condition) -> sp.Expr:
    """∂L̇/∂u with Ẇ x + W ẋ + ḃ in place of ż, which is no variable of the activation splitting."""
    return condition.residual.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == l.TANGENTS[l.Z],
        lambda e: tangent(affine(*e.indices)),
    )


def _blocks(condition: Condition, residual: sp.Expr) -> Iterator[Block]:
    layer = condition.wrt.indices[0]
    for variable, moved in l.TANGENTS.items():
        if not residual.has(moved):
            continue
        for other in (layer - 1, layer, layer + 1):
            free = {l.W: (r, s), l.b: (r,)}.get(variable, (j, r))
            sizes = dict(zip(free, l.widths_of(variable, other), strict=True))
            ranges = {index: (sp.S.One, size) for index, size in (sizes | _rows(layer)).items()}
            expr = tidy(collapse(differentiate(residual, moved[other, *free]), ranges))
            if expr != 0:
                yield Block(
                    condition.wrt,
                    variable[other, *free],
                    condition.layers,
                    expr,
                    condition.label,
                    condition.kind,
                    condition.kind_of,
                )


def _rows(layer: sp.Expr) -> dict[sp.Symbol, sp.Expr]:
    """The extents of the free indices of a condition."""
    return {l.i: l.M, l.p: l.n(layer), l.q: l.n(layer - 1)}
