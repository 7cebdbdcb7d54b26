"""Fault hypotheses of a family of networks: one wrong equation, at some of the layers.

A hypothesis holds for every member of the family: the same change of the same equation, at all
layers, at the hidden ones, at the output, and so on. What it predicts at a probe is computed from
the equations, with everything that depends on the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lagrangenet.grading.faults.calculation import Absent, Compiled, Name, Point
from lagrangenet.grading.faults.equations import Equation, Equations
from lagrangenet.grading.faults.rule import RULES, Mutant, mutants, said
from lagrangenet.problem import Problem

#: Says of an array, by name, whether it may be.
Accepts = Callable[[Name, Any], bool]
#: Arrays, names of those that may differ from the right ones, names of those that are lost.
Run = tuple[Point, set[Name], set[Name]]


@dataclass(frozen=True)
class Scope:
    """At which layers of a network of any depth.

    Attributes
    ----------
    name : str
        In words.
    layers : callable
        From N to layer numbers.
    cost : float
        How far-fetched it is.
    """

    name: str
    layers: Callable[[int], range]
    cost: float


SCOPES = (
    Scope("in all layers", lambda n: range(1, n + 1), 0.0),
    Scope("in the hidden layers", lambda n: range(1, n), 0.15),
    Scope("in the output layer", lambda n: range(n, n + 1), 0.2),
    Scope("in the first layer", lambda _: range(1, 2), 0.3),
    Scope("in the last hidden layer", lambda n: range(max(n - 1, 1), n), 0.35),
    Scope("in all layers but the first", lambda n: range(2, n + 1), 0.3),
)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One wrong equation, or two that are wrong in the same way.

    Attributes
    ----------
    equation : Equation
        The right one.
    mutant : Mutant
        What stands in its place.
    scope : Scope
        At which layers.
    beside : tuple of (Equation, Compiled)
        Other equations that are computed otherwise too: the second of two, or the way in which a
        program computes the error at the output.
    twin : Equation or None
        The second equation, if two are wrong in the same way.
    """

    equation: Equation
    mutant: Mutant
    scope: Scope
    beside: tuple[tuple[Equation, Compiled], ...] = ()
    twin: Equation | None = None

    @cached_property
    def compiled(self) -> Compiled:
        """The wrong right-hand side as a function."""
        return self.equation.wrong(self.mutant.node)

    @property
    def label(self) -> str:
        """Of the equation, or of both."""
        return ", ".join(equation.label for equation in self.equations)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The wrong equation, or both."""
        return (self.equation,) if self.twin is None else (self.equation, self.twin)

    @cached_property
    def cost(self) -> float:
        """How far-fetched it is: the lower, the sooner it is named."""
        beside = 0.1 if self.twin else 0.02 if self.beside else 0.0
        return self.mutant.cost + self.scope.cost + beside + (0.05 if self.equation.sigma else 0.0)

    @property
    def hint(self) -> str:
        """Where to look, without the answer."""
        return RULES[self.mutant.rule].hint

    def layers(self, problem: Problem) -> list[int]:
        """The layers of a network at which it holds."""
        reach = self.scope.layers(problem.depth)
        return [k for k in reach if self.equation.holds(problem, k)]

    def changes(self, problem: Problem) -> dict[Name, Compiled]:
        """What is computed otherwise, by the array it gives."""
        found = {self.equation.target(k): self.compiled for k in self.layers(problem)}
        for equation, function in self.beside:
            reach = self.scope.layers(problem.depth)
            found |= {equation.target(k): function for k in reach if equation.holds(problem, k)}
        return found

    def said(self, problem: Problem) -> str:
        """What is wrong, with the number of the first layer concerned, if it is one."""
        layers = self.layers(problem)
        return said(self.mutant.words, layers[0] if len(layers) == 1 else None, problem.depth)


#: Labels of answers → the equations that nothing else shows.
_ONLY = {
    "loss": ("J", "R", "R b"),
    "states": ("out x",),
    "multipliers": ("out λ",),
    "gradient": ("out W", "out b"),
}
#: Returned gradients, which are wrong in one way of their own: everything else is (S5) and (S6).
_COPIES = frozenset({"out W", "out b"})
_OF_COPIES = frozenset({"neighbouring layer", "layers in another order"})
#: Equations that a student gets wrong together, by one wrong idea.
TWINS = (
    ("S5", "S6"),
    ("step W", "step b"),
    ("out W", "out b"),
    ("S1", "S4"),
    ("J", "S2"),
    ("J", "S2, S4"),
)
_ALIKE = {
    "derivative of another function": "another function",
}


def hypotheses(
    equations: Equations, depths: Iterable[int], kinds: Iterable[str] = tuple(_ONLY)
) -> list[Hypothesis]:
    """Every single fault of a family whose members have these depths, the likeliest first.

    ``kinds`` are what is answered: faults that only an array shows that is not asked are left out.
    """
    sizes, answered = sorted(set(depths)), set(kinds)
    hidden = {label for kind, own in _ONLY.items() if kind not in answered for label in own}
    found: list[Hypothesis] = []
    for equation in (*equations.general, *equations.written_out):
        if equation.label in hidden:
            continue
        place = equations.place(equation)
        scopes = _distinct(equation, sizes)
        for mutant in mutants(equation.node, place):
            if equation.label in _COPIES and mutant.rule not in _OF_COPIES:
                continue
            found += [Hypothesis(equation, mutant, scope) for scope in scopes]
    found += list(_twins(found))
    found += list(_through_the_difference(equations, found))
    return sorted(found, key=lambda hypothesis: hypothesis.cost)


def _twins(found: list[Hypothesis]) -> Iterator[Hypothesis]:
    """The same mistake in two equations at the same layers."""
    by_idea: dict[tuple[str, str, str, str], Hypothesis] = {}
    for one in found:
        by_idea.setdefault((one.label, *_idea(one)), one)
    for first, second in TWINS:
        for one in found:
            if one.label == first:
                other = by_idea.get((second, *_idea(one)))
                if other is not None and one.equation.coupled == other.equation.coupled:
                    beside = ((other.equation, other.compiled),)
                    yield Hypothesis(one.equation, one.mutant, one.scope, beside, other.equation)


def _idea(one: Hypothesis) -> tuple[str, str, str]:
    """What two mistakes have in common: the rule, the words up to the symbol, the layers."""
    rule = _ALIKE.get(one.mutant.rule, one.mutant.rule)
    words = one.mutant.description.replace("W", "b")
    if rule in {"another function", "another loss"}:
        words = words.removeprefix("the derivative of ").split(" stands")[0].rstrip("′")
    if rule in {"labels shifted", "another penalty", "not all samples"}:
        words = words.removeprefix("the derivative of ")
    return rule, words, one.scope.name


def _through_the_difference(equations: Equations, found: list[Hypothesis]) -> Iterator[Hypothesis]:
    """Faults of the output's activation in a program that takes x − y for the error behind it."""
    fused = [e for e in equations.written_out if e.label == "S2, S4"]
    for one in found:
        if fused and one.label == "S1" and one.scope.name in OUTPUT_TOO:
            yield replace(one, beside=((fused[0], fused[0].compiled),))


