"""The vectorized form: weights as one column w, the rows of W one after the other.

    W v = (I ⊗ vᵀ) w        the column of u vᵀ = (I ⊗ v) u

These two identities turn the matrix form of a condition into the vectorized one, a = B w with
B = I ⊗ oᵀ, so its gradient is that of the same condition. Where the transpose of W acts
(the backward pass) it stays a matrix. What is not linear in W in one of these ways is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t

#: The axis of a column of weights: p and q run together, q faster.
PAIR = sp.Symbol("pq", integer=True, positive=True)
_WEIGHTS = {"W", "W_dot"}


@dataclass(frozen=True)
class Vec(t.Node):
    """The rows of a matrix as one column."""

    arg: t.Ref


@dataclass(frozen=True)
class Blocks(t.Node):
    """I ⊗ vᵀ (``wide``) or I ⊗ v, with an identity matrix of that size: v once per row of W."""

    size: t.Number
    vector: t.Node
    wide: bool = True


def vectorized(node: t.Node, layer: sp.Expr) -> t.Node:
    """A tree of the matrix form in the vectorized form; a matrix becomes a column.

    Parameters
    ----------
    node : Node
        A tree with vectors of one sample.
    layer : sympy.Expr
        The layer of the weights, where the tree itself is a matrix: ∂L/∂W^k.

    Examples
    --------
    >>> from lagrangenet.symbolic.printing import text
    >>> x, w = t.Ref((l.q,), "X", l.k - 1), t.Ref((l.p, l.q), "W", l.k)
    >>> text(vectorized(t.MatMul((l.p,), w, x), l.k))
    '(I ⊗ x_i^{k−1}ᵀ) w^k'
    """
    return _column(node, layer) if len(node.axes) == 2 else node.map(_applied)


def _applied(node: t.Node) -> t.Node:
    """W v as (I ⊗ vᵀ) w; Ω(W) as Ω(w)."""
    if isinstance(node, t.MatMul) and len(node.right.axes) == 1:
        left = node.left
        if isinstance(left, t.Ref) and left.name in _WEIGHTS:
            blocks = Blocks((left.axes[0], PAIR), t.scalar(l.n(left.layer)), node.right)
            return t.MatMul(node.axes, blocks, Vec((PAIR,), left))
    if isinstance(node, t.Reduced) and not node.axes and len(node.arg.axes) == 2:
        return replace(node, arg=_column(node.arg, sp.S.Zero))
    return node


def _column(node: t.Node, layer: sp.Expr) -> t.Node:
    """A tree over the axes of W as a column."""
    if len(node.axes) < 2:
        return node.map(_applied)
    if isinstance(node, t.Ref) and node.name in _WEIGHTS:
        return Vec((PAIR,), node)
    if isinstance(node, t.Outer):
        row, left = node.axes[0], node.left.map(_applied)
        blocks = Blocks((PAIR, row), t.scalar(l.n(layer)), node.right.map(_applied), wide=False)
        return t.MatMul((PAIR,), blocks, left)
    parts = ("plus", "minus", "factors", "divisors", "args", "base", "arg")
    if not isinstance(node, t.Total | t.Product | t.Call | t.Power | t.Over):
        raise DerivationError(f"no vectorized form of {type(node).__name__} over {node.axes}")
    changed = {
        name: tuple(_column(v, layer) for v in value)
        if isinstance(value, tuple)
        else _column(value, layer)
        for name, value in vars(node).items()
        if name in parts
    }
    return replace(node, axes=(PAIR,), **changed)  # type: ignore[arg-type]
