"""Bounds and linear constraints on parameters: by name, by every method, with their multipliers."""

import numpy as np
import pytest
import scipy.optimize as so

from lagrangenet import L2, Constraint, Problem, ProblemError, chain, minimize
from lagrangenet.optimize import METHODS, linear
from lagrangenet.optimize.region import region
from lagrangenet.optimize.task import Task

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
NET = chain([2, 2, 1], regularizer=L2(1e-2, biases=True))
GRAPH = Problem.graph(
    {"x": 2},
    [Constraint("h", "dense", "x", m=2, activation="tanh"), Constraint("y", "affine", "h", m=1)],
    regularizer=L2(1e-2, biases=True),
)
BOUNDS = {"W2": (0, 1.0), "b1": (-0.5, 0.5)}
ROWS = [linear(NET, {"W2": 1}, 1, 1), linear(NET, {"W1": 1, "b1": [1, 2]}, -np.inf, -1.0)]
FULL = [pytest.param("ipopt", marks=pytest.mark.skipif(
    bool(METHODS["ipopt"].missing()), reason="needs CasADi"))]  # fmt: skip


def start(method):
    """From where SciPy's and IPOPT's methods reach one minimizer."""
    return minimize(NET, *XOR, method, bounds=BOUNDS, seed=1)


# -- declaring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bounds", "lower", "upper"), [
    ({"W1": (0, None)}, [0, 0, 0, 0] + [-np.inf] * 5, [np.inf] * 9),
    ({"biases": 0}, [-np.inf] * 4 + [0, 0, -np.inf, -np.inf, 0], [np.inf] * 4 + [0, 0, np.inf, np.inf, 0]),
    ({"layer 2": (-1, 1), "weights": (0, 2)}, [0] * 4 + [-np.inf] * 2 + [0, 0, -1],
     [2] * 4 + [np.inf] * 2 + [1, 1, 1]),
    ({"b1": (np.array([0.5, -1]), None)}, [-np.inf] * 4 + [0.5, -1] + [-np.inf] * 3, [np.inf] * 9),
    (so.Bounds(-1, 1), [-1] * 9, [1] * 9),
    ([(None, 1)] * 9, [-np.inf] * 9, [1] * 9),
])  # fmt: skip
def test_bounds_by_name_and_as_scipy_has_them(bounds, lower, upper):
    found = region(NET, bounds)
    assert found.bounds[0].tolist() == lower
    assert found.bounds[1].tolist() == upper


def test_names_of_a_graph():
    found = region(GRAPH, {"W_y": (0, None)})
    (at,) = (
        a
        for n, a in Task(GRAPH, {"x": XOR[0]}, XOR[1]).shaped(found.bounds[0]).items()
        if n == "W_y"
    )
    assert (at == 0).all()


def test_a_region_without_limits_is_free():
    assert region(NET).free
    assert region(NET, {"W1": (None, None)}).free


