"""A subproblem that every one of SciPy's methods solves, with the code generated for it.

Where affine networks explain the data, units like softplus drift into their affine range and no
minimizer exists; so there is a second choice, whose labels alternate along one input. And where a
method stops at the kinks of a network, it starts again close to a solution that another one found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lagrangenet.runtime import Routines, generate
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.verify.instance import Instance, alternating
from lagrangenet.verify.scipy_solutions import METHODS, Solution, solve

Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Solved:
    """A subproblem, its code, and by method its certified solutions and the last attempt."""

    instance: Instance
    routines: Routines
    solutions: dict[str, tuple[Solution, ...]]
    last: dict[str, str]

    @property
    def methods(self) -> int:
        """How many methods converged."""
        return sum(map(bool, self.solutions.values()))


def solve_by_all(instance: Instance, seed: int, report: Report) -> Solved:
    """The first of the two subproblems that every method solves; else the one more methods do."""
    first = _solved(instance, seed, report)
    if first.methods == len(METHODS):
        return first
    second = _solved(alternating(instance), seed, report)
    return second if second.methods > first.methods else first


def _solved(instance: Instance, seed: int, report: Report) -> Solved:
    attempts = {method: solve(instance, method, seed, report=report) for method in METHODS}
    solutions = {method: _converged(found) for method, found in attempts.items()}
    known = next((found[0] for found in solutions.values() if found), None)
    for method, found in solutions.items():
        if known is not None and not found:
            near = solve(instance, method, seed, near=known, report=report)
            solutions[method] = _converged(near)
    last = {method: f"the last one: {found[-1]}" for method, found in attempts.items()}
    return Solved(instance, generate(Derivation(instance.problem)), solutions, last)


def _converged(found: tuple[Solution, ...]) -> tuple[Solution, ...]:
    return tuple(solution for solution in found if solution.converged)
