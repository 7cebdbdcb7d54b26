"""Second derivatives without a derivation: complex steps of the textbook's backpropagation.

    ∇²J v = Im ∇J(θ + i h v)/h,   G v = Jᵀ ℓ″ J v + ρ Ω″ v,   J = ∂x^N/∂θ (∂z^N/∂θ on logits)

J and ℓ″ are complex steps too. Nothing here comes out of the derivation that it checks. It refuses
functions whose textbook rules are numeric and so have no complex values.
"""

from __future__ import annotations

import numpy as np

from lagrangenet.problem import Problem
from lagrangenet.verify.differences import flatten, unflatten
from lagrangenet.verify.tables import ACTIVATION_RULES, LOSS_RULES, REGULARIZER_RULES, Array
from lagrangenet.verify.textbook import Textbook, Theta

#: No cancellation occurs, so the step may be tiny.
STEP = 1e-30


def unlisted_functions(problem: Problem) -> list[str]:
    """Names of the problem's functions that the textbook has no rule for."""
    named = [(ACTIVATION_RULES, layer.activation.name) for layer in problem.layers]
    named.append((LOSS_RULES, problem.loss.name))
    if problem.regularizer is not None:
        named.append((REGULARIZER_RULES, problem.regularizer.name))
    return [name for table, name in named if name not in table]


class Curvature:
    """Products with ∇²J and with the Gauss-Newton matrix of a problem, by complex steps.

    Parameters
    ----------
    problem : Problem
        All its functions have a textbook rule.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> curvature = Curvature(chain([1, 1]))
    >>> theta = ((np.array([[3.0]]), np.zeros(1)),)
    >>> X, Y = np.array([[2.0]]), np.array([[1.0]])
    >>> curvature.hessian_product(theta, X, Y, np.array([1.0, 0.0]))
    array([4., 2.])
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.book = Textbook(problem)

    def hessian_product(self, theta: Theta, X: Array, Y: Array, v: Array) -> Array:
        """∇²J v, flat."""
        moved = unflatten(flatten(theta) + 1j * STEP * v, theta)
        return np.asarray(np.imag(flatten(self.book.gradient(moved, X, Y))) / STEP)

    def central_product(self, theta: Theta, X: Array, Y: Array, v: Array, step: float) -> Array:
        """(∇J(θ + h v) − ∇J(θ − h v))/2h, flat: with errors O(h²) and O(ε/h)."""
        ends = (unflatten(flatten(theta) + sign * step * v, theta) for sign in (1, -1))
        above, below = (flatten(self.book.gradient(end, X, Y)) for end in ends)
        return np.asarray((above - below) / (2 * step))

    def gauss_newton_product(
        self, theta: Theta, X: Array, Y: Array, v: Array, rows: Array
    ) -> Array:
        """The entries ``rows`` of G v."""
        turned = self._loss_curvature(theta, X, Y, self._output_slope(theta, X, v))
        product = np.empty(len(rows))
        for at, row in enumerate(rows):
            unit = np.zeros(v.size)
            unit[row] = 1.0
            product[at] = np.sum(self._output_slope(theta, X, unit) * turned)
        return product + self._penalty_product(theta, v)[rows]

    def _outputs(self, theta: Theta, X: Array) -> Array:
        z, x = self.book.forward(theta, X)[-1]
        return z if self.book.on_logits else x

    def _output_slope(self, theta: Theta, X: Array, v: Array) -> Array:
        """J v, (M, n_N)."""
        moved = unflatten(flatten(theta) + 1j * STEP * v, theta)
        return np.asarray(np.imag(self._outputs(moved, X)) / STEP)

    def _loss_curvature(self, theta: Theta, X: Array, Y: Array, u: Array) -> Array:
        """ℓ″ u of every sample, over M."""
        at = self._outputs(theta, X)
        slope = self.book.output_slope(Y, at + 1j * STEP * u)
        return np.asarray(np.imag(slope) / STEP / len(X))

    def _penalty_product(self, theta: Theta, v: Array) -> Array:
        """ρ Ω″ v: over the weights, and the biases where the regularizer has them."""
        parts = []
        omega, biases = self.book._omega, self.problem.penalizes_biases
        for pair, moves in zip(theta, unflatten(v, theta), strict=True):
            for at, move, counted in zip(pair, moves, (True, biases), strict=True):
                turned = np.zeros_like(move)
                if omega is not None and counted:
                    slope = omega.slope(at + 1j * STEP * move)
                    turned = self.problem.strength * np.imag(slope) / STEP
                parts.append(turned.ravel())
        return np.concatenate(parts)
