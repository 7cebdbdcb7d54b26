"""SciPy's methods and IPOPT: where they say success they are at a KKT point, by an oracle."""

import numpy as np
import pytest

from lagrangenet import METHODS, ProblemError, minimize
from lagrangenet.optimize.full import Full
from lagrangenet.optimize.least_squares import _Squares
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.sparsity import patterns
from lagrangenet.optimize.task import Task
from tests.graphs import NAMED, random_point
from tests.graphs import routines as graph_routines
from tests.optimize.solved import (
    Data,
    classes,
    code,
    explicit,
    multiplier_error,
    regression,
    skip,
    violation_and_optimality,
    xor,
)

REDUCED = ["l-bfgs-b", "bfgs", "cg", "newton-cg", "trust-ncg", "trust-krylov", "trust-exact",
           "least-squares"]  # fmt: skip
FULL = ["slsqp", "trust-constr", "ipopt", "ipopt-casadi"]
#: How well the multipliers of a method have to agree with the backward pass.
MULTIPLIERS = {"ipopt": 1e-7, "ipopt-casadi": 1e-7, "slsqp": 1e-5, "trust-constr": 1e-5}


def solved(data, method, **options):
    if method.startswith("ipopt"):
        pytest.importorskip("casadi")
    return minimize(*data, method, routines=code(data.problem), **options)


@pytest.mark.parametrize("method", [*REDUCED, *FULL])
@pytest.mark.parametrize("make", [xor, regression])
def test_every_method_ends_at_a_kkt_point(method, make):
    data = make()
    result = solved(data, method)
    assert result.success, result.message
    assert result.method == method
    violation, optimality = violation_and_optimality(data, result)
    assert violation <= result.tol
    assert optimality <= result.tol
    assert result.fun == pytest.approx(
        explicit(data.problem, len(data.X)).objective(
            explicit(data.problem, len(data.X)).pack(list(result.states), result.theta),
            data.X,
            data.Y,
        ),
        rel=1e-13,
    )


@pytest.mark.parametrize("method", FULL)
@pytest.mark.parametrize("make", [xor, regression, classes])
def test_multipliers_are_the_backward_pass(method, make):
    data = make()
    result = solved(data, method, seed=1)
    assert result.success, result.message
    assert multiplier_error(data, result) <= MULTIPLIERS[method]


def test_methods_that_reach_the_same_basin_agree():
    data = xor()
    values = [solved(data, method).fun for method in [*REDUCED, *FULL]]
    assert max(values) - min(values) <= 1e-8


@pytest.mark.parametrize("method", [*REDUCED, *FULL[:-1]])
def test_graphs_are_solved_alike(method):
    data = skip()
    result = solved(data, method)
    assert result.success, result.message
    residuals = code(data.problem).residuals(
        result.theta, data.X, data.Y, result.states, result.multipliers
    )
    assert max(np.abs(block).max() for block in residuals.values()) <= result.tol
    assert set(result.states) == set(data.problem.states)


@pytest.mark.parametrize("name", sorted(NAMED))
@pytest.mark.parametrize("method", ["ipopt", "trust-krylov",
                                    *(pytest.param(m, marks=pytest.mark.slow)
                                      for m in ("slsqp", "trust-constr", "least-squares"))])  # fmt: skip
def test_shared_parameters_and_recurrences_are_solved(method, name):
    graph = NAMED[name](regularizer={"name": "L2", "strength": 0.05})
    case = random_point(graph, np.random.default_rng(1), 4, 3)
    if method == "ipopt":
        pytest.importorskip("casadi")
    data, routines = case[2:], graph_routines(graph)
    result = minimize(graph, *data, method, case.theta, routines=routines)
    assert result.success, result.message
    known = minimize(graph, *data, "steihaug", result.x, routines=routines)
    assert result.fun == pytest.approx(known.fun, abs=1e-8)


@pytest.mark.parametrize("method", ["slsqp", "l-bfgs-b", "newton-cg"])
def test_cross_entropy_is_solved_with_its_logarithm(method):
    data = classes()
    result = solved(data, method)
    assert result.success, result.message
    assert max(violation_and_optimality(data, result)) <= 1e-8


@pytest.mark.parametrize("method", [*REDUCED, *FULL])
def test_a_limit_of_iterations_is_no_success(method):
    result = solved(xor(), method, options={"maxiter": 2})
    assert not result.success
    assert result.nit == len(result.history) == 2
    assert result.status == 2
    assert "limit of 2 iterations" in result.message
    assert "maxiter" in result.message


