"""What the objective contributes: −∂J/∂x at the output, +∂J/∂W at penalized parameters.

Differentiated once for each number of axes, in local names; ℓ and ω stay opaque.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from lagrangenet.layers.equation import M, Shape
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.graphs.elimination import Part, parts
from lagrangenet.symbolic.graphs.pieces import base, dotted
from lagrangenet.symbolic.tangent import tangent

Limits = tuple[tuple[sp.Symbol, sp.Expr, sp.Expr], ...]
#: At free indices of an array: the indices, and the parts whose sum is the derivative.
Derivative = tuple[tuple[sp.Symbol, ...], tuple[Part, ...]]
_LOCAL = "local"


def index(letter: str) -> sp.Symbol:
    """An index."""
    return sp.Symbol(letter, integer=True, positive=True)


def loss_term(name: str, shape: Shape) -> sp.Expr:
    """(1/M) Σ_i ℓ(y_i, x_i) of an output; its last axis is that of the components."""
    letters = ["i", *"tuv"[: len(shape) - 2], "p"]
    limits = [(index(v), a, b) for v, (a, b) in zip(letters, shape, strict=True)]
    *outer, (_, _, size) = limits
    labels = tuple(v for v, *_ in outer)
    value = l.ell(*labels, base(name)[(*labels, l.STAR)], size)
    return sp.Sum(value, *reversed(outer)) / M


def penalty_term(name: str, shape: Shape) -> sp.Expr:
    """ρ Σ ω(W) of one parameter."""
    limits = [(index(v), a, b) for v, (a, b) in zip("pqrstuv", shape, strict=False)]
    return l.rho * sp.Sum(l.omega(base(name)[tuple(v for v, *_ in limits)]), *limits)


def derivative(name: str, shape: Shape, order: int, output: bool) -> Derivative:
    """−∂J/∂x of the output, or ∂J/∂W of a penalized parameter; of J̇ for order 2."""
    local, free, found = _derivative(len(shape), order, output)
    swap = {size: high for size, (_, high) in zip(local, shape, strict=True)}
    names = {_LOCAL: name, dotted(_LOCAL): dotted(name)}

    def rename(e: sp.Indexed) -> sp.Expr:
        return base(names[str(e.base.label)])[e.indices]

    def is_local(e: sp.Expr) -> bool:
        return isinstance(e, sp.Indexed) and str(e.base.label) in names

    renamed = (part.xreplace(swap) for part in found)
    return free, tuple(
        Part(part.factor.replace(is_local, rename), part.bound, part.guards, part.stores)
        for part in renamed
    )


@cache
def _derivative(
    axes: int, order: int, output: bool
) -> tuple[tuple[sp.Symbol, ...], tuple[sp.Symbol, ...], tuple[Part, ...]]:
    """The same for an array called ``local``, and the symbols of its sizes."""
    sizes = tuple(index(f"size{j}") for j in range(axes))
    if output:
        sizes = (M, *sizes[1:])
    shape = tuple((sp.S.One, size) for size in sizes)
    expr = -loss_term(_LOCAL, shape) if output else penalty_term(_LOCAL, shape)
    if order == 2:
        expr = tangent(expr, {base(_LOCAL): base(dotted(_LOCAL))})
    letters = ["i", *"tuv"[: axes - 2], "p"] if output else list("pqrstuv"[:axes])
    free = tuple(sp.Dummy(v, integer=True, positive=True) for v in letters)
    ranges = dict(zip(free, shape, strict=True))
    return sizes, free, parts(expr.diff(base(_LOCAL)[free]), ranges, True, frozenset())
