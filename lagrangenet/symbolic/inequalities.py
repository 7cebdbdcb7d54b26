"""Inequalities g ≤ 0 in a Lagrangian L + ⟨ν, g⟩: what is derived for them beside ∂L/∂v = 0.

An inequality brings g = ∂L/∂ν ≤ 0, the sign ν ≥ 0 of its multiplier and complementarity ν g = 0.
Its residual g is read off L by SymPy's derivative, as every other condition is. A Lagrangian with
inequalities names their multipliers; it has the index form only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.complementarity import ComplementarityLagrangian
from lagrangenet.symbolic.display import Equation
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.limited import LimitedLagrangian
from lagrangenet.symbolic.printing import terms, text
from lagrangenet.symbolic.stationarity import CONDITIONS, Condition, Row, abbreviate, stages
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tidy import tidy


@dataclass(frozen=True)
class Inequality:
    """g ≤ 0, ν ≥ 0 and ν g = 0.

    Attributes
    ----------
    label, title : str
    multiplier : sympy.Indexed
        ν.
    residual : sympy.Expr
        g = ∂L/∂ν.
    """

    label: str
    title: str
    multiplier: sp.Indexed
    residual: sp.Expr

    def written(self, style: str | Text = "text") -> tuple[str, str, str]:
        """The three statements: feasibility, sign, complementarity."""
        chosen = named_style(style)
        zero, at_most = chosen.number("0"), chosen.at_most
        at_least = {"≤": "≥", r"\le": r"\ge"}.get(at_most.strip(), ">=")
        g, nu = text(self.residual, chosen), text(self.multiplier, chosen)
        product = tidy(sp.expand_mul(self.multiplier * self.residual))
        both = text(sp.factor_terms(product), chosen)
        return (
            chosen.relation(g, at_most.strip(), zero),
            chosen.relation(nu, at_least, zero),
            chosen.relation(both, "=", zero),
        )

    def __str__(self) -> str:
        return f"({self.label})  {',  '.join(self.written())}"


def inequalities(
    lagrangian: LimitedLagrangian | ComplementarityLagrangian,
) -> tuple[Inequality, ...]:
    """The inequalities of a Lagrangian, each with the sign and complementarity of its multiplier."""
    found = []
    for row in lagrangian.rows:
        residual = _without_kinds(stages(lagrangian, row).decided)
        found.append(Inequality(row.label, row.title, row.wrt, abbreviate(tidy(residual))))
    return tuple(found)


def conditions(lagrangian: Lagrangian) -> tuple[Condition, ...]:
    """∂L/∂v = 0 for states, parameters and multipliers of equations, by kind of layer.

    A condition in which its usual unknown does not occur is left as ∂L/∂v = 0.
    """
    return tuple(
        condition
        for row in CONDITIONS
        if lagrangian.expr.has(row.wrt.base)
        for condition in _of_row(lagrangian, row)
    )


def _of_row(lagrangian: Lagrangian, row: Row) -> Iterator[Condition]:
    layer = l.N if row.layers == "output" else l.k
    residual = abbreviate(tidy(stages(lagrangian, row).decided))
    wrt = row.wrt.xreplace({l.k: layer})
    unknown = None if row.unknown is None else row.unknown.xreplace({l.k: layer})
    members = residual.atoms(l.Member)
    for kind in lagrangian.kinds if members else (None,):
        only = tidy(residual.xreplace({m: sp.Integer(m.args[1] == kind) for m in members}))
        if only == 0:
            continue
        solution = None
        if unknown is not None and not (only - unknown).has(unknown):
            solution = tidy(sp.expand_mul(unknown - only))
        yield Condition(
            row.label, row.title, wrt, row.layers, only,
            unknown if solution is not None else None, solution, kind, layer if kind else None,
        )  # fmt: skip


def _without_kinds(expr: sp.Expr) -> sp.Expr:
    """An inequality holds where it is declared: its bracket is 1 there."""
    return expr.xreplace(dict.fromkeys(expr.atoms(l.Member), sp.S.One))


def written(condition: Condition, style: str | Text = "text") -> Equation:
    """A condition, solved or as ∂L/∂v = 0 where nothing is solved for and v is a state."""
    chosen = named_style(style)
    if condition.unknown is not None:
        assert condition.solution is not None
        left, right = text(condition.unknown, chosen), condition.solution
        return Equation(
            condition.label, condition.title, left, "=", tuple(terms(right, chosen)), chosen
        )
    slope = chosen.derivative(chosen.name("lagrangian"), text(condition.wrt, chosen))
    summands = tuple(terms(condition.residual, chosen))
    return Equation(condition.label, condition.title, slope, "=", summands, chosen)
