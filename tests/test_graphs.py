"""Graphs of constraints: fan-out, shared parameters, tied weights, recurrences of any length."""

import numpy as np
import pytest
import scipy.optimize

from lagrangenet import Dense, Problem, derive, generate, verify
from lagrangenet.errors import DataError, ProblemError
from lagrangenet.graph import Constraint, Graph
from tests import graphs
from tests.graphs import NAMED, random_point, routines
from tests.problems import relative_error

torch_reference = pytest.importorskip("tests.torch_reference")

EVERY_NAMED = pytest.mark.parametrize("name", sorted(NAMED))


def flat(arrays):
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)])


def point(graph, samples=3, seed=0, length=None):
    return random_point(graph, np.random.default_rng(seed), samples, length)


# -- named graphs ----------------------------------------------------------------------------------


@EVERY_NAMED
def test_a_named_graph_agrees_with_torch(name):
    for samples in (1, 2, 5):
        case = point(NAMED[name](regularizer={"name": "L2", "strength": 0.1}), samples)
        value, gradient = routines(case.graph).value_and_grad(*case[1:])
        loss, expected = torch_reference.value_and_grad(*case)
        assert value == pytest.approx(loss, rel=1e-13)
        assert relative_error(flat(gradient), flat(expected)) <= 1e-13


@EVERY_NAMED
def test_a_named_graph_has_its_certificate(name):
    case = point(NAMED[name](), length=2)
    certificate = verify(case.graph, case.inputs, case.Y)
    assert certificate.agrees, certificate
    assert list(certificate.problem) == [case.graph.name]


def test_a_shared_parameter_has_the_sum_of_its_uses():
    shared = graphs.skip_with_shared_weights()
    apart = Graph(
        {"x0": 3},
        [c if c.state != "x3" else Constraint("x3", "dense_nobias", "u3", m=3, activation="tanh",
                                              W="w3") for c in shared.constraints],
    )  # fmt: skip
    case = point(shared)
    together = routines(shared).gradient(*case[1:])
    theta = {**case.theta, "w3": case.theta["w1"]}
    single = routines(apart).gradient(theta, case.inputs, case.Y)
    np.testing.assert_allclose(together["w1"], single["w1"] + single["w3"], rtol=1e-14)
    np.testing.assert_allclose(together["w2"], single["w2"], rtol=1e-14)


def test_a_state_that_feeds_several_constraints_has_the_sum_of_their_multipliers():
    graph = Graph(
        {"x0": 2},
        [
            Constraint("x1", "dense", "x0", m=3, activation="tanh"),
            Constraint("a", "scale_shift", "x1"),
            Constraint("c", "scale_shift", "x1"),
            Constraint("y", "add", ("a", "c")),
        ],
    )
    case, code = point(graph), routines(graph)
    states = code.forward(case.theta, case.inputs)
    lam = code.backward(case.theta, case.inputs, states, case.Y)
    g_a, g_c = case.theta["g_a"], case.theta["g_c"]
    np.testing.assert_allclose(lam["x1"], lam["a"] * g_a + lam["c"] * g_c, rtol=1e-14)


def test_the_decoder_of_a_tied_autoencoder_is_the_encoder_transposed():
    case = point(graphs.tied_autoencoder())
    states = routines(case.graph).forward(case.theta, case.inputs)
    expected = states["h"] @ case.theta["w"] + case.theta["b_y"]
    np.testing.assert_allclose(states["y"], expected, rtol=1e-14)


def test_one_module_for_sequences_of_every_length():
    code = routines(graphs.recurrent_network())
    for length in (1, 2, 7):
        case = point(code.problem, length=length)
        assert case.inputs["s"].shape == (3, length, 3)
        value, gradient = code.value_and_grad(*case[1:])
        loss, expected = torch_reference.value_and_grad(*case)
        assert value == pytest.approx(loss, rel=1e-13)
        assert relative_error(flat(gradient), flat(expected)) <= 1e-13
        v = {n: np.ones_like(a) for n, a in case.theta.items()}
        product = code.hessian_product(*case[1:], v)
        assert relative_error(
            flat(product), flat(torch_reference.hessian_product(*case, v))
        ) <= 1e-12  # fmt: skip
    assert code.source == generate(derive(graphs.recurrent_network(), order=2)).source


