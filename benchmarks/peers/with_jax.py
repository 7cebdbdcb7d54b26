"""JAX, compiled by XLA.

Parameters are either one array each, or one vector: fewer arguments are cheaper to pass, but a large
vector is expensive to take apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.base import GRADIENTS, HESSIANS, value_and_gradient
from benchmarks.timing import Contender
from benchmarks.workloads import Case, packed, unpacked

Loss = Callable[[Any, Any, Any], Any]


def _loss(case: Case) -> Loss:
    """J as a function of ((W^1, b^1), ...), X and Y."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)
    sigma = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[case.hidden]

    def loss(theta: Any, X: Any, Y: Any) -> Any:
        *hidden, (W, b) = theta
        x = X
        for V, c in hidden:
            x = sigma(x @ V.T + c)
        x = x @ W.T + b
        if case.classifies:
            return -(Y * jax.nn.log_softmax(x)).sum() / len(X)
        return 0.5 * ((x - Y) ** 2).sum() / len(X)

    return loss


def _flat(loss: Loss, case: Case) -> Loss:
    """The same of one vector."""
    return lambda theta, X, Y: loss(unpacked(theta, case.workload.widths), X, Y)


def _jitted(function: Callable[..., Any], arguments: Any, read: Callable[[Any], Any]) -> Contender:
    """The compiled function, called with arrays of its own."""
    import jax

    compiled = jax.jit(function)

    def call(*arrays: Any) -> Any:
        return jax.block_until_ready(compiled(*arrays))

    return Contender(call, jax.device_put(arguments), lambda found: read(jax.device_get(found)))


def _gradient(loss: Loss, theta: Any, case: Case) -> Contender:
    import jax

    return _jitted(
        jax.value_and_grad(loss),
        (theta, case.X, case.Y),
        lambda pair: value_and_gradient(pair[0], jax.tree.leaves(pair[1])),
    )


@GRADIENTS.add("jax", "jax")
def arrays(case: Case) -> Contender:
    return _gradient(_loss(case), case.theta, case)


@GRADIENTS.add("jax-flat", "jax")
def vector(case: Case) -> Contender:
    return _gradient(_flat(_loss(case), case), packed(case.theta), case)


def _product(loss: Loss, theta: Any, direction: Any, case: Case) -> Contender:
    """Forward over reverse."""
    import jax

    def product(theta: Any, direction: Any, X: Any, Y: Any) -> Any:
        return jax.jvp(lambda at: jax.grad(loss)(at, X, Y), (theta,), (direction,))[1]

    def read(found: Any) -> Any:
        return (np.concatenate([np.ravel(g) for g in jax.tree.leaves(found)]),)

    return _jitted(product, (theta, direction, case.X, case.Y), read)


@HESSIANS.add("jax", "jax")
def product_of_arrays(case: Case) -> Contender:
    return _product(_loss(case), case.theta, case.direction, case)


@HESSIANS.add("jax-flat", "jax")
def product_of_vectors(case: Case) -> Contender:
    flat, direction = packed(case.theta), packed(case.direction)
    return _product(_flat(_loss(case), case), flat, direction, case)
