"""The second order at solutions: inertia, tangent spaces of active limits, saddles and leaving them."""

import numpy as np
import pytest

from lagrangenet import L2, Constraint, Problem, chain, derive, generate
from lagrangenet.optimize import minimize
from lagrangenet.optimize.escape import step_down
from lagrangenet.optimize.hessian import hessian
from lagrangenet.optimize.multipliers import RegionMultipliers
from lagrangenet.optimize.region import linear, region
from lagrangenet.optimize.second_order import second_order
from lagrangenet.optimize.task import Task
from tests.problems import BANK, case

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
CROSS = np.vstack([np.eye(2), -np.eye(2)])


def identical_units(problem, seed=1):
    """A start whose hidden units are copies of one: descent keeps them equal."""
    (W1, b1), (W2, b2) = generate(derive(problem)).initial(seed)
    units = len(b1)
    return (
        (np.repeat(W1[:1], units, 0), np.repeat(b1[:1] + 0.1, units)),
        (np.repeat(W2[:, :1], units, 1), b2),
    )


@pytest.mark.parametrize("name", ["xor", "mixed", "deep", "softmax-throughout", "depth 4"])
def test_the_assembled_hessian_is_that_of_the_products(name):
    point = case(BANK[name])
    task = Task(point.problem, point.X, point.Y)
    theta = task.routines.pack(point.theta)
    products = np.stack([task.hessp(theta, unit) for unit in np.eye(task.size)], axis=1)
    assert np.abs(hessian(task, theta) - products).max() <= 1e-14 * max(1, np.abs(products).max())


# -- saddles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_identical_hidden_units_end_in_a_saddle_and_leave_it_when_asked(seed):
    problem = chain([2, 3, 1], "tanh", regularizer=L2(1e-3))
    start = identical_units(problem, seed)
    stuck = minimize(problem, *XOR, "l-bfgs-b", x0=start)
    assert stuck.success
    assert stuck.second_order.condition == "violated"
    assert stuck.inertia[1] == stuck.second_order.index > 0
    assert "a saddle of index" in stuck.message
    W1 = stuck.theta[0][0]
    assert np.abs(W1 - W1[0]).max() < 1e-6
    left = minimize(problem, *XOR, "l-bfgs-b", x0=start, escape_saddles=True)
    assert left.success
    assert left.escapes >= 1
    assert left.second_order.condition != "violated"
    assert left.fun < stuck.fun - 1e-3
    steps = [record for record in left.history if "escaped_curvature" in record]
    assert len(steps) == left.escapes
    assert all(record["escaped_curvature"] < 0 < record["step"] for record in steps)
    assert [record["nit"] for record in left.history] == list(range(1, left.nit + 1))


def test_the_origin_of_a_linear_network_is_left():
    """At the origin every hidden unit can learn every singular direction of mean(y xᵀ)."""
    problem = chain([2, 2, 2], "identity")
    stuck = minimize(problem, CROSS, CROSS, "l-bfgs-b", x0=np.zeros(problem.size))
    assert (stuck.success, stuck.inertia, stuck.nit) == (True, (6, 4, 2), 0)
    left = minimize(
        problem, CROSS, CROSS, "l-bfgs-b", x0=np.zeros(problem.size), escape_saddles=True
    )
    assert left.fun < 1e-15
    assert left.second_order.condition == "necessary"  # minimizers are not isolated: W² A⁻¹, A W¹


def test_three_layers_at_the_origin_are_stationary_to_the_second_order():
    """∇²J = 0 in the weights there: the second order neither shows nor leaves this saddle."""
    problem = chain([1, 1, 1, 1], "identity")
    X = np.array([[-1.0], [1.0]])
    stuck = minimize(problem, X, X, "l-bfgs-b", x0=np.zeros(problem.size), escape_saddles=True)
    assert (stuck.second_order.condition, stuck.escapes) == ("necessary", 0)
    assert stuck.fun == 0.5


def test_a_saddle_of_a_graph_is_left():
    graph = Problem.graph(
        {"x": 2},
        [Constraint("h", "affine", "x", m=2), Constraint("s", "add", ("h", "x")),
         Constraint("y", "affine", "s", m=2)],
    )  # fmt: skip
    at = np.zeros(graph.size)
    names = Task(graph, {"x": CROSS}, CROSS).shaped(at)
    names["W_h"][...] = -np.eye(2)  # the skip connection is undone
    stuck = minimize(graph, {"x": CROSS}, CROSS, "l-bfgs-b", x0=at)
    assert stuck.second_order.kind == "saddle"
    left = minimize(graph, {"x": CROSS}, CROSS, "l-bfgs-b", x0=at, escape_saddles=True)
    assert left.success
    assert left.fun < 1e-12 < stuck.fun


