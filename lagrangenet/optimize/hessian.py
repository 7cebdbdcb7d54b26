"""∇²J(θ) as a matrix, from generated routines.

Of a chain the condensed KKT matrix at a feasible point, assembled layer by layer
(:mod:`lagrangenet.optimize.condensed`); of a graph one product for each parameter.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from lagrangenet.optimize.blocks import Layered
from lagrangenet.optimize.condensed import matrix
from lagrangenet.optimize.task import Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array


def hessian(task: Task, theta: Array) -> Array:
    """The Hessian of the reduced objective, (P, P), symmetric.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> hessian(Task(chain([1, 1]), [[2.0]], [[0.0]]), np.zeros(2))
    array([[4., 2.],
           [2., 1.]])
    """
    if isinstance(task.problem, Problem):
        return _condensed(task.problem, task, theta)
    units = np.eye(task.size, dtype=task.dtype)
    found: Array = np.stack([task.hessp(theta, unit) for unit in units], axis=1)
    return (found + found.T) / 2


def _condensed(problem: Problem, task: Task, theta: Array) -> Array:
    net = Layered(problem, cast(Any, task.X), task.Y)
    rows = net.rows(theta)
    values = net.values(rows, net.forward(rows))
    lower = matrix(net, net.blocks(values, net.adjoint(values)))
    whole = np.tril(lower) + np.tril(lower, -1).T
    found: Array = whole[np.ix_(net.order, net.order)]
    return found
