"""The brute-force oracle itself: against formulas written by hand, torch, and its own two ways."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet.errors import DataError
from lagrangenet.functions import ACTIVATIONS
from lagrangenet.functions.base import Activation, z
from lagrangenet.graph import Constraint, Graph
from lagrangenet.layers import LAYERS, Layer
from lagrangenet.verify.dual import FUNCTIONS, Dual, applied
from lagrangenet.verify.equations import read
from lagrangenet.verify.evaluation import sizes_of
from lagrangenet.verify.graph_oracle import GraphOracle, Point
from tests.graphs import random_graphs, random_point
from tests.layers.samples import draws
from tests.problems import relative_error

torch_reference = pytest.importorskip("tests.torch_reference")


def flat(arrays):
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


def point(graph, samples=2, seed=0):
    case = random_point(graph, np.random.default_rng(seed), samples)
    return Point(case.theta, case.inputs, case.Y)


# -- against torch ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_agrees_with_torch(name):
    for what, graph in draws(LAYERS[name], 1):
        at = point(graph)
        oracle = GraphOracle(graph)
        J, gradient = torch_reference.value_and_grad(graph, *at)
        assert float(oracle.loss(at)) == pytest.approx(J, rel=1e-13), what
        size = max(np.abs(a).max() for a in gradient.values())
        for parameter, found in oracle.gradient(at).items():
            np.testing.assert_allclose(
                found, gradient[parameter], rtol=0, atol=1e-13 * size, err_msg=what
            )


def test_random_graphs_agree_with_torch_to_second_order():
    for graph, rng in random_graphs(12):
        case = random_point(graph, rng, 2)
        oracle, at = GraphOracle(graph), Point(*case[1:])
        assert relative_error(
            flat(oracle.gradient(at)), flat(torch_reference.value_and_grad(*case)[1])
        ) <= 1e-12  # fmt: skip
        if oracle.continuable:
            v = {n: rng.normal(size=a.shape) for n, a in case.theta.items()}
            found = flat(oracle.hessian_product(at, v))
            assert relative_error(found, flat(torch_reference.hessian_product(*case, v))) <= 1e-11


# -- against itself --------------------------------------------------------------------------------

GRAPH = Graph(
    {"x0": 2},
    [
        Constraint("x1", "dense", "x0", m=3, activation="tanh", W="w"),
        Constraint("n", "layer_norm", "x1", eps=0.1),
        Constraint("x2", "add", ("n", "x1")),
        Constraint("y", "softmax", "x2"),
    ],
)


def test_the_lagrangian_at_a_feasible_point_is_the_objective():
    at, oracle = point(GRAPH), GraphOracle(GRAPH)
    states = oracle.forward(at.theta, at.inputs)
    lam = {n: np.ones_like(x) for n, x in states.items()}
    assert oracle.lagrangian(at, states, lam) == pytest.approx(oracle.loss(at), rel=1e-14)


def test_its_multipliers_solve_its_own_conditions():
    """λ from sensitivities makes ∂L/∂x vanish, and ∂L/∂θ is then the gradient."""
    at, oracle = point(GRAPH), GraphOracle(GRAPH)
    states, lam = oracle.forward(at.theta, at.inputs), oracle.multipliers(at)
    found = oracle.residuals(at, states, lam)
    for name in lam:
        np.testing.assert_allclose(found[f"lambda_{name}"], 0, atol=1e-15)
        np.testing.assert_allclose(found[name], 0, atol=1e-14)
    for name, slope in oracle.gradient(at).items():
        np.testing.assert_allclose(found[name], slope, rtol=1e-12, atol=1e-15)


def test_its_residuals_are_differences_of_the_lagrangian():
    at, oracle = point(GRAPH), GraphOracle(GRAPH)
    rng = np.random.default_rng(3)
    states = {n: x + (n not in oracle.constants) * 0.1 * rng.random(x.shape)
              for n, x in oracle.forward(at.theta, at.inputs).items()}  # fmt: skip
    lam = {n: rng.normal(size=x.shape) for n, x in states.items() if n not in oracle.constants}
    found, h = oracle.residuals(at, states, lam), 1e-6
    for name in lam:
        step = np.zeros_like(states[name])
        step.flat[0] = h
        ends = [oracle.lagrangian(at, states | {name: states[name] + s * step}, lam)
                for s in (1, -1)]  # fmt: skip
        assert found[name].flat[0] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)


def test_the_hessian_is_the_difference_of_gradients():
    at, oracle = point(GRAPH), GraphOracle(GRAPH)
    v = {n: np.random.default_rng(4).normal(size=a.shape) for n, a in at.theta.items()}
    h = 1e-5
    ends = [oracle.gradient(at._replace(theta={n: a + s * h * v[n] for n, a in at.theta.items()}))
            for s in (1, -1)]  # fmt: skip
    expected = {n: (ends[0][n] - ends[1][n]) / (2 * h) for n in v}
    assert relative_error(flat(oracle.hessian_product(at, v)), flat(expected)) <= 1e-8


def test_without_kinks_in_the_network_gauss_newton_of_a_linear_one_is_the_hessian():
    graph = Graph({"x0": 2}, [Constraint("y", "affine", "x0", m=2)], regularizer="L2")
    at, oracle = point(graph), GraphOracle(graph)
    v = {n: np.random.default_rng(4).normal(size=a.shape) for n, a in at.theta.items()}
    found, expected = oracle.gauss_newton_product(at, v), oracle.hessian_product(at, v)
    assert relative_error(flat(found), flat(expected)) <= 1e-13


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_derivative_of_a_function_is_its_complex_step(name):
    at = np.array([0.37])
    (slope,) = applied(FUNCTIONS[name], Dual(at, np.ones(1))).slope
    stepped = np.imag(applied(FUNCTIONS[name], at + 1e-30j)) / 1e-30
    assert slope == pytest.approx(stepped.item(), rel=1e-14)


def test_duals_calculate_as_derivatives_do():
    x = Dual(1.7, np.array([1.0, 0.0]))
    y = Dual(-0.4, np.array([0.0, 1.0]))
    found = (2 - x) * y / (x + 3) - (1 / x) ** 2 + (-y) / 2
    h = 1e-30j

    def f(a, b):
        return (2 - a) * b / (a + 3) - (1 / a) ** 2 + (-b) / 2

    expected = [np.imag(f(1.7 + h, -0.4)) / 1e-30, np.imag(f(1.7, -0.4 + h)) / 1e-30]
    np.testing.assert_allclose(found.slope, expected, rtol=1e-14)


# -- functions without complex values --------------------------------------------------------------


def test_a_function_by_cases_is_differentiated_forwards():
    bent = Activation("bent", sp.Piecewise((z**2, z > 0), (z / 2, True)), "bent",
                      kinks=(sp.S.Zero,), subgradient="1/2 at 0")  # fmt: skip
    ACTIVATIONS.add(bent)
    try:
        graph = Graph({"x0": 2}, [Constraint("y", "dense", "x0", m=2, activation="bent")])
        oracle, at = GraphOracle(graph), point(graph)
        assert not oracle.continuable
        with pytest.raises(DataError, match="by cases"):
            oracle.hessian_product(at, at.theta)
        h, found = 1e-6, oracle.gradient(at)["b_y"]
        for p in range(2):
            step = h * np.eye(2)[p]
            ends = [oracle.loss(at._replace(theta=at.theta | {"b_y": at.theta["b_y"] + s * step}))
                    for s in (1, -1)]  # fmt: skip
            assert found[p] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-7)
    finally:
        ACTIVATIONS.remove("bent")


# -- what it refuses -------------------------------------------------------------------------------


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="W has shape"):
        sizes_of(read(LAYERS["dense"].with_axes(0)), {"x": (3, 2), "W": (4, 3), "b": (4,)}, {})


def test_a_function_that_the_oracle_does_not_know_is_refused():
    layer = LAYERS.add(Layer("smallest", "y[i,p] = x[i,p]", "x[M,n] y[M,n]"))
    try:
        object.__setattr__(layer, "equations", "y[i,p] = least(x[i,p])")
        with pytest.raises(DataError, match="'least'"):
            read(layer)
    finally:
        LAYERS.remove("smallest")