OUTPUT_TOO = frozenset({"in all layers", "in the output layer", "in all layers but the first"})


def _distinct(equation: Equation, depths: list[int]) -> list[Scope]:
    """Scopes that differ at one of the depths, and are not empty."""
    shown: dict[tuple[tuple[int, ...], ...], Scope] = {}
    for scope in SCOPES:
        reach = []
        for depth in depths:
            last = {"all": depth, "hidden": depth - 1, "output": depth}[equation.layers]
            least = depth if equation.layers == "output" else 1
            reach.append(tuple(k for k in scope.layers(depth) if least <= k <= last))
        if any(reach):
            shown.setdefault(tuple(reach), scope)
    return list(shown.values())


@dataclass(frozen=True, eq=False)
class Program:
    """The equations of one network at one probe, in order, and the right values.

    Attributes
    ----------
    order : list of (Equation, int)
        What is computed, at which layer.
    point : Point
        With every array.
    """

    problem: Problem
    order: list[tuple[Equation, int]]
    point: Point

    @classmethod
    def at(cls, equations: Equations, problem: Problem, point: Point) -> Program:
        """The right values, computed once."""
        order = equations.order(problem)
        for equation, k in order:
            point.arrays[equation.target(k)] = equation.compiled.evaluate(point, k)
        return cls(problem, order, point)

    @cached_property
    def _steps(self) -> list[tuple[Name, Compiled, int, frozenset[Name]]]:
        depth = self.problem.depth
        return [
            (e.target(k), e.compiled, k, frozenset(e.compiled.names(k, depth)))
            for e, k in self.order
        ]

    def run(self, changes: Mapping[Name, Compiled]) -> Run:
        """What the program with changed equations computes.

        Returns
        -------
        tuple
            The arrays, the names of those that may differ from the right ones, and of those that
            are not there because the program has crashed.
        """
        ran = self.run_while(changes, lambda _, __: True)
        assert ran is not None
        return ran

    def run_while(self, changes: Mapping[Name, Compiled], accepts: Accepts) -> Run | None:
        """The same, as long as every array that may differ is accepted; otherwise None."""
        point = self.point.changed()
        moved: set[Name] = set()
        lost: set[Name] = set()
        for name, right, k, reads in self._steps:
            wrong = changes.get(name)
            if lost and not lost.isdisjoint(reads):
                lost.add(name)
                continue
            if wrong is None and moved.isdisjoint(reads):
                continue
            try:
                value = point.arrays[name] = _value(point, k, right, wrong)
            except (ArithmeticError, LookupError, TypeError, ValueError):
                lost.add(name)
                continue
            if not accepts(name, value):
                return None
            moved.add(name)
        return point, moved, lost


def _value(point: Point, k: int, right: Compiled, wrong: Compiled | None) -> Any:
    if wrong is not None:
        try:
            return wrong.evaluate(point, k)
        except Absent:  # there is no such neighbour at this layer
            pass
    return right.evaluate(point, k)
