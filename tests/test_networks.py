"""Random networks: loss and gradient against PyTorch's automatic differentiation and the textbook.

The error of a gradient is ‖g − g_ref‖₂ / ‖g_ref‖₂ over all its entries, W^k and b^k of all layers as
one vector; that of a loss is |J − J_ref| / |J_ref|. Everything is float64, weights are
N(0, 1/fan-in), so that preactivations are of about unit size. Two zero gradients (a dead ReLU, a
softmax of one component) agree.

The claim is for such unsaturated networks: σ′ = 1 − x² and x (1 − x) cancel where |z| is large, so
that the *relative* error of a gradient that is itself almost zero grows there (1e-8 at tanh(10)).
"""

import numpy as np
import pytest

from lagrangenet.verify.textbook import Textbook
from tests.problems import flat, random_point, random_problem, relative_error, routines

TOLERANCE = 1e-12
#: Points (θ, X, Y) for each architecture, so that code is generated once for several networks.
POINTS = 4


def networks(count):
    """``count`` random networks, POINTS to an architecture."""
    for seed in range(count // POINTS):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng)
        for _ in range(POINTS):
            yield random_point(problem, rng)


def by_textbook(problem, theta, X, Y):
    book = Textbook(problem)
    return book.loss(theta, X, Y), flat(book.gradient(theta, X, Y))


def by_torch(problem, theta, X, Y):
    """The network written with torch's own functions; gradients by its automatic differentiation."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    parameters = [torch.tensor(a, requires_grad=True) for layer in theta for a in layer]
    activations = {
        "identity": lambda z: z,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": functional.leaky_relu,
        # torch's own softplus is linear beyond 20, an error of 2e-9
        "softplus": lambda z: torch.logaddexp(torch.zeros_like(z), z),
        "softmax": lambda z: torch.softmax(z, dim=1),
    }
    x, y = torch.tensor(X), torch.tensor(Y)
    for layer, W, b in zip(problem.layers, parameters[::2], parameters[1::2], strict=True):
        z = functional.linear(x, W, b)
        values = [value for _, value in layer.activation.parameters]
        x = activations[layer.activation.name](z, *values)
    if problem.loss.name == "squared_error":
        total = 0.5 * functional.mse_loss(x, y, reduction="sum")
    elif problem.loss.name == "cross_entropy":
        total = functional.cross_entropy(z, y, reduction="sum")
    else:
        total = functional.binary_cross_entropy_with_logits(x, y, reduction="sum")
    J = total / len(X)
    if problem.regularizer is not None:
        J = J + problem.strength / 2 * sum((W**2).sum() for W in parameters[::2])
    J.backward()
    return J.item(), flat([[a.grad.numpy() for a in parameters]])


def worst(count, oracle):
    """The largest errors of loss and gradient over ``count`` networks."""
    errors = []
    for problem, theta, X, Y in networks(count):
        value, gradient = routines(problem).value_and_grad(theta, X, Y)
        loss, expected = oracle(problem, theta, X, Y)
        errors.append((relative_error(value, loss), relative_error(flat(gradient), expected)))
    assert len(errors) == count
    return np.max(errors, axis=0)


ORACLES = pytest.mark.parametrize("oracle", [by_textbook, by_torch], ids=["textbook", "torch"])


@ORACLES
def test_500_random_networks(oracle):
    loss, gradient = worst(500, oracle)
    assert loss <= TOLERANCE
    assert gradient <= TOLERANCE


@pytest.mark.slow
@ORACLES
def test_10000_random_networks(oracle):
    loss, gradient = worst(10_000, oracle)
    assert loss <= TOLERANCE
    assert gradient <= TOLERANCE


@pytest.mark.parametrize("entry", [0, -1])
def test_the_measure_sees_one_wrong_entry(entry):
    """A gradient wrong by one part in 10^10 in one entry of average size is not accepted."""
    problem, theta, X, Y = next(networks(POINTS))
    _, expected = by_textbook(problem, theta, X, Y)
    wrong = expected.copy()
    wrong[entry] += 1e-10 * np.linalg.norm(expected)
    assert relative_error(wrong, expected) > TOLERANCE
    wrong[entry] = np.nan
    assert relative_error(wrong, expected) == np.inf
