"""Functions by name that trees of equations and of faults call, and NumPy has under no name.

Numbers only: what a function is called in a formula is said where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logsumexp(z: Array) -> Array:
    top = z.max(axis=1)
    return np.asarray(top + np.log(np.exp(z - top[:, None]).sum(axis=1)))


def _over_everything(z: Array) -> Array:
    weights = np.exp(z - z.max())
    return np.asarray(weights / weights.sum())


def _diagonal(jacobian: Array) -> Array:
    return np.asarray(jacobian * np.eye(jacobian.shape[-1]))


def _special(name: str) -> Callable[..., Any]:
    """A function of SciPy, imported when it is called."""

    def function(z: Array) -> Array:
        from scipy import special  # here: importing it takes a quarter of the package's import

        return np.asarray(getattr(special, name)(z))

    return function


#: The two terms of the binary cross-entropy of logits.
HALF_LOSSES: Mapping[str, Callable[[Array, Array], Array]] = {
    "positive_half": lambda y, x: y * np.logaddexp(0, -x),
    "negative_half": lambda y, x: (1 - y) * np.logaddexp(0, x),
}
#: Functions of the trees that NumPy has under no name.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "positive": lambda x: np.maximum(x, np.finfo(float).tiny),
    "logsumexp": _logsumexp,
    "log_softplus": lambda z: np.log(np.logaddexp(0, z)),
    "entrywise": np.multiply,
    **{name: _special(name) for name in ("erf", "erfc", "ndtr")},
}
#: What fault rules select or sum; see :mod:`.samples`.
CHOICES: Mapping[str, Callable[[Array], Any]] = {
    "first_sample": lambda a: a[:1],
    "last_sample": lambda a: a[-1:],
    "without_first": lambda a: a[1:],
    "without_last": lambda a: a[:-1],
    "next_class": lambda a: np.roll(a, 1, axis=1),
    "previous_class": lambda a: np.roll(a, -1, axis=1),
    "other_order": lambda a: a.ravel(order="F").reshape(a.shape),
    "sum_of_samples": lambda a: a.sum(axis=0, keepdims=True),
    "mean_of_samples": lambda a: a.sum(axis=0, keepdims=True) / len(a),
    "sum_of_all": np.sum,
    "sum_of_components": lambda a: a.sum(axis=-1),
    "over_everything": _over_everything,
    "diagonal": _diagonal,
}
