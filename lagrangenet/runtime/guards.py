"""What emitted functions may not do silently: derivatives that do not exist, values outside a domain.

A function with jumps has no gradient: its routines are refused when they are called. A function
given by a formula may have no value, as log(z) at z < 0: the layer and the argument are named,
where NumPy would warn and return NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import numpy as np

from lagrangenet.errors import DataError, DerivationError
from lagrangenet.problem import Problem
from lagrangenet.symbolic.derivatives import without_derivative

Functions = dict[str, Callable[..., Any]]
#: Routines that need a derivative of J.
_DERIVED = (
    "backward",
    "gradient",
    "update",
    "residuals",
    "tangent",
    "second_adjoint",
    "hessian_product",
    "gauss_newton_adjoint",
    "gauss_newton_product",
    "kkt_product",
)


def guarded(functions: Mapping[str, Callable[..., Any]], problem: Problem) -> Functions:
    """The functions of an emitted module, with those that could fail silently wrapped."""
    found = dict(functions)
    reason = without_derivative(problem)
    if reason:
        found |= {name: partial(_refuse, reason) for name in _DERIVED if name not in found}
    loss = problem.loss_entry
    if any(entry.restricted for entry in problem.activations):
        found["forward"] = partial(_forward, found["forward"], problem)
    if loss.restricted:
        found["loss"] = partial(_finite, found["loss"], f"loss {loss.name!r} has no finite value")
    if "backward" in found and (loss.restricted or any(e.restricted for e in problem.activations)):
        what = "a derivative is infinite or has no value at these states"
        found["backward"] = partial(_finite, found["backward"], what)
    return found


def _refuse(reason: str, *_: Any) -> NoReturn:
    raise DerivationError(reason)


def _forward(forward: Callable[..., Any], problem: Problem, theta: Any, X: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        states = forward(theta, X)
    for k, (Z, S) in enumerate(states, 1):
        bad = np.argwhere(~np.isfinite(S) & np.isfinite(Z))
        if len(bad):
            i, p = (int(j) for j in bad[0])
            raise DataError(
                f"layer {k}: activation {problem.activations[k - 1].name!r} has no finite value at "
                f"z = {Z[i, p]:g} (sample {i}, component {p}); keep its argument in its domain"
            )
    return states


def _finite(function: Callable[..., Any], what: str, *arguments: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = function(*arguments)
    arrays = [array for layer in found for array in layer] if isinstance(found, tuple) else [found]
    if not all(np.isfinite(array).all() for array in arrays):
        raise DataError(f"{what}; keep every argument in the domain of its function")
    return found
