"""Every activation with every loss and every regularizer that is defined, against the oracles.

The fast run compares gradients at one point, regularizers taken in turn. The slow run makes every
combination, hidden and at the output, and passes each through all checks but SciPy's solutions.
"""

import itertools

import numpy as np
import pytest
import sympy as sp

from lagrangenet import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    Constraint,
    Dense,
    DerivationError,
    Problem,
    chain,
    derive,
    generate,
    verify,
)
from lagrangenet.functions import Loss
from lagrangenet.functions import base as f
from lagrangenet.verify.check import Check
from lagrangenet.verify.textbook import Textbook
from tests.problems import TRAINABLE, TRAINED, case, fits, flat, relative_error

REGULARIZED = [
    None,
    REGULARIZERS["L2"](0.05),
    REGULARIZERS["L2"](0.05, biases=True),
    REGULARIZERS["L1"](0.02),
    REGULARIZERS["L1"](0.02, biases=True),
    REGULARIZERS["elastic_net"](l1=0.01, l2=0.03),
    REGULARIZERS["elastic_net"](l1=0.01, l2=0.03, strength=0.5, biases=True),
]
WEIGHTS = [(), (1.0, 3.0)]
PAIRS = list(itertools.product(TRAINED, TRAINABLE))


def hidden(activation, loss, regularizer, weights=()):
    return chain([2, 3, 2], activation, loss, regularizer=regularizer, class_weights=weights)


def output(activation, loss, regularizer, weights=()):
    layers = [Dense(3, "tanh"), Dense(2, activation)]
    return Problem(2, layers, loss, regularizer, class_weights=weights)


def assert_gradient(problem, seed):
    _, theta, X, Y = case(problem, samples=4, seed=seed)
    value, gradient = generate(derive(problem)).value_and_grad(theta, X, Y)
    book = Textbook(problem)
    assert value == pytest.approx(float(book.loss(theta, X, Y)), rel=1e-13)
    assert relative_error(flat(gradient), flat(book.gradient(theta, X, Y))) <= 1e-13


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_gradients_of_every_activation_with_every_loss(activation, loss):
    turn = PAIRS.index((activation, loss))
    regularizer = REGULARIZED[turn % len(REGULARIZED)]
    weights = () if LOSSES[loss].coupled else WEIGHTS[turn % 2]
    if fits(activation, loss):
        assert_gradient(output(activation, loss, regularizer, weights), turn)
    else:
        assert_gradient(hidden(activation, loss, regularizer, weights), turn)


