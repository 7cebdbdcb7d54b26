"""What the checks of a graph look at: the code under test, points, and the brute-force oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from lagrangenet.functions import ACTIVATIONS
from lagrangenet.graph import Graph
from lagrangenet.verify import comparing
from lagrangenet.verify.check import Array, Comparison, Inapplicable
from lagrangenet.verify.comparing import Block
from lagrangenet.verify.graph_oracle import GraphOracle, Point
from lagrangenet.verify.tables import ACTIVATION_RULES

Arrays = Mapping[str, Array]
#: Samples at which the oracle, which loops over every index, is asked.
SAMPLES = 3
NO_SECOND = "a function is declared by cases: the oracle has no second derivative"


class GraphSubject:
    """The code under test with the points at which it is tested.

    Parameters
    ----------
    graph : Graph
    routines : Any
        The generated routines.
    inputs, Y : mapping of arrays, array
        Data.
    seed : int
    report : callable
        Is told what is being done.
    """

    def __init__(
        self,
        graph: Graph,
        routines: Any,
        inputs: Arrays,
        Y: Array,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        self.problem, self.routines = graph, routines
        self.inputs, self.Y, self.seed, self.report = inputs, Y, seed, report

    @cached_property
    def oracle(self) -> GraphOracle:
        """The independent evaluation."""
        return GraphOracle(self.problem)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """A few samples at random θ, usual and larger; one sample; and one of zeros without biases.

        The last one puts preactivations on their kinks, so that subgradients are compared.
        """
        rng = np.random.default_rng(self.seed)
        usual, larger = self.theta(rng, 1.0), self.theta(rng, 1.5)
        few, one = self.rows(rng, SAMPLES), self.rows(rng, 1)
        points = (Point(usual, *few), Point(larger, *few), Point(usual, *one))
        chosen = [ACTIVATIONS[c.activation.name] for c in self.problem.constraints if c.activation]
        if any(e.kinks and e.name not in ACTIVATION_RULES for e in chosen):
            return points  # the numeric oracle has no derivative at a kink
        at_zero = {n: a if a.ndim > 1 else np.zeros_like(a) for n, a in usual.items()}
        inputs = {n: np.zeros_like(a) for n, a in one[0].items()}
        return (*points, Point(at_zero, inputs, one[1]))

    @property
    def smooth_points(self) -> tuple[Point, ...]:
        """Points at which second derivatives are compared.

        Raises
        ------
        Inapplicable
            If the oracle has none.
        """
        if not self.oracle.continuable:
            raise Inapplicable(
                "a function is declared by cases: the oracle has no second derivative"
            )
        return self.points

    def rows(self, rng: np.random.Generator, count: int) -> tuple[dict[str, Array], Array]:
        """A few samples of the data."""
        chosen = np.sort(rng.permutation(len(self.Y))[:count])
        return {name: array[chosen] for name, array in self.inputs.items()}, self.Y[chosen]

    def theta(self, rng: np.random.Generator, scale: float) -> dict[str, Array]:
        """Random parameters; vectors (biases, gains) are drawn too."""
        theta = self.routines.initial(rng)
        return {
            name: scale * (array + (array.ndim < 2) * 0.3 * rng.standard_normal(array.shape))
            for name, array in theta.items()
        }

    def direction(self, rng: np.random.Generator) -> dict[str, Array]:
        """A random direction in θ."""
        return {n: rng.standard_normal(a.shape) for n, a in self.points[0].theta.items()}

    def infeasible(
        self, rng: np.random.Generator
    ) -> tuple[Point, dict[str, Array], dict[str, Array]]:
        """A point with states that solve nothing, and arbitrary multipliers.

        A state keeps its sign and its order of size, so that functions of it stay defined.
        """
        point = Point(self.theta(rng, 1.0), *self.rows(rng, 2))
        moved, multipliers = {}, {}
        for name, x in self.oracle.forward(point.theta, point.inputs).items():
            if name in self.oracle.constants:
                moved[name] = x
                continue
            within = self.oracle.within[name]
            moved[name] = x.copy()
            moved[name][within] += (np.where(x == 0, 0.02, 0.1 * x) * rng.random(x.shape))[within]
            multipliers[name] = rng.standard_normal(x[within].shape)
        if self.oracle.continuable:  # then what happens at a kink is settled
            for name, kink in self.oracle.kinks.items():
                moved[name].flat[0] = kink
        return point, moved, multipliers


class GraphCheck(Comparison[GraphSubject]):
    """One comparison on a graph. A subclass is registered by being defined."""

    registered: ClassVar[list[type[GraphCheck]]] = []


class ParameterCheck(GraphCheck):
    """A comparison of what is there for every parameter."""

    def inapplicable(self, subject: GraphSubject) -> str:
        """A graph may have none."""
        return "" if subject.problem.parameters else "the graph has no parameters"


def blocks(label: str, found: Arrays, expected: Arrays, symbol: str = "") -> list[Block]:
    """One block for each array of the oracle; one that the code lacks is infinitely far."""
    missing = np.full((0,), np.nan)
    return [
        Block(f"({label}) {symbol}{name}", found.get(name, missing), np.asarray(array))
        for name, array in expected.items()
    ]


#: The largest deviation relative to the largest entry of all blocks. Where a small block is a
#: difference of large numbers, as the deviations of one component from its own mean, its rounding
#: is that of the large ones, times what the layers after it make of it.
worst = partial(comparing.worst, negligible=1.0)
