"""A thousand layers: derived, generated, run, pickled, at Python's default recursion limit."""

import math
import pickle
import sys

import numpy as np
import pytest

from lagrangenet import L2, chain, derive, generate
from lagrangenet.verify.textbook import Textbook
from tests.problems import flat, relative_error

DEPTH, WIDTH, SAMPLES = 1000, 3, 4


@pytest.fixture(scope="module")
def problem():
    return chain([WIDTH] * (DEPTH + 1), "tanh", regularizer=L2(1e-3))


@pytest.fixture(scope="module")
def code(problem):
    assert sys.getrecursionlimit() <= 1000 + 100  # the default, or what a test runner makes of it
    return generate(derive(problem))


@pytest.fixture(scope="module")
def point(problem):
    """Weights near a rotation and states near zero: neither states nor gradients vanish."""
    rng = np.random.default_rng(0)
    theta = []
    for _ in range(DEPTH):
        rotation, _ = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))
        theta.append((rotation, 1e-3 * rng.normal(size=WIDTH)))
    X, Y = 0.1 * rng.normal(size=(SAMPLES, WIDTH)), rng.normal(size=(SAMPLES, WIDTH))
    return tuple(theta), X, Y


def test_the_gradient_of_a_thousand_layers(problem, code, point):
    theta, X, Y = point
    value, gradient = code.value_and_grad(theta, X, Y)
    book = Textbook(problem)
    expected = book.gradient(theta, X, Y)
    assert math.isfinite(value)
    assert value == pytest.approx(book.loss(theta, X, Y), rel=1e-12)
    assert relative_error(flat(gradient), flat(expected)) <= 1e-12
    bias = [np.linalg.norm(db) for _, db in gradient]  # without what the regularizer adds
    assert min(bias) > 1e-6 * max(bias)
    assert relative_error(flat(gradient[:1]), flat(expected[:1])) <= 1e-12


def test_all_routines_run(code, point):
    theta, X, Y = point
    states = code.forward(theta, X)
    multipliers = code.backward(theta, states, Y)
    residuals = code.residuals(theta, X, Y, states, multipliers)
    assert len(states) == len(multipliers) == len(residuals) == DEPTH
    for r_lam, r_x, _, _ in residuals:
        assert np.abs(r_lam).max() <= 1e-14
        assert np.abs(r_x).max() <= 1e-14
    moved = code.update(theta, code.gradient(theta, X, Y), 1e-6)
    assert code.loss(moved, X, Y) < code.loss(theta, X, Y)


def test_a_thousand_layers_are_pickled_compared_and_hashed(problem, code, point):
    theta, X, Y = point
    again = pickle.loads(pickle.dumps(code))
    assert again == code
    assert hash(again) == hash(code)
    assert again.loss(theta, X, Y) == code.loss(theta, X, Y)
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert type(problem).from_toml(problem.to_toml()) == problem


def test_the_source_has_one_line_for_each_condition_at_each_layer(code):
    assert len(code.program.routine("forward").body) == 2 * DEPTH
    assert len(code.program.routine("backward").body) == 2 * DEPTH
    assert code.source.count("# (S3)") >= DEPTH - 1
    assert max(map(len, code.source.splitlines())) < 200
