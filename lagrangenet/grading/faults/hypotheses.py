"""Fault hypotheses of a family of networks: one wrong equation, at some of the layers.

A hypothesis holds for every member of the family: the same change of the same equation, at all
layers, at the hidden ones, at the output, and so on. What it predicts at a probe is computed from
the equations, with everything that depends on the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from lagrangenet.grading.faults.calculation import Absent, Compiled, Name, Point, compiled
from lagrangenet.grading.faults.equations import Equation, Equations
from lagrangenet.grading.faults.rule import RULES, Mutant, mutants, said
from lagrangenet.problem import Problem


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
    """One wrong equation.

    Attributes
    ----------
    equation : Equation
        The right one.
    mutant : Mutant
        What stands in its place.
    scope : Scope
        At which layers.
    """

    equation: Equation
    mutant: Mutant
    scope: Scope

    @cached_property
    def compiled(self) -> Compiled:
        """The wrong right-hand side as a function."""
        return compiled(self.mutant.node, self.equation.axes)

    @property
    def label(self) -> str:
        """Of the equation."""
        return self.equation.label

    @property
    def cost(self) -> float:
        """How far-fetched it is: the lower, the sooner it is named."""
        return self.mutant.cost + self.scope.cost + (0.05 if self.equation.sigma else 0.0)

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
        return {self.equation.target(k): self.compiled for k in self.layers(problem)}

    def said(self, problem: Problem) -> str:
        """What is wrong, with the number of the first layer concerned, if it is one."""
        layers = self.layers(problem)
        return said(self.mutant.words, layers[0] if len(layers) == 1 else None, problem.depth)


def hypotheses(equations: Equations, depths: Iterable[int]) -> list[Hypothesis]:
    """Every single fault of a family whose members have these depths, the likeliest first."""
    sizes = sorted(set(depths))
    found = []
    for equation in (*equations.general, *equations.written_out):
        place = equations.place(equation)
        scopes = _distinct(equation, sizes)
        for mutant in mutants(equation.node, place):
            found += [Hypothesis(equation, mutant, scope) for scope in scopes]
    return sorted(found, key=lambda hypothesis: hypothesis.cost)


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


class Crash(ArithmeticError):
    """Shapes that do not fit: the program with this fault ends here."""


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

    def run(self, changes: Mapping[Name, Compiled]) -> tuple[Point, set[Name], set[Name]]:
        """What the program with changed equations computes.

        Returns
        -------
        tuple
            The arrays, the names of those that may differ from the right ones, and of those that
            are not there because the program has crashed.
        """
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
                point.arrays[name] = _value(point, k, right, wrong)
            except (ValueError, IndexError, TypeError):
                lost.add(name)
                continue
            moved.add(name)
        return point, moved, lost


def _value(point: Point, k: int, right: Compiled, wrong: Compiled | None) -> object:
    if wrong is not None:
        try:
            return wrong.evaluate(point, k)
        except Absent:  # there is no such neighbour at this layer
            pass
    return right.evaluate(point, k)
