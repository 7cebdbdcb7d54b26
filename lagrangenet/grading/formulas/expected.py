"""The derived side: conditions in a student's convention, as expressions, trees and normal forms.

Wrong lines are generated from them by the fault rules (:mod:`lagrangenet.grading.faults`) and brought
into normal form too, so that a wrong answer can be recognized.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.grading.faults import Mutant, Place, mutants
from lagrangenet.grading.formulas.conventions import (
    FAMILIES,
    Convention,
    conditions,
    lagrangian_parts,
    lagrangian_tree,
)
from lagrangenet.grading.formulas.conversion import indexed
from lagrangenet.grading.formulas.indexed import LAST, Tree, array_names
from lagrangenet.grading.formulas.normal import Rules, normal
from lagrangenet.grading.formulas.statements import Statement
from lagrangenet.grading.formulas.task import Task
from lagrangenet.grading.formulas.terms import Normal, TooLarge
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.lagrangian import Splitting, affine
from lagrangenet.symbolic.printing import terms, text
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.styles import Text
from lagrangenet.symbolic.tensor import Node

#: Pairs of mistakes are searched among the rules up to this cost.
PAIR_COST = 1.0
#: How many equations and conventions are kept.
KEPT = 1024


@dataclass(frozen=True, eq=False)
class Expected:
    """What the unknown of a line is equal to.

    Attributes
    ----------
    label : str
        Of the equation.
    expr : sympy.Expr
        The right-hand side in the student's convention.
    node : Node
        The same as array operations.
    axes : tuple of str
        Its free indices.
    layers : str
        ``all``, ``hidden`` or ``output``.
    condition : Condition or None
        Where it comes from; None for the Lagrangian.
    rules : Rules
        For its normal form.
    variables : frozenset of str
        The errors or multipliers in it.
    """

    label: str
    expr: sp.Expr
    node: Node
    axes: tuple[str, ...]
    layers: str
    condition: Condition | None
    rules: Rules
    variables: frozenset[str] = frozenset()
    step: bool = False
    written: bool = False

    @cached_property
    def tree(self) -> Tree:
        """It in index notation."""
        return self._indexed(self.node)

    def _indexed(self, node: Node) -> Tree:
        return indexed(node, tuple(a for a in self.axes if a != "i"))

    @cached_property
    def normal(self) -> Normal:
        """Its normal form."""
        return normal(self.tree, self.rules)

    def line(self, form: str, style: Text) -> str:
        """The equation as it is written."""
        if self.condition is None:
            return f"L = {' '.join(terms(self.node, style))}"
        if not self.step:
            return self.condition.equation(form, style)
        right = self.condition.equation(form, style).split(" = ", 1)[1]
        shape = self.condition.wrt if form == "index" else self.condition.tree(self.condition.wrt)
        name = text(shape, style, "i")
        return f"{name} ← {name} − {style.name('eta')} ({right})"

    @cached_property
    def wrong(self) -> list[tuple[Mutant, Normal]]:
        """What one mistake makes of it."""
        forms = ((m, self.form(m.node)) for m in mutants(self.node, Place(self.label)))
        return [(m, form) for m, form in forms if form is not None and form != self.normal]

    def form(self, node: Node) -> Normal | None:
        """The normal form of a changed tree; None if it has none."""
        try:
            return normal(self._indexed(node), self.rules)
        except (DerivationError, TooLarge, ValueError, KeyError):
            return None

    def pairs(self) -> Iterator[tuple[Mutant, Mutant, Normal]]:
        """What two mistakes make of it."""
        for first in mutants(self.node, Place(self.label)):
            if first.cost > PAIR_COST:
                continue
            for second in mutants(first.node):
                if second.cost > PAIR_COST:
                    continue
                form = self.form(second.node)
                if form is not None:
                    yield first, second, form


@lru_cache(maxsize=KEPT)
def lagrangian(task: Task, convention: Convention) -> Expected:
    """The Lagrangian in a convention."""
    expr = sp.Add(*lagrangian_parts(convention, task.biases, task.functions.kinds))
    penalized = task.functions.penalty is not None
    if not penalized:
        expr = expr.xreplace({l.rho: sp.S.Zero})
    node = lagrangian_tree(convention, task.biases, penalized)
    rules = replace(task.rules, through=convention.splitting == "z")
    return Expected("L", expr, node, (), "all", None, rules, _variables(expr))


def _variables(expr: sp.Expr) -> frozenset[str]:
    """The multipliers or errors in an expression."""
    return frozenset(str(e.base.label) for e in expr.atoms(sp.Indexed)) & set(FAMILIES)


def candidates(task: Task, convention: Convention, stated: Statement) -> list[Expected]:
    """The derived equations that a statement may be meant to be, the likeliest first."""
    refs = array_names(stated.tree)
    about = About(stated.unknown, stated.layer == LAST, stated.below, stated.slope)
    found = list(dict.fromkeys(_about(task, convention, about)))
    if stated.unknown == "X":
        found = [_written_out(found[0]), *found]
        found.sort(key=lambda e: e.written != ("W" in refs))
    else:
        found.sort(key=lambda e: e.variables != refs & set(FAMILIES))
    return found


@dataclass(frozen=True)
class About:
    """What a statement is about: its unknown, its layer, and what is differentiated."""

    unknown: str
    output: bool
    below: bool
    slope: str


#: The label of the equation of an unknown that is no multiplier.
_LABELS = {"X": "S1", "Z": "S0", "W": "S5", "b": "S6"}
#: The variables in which the backward pass may be written, and where they exist.
_VARIABLES: tuple[tuple[str, Splitting], ...] = (
    ("lambda", "activation"),
    ("mu", "preactivation"),
    ("lambda", "preactivation"),
    ("Delta", "activation"),
    ("delta", "preactivation"),
    ("Delta", "preactivation"),
)


def _about(task: Task, convention: Convention, about: About) -> Iterator[Expected]:
    """The derived equations about something, in every variable."""
    kinds, label = task.functions.kinds, _LABELS.get(about.unknown)
    for variable, splitting in _VARIABLES:
        if label == "S1" and splitting == "activation":
            continue  # there z is an abbreviation, and x^k = σ^k(z^k) the same line
        found = conditions(variable, splitting, kinds, task.biases, convention, about.slope)
        for condition in found:
            fits = condition.label == label if label else _solves(condition, about)
            coupled = (about.output or about.below) and len(kinds) > 1
            if fits and (condition.kind is None or (condition.kind == l.COUPLED) == coupled):
                yield _made(task, convention, condition, about)


def _solves(condition: Condition, about: About) -> bool:
    """Whether a condition is solved for an unknown, at the output or below it."""
    unknown = condition.unknown
    if unknown is None or str(unknown.base.label) != about.unknown:
        return False
    return {"output": about.output, "hidden": not about.output, "all": True}[condition.layers]


@lru_cache(maxsize=KEPT)
def _made(task: Task, convention: Convention, condition: Condition, about: About) -> Expected:
    """A condition as an expected equation; gradients as updates, where a step is asked."""
    if task.functions.penalty is None and condition.unknown is None:
        bare = condition.residual.xreplace({l.rho: sp.S.Zero}).doit(deep=False)
        condition = replace(condition, residual=bare)
    layers = condition.layers
    if about.output and layers == "all":
        condition, layers = _placed_at(condition, l.N), "output"
    elif about.below and condition.kind == l.COUPLED:
        condition, layers = _placed_at(condition, l.N - 1), "below"
    expr = condition.residual if condition.unknown is None else condition.solution
    indices = condition.wrt.indices[1:]
    step = about.slope == "step"
    if step:
        expr = condition.wrt - l.eta * expr
    axes = tuple(str(index) for index in indices)
    if about.slope == "sample" or (step and convention.objective == "sample"):
        axes = ("i", *axes)
    rules = replace(task.rules, through=condition.label != "S1")
    node = contract(expr, indices, (l.i,))
    return Expected(
        condition.label, expr, node, axes, layers, condition, rules, _variables(expr), step
    )


def _placed_at(condition: Condition, layer: sp.Expr) -> Condition:
    """A condition for k at the output layer, or the one below."""
    values = {
        name: value.xreplace({l.k: layer})
        for name in ("wrt", "residual", "unknown", "solution", "kind_of")
        if (value := getattr(condition, name)) is not None
    }
    return replace(condition, layers="output", **values)


@lru_cache(maxsize=KEPT)
def _written_out(given: Expected) -> Expected:
    """x^k = σ^k(W^k x^{k−1} + b^k), without the abbreviation z."""
    expr = given.expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == l.Z, lambda e: affine(*e.indices)
    )
    node = contract(expr, (l.i, l.p), (l.i,))
    return replace(given, expr=expr, node=node, written=True)
