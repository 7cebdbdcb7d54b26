"""Data sets: a handful by name, and labels in the form a loss asks for.

The mathematics takes two arrays, X of shape (M, n_0) and Y of shape (M, n_N). This module is the
only place that knows how samples with class names become them. It refuses labels that a loss is
not made for, and names the losses that fit. Files are read by :mod:`.table`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lagrangenet.errors import DataError, MissingExtra
from lagrangenet.functions import LOSSES, Choice

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples with their target, before a loss is chosen.

    Attributes
    ----------
    name : str
        The name in the catalogue, or the file's name without its ending.
    X : ndarray, shape (M, n), float64
        One sample per row.
    target : ndarray, shape (M,) or (M, k)
        int64 codes into ``classes``, shape (M,); float64 values if ``classes`` is None.
    feature_names : tuple of str
        The n columns of X.
    classes : tuple of str or None
        Class names, in the order of the codes; None for regression.
    source : str
        Where the numbers come from.

    Examples
    --------
    >>> xor = load_dataset("xor")
    >>> xor
    <Dataset 'xor': 4 samples, 2 inputs, regression>
    >>> xor.labels("squared_error").tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """

    name: str
    X: Floats
    target: Floats | Codes
    feature_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    source: str

    def __repr__(self) -> str:
        kind = "regression" if self.classes is None else f"{len(self.classes)} classes"
        return f"<Dataset {self.name!r}: {self.samples} samples, {self.inputs} inputs, {kind}>"

    @property
    def samples(self) -> int:
        """M."""
        return int(self.X.shape[0])

    @property
    def inputs(self) -> int:
        """n_0, the number of features."""
        return int(self.X.shape[1])

    @property
    def default_loss(self) -> str:
        """``cross_entropy`` for classes, ``squared_error`` for regression."""
        return "squared_error" if self.classes is None else "cross_entropy"

    def labels(self, loss: str | Choice | Mapping[str, object]) -> Floats:
        """The target as the loss defines its labels, a new array.

        Parameters
        ----------
        loss : str, Choice or mapping
            As in a :class:`~lagrangenet.problem.Problem`. Its entry's ``labels`` decides:
            ``distribution`` gives one column per class (one-hot), ``binary`` one column of zeros
            and ones, ``real`` one-hot columns for classes and the values themselves otherwise.

        Returns
        -------
        ndarray, shape (M, n_N), float64

        Raises
        ------
        DataError
            If the target is not of the kind that the loss needs; the losses that fit are listed.
        ProblemError
            If the loss is unknown.

        Examples
        --------
        >>> pets = Dataset("pets", np.zeros((2, 1)), np.array([1, 0]), ("a",), ("cat", "dog"), "")
        >>> pets.labels("cross_entropy").tolist()
        [[0.0, 1.0], [1.0, 0.0]]
        >>> pets.labels("binary_cross_entropy").tolist()
        [[1.0], [0.0]]
        """
        name = LOSSES.choose(loss).name
        needs, fits, encode = _LABELS[LOSSES[name].labels]
        if fits(self):
            return encode(self)
        fitting = [key for key, entry in LOSSES.items() if _LABELS[entry.labels][1](self)]
        have = "numbers" if self.classes is None else f"{len(self.classes)} class(es)"
        raise DataError(
            f"dataset {self.name!r}: loss {name!r} needs {needs} and the target holds {have}; "
            f"losses that fit: {', '.join(fitting)}"
        )

    def outputs(self, loss: str | Choice | Mapping[str, object]) -> int:
        """n_N, the number of columns of :meth:`labels`; raises what it raises."""
        return int(self.labels(loss).shape[1])

    def standardized(self) -> Dataset:
        """A copy whose columns have mean zero and variance one, a regression target included.

        The variance is the mean of squares, (1/M) Σ_i. A constant column becomes zero.

        Examples
        --------
        >>> load_dataset("xor").standardized().X.tolist()
        [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
        """
        return replace(
            self,
            X=_standardized(self.X),
            target=self.target.copy() if self.classes is not None else _standardized(self.target),
            source=f"{self.source}, standardized",
        )


def _standardized(values: npt.NDArray[Any]) -> Floats:
    # Scaling by a power of two keeps squares finite and rounds nothing that matters. Subtracting
    # the first row makes a constant column exactly zero, and a nearly constant one well scaled.
    exponents = np.frexp(np.abs(values).max(axis=0))[1]
    scaled = np.ldexp(values, -exponents)
    scaled = scaled - scaled[0]
    centred = scaled - scaled.mean(axis=0)
    constant = values.min(axis=0) == values.max(axis=0)
    deviation = np.where(constant, 1.0, centred.std(axis=0))
    return np.asarray(centred / deviation, dtype=np.float64)


# -- labels: what a kind of label needs, whether a dataset has it, and the array ----------------


def _one_hot(data: Dataset) -> Floats:
    return np.eye(len(data.classes or ()))[data.target]


def _column(data: Dataset) -> Floats:
    return np.array(data.target, dtype=np.float64).reshape(data.samples, -1)


def _real(data: Dataset) -> Floats:
    return _column(data) if data.classes is None else _one_hot(data)


#: One entry for each value of ``Loss.labels``.
_LABELS: Mapping[str, tuple[str, Callable[[Dataset], bool], Callable[[Dataset], Floats]]] = {
    "real": ("numbers or classes", lambda _: True, _real),
    "binary": (
        "exactly two classes",
        lambda data: data.classes is not None and len(data.classes) == 2,
        _column,
    ),
    "sign": (
        "exactly two classes",
        lambda data: data.classes is not None and len(data.classes) == 2,
        lambda data: 2 * _column(data) - 1,
    ),
    "distribution": ("classes", lambda data: data.classes is not None, _one_hot),
}


# -- the catalogue -------------------------------------------------------------------------------


def _scikit(name: str) -> Dataset:
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        raise MissingExtra("scikit-learn", "data", f"dataset {name!r}") from error
    loader = f"load_{name}"
    bunch = getattr(datasets, loader)()
    classes = bunch.get("target_names")
    target: Floats | Codes = (
        np.array(bunch["target"], dtype=np.float64)
        if classes is None
        else np.array(bunch["target"], dtype=np.int64)
    )
    return Dataset(
        name,
        np.array(bunch["data"], dtype=np.float64, order="C"),
        target,
        tuple(map(str, bunch["feature_names"])),
        None if classes is None else tuple(map(str, classes)),
        f"scikit-learn, {loader}",
    )


def _xor() -> Dataset:
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([0.0, 1.0, 1.0, 0.0])
    return Dataset("xor", corners, target, ("a", "b"), None, "the four corners, a xor b")


#: Every dataset by name; the value makes a new one.
DATASETS: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {
        "iris": partial(_scikit, "iris"),
        "wine": partial(_scikit, "wine"),
        "digits": partial(_scikit, "digits"),
        "breast_cancer": partial(_scikit, "breast_cancer"),
        "diabetes": partial(_scikit, "diabetes"),
        "xor": _xor,
    }
)


def load_dataset(name: str) -> Dataset:
    """A dataset of the catalogue ``DATASETS``, with its numbers as published.

    Raises
    ------
    DataError
        If the name is unknown; the known ones are listed.
    MissingExtra
        If scikit-learn is not installed; ``xor`` needs nothing.

    Examples
    --------
    >>> load_dataset("xor").X.tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    try:
        make = DATASETS[name]
    except (KeyError, TypeError):
        known = ", ".join(sorted(DATASETS))
        raise DataError(f"unknown dataset {name!r}; known: {known}") from None
    return make()
