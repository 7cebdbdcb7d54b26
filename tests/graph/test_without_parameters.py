"""A graph whose layers have no parameters: the passes are checked, there is nothing to train."""

import pytest

import lagrangenet as ln
from lagrangenet.optimize import minimize

SQUARE = ln.Layer("square", "y[i,p] = x[i,p]**2", "x[M,n] y[M,n]", "")
GRAPH = ln.Problem.graph(inputs={"x0": 3}, constraints=[ln.Constraint("x1", SQUARE, "x0")])
DATA = {"x0": [[0.0, 1, 2], [1, 0, 1]]}, [[1.0, 0, 1], [0, 1, 0]]


def test_what_has_no_parameters_is_verified_without_them():
    certificate = ln.verify(GRAPH, *DATA)
    assert certificate.verdict == "agree"
    reasons = {c.note for c in certificate.checks if c.verdict == "inapplicable"}
    assert reasons == {"the graph has no parameters"}
    assert sum(c.verdict == "agree" for c in certificate.checks) == 7


def test_it_has_an_empty_vector_of_parameters():
    routines = ln.generate(ln.derive(GRAPH), "float32")
    flat = routines.pack({})
    assert (flat.shape, flat.dtype) == ((0,), "float32")
    assert routines.unpack(flat) == {}


def test_there_is_nothing_to_minimize_over():
    with pytest.raises(ln.ProblemError, match="no parameters: there is nothing to minimize over"):
        minimize(GRAPH, *DATA)
