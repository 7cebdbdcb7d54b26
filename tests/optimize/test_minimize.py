"""``minimize``: what it takes, what it gives, what it refuses, and how it fails."""

import importlib.util

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, OptimizeResult

import lagrangenet as ln
from lagrangenet import METHODS, DataError, LagrangenetError, MissingExtra, ProblemError, minimize
from lagrangenet.optimize.methods import Method, Outcome
from lagrangenet.optimize.task import Point, Task, largest
from tests.graphs import NAMED, random_point
from tests.graphs import routines as graph_routines
from tests.optimize.solved import classes, code, explicit, skip, violation_and_optimality, xor


def solved(data, *arguments, **options):
    return minimize(*data, *arguments, routines=code(data.problem), **options)


@pytest.fixture
def method():
    """Add a method for one test."""
    added = []

    def add(solve, **more):
        found = METHODS.add(Method("mine", "of a test", "full", solve, {"maxiter": None,
                            "seconds": None, "share": 0.5}, **more))  # fmt: skip
        added.append(found)
        return found.name

    yield add
    if added:
        METHODS.remove("mine")


# -- results -----------------------------------------------------------------------------------------


def test_a_result_is_scipys_with_states_and_multipliers():
    data = xor()
    result = solved(data)
    assert isinstance(result, OptimizeResult)
    assert result.success
    assert result.status == 0
    assert result.x.shape == (13,)
    assert [tuple(a.shape for a in pair) for pair in result.theta] == [
        ((3, 2), (3,)),
        ((1, 3), (1,)),
    ]
    assert [a.shape for a in result.states] == [(4, 3), (4, 1)]
    assert [a.shape for a in result.multipliers] == [(4, 3), (4, 1)]
    assert result.nit == len(result.history)
    assert {"nit", "fun", "optimality", "constr_violation", "seconds"} <= result.history[-1].keys()
    assert [record["nit"] for record in result.history] == list(range(1, result.nit + 1))
    assert max(violation_and_optimality(data, result)) <= 1e-8
    assert result.wall_s > 0


