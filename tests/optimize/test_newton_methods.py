"""The package's own solvers: where they end, how fast, and what they say when they fail."""

import numpy as np
import pytest

from lagrangenet import L2, Constraint, Problem, chain, derive, generate
from lagrangenet.optimize import METHODS, load, minimize, save
from lagrangenet.optimize.choose import choose
from lagrangenet.optimize.filter import Filter
from lagrangenet.optimize.inertia import LESS, Shifted
from lagrangenet.optimize.lifted_newton import lifted
from lagrangenet.optimize.region import region
from lagrangenet.optimize.search import Search
from lagrangenet.optimize.steihaug import truncated
from lagrangenet.optimize.task import Point, Task
from lagrangenet.verify.textbook import Textbook

OWN = ("lifted-newton", "sqp", "reduced-newton", "gauss-newton", "steihaug")
CORNERS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
XOR = CORNERS, np.array([[0.0], [1], [1], [0]])
RIDGE = L2(1e-3, biases=True)


def regression(samples=20, widths=(1, 8, 8, 1), ridge=1e-3):
    X = np.linspace(-1, 1, samples)[:, None]
    problem = chain(widths, regularizer=L2(ridge, biases=True))
    return problem, X, np.sin(3 * X) + 0.3 * X**2


def iris():
    from sklearn.datasets import load_iris

    data = load_iris()
    X = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return chain([4, 8, 3], loss="cross_entropy", regularizer=RIDGE), X, np.eye(3)[data.target]


CASES = {
    "xor 2-3-1": lambda: (chain([2, 3, 1], regularizer=RIDGE), *XOR),
    "xor 2-2-1": lambda: (chain([2, 2, 1], regularizer=RIDGE), *XOR),
    "regression": regression,
    "iris": iris,
}


def start(problem, seed):
    """Random parameters, biases too."""
    rng = np.random.default_rng(seed)
    rows = []
    for (after, before), _ in problem.shapes:
        rows += [rng.standard_normal(after * before) / np.sqrt(before),
                 0.3 * rng.standard_normal(after)]  # fmt: skip
    return np.concatenate(rows)


def stationary(problem, X, Y, result, tol=1e-8):
    """Whether the textbook's residuals at a result are within the tolerance."""
    rows = Textbook(problem).residuals(result.theta, X, Y, result.states, result.multipliers)
    if problem.loss.name == "cross_entropy":  # its last condition is that of the logits
        rows = [*rows[:-1], tuple(r for j, r in enumerate(rows[-1]) if j != 1)]
    return max(np.abs(r).max() for row in rows for r in row) <= tol


def solved(case, method, seeds, **options):
    problem, X, Y = CASES[case]()
    routines = generate(derive(problem, order=2))
    results = [minimize(problem, X, Y, method, start(problem, seed), routines=routines,
                        options=options) for seed in seeds]  # fmt: skip
    return problem, X, Y, results


# -- where they end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lifted-newton", "reduced-newton", "steihaug"])
@pytest.mark.parametrize("case", CASES)
def test_three_starts_end_at_kkt_points(case, method):
    problem, X, Y, results = solved(case, method, range(3))
    for result in results:
        assert result.success, result.message
        assert stationary(problem, X, Y, result)


@pytest.mark.slow
@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("case", CASES)
def test_twenty_starts_end_at_kkt_points(case, method):
    if method == "sqp" and case == "iris":
        pytest.skip("minutes, for the same iterates as lifted-newton")
    problem, X, Y, results = solved(case, method, range(20))
    assert all(result.success for result in results), [r.message for r in results if not r.success]
    assert all(stationary(problem, X, Y, result) for result in results)


def test_the_lifted_method_reaches_the_best_objective_in_about_thirty_iterations():
    *_, results = solved("regression", "lifted-newton", range(12))
    values = np.array([result.fun for result in results])
    assert np.median([result.nit for result in results]) <= 30
    assert (values <= 1.0001 * values.min()).all()


@pytest.mark.slow
def test_a_hundred_starts_of_the_regression():
    *_, results = solved("regression", "lifted-newton", range(100))
    values = np.array([result.fun for result in results])
    assert np.mean([result.success for result in results]) >= 0.99
    assert np.mean(values <= 1.0001 * values.min()) >= 0.95
    assert np.median([result.nit for result in results]) <= 30


