"""The textbook oracle against complex steps, central differences and PyTorch."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet.errors import DataError, DerivationError
from lagrangenet.functions import ACTIVATIONS, REGULARIZERS, Activation
from lagrangenet.functions import LOSSES as LOSS_ENTRIES
from lagrangenet.functions.base import Z, n, p, r, z
from lagrangenet.problem import Dense, Problem, chain
from lagrangenet.verify import unlisted
from lagrangenet.verify.differences import (
    central_difference_gradient,
    complex_step_gradient,
    flatten,
    kink_distance,
    observed_rate,
    taylor_remainders,
    unflatten,
)
from lagrangenet.verify.tables import ACTIVATION_RULES, LOGIT_RULES, LOSS_RULES, REGULARIZER_RULES
from lagrangenet.verify.textbook import Textbook

RIDGE = {"name": "L2", "strength": 0.1}
SMOOTH = ["identity", "sigmoid", "tanh", "softplus", "softmax", "silu", "gelu", "gelu_tanh", "sin",
          "log_softmax"]  # fmt: skip
KINKED = ["relu", {"name": "leaky_relu", "slope": 0.2}, {"name": "elu", "alpha": 0.5}, "hard_tanh"]
LOSSES = ["squared_error", "cross_entropy", "binary_cross_entropy"]


def case(activation, loss="squared_error", seed=0, samples=5, regularizer=RIDGE):
    problem = chain([3, 4, 3, 2], activation, loss, regularizer=regularizer)
    rng = np.random.default_rng(seed)
    theta = tuple((rng.normal(size=W), rng.normal(size=b)) for W, b in problem.shapes)
    X = rng.normal(size=(samples, 3))
    Y = rng.dirichlet(np.ones(2), size=samples)
    return problem, theta, X, Y


def relative(found, expected):
    found, expected = flatten(found), flatten(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", SMOOTH)
def test_gradient_against_complex_step(activation, loss):
    problem, theta, X, Y = case(activation, loss)
    book = Textbook(problem)
    exact = complex_step_gradient(lambda t: book.loss(t, X, Y), theta)
    assert relative(book.gradient(theta, X, Y), exact) < 1e-14


@pytest.mark.parametrize("activation", KINKED)
def test_gradient_against_central_differences_away_from_kinks(activation):
    for seed in range(50):
        problem, theta, X, Y = case(activation, seed=seed, samples=3)
        if kink_distance(problem, theta, X) > 1e-2:
            break
    book = Textbook(problem)
    near = central_difference_gradient(lambda t: book.loss(t, X, Y), theta)
    assert relative(book.gradient(theta, X, Y), near) < 1e-8


def test_taylor_remainders_fall_with_the_square_of_the_step():
    problem, theta, X, Y = case("tanh")
    book, steps = Textbook(problem), [2.0**-k for k in range(4, 10)]
    gradient = book.gradient(theta, X, Y)

    def rate(slope):
        return observed_rate(
            steps, taylor_remainders(lambda t: book.loss(t, X, Y), slope, theta, theta, steps)
        )

    assert rate(gradient) == pytest.approx(2.0, abs=0.1)
    assert rate(unflatten(1.1 * flatten(gradient), theta)) == pytest.approx(1.0, abs=0.2)


def test_deltas_are_derivatives_by_the_states():
    """Δ^1 by complex steps of the loss as a function of x^1, through the layers above."""
    problem, theta, X, Y = case("sigmoid", "cross_entropy", regularizer=None)
    above = Textbook(Problem(4, problem.layers[1:], problem.loss))
    hidden = Textbook(problem).forward(theta, X)[0][1]
    delta = Textbook(problem).deltas(theta, X, Y)[0]
    for i, q in np.ndindex(delta.shape):
        moved = hidden.astype(complex)
        moved[i, q] += 1e-30j
        slope = np.imag(above.loss(theta[1:], moved, Y)) / 1e-30
        assert len(X) * slope == pytest.approx(delta[i, q], rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*SMOOTH, *KINKED])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_saturated_inputs_stay_finite(activation, loss, scale):
    problem, theta, X, Y = case(activation, loss)
    Y = np.eye(2)[np.arange(len(X)) % 2]
    theta = ((scale * theta[0][0], theta[0][1]), *theta[1:-1], (theta[-1][0], scale * theta[-1][1]))
    book = Textbook(problem)
    assert np.isfinite(book.loss(theta, X, Y))
    assert np.isfinite(flatten(book.gradient(theta, X, Y))).all()


def test_softmax_that_underflows_has_the_gradient_of_its_logits():
    problem = chain([1, 2], loss="cross_entropy")
    theta = ((np.array([[1e4], [-1e4]]), np.zeros(2)),)
    X, Y = np.array([[1.0]]), np.array([[0.0, 1.0]])
    ((dW, db),) = Textbook(problem).gradient(theta, X, Y)
    np.testing.assert_array_equal(db, [1.0, -1.0])
    np.testing.assert_array_equal(dW, [[1.0], [-1.0]])
    assert Textbook(problem).loss(theta, X, Y) == 2e4


@pytest.mark.parametrize(
    "name", sorted(n for n in ACTIVATION_RULES if ACTIVATIONS[n].differentiable)
)
def test_tables_agree_with_the_declared_expressions(name):
    choice = ACTIVATIONS.choose(name)
    value, slope = unlisted.activation(choice)
    points = np.array([[-3.0, 0.25, 0.75], [2.0, -0.5, 0.125]])
    rule, named = ACTIVATION_RULES[name], dict(choice.parameters)
    np.testing.assert_allclose(rule.value(points, **named), value(points), rtol=2e-15)
    np.testing.assert_allclose(rule.slope(points, **named), slope(points), rtol=1e-14)


@pytest.mark.parametrize("name", sorted(LOSS_RULES))
def test_loss_tables_agree_with_the_declared_expressions(name):
    choice = LOSS_ENTRIES.choose(name)
    named = dict(choice.parameters)
    value, slope = unlisted.loss(choice)
    y, x = np.array([[0.0, 1.0, 0.25, -1.0]]), np.array([[0.5, 0.125, 2.0, 1.5]])
    rule = LOSS_RULES[name]
    np.testing.assert_allclose(rule.value(y, x, **named), value(y, x), rtol=2e-15)
    if LOSS_ENTRIES[name].differentiable:
        np.testing.assert_allclose(rule.slope(y, x, **named), slope(y, x), rtol=2e-15)
    else:
        with pytest.raises(DerivationError, match="no derivative"):
            rule.slope(y, x)


@pytest.mark.parametrize("name", sorted(REGULARIZER_RULES))
def test_regularizer_tables_agree_with_the_declared_expressions(name):
    choice = REGULARIZERS.choose(name)
    named = {key: number for key, number in choice.parameters if key != "strength"}
    value, slope = unlisted.regularizer(choice)
    w = np.array([[-1.5, 0.25, 3.0]])
    np.testing.assert_allclose(REGULARIZER_RULES[name].value(w, **named), value(w), rtol=2e-15)
    np.testing.assert_allclose(REGULARIZER_RULES[name].slope(w, **named), slope(w), rtol=2e-15)


@pytest.mark.parametrize("pair", sorted(LOGIT_RULES))
def test_rules_on_logits_are_the_loss_of_the_output(pair):
    """Their value by the other rules, their slope by a complex step."""
    output, loss = pair
    z = np.array([[0.5, -2.0, 1.25], [3.0, 0.25, -0.75]])
    y = np.array([[0.0, 1.0, 0.0], [0.25, 0.5, 0.25]])
    c = np.array([1.0, 2.0, 5.0])
    rule = LOGIT_RULES[pair]
    expected = c * LOSS_RULES[loss].value(y, ACTIVATION_RULES[output].value(z))
    np.testing.assert_allclose(rule.value(c, y, z), expected, rtol=1e-14)
    for column in range(3):
        moved = z.astype(complex)
        moved[:, column] += 1e-30j
        slope = rule.value(c, y, moved).sum(axis=1).imag / 1e-30
        np.testing.assert_allclose(rule.slope(c, y, z)[:, column], slope, rtol=1e-13, atol=1e-16)


def test_class_weights_and_penalized_biases():
    """The weights multiply each component, and Ω counts the biases."""
    problem, theta, X, Y = case("tanh", "cross_entropy", regularizer=None)
    ridge = {**RIDGE, "biases": True}
    weighted = chain([3, 4, 3, 2], "tanh", "cross_entropy", None, ridge, class_weights=(1, 3))
    book, plain = Textbook(weighted), Textbook(problem)
    x = plain.forward(theta, X)[-1][1]
    expected = -(np.array([1, 3]) * Y * np.log(x)).sum() / len(X)
    expected += 0.05 * sum((W**2).sum() + (b**2).sum() for W, b in theta)
    assert book.loss(theta, X, Y) == pytest.approx(expected, rel=1e-14)
    exact = complex_step_gradient(lambda t: book.loss(t, X, Y), theta)
    assert relative(book.gradient(theta, X, Y), exact) < 1e-14


@pytest.fixture
def newcomers(monkeypatch):
    """Two entries that no table knows: one componentwise, one that couples components."""
    entries = dict(ACTIVATIONS._entries)
    monkeypatch.setattr(ACTIVATIONS, "_entries", entries)
    ACTIVATIONS.add(Activation("swish", z / (1 + sp.exp(-z)), "z sigmoid(z)"))
    squares = sp.Sum(Z[r] ** 2, (r, 1, n))
    ACTIVATIONS.add(Activation("ball", Z[p] / sp.sqrt(1 + squares), "z / sqrt(1 + |z|^2)"))
    absolute = sp.Piecewise((z, z > 0), (-z, True))
    ACTIVATIONS.add(Activation("absolute", absolute, "|z|", kinks=(sp.S.Zero,), subgradient="-1"))


@pytest.mark.usefixtures("newcomers")
@pytest.mark.parametrize("activation", ["swish", "ball"])
def test_unlisted_entries_work_from_their_declaration(activation):
    problem = Problem(2, [Dense(2, activation), Dense(1)], "squared_error")
    rng = np.random.default_rng(3)
    theta = tuple((rng.normal(size=W), rng.normal(size=b)) for W, b in problem.shapes)
    X, Y = rng.normal(size=(2, 2)), rng.normal(size=(2, 1))
    book = Textbook(problem)
    exact = complex_step_gradient(lambda t: book.loss(t, X, Y), theta)
    assert relative(book.gradient(theta, X, Y), exact) < 1e-14


@pytest.mark.usefixtures("newcomers")
def test_no_derivative_at_the_kink_of_an_unlisted_entry():
    value, slope = unlisted.activation(ACTIVATIONS.choose("absolute"))
    np.testing.assert_array_equal(value(np.array([[-2.0, 0.0]])), [[2.0, 0.0]])
    np.testing.assert_allclose(slope(np.array([[-2.0, 0.5]])), [[-1.0, 1.0]])
    with pytest.raises(DataError, match="kink"):
        slope(np.array([[0.0]]))


def test_kink_distance():
    problem = chain([1, 2, 1], "relu")
    theta = ((np.array([[1.0], [2.0]]), np.array([0.5, 0.0])), (np.ones((1, 2)), np.zeros(1)))
    assert kink_distance(problem, theta, np.array([[1.0], [-0.125]])) == 0.25
    assert kink_distance(chain([1, 2, 1]), theta, np.array([[0.0]])) == np.inf


def test_kink_distance_of_a_loss_that_compares_outputs():
    """Class 2 is 0.25 from the margin 2 − 1 of the labelled class; the labelled one is no kink."""
    problem = chain([1, 3], loss="multiclass_hinge")
    theta = ((np.zeros((3, 1)), np.array([2.0, 1.25, -3.0])),)
    assert kink_distance(problem, theta, np.zeros((1, 1)), np.eye(3)[:1]) == 0.25


@pytest.mark.parametrize(("biases", "expected"), [(False, 0.5), (True, 0.125)])
def test_kink_distance_of_a_regularizer(biases, expected):
    problem = chain([1, 2], regularizer=REGULARIZERS["L1"](0.1, biases=biases))
    theta = ((np.array([[-0.5], [2.0]]), np.array([0.125, 1.0])),)
    assert kink_distance(problem, theta, np.zeros((1, 1))) == expected


def test_shapes_that_do_not_fit_are_refused():
    problem, theta, X, Y = case("tanh")
    book = Textbook(problem)
    with pytest.raises(DataError, match="X has shape"):
        book.forward(theta, X[:, :2])
    with pytest.raises(DataError, match="Y has shape"):
        book.loss(theta, X, Y[:, :1])
    with pytest.raises(DataError, match="theta has shapes"):
        book.forward(theta[:2], X)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*SMOOTH[1:], *KINKED])
def test_gradient_against_torch(activation, loss):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    functions = {
        "identity": lambda t: t,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": lambda t: functional.leaky_relu(t, 0.2),
        "softplus": lambda t: functional.softplus(t, threshold=1e6),
        "softmax": lambda t: torch.softmax(t, dim=1),
        "silu": functional.silu,
        "gelu": functional.gelu,
        "gelu_tanh": lambda t: functional.gelu(t, approximate="tanh"),
        "sin": torch.sin,
        "log_softmax": lambda t: torch.log_softmax(t, dim=1),
        "elu": lambda t: functional.elu(t, 0.5),
        "hard_tanh": functional.hardtanh,
    }
    losses = {
        "squared_error": lambda y, x: 0.5 * ((x - y) ** 2).sum(),
        "cross_entropy": lambda y, x: -(y * torch.log(x)).sum(),
        "binary_cross_entropy": lambda y, x: functional.binary_cross_entropy_with_logits(
            x, y, reduction="sum"
        ),
    }
    problem, theta, X, Y = case(activation, loss)
    leaves = [[torch.tensor(part, requires_grad=True) for part in pair] for pair in theta]
    x = torch.tensor(X)
    for layer, (W, b) in zip(problem.layers, leaves, strict=True):
        x = functions[layer.activation.name](x @ W.T + b)
    total = losses[loss](torch.tensor(Y), x) / len(X)
    total = total + 0.05 * sum((W**2).sum() for W, _ in leaves)
    total.backward()
    expected = tuple((W.grad.numpy(), b.grad.numpy()) for W, b in leaves)
    book = Textbook(problem)
    assert book.loss(theta, X, Y) == pytest.approx(total.item(), rel=1e-13)
    assert relative(book.gradient(theta, X, Y), expected) < 1e-12
