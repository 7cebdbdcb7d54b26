"""The full-space problem as functions of v = (x, W, b), in the form that scipy.optimize asks for.

It evaluates the written-out Lagrangian and makes starting points. It solves nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lagrangenet.verify.differences import kink_distance
from lagrangenet.verify.explicit import ExplicitLagrangian
from lagrangenet.verify.instance import Instance
from lagrangenet.verify.textbook import Textbook

Array = NDArray[np.float64]
Theta = tuple[tuple[Array, Array], ...]

#: Where a loss takes the logarithm of an output, SLSQP keeps that output above this.
LEAST_OUTPUT = 1e-8
#: Samples start at this distance from a kink, or farther.
CLEARANCE = 4.0
#: Parameters are moved away from a known solution by this much, or less.
MOVED = 1e-2


class FullSpace:
    """J, c and their derivatives at fixed data, in the form that scipy.optimize asks for."""

    def __init__(self, instance: Instance) -> None:
        self.problem, self.X, self.Y = instance.problem, instance.X, instance.Y
        self.explicit = ExplicitLagrangian(instance.problem, len(instance.X))
        self.textbook = Textbook(instance.problem)

    def start(self, seed: int) -> Array:
        """Random parameters, W of variance 1/n_{k-1}, and the states that they give.

        The stationary points that descent meets first lie at kinks. So a unit that has one starts
        with all samples on one side of it, and stays there unless the objective falls otherwise.
        """
        rng = np.random.default_rng(seed)
        theta = [
            (rng.normal(size=W) / np.sqrt(W[1]), 0.5 * rng.normal(size=b))
            for W, b in self.problem.shapes
        ]
        for k, entry in enumerate(self.problem.activations):
            if not self.problem.smooth:
                W, b = theta[k]
                z = self.textbook.forward(tuple(theta), self.X)[k][0] - b
                side = np.where(np.arange(b.size) % 3 == 1, -1.0, 1.0)
                clear = side * (CLEARANCE + np.abs(z).max(axis=0))
                theta[k] = (W, clear if entry.kinks else b - z.mean(axis=0))
        return self.consistent(tuple(theta))

    def moved(self, theta: Theta, clearance: float, seed: int) -> Array:
        """Parameters moved at random, by far less than to the next kink, and their states."""
        rng = np.random.default_rng(seed)
        by = min(MOVED, clearance / 20)
        moved = ((W + by * rng.normal(size=W.shape), b + by * rng.normal(size=b.shape))
                 for W, b in theta)  # fmt: skip
        return self.consistent(tuple(moved))

    def consistent(self, theta: Theta) -> Array:
        """V with the states that θ gives."""
        return self.explicit.pack([x for _, x in self.textbook.forward(theta, self.X)], theta)

    def bounds(self) -> list[tuple[float, float]] | None:
        """x^N > 0 where the loss needs it; never active at a certified solution."""
        if not self.problem.loss_entry.needs_simplex:
            return None
        low = np.full(self.explicit.size, -np.inf)
        low[self.explicit.outputs] = np.where(self.Y > 0, LEAST_OUTPUT, np.finfo(float).tiny)
        return [(float(least), np.inf) for least in low]

    def objective(self, v: Array) -> float:
        """J, infinite outside its domain so that a line search steps back."""
        value = self.explicit.objective(v, self.X, self.Y)
        return value if np.isfinite(value) else np.inf

    def gradient(self, v: Array) -> Array:
        """∂J/∂v."""
        return self.explicit.objective_gradient(v, self.X, self.Y)

    def hessian(self, v: Array) -> Array:
        """∂²J/∂v²."""
        return self.explicit.objective_hessian(v, self.X, self.Y)

    def constraints(self, v: Array) -> Array:
        """c(v)."""
        return self.explicit.constraints(v, self.X)

    def jacobian(self, v: Array) -> Array:
        """∂c/∂v."""
        return self.explicit.jacobian(v, self.X)

    def constraints_hessian(self, v: Array, lam: Array) -> Array:
        """Σ_j λ_j ∂²c_j/∂v²."""
        return self.explicit.constraints_hessian(v, lam, self.X)

    def residuals(self, v: Array, lam: Array) -> tuple[float, float]:
        """‖c‖∞ and ‖∇_v L‖∞; NaN stays NaN."""
        blocks = self.explicit.stationarity(v, lam, self.X, self.Y)
        by_v = np.concatenate([blocks["x"], blocks["theta"]])
        return float(np.abs(blocks["lambda"]).max()), float(np.abs(by_v).max())

    def kink_distance(self, v: Array) -> float:
        """The smallest |z − kink|."""
        return kink_distance(self.problem, self.explicit.unpack(v)[1], self.X, self.Y)
