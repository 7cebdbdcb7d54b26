"""Problems that the tests of optimization solve, and an oracle that looks at what came of it.

The oracle is the Lagrangian written out element by element: it shares no code with the routines.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from lagrangenet import L2, Constraint, Problem, chain, derive, generate
from lagrangenet.experiments import load_dataset
from lagrangenet.verify.explicit import ExplicitLagrangian
from lagrangenet.verify.textbook import Textbook

#: More states than this are not written out element by element.
WRITTEN_OUT = 800
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
EXCLUSIVE = np.array([[0.0], [1.0], [1.0], [0.0]])


class Data(NamedTuple):
    problem: Problem
    X: np.ndarray
    Y: np.ndarray


def xor(hidden=3):
    return Data(chain([2, hidden, 1], regularizer=L2(1e-3), name="xor"), CORNERS, EXCLUSIVE)


def classes():
    problem = chain([2, 3, 2], loss="cross_entropy", regularizer=L2(1e-2), name="classes")
    return Data(problem, CORNERS, np.eye(2)[[0, 1, 1, 0]])


def convex():
    """One layer, and a regularizer of everything: one solution."""
    rng = np.random.default_rng(0)
    penalty = L2(1e-3, biases=True)
    problem = chain([6, 4], loss="cross_entropy", regularizer=penalty, name="convex")
    return Data(problem, rng.normal(size=(40, 6)) * 3, np.eye(4)[rng.integers(4, size=40)])


def regression(widths=(1, 4, 1), samples=10):
    X = np.linspace(-2, 2, samples)[:, None]
    penalty = L2(1e-3, biases=True)  # without it the bias of a unit that is not used is free
    return Data(chain(widths, regularizer=penalty, name="sine"), X, np.sin(2 * X))


def iris():
    data = load_dataset("iris").standardized()
    problem = chain([4, 8, 3], loss="cross_entropy", regularizer=L2(1e-3), name="iris")
    return Data(problem, data.X, data.labels(problem.loss))


def skip():
    """A graph: the inputs also reach the output past the hidden layer."""
    graph = Problem.graph(
        {"x": 2},
        [
            Constraint("h", "dense", "x", m=2, activation="tanh"),
            Constraint("s", "add", ("h", "x")),
            Constraint("y", "dense", "s", m=1),
        ],
        regularizer=L2(1e-3),
        name="skip",
    )
    return Data(graph, {"x": CORNERS}, EXCLUSIVE)


@cache
def code(problem):
    """Generated code of the second order, made once for each problem."""
    return generate(derive(problem, order=2))


@cache
def explicit(problem, samples):
    return ExplicitLagrangian(problem, samples)


def violation_and_optimality(data, result):
    """max |∂L/∂λ| and max |∂L/∂(x, θ)| of a chain by an oracle, at a result's x, λ and θ."""
    if len(data.X) * sum(data.problem.widths[1:]) > WRITTEN_OUT:
        return by_the_textbook(data, result)
    oracle = explicit(data.problem, len(data.X))
    v = oracle.pack(list(result.states), result.theta)
    lam = np.concatenate([array.ravel() for array in result.multipliers])
    blocks = oracle.stationarity(v, lam, data.X, data.Y)
    largest = {name: np.abs(block).max() for name, block in blocks.items()}
    return largest["lambda"], max(largest["x"], largest["theta"])


def by_the_textbook(data, result):
    """The same for more variables than can be written out, by textbook backpropagation."""
    states, multipliers = list(result.states), list(result.multipliers)
    book = Textbook(data.problem)
    blocks = book.residuals(result.theta, data.X, data.Y, states, multipliers)
    violation, *others = (max(np.abs(layer[j]).max() for layer in blocks) for j in range(4))
    return violation, max(others)


def multiplier_error(data, result):
    """The multipliers against the generated backward pass at the same θ, relative to the largest."""
    routines = code(data.problem)
    states = routines.forward(result.theta, data.X)
    expected = [lam for _, lam in routines.backward(result.theta, states, data.Y)]
    largest = max(np.abs(lam).max() for lam in expected)
    pairs = zip(result.multipliers, expected, strict=True)
    return max(np.abs(a - b).max() for a, b in pairs) / largest
