"""Derivatives without a derivation: complex steps, central differences, Taylor remainders.

They know a function only by its values, so they share nothing with what they check. A Taylor rate
alone is weak evidence (a gradient wrong by 1e-5 still shows rate two); use it beside the others.
They refuse to judge closeness to a kink; :func:`kink_distance` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.functions.terms import Terms
from lagrangenet.problem import Problem
from lagrangenet.verify import written_out
from lagrangenet.verify.tables import Array
from lagrangenet.verify.textbook import Textbook, Theta

Function = Callable[[Theta], Any]
Floats = NDArray[np.float64]


def flatten(theta: Theta) -> Array:
    """θ as one vector: W^1 row by row, b^1, W^2, ..., b^N.

    Examples
    --------
    >>> flatten(((np.array([[1.0, 2.0]]), np.array([3.0])),))
    array([1., 2., 3.])
    """
    return np.concatenate([np.ravel(part) for pair in theta for part in pair])


def unflatten(vector: Array, like: Theta) -> Theta:
    """The inverse of :func:`flatten`, in the shapes of ``like``.

    Examples
    --------
    >>> unflatten(np.array([1.0, 2.0, 3.0]), ((np.zeros((1, 2)), np.zeros(1)),))
    ((array([[1., 2.]]), array([3.])),)
    """
    ends = np.cumsum([np.size(part) for pair in like for part in pair])
    parts = iter(np.split(vector, ends[:-1]))
    return tuple((next(parts).reshape(W.shape), next(parts).reshape(b.shape)) for W, b in like)


def complex_step_gradient(f: Function, theta: Theta, step: float = 1e-30) -> Theta:
    """∂f/∂θ_j = Im f(θ + i h e_j) / h: exact to rounding for analytic f.

    Parameters
    ----------
    f : callable
        A real function of θ that also accepts complex θ, such as :meth:`Textbook.loss`.
    theta : tuple of (W, b)
        The point.
    step : float
        h; no cancellation occurs, so it may be tiny.

    Examples
    --------
    >>> theta = ((np.array([[2.0]]), np.array([1.0])),)
    >>> complex_step_gradient(lambda t: (t[0][0] ** 3).sum() + t[0][1].sum(), theta)
    ((array([[12.]]), array([1.])),)
    """
    point = flatten(theta).astype(np.complex128)
    out = np.empty(point.size)
    for j in range(point.size):
        moved = point.copy()
        moved[j] += 1j * step
        out[j] = np.imag(f(unflatten(moved, theta))) / step
    return unflatten(out, theta)


def central_difference_gradient(f: Function, theta: Theta, step: float = 1e-5) -> Theta:
    """∂f/∂θ_j ≈ (f(θ + h e_j) − f(θ − h e_j)) / 2h, with error O(h²) + O(ε/h).

    Examples
    --------
    >>> theta = ((np.array([[2.0]]), np.array([1.0])),)
    >>> gradient = central_difference_gradient(lambda t: (t[0][0] ** 3).sum(), theta)
    >>> gradient[0][0].round(6)
    array([[12.]])
    """
    point = flatten(theta).astype(np.float64)
    out = np.empty(point.size)
    for j in range(point.size):
        above, below = point.copy(), point.copy()
        above[j] += step
        below[j] -= step
        rise = f(unflatten(above, theta)) - f(unflatten(below, theta))
        out[j] = rise / (above[j] - below[j])
    return unflatten(out, theta)


def taylor_remainders(
    f: Function, gradient: Theta, theta: Theta, direction: Theta, steps: Sequence[float]
) -> Floats:
    """|f(θ + t v) − f(θ) − t ⟨∇f, v⟩| for each step t: falls as t² for the right gradient.

    Examples
    --------
    >>> one = ((np.array([[1.0]]), np.array([0.0])),)
    >>> square = lambda t: float((t[0][0] ** 2).sum())
    >>> taylor_remainders(square, ((np.array([[2.0]]), np.zeros(1)),), one, one, [0.5, 0.25])
    array([0.25  , 0.0625])
    """
    start, along = flatten(theta), flatten(direction)
    slope = float(flatten(gradient) @ along)
    base = f(theta)
    values = [f(unflatten(start + t * along, theta)) for t in steps]
    return np.array([abs(v - base - t * slope) for v, t in zip(values, steps, strict=True)])


def observed_rate(steps: Sequence[float], remainders: Floats, floor: float = 0.0) -> float:
    """The slope of log remainder against log step, over the remainders above ``floor``.

    Two for a right gradient, one for a wrong one; infinite if all remainders lie at the floor.

    Examples
    --------
    >>> round(observed_rate([0.1, 0.01], np.array([1e-2, 1e-4])), 6)
    2.0
    """
    kept = remainders > floor
    if kept.sum() < 2:
        return float("inf")
    logs = np.log(np.asarray(steps, dtype=np.float64)[kept]), np.log(remainders[kept])
    return float(np.polyfit(*logs, 1)[0])


def kink_distance(problem: Problem, theta: Theta, X: Array, Y: Array | None = None) -> float:
    """The smallest |z − kink| over all layers and samples, infinite for a smooth problem.

    Differences are meaningless when they step over a kink, of a function or, for differences of
    gradients, of its derivative (a crease). The kinks of a regularizer, in the parameters that it
    sums over, count as well; with labels Y also those of the loss (in x^N, as expressions in the
    label y and the labelled output t).

    Examples
    --------
    >>> from lagrangenet.problem import Dense
    >>> net = Problem(1, [Dense(1, "relu")], loss="squared_error")
    >>> kink_distance(net, ((np.array([[2.0]]), np.array([-1.0])),), np.array([[1.0], [0.0]]))
    1.0
    """
    passed = Textbook(problem).forward(theta, X)
    nearest = float("inf")
    for layer, entry, (z, _) in zip(problem.layers, problem.activations, passed, strict=True):
        for kink in (*entry.kinks, *entry.creases):
            at = float(written_out.bound(entry, layer.activation, kink))
            nearest = min(nearest, float(np.abs(z - at).min()))
    if Y is not None:
        nearest = min(nearest, loss_distance(problem, passed[-1][1], Y))
    counted = 2 if problem.penalizes_biases else 1
    for kink in penalty_kinks(problem):
        for part in (part for pair in theta for part in pair[:counted]):
            nearest = min(nearest, float(np.abs(part - kink).min()))
    return nearest


def loss_distance(problem: Terms, outputs: Array, Y: Array) -> float:
    """The smallest distance of an output from a kink or crease of the loss."""
    nearest, (y, t) = float("inf"), sp.symbols("y t", real=True)
    labelled = (Y * outputs).sum(axis=-1, keepdims=True)
    for kink in (*problem.loss_entry.kinks, *problem.loss_entry.creases):
        where = written_out.bound(problem.loss_entry, problem.loss, kink)
        at = sp.lambdify((y, t), where, "numpy")(Y, labelled)
        nearest = min(nearest, float(np.abs(outputs - at).min()))
    return nearest


def penalty_kinks(problem: Terms) -> list[float]:
    """The weights at which the regularizer is not differentiable.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> penalty_kinks(chain([1, 1], regularizer="L1")), penalty_kinks(chain([1, 1]))
    ([0.0], [])
    """
    entry, choice = problem.regularizer_entry, problem.regularizer
    if entry is None or choice is None:
        return []
    return [float(written_out.bound(entry, choice, kink)) for kink in entry.kinks]
