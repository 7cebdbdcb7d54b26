"""Layouts into and out of: what goes in comes back, for every combination that can be declared."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangenet.errors import ProblemError
from lagrangenet.grading import Layout
from lagrangenet.grading import adapters as a
from lagrangenet.grading.contract import CONTAINERS
from lagrangenet.grading.protocol import Bad

WIDTHS = (3, 4, 3, 2)
LAYOUTS = [
    Layout(weights=weights, bias=bias, container=container, keys=keys, first=first)
    for weights, bias, container, first in product(
        ("out,in", "in,out"), ("vector", "row", "column", "first", "last"), CONTAINERS, (0, 1)
    )
    for keys in [("W{k}",) if bias in {"first", "last"} else ("W{k}", "b{k}")]
    if container != "matrices" or bias in {"first", "last"}
]


def theta(seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n, m)), rng.normal(size=n)) for m, n in pairwise(WIDTHS)]


@pytest.mark.parametrize(
    "layout", LAYOUTS, ids=lambda x: f"{x.weights}-{x.bias}-{x.container}-{x.first}"
)
def test_parameters_come_back_as_they_went(layout):
    given = theta()
    back = a.contained(layout, listed(a.container(layout, given)), WIDTHS, "theta")
    for (W, b), (W2, b2) in zip(given, back, strict=True):
        np.testing.assert_array_equal(W, W2, strict=True)
        np.testing.assert_array_equal(b, b2, strict=True)


def listed(value):
    """As the protocol hands it on: tuples are lists."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


def test_fortran_order_is_not_c_order():
    given = theta()
    C, F = (a.container(Layout(container=name), given) for name in ("flat", "flat F"))
    assert sorted(C) == sorted(F)
    assert list(C) != list(F)
    np.testing.assert_array_equal(F[:3], given[0][0][:3, 0])


@given(st.sampled_from(["vector", "row", "column"]), st.integers(2, 5), st.data())
def test_a_bias_fits_where_each_entry_moves_by_its_own_derivative(kind, n, data):
    shape = data.draw(st.sampled_from([(), (1,), (n,), (1, n), (n, 1), (n, n), (n + 1,), (1, 1)]))
    held, slope = a.bias(Layout(bias=kind), np.zeros(n)), np.ones(shape)
    try:
        found = a.vector(Layout(bias=kind), slope, n, "db1")
    except a.LayoutError:
        found = np.zeros(0)
    try:
        fits = slope.size == held.size == (held - slope).size
    except ValueError:
        fits = False
    assert (found.shape == (n,)) == fits


@pytest.mark.parametrize(
    ("container", "value", "words"),
    [
        ("dict", {"W1": np.ones(1)}, "no key 'b1'; its keys: W1"),
        ("dict", [np.ones(1)], "a list, not a dictionary"),
        ("pairs", [np.ones(2)], "has 1 items, 3 are declared"),
        ("pairs", None, "None, not a list"),
        ("pairs", Bad("a value of type str"), "a value of type str, not a list"),
        ("pairs", [[np.ones(2)]] * 3, "a pair of grads has 1 items, 2 are declared"),
        ("flat", np.ones(5), "has shape (5,); there are 39 parameters"),
        ("flat", np.ones((39, 39)), "has shape (39, 39)"),
        ("alternating", [np.ones(2)] * 5, "has 5 items, 6 are declared"),
        ("lists", [[np.ones(2)]], "has 1 items, 2 are declared"),
        ("pairs", [[Bad("an array of dtype object"), np.ones(4)]] * 3, "an array of dtype object"),
    ],
)
def test_what_is_not_the_declared_container_is_said(container, value, words):
    with pytest.raises(a.LayoutError, match=r"grads|W1") as error:
        a.contained(Layout(container=container), value, WIDTHS, "grads")
    assert words in str(error.value)


def test_labels():
    Y = np.eye(3)[[2, 0, 1, 1]]
    assert a.labels(Layout(labels="integers"), Y).tolist() == [2, 0, 1, 1]
    assert a.labels(Layout(labels="integers from 1"), Y).tolist() == [3, 1, 2, 2]
    assert a.labels(Layout(labels="column"), Y).shape == (4, 1)
    assert a.labels(Layout(labels="column", samples="columns"), Y).shape == (1, 4)
    assert a.labels(Layout(samples="columns"), Y).shape == (3, 4)
    assert a.labels(Layout(labels="integers"), np.array([[1.0], [0.0]])).tolist() == [1, 0]


@pytest.mark.parametrize("value", [np.ones(2), np.ones((1, 2)), np.zeros(0)])
def test_a_loss_is_one_number(value):
    with pytest.raises(a.LayoutError, match="not one number"):
        a.number(value, "loss")


def test_a_loss_may_be_wrapped():
    assert a.number(np.full((1, 1), 2.5), "loss") == 2.5


@pytest.mark.parametrize(
    "options",
    [
        {"bias": "middle"},
        {"samples": "diagonal"},
        {"keys": ("W", "b")},
        {"bias": "first"},
        {"container": "matrices"},
        {"multiplier_sign": 2},
        {"gradient_container": "set"},
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused(options):
    with pytest.raises(ProblemError, match="submission"):
        Layout(**options)
