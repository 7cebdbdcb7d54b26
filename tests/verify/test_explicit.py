"""The written-out Lagrangian against itself, differentiated whole, and against the textbook."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet.errors import DataError
from lagrangenet.problem import Dense, Problem, chain
from lagrangenet.verify.differences import flatten
from lagrangenet.verify.explicit import ExplicitLagrangian
from lagrangenet.verify.textbook import Textbook

RIDGE = {"name": "L2", "strength": 0.1}
PROBLEMS = [
    chain([2, 3, 1], regularizer=RIDGE),
    chain([3, 2, 2, 2], "sigmoid", "cross_entropy"),
    chain([2, 2, 1], "softplus", "binary_cross_entropy"),
    chain([2, 3, 2], "relu", regularizer=RIDGE),
    Problem(
        2, [Dense(2, {"name": "leaky_relu", "slope": 0.3}), Dense(2, "softmax")], "squared_error"
    ),
]


def point(problem, samples=4, seed=0):
    rng = np.random.default_rng(seed)
    explicit = ExplicitLagrangian(problem, samples)
    theta = tuple((rng.normal(size=W), rng.normal(size=b)) for W, b in problem.shapes)
    X = rng.normal(size=(samples, problem.inputs))
    Y = rng.dirichlet(np.ones(2), size=samples)[:, : problem.widths[-1]]
    return explicit, theta, X, Y


def anywhere(explicit, seed=1):
    """An infeasible point with positive states, and multipliers."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 0.9, size=explicit.size), rng.normal(size=explicit.conditions)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_agrees_with_the_textbook(problem):
    """At a feasible point with λ^k = −Δ^k/M: c = 0, ∂L/∂x = 0, and ∂L/∂θ is the gradient of J."""
    explicit, theta, X, Y = point(problem)
    book = Textbook(problem)
    v = explicit.pack([x for _, x in book.forward(theta, X)], theta)
    lam = [-delta / len(X) for delta in book.deltas(theta, X, Y)]
    blocks = explicit.stationarity(v, lam, X, Y)
    assert explicit.objective(v, X, Y) == pytest.approx(book.loss(theta, X, Y), rel=1e-14)
    assert np.abs(blocks["lambda"]).max() < 1e-15
    assert np.abs(blocks["x"]).max() < 1e-15
    np.testing.assert_allclose(blocks["theta"], flatten(book.gradient(theta, X, Y)), atol=1e-14)


@pytest.mark.parametrize("problem", PROBLEMS[:2], ids=str)
def test_terms_add_up_to_the_lagrangian(problem):
    """Every first derivative of the one scalar L, taken by SymPy, equals the assembled one."""
    explicit, _, X, Y = point(problem, samples=2)
    v, lam = anywhere(explicit)
    L, names = explicit.expression, explicit._names()
    multipliers = [sp.Symbol("lam" + names[j].name[1:], real=True) for j in range(len(lam))]
    symbols = [*names, *multipliers]
    numbers = [*v, *X.ravel(), *Y.ravel(), *lam]
    unknowns = [*names[: v.size], *multipliers]
    whole = sp.lambdify(symbols, [sp.diff(L, unknown) for unknown in unknowns], cse=True)(*numbers)
    blocks = explicit.stationarity(v, lam, X, Y)
    found = np.concatenate([blocks["x"], blocks["theta"], blocks["lambda"]])
    np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_second_derivatives_are_differences_of_first_ones(problem):
    explicit, _, X, Y = point(problem, samples=2)
    v, lam = anywhere(explicit)
    h = 1e-5

    def gradient(at):
        blocks = explicit.stationarity(at, lam, X, Y)
        return np.concatenate([blocks["x"], blocks["theta"]])

    near = np.stack(
        [(gradient(v + h * e) - gradient(v - h * e)) / (2 * h) for e in np.eye(v.size)], axis=1
    )
    hessian = explicit.lagrangian_hessian(v, lam, X, Y)
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(hessian, near, atol=2e-8 * np.abs(near).max())


def test_jacobian_has_a_unit_for_the_state_itself():
    explicit, _, X, _ = point(PROBLEMS[0])
    v, _ = anywhere(explicit)
    jacobian = explicit.jacobian(v, X)
    assert jacobian.shape == (explicit.conditions, explicit.size)
    np.testing.assert_array_equal(np.diag(jacobian[:, : explicit.conditions]), 1.0)


def test_pack_and_unpack():
    explicit, theta, _, _ = point(PROBLEMS[1])
    rng = np.random.default_rng(5)
    states = tuple(rng.normal(size=shape) for shape in explicit.state_shapes)
    v = explicit.pack(states, theta)
    found_states, found_theta = explicit.unpack(v)
    for found, given in zip(found_states, states, strict=True):
        np.testing.assert_array_equal(found, given)
    np.testing.assert_array_equal(flatten(found_theta), flatten(theta))
    np.testing.assert_array_equal(explicit.pack(found_states, found_theta), v)
    found_states[0][:] = 0.0
    assert not np.shares_memory(found_states[0], v)


def test_relu_is_flat_at_zero():
    explicit = ExplicitLagrangian(Problem(1, [Dense(1, "relu")], "squared_error"), 1)
    v = explicit.pack([np.array([[0.5]])], ((np.array([[2.0]]), np.array([0.0])),))
    X = np.array([[0.0]])
    np.testing.assert_array_equal(explicit.constraints(v, X), [0.5])
    np.testing.assert_array_equal(explicit.jacobian(v, X), [[1.0, 0.0, 0.0]])


def test_what_does_not_fit_is_refused():
    explicit, theta, X, Y = point(PROBLEMS[0])
    v, lam = anywhere(explicit)
    with pytest.raises(DataError, match="at most 1000 variables"):
        ExplicitLagrangian(chain([64, 16, 10]), samples=4)
    with pytest.raises(DataError, match="multipliers for"):
        explicit.stationarity(v, lam[1:], X, Y)
    with pytest.raises(DataError, match="X has shape"):
        explicit.constraints(v, X.T)
    with pytest.raises(DataError, match="numbers; expected"):
        explicit.pack([], theta)