def test_equal_calls_give_equal_bits_and_seeds_differ():
    one, two, other = (solved(xor(), "l-bfgs-b", seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.x, two.x)
    assert one.history[0]["fun"] == two.history[0]["fun"] != other.history[0]["fun"]


def test_inputs_are_never_modified():
    data = xor()
    before = [a.copy() for a in data[1:]]
    x0 = np.linspace(-1, 1, 13)
    solved(data, "bfgs", x0)
    assert np.array_equal(x0, np.linspace(-1, 1, 13))
    for array, kept in zip(data[1:], before, strict=True):
        assert np.array_equal(array, kept)


def test_a_start_is_a_vector_or_shaped_or_a_result():
    data = xor()
    flat = np.linspace(-1, 1, 13)
    shaped = code(data.problem).unpack(flat)
    first, second = (solved(data, "bfgs", x0) for x0 in (flat, shaped))
    assert np.array_equal(first.x, second.x)
    again = solved(data, "newton-cg", first)
    assert again.success
    assert again.nit <= 3
    assert len(again.history) == first.nit + again.nit
    graph = skip()
    named = code(graph.problem).initial(0)
    assert solved(graph, "bfgs", named).success


def test_float32_stays_float32():
    data = xor()
    result = minimize(*data[:1], *(a.astype(np.float32) for a in data[1:]), "l-bfgs-b",
                      dtype="float32")  # fmt: skip
    assert result.tol == 1e-4
    assert result.success, result.message
    arrays = (result.x, *result.states, *result.multipliers, *result.theta[0])
    assert {a.dtype for a in arrays} == {np.dtype("float32")}


def test_success_is_measured_and_not_believed(method):
    def lie(task, start, options, progress):
        return Outcome(start, "converged, honestly", {"nfev": 1}, {"success": True})

    def infeasible(task, start, options, progress):
        good = minimize(*xor(), "l-bfgs-b")
        return Outcome(Point(good.x, np.concatenate([a.ravel() for a in good.states]) + 1e-6))

    result = solved(xor(), method(lie))
    assert not result.success
    assert result.message.startswith("not stationary: converged, honestly; stationary to ")
    METHODS.remove("mine")
    result = solved(xor(), method(infeasible))
    assert not result.success
    violation, _ = violation_and_optimality(xor(), result)
    assert result.constr_violation == pytest.approx(violation, rel=1e-9)
    assert violation > 1e-7
    assert "not feasible" in result.message


def test_a_method_that_breaks_off_is_a_result(method):
    def singular(task, start, options, progress):
        progress.report(start.theta, fun=1.0, optimality=1.0)
        np.linalg.inv(np.zeros((2, 2)))

    result = solved(xor(), method(singular))
    assert not result.success
    assert "the method broke off: Singular matrix" in result.message
    assert result.nit == 1


def test_options_have_defaults_and_unknown_ones_are_refused_by_name(method):
    seen = {}

    def look(task, start, options, progress):
        seen.update(options)
        return Outcome(start)

    name = method(look)
    solved(xor(), name)
    assert seen == {"share": 0.5, "tol": 1e-8}
    solved(xor(), name, options={"share": 0.1}, tol=1e-3)
    assert seen == {"share": 0.1, "tol": 1e-3}
    with pytest.raises(DataError, match="method 'mine' has no option 'shade'; known: maxiter, sec"):
        solved(xor(), name, options={"shade": 1})
    with pytest.raises(DataError, match="the option 'maxiter' is 0"):
        solved(xor(), name, options={"maxiter": 0})


def test_a_limit_on_time_ends_a_run(method):
    def forever(task, start, options, progress):
        while True:
            progress.report(start.theta, fun=1.0, optimality=1.0)

    result = solved(xor(), method(forever), options={"seconds": 0.05})
    assert not result.success
    assert "limit of 0.05 s" in result.message


def test_the_callback_sees_iterates_it_may_keep():
    kept = []
    result = solved(xor(), "slsqp", callback=kept.append)
    assert [r.nit for r in kept] == list(range(1, result.nit + 1))
    assert kept[0].fun > kept[-1].fun
    assert not np.array_equal(kept[0].x, kept[-1].x)
    assert kept[-1].states[0].shape == (4, 3)
    assert kept[-1].multipliers[1].shape == (4, 1)


@pytest.mark.parametrize("name", ["bfgs", "slsqp", "ipopt", "lifted-newton"])
def test_what_a_callback_raises_is_raised(name, tmp_path):
    if name == "ipopt":
        pytest.importorskip("casadi")

    def broken(intermediate_result):
        raise ValueError("a mistake of the caller")

    with pytest.raises(ValueError, match="a mistake of the caller"):
        solved(xor(), name, callback=broken)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        solved(xor(), name, checkpoint=tmp_path / "file" / "run.npz")


# -- what fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "adam"}, "unknown method 'adam'; known: auto, "),
        ({"tol": 0.0}, "tol is 0.0"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"x0": np.zeros(5)}, "expected (13,)"),
        ({"x0": np.full(13, np.nan)}, "it has to be finite"),
        ({"seed": -1}, "the seed is -1"),
        ({"Y": [[0], [1], [2.0]]}, "X has 4 samples, Y has 3"),
        ({"X": [[0, np.inf]] * 4}, "X holds inf"),
    ],
)
def test_bad_input_is_refused(change, words):
    data = xor()._asdict()
    with pytest.raises(LagrangenetError) as raised:
        minimize(**{**data, "routines": code(data["problem"]), **change})
    assert words in str(raised.value)


def test_code_of_another_problem_or_of_the_first_order_is_refused():
    data = xor()
    for routines in (code(xor(2).problem), ln.generate(ln.derive(data.problem))):
        with pytest.raises(DataError, match="generate\\(derive\\(problem, order=2\\)\\)"):
            minimize(*data, routines=routines)


def test_labels_out_of_range_are_refused():
    data = classes()
    with pytest.raises(DataError, match=r"Y\[0, 0\] is 2; cross_entropy needs labels in \[0, 1\]"):
        solved(data._replace(Y=2 * data.Y))


