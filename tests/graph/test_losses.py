"""Every loss on a graph, against the same network as a chain."""

import numpy as np
import pytest

from lagrangenet import LOSSES, Constraint, Problem, chain, derive, generate
from tests.problems import TRAINABLE, case


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", TRAINABLE)
def test_a_graph_of_one_dense_layer_is_the_chain(loss, dtype):
    output = LOSSES[loss].default_output
    problem = chain([3, 4], loss=loss)
    _, ((W, b),), X, Y = case(problem, samples=6, seed=8)
    W, b, X, Y = (array.astype(dtype) for array in (W, b, X, Y))
    layer = Constraint("y", "dense", "x", m=4, activation=output, W="W", b="b")
    graph = generate(derive(Problem.graph({"x": 3}, [layer], loss=loss), order=2), dtype)
    J, ((dW, db),) = generate(derive(problem), dtype).value_and_grad(((W, b),), X, Y)
    value, gradient = graph.value_and_grad({"W": W, "b": b}, {"x": X}, Y)
    rounding = 1e-13 if dtype == "float64" else 1e-5
    assert value == pytest.approx(J, rel=rounding)
    for found, expected in ((gradient["W"], dW), (gradient["b"], db)):
        assert found.dtype == expected.dtype == np.dtype(dtype)
        np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)
