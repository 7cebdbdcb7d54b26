"""Activations and helpers written out: what is left are functions that every language has.

The trees are the stable forms of the catalogue, contracted as those of the conditions are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp

from lagrangenet.functions import ACTIVATIONS
from lagrangenet.functions import base as f
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.stable import evaluable, log_softplus, stably
from lagrangenet.symbolic.tensor import Node

_ARGUMENT = "Z"
#: Functions that every language has, or gets from its printer.
PRIMITIVE = frozenset(
    {
        "exp", "expm1", "log", "sqrt", "abs", "sign", "maximum", "minimum", "where", "zeros_like",
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "atanh",
        "logaddexp", "erf", "erfc", "ndtr", "positive", ">", ">=", "<", "<=",
    }
)  # fmt: skip
_top = f.Top(f.Z[f.r], f.r)
#: Functions that are no activations: the expression in Z and z, and a summary.
SPECIAL = {
    "logsumexp": (
        _top + sp.log(sp.Sum(sp.exp(f.Z[f.r] - _top), (f.r, 1, f.n))),
        "log sum_r exp(z_r) of every row, as a column",
    ),
    "log_softplus": (log_softplus.stable(), "log(log(1 + exp(z))), without underflow"),
    "positive": (None, "x, where what underflowed to 0 becomes the smallest normal number"),
}


def expanded(node: Node) -> Node:
    """A call of an activation or helper as the tree that computes it; any other node as it is.

    Examples
    --------
    >>> from lagrangenet.symbolic.printing import text
    >>> z = t.Ref((l.i, l.p), "Z", sp.Integer(1))
    >>> text(expanded(t.Call(z.axes, t.Fn("softplus"), (z,))), labels="")
    'logaddexp(0, z¹)'
    """
    if not isinstance(node, t.Call) or node.fn.name in PRIMITIVE:
        return node
    name = node.fn.name
    argument, *values = node.args
    found = _tree(name, node.axes)
    parameters = dict(zip(_parameters(name), values, strict=True))

    def change(one: Node) -> Node:
        if isinstance(one, t.Ref) and one.name == _ARGUMENT:
            return argument
        if isinstance(one, t.Number) and one.value.is_Symbol:
            return parameters.get(one.value.name, one)
        return expanded(one)  # silu is written with sigmoid

    return found.map(change)


@cache
def _tree(name: str, axes: t.Axes) -> Node:
    """The tree of a function at an array Z."""
    if name in SPECIAL:
        expr = SPECIAL[name][0]
    else:
        entry = ACTIVATIONS[name]
        expr = evaluable(stably(entry.expr)) if entry.stable is None else entry.stable
    own = (l.i, l.p)[: len(axes)]
    named = dict(zip(own, axes, strict=True))

    def change(one: Node) -> Node:
        one = replace(one, axes=tuple(named.get(axis, axis) for axis in one.axes))
        return replace(one, layer=None) if isinstance(one, t.Ref) else one

    return contract(at_state(expr), own).map(change)


def _parameters(name: str) -> list[str]:
    return [] if name in SPECIAL else sorted(ACTIVATIONS[name].parameters)


def at_state(expr: sp.Expr) -> sp.Expr:
    """The expression of an entry at the array Z^k, so that it can be contracted."""
    swapped = expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == f.Z,
        lambda e: l.Z[l.k, l.i, l.p if e.indices[0] == f.p else e.indices[0]],
    )
    return swapped.xreplace({f.z: l.Z[l.k, l.i, l.p], f.n: l.n(l.k)})
