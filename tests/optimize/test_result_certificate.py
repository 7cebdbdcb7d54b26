"""Certificates of results: what holds, what fails and where, by oracles of their own."""

import json

import numpy as np
import pytest

from lagrangenet import L2, Constraint, Problem, chain
from lagrangenet.optimize import load, minimize, save
from lagrangenet.optimize.independent import certify
from lagrangenet.optimize.region import linear, region
from lagrangenet.optimize.task import Point, Task
from lagrangenet.verify.textbook import Textbook
from tests.problems import BANK, OPTIMA, case

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])


def rows(certificate):
    return {c.name: c for c in certificate.conditions}


@pytest.mark.parametrize("name", OPTIMA)
def test_closed_form_optima_are_certified(name):
    known = OPTIMA[name]()
    task = Task(known.problem, known.X, known.Y)
    theta = task.routines.pack(known.theta)
    multipliers = task.shapes.flat((known.multiplier,), "multipliers")
    states = task.shapes.flat((known.output,), "states")
    certificate = certify(task, Point(theta, states, multipliers), 1e-12)
    assert certificate.holds, str(certificate)
    assert certificate.order == 1


def test_the_textbook_residuals_are_those_of_the_code_anywhere():
    """At points that are neither feasible nor stationary, for problems without logits."""
    for name in ("xor", "mixed", "deep", "depth 4", "single-layer"):
        point = case(BANK[name])
        task, rng = Task(point.problem, point.X, point.Y), np.random.default_rng(0)
        theta = task.routines.pack(point.theta)
        states = task.states(theta) + 0.1 * rng.normal(size=task.conditions)
        lam = rng.normal(size=task.conditions)
        found = task.residuals(theta, states, lam)
        book = Textbook(point.problem).residuals(
            point.theta, point.X, point.Y, task.shapes.arrays(states), task.shapes.arrays(lam)
        )
        flat = [np.concatenate([row[j].ravel() for row in book]) for j in (0, 1)]
        flat.append(np.concatenate([a.ravel() for row in book for a in row[2:]]))
        for one, other in zip(found, flat, strict=True):
            assert np.abs(one - other).max() <= 1e-13 * max(1, np.abs(other).max())


def test_of_softmax_with_cross_entropy_the_last_condition_is_that_of_the_logits():
    problem = chain([2, 3, 3], loss="cross_entropy", regularizer=L2(0.05))
    X, Y = np.random.default_rng(0).normal(size=(9, 2)), np.eye(3)[np.arange(9) % 3]
    result = minimize(problem, X, Y, "l-bfgs-b")
    assert result.success
    assert result.certificate.holds
    moved = result.multipliers[-1] + 0.1
    task = Task(problem, X, Y)
    lam = task.shapes.flat((result.multipliers[0], moved * [1, 2, 3]), "multipliers")
    point = Point(result.x, task.states(result.x), lam)
    assert not rows(certify(task, point, 1e-8))["∂L/∂x = 0"].holds


@pytest.mark.parametrize(("part", "name", "where"), [
    (1, "∂L/∂λ = c = 0", "layer 2, (S1)"),
    (2, "∂L/∂x = 0", "layer 1, (S3)"),
    (0, "∂L/∂θ = 0", "layer 2, (S6) ∂L/∂b"),
])  # fmt: skip
def test_what_is_wrong_fails_and_is_named(part, name, where):
    problem = chain([2, 3, 1], regularizer=L2(1e-2))
    task = Task(problem, *XOR)
    point = list(task.completed(Point(minimize(problem, *XOR, "l-bfgs-b").x)))
    point[part] = point[part].copy()
    point[part][0 if part == 2 else -1] += 1e-3
    if part == 0:
        point[1:] = task.completed(Point(point[0]))[1:]
    certificate = certify(task, Point(*point), 1e-8)
    failed = rows(certificate)[name]
    assert not failed.holds
    assert where in failed.where
    assert certificate.order == 0
    assert "no KKT point" in str(certificate)
    assert f"FAILS   {failed.figure:.1e} > 1e-08  {name}" in str(certificate)


def test_nan_does_not_hold():
    problem = chain([2, 3, 1])
    task = Task(problem, *XOR)
    point = task.completed(Point(task.initial(0)))
    states = point.states.copy()
    states[3] = np.nan
    certificate = certify(task, Point(point.theta, states, point.multipliers), 1.0)
    assert not certificate.holds
    assert np.isnan(certificate.constr_violation)
    assert json.loads(certificate.to_json())["conditions"][0]["figure"] == "nan"


def test_a_result_that_the_oracle_does_not_confirm_is_no_success(monkeypatch):
    """A wrong generated gradient: the method and the residuals agree with each other, not with the oracle."""
    problem = chain([2, 3, 1], regularizer=L2(1e-2))
    other = chain([2, 3, 1], regularizer=L2(2e-2))
    monkeypatch.setattr("lagrangenet.optimize.independent.Textbook", lambda _: Textbook(other))
    result = minimize(problem, *XOR, "l-bfgs-b")
    assert not result.success
    assert result.message.startswith("not certified: ∂L/∂θ = 0 is ")


def test_graphs_are_certified_by_brute_force_or_at_a_few_samples():
    graph = Problem.graph(
        {"x": 2},
        [
            Constraint("h", "dense", "x", m=3, activation="tanh"),
            Constraint("y", "affine", "h", m=1),
        ],
        regularizer=L2(1e-2),
    )
    result = minimize(graph, {"x": XOR[0]}, XOR[1], "l-bfgs-b")
    assert result.success
    assert {c.source for c in result.certificate.conditions} == {"brute-force oracle"}
    X = np.random.default_rng(0).normal(size=(50, 2))
    more = minimize(graph, {"x": X}, X[:, :1] * X[:, 1:], "l-bfgs-b")
    assert more.success
    assert rows(more.certificate)["the generated gradient at 4 of 50 samples"].figure < 1e-14