def test_a_chain_as_a_graph_gives_the_same_numbers():
    chain = Problem(
        3, [Dense(4, "tanh"), Dense(2)], "squared_error", {"name": "L2", "strength": 0.1}
    )
    graph = Graph(
        {"x0": 3},
        [Constraint("x1", "dense", "x0", m=4, activation="tanh"),
         Constraint("x2", "dense", "x1", m=2)],
        regularizer={"name": "L2", "strength": 0.1},
    )  # fmt: skip
    case = point(graph)
    theta = tuple((case.theta[f"W_{x}"], case.theta[f"b_{x}"]) for x in ("x1", "x2"))
    J, gradient = generate(derive(chain)).value_and_grad(theta, case.inputs["x0"], case.Y)
    value, found = routines(graph).value_and_grad(*case[1:])
    assert value == pytest.approx(J, rel=1e-14)
    for x, (dW, db) in zip(("x1", "x2"), gradient, strict=True):
        np.testing.assert_allclose(found[f"W_{x}"], dW, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found[f"b_{x}"], db, rtol=1e-12, atol=1e-15)


def test_several_inputs():
    graph = Graph(
        {"a": 2, "c": 3},
        [
            Constraint("u", "dense", "a", m=3, activation="tanh"),
            Constraint("v", "multiply", ("u", "c")),
            Constraint("w", "concatenate", ("v", "a")),
            Constraint("y", "affine", "w", m=1),
        ],
    )
    case = point(graph)
    value, gradient = routines(graph).value_and_grad(*case[1:])
    loss, expected = torch_reference.value_and_grad(*case)
    assert value == pytest.approx(loss, rel=1e-13)
    assert relative_error(flat(gradient), flat(expected)) <= 1e-13


def test_a_state_that_nothing_reads_has_multiplier_zero():
    graph = Graph(
        {"x0": 2},
        [Constraint("dead", "rms_norm", "x0"), Constraint("y", "affine", "x0", m=1)],
    )
    case, code = point(graph), routines(graph)
    states = code.forward(case.theta, case.inputs)
    lam = code.backward(case.theta, case.inputs, states, case.Y)
    assert not lam["dead"].any()
    assert not code.gradient(*case[1:])["g_dead"].any()
    certificate = verify(graph, case.inputs, case.Y)
    assert certificate.agrees, certificate


def test_a_graph_without_parameters():
    graph = Graph({"x0": 2}, [Constraint("y", "softmax", "x0")])
    case, code = point(graph), routines(graph)
    value, gradient = code.value_and_grad(*case[1:])
    assert gradient == {}
    assert value == pytest.approx(torch_reference.value_and_grad(*case)[0], rel=1e-14)


def test_the_output_may_be_any_state():
    constraints = [Constraint("h", "dense", "x0", m=2, activation="tanh"),
                   Constraint("y", "affine", "h", m=1)]  # fmt: skip
    graph = Graph({"x0": 3}, constraints, output="h")
    case = point(graph)
    gradient = routines(graph).gradient(*case[1:])
    assert gradient["W_h"].any()
    assert not gradient["W_y"].any()


def test_an_optimizer_trains_a_graph():
    case = point(graphs.tied_autoencoder(regularizer={"name": "L2", "strength": 0.01}), samples=6)
    code = routines(case.graph)
    result = scipy.optimize.minimize(
        code.fun, code.pack(case.theta), (case.inputs, case.inputs["x0"]), jac=True, method="BFGS"
    )
    assert result.fun < 0.9 * code.loss(case.theta, case.inputs, case.inputs["x0"])
    gradient = code.gradient(code.unpack(result.x), case.inputs, case.inputs["x0"])
    assert max(np.abs(a).max() for a in gradient.values()) < 1e-4


def test_pack_and_unpack_are_inverse():
    case = point(graphs.skip_with_shared_weights())
    code = routines(case.graph)
    back = code.unpack(code.pack(case.theta))
    assert code.pack(case.theta).shape == (case.graph.size,)
    assert {n: a.tolist() for n, a in back.items()} == {
        n: a.tolist() for n, a in case.theta.items()
    }


