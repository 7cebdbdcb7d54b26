"""ReLU networks as complementarity problems: solved without a kink, compared with subgradients."""

from functools import cache

import numpy as np
import pytest

from lagrangenet import L2, Dense, Problem, ProblemError, chain, derive, generate, minimize
from lagrangenet.optimize.relu import Relaxed, ReluSolution, affine, solve_relu

NET = chain([1, 2, 1], "relu", regularizer=L2(1e-2, biases=True))
X = np.array([[-1.0], [0.0], [1.0], [2.0]])
Y = np.array([[0.5], [-0.3], [0.4], [1.0]])


@cache
def at_a_kink():
    """A local minimizer with two units at their kinks, which other methods reach and cannot certify."""
    return solve_relu(NET, X, Y, seed=3)


def pair(alpha, beta):
    """A solution with one unit at its kink."""
    zero, a, b = np.zeros((1, 1)), np.array([[alpha]]), np.array([[beta]])
    return ReluSolution(np.zeros(2), (zero,), (zero,), (a,), (b,), 0.0, 0.0, 0.0, 1e-12, "")


def test_a_solution_at_a_kink_is_a_kkt_point():
    found = at_a_kink()
    assert found.violation < 1e-10
    assert found.optimality < 1e-7
    assert sum(int(k.sum()) for k in found.kinks) == 2
    assert found.stationarity == "strong"


def test_x_is_the_relu_of_z():
    found = at_a_kink()
    code = generate(derive(NET))
    ((z, x), _) = code.forward(code.unpack(found.theta), X)
    assert np.abs(found.x[0] - x).max() < found.rounding
    assert np.abs(found.z[0] - z).max() < found.rounding
    assert found.fun == pytest.approx(code.loss(code.unpack(found.theta), X, Y), abs=1e-10)


def test_the_multipliers_choose_subgradients_at_which_the_network_is_stationary():
    found = at_a_kink()
    chosen = found.slopes[0][found.kinks[0]]
    assert ((chosen > 0.05) & (chosen < 0.95)).all()  # neither 0 nor 1 would do
    relaxed = Relaxed(NET, X, Y)
    assert np.abs(relaxed.subgradient(found.theta, found.slopes)).max() < 1e-7
    for slope in (0.0, 1.0):
        fixed = np.where(found.kinks[0], slope, found.slopes[0])
        assert np.abs(relaxed.subgradient(found.theta, (fixed,))).max() > 1e-3


def test_with_slope_0_at_kinks_the_subgradient_is_the_generated_gradient():
    """At points with kinks in two layers, beside the package's own choice."""
    problem = Problem(
        2, [Dense(3, "relu"), Dense(2, "tanh"), Dense(3, "relu"), Dense(1)], "squared_error"
    )
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    code = generate(derive(problem))
    theta = code.pack(code.initial(0))
    theta[:3] = 0.0  # unit 1 of the first layer, W row and one weight of unit 2
    states = code.forward(code.unpack(theta), data[0])
    slopes = tuple((states[k][0] > 0).astype(float) for k in (0, 2))
    found = Relaxed(problem, *data).subgradient(theta, slopes)
    assert np.abs(found - code.fun(theta, *data)[1]).max() < 1e-15


def test_descent_reaches_the_same_value_and_cannot_say_that_it_is_stationary():
    found = at_a_kink()
    best = min((minimize(NET, X, Y, "l-bfgs-b", seed=seed) for seed in (1, 2)), key=lambda r: r.fun)
    assert best.fun == pytest.approx(found.fun, abs=1e-8)
    assert not best.success


@pytest.mark.parametrize(("alpha", "beta", "named"), [
    (0.3, 0.1, "strong"), (1.0, 0.0, "strong"), (-0.3, -0.1, "Clarke"), (-1.0, 0.0, "Clarke"),
    (0.3, -0.1, "weak"),
])  # fmt: skip
def test_kinds_of_stationarity(alpha, beta, named):
    found = pair(alpha, beta)
    assert found.stationarity == named
    slope = found.slopes[0][0, 0]
    assert slope == pytest.approx(beta / (alpha + beta))
    assert (0 <= slope <= 1) == (named != "weak")


def test_where_both_multipliers_vanish_any_slope_will_do():
    assert np.isnan(pair(0.0, 0.0).slopes[0]).all()


def test_clarke_stationary_is_not_enough():
    """x = relu(w + b), y = 1: at 0 the choice of slope 0 hides that J falls; complementarity leaves."""
    problem = chain([1, 1], output="relu")
    one, start = np.ones((1, 1)), np.zeros(2)
    assert np.abs(generate(derive(problem)).fun(start, one, one)[1]).max() == 0
    found = solve_relu(problem, one, one, start)
    assert found.fun < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_solutions_from_random_starts_are_stationary_with_their_slopes(seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    problem = chain([2, 2, 2, 1], "relu", regularizer=L2(0.02, biases=True))
    found = solve_relu(problem, *data, seed=seed)
    if found.optimality > 1e-6:
        pytest.skip(f"SLSQP stopped before a KKT point: {found.message}")
    slopes = tuple(np.nan_to_num(slope, nan=0.5) for slope in found.slopes)
    assert np.abs(Relaxed(problem, *data).subgradient(found.theta, slopes)).max() < 1e-5


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(ProblemError, match="chains with relu layers"):
        affine(chain([1, 2, 1]))
    with pytest.raises(ProblemError, match="variables: with every state a variable, at most 200"):
        Relaxed(chain([1, 20, 1], "relu"), np.zeros((50, 1)), np.zeros((50, 1)))
