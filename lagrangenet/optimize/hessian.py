"""∇²J(θ) as a matrix, from generated routines."""

from __future__ import annotations

import numpy as np

from lagrangenet.optimize.task import Task
from lagrangenet.runtime import Array


def hessian(task: Task, theta: Array) -> Array:
    """The Hessian of the reduced objective, (P, P), symmetric: one product for each parameter.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> hessian(Task(chain([1, 1]), [[2.0]], [[0.0]]), np.zeros(2))
    array([[4., 2.],
           [2., 1.]])
    """
    units = np.eye(task.size, dtype=task.dtype)
    found: Array = np.stack([task.hessp(theta, unit) for unit in units], axis=1)
    return (found + found.T) / 2
