"""What a fault is: a rule that changes one thing in a derived equation, and the trees it makes.

A rule knows array operations (:mod:`lagrangenet.symbolic.tensor`) and nothing of a network: what it
yields for one node is put back into the tree by :func:`mutants`. Rules are gathered in
:data:`RULES`; a file in this folder that adds to it is read. A rule refuses nothing: a change that
cannot be evaluated, because shapes do not fit, is a prediction too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sympy as sp

from lagrangenet.errors import DataError
from lagrangenet.grading.blocks import superscript
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import BRIEF
from lagrangenet.symbolic.tensor import Node

#: A sentence with formulas in it, which are written for the layer that is spoken of.
Words = tuple[str | Node, ...]


@dataclass(frozen=True, eq=False)
class Change:
    """A tree in place of another, and what that does, in words."""

    node: Node
    words: Words


@dataclass(frozen=True)
class Place:
    """Where a tree stands.

    Attributes
    ----------
    label : str
        Of the equation, such as ``"S4"``; empty if it is none of the derivation's.
    activations, losses : tuple of str
        Functions that may have been taken for the right ones.
    """

    label: str = ""
    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu")
    losses: tuple[str, ...] = ("squared_error", "cross_entropy", "binary_cross_entropy")


Changes = Callable[[Node, Place], Iterator[Change]]


@dataclass(frozen=True)
class Rule:
    """One kind of mistake.

    Attributes
    ----------
    name : str
        Such as ``"factor missing"``.
    hint : str
        Where to look, without the answer.
    change : callable
        From a node and its place to what may wrongly stand there.
    at : {"node", "root"}
        Whether every node of a tree is handed to it, or the whole right-hand side only.
    cost : float
        How far-fetched it is: of two explanations the one of lower cost is named first.
    """

    name: str
    hint: str
    change: Changes
    at: Literal["node", "root"] = "node"
    cost: float = 1.0


class Rules(Mapping[str, Rule]):
    """Rules by name. ``add`` is the only registration a rule needs."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def add(self, rule: Rule) -> Rule:
        """Register a rule and return it."""
        if rule.name in self._rules:
            raise DataError(f"there is a fault rule {rule.name!r} already")
        self._rules[rule.name] = rule
        return rule

    def remove(self, name: str) -> None:
        """Take a rule out again, as an experiment or a test does with its own."""
        del self._rules[name]

    def __getitem__(self, name: str) -> Rule:
        return self._rules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


RULES = Rules()


def rule(
    name: str, hint: str, *, at: Literal["node", "root"] = "node", cost: float = 1.0
) -> Callable[[Changes], Changes]:
    """Register the decorated function as the changes of a rule; arguments as of :class:`Rule`."""

    def register(change: Changes) -> Changes:
        RULES.add(Rule(name, hint, change, at, cost))
        return change

    return register


@dataclass(frozen=True, eq=False)
class Mutant:
    """A wrong right-hand side.

    Attributes
    ----------
    rule : str
        The name of the rule in :data:`RULES`.
    node : Node
        The changed tree.
    words : tuple of str and Node
        What is wrong with it.
    cost : float
        Of the rule.
    """

    rule: str
    node: Node
    words: Words
    cost: float

    @property
    def description(self) -> str:
        """What is wrong, with the layer index of the tree."""
        return said(self.words)


def mutants(node: Node, place: Place | None = None) -> Iterator[Mutant]:
    """Every wrong tree that one rule makes of a right one by one change.

    Parameters
    ----------
    node : Node
        The right-hand side of an equation, for one sample or for all.
    place : Place, optional
        Which equation it is; some rules are for one equation only.

    Yields
    ------
    Mutant
        In the order of the rules. Two of them may be equal as mathematics.

    Examples
    --------
    >>> from lagrangenet.symbolic.derivation import derive
    >>> condition = derive(splitting="preactivation").condition("S4", 1)
    >>> for mutant in mutants(condition.tree(condition.solution), Place("S4")):
    ...     if mutant.rule == "factor missing":
    ...         print(mutant.description, "→", text(mutant.node))
    the factor σ′^k(z^k) is missing → λ_i^k
    the factor λ^k is missing → σ′^k(z_i^k)
    """
    here = Place() if place is None else place
    for entry in RULES.values():
        found = entry.change(node, here) if entry.at == "root" else _everywhere(entry, node, here)
        for change in found:
            yield Mutant(entry.name, change.node, change.words, entry.cost)


def _everywhere(entry: Rule, node: Node, place: Place) -> Iterator[Change]:
    """The changes of a node and of every node below it, put back into the tree."""
    yield from entry.change(node, place)
    for name, value in vars(node).items():
        parts = value if isinstance(value, tuple) else (value,)
        for j, part in enumerate(parts):
            if not isinstance(part, Node):
                continue
            for change in _everywhere(entry, part, place):
                changed = (*parts[:j], change.node, *parts[j + 1 :])
                new: dict[str, Any] = {name: changed if isinstance(value, tuple) else change.node}
                yield Change(replace(node, **new), change.words)


def said(words: Words, layer: int | None = None, depth: int | None = None) -> str:
    """Words as a sentence; formulas are written for a concrete layer, if one is given."""
    values: dict[sp.Expr, sp.Expr] = {}
    if layer is not None:
        values[l.k] = sp.Integer(layer)
    if depth is not None:
        values[l.N] = sp.Integer(depth)
    whole = "".join(
        part if isinstance(part, str) else text(t.instantiate(part, values), BRIEF, "")
        for part in words
    )
    above = "^k" if layer is None else superscript(layer)
    for name in "Wb":  # arrays of the routines that no notation has a letter for
        whole = whole.replace(f"η d{name}", f"η ∂L/∂{name}{above}")
    return whole
