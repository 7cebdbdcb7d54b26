"""Every layer of the catalogue against torch in float64, and under the certificate.

A layer stands alone behind a trainable one (``samples.py``), at random sizes, with every size 1 and
with each size 1 in turn, for batches of one and of several samples. Errors are relative to the
largest entry of all arrays of a kind.
"""

from functools import cache

import numpy as np
import pytest

from lagrangenet import derive, generate, verify
from lagrangenet.graph import Constraint, Graph
from lagrangenet.layers import LAYERS, Layer
from lagrangenet.verify.comparing import Block
from lagrangenet.verify.graph_solution_checks import GraphSolution
from lagrangenet.verify.graph_subject import GraphCheck, worst
from tests.graphs import random_point, routines
from tests.layers.samples import draws

torch_reference = pytest.importorskip("tests.torch_reference")

TOLERANCE = 1e-12
RANDOM = 2
#: The solution of the constrained problem takes seconds; tests/test_graphs.py looks at some.
CHECKS = [c for c in GraphCheck.registered if c is not GraphSolution]

EVERY_LAYER = pytest.mark.parametrize("name", sorted(LAYERS))


@cache
def graphs(name: str) -> tuple[tuple[str, Graph], ...]:
    return tuple(draws(LAYERS[name], RANDOM))


def points(name: str, few: bool = True):
    """(what, case) for draws of a layer, with one sample and with three.

    Few are a random one and the one of sizes 1; otherwise all.
    """
    rng = np.random.default_rng(5)
    for what, graph in graphs(name):
        if few and what not in ("random 0", "every size 1"):
            continue
        for samples in (1, 3):
            yield f"{what}, M = {samples}", random_point(graph, rng, samples)


def direction(case, seed: int = 9):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=array.shape) for name, array in case.theta.items()}


def assert_close(found, expected, what: str) -> None:
    assert set(found) == set(expected), what
    finding = worst(Block(name, found[name], expected[name]) for name in expected)
    assert finding.figure <= TOLERANCE, f"{what}: {finding}"


def test_every_layer_has_a_reference():
    assert set(torch_reference.LAYERS) == set(LAYERS)


def test_a_layer_without_a_reference_is_noticed():
    layer = LAYERS.add(Layer("square", "y[i,p] = x[i,p]**2", "x[M,n] y[M,n]"))
    try:
        with pytest.raises(AssertionError):
            test_every_layer_has_a_reference()
    finally:
        LAYERS.remove(layer.name)


def check_first(cases):
    for what, case in cases:
        code = routines(case.graph)
        states = code.forward(case.theta, case.inputs)
        tensors = torch_reference.forward(
            case.graph, torch_reference.tensors(case.theta), torch_reference.tensors(case.inputs)
        )
        outputs = {c.state: tensors[c.state].numpy() for c in case.graph.constraints}
        assert_close({n: states[n] for n in outputs}, outputs, f"{what}, forward")
        value, gradient = code.value_and_grad(case.theta, case.inputs, case.Y)
        J, expected = torch_reference.value_and_grad(*case)
        assert_close({"J": value}, {"J": np.asarray(J)}, f"{what}, J")
        assert_close(gradient, expected, f"{what}, gradient")
        multipliers = code.backward(case.theta, case.inputs, states, case.Y)
        slopes = torch_reference.state_gradients(*case)
        assert_close({n: -multipliers[n] for n in slopes}, slopes, f"{what}, multipliers")


def check_second(cases):
    for what, case in cases:
        code, v = routines(case.graph), direction(case)
        assert_close(
            code.hessian_product(case.theta, case.inputs, case.Y, v),
            torch_reference.hessian_product(*case, v), f"{what}, Hessian",
        )  # fmt: skip
        assert_close(
            code.gauss_newton_product(case.theta, case.inputs, case.Y, v),
            torch_reference.gauss_newton_product(*case, v), f"{what}, Gauss-Newton",
        )  # fmt: skip


@EVERY_LAYER
def test_values_and_first_derivatives_against_torch(name):
    check_first(points(name))


@EVERY_LAYER
def test_second_derivatives_against_torch(name):
    check_second(points(name))


@pytest.mark.slow
@EVERY_LAYER
def test_each_size_1_in_turn_against_torch(name):
    check_first(points(name, few=False))
    check_second(points(name, few=False))


@EVERY_LAYER
def test_the_certificate_agrees(name):
    rng = np.random.default_rng(6)
    for what, graph in graphs(name)[:1]:
        case = random_point(graph, rng, 3)
        certificate = verify(graph, case.inputs, case.Y, only=CHECKS)
        assert certificate.agrees, f"{what}\n{certificate}"


@EVERY_LAYER
def test_float32_stays_float32(name):
    _, graph = graphs(name)[0]
    case = random_point(graph, np.random.default_rng(7), 2)
    code = generate(derive(graph, order=2), dtype="float32")
    theta = {n: a.astype(np.float32) for n, a in case.theta.items()}
    inputs = {n: a if n in graph.integers else a.astype(np.float32) for n, a in case.inputs.items()}
    Y, v = case.Y.astype(np.float32), {n: np.ones_like(a) for n, a in theta.items()}
    states = code.forward(theta, inputs)
    multipliers = code.backward(theta, inputs, states, Y)
    value, gradient = code.value_and_grad(theta, inputs, Y)
    everything = [multipliers, gradient, code.hessian_product(theta, inputs, Y, v),
                  code.residuals(theta, inputs, Y, states, multipliers)]  # fmt: skip
    kinds = {array.dtype for arrays in everything for array in arrays.values()}
    assert kinds == {np.dtype(np.float32)}
    assert {a.dtype for n, a in states.items() if a.dtype.kind == "f"} == {np.dtype(np.float32)}
    exact, expected = routines(graph).value_and_grad(case.theta, case.inputs, case.Y)
    assert value == pytest.approx(exact, rel=1e-3)
    for n, array in gradient.items():
        np.testing.assert_allclose(array, expected[n], rtol=1e-2, atol=1e-3)


# -- stability -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_sum_exp", "attention"])
def test_exponentials_of_large_numbers_do_not_overflow(name):
    _, graph = graphs(name)[0]
    case = random_point(graph, np.random.default_rng(8), 2)
    theta = {n: 300.0 * a if n.startswith(("g_", "W_")) else a for n, a in case.theta.items()}
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        value, gradient = routines(graph).value_and_grad(theta, case.inputs, case.Y)
    assert np.isfinite(value)
    assert all(np.isfinite(a).all() for a in gradient.values())


# -- a layer that the package does not have --------------------------------------------------------


def test_a_new_layer_is_its_equation():
    """Squared distances to centres, as a radial basis network has: derived, checked, taken out."""
    layer = LAYERS.add(
        Layer(
            "distance",
            "d[i,p,q] = x[i,q] - C[p,q];  y[i,p] = sum(d[i,p,q]**2, q)",
            "x[M,n] C[m,n] d[M,m,n] y[M,m]",
            parameters="C",
        )
    )
    try:
        graph = Graph({"x0": 2}, [Constraint("r", "distance", "x0", m=3),
                                  Constraint("y", "affine", "r", m=1)])  # fmt: skip
        case = random_point(graph, np.random.default_rng(1), 3)
        certificate = verify(graph, case.inputs, case.Y)
        assert certificate.agrees, certificate
    finally:
        LAYERS.remove(layer.name)
