"""Random networks: loss and gradient against PyTorch's automatic differentiation and the textbook.

Half of the networks are chains of dense layers (``problems.py``), half are graphs of constraints
(``graphs.py``). In the slow run each is another architecture; the fast run takes several points
(θ, X, Y) of each. The error of a
gradient is ‖g − g_ref‖₂ / ‖g_ref‖₂ over all its entries as one vector; that of a loss is
|J − J_ref| / |J_ref|. Everything is float64, weights are N(0, 1/fan-in), so that preactivations are
of about unit size. Two zero gradients (a dead ReLU, a softmax of one component) agree.

The claim is for such unsaturated networks: σ′ = 1 − x² and x (1 − x) cancel where |z| is large, so
that the *relative* error of a gradient that is itself almost zero grows there (1e-8 at tanh(10)).
"""

import itertools
import logging

import numpy as np
import pytest

from lagrangenet import derive, generate
from lagrangenet.verify.textbook import Textbook
from tests import graphs
from tests.problems import flat, random_point, random_problem, relative_error

torch_reference = pytest.importorskip("tests.torch_reference")

TOLERANCE = 1e-12
#: Of the fast run: architectures, and points (θ, X, Y) for each of them.
FEW_CHAINS, CHAIN_POINTS = 50, 5
FEW_GRAPHS, GRAPH_POINTS = 25, 10
#: Of the slow run, which has one point for each architecture: blocks, and architectures in each.
BLOCKS, SIZE = 10, 500


def chains(count):
    """``count`` different chains of dense layers, each with the generator for its data."""
    seen, seed = set(), 0
    while len(seen) < count:
        rng = np.random.default_rng(seed)
        problem = random_problem(rng)
        seed += 1
        if problem not in seen:
            seen.add(problem)
            yield problem, rng


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


def chain_errors(drawn, points):
    """Errors of loss and gradient of chains, against both oracles."""
    for problem, rng in drawn:
        code = generate(derive(problem))
        for _ in range(points):
            _, theta, X, Y = random_point(problem, rng)
            value, gradient = code.value_and_grad(theta, X, Y)
            for oracle in (by_textbook, by_torch):
                loss, expected = oracle(problem, theta, X, Y)
                errors = relative_error(value, loss), relative_error(flat(gradient), expected)
                yield *errors, f"{problem}, {oracle.__name__}"


def graph_errors(drawn, points):
    """Errors of loss and gradient of graphs against torch."""
    for graph, rng in drawn:
        code = generate(derive(graph))
        for _ in range(points):
            _, theta, inputs, Y = graphs.random_point(graph, rng)
            value, gradient = code.value_and_grad(theta, inputs, Y)
            loss, expected = torch_reference.value_and_grad(graph, theta, inputs, Y)
            assert {n: a.shape for n, a in gradient.items()} == {
                n: a.shape for n, a in expected.items()
            }, graph
            found, wanted = (flat([[g[n] for n in graph.parameters]]) for g in (gradient, expected))
            yield relative_error(value, loss), relative_error(found, wanted), str(graph)


def assert_small(errors, count):
    """The largest errors of loss and gradient, with the networks that they belong to."""
    listed = list(errors)
    assert len(listed) == count
    loss, gradient = max(listed), max(listed, key=lambda error: error[1])
    logging.getLogger(__name__).info("%d: J %.1e, gradient %.1e", count, loss[0], gradient[1])
    assert loss[0] <= TOLERANCE, loss
    assert gradient[1] <= TOLERANCE, gradient


def test_250_random_chains():
    errors = chain_errors(chains(FEW_CHAINS), CHAIN_POINTS)
    assert_small(errors, 2 * FEW_CHAINS * CHAIN_POINTS)


def test_250_random_graphs():
    errors = graph_errors(graphs.random_graphs(FEW_GRAPHS), GRAPH_POINTS)
    assert_small(errors, FEW_GRAPHS * GRAPH_POINTS)


def block_of(drawn, block):
    return itertools.islice(drawn, block * SIZE, (block + 1) * SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_5000_random_chains(block):
    drawn = block_of(chains(BLOCKS * SIZE), block)
    assert_small(chain_errors(drawn, 1), 2 * SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_5000_random_graphs(block):
    drawn = block_of(graphs.random_graphs(BLOCKS * SIZE), block)
    assert_small(graph_errors(drawn, 1), SIZE)


@pytest.mark.parametrize("entry", [0, -1])
def test_the_measure_sees_one_wrong_entry(entry):
    """A gradient wrong by one part in 10^10 in one entry of average size is not accepted."""
    problem, theta, X, Y = random_point(*next(chains(1)))
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
    assert sum(len(set(n)) < len(n) for n in names) > 20
