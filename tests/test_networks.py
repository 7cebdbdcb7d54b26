"""Random networks: loss and gradient against PyTorch's automatic differentiation and the textbook.

Half of the networks are chains of dense layers (``problems.py``), half are graphs of constraints
(``graphs.py``); each is another architecture, with parameters and data of its own. The error of a
gradient is ‖g − g_ref‖₂ / ‖g_ref‖₂ over all its entries as one vector; that of a loss is
|J − J_ref| / |J_ref|. Everything is float64, weights are N(0, 1/fan-in), so that preactivations are
of about unit size. Two zero gradients (a dead ReLU, a softmax of one component) agree.

The claim is for such unsaturated networks: σ′ = 1 − x² and x (1 − x) cancel where |z| is large, so
that the *relative* error of a gradient that is itself almost zero grows there (1e-8 at tanh(10)).
"""

import logging

import numpy as np
import pytest

from lagrangenet import derive, generate
from lagrangenet.verify.textbook import Textbook
from tests import graphs
from tests.problems import flat, random_point, random_problem, relative_error

torch_reference = pytest.importorskip("tests.torch_reference")

TOLERANCE = 1e-12


def chains(count):
    """``count`` different chains of dense layers, each with parameters and data."""
    seen, seed = set(), 0
    while len(seen) < count:
        rng = np.random.default_rng(seed)
        problem = random_problem(rng)
        seed += 1
        if problem not in seen:
            seen.add(problem)
            yield random_point(problem, rng)


def by_textbook(problem, theta, X, Y):
    book = Textbook(problem)
    return book.loss(theta, X, Y), flat(book.gradient(theta, X, Y))


def by_torch(problem, theta, X, Y):
    """The network written with torch's own functions; gradients by its automatic differentiation."""
    torch = torch_reference.torch
    parameters = [torch.tensor(a, requires_grad=True) for layer in theta for a in layer]
    x, y = torch.tensor(X), torch.tensor(Y)
    for layer, W, b in zip(problem.layers, parameters[::2], parameters[1::2], strict=True):
        z = torch.nn.functional.linear(x, W, b)
        x = torch_reference.activation(layer.activation)(z)
    logits = z if problem.loss.name == "cross_entropy" else None
    J = torch_reference.loss(problem.loss, x, y, logits)
    J = J + torch_reference.penalty(problem.regularizer, parameters)
    J.backward()
    return J.item(), flat([[a.grad.numpy() for a in parameters]])


def chain_errors(count, oracle):
    """Errors of loss and gradient of ``count`` chains."""
    for problem, theta, X, Y in chains(count):
        value, gradient = generate(derive(problem)).value_and_grad(theta, X, Y)
        loss, expected = oracle(problem, theta, X, Y)
        yield relative_error(value, loss), relative_error(flat(gradient), expected), str(problem)


def graph_errors(count):
    """Errors of loss and gradient of ``count`` graphs."""
    for graph, rng in graphs.random_graphs(count):
        _, theta, inputs, Y = graphs.random_point(graph, rng)
        value, gradient = generate(derive(graph)).value_and_grad(theta, inputs, Y)
        loss, expected = torch_reference.value_and_grad(graph, theta, inputs, Y)
        both = ([gradient[name] for name in graph.parameters],
                [expected[name] for name in graph.parameters])  # fmt: skip
        assert [a.shape for a in both[0]] == [a.shape for a in both[1]], graph
        yield relative_error(value, loss), relative_error(*(flat([a]) for a in both)), str(graph)


def assert_small(errors, count):
    """The largest errors of loss and gradient, with the networks that they belong to."""
    listed = list(errors)
    assert len(listed) == count
    loss, gradient = max(listed), max(listed, key=lambda error: error[1])
    logging.getLogger(__name__).info(
        "%d networks: J %.1e, gradient %.1e", count, loss[0], gradient[1]
    )
    assert loss[0] <= TOLERANCE, loss
    assert gradient[1] <= TOLERANCE, gradient


ORACLES = pytest.mark.parametrize("oracle", [by_textbook, by_torch], ids=["textbook", "torch"])


@ORACLES
def test_250_random_chains(oracle):
    assert_small(chain_errors(250, oracle), 250)


def test_250_random_graphs():
    assert_small(graph_errors(250), 250)


@pytest.mark.slow
@ORACLES
def test_5000_random_chains(oracle):
    assert_small(chain_errors(5_000, oracle), 5_000)


@pytest.mark.slow
def test_5000_random_graphs():
    assert_small(graph_errors(5_000), 5_000)


@pytest.mark.parametrize("entry", [0, -1])
def test_the_measure_sees_one_wrong_entry(entry):
    """A gradient wrong by one part in 10^10 in one entry of average size is not accepted."""
    problem, theta, X, Y = next(chains(1))
    _, expected = by_textbook(problem, theta, X, Y)
    wrong = expected.copy()
    wrong[entry] += 1e-10 * np.linalg.norm(expected)
    assert relative_error(wrong, expected) > TOLERANCE
    wrong[entry] = np.nan
    assert relative_error(wrong, expected) == np.inf


def test_the_graphs_are_of_every_kind():
    """Depths 1 to 6, several inputs, shared parameters, states that feed several constraints."""
    drawn = [graph for graph, _ in graphs.random_graphs(250)]
    assert {len(graph.constraints) for graph in drawn} == set(range(1, graphs.DEEPEST + 1))
    layers = {c.layer for graph in drawn for c in graph.constraints}
    assert layers == set(torch_reference.LAYERS)
    sources = [[s for c in graph.constraints for s in c.of] for graph in drawn]
    names = [[n for c in graph.constraints for _, n in c.names] for graph in drawn]
    assert sum(len(graph.inputs) > 1 for graph in drawn) > 10
    assert sum(len(set(s)) < len(s) for s in sources) > 50
    assert sum(len(set(n)) < len(n) for n in names) > 30