@pytest.mark.slow
def test_nine_layers_converge_from_every_start():
    problem, X, Y = regression(100, [1, *[8] * 8, 1], 1e-4)
    routines = generate(derive(problem, order=2))
    for seed in range(10):
        result = minimize(problem, X, Y, "lifted-newton", start(problem, seed), routines=routines)
        assert result.success, result.message


def test_methods_agree_at_a_common_minimum():
    problem, X, Y = CASES["xor 2-3-1"]()
    first = minimize(problem, X, Y, "lifted-newton", seed=1, tol=1e-11)
    for method in OWN:
        other = minimize(problem, X, Y, method, first.x + 1e-3, tol=1e-11)
        assert other.success, other.message
        assert abs(other.fun - first.fun) <= 1e-8
        assert np.abs(other.x - first.x).max() <= 1e-7
        for mine, its in zip(first.multipliers, other.multipliers, strict=True):
            assert np.abs(mine - its).max() <= 1e-7 * max(np.abs(mine).max(), 1e-2)


# -- how fast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lifted-newton", "sqp", "reduced-newton"])
def test_the_last_iterations_are_quadratic(method):
    problem, X, Y = CASES["xor 2-3-1"]()
    result = minimize(problem, X, Y, method, seed=3, tol=1e-12)
    errors = [max(r["optimality"], r["constr_violation"]) for r in result.history]
    assert result.success
    assert all(r["step"] == 1 and r["shift"] == 0 for r in result.history[-2:])
    small = [e for e in errors if e < 1e-2][-3:]
    assert small[-1] <= 1e3 * small[-2] ** 2 + 1e-15
    assert small[-2] <= 1e3 * small[-3] ** 2 + 1e-15


def test_a_linear_network_takes_one_newton_step():
    rng = np.random.default_rng(0)
    problem = chain([3, 2], "identity", regularizer=L2(1e-2))
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    for method in ("lifted-newton", "sqp", "reduced-newton"):
        result = minimize(problem, X, Y, method)
        assert result.success
        assert result.nit == 1


def test_a_warm_start_takes_few_iterations():
    problem, X, Y = regression()
    first = minimize(problem, X, Y, "lifted-newton")
    again = minimize(problem, X, Y + 1e-4, "lifted-newton", first.x)
    assert again.success
    assert again.nit <= 4


@pytest.mark.parametrize("case", ["regression", "iris"])
def test_a_killed_run_ends_where_it_would_have(case, tmp_path):
    problem, X, Y = CASES[case]()
    whole = minimize(problem, X, Y, "lifted-newton", start(problem, 3))
    part = minimize(problem, X, Y, "lifted-newton", start(problem, 3), options={"maxiter": 9})
    assert not part.success
    save(part, tmp_path / "part.npz")
    rest = minimize(problem, X, Y, "lifted-newton", load(tmp_path / "part.npz"))
    assert rest.nit + part.nit == whole.nit
    assert np.array_equal(rest.x, whole.x)


# -- graphs -------------------------------------------------------------------------------------------

AFFINE = Constraint("y", "affine", "x3", m=1)
GRAPHS = {
    "skip": [
        Constraint("x1", "dense", "x0", m=2, activation="tanh"),
        Constraint("x2", "dense", "x1", m=2, activation="tanh"),
        Constraint("x3", "add", ("x2", "x0")),
        AFFINE,
    ],
    "shared": [
        Constraint("x1", "dense", "x0", m=2, activation="tanh", W="w"),
        Constraint("x2", "dense", "x1", m=2, activation="tanh", W="w"),
        Constraint("x3", "dense", "x2", m=2, activation="tanh", W="w"),
        AFFINE,
    ],
}


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_end_at_kkt_points(name, method):
    graph = Problem.graph({"x0": 2}, GRAPHS[name], regularizer=L2(1e-2))
    X, Y = {"x0": XOR[0]}, XOR[1]
    result = minimize(graph, X, Y, method, seed=1)
    assert result.success, result.message
    found = generate(derive(graph)).residuals(result.theta, X, Y, result.states, result.multipliers)
    assert max(np.abs(array).max() for array in found.values()) <= 1e-8


