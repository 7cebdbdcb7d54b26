"""Multipliers as derivatives of the optimal value, checked by solving perturbed problems."""

from functools import cache

import numpy as np
import pytest

from lagrangenet import (
    L2,
    Constraint,
    DataError,
    Layer,
    Problem,
    ProblemError,
    chain,
    derive,
    generate,
    minimize,
    sensitivity,
)
from lagrangenet.functions import LOSSES
from lagrangenet.optimize import multiplier_norms
from lagrangenet.optimize.perturbed import perturbed, recurs
from lagrangenet.optimize.sensitivity import label_slope
from lagrangenet.optimize.task import Task
from tests.problems import fits, random_labels

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
NET = chain([2, 3, 1], regularizer=L2(1e-3, biases=True))
SKIP = Problem.graph(
    {"x": 2},
    [Constraint("h", "dense", "x", m=2, activation="tanh"), Constraint("s", "add", ("h", "x")),
     Constraint("y", "affine", "s", m=1)],
    regularizer=L2(1e-2, biases=True),
)  # fmt: skip


@cache
def solved(problem, limits=()):
    X, Y = ({"x": XOR[0]}, XOR[1]) if problem is SKIP else XOR
    result = minimize(problem, X, Y, "l-bfgs-b", bounds=dict(limits) or None, escape_saddles=True)
    assert result.success
    return sensitivity(result, problem, X, Y, bounds=dict(limits) or None)


def direction(found, *names):
    rng = np.random.default_rng(len(names))
    every = {
        "labels": found.labels,
        "lower": found.lower,
        "upper": found.upper,
        **found.constraints,
    }
    return {name: rng.normal(size=every[name].shape) for name in names}


@pytest.mark.parametrize(("problem", "names"), [
    (NET, ["x1"]), (NET, ["z1", "x2"]), (NET, ["labels"]), (SKIP, ["h"]), (SKIP, ["s", "y", "labels"]),
])  # fmt: skip
def test_the_optimal_value_changes_as_the_multipliers_say(problem, names):
    found = solved(problem)
    check = found.check(direction(found, *names))
    assert check.rate == pytest.approx(2.0, abs=0.15), str(check)
    assert extrapolated(check) == pytest.approx(check.slope, rel=1e-3)


def extrapolated(check):
    """dp/dε by the values alone: difference quotients at two steps, extrapolated to ε = 0."""
    a, b = check.steps[-2:]
    first, second = (check.values[-2:] - check.value) / (a, b)
    return (a * second - b * first) / (a - b)


def test_a_wrong_multiplier_shows_in_the_rate():
    found = solved(NET)
    along = direction(found, "x1")
    object.__setattr__(
        found, "constraints", {**found.constraints, "x1": 1.5 * found.constraints["x1"]}
    )
    try:
        assert found.check(along).rate == pytest.approx(1.0, abs=0.1)
    finally:
        solved.cache_clear()


def test_bounds_have_a_price():
    limits = (("W2", (0.0, 1.0)), ("b1", (-0.5, 0.5)))
    found = solved(NET, limits)
    assert (found.upper <= 0).all()
    assert (found.lower >= 0).all()
    assert (found.upper < 0).any()
    check = found.check(direction(found, "upper", "lower"))
    assert check.rate == pytest.approx(2.0, abs=0.15), str(check)


def test_softmax_is_perturbed_before_its_activation():
    """A shifted output would not sum to one, so x2 is no constraint that can be re-solved; z2 is."""
    problem = chain([2, 2, 3], loss="cross_entropy", regularizer=L2(0.05, biases=True))
    X, Y = np.random.default_rng(0).normal(size=(6, 2)), np.eye(3)[np.arange(6) % 3]
    found = sensitivity(minimize(problem, X, Y, "l-bfgs-b"), problem, X, Y)
    check = found.check(direction(found, "x1", "z2"))
    assert check.rate == pytest.approx(2.0, abs=0.15), str(check)
    with pytest.raises(ProblemError, match="no constraint 'x2' that can be perturbed; known: z1"):
        found.check(direction(found, "x2"))


def test_the_perturbed_problem_is_the_problem_where_nothing_is_perturbed():
    task = Task(NET, *XOR)
    found = perturbed(task)
    theta = task.initial(3)
    shifted = Task(found.graph, found.data({}), XOR[1])
    value, slope = shifted.fun_and_grad(theta)
    assert value == pytest.approx(task.fun(theta), rel=1e-14)
    assert np.allclose(slope, task.fun_and_grad(theta)[1], rtol=1e-12, atol=1e-15)


def test_a_perturbation_moves_the_state():
    task = Task(NET, *XOR)
    found, theta = perturbed(task), task.initial(3)
    e = np.full((4, 3), 0.5)
    code = generate(derive(found.graph))
    at = code.unpack(theta)
    plain, moved = (code.forward(at, found.data({"x1": e}, size)) for size in (0.0, 0.1))
    assert np.allclose(moved["x1"] - plain["x1"], 0.05)


