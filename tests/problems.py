"""The problem bank: small named problems, a random generator, problems with known optima.

Everything is seeded. A case is ``(problem, theta, X, Y)`` with float64 arrays and labels that the
loss is defined for.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from lagrangenet import L2, Dense, Problem, Routines, chain, derive, generate
from lagrangenet.functions import ACTIVATIONS, LOSSES


class Case(NamedTuple):
    problem: Problem
    theta: tuple
    X: np.ndarray
    Y: np.ndarray


class Optimum(NamedTuple):
    """A case whose θ, states x^N and multipliers λ^N are optimal, in closed form."""

    problem: Problem
    theta: tuple
    X: np.ndarray
    Y: np.ndarray
    output: np.ndarray
    multiplier: np.ndarray


@cache
def routines(problem: Problem, dtype: str = "float64") -> Routines:
    """Generated code, made once for each problem."""
    return generate(derive(problem), dtype)


def flat(theta) -> np.ndarray:
    """(W^1, b^1, ..., W^N, b^N), or what else there is one tuple per layer of, as one vector."""
    return np.concatenate([np.ravel(array) for layer in theta for array in layer])


def relative_error(found, expected) -> float:
    """‖found − expected‖₂ / ‖expected‖₂ over all entries; 0 if both are zero, inf for NaN."""
    found, expected = np.ravel(found), np.ravel(expected)
    assert found.shape == expected.shape
    if np.array_equal(found, expected):
        return 0.0
    error = np.linalg.norm(found - expected)
    scale = np.linalg.norm(expected)
    return float(error / scale) if np.isfinite(error) and scale > 0 else np.inf


#: Activations and losses that have a derivative.
TRAINED = [name for name in sorted(ACTIVATIONS) if ACTIVATIONS[name].differentiable]
TRAINABLE = [name for name in sorted(LOSSES) if LOSSES[name].differentiable]


# -- data ------------------------------------------------------------------------------------------


def random_theta(problem: Problem, rng: np.random.Generator, scale: float = 1.0) -> tuple:
    """W ~ N(0, scale²/fan-in), b ~ N(0, (0.3 scale)²): preactivations of about unit size."""
    return tuple(
        (
            scale * rng.normal(size=weight) / np.sqrt(weight[1]),
            0.3 * scale * rng.normal(size=bias),
        )
        for weight, bias in problem.shapes
    )


def random_labels(problem: Problem, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Labels that the loss is defined for: hard ones in half of the draws."""
    outputs, hard = problem.widths[-1], rng.random() < 0.5
    kind = problem.loss_entry.labels
    if kind == "distribution":
        if hard:
            return np.eye(outputs)[rng.integers(outputs, size=samples)]
        return rng.dirichlet(np.ones(outputs), size=samples)
    if kind == "sign":
        signs = rng.choice([-1.0, 1.0], size=(samples, outputs))
        if problem.activations[-1].simplex:  # of equal labels Σ_p y_p x_p is constant
            signs[:, 0], signs[:, -1] = 1.0, -1.0
        return signs
    if kind == "binary":
        soft = rng.random((samples, outputs))
        return np.round(soft) if hard else soft
    return rng.normal(size=(samples, outputs))


def random_point(problem: Problem, rng: np.random.Generator, samples: int | None = None) -> Case:
    """Parameters and data for a problem: a batch of 1 to 11 samples."""
    count = int(rng.integers(1, 12)) if samples is None else samples
    X = rng.normal(size=(count, problem.inputs))
    return Case(problem, random_theta(problem, rng), X, random_labels(problem, count, rng))


def case(problem: Problem, samples: int = 5, seed: int = 0) -> Case:
    """A seeded point of a problem."""
    return random_point(problem, np.random.default_rng(seed), samples)


# -- random networks -------------------------------------------------------------------------------


def fits(activation: str, loss: str) -> bool:
    """Whether a loss is defined for the outputs of an activation."""
    values, needs = ACTIVATIONS[activation], LOSSES[loss]
    return (
        values.simplex >= needs.needs_simplex
        and values.positive >= needs.needs_positive
        and values.log_simplex >= needs.needs_log_simplex
    )


def _random_activation(rng: np.random.Generator):
    name = str(rng.choice(TRAINED))
    if name == "leaky_relu":
        return ACTIVATIONS[name](slope=float(np.round(rng.uniform(0.01, 0.5), 3)))
    return name


def random_problem(seed: int | np.random.Generator) -> Problem:
    """A chain of depth 1..6 and widths 1..8 with any admissible functions."""
    rng = np.random.default_rng(seed)
    loss = str(rng.choice(TRAINABLE))
    depth = int(rng.integers(1, 7))
    widths = [int(width) for width in rng.integers(1, 9, size=depth + 1)]
    activations = [_random_activation(rng) for _ in range(depth)]
    if not fits("identity", loss):
        activations[-1] = str(rng.choice([name for name in TRAINED if fits(name, loss)]))
    if LOSSES[loss].needs_simplex or LOSSES[loss].coupled:
        widths[-1] = max(2, widths[-1])
    layers = [Dense(width, a) for width, a in zip(widths[1:], activations, strict=True)]
    strength = float(np.round(10 ** rng.uniform(-3, 0), 4))
    return Problem(widths[0], layers, loss, L2(strength) if rng.random() < 0.5 else None)