def test_a_convolution_ends_at_a_kkt_point():
    graph = Problem.graph(
        {"x": (1, 6)},
        [
            Constraint("a", "conv1d", "x", O=2, R=3),
            Constraint("b", "activation", "a", activation="tanh"),
            Constraint("c", "flatten", "b"),
            Constraint("y", "affine", "c", m=1),
        ],
        regularizer=L2(1e-2),
    )
    rng = np.random.default_rng(0)
    X, Y = {"x": rng.normal(size=(5, 1, 6))}, rng.normal(size=(5, 1))
    for method in ("lifted-newton", "reduced-newton"):
        result = minimize(graph, X, Y, method)
        assert result.success, result.message


def test_a_chain_as_a_graph_takes_the_same_path():
    problem = chain([2, 3, 1], regularizer=L2(1e-3))
    graph = Problem.graph(
        {"x0": 2},
        [Constraint("x1", "dense", "x0", m=3, activation="tanh"), Constraint("x2", "affine", "x1", m=1)],
        regularizer=L2(1e-3),
    )  # fmt: skip
    theta = start(problem, 2)
    results = [minimize(p, X, XOR[1], "lifted-newton", theta, options={"weight": 0.0})
               for p, X in ((problem, XOR[0]), (graph, {"x0": XOR[0]}))]  # fmt: skip
    paths = [[r["fun"] for r in result.history[:8]] for result in results]
    assert paths[0] == pytest.approx(paths[1], rel=1e-9)


# -- types, saddles, failures ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", OWN)
def test_float32_stays_float32(method):
    problem, X, Y = CASES["xor 2-3-1"]()
    result = minimize(problem, X.astype(np.float32), Y.astype(np.float32), method, seed=1,
                      dtype="float32")  # fmt: skip
    assert result.x.dtype == np.float32
    assert result.success, result.message


@pytest.mark.parametrize("method", ["lifted-newton", "reduced-newton"])
def test_a_saddle_is_left(method):
    """Equal hidden units stay equal along the gradient; the end is no saddle."""
    problem, X, Y = CASES["xor 2-3-1"]()
    theta = np.concatenate([np.tile([0.4, 0.3], 3), np.full(3, 0.1), np.full(3, 0.2), [0.1]])
    result = minimize(problem, X, Y, method, theta)
    assert result.success, result.message
    task = Task(problem, X, Y)
    H = np.array([task.hessp(result.x, unit) for unit in np.eye(task.size)])
    assert np.linalg.eigvalsh(H)[0] > 0


@pytest.mark.parametrize("method", OWN)
def test_a_singular_problem_without_a_minimum_says_so(method):
    """Without a regularizer, separable classes put the minimizer at infinity."""
    problem = chain([1, 2], loss="cross_entropy")
    X, Y = np.array([[-1.0], [1.0]]), np.eye(2)
    result = minimize(problem, X, Y, method, tol=1e-300, options={"maxiter": 30})
    assert not result.success
    assert "not stationary" in result.message


@pytest.mark.parametrize("method", OWN)
def test_the_limit_of_iterations_is_named(method):
    problem, X, Y = regression()
    result = minimize(problem, X, Y, method, options={"maxiter": 2})
    assert not result.success
    assert result.nit == 2
    assert "limit of 2 iterations; allow more (maxiter)" in result.message


@pytest.mark.parametrize("method", OWN)
def test_values_that_overflow_are_stepped_back_from(method):
    """exp of large preactivations is infinite on the way; the run is not."""
    problem = chain([1, 3, 1], "exp(z)", regularizer=L2(1e-2, biases=True))
    X = np.linspace(-1, 1, 8)[:, None]
    result = minimize(problem, X, np.exp(X), method, start(problem, 0) * 3)
    assert np.isfinite(result.fun)
    assert result.success, result.message


@pytest.mark.parametrize("method", OWN)
def test_a_start_without_a_value_is_no_success(method):
    problem = chain([1, 2, 1], "exp(z)")
    result = minimize(problem, [[1.0], [2.0]], [[0.0], [1.0]], method, np.full(7, 1e4))
    assert not result.success
    assert result.message.startswith("not finite")


