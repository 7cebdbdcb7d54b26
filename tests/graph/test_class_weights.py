"""Class weights of graphs: as those of chains, along the last axis of the output."""

from dataclasses import replace

import numpy as np
import pytest

import lagrangenet as ln
from lagrangenet import Constraint, Problem, ProblemError

WEIGHTS = (1.0, 2.0, 5.0)
LAYERS = [
    Constraint("x1", "dense", "x0", m=3, activation="tanh", W="W1", b="b1"),
    Constraint("c", "add", ("x1", "x0")),
    Constraint("y", "dense", "c", m=3, activation="softmax", W="W2", b="b2"),
]
RESIDUAL = Problem.graph(
    {"x0": 3}, LAYERS, loss="cross_entropy", regularizer="L2", class_weights=WEIGHTS
)
#: A label for every step of a sequence; the step's axis has any length.
STEPS = Problem.graph(
    {"x": ("T", 2)},
    [
        Constraint("h", "recurrent", "x", m=3, activation="tanh"),
        Constraint("y", "dense", "h", m=3),
    ],
    loss="squared_error",
    class_weights=WEIGHTS,
)


def data(*shape):
    rng = np.random.default_rng(5)
    return rng.normal(size=(6, *shape)), np.eye(3)[np.arange(6) % 3]


def test_they_round_trip_and_count():
    assert "class_weights = [1.0, 2.0, 5.0]" in RESIDUAL.to_toml()
    assert Problem.from_toml(RESIDUAL.to_toml()) == RESIDUAL
    assert Problem.graph({"x0": 3}, LAYERS, loss="cross_entropy", regularizer="L2") != RESIDUAL
    assert RESIDUAL.class_weights == WEIGHTS
    assert replace(RESIDUAL, name="other").class_weights == WEIGHTS


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, 2.0), "2 class weights for 3 outputs; give one for each output"),
        ((1.0, -2.0, 1.0), "class weight -2.0 has to be positive and finite"),
        (2.0, "class_weights is 2.0; expected one number for each output"),
    ],
)
def test_what_is_refused(weights, message):
    with pytest.raises(ProblemError, match=message):
        Problem.graph({"x0": 3}, LAYERS, loss="cross_entropy", class_weights=weights)


def test_a_loss_that_compares_two_classes_has_none():
    with pytest.raises(ProblemError, match="compares two classes"):
        Problem.graph({"x0": 3}, LAYERS[:2], loss="multiclass_hinge", class_weights=WEIGHTS)


def test_components_of_any_number_have_none():
    layers = [Constraint("y", "add", ("x", "u"))]
    with pytest.raises(ProblemError, match="last axis has any length"):
        Problem.graph({"x": "n", "u": "n"}, layers, class_weights=WEIGHTS)


def test_their_name_is_taken():
    with pytest.raises(ProblemError, match="'class_weights' is needed by the generated code"):
        Problem.graph({"class_weights": 3}, [Constraint("y", "dense", "class_weights", m=3)])


def test_against_torch():
    torch = pytest.importorskip("torch")
    X, Y = data(3)
    rng = np.random.default_rng(1)
    code = ln.generate(ln.derive(RESIDUAL))
    theta = {name: rng.normal(size=array.shape) for name, array in code.initial(rng).items()}
    value, gradient = code.value_and_grad(theta, {"x0": X}, Y)
    leaf = {name: torch.tensor(array, requires_grad=True) for name, array in theta.items()}
    hidden = torch.tanh(torch.tensor(X) @ leaf["W1"].T + leaf["b1"]) + torch.tensor(X)
    criterion = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS).double(), reduction="sum")
    total = criterion(hidden @ leaf["W2"].T + leaf["b2"], torch.tensor(Y.argmax(axis=1))) / len(X)
    total = total + 1e-3 / 2 * ((leaf["W1"] ** 2).sum() + (leaf["W2"] ** 2).sum())
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-14)
    for name, found in gradient.items():
        np.testing.assert_allclose(found, leaf[name].grad.numpy(), rtol=1e-12, atol=1e-15)


def test_single_precision_stays_single():
    X, Y = (array.astype(np.float32) for array in data(3))
    code = ln.generate(ln.derive(RESIDUAL, order=2), "float32")
    theta = code.initial(np.random.default_rng(0))
    _, gradient = code.value_and_grad(theta, {"x0": X}, Y)
    product = code.hessian_product(theta, {"x0": X}, Y, theta)
    found = [*gradient.values(), *product.values()]
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


@pytest.mark.parametrize("graph", [RESIDUAL, STEPS], ids=["residual", "steps"])
def test_the_certificate_agrees(graph):
    X, Y = data(3) if graph is RESIDUAL else data(4, 2)
    if graph is STEPS:
        Y = np.random.default_rng(2).normal(size=(6, 4, 3))
    name = graph.inputs[0][0]
    certificate = ln.verify(graph, {name: X}, Y)
    assert certificate.agrees, certificate


def test_they_change_the_objective():
    X, Y = data(3)
    plain = Problem.graph({"x0": 3}, LAYERS, loss="cross_entropy", regularizer="L2")
    weighted, other = (ln.generate(ln.derive(g)) for g in (RESIDUAL, plain))
    theta = weighted.initial(np.random.default_rng(0))
    values = [code.loss(theta, {"x0": X}, Y) for code in (weighted, other)]
    assert abs(values[0] - values[1]) > 0.1
