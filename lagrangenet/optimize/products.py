"""Products with ∇²J at one θ, for methods that take many of them.

The states and multipliers of θ are kept, so that a product is one tangent pass and its adjoint. What
a target computes as a whole, as compiled code does, is left to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lagrangenet.graph import Graph
from lagrangenet.optimize.task import Task
from lagrangenet.runtime import Array, GraphRoutines

Product = Callable[[Array], Array]


def products(task: Task, theta: Array) -> Product:
    """The function p ↦ ∇²J(θ) p.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> along = products(Task(chain([1, 1]), [[2.0]], [[0.0]]), np.zeros(2))
    >>> along(np.array([1.0, 0.0])).tolist()
    [4.0, 2.0]
    """
    routines = task.routines
    if isinstance(routines, GraphRoutines):
        return _of_graph(task, theta)
    if routines.target != "numpy":
        return lambda p: task.hessp(theta, p)
    shaped = task.shaped(theta)
    run = {name: routines.stage(name) for name in ("tangent", "second_adjoint", "hessian_product")}
    states = routines.stage("forward")(shaped, task.X)
    multipliers = routines.stage("backward")(shaped, states, task.Y)

    def product(p: Array) -> Array:
        along = task.shaped(p)
        tangents = run["tangent"](shaped, task.X, states, along)
        adjoints = run["second_adjoint"](shaped, task.Y, states, multipliers, along, tangents)
        found = run["hessian_product"](
            shaped, task.X, states, multipliers, along, tangents, adjoints
        )
        return np.concatenate([array.ravel() for layer in found for array in layer])

    return product


def _of_graph(task: Task, theta: Array) -> Product:
    assert isinstance(task.problem, Graph)
    routines, shaped = task.routines, task.shaped(theta)
    states = routines.stage("forward")(shaped, task.X)
    multipliers = routines.stage("backward")(shaped, task.X, states, task.Y)
    run, names = routines.stage("hessian_product"), task.problem.parameters

    def product(p: Array) -> Array:
        found = run(shaped, task.X, task.Y, states, multipliers, task.shaped(p))
        return np.concatenate([found[name].ravel() for name in names])

    return product
