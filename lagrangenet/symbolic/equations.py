"""A condition as an equation: in a form, a format and a notation, for symbolic or concrete layers.

The condition says what is equal to what; here is only decided how it reads: the layer at which the
recursion is written, rows or columns, ∂ or ∇, = or ←.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.display import Equation
from lagrangenet.symbolic.matrix_form import MatrixWriter
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.printing import check_form, terms, text
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tangent import at_inputs, without
from lagrangenet.symbolic.tensor import Node, Ref, instantiate
from lagrangenet.symbolic.vectorized import vectorized

if TYPE_CHECKING:
    from lagrangenet.symbolic.stationarity import Condition

ERRORS = ("Delta", "delta", "Delta_dot", "delta_dot")


def equation(
    condition: Condition,
    form: str = "index",
    style: str | Text = "text",
    layer: int | None = None,
    depth: int | None = None,
) -> Equation:
    """The condition, solved for its unknown if it has one; parameters as in ``Condition``."""
    chosen = named_style(style)
    given = ((l.k, layer), (l.N, depth))
    values = {symbol: sp.Integer(number) for symbol, number in given if number is not None}
    last = values.get(l.N, l.N)
    rows = check_form(form) == "matrix" and _in_rows(condition, chosen)
    labels = "" if form == "batch" else "i"
    if form == "index":
        left, right = (at_inputs(e.xreplace(values)) for e in sides(condition))
    else:
        left, right = (tree(condition, e, form, values) for e in sides(condition))
    if rows and isinstance(left, Ref) and left.name == "Delta":
        writer = MatrixWriter(chosen, labels, last, rows)
        head, summands = writer.row(left), [writer.row(right)]
    else:
        head = text(left, chosen, labels, last, rows)
        summands = terms(right, chosen, labels, last, rows)
    if condition.unknown is None:
        head = _slope(condition, form, chosen, head)
    errors = _names(sides(condition)[0]) & set(ERRORS)
    sign = "←" if errors and chosen.notation.error == "overwritten" else "="
    return Equation(condition.label, condition.title, head, sign, tuple(summands), chosen)


def step(condition: Condition, form: str, style: Text) -> Equation:
    """A step v ← v − η ∂L/∂v of gradient descent along a condition that is not solved."""
    wrt = condition.wrt if form == "index" else tree(condition, condition.wrt, form, {})
    name = text(wrt, style, "" if form == "batch" else "i")
    slope = style.dot.join([style.name("eta"), _slope(condition, form, style, name)])
    title = condition.title.replace("gradient", "update")
    return Equation("", title, name, "←", (name, f"{style.minus} {slope}"), style)


def sides(condition: Condition) -> tuple[sp.Expr, sp.Expr]:
    """What is equal: unknown and solution; or, where nothing is solved for, v and ∂L/∂v."""
    if condition.unknown is None:
        return condition.wrt, condition.residual
    assert condition.solution is not None
    return condition.unknown, condition.solution


def tree(condition: Condition, expr: sp.Expr, form: str, values: dict[sp.Symbol, sp.Expr]) -> Node:
    """One side as array operations, in the matrix, batch or vectorized form."""
    node = condition.tree(expr, form == "batch")
    if form == "vec":
        node = vectorized(node, condition.wrt.indices[0])
    return without(instantiate(node, values), frozenset())


def _names(expr: sp.Expr) -> set[str]:
    return {str(e.base.label) for e in expr.atoms(sp.Indexed)}


def placed(condition: Condition, notation: Notation) -> Condition:
    """The recursion in Δ from k+1 to k; where the notation prefers it, from k to k−1."""
    unknown = condition.unknown
    if notation.recursion == "k" or condition.layers != "hidden" or unknown is None:
        return condition
    if not _names(unknown) & {"Delta", "Delta_dot"}:
        return condition
    down = {l.k: l.k - 1}
    moved = {
        name: getattr(condition, name).xreplace(down)
        for name in ("wrt", "unknown", "solution", "residual", "kind_of")
        if getattr(condition, name) is not None
    }
    return replace(condition, **moved)


def _in_rows(condition: Condition, style: Text) -> bool:
    """Whether Δ is a row: where a notation wants it, and no δ stands beside it."""
    names = _names(condition.residual) & set(ERRORS)
    return style.notation.orientation == "row" and names == {"Delta"}


def _slope(condition: Condition, form: str, style: Text, by: str) -> str:
    """∂L/∂W, or ∇_W J."""
    of = condition.of(style)
    if form != "index" and style.notation.derivative == "nabla":
        return style.nabla(of, by)
    return style.derivative(of, by)