def test_a_missing_package_is_named_with_its_install_line(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("lagrangenet.optimize.methods.find_spec",
                        lambda name: None if name == "casadi" else found(name))  # fmt: skip
    with pytest.raises(MissingExtra, match=r'pip install "lagrangenet\[oracles\]"'):
        solved(xor(), "ipopt")


@pytest.mark.parametrize("name", ["l-bfgs-b", "bfgs", "trust-exact", "slsqp", "trust-constr"])
def test_a_start_without_a_value_is_a_result_that_says_so(name):
    problem = ln.chain([2, 3, 3, 1], activation="exp(z)", regularizer=ln.L2(1e-3))
    result = minimize(problem, *xor()[1:], name, x0=np.full(problem.size, 8.0))
    assert not result.success
    assert result.status == 3
    assert "no finite value at the start" in result.message
    assert "start elsewhere" in result.message


@pytest.mark.parametrize("name", ["l-bfgs-b", "bfgs", "cg", "newton-cg", "trust-krylov", "slsqp",
                                  "trust-constr", "ipopt", "least-squares"])  # fmt: skip
def test_a_step_out_of_a_domain_is_survived(name):
    """log(z + 3/2) has no value from z = −3/2 down; the first steps of these methods go there."""
    if name == "ipopt":
        pytest.importorskip("casadi")
    problem = ln.chain([1, 2, 1], activation="log(z+3/2)", regularizer=ln.L2(1e-3))
    X = np.linspace(-1, 1, 6)[:, None]
    result = minimize(problem, X, 20 * X, name, options={"maxiter": 100})
    assert result.success or (result.message and np.isfinite(result.fun))
    assert np.isfinite(result.x).all()


def test_a_network_with_kinks_says_that_they_are_the_cause():
    problem = ln.chain([2, 4, 1], activation="relu", regularizer=ln.L2(1e-3))
    result = minimize(problem, *xor()[1:], "bfgs")
    assert not result.success
    assert "J has kinks" in result.message


def test_inconsistent_constraints_are_no_success():
    row = np.zeros((2, 13))
    row[:, 0] = 1
    apart = LinearConstraint(row, [0.0, 1.0], [0.0, 1.0])
    for name in ("slsqp", "trust-constr"):
        result = solved(xor(), name, constraints=apart, options={"maxiter": 50})
        assert not result.success
        assert "not feasible" in result.message


# -- the task ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [xor, classes])
def test_multipliers_at_any_states_fulfil_their_condition(make):
    data, rng = make(), np.random.default_rng(1)
    task = Task(*data, routines=code(data.problem))
    oracle = explicit(data.problem, len(data.X))
    theta = task.initial(0)
    states = np.clip(task.states(theta) + 0.1 * rng.normal(size=task.conditions), 0.05, 0.95)
    lam = task.multipliers(theta, states)
    v = np.concatenate([states, theta])
    blocks = oracle.stationarity(v, lam, data.X, data.Y)
    assert largest(blocks["x"]) <= 1e-13 * max(1, largest(lam))
    assert task.objective(theta, states) == pytest.approx(
        oracle.objective(v, data.X, data.Y), rel=1e-13
    )


@pytest.mark.parametrize("name", sorted(NAMED))
def test_the_task_of_a_graph_is_consistent(name):
    case = random_point(NAMED[name](), np.random.default_rng(0), 3, 3)
    task = Task(case.graph, case.inputs, case.Y, routines=graph_routines(case.graph))
    theta = task.routines.pack(case.theta)
    states = task.states(theta)
    value, gradient = task.fun_and_grad(theta)
    assert task.objective(theta, states) == pytest.approx(value, rel=1e-13)
    residuals = task.residuals(theta, states, task.multipliers(theta, states))
    assert residuals.violation <= 1e-14
    assert largest(residuals.states) <= 1e-14
    np.testing.assert_allclose(residuals.parameters, gradient, rtol=1e-12, atol=1e-14)
    p = np.random.default_rng(2).normal(size=task.size)
    shaped = task.routines.unpack(p)
    expected = task.routines.hessian_product(case.theta, case.inputs, case.Y, shaped)
    np.testing.assert_allclose(task.hessp(theta, p), task.routines.pack(expected), rtol=1e-13)


def test_limits_of_methods_that_take_none_are_refused():
    row = LinearConstraint(np.ones((1, 13)), 0, 1)
    with pytest.raises(ProblemError, match="takes no constraints on the parameters"):
        solved(xor(), "bfgs", constraints=row)
