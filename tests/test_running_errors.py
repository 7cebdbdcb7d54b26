"""Bounds of rounding: they hold, they are small where nothing is lost, and they grow where it is."""

import dataclasses

import numpy as np
import pytest

from lagrangenet import chain
from tests.compilers import Point, stages
from tests.running_errors import LONGER, SPECIAL, Uncertain, uncertain

pytestmark = pytest.mark.skipif(not LONGER, reason="long double is no longer than double here")

every_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def exact(values, dtype="float32"):
    values = np.asarray(values, dtype)
    return Uncertain(values, np.zeros(values.shape), dtype)


def results(code, point):
    """J twice, its gradient and both products, in the type of the point."""
    objective = code.objective(point.X, point.Y)
    products = objective.hessp(point.theta, point.p), objective.gauss_newtonp(point.theta, point.p)
    return objective.value(point.theta), *objective(point.theta), *products


@every_dtype
def test_results_are_within_small_bounds(dtype):
    problem = chain([3, 4, 2], "tanh", "binary_cross_entropy")
    point = Point(problem, 7, dtype)
    code = dataclasses.replace(stages(problem), dtype=dtype)
    for found, right in zip(results(code, point), uncertain(code, point), strict=True):
        assert np.all(np.abs(found - right.value) <= right.error)
        assert np.linalg.norm(right.error) <= 1e3 * np.finfo(dtype).eps * np.linalg.norm(
            right.value
        )


@every_dtype
def test_data_below_the_normal_numbers_may_be_taken_for_zero(dtype):
    problem = chain([3, 4, 2], "tanh")
    point = Point(problem, 7, dtype)
    point.X = (point.X * (np.finfo(dtype).tiny / 8)).astype(dtype)
    point.Y = 1000 * point.Y
    code = dataclasses.replace(stages(problem), dtype=dtype)
    bounds = uncertain(code, point)
    point.X = np.zeros_like(point.X)
    for found, right in zip(results(code, point), bounds, strict=True):
        assert np.all(np.abs(found - right.value) <= right.error)


@every_dtype
@pytest.mark.parametrize("function", [np.exp, np.sin, np.tanh, np.log, np.sqrt])
def test_a_function_moves_with_its_argument(function, dtype):
    x = np.linspace(0.1, 9, 50).astype(dtype)
    near = Uncertain(x, 1e-3 * x, dtype)
    bounded = function(near)
    for moved in (function(x), function(x * 1.0009), function(x * 0.9991)):
        assert np.all(np.abs(moved - bounded.value) <= bounded.error)
    rounded = function(exact(x, dtype))
    assert np.all(rounded.error <= 5 * np.finfo(dtype).eps * np.abs(rounded.value))


def test_a_sum_is_bounded_in_any_order():
    rng = np.random.default_rng(0)
    a = rng.normal(size=400).astype("float32")
    total = exact(a).sum()
    for _ in range(20):
        found = np.float32(0)
        for term in rng.permutation(a):
            found += term
        assert abs(found - total.value) <= total.error <= 400 * 2**-22 * np.abs(a).sum()


def test_cancellation_shows():
    z = np.array([0.5, 5, 9], "float32")
    slope = 1 - np.tanh(exact(z)) ** 2
    error = np.abs((1 - np.tanh(z) ** 2) - slope.value)
    assert np.all(error <= slope.error)
    relative = slope.error / slope.value
    assert relative[0] < 1e-5 < 1 < relative[2]


def test_an_open_comparison_may_take_either_branch():
    x = Uncertain([1.0, -1.0, 1e-9], [1e-8] * 3, "float64")
    chosen = np.where(x > 0, 3, x - 2)
    assert np.all(chosen.value == [3, -3, 3])
    assert np.all(chosen.error[:2] < 1e-7)
    assert chosen.error[2] > 4.9


def test_what_underflows_is_lost():
    assert (exact([1e-30]) * exact([1e-30])).error >= 1e-60


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_bounds_of_any_size_go_through_functions_of_scipy(name):
    number = Uncertain([0.5, 2, -3], [1e-20, 1e300, np.inf], "float64").special(name)
    assert np.all(number.value > -1)
    assert number.error[0] < 1e-14 < 0.1 < number.error[1]
    assert number.error[2] > 0.9