# -- refused by name -------------------------------------------------------------------------------

DENSE = ("x1", "dense", "x0")

REFUSED = {
    "an unknown layer": (lambda: Constraint("x1", "dens", "x0", m=2), "unknown layer 'dens'"),
    "an unknown setting": (lambda: Constraint(*DENSE, m=2, stride=2), "dense has no 'stride'"),
    "a size that is missing": (lambda: Graph({"x0": 2}, [Constraint(*DENSE)]), "say the size m"),
    "a width of zero": (lambda: Constraint(*DENSE, m=0), "at least 1"),
    "too few inputs": (lambda: Constraint("x2", "add", "x0"), "has 2 input"),
    "a state that is not there yet": (
        lambda: Graph({"x0": 2}, [Constraint("x1", "add", ("x0", "x2"))]), "'x2'"),
    "a name twice": (
        lambda: Graph({"x0": 2}, [Constraint(*DENSE, m=2), Constraint(*DENSE, m=2)]),
        "two arrays are called"),
    "a name that the code needs": (
        lambda: Graph({"x0": 2}, [Constraint("theta", "dense", "x0", m=2)]), "'theta'"),
    "a name that is code": (lambda: Constraint("x;y", "dense", "x0", m=2), "'x;y'"),
    "sizes that do not fit": (
        lambda: Graph({"x0": 2, "u0": 3}, [Constraint("y", "add", ("x0", "u0"))]), "size n"),
    "a shared parameter of another shape": (
        lambda: Graph({"x0": 2}, [Constraint("a", "affine", "x0", m=3, W="w"),
                                  Constraint("c", "affine", "a", m=3, W="w")]), "'w'"),
    "a window that does not fit": (
        lambda: Graph({"x0": (1, 3)}, [Constraint("y", "conv1d", "x0", O=1, R=5)]),
        "does not fit"),
    "axes that do not fit": (
        lambda: Graph({"x0": 3}, [Constraint("y", "conv1d", "x0", O=1, R=1)]), "axes"),
    "an output that is no state": (
        lambda: Graph({"x0": 2}, [Constraint(*DENSE, m=2)], output="x0"), "'x0'"),
    "cross-entropy without softmax": (
        lambda: Graph({"x0": 2}, [Constraint(*DENSE, m=2)], loss="cross_entropy"), "softmax"),
    "no constraint": (lambda: Graph({"x0": 2}, []), "at least one"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_declaration_that_cannot_be_meant_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(ProblemError, match=message):
        make()


def _bad(name):
    case = point(graphs.recurrent_network())
    theta, inputs, Y = dict(case.theta), dict(case.inputs), case.Y
    if name == "a parameter is missing":
        del theta["W_h"]
    elif name == "an unknown parameter":
        theta["W_q"] = np.zeros(2)
    elif name == "a wrong shape":
        theta["W_h"] = theta["W_h"].T
    elif name == "NaN":
        inputs["s"] = inputs["s"] * np.nan
    elif name == "no samples":
        inputs["s"], Y = inputs["s"][:0], Y[:0]
    elif name == "labels of another batch":
        Y = np.vstack([Y, Y])
    elif name == "inputs as an array":
        inputs = inputs["s"]
    elif name == "text":
        theta["W_h"] = "W"
    return case.graph, theta, inputs, Y


@pytest.mark.parametrize(
    "name",
    ["a parameter is missing", "an unknown parameter", "a wrong shape", "NaN", "no samples",
     "labels of another batch", "inputs as an array", "text"],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(name):
    graph, theta, inputs, Y = _bad(name)
    with pytest.raises(DataError):
        routines(graph).value_and_grad(theta, inputs, Y)


def test_tokens_are_whole_numbers_in_the_table():
    graph = Graph({"t": (3,)}, [Constraint("e", "embedding", "t", V=4, m=2)])
    case, code = point(graph), routines(graph)
    with pytest.raises(DataError, match="whole"):
        code.forward(case.theta, {"t": np.full((2, 3), 0.5)})
    for outside in (-1, 4):
        with pytest.raises(DataError, match=r"0\.\.3"):
            code.forward(case.theta, {"t": np.full((2, 3), outside)})