@pytest.mark.parametrize("loss", TRAINABLE)
@pytest.mark.parametrize("regularizer", REGULARIZED, ids=str)
def test_gradients_of_every_loss_with_every_regularizer(loss, regularizer):
    assert_gradient(hidden("tanh", loss, regularizer), 0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_types_are_kept_and_saturation_is_finite(activation, dtype):
    """All routines at |z| = 1e4, with floating-point errors raised."""
    code = generate(
        derive(chain([2, 3, 2], activation, regularizer=REGULARIZERS["L1"](0.1))), dtype
    )
    rng = np.random.default_rng(3)
    (W, _), second = code.initial(rng)
    theta = ((W, np.array([1e4, -1e4, 0.0], dtype)), second)
    X, Y = rng.normal(size=(5, 2)).astype(dtype), rng.normal(size=(5, 2)).astype(dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        leaves = [*flat_list(code.forward(theta, X))]
        if ACTIVATIONS[activation].differentiable:
            leaves += flat_list(code.gradient(theta, X, Y))
        assert np.isfinite(code.loss(theta, X, Y))
    assert {leaf.dtype for leaf in leaves} == {np.dtype(dtype)}
    assert all(np.isfinite(leaf).all() for leaf in leaves)


def flat_list(layers):
    return [leaf for layer in layers for leaf in layer]


@pytest.mark.parametrize(("name", "kind"), [("threshold", 0), ("sign", 0), ("zero_one", 1)])
def test_functions_with_jumps_are_evaluated_and_not_differentiated(name, kind):
    problem = hidden("tanh", name, None) if kind else hidden(name, "squared_error", None)
    code = generate(derive(problem, order=2))
    _, theta, X, Y = case(problem)
    assert code.loss(theta, X, Y) == pytest.approx(Textbook(problem).loss(theta, X, Y), rel=1e-14)
    states = code.forward(theta, X)
    place = f"loss {name!r}" if kind else f"layer 1: activation {name!r}"
    for call in (
        lambda: code.gradient(theta, X, Y),
        lambda: code.value_and_grad(theta, X, Y),
        lambda: code.backward(theta, states, Y),
        lambda: code.residuals(theta, X, Y, states, states),
        lambda: code.hessian_product(theta, X, Y, theta),
        lambda: code.gauss_newton_product(theta, X, Y, theta),
    ):
        with pytest.raises(DerivationError, match=f"{place} jumps and has no derivative.*; use "):
            call()
    certificate = verify(problem, X, Y)
    assert certificate.verdict == "agree"
    assert sum(check.verdict == "agree" for check in certificate.checks) >= 2


def test_class_weights_against_torch():
    torch = pytest.importorskip("torch")
    problem = chain([2, 4, 3], "tanh", "cross_entropy", class_weights=(1.0, 2.0, 5.0))
    _, theta, X, _ = case(problem, samples=7)
    classes = np.arange(7) % 3
    leaves = [[torch.tensor(part, requires_grad=True) for part in pair] for pair in theta]
    (W1, b1), (W2, b2) = leaves
    logits = torch.tanh(torch.tensor(X) @ W1.T + b1) @ W2.T + b2
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    criterion = torch.nn.CrossEntropyLoss(weight=weights, reduction="sum")
    total = criterion(logits, torch.tensor(classes)) / 7
    total.backward()
    value, gradient = generate(derive(problem)).value_and_grad(theta, X, np.eye(3)[classes])
    assert value == pytest.approx(total.item(), rel=1e-14)
    expected = [[part.grad.numpy() for part in pair] for pair in leaves]
    assert relative_error(flat(gradient), flat(expected)) <= 1e-14


@pytest.mark.parametrize("kind", ["chain", "graph"])
def test_multiclass_hinge_is_the_sum_over_the_other_classes(kind):
    """Against torch, and against Σ_{j≠y} max(0, 1 + s_j − s_y) spelled out."""
    torch = pytest.importorskip("torch")
    problem = chain([2, 4], loss="multiclass_hinge")
    _, ((W, b),), X, _ = case(problem, samples=9, seed=4)
    classes = np.arange(9) % 4
    Y = np.eye(4)[classes]
    if kind == "chain":
        value, ((dW, db),) = generate(derive(problem)).value_and_grad(((W, b),), X, Y)
    else:
        dense = Constraint("s", "affine", "x", m=4, W="W", b="b")
        code = generate(derive(Problem.graph({"x": 2}, [dense], loss="multiclass_hinge")))
        value, gradient = code.value_and_grad({"W": W, "b": b}, {"x": X}, Y)
        dW, db = gradient["W"], gradient["b"]
    scores = X @ W.T + b
    behind = np.maximum(0, 1 + scores - scores[np.arange(9), classes][:, None])
    others = behind[np.arange(4) != classes[:, None]]
    assert 0 < (others == 0).sum() < others.size
    assert value == pytest.approx(others.sum() / 9, rel=1e-14)
    leaves = [torch.tensor(part, requires_grad=True) for part in (W, b)]
    outputs = torch.tensor(X) @ leaves[0].T + leaves[1]
    total = 4 * torch.nn.functional.multi_margin_loss(outputs, torch.tensor(classes))
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-14)
    assert relative_error(dW, leaves[0].grad.numpy()) <= 1e-14
    assert relative_error(db, leaves[1].grad.numpy()) <= 1e-14


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_multiclass_hinge_at_its_kink_and_in_its_type(dtype):
    """Class 1 stands at the margin, where its share is 0; class 2 within, class 3 beyond."""
    code = generate(derive(chain([1, 4], loss="multiclass_hinge")), dtype)
    W, b = np.zeros((4, 1), dtype), np.array([2, 1, 1.5, 0], dtype)
    X, Y = np.zeros((1, 1), dtype), np.eye(4, dtype=dtype)[:1]
    value, ((_, db),) = code.value_and_grad(((W, b),), X, Y)
    assert value == 0.5
    assert db.dtype == np.dtype(dtype)
    assert db.tolist() == [-1, 0, 1, 0]


def test_a_smooth_loss_that_compares_outputs_has_its_second_order():
    """Σ_p log(1 + exp(x_p − x_label)): every second derivative by x and t is at work."""
    name = "logistic_ranking"
    LOSSES.add(Loss(name, sp.log(1 + sp.exp(f.x - f.t)), "for this test", labels="distribution"))
    try:
        problem = chain([2, 3], loss=name)
        code = generate(derive(problem, order=2))
        _, theta, X, Y = case(problem, seed=3)
        rng = np.random.default_rng(0)
        v = [tuple(rng.normal(size=part.shape) for part in pair) for pair in theta]

        def moved(step):
            return tuple(
                tuple(part + step * d for part, d in zip(pair, along, strict=True))
                for pair, along in zip(theta, v, strict=True)
            )

        ends = [flat(code.gradient(moved(step), X, Y)) for step in (1e-5, -1e-5)]
        expected = (ends[0] - ends[1]) / 2e-5
        assert relative_error(flat(code.hessian_product(theta, X, Y, v)), expected) <= 1e-9
        # the outputs are affine in θ, so that the Gauss-Newton matrix is the Hessian
        assert relative_error(flat(code.gauss_newton_product(theta, X, Y, v)), expected) <= 1e-9
        assert_gradient(problem, 3)
    finally:
        LOSSES.remove(name)


def every_combination():
    for regularizer, weights in itertools.product(REGULARIZED, WEIGHTS):
        for activation, loss in PAIRS:
            if weights and LOSSES[loss].coupled:
                continue
            yield hidden(activation, loss, regularizer, weights)
            if fits(activation, loss):
                yield output(activation, loss, regularizer, weights)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(28))
def test_every_combination_passes_the_checks(part):
    """First and second order; SciPy's solutions are for problems with a minimizer."""
    checks = [check for check in Check.registered if "solutions" not in check.name]
    for problem in itertools.islice(every_combination(), part, None, 28):
        _, _, X, Y = case(problem, samples=6, seed=part)
        certificate = verify(problem, X, Y, only=checks)
        assert certificate.verdict == "agree", f"{problem}\n{certificate}"
