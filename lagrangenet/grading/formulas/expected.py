"""The derived side: conditions in a student's convention, as expressions, trees and normal forms.

Wrong lines are generated from them by the fault rules (:mod:`lagrangenet.grading.faults`) and brought
into normal form too, so that a wrong answer can be recognized.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

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
from lagrangenet.grading.formulas.indexed import LAST, Ref, Tree, indexed, walk
from lagrangenet.grading.formulas.normal import Normal, Rules, TooLarge, normal
from lagrangenet.grading.formulas.statements import Statement
from lagrangenet.grading.formulas.task import Task
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.lagrangian import affine
from lagrangenet.symbolic.printing import terms, text
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.styles import Text
from lagrangenet.symbolic.tensor import Node

#: Pairs of mistakes are searched among the rules up to this cost.
PAIR_COST = 1.0


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
        return indexed(self.node, tuple(a for a in self.axes if a != "i"))

    @cached_property
    def normal(self) -> Normal:
        """Its normal form."""
        return normal(self.tree, self.rules)

    def line(self, form: str, style: Text) -> str:
        """The equation as it is written."""
        if self.condition is None:
            return f"L = {''.join(_spaced(terms(self.node, style)))}"
        if not self.step:
            return self.condition.equation(form, style)
        left, right = self.condition.equation(form, style).split(" = ", 1)
        shape = self.condition.wrt if form == "index" else self.condition.tree(self.condition.wrt)
        name = text(shape, style, "i")
        del left
        return f"{name} ← {name} − {style.name('eta')} ({right})"

    @cached_property
    def wrong(self) -> list[tuple[Mutant, Normal]]:
        """What one mistake makes of it."""
        return list(self._changed(self.node))

    def _changed(self, node: Node) -> Iterator[tuple[Mutant, Normal]]:
        for mutant in mutants(node, Place(self.label)):
            form = self.form(mutant.node)
            if form is not None and form != self.normal:
                yield mutant, form

    def form(self, node: Node) -> Normal | None:
        """The normal form of a changed tree; None if it has none."""
        try:
            return normal(indexed(node, tuple(a for a in self.axes if a != "i")), self.rules)
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


def _spaced(parts: list[str]) -> list[str]:
    return [part if not n else f" {part}" for n, part in enumerate(parts)]


_KNOWN: dict[object, Expected] = {}


def _kept(key: object, made: Expected) -> Expected:
    return _KNOWN.setdefault(key, made)


def lagrangian(task: Task, convention: Convention) -> Expected:
    """The Lagrangian in a convention."""
    key = ("L", task, convention)
    if key not in _KNOWN:
        expr = sp.Add(*lagrangian_parts(convention, task.biases, task.functions.kinds))
        if task.functions.penalty is None:
            expr = expr.xreplace({l.rho: sp.S.Zero})
        penalized = task.functions.penalty is not None
        node = lagrangian_tree(convention, task.biases, penalized)
        changed = {**vars(task.rules), "through": convention.splitting == "z"}
        used = frozenset(str(e.base.label) for e in expr.atoms(sp.Indexed)) & set(FAMILIES)
        _kept(key, Expected("L", expr, node, (), "all", None, Rules(**changed), used))
    return _KNOWN[key]


def candidates(task: Task, convention: Convention, stated: Statement) -> list[Expected]:
    """The derived equations that a statement may be meant to be, the likeliest first."""
    unknown = stated.unknown
    used = {one.name for one in walk(stated.tree) if isinstance(one, Ref)} & set(FAMILIES)
    if unknown in {"X", "Z"}:
        label = "S1" if unknown == "X" else "S0"
        found = [_of(task, convention, "lambda", "preactivation", label, stated)]
        if unknown == "X":
            found.insert(0, _written_out(found[0]))
            weights = any(isinstance(one, Ref) and one.name == "W" for one in walk(stated.tree))
            found.sort(key=lambda e: e.written != weights)
        return found
    if unknown in {"W", "b"}:
        label = "S5" if unknown == "W" else "S6"
        found = [
            _of(task, convention, variable, splitting, label, stated)
            for variable, splitting in _VARIABLES
        ]
        found.sort(key=lambda e: e.variables != used)
        return found
    output = stated.layer == LAST
    found = []
    for variable, splitting in _VARIABLES:
        for condition in _conditions(task, convention, variable, splitting):
            solved = condition.unknown
            if solved is None or str(solved.base.label) != unknown:
                continue
            coupled = (output or stated.below) and len(task.functions.kinds) > 1
            if condition.kind is not None and (condition.kind == l.COUPLED) != coupled:
                continue
            labels = {"output": output, "hidden": not output, "all": True}
            if labels[condition.layers] and not (output and condition.label == "S3"):
                found.append(_made(task, convention, condition, variable, splitting, stated))
    found.sort(key=lambda e: e.variables != used)
    return list(dict.fromkeys(found))


def _written_out(given: Expected) -> Expected:
    """x^k = σ^k(W^k x^{k−1} + b^k), without the abbreviation z."""
    key = ("written out", given)
    if key not in _KNOWN:
        expr = given.expr.replace(
            lambda e: isinstance(e, sp.Indexed) and e.base == l.Z, lambda e: affine(*e.indices)
        )
        node = contract(expr, (l.i, l.p), (l.i,))
        _kept(key, replace(given, expr=expr, node=node, written=True))
    return _KNOWN[key]


_VARIABLES = (
    ("lambda", "activation"),
    ("mu", "preactivation"),
    ("lambda", "preactivation"),
    ("Delta", "activation"),
    ("delta", "preactivation"),
    ("Delta", "preactivation"),
)


def _conditions(
    task: Task, convention: Convention, variable: str, splitting: str, slope: str = "objective"
) -> tuple[Condition, ...]:
    kinds = task.functions.kinds
    return conditions(variable, splitting, kinds, task.biases, convention, slope)  # type: ignore[arg-type]  # one of two words


def _of(
    task: Task,
    convention: Convention,
    variable: str,
    splitting: str,
    label: str,
    stated: Statement,
) -> Expected:
    found = _conditions(task, convention, variable, splitting, stated.slope)
    for condition in found:
        kind = condition.kind is None or (condition.kind == l.COUPLED) == (
            stated.layer == LAST and len(task.functions.kinds) > 1
        )
        if condition.label == label and kind:
            return _made(task, convention, condition, variable, splitting, stated)
    raise DerivationError(f"no condition ({label})")


def _made(
    task: Task,
    convention: Convention,
    condition: Condition,
    variable: str,
    splitting: str,
    stated: Statement,
) -> Expected:
    step = stated.slope == "step"
    key = (task, convention, variable, splitting, condition.label, condition.kind, condition.layers)
    below = stated.below and condition.kind == l.COUPLED
    key = (*key, stated.slope, stated.layer.base, stated.unknown, below)  # type: ignore[assignment]
    if key in _KNOWN:
        return _KNOWN[key]
    if task.functions.penalty is None and condition.unknown is None:
        bare = condition.residual.xreplace({l.rho: sp.S.Zero}).doit(deep=False)
        condition = replace(condition, residual=bare)
    expr = condition.residual if condition.unknown is None else condition.solution
    assert expr is not None
    layers = condition.layers
    if stated.layer == LAST and layers == "all":
        expr = expr.xreplace({l.k: l.N})
        condition = _placed_at(condition, l.N)
        layers = "output"
    if below:
        condition, layers = _placed_at(condition, l.N - 1), "below"
        expr = expr.xreplace({l.k: l.N - 1})
    indices = condition.wrt.indices[1:]
    if step:
        expr = condition.wrt - l.eta * expr
    node = contract(expr, indices, (l.i,))
    axes = tuple(str(index) for index in indices)
    if stated.slope == "sample" or (step and convention.objective == "sample"):
        axes = ("i", *axes)
    through = condition.label != "S1"
    made = Expected(
        condition.label,
        expr,
        node,
        axes,
        layers,
        condition,
        Rules(**{**vars(task.rules), "through": through}),
        frozenset(str(e.base.label) for e in expr.atoms(sp.Indexed)) & set(FAMILIES),
        step,
    )
    return _kept(key, made)


def _placed_at(condition: Condition, layer: sp.Expr) -> Condition:
    """A condition for k at the output layer, or the one below."""
    values = {
        name: value.xreplace({l.k: layer})
        for name in ("wrt", "residual", "unknown", "solution", "kind_of")
        if (value := getattr(condition, name)) is not None
    }
    return replace(condition, layers="output", **values)
