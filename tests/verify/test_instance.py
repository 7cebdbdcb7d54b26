"""Small instances: what is kept, what is cut, and that the note says so."""

import numpy as np
import pytest

from lagrangenet.errors import DataError
from lagrangenet.problem import Dense, Problem, chain
from lagrangenet.verify.explicit import ExplicitLagrangian
from lagrangenet.verify.instance import LARGEST, LEAST_STRENGTH, small_instance

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([[0.0], [1], [1], [0]])


def data(problem, samples=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, problem.inputs))
    outputs = problem.widths[-1]
    if problem.loss_entry.labels == "distribution":
        return X, np.eye(outputs)[rng.integers(outputs, size=samples)]
    if problem.loss_entry.labels == "binary":
        return X, rng.integers(2, size=(samples, outputs)).astype(float)
    return X, rng.normal(size=(samples, outputs))


PROBLEMS = [
    chain([4, 8, 3], loss="cross_entropy"),
    chain([64, 16, 10], loss="cross_entropy"),
    chain([30, 8, 1], loss="binary_cross_entropy"),
    chain([1, 8, 8, 1]),
    chain([5, 4, 4, 4, 3], "sigmoid"),
    chain([6, 5, 5, 5, 5, 5, 2], "softplus"),
    chain([4, 8, 3], {"name": "leaky_relu", "slope": 0.3}),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_small_and_of_the_same_functions(problem):
    instance = small_instance(problem, *data(problem))
    small = instance.problem
    assert ExplicitLagrangian(small, len(instance.X)).size <= LARGEST
    assert instance.X.shape == (len(instance.Y), small.inputs)
    assert instance.Y.shape[1] == small.widths[-1]
    assert {layer.activation for layer in small.layers} == {
        layer.activation for layer in problem.layers
    }
    assert (small.loss, small.layers[-1].activation) == (
        problem.loss,
        problem.layers[-1].activation,
    )
    assert small.strength == LEAST_STRENGTH
    assert instance.note.endswith(".")
    assert "L2 of strength" in instance.note
    assert ("-".join(map(str, small.widths))) in instance.note


def test_a_small_problem_is_kept_whole():
    problem = chain([2, 3, 1], regularizer={"name": "L2", "strength": 0.1})
    instance = small_instance(problem, *XOR)
    assert instance.problem == problem
    np.testing.assert_array_equal(instance.X, XOR[0])
    np.testing.assert_array_equal(instance.Y, XOR[1])
    assert instance.note == "The whole problem, 2-3-1 with 4 samples."


def test_the_seed_chooses_the_samples():
    problem = PROBLEMS[0]
    X, Y = data(problem)
    one, again, other = (small_instance(problem, X, Y, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.X, again.X)
    assert not np.array_equal(one.X, other.X)


def test_every_class_occurs_and_labels_are_one_hot():
    problem = PROBLEMS[1]
    instance = small_instance(problem, *data(problem, samples=300))
    np.testing.assert_array_equal(instance.Y.sum(axis=1), 1.0)
    assert (instance.Y.sum(axis=0) >= 1).all()


def test_classes_that_never_occur_are_cut():
    problem = PROBLEMS[1]
    X = np.random.default_rng(0).normal(size=(9, 64))
    instance = small_instance(problem, X, np.eye(10)[[3, 7, 3, 7, 7, 3, 3, 7, 7]])
    assert instance.problem.widths[-1] == 2
    assert (instance.Y.sum(axis=0) >= 2).all()


def test_one_class_has_no_minimizer():
    problem = chain([3, 2, 1], loss="binary_cross_entropy")
    with pytest.raises(DataError, match="two classes"):
        small_instance(problem, np.eye(3), np.ones((3, 1)))


def test_extreme_scales_are_standardized():
    problem = PROBLEMS[2]
    X, Y = data(problem)
    instance = small_instance(problem, 1e3 * X + 500.0, Y)
    assert np.abs(instance.X).max() < 5
    assert "standardized" in instance.note


def test_constant_columns_do_not_divide_by_zero():
    instance = small_instance(chain([2, 2, 1]), np.full((5, 2), 7.0), np.arange(5.0)[:, None])
    assert np.isfinite(instance.X).all()


def test_deep_networks_are_thinned_to_one_layer_of_each_activation():
    layers = [Dense(4, name) for name in ("tanh", "tanh", "sigmoid", "tanh", "sigmoid")]
    problem = Problem(3, [*layers, Dense(1)], "squared_error")
    instance = small_instance(problem, *data(problem))
    names = [layer.activation.name for layer in instance.problem.layers]
    assert names == ["tanh", "sigmoid", "identity"]
    assert "3 of 6 layers" in instance.note


def test_networks_with_kinks_get_moved_inputs():
    instance = small_instance(chain([2, 3, 1], "relu"), *XOR)
    assert 0 < np.abs(instance.X - XOR[0]).max() < 0.75
    assert "moved at random" in instance.note


@pytest.mark.parametrize(
    ("X", "Y", "words"),
    [
        (np.zeros((4, 3)), np.zeros((4, 1)), "X has shape"),
        (np.zeros((4, 2)), np.zeros(4), "Y has shape"),
        (np.zeros((4, 2)), np.zeros((3, 1)), "4 samples and Y has 3"),
        (np.full((4, 2), np.nan), np.zeros((4, 1)), "NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(X, Y, words):
    with pytest.raises(DataError, match=words):
        small_instance(chain([2, 3, 1]), X, Y)