def test_the_number_of_escapes_is_bounded(monkeypatch):
    monkeypatch.setattr("lagrangenet.optimize.escape.escaped.__defaults__", (0,))
    problem = chain([2, 2, 2], "identity")
    stuck = minimize(
        problem, CROSS, CROSS, "l-bfgs-b", x0=np.zeros(problem.size), escape_saddles=True
    )
    assert (stuck.escapes, stuck.fun) == (0, 0.5)
    assert "negative curvature was followed 0 times, as often as it may be" in stuck.message


def test_a_step_along_negative_curvature_stays_within_the_bounds():
    problem = chain([1, 1, 1], "identity")
    X = np.array([[-1.0], [1.0]])
    task = Task(problem, X, 2 * X, region=region(problem, {"all": (-0.3, 0.3)}))
    found = step_down(task, np.zeros(4), second_order(task, np.zeros(4)))
    assert np.abs(found.theta).max() == pytest.approx(0.3)
    assert found.fun < task.fun(np.zeros(4))


# -- limits ------------------------------------------------------------------------------------------


def test_the_inertia_is_that_on_the_tangent_space_of_active_bounds():
    """At the origin with W² = 0 held, the saddle of the linear network is none any more."""
    problem = chain([1, 1, 1], "identity")
    X = np.array([[-1.0], [1.0]])
    task = Task(problem, X, 2 * X, region=region(problem, {"W2": 0}))
    found = second_order(task, np.zeros(4))
    assert (found.kind, found.inertia, found.active) == ("degenerate", (1, 0, 2), 1)
    assert found.condition == "necessary"


@pytest.mark.parametrize(("upper", "condition", "strict"), [(0.5, "sufficient", True),
                                                            (2.0, "sufficient", False)])  # fmt: skip
def test_strict_complementarity_is_named(upper, condition, strict):
    """J = ½ mean (w x + b − 2 x)², whose minimizer w = 2 lies inside, or on, the bound."""
    problem = chain([1, 1])
    X = np.array([[-1.0], [1.0]])
    result = minimize(problem, X, 2 * X, "l-bfgs-b", bounds={"W1": (None, upper)})
    second = result.second_order
    assert result.theta[0][0] == pytest.approx(np.full((1, 1), upper))
    assert (second.condition, second.strict, second.active) == (condition, strict, 1)
    assert result.bound_multipliers[0] == pytest.approx(2 - upper, abs=1e-7)
    assert second.inertia == (1, 0, 0)  # of the bias alone
    assert ("complementarity is not strict" in str(second)) == (not strict)


def test_without_strict_complementarity_the_larger_space_has_to_be_convex_too():
    """J = −½ w² + ... : the origin with w ≤ 0 and no slope is no minimizer, as w may fall."""
    problem = chain([1, 1, 1], "identity")
    X = np.array([[-1.0], [1.0]])
    task = Task(problem, X, 2 * X, region=region(problem, {"W1": (None, 0), "biases": 0}))
    found = second_order(task, np.zeros(4))
    assert not found.strict
    assert found.condition == "necessary"  # on the tangent space of all limits only W² moves


def test_linear_constraints_take_directions_away():
    problem = chain([2, 1])
    X, Y = CROSS, CROSS[:, :1]
    rows = linear(problem, {"W1": 1.0}, 0.0, 0.0)
    task = Task(problem, X, Y, region=region(problem, None, rows))
    found = second_order(
        task, np.array([0.5, -0.5, 0.0]), RegionMultipliers(np.zeros(3), np.ones(1))
    )
    assert (found.inertia, found.active, found.strict) == ((2, 0, 0), 1, True)


def test_kinks_leave_the_second_order_undecided():
    problem = chain([1, 1, 1], "relu")
    X = np.array([[-1.0], [1.0]])
    result = minimize(problem, X, X, "l-bfgs-b", x0=np.zeros(4))
    assert result.inertia is None
    assert result.second_order.condition == "undecided"
    assert "at a kink" in str(result.second_order)


def test_the_second_order_can_be_left_out():
    result = minimize(chain([2, 3, 1]), *XOR, "l-bfgs-b", second_order=False)
    assert result.second_order is None
    assert result.inertia is None


def test_of_many_parameters_lanczos_finds_the_smallest():
    problem = chain([60, 60], regularizer=L2(0.5, biases=True))
    result = minimize(problem, np.eye(60)[:4], np.ones((4, 60)), "l-bfgs-b", second_order=True)
    second = result.second_order
    assert (second.condition, second.inertia) == ("sufficient", (3660, 0, 0))
    assert second.curvature == pytest.approx(0.5)
    assert "by Lanczos" in second.computed
