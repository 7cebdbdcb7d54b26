"""The checks of the second order agree with the generated code and see mistakes in it."""

import re
import warnings

import numpy as np
import pytest

from lagrangenet import L2, Dense, Problem, chain, derive, generate, verify
from lagrangenet.runtime import Routines
from lagrangenet.verify.check import Check
from lagrangenet.verify.curvature import Curvature, unlisted_functions
from lagrangenet.verify.differences import kink_distance
from tests.mutants import mutants

KINDS = {k.__name__: k for k in Check.registered if k.__module__.endswith("second_order_checks")}
SMOOTH = chain([2, 3, 2], "tanh", "squared_error", regularizer=L2(0.1), name="smooth")
CLASSES = chain([2, 3, 3], "softplus", "cross_entropy", name="classes")
KINKED = chain([2, 3, 2], "relu", "squared_error", name="kinked")
MIXED = Problem(2, [Dense(3, "softmax"), Dense(2, "sigmoid")], "binary_cross_entropy", name="mixed")
PROBLEMS = [SMOOTH, CLASSES, KINKED, MIXED]


def data(problem):
    X = np.random.default_rng(3).normal(size=(5, 2))
    return X, np.eye(problem.widths[-1])[np.arange(5) % problem.widths[-1]]


def check(kind, problem, routines=None):
    (result,) = verify(problem, *data(problem), routines=routines, only=[KINDS[kind]]).checks
    return result


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_generated_code_agrees(problem):
    verdicts = {kind: check(kind, problem).verdict for kind in KINDS}
    smooth = ["inapplicable" if problem is KINKED else "agree"]
    assert [verdicts.pop("HessianComplexStep")] == smooth
    assert set(verdicts.values()) == {"agree"}


#: check, problem, (function, right, wrong).
MISTAKES = [
    ("HessianComplexStep", SMOOTH, ("second_adjoint", "- 2 * lam1", "- lam1")),
    ("HessianComplexStep", SMOOTH, ("hessian_product", "- mu2.T @ Xdot1", "")),
    ("HessianComplexStep", SMOOTH, ("tangent", "+ bdot1", "")),
    ("HessianCentralDifferences", KINKED, ("second_adjoint", "+ mu2 @ Wdot2", "")),
    ("HessianSymmetric", SMOOTH, ("hessian_product", "- mu2.T @ Xdot1", "")),
    ("GaussNewton", CLASSES, ("gauss_newton_adjoint", "-Xdot2 / M", "-Xdot2")),
    ("GaussNewton", SMOOTH, ("gauss_newton_product", "RHO * Wdot1", "Wdot1")),
    ("GaussNewton", KINKED, ("gauss_newton_adjoint", "mudot2 @ W2", "-mudot2 @ W2")),
    ("SparseBlocks", SMOOTH, ("kkt_product", "t_lam1 = Xdot1 - Sdot1", "t_lam1 = Xdot1 + Sdot1")),
    ("SparseBlocks", CLASSES, ("kkt_product", "- mu2 @ Wdot2", "")),
    ("ReducedHessian", SMOOTH, ("kkt_product", "- 2 * lam1", "- lam1")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "problem", "change"), MISTAKES)
def test_a_mistake_disagrees(kind, problem, change):
    function, right, wrong = change
    source = generate(derive(problem, order=2)).source
    before, name, rest = source.partition(f"def {function}(")
    assert right in rest
    routines = Routines(problem, before + name + rest.replace(right, wrong, 1))
    assert check(kind, problem, routines).verdict == "disagree"


def test_every_check_has_its_mistake():
    assert {kind for kind, _, _ in MISTAKES} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_code_of_the_first_order_has_nothing_to_check(kind):
    result = check(kind, SMOOTH, generate(derive(SMOOTH)))
    assert (result.verdict, result.note) == ("inapplicable", "the code is of the first order")


# -- mutants ---------------------------------------------------------------------------------------

#: The same program: the transpose of a vector, and the two arrays of one batch.
EQUIVALENT = re.compile(r"bdot\d\.T\b|M = Y\.shape\[0\]")


def survivors(chosen):
    """Mutants of the routines of the second order that no check sees."""
    problem = chain([2, 3, 2], "tanh", output="sigmoid", regularizer=L2(0.01), name="mutants")
    source = generate(derive(problem, order=2)).source
    start = source[: source.index("def tangent(")].count("\n")
    listed = [m for m in mutants(source) if m.line > start and not EQUIVALENT.search(m.description)]
    X, Y = np.random.default_rng(3).normal(size=(2, 5, 2))
    for mutant in chosen(listed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of `1(x)`; whatever raises is seen
            routines = Routines(problem, mutant.source)
            found = verify(problem, X, Y, routines=routines, only=list(KINDS.values()))
        if found.agrees:
            yield mutant.description


def test_a_sample_of_mutants_disagrees():
    def sample(listed):
        return [listed[j] for j in np.random.default_rng(0).choice(len(listed), 25, replace=False)]

    assert not list(survivors(sample))


@pytest.mark.slow
def test_all_mutants_disagree():
    assert not list(survivors(list))


# -- the oracle ------------------------------------------------------------------------------------


def test_the_oracle_on_a_problem_that_is_solved_by_hand():
    """J = ½ mean (w x + b − y)² + ρ/2 w²: ∇²J = ((mean x² + ρ, mean x), (mean x, 1))."""
    problem = chain([1, 1], regularizer=L2(0.5))
    oracle = Curvature(problem)
    theta = ((np.array([[2.0]]), np.array([1.0])),)
    X, Y = np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])
    expected = np.array([[5.5, 2.0], [2.0, 1.0]])
    for row, unit in zip(expected, np.eye(2), strict=True):
        assert oracle.hessian_product(theta, X, Y, unit) == pytest.approx(row)
        assert oracle.central_product(theta, X, Y, unit, 1e-4) == pytest.approx(row)
        rows = np.arange(2)
        assert oracle.gauss_newton_product(theta, X, Y, unit, rows) == pytest.approx(row)


def test_gauss_newton_of_softmax_on_its_logits():
    """One layer: G is the Hessian, diag(x) − x xᵀ with respect to z."""
    problem = chain([2, 3], loss="cross_entropy")
    oracle = Curvature(problem)
    X, Y = data(problem)
    theta = generate(derive(problem)).initial(1)
    v = np.random.default_rng(0).normal(size=problem.size)
    rows = np.arange(problem.size)
    assert oracle.gauss_newton_product(theta, X, Y, v, rows) == pytest.approx(
        oracle.hessian_product(theta, X, Y, v), rel=1e-12
    )


def test_functions_without_a_rule_are_named():
    assert unlisted_functions(SMOOTH) == []


def test_differences_keep_clear_of_where_a_second_derivative_jumps():
    problem = chain([1, 1], loss="huber")
    theta = ((np.array([[1.0]]), np.array([0.0])),)
    X, Y = np.array([[0.25], [3.0]]), np.array([[0.0], [2.5]])
    assert kink_distance(problem, theta, X, Y) == 0.5  # |x − y| is 0.25 and 0.5; δ is 1