def test_a_kink_that_is_in_the_way_is_named():
    problem = chain([1, 8, 1], regularizer={"name": "L1", "strength": 1e-2})
    X = np.linspace(-1, 1, 12)[:, None]
    result = minimize(problem, X, np.sin(3 * X), "reduced-newton")
    assert not result.success
    assert "regularizer L1 has kinks" in result.message


# -- pieces -------------------------------------------------------------------------------------------


def test_a_filter_forgets_nothing():
    filter_ = Filter(1.0)
    filter_.add(1.0, 1.0)
    filter_.add(0.1, 3.0)
    assert filter_.allows(0.5, 2.0)
    assert not filter_.allows(1.0, 1.0)
    assert not filter_.allows(0.1, 3.0)
    assert not filter_.allows(2e4, -9.0)


def test_far_from_feasible_a_filter_asks_for_either():
    filter_ = Filter(1.0)
    assert filter_.accepts((1.0, 1.0), (0.5, 9.0), -1.0, 1.0)
    assert filter_.accepts((1.0, 1.0), (1.0, 0.9), -1.0, 1.0)
    assert not filter_.accepts((1.0, 1.0), (1.0, 1.0), -1.0, 1.0)


def test_near_feasible_a_filter_asks_for_descent():
    filter_ = Filter(1.0)
    assert filter_.descends(-1.0, 1e-6, 1.0)
    assert not filter_.accepts((1e-6, 1.0), (0.0, 1.0), -1.0, 1.0)
    assert filter_.accepts((1e-6, 1.0), (1e-5, 0.5), -1.0, 1.0)


def test_a_shift_makes_the_inertia_right_and_is_remembered():
    H = np.diag([2.0, -1.0])
    inertia = Shifted()
    factor = inertia.factor(H)
    assert factor.shift > 1
    assert (H + factor.shift * np.eye(2)) @ factor.solve(np.ones(2)) == pytest.approx(np.ones(2))
    assert inertia.factor(H).shift >= factor.shift * LESS
    assert inertia.factor(np.eye(2)).shift == 0
    assert inertia.factor(np.array([[np.nan]])) is None


def test_truncated_conjugate_gradients_follow_negative_curvature_to_the_boundary():
    H = np.diag([1.0, -2.0])
    found = truncated(H.__matmul__, np.array([0.1, 0.1]), 2.0, 50)
    assert found.boundary
    assert np.linalg.norm(found.step) == pytest.approx(2.0)
    assert np.allclose(found.product, H @ found.step)
    assert found.step @ H @ found.step < 0


def test_a_rejected_search_restores_feasibility_and_gives_up_with_a_reason():
    problem, X, Y = CASES["xor 2-3-1"]()
    task = Task(problem, X, Y)
    system = lifted(task)
    at = system.forward(system.rows(task.initial(0)))

    class Stubborn(Filter):
        def accepts(self, *_):
            return False

    search = Search(system, at, system.adjoint(at), 1e-8, 0.0)
    search.filter = Stubborn(1.0)

    class Quiet:
        memory = None

        def report(self, *_, **__):
            pass

    good, reason = search.run(Quiet(), 50)
    assert not good
    assert "10 restorations" in reason
    assert search.at.worst == 0


def test_the_choice_says_why():
    data = [[0.0], [1.0]], [[1.0], [0.0]]
    assert choose(Task(chain([1, 4, 1]), *data))[0] == "reduced-newton"
    assert choose(Task(chain([1, 4, 4, 1]), *data))[0] == "lifted-newton"
    name, reason = choose(Task(chain([1, 100, 100, 1]), *data))
    assert name == "steihaug"
    assert "10401 parameters" in reason
    small = chain([1, 4, 1])
    bounded = Task(small, *data, region=region(small, [(-1, 1)] * 13))
    assert METHODS[choose(bounded)[0]].accepts == {"bounds"}
    assert "activation relu has kinks" in choose(Task(chain([1, 4, 1], "relu"), *data))[1]


def test_a_point_without_states_starts_with_a_forward_pass():
    problem, X, Y = regression()
    task = Task(problem, X, Y)
    assert lifted(task).resumed(Point(task.initial(0)), {}) is None