CELL = Layer(
    "cell",
    "h[i,t,p] = sum(W[p,q]*x[i,t,q], q) + u[p]*h[i,t - 1,p]",
    "x[M,T,n] W[m,n] u[m] h[M,0..T,m]",
    parameters="W u",
)
STEPS = Layer("steps", "y[i,t,p] = x[i,t,p]", "x[M,0..T,n] y[M,T,n]")


@pytest.mark.parametrize(("layer", "own"), [("recurrent", False), (CELL, True), ("dense", False)])
def test_a_state_that_feeds_its_own_constraint_is_not_perturbed(layer, own):
    """What is added after a recurrence has ended comes too late for its next step."""
    x = 2 if layer == "dense" else ("T", 2)
    after = [Constraint("y", STEPS, "h")] if layer is CELL else []
    use, *_ = Problem.graph({"x": x}, [Constraint("h", layer, "x", m=2), *after]).uses
    assert recurs(use) == own


def test_what_cannot_be_meant_is_refused():
    found = solved(NET)
    with pytest.raises(ProblemError, match=r"no constraint 'x7'.*known: z1, x1"):
        found.slope({"x7": 1.0})
    with pytest.raises(DataError, match=r"'x1' has shape \(1, 3\), expected \(4, 3\)"):
        found.slope({"x1": np.ones((1, 3))})
    stopped = minimize(NET, *XOR, "l-bfgs-b", options={"maxiter": 2})
    with pytest.raises(DataError, match="the result is no solution"):
        sensitivity(stopped, NET, *XOR)


@pytest.mark.parametrize("loss", [name for name in sorted(LOSSES) if LOSSES[name].differentiable
                                  and not LOSSES[name].kinks])  # fmt: skip
def test_the_derivative_by_the_labels(loss):
    output = next(
        name for name in ("identity", "softmax", "sigmoid", "log_softmax") if fits(name, loss)
    )
    problem = chain([2, 3], loss=loss, output=output)
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(4, 2)), random_labels(problem, 4, rng)
    code = generate(derive(problem))
    theta = code.initial(0)
    states = code.forward(theta, X)
    slope, h = label_slope(problem, Y, states[-1][1]), 1e-6
    e = rng.normal(size=Y.shape)
    values = [code._functions["loss"](theta, states, Y + sign * h * e) for sign in (1, -1)]
    assert (values[0] - values[1]) / (2 * h) == pytest.approx(np.sum(slope * e), rel=1e-6, abs=1e-9)


# -- size by layer -----------------------------------------------------------------------------------


def network(activation, scale, depth=20, width=16):
    problem = chain([width] * (depth + 1), activation)
    rng = np.random.default_rng(0)
    theta = tuple(
        (scale * rng.normal(size=W) / np.sqrt(W[1]), np.zeros(b)) for W, b in problem.shapes
    )
    X = rng.normal(size=(12, width))
    return multiplier_norms(problem, theta, X, rng.normal(size=(12, width)))


def test_multipliers_of_deep_networks_vanish_or_explode():
    """σ′ ≤ ¼ and weights of variance 1/n: a factor below ¼ per layer; He's variance 2/n keeps ReLU."""
    assert network("sigmoid", 1.0).factor < 0.25
    assert 0.8 < network("relu", np.sqrt(2)).factor < 1.25
    assert 0.6 < network("relu", 1.0).factor < 0.8  # 1/√2
    assert network("tanh", 3.0).factor > 1.1
    assert network("tanh", 0.5).factor == pytest.approx(0.5, abs=0.05)  # nearly linear


def test_norms_do_not_depend_on_the_size_of_the_batch():
    problem = chain([3, 4, 2])
    theta = generate(derive(problem)).initial(0)
    X, Y = np.ones((1, 3)), np.ones((1, 2))
    one, many = (
        multiplier_norms(problem, theta, np.repeat(X, n, 0), np.repeat(Y, n, 0)) for n in (1, 9)
    )
    assert one.norms == pytest.approx(many.norms)
    assert one.names == ("λ1", "λ2")
    assert one.to_dict()["norms"]["λ2"] == one.norms[1]


def test_norms_of_a_graph_are_by_state():
    theta = generate(derive(SKIP)).initial(0)
    assert multiplier_norms(SKIP, theta, {"x": XOR[0]}, XOR[1]).names == ("z_h", "h", "s", "y")


def test_norms_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from lagrangenet.report.plots import save_norms_plot

    save_norms_plot({"tanh": network("tanh", 1.0, depth=5)}, tmp_path / "norms.png")
    assert (tmp_path / "norms.png").stat().st_size > 1000
