"""How large the multipliers of each layer are: vanishing and exploding gradients as numbers.

    λ^k = W^{k+1}ᵀ (σ′^{k+1}(z^{k+1}) ⊙ λ^{k+1})

Every step backwards multiplies by W and σ′, so that ‖λ^k‖ decays or grows geometrically with the
distance from the output, and with it ∂J/∂W^k = −Σ_i (σ′ ⊙ λ_i^k) x_i^{k-1}ᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array, GraphRoutines, Routines, generate
from lagrangenet.symbolic.derivation import derive


@dataclass(frozen=True)
class MultiplierNorms:
    """The norms of the multipliers, by layer or state.

    Attributes
    ----------
    names : tuple of str
        "λ1", ..., "λN" of a chain; of a graph the states.
    norms : tuple of float
        Root mean squares over samples and components, times M: the size of ∂ℓ_i/∂x_i^k of one
        sample, so that batches of different sizes compare.
    """

    names: tuple[str, ...]
    norms: tuple[float, ...]

    @property
    def factor(self) -> float:
        """What one layer towards the input multiplies the norm by, as a geometric mean.

        Below 1 gradients vanish with depth, above 1 they explode; NaN for fewer than two layers.
        """
        if len(self.norms) < 2 or not self.norms[-1] > 0:
            return float("nan")
        return float((self.norms[0] / self.norms[-1]) ** (1 / (len(self.norms) - 1)))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"norms": dict(zip(self.names, self.norms, strict=True)), "factor": self.factor}

    def __str__(self) -> str:
        rows = [
            f"{name:>6s}  {norm:.3e}" for name, norm in zip(self.names, self.norms, strict=True)
        ]
        return "\n".join([*rows, f"{self.factor:.3g} per layer towards the input"])


def norms_of(multipliers: Any, samples: int) -> MultiplierNorms:
    """The norms of multipliers as a result has them: a tuple by layer, or by name.

    Examples
    --------
    >>> print(norms_of((np.full((2, 3), 0.01), np.full((2, 1), 0.5)), samples=2))
        λ1  2.000e-02
        λ2  1.000e+00
    0.02 per layer towards the input
    """
    named: dict[str, Array]
    if isinstance(multipliers, dict):
        named = multipliers
    else:
        named = {f"λ{k}": array for k, array in enumerate(multipliers, 1)}
    sizes = (float(np.sqrt(np.mean(np.square(a)))) * samples for a in named.values())
    return MultiplierNorms(tuple(named), tuple(sizes))


def multiplier_norms(problem: Problem | Graph, theta: Any, X: Any, Y: Any) -> MultiplierNorms:
    """The norms at any θ: states and multipliers are those of a forward and a backward pass.

    Examples
    --------
    Sigmoids of depth 20, as they are initialized, lose three quarters of the gradient in a layer:

    >>> import lagrangenet as ln
    >>> problem = ln.chain([10] * 21, "sigmoid")
    >>> theta = ln.generate(ln.derive(problem)).initial(seed=0)
    >>> X = np.random.default_rng(0).normal(size=(8, 10))
    >>> round(multiplier_norms(problem, theta, X, X).factor, 2)
    0.24
    """
    routines = _routines(problem)
    states = routines.forward(theta, X)
    if isinstance(routines, GraphRoutines):
        by_state = routines.backward(theta, X, states, Y)
        return norms_of({n: by_state[n] for n in routines.problem.states if n in by_state}, len(Y))
    pairs = routines.backward(theta, states, Y)
    return norms_of(tuple(lam for _, lam in pairs), len(Y))


@lru_cache(maxsize=16)
def _routines(problem: Problem | Graph) -> Routines | GraphRoutines:
    """Code of the first order; one network is looked at for many θ."""
    return generate(derive(problem))