def random_case(seed: int) -> Case:
    """A random network with random parameters and data."""
    rng = np.random.default_rng(seed)
    return random_point(random_problem(rng), rng)


# -- named problems --------------------------------------------------------------------------------


def _bank() -> dict[str, Problem]:
    bank = {
        "xor": chain([2, 3, 1], "tanh", name="xor"),
        "one-of-each-axis": Problem(1, [Dense(1, "tanh"), Dense(1)], "squared_error"),
        "single-layer": chain([3, 2]),
        "single-scalar": chain([1, 1], loss="binary_cross_entropy"),
        "softmax-of-one": Problem(2, [Dense(1, "softmax"), Dense(2, "tanh")], "squared_error"),
        "softmax-throughout": chain([3, 4, 2, 3], "softmax", "cross_entropy", regularizer=L2(0.1)),
        "mixed": Problem(
            3,
            [
                Dense(4, ACTIVATIONS["leaky_relu"](slope=0.2)),
                Dense(2, "softplus"),
                Dense(1, "sigmoid"),
            ],
            "binary_cross_entropy",
        ),
        "deep": Problem(
            2,
            [Dense(3, "tanh"), Dense(4, "relu"), Dense(2, "softmax"), Dense(3, "softplus"),
             Dense(1, "sigmoid"), Dense(2, "identity")],
            "squared_error",
            L2(0.01),
        ),
    }  # fmt: skip
    for loss, entry in LOSSES.items():
        for name in TRAINED:
            common = loss in {"squared_error", "cross_entropy"}
            if not entry.differentiable or not (common or name in {"tanh", entry.default_output}):
                continue
            for regularizer in (None, L2(0.05)):
                mark = "+L2" if regularizer else ""
                bank[f"hidden {name}, {loss}{mark}"] = chain(
                    [2, 3, 2], name, loss, regularizer=regularizer
                )
                if fits(name, loss):
                    bank[f"output {name}, {loss}{mark}"] = chain(
                        [2, 3, 2], "tanh", loss, output=name, regularizer=regularizer
                    )
    for depth in range(1, 7):
        bank[f"depth {depth}"] = chain([2] * (depth + 1), "tanh", regularizer=L2(0.1))
    return bank


#: Every activation, hidden and at the output, with common losses, and every loss with its output, with
#: and without L2; all depths 1..6. All combinations are in tests/functions/test_combinations.py.
BANK: dict[str, Problem] = _bank()


# -- known optima ----------------------------------------------------------------------------------


def ridge() -> Optimum:
    """min (1/2M) Σ |W x_i + b − y_i|² + (ρ/2)|W|²: the normal equations of centred data.

    λ_i = −(1/M) (x_i^1 − y_i).
    """
    rng, samples, rho = np.random.default_rng(7), 9, 0.05
    X, Y = rng.normal(1.0, 1.0, size=(samples, 3)), rng.normal(size=(samples, 2))
    centred, targets = X - X.mean(axis=0), Y - Y.mean(axis=0)
    normal = centred.T @ centred / samples + rho * np.eye(3)
    W = np.linalg.solve(normal, centred.T @ targets / samples).T
    b = Y.mean(axis=0) - W @ X.mean(axis=0)
    output = X @ W.T + b
    return Optimum(
        chain([3, 2], regularizer=L2(rho), name="ridge"),
        ((W, b),), X, Y, output, -(output - Y) / samples,
    )  # fmt: skip


def frequencies() -> Optimum:
    """Softmax regression that sees nothing (X = 0): the outputs are the class frequencies.

    W = 0 by the regularizer, b = log of the frequencies, λ_i = (1/M) y_i / x_i.
    """
    Y = np.eye(3)[[0, 1, 1, 2, 2, 2, 2, 0]]
    share = Y.mean(axis=0)
    output = np.tile(share, (len(Y), 1))
    return Optimum(
        chain([2, 3], loss="cross_entropy", regularizer=L2(0.1), name="frequencies"),
        ((np.zeros((3, 2)), np.log(share)),), np.zeros((len(Y), 2)), Y, output,
        Y / output / len(Y),
    )  # fmt: skip


def log_odds() -> Optimum:
    """Logistic regression that sees nothing: the logit is the log odds of the labels."""
    Y = np.array([[1.0], [0.0], [1.0], [1.0], [0.25]])
    share = Y.mean(axis=0)
    b = np.log(share / (1 - share))
    return Optimum(
        chain([2, 1], loss="binary_cross_entropy", regularizer=L2(0.1), name="log odds"),
        ((np.zeros((1, 2)), b),), np.zeros((len(Y), 2)), Y, np.tile(b, (len(Y), 1)),
        -(share - Y) / len(Y),
    )  # fmt: skip


OPTIMA: dict[str, Callable[[], Optimum]] = {
    "ridge": ridge,
    "frequencies": frequencies,
    "log odds": log_odds,
}