@pytest.mark.parametrize(("bounds", "rows", "message"), [
    ({"W3": 0}, None, "no parameter 'W3'; known: W1, b1, W2, b2"),
    ({"layer 3": 0}, None, "no parameter 'layer 3'"),
    ({"W1": (1, 0)}, None, r"bounds on W1\[0, 0\]: no number is ≥ 1 and ≤ 0"),
    ({"all": (0, None), "b2": -1}, None, r"bounds on b2\[0\]"),
    ({"W1": (0, [1, 2, 3])}, None, r"W1: \[1, 2, 3\] is no number, and no array that fits \(2, 2\)"),
    ({"W1": float("nan")}, None, "NaN"),
    ([(0, 1)], None, "1 bounds for 9 parameters"),
    (7, None, "bounds are int: give scipy.optimize.Bounds, 9 pairs"),
    (so.Bounds([0, 0], [1, 1]), None, "bounds do not fit 9 parameters"),
    (None, so.NonlinearConstraint(np.sum, 0, 1), "belongs into the regularizer"),
    (None, so.LinearConstraint(np.ones((1, 3)), 0, 1), r"A of shape \(1, 3\), expected \(r, 9\)"),
    (None, so.LinearConstraint(np.ones((1, 9)), 1, 0), "lb > ub"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(bounds, rows, message):
    with pytest.raises(ProblemError, match=message):
        region(NET, bounds, rows)


def test_a_method_without_limits_says_which_have_them():
    with pytest.raises(
        ProblemError, match=r"takes no bounds on the parameters; these do: .*l-bfgs-b"
    ):
        minimize(NET, *XOR, "bfgs", bounds=BOUNDS)
    with pytest.raises(ProblemError, match="takes no constraints on the parameters; these do: "):
        minimize(NET, *XOR, "l-bfgs-b", constraints=ROWS)


# -- solving -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["trust-constr", *FULL])
def test_methods_agree_on_the_solution_and_its_multipliers(method):
    found, other = start(method), start("l-bfgs-b")
    for result in (found, other):
        assert result.success
        assert result.certificate.order == 2
        nu = result.bound_multipliers
        lower, upper = region(NET, BOUNDS).bounds
        assert (result.x >= lower - 1e-8).all()
        assert (result.x <= upper + 1e-8).all()
        assert (nu != 0).sum() == result.second_order.active == 3
        assert (nu[np.isclose(result.x, upper)] > 0).all()
    assert found.fun == pytest.approx(other.fun, abs=1e-8)
    assert found.bound_multipliers == pytest.approx(other.bound_multipliers, abs=1e-6)


@pytest.mark.parametrize("method", ["slsqp", "trust-constr", *FULL])
def test_linear_constraints(method):
    result = minimize(NET, *XOR, method, constraints=ROWS, seed=1)
    assert result.success
    assert result.certificate.holds
    A, low, high = region(NET, None, ROWS).constraints
    assert (A @ result.x <= high + 1e-8).all()
    assert (A @ result.x >= low - 1e-8).all()
    eta = result.constraint_multipliers
    assert eta[0] != 0
    assert eta[1] >= 0
    slope = Task(NET, *XOR).fun_and_grad(result.x)[1]
    assert np.abs(slope + A.T @ eta).max() < 1e-7


def test_the_multipliers_are_those_of_scipys_trust_constr():
    """Of the reduced problem, with bounds and a linear constraint at once; its v has our sign."""
    bounds, row = {"W2": (0, 1.0)}, linear(NET, {"W1": 1, "b1": [1, 2]}, 3.0, np.inf)
    task = Task(NET, *XOR, region=region(NET, bounds, row))
    at = minimize(NET, *XOR, "slsqp", bounds=bounds, constraints=row, seed=3)
    assert at.success
    A, low, high = task.region.constraints
    found = so.minimize(
        task.fun_and_grad, at.x, jac=True, method="trust-constr", hessp=task.hessp,
        bounds=so.Bounds(*task.region.bounds), constraints=[so.LinearConstraint(A, low, high)],
        options={"gtol": 1e-10, "xtol": 1e-12, "barrier_tol": 1e-12, "maxiter": 3000},
    )  # fmt: skip
    assert found.x == pytest.approx(at.x, abs=1e-5)
    eta, nu = found.v
    assert nu == pytest.approx(at.bound_multipliers, abs=1e-5)
    assert eta == pytest.approx(at.constraint_multipliers, abs=1e-5)
    assert at.constraint_multipliers[0] < 0  # at its lower limit
    assert at.bound_multipliers.max() > 0  # at an upper one


def test_a_graph_with_bounds():
    result = minimize(GRAPH, {"x": XOR[0]}, XOR[1], "l-bfgs-b", seed=1,
                      bounds={"W_y": (0, 1.0), "b_h": (-0.5, 0.5)})  # fmt: skip
    assert result.success
    assert result.fun == pytest.approx(start("l-bfgs-b").fun, abs=1e-8)
    assert result.bound_multipliers == pytest.approx(start("l-bfgs-b").bound_multipliers, abs=1e-6)


def test_fixed_parameters_have_multipliers_of_either_sign():
    result = minimize(NET, *XOR, "l-bfgs-b", bounds={"b2": 0.3, "b1": [0.2, -0.2]}, seed=2)
    assert result.success
    slope = Task(NET, *XOR).fun_and_grad(result.x)[1]
    assert result.bound_multipliers[[4, 5, 8]] == pytest.approx(-slope[[4, 5, 8]])
    assert result.second_order.active == 3


def test_nonnegative_weights_of_a_layer():
    result = minimize(NET, *XOR, "l-bfgs-b", bounds={"W1": (0, None)}, escape_saddles=True)
    assert result.success
    assert (result.theta[0][0] >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_regions(seed):
    """The conditions of a region by their definition, where bounds and rows are active at random."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-1, 0, NET.size)
    bounds = so.Bounds(
        np.where(rng.random(NET.size) < 0.5, low, -np.inf), low + rng.uniform(0, 1.5)
    )
    rows = so.LinearConstraint(rng.normal(size=(2, NET.size)), -1.0, [0.5, -1.0 + rng.random()])
    for method in ("slsqp", "trust-constr"):
        result = minimize(NET, *XOR, method, bounds=bounds, constraints=rows, seed=seed)
        assert result.success, result.message
        nu, eta = result.bound_multipliers, result.constraint_multipliers
        A, below, above = region(NET, bounds, rows).constraints
        slope = Task(NET, *XOR).fun_and_grad(result.x)[1]
        assert np.abs(slope + nu + A.T @ eta).max() < 1e-7
        assert (np.minimum(result.x - bounds.lb, np.maximum(-nu, 0)) < 1e-7).all()
        assert (np.minimum(bounds.ub - result.x, np.maximum(nu, 0)) < 1e-7).all()
        assert (np.minimum(above - A @ result.x, np.maximum(eta, 0)) < 1e-7).all()
        assert (np.minimum(A @ result.x - below, np.maximum(-eta, 0)) < 1e-7).all()
