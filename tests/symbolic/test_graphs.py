"""The engine for graphs: what is derived, what is proved, what is refused by name."""

import time

import numpy as np
import pytest
import sympy as sp

import lagrangenet as ln
from lagrangenet import Constraint, DerivationError, Layer, Problem
from lagrangenet.layers import LAYERS
from lagrangenet.symbolic.graphs import pieces
from lagrangenet.symbolic.graphs.elimination import interval, parts
from lagrangenet.symbolic.graphs.network import network

C = Constraint
NAMED = {
    "shared": Problem.graph(
        {"x0": 2},
        [
            C("x1", "dense", "x0", m=2, activation="tanh", W="w1"),
            C("g2", "concatenate", ("x0", "x1")),
            C("x2", "dense", "g2", m=2, activation="tanh", W="w2"),
            C("g3", "multiply", ("x1", "x2")),
            C("x3", "dense", "g3", m=2, activation="tanh", W="w1"),
        ],
        regularizer=ln.L2(0.1),
    ),
    "tied": Problem.graph(
        {"x": 5},
        [
            C("h", "dense", "x", m=3, activation="tanh", W="w"),
            C("y", "transposed_dense", "h", W="w"),
        ],
    ),
    "recurrent": Problem.graph(
        {"x": ("T", 2)},
        [C("h", "recurrent", "x", m=3, activation="tanh"), C("s", "last", "h")],
    ),
    "attention": Problem.graph(
        {"x": ("T", 4)}, [C("a", "attention", "x", H=2, D=3, m=4), C("s", "add", ("a", "x"))]
    ),
    "convolution": Problem.graph(
        {"x": (2, 9)},
        [
            C("c", "conv1d", "x", O=3, R=3, stride=2, pad=1),
            C("p", "max_pool1d", "c"),
            C("f", "flatten", "p"),
            C("y", "layer_norm", "f"),
        ],
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_conditions(name, golden):
    golden(f"graph-{name}-conditions.txt", f"{ln.derive(NAMED[name], order=2)}\n")


@pytest.mark.parametrize("name", NAMED)
def test_module(name, golden):
    source = ln.generate(ln.derive(NAMED[name], order=2)).source
    assert max(map(len, source.splitlines())) <= 99
    golden(f"graph-{name}-module.txt", source)


def condition(graph, wrt, label="S3"):
    return next(c for c in network(graph, False).conditions(1) if (c.wrt, c.label) == (wrt, label))


def test_a_shared_parameter_gets_one_term_from_each_constraint():
    assert len(condition(NAMED["shared"], "w1", "S5").summands) == 3  # with the regularizer
    assert len(condition(NAMED["shared"], "w2", "S5").summands) == 2


def test_a_state_that_feeds_two_constraints_gets_both():
    users = {s.equation for s in condition(NAMED["shared"], "x1").summands}
    assert users == {"g2", "g3"}


def test_the_recurrence_keeps_its_guard():
    (guarded,) = (s for s in condition(NAMED["recurrent"], "h_h").summands if s.part.guards)
    low, value, high = guarded.part.guards[0].args
    assert (low, high) == (value, sp.Symbol("T", integer=True, positive=True))


def test_the_largest_entry_of_a_softmax_has_no_multiplier():
    softmax = Problem.graph({"x": 3}, [C("y", "softmax", "x")])
    assert network(softmax).constants == {"c_y"}
    assert "lambda_c_y" not in str(ln.derive(softmax))


# -- refusals ------------------------------------------------------------------------------------------


def refused(equations, shapes, **settings):
    layer = Layer("mine", equations, shapes, **settings)
    arrays = dict.fromkeys(layer.inputs, 3)
    return Problem.graph(arrays, [C("y", layer, list(arrays))])


REFUSED = {
    "a constant that is none": (
        lambda: refused(
            "c[i] = max(x[i,q], q); y[i,p] = x[i,p] - c[i]",
            "x[M,n] c[M] y[M,n]",
            constants="c",
        ),
        "layer 'mine': the output depends on 'c', which is declared constant",
    ),
    "max without a declaration": (
        lambda: refused("c[i] = max(x[i,q], q); y[i,p] = x[i,p] - c[i]", "x[M,n] c[M] y[M,n]"),
        "layer 'mine', equation of 'c': no derivative",
    ),
    "an index as a value": (
        lambda: refused("y[i,p] = p*x[i,p]", "x[M,n] y[M,n]"),
        "the index p is used as a value",
    ),
    "a diagonal": (
        lambda: Problem.graph(
            {"x": 3},
            [C("y", Layer("trace", "y[i,p] = sum(W[j,j]*x[i,j], j)", "x[M,n] W[n,n] y[M,1]", "W"), "x")],
        ),
        "reads a diagonal",
    ),
    "states that need each other": (
        lambda: refused("a[i,p] = b[i,p]; b[i,p] = a[i,p]; y[i,p] = b[i,p] + x[i,p]",
                        "x[M,n] a[M,n] b[M,n] y[M,n]"),
        "depend on each other at once",
    ),
    "a product of indices in a subscript": (
        lambda: refused("y[i,p] = x[i,p**2]", "x[M,n] y[M,n]"),
        "is not affine",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_engine_cannot_do_is_refused_by_name(make, message):
    with pytest.raises(DerivationError) as caught:
        ln.generate(ln.derive(make()))
    assert message in str(caught.value)
    assert "y'" in str(caught.value) or "'mine'" in str(caught.value)


# -- elimination ---------------------------------------------------------------------------------------

i, j, r, t, n, T, R = sp.symbols("i j r t n T R", integer=True, positive=True)
a, w = sp.IndexedBase("a"), sp.IndexedBase("w")


def only(expr, ranges, store=False):
    (part,) = parts(expr, ranges, store, frozenset())
    return part


def test_a_delta_with_equal_ranges_removes_the_sum():
    part = only(sp.Sum(a[t] * sp.KroneckerDelta(t, j), (t, 1, n)), {j: (1, n)})
    assert (part.factor, part.bound, part.guards) == (a[j], (), ())


def test_a_delta_with_another_range_leaves_a_guard():
    part = only(sp.Sum(a[t] * sp.KroneckerDelta(t + 2, j), (t, 1, T)), {j: (1, n)})
    assert part.factor == a[j - 2]
    assert part.guards[0].args == (1, j - 2, T)


def test_code_stores_instead():
    expr = sp.Sum(a[t] * w[r] * sp.KroneckerDelta(2 * t + r, j), (t, 1, T), (r, 1, R))
    part = only(expr, {j: (1, n)}, store=True)
    ((index, place),) = part.stores
    assert index == j
    assert len(part.bound) == 2
    assert sp.expand(place).coeff(part.bound[0][0]) in (1, 2)


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (2, -1), (-1, 5), (-3, 2)])
def test_intervals_are_attained(slope, offset):
    low, high = interval(slope * t + offset, {t: (sp.Integer(1), sp.Integer(4))})
    assert [low, high] == [f(slope * v + offset for v in range(1, 5)) for f in (min, max)]


@pytest.mark.slow  # measures time, so it wants the machine for itself
def test_every_layer_is_derived_within_a_second_for_each_order():
    for layer in LAYERS.values():
        for order in (1, 2):
            start = time.process_time()
            pieces.contributions.__wrapped__(layer.with_axes(0), (), False, order)
            assert time.process_time() - start < 1, (layer.name, order)


def test_two_activations_of_one_state_are_not_confused():
    graph = Problem.graph(
        {"x": 2},
        [
            C("z", "affine", "x", m=2),
            C("a", "activation", "z", activation="tanh"),
            C("b", "activation", "z", activation="sigmoid"),
            C("y", "multiply", ("a", "b")),
        ],
    )
    routines = ln.generate(ln.derive(graph))
    rng = np.random.default_rng(0)
    inputs, Y = {"x": rng.standard_normal((3, 2))}, rng.standard_normal((3, 2))
    flat = rng.standard_normal(graph.size)
    gradient = routines.fun(flat, inputs, Y)[1]
    for unit, slope in zip(1e-6 * np.eye(graph.size), gradient, strict=True):
        up, down = (routines.fun(flat + sign * unit, inputs, Y)[0] for sign in (1, -1))
        assert (up - down) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-9)
