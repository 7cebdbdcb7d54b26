"""SciPy's solutions certify themselves, and would not with another sign or too few iterations."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from lagrangenet.errors import ProblemError
from lagrangenet.problem import chain
from lagrangenet.verify.explicit import ExplicitLagrangian
from lagrangenet.verify.instance import small_instance
from lagrangenet.verify.scipy_solutions import CLEAR_OF_KINKS, FEASIBLE, METHODS, OPTIMAL, solve
from lagrangenet.verify.textbook import Textbook

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([[0.0], [1], [1], [0]])
LEAKY = {"name": "leaky_relu", "slope": 0.1}


def xor(activation):
    return small_instance(chain([2, 3, 1], activation), *XOR)


def iris():
    """Three classes in four features, as iris has them."""
    rng = np.random.default_rng(0)
    classes = np.arange(30) % 3
    centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    X = centres[classes] + 0.4 * rng.normal(size=(30, 4))
    return small_instance(chain([4, 8, 3], loss="cross_entropy"), X, np.eye(3)[classes])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "relu", LEAKY], ids=str)
def test_xor_converges_from_every_start(method, activation):
    solutions = solve(xor(activation), method)
    assert [solution.seed for solution in solutions] == [0, 1, 2]
    for solution in solutions:
        assert solution.converged
        assert solution.constr_violation <= FEASIBLE
        assert solution.optimality <= OPTIMAL
        assert solution.kink_distance > CLEAR_OF_KINKS
        assert max(np.abs(lam).max() for lam in solution.multipliers[:-1]) > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_solutions_agree_with_the_textbook(method):
    """λ^k = −Δ^k/M at SciPy's θ, and the gradient of J vanishes there."""
    instance = iris()
    (solution,) = solve(instance, method, starts=1)
    assert solution.converged
    book = Textbook(instance.problem)
    deltas = book.deltas(solution.theta, instance.X, instance.Y)
    for lam, delta in zip(solution.multipliers, deltas, strict=True):
        np.testing.assert_allclose(lam, -delta / len(instance.X), atol=1e-6 * np.abs(delta).max())
    gradient = book.gradient(solution.theta, instance.X, instance.Y)
    assert max(np.abs(part).max() for pair in gradient for part in pair) < 1e-7
    assert solution.fun == pytest.approx(book.loss(solution.theta, instance.X, instance.Y))


@pytest.mark.parametrize("method", METHODS)
def test_the_other_sign_would_be_noticed(method):
    instance = xor("tanh")
    (solution,) = solve(instance, method, starts=1)
    explicit = ExplicitLagrangian(instance.problem, len(instance.X))
    v = explicit.pack(solution.states, solution.theta)
    wrong = [-lam for lam in solution.multipliers]
    blocks = explicit.stationarity(v, wrong, instance.X, instance.Y)
    assert np.abs(blocks["x"]).max() > 1e4 * OPTIMAL


@pytest.mark.parametrize("method", METHODS)
def test_too_few_iterations_do_not_converge(method):
    solution, *_ = solve(xor("tanh"), method, starts=1, maxiter=3)
    assert not solution.converged
    assert solution.optimality > OPTIMAL
    assert "not converged" in str(solution)


@pytest.mark.parametrize("method", METHODS)
def test_a_solver_that_breaks_off_is_not_converged(method):
    """Logits beyond 709 overflow in 1/(1 + exp(-z)), so that derivatives are NaN."""
    instance = small_instance(chain([1, 2, 1], "sigmoid"), [[0.0], [1.0]], [[0.0], [1.0]])
    huge = replace(instance, X=np.array([[-1e5], [1e5]]))
    assert not any(solution.converged for solution in solve(huge, method, starts=2, maxiter=20))


def test_equal_calls_give_equal_bits():
    one, two = (solve(xor("tanh"), "slsqp", starts=1)[0] for _ in range(2))
    for first, second in zip(one.multipliers, two.multipliers, strict=True):
        np.testing.assert_array_equal(first, second)


def test_progress_is_reported():
    lines = []
    solve(xor("tanh"), "slsqp", seed=5, starts=2, report=lines.append)
    assert [line.split(":")[0] for line in lines] == ["slsqp, start 5", "slsqp, start 6"]


def test_solutions_are_frozen():
    solution, *_ = solve(xor("tanh"), "slsqp", starts=1, maxiter=3)
    with pytest.raises(FrozenInstanceError):
        solution.converged = True


def test_unknown_methods_are_refused():
    with pytest.raises(ProblemError, match="known: slsqp, trust-constr"):
        solve(xor("tanh"), "newton")