@pytest.mark.parametrize("method", ["l-bfgs-b", "trust-exact", *FULL])
def test_stop_iteration_ends_a_run(method):
    def stop(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    result = solved(xor(), method, callback=stop)
    assert not result.success
    assert result.nit == 3
    assert "StopIteration" in result.message


@pytest.mark.parametrize("method", ["l-bfgs-b", "least-squares", *FULL])
def test_bounds_hold_and_their_multipliers_have_their_sign(method):
    result = solved(xor(), method, bounds={"W1": (-1, 1)})
    assert result.success, result.message
    W = result.theta[0][0]
    assert np.abs(W).max() <= 1 + 1e-8
    nu = result.bound_multipliers[: W.size].reshape(W.shape)
    active = np.abs(W) >= 1 - 1e-6
    assert active.any()
    assert (nu * np.sign(W) >= 0).all()
    assert (nu[~active] == 0).all()
    assert result.fun == pytest.approx(0.0049083681, abs=1e-8)


def test_what_a_method_cannot_do_is_refused_with_what_can():
    data = xor()
    with pytest.raises(ProblemError, match=r"takes no bounds .*these do: .*l-bfgs-b"):
        minimize(*data, "bfgs", bounds={"W1": (-1, 1)})
    large = regression((1, 8, 8, 1), 100)
    with pytest.raises(ProblemError, match=r"1797 variables \(1700 states.*take 'lifted-newton'"):
        minimize(*large, "slsqp")
    with pytest.raises(ProblemError, match="cross_entropy is no sum of squares"):
        minimize(*classes(), "least-squares")
    if not METHODS["ipopt-casadi"].missing():
        with pytest.raises(ProblemError, match="CasADi target is for chains; take 'ipopt'"):
            minimize(*skip(), "ipopt-casadi")
    for name in [*REDUCED, *FULL]:
        assert METHODS[name].summary


# -- what they are given -----------------------------------------------------------------------------


def full(data):
    task = Task(*data, routines=code(data.problem))
    return Full(task, Progress(task), 1e-8), explicit(data.problem, len(data.X))


@pytest.mark.parametrize("make", [xor, classes, regression])
def test_the_constrained_problem_is_that_of_the_oracle_anywhere(make):
    data, rng = make(), np.random.default_rng(0)
    space, oracle = full(data)
    v = rng.uniform(0.2, 0.8, space.size)
    lam = rng.normal(size=space.conditions)
    X, Y = data.X, data.Y
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(space.objective(v), oracle.objective(v, X, Y), **close)
    np.testing.assert_allclose(space.gradient(v), oracle.objective_gradient(v, X, Y), **close)
    np.testing.assert_allclose(space.constraints(v), oracle.constraints(v, X), **close)
    np.testing.assert_allclose(space.jacobian(v).toarray(), oracle.jacobian(v, X), **close)
    hessian = oracle.objective_hessian(v, X, Y) + oracle.constraints_hessian(v, lam, X)
    np.testing.assert_allclose(space.hessian(v, lam).toarray(), hessian, **close)


def test_a_pattern_holds_every_entry_though_units_are_inactive():
    data = Data(*regression((1, 5, 4, 1), 6))
    relu = data.problem.__class__.from_toml(data.problem.to_toml().replace("tanh", "relu"))
    task = Task(relu, data.X, data.Y)
    space = Full(task, Progress(task), 1e-8)
    rng = np.random.default_rng(3)
    hessian, jacobian = patterns(task.shapes, task.size, space.kkt, rng.normal(size=space.size))
    for _ in range(30):
        v, lam = 3 * rng.normal(size=space.size), rng.normal(size=space.conditions)
        found = space.kkt(v, lam)
        assert not (found.hessian.toarray() * (hessian.toarray() == 0)).any()
        assert not (found.jacobian.toarray() * (jacobian.toarray() == 0)).any()


@pytest.mark.parametrize("name", ["recurrent", "tied autoencoder"])
def test_the_sum_of_squares_is_j_and_its_jacobian_gives_the_gradient(name):
    case = random_point(NAMED[name](regularizer={"name": "L2", "strength": 0.1}),
                        np.random.default_rng(0), 3, 2)  # fmt: skip
    task = Task(case.graph, case.inputs, case.Y, routines=graph_routines(case.graph))
    theta = task.routines.pack(case.theta)
    squares = _Squares(task, task.initial(1))
    r, jacobian = squares.residuals(theta), squares.jacobian(theta)
    value, gradient = task.fun_and_grad(theta)
    assert r @ r / 2 == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(jacobian.T @ r, gradient, rtol=1e-9, atol=1e-13)


def test_squares_of_a_chain_with_class_weights():
    weighted = Data(*xor())
    problem = type(weighted.problem)(
        2, weighted.problem.layers[:1] * 2, "squared_error", class_weights=(1.0, 2.0, 0.5)
    )
    Y = np.random.default_rng(0).normal(size=(4, 3))
    task = Task(problem, weighted.X, Y)
    theta = task.initial(2)
    squares = _Squares(task, task.initial(1))
    r = squares.residuals(theta)
    assert r @ r / 2 == pytest.approx(task.fun(theta), rel=1e-12)
    np.testing.assert_allclose(
        squares.jacobian(theta).T @ r, task.fun_and_grad(theta)[1], rtol=1e-10, atol=1e-14
    )
