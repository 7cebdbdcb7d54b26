"""What is asked of a submission and what it answered, both in the package's own layout.

A probe is a network with parameters and samples; answers are its submission's numbers after the
declared layout has been undone: rows are samples, W^k is (n_k, n_{k-1}), the objective is the mean
over samples, multipliers carry its 1/M and the sign of L = J + ⟨λ, c⟩. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagrangenet.problem import Problem

Array = NDArray[Any]
Layers = tuple[tuple[Array, Array], ...]


@dataclass(frozen=True, eq=False)
class Probe:
    """One question: the numbers a submission is called with.

    Attributes
    ----------
    name : str
        What it is there for, such as ``"one sample"`` or ``"saturated"``.
    problem : Problem
        With the effective strength of the regularizer: see :meth:`Assignment.problem`.
    theta : tuple of (W, b)
        Parameters in the package's layout, float64.
    X, Y : ndarray
        Samples as rows; labels as the package's losses want them (classes one-hot).
    strength : float
        ρ as the submission is told it; 0 switches the regularizer off.
    eta : float
        Step size, where updated weights are asked for.
    count : bool
        Whether the calls of the submission's own functions are counted (slower).
    """

    name: str
    problem: Problem
    theta: Layers
    X: Array
    Y: Array
    strength: float = 0.0
    eta: float = 0.1
    count: bool = False

    @property
    def samples(self) -> int:
        """M."""
        return int(self.X.shape[0])


@dataclass(frozen=True)
class Failure:
    """Why there is nothing to judge: what happened, where, and how to repair it.

    Attributes
    ----------
    kind : str
        ``"missing"`` (no such function), ``"crash"``, ``"timeout"``, ``"limit"``, ``"layout"`` (the answer is
        not what the contract declares), ``"protocol"``, ``"died"``.
    message : str
        For people; bounded.
    """

    kind: str
    message: str


@dataclass(frozen=True, eq=False)
class Answers:
    """What a submission answered to one probe; None is "not asked" or, with a failure, "not given".

    Attributes
    ----------
    loss : float or None
        J of the probe's problem (after the declared reduction and scale are undone).
    gradient : tuple of (dW, db) or None
        ∂J/∂W^k, ∂J/∂b^k, or None in place of a block that did not come. A block of another shape than
        the parameter's is handed on as it came, so compare shapes first. Values may be NaN.
    multipliers : tuple of ndarray or None
        λ^1..λ^N, each (M, n_k), in the package's sign and scale.
    states : tuple of ndarray or None
        x^1..x^N, each (M, n_k).
    dtype : str
        The narrowest floating type that an array came in: ``"float64"`` or ``"float32"``.
    changed : tuple of str
        Inputs that the submission modified in place.
    seconds : float
        Wall time of the call in the child.
    calls : mapping
        Function name → number of calls, where the probe asked for counting.
    failures : mapping
        ``"loss"``, ``"gradient"``, ``"multipliers"``, ``"states"`` → why it is not there.
    updated : bool
        Whether the gradient was computed from updated weights as −ΔW/η.
    """

    probe: str
    loss: float | None = None
    gradient: tuple[tuple[Array | None, Array | None], ...] | None = None
    multipliers: tuple[Array | None, ...] | None = None
    states: tuple[Array | None, ...] | None = None
    dtype: str = "float64"
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    calls: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    failures: Mapping[str, Failure] = field(default_factory=lambda: MappingProxyType({}))
    updated: bool = False

    def __post_init__(self) -> None:
        if self.loss is not None and not isinstance(self.loss, float | np.floating):
            raise TypeError("a loss is a float")