def test_graphs_of_many_parameters_are_compared_along_a_direction(monkeypatch):
    graph = Problem.graph(
        {"x": 40},
        [
            Constraint("h", "dense", "x", m=30, activation="tanh"),
            Constraint("y", "affine", "h", m=1),
        ],
        regularizer=L2(1e-1, biases=True),
    )
    X = np.random.default_rng(0).normal(size=(3, 40))
    run = {
        "problem": graph,
        "X": {"x": X},
        "Y": X[:, :1],
        "method": "l-bfgs-b",
        "second_order": False,
    }
    row = rows(minimize(**run).certificate)[
        "the generated gradient at 3 of 3 samples, along a random direction"
    ]
    assert row.holds
    assert row.figure < 1e-13
    monkeypatch.setattr("lagrangenet.optimize.independent.TOO_MANY", 1000)
    assert "no oracle was asked" in str(minimize(**run).certificate)


def test_functions_of_a_users_own_are_certified_at_a_few_samples():
    problem = chain([2, 3, 1], "z/(1+exp(-z))", regularizer=L2(1e-2))
    X = np.random.default_rng(0).normal(size=(30, 2))
    result = minimize(problem, X, X[:, :1] * X[:, 1:], "l-bfgs-b")
    assert result.success
    row = rows(result.certificate)["the generated gradient at 4 of 30 samples"]
    assert row.source == "textbook with 40 digits"
    assert row.figure < 1e-14


def test_a_minimizer_is_certified_to_the_second_order():
    problem = chain([2, 2, 1], regularizer=L2(1e-2, biases=True))
    result = minimize(problem, *XOR, "l-bfgs-b")
    assert result.certificate.order == 2
    assert str(result.certificate).startswith("a KKT point, certified to the second order")
    data = json.loads(result.certificate.to_json())
    assert data["second_order"]["inertia"] == [problem.size, 0, 0]


def test_float32_results_are_certified_in_float64():
    problem = chain([2, 3, 1], regularizer=L2(1e-2))
    result = minimize(problem, *(a.astype(np.float32) for a in XOR), "l-bfgs-b", dtype="float32")
    assert result.success
    assert result.x.dtype == np.float32
    assert result.certificate.holds


def test_a_saved_result_keeps_its_certificate_as_data(tmp_path):
    result = minimize(chain([2, 3, 1], regularizer=L2(1e-2)), *XOR, "l-bfgs-b")
    save(result, tmp_path / "xor.npz")
    assert load(tmp_path / "xor.npz").certificate == result.certificate.to_dict()


# -- limits on θ -------------------------------------------------------------------------------------


def limited(theta, bounds=None, constraints=None):
    problem = chain([2, 1])
    task = Task(problem, np.vstack([np.eye(2), -np.eye(2)]), np.array([[1.0], [0.5], [-1.0], [-0.5]]),
                region=region(problem, bounds, constraints))  # fmt: skip
    return task, certify(task, task.completed(Point(np.array(theta))), 1e-10)


def test_a_bound_with_its_multiplier():
    """J = ¼ ((w₁ − 1)² + (w₂ − ½)²) + ½ b²."""
    task, certificate = limited([0.25, 0.5, 0.0], {"W1": (None, [[0.25, 9.0]])})
    assert certificate.holds, str(certificate)
    multipliers = task.region.multipliers(np.array([0.25, 0.5, 0.0]), np.array([-0.375, 0, 0]))
    assert multipliers.bounds.tolist() == [0.375, 0, 0]


@pytest.mark.parametrize(("theta", "bounds", "name"), [
    ([1.0, 0.5, 0.0], (None, [[0.25, 9.0]]), "limits on θ hold"),
    ([0.2, 0.5, 0.0], (None, [[0.25, 9.0]]), "∂L/∂θ + ν + Aᵀη = 0"),  # inside, not stationary
    ([1.25, 0.5, 0.0], (None, [[1.25, 9.0]]), "∂L/∂θ + ν + Aᵀη = 0"),  # at the bound, wrong sign
])  # fmt: skip
def test_what_fails_at_a_bound(theta, bounds, name):
    _, certificate = limited(theta, {"W1": bounds})
    assert [c.name for c in certificate.failures] == [name]


def test_multipliers_that_are_given_are_judged():
    from lagrangenet.optimize.multipliers import RegionMultipliers

    task, _ = limited([1.0, 0.5, 0.0], {"W1": (None, 1.5)})
    point = task.completed(Point(np.array([1.0, 0.5, 0.0])))
    given = RegionMultipliers(np.array([0.1, 0, 0]), np.empty(0))
    failed = {c.name for c in certify(task, point, 1e-10, given).failures}
    assert failed == {
        "∂L/∂θ + ν + Aᵀη = 0",
        "complementarity, min(slack, |multiplier|) = 0",
        "multipliers of limits that are not active vanish, others have their sign",
    }


def test_dependent_limits_have_no_unique_multipliers():
    problem = chain([2, 1])
    twice = [linear(problem, {"W1": 1.0}, 1.0, 1.0), linear(problem, {"W1": 2.0}, 2.0, 2.0)]
    _, certificate = limited([0.75, 0.25, 0.0], None, twice)
    assert certificate.holds, str(certificate)
    assert "no LICQ" in str(certificate)
