"""What goes into routines: arrays of the shapes and values that a problem is made for."""

from __future__ import annotations

from typing import Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.problem import Problem
from lagrangenet.runtime.arrays import Array, Layers, Theta, floating, sequence

#: How far labels that sum to one may be off, by type.
LABEL_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


class Checks:
    """Arrays for the routines of ``problem``, converted to ``dtype`` or refused."""

    problem: Problem
    dtype: str

    def theta(self, theta: Any, name: str = "theta") -> Theta:
        """Parameters (or gradients) as arrays of the right shapes.

        Raises
        ------
        DataError
            Naming layer and array, for a wrong number of layers, shape, type, NaN or infinity.
        """
        rows = sequence(theta, name, self.problem.depth, "pairs (W, b), one per layer")
        checked = []
        for k, (row, (weight, bias)) in enumerate(zip(rows, self.problem.shapes, strict=True), 1):
            W, b = sequence(row, f"{name}, layer {k}", 2, "(W, b)")
            checked.append((self._array(W, f"{name}: W of layer {k}", weight),
                            self._array(b, f"{name}: b of layer {k}", bias)))  # fmt: skip
        return tuple(checked)

    def inputs(self, X: Any) -> Array:
        """Inputs as an (M, n_0) array."""
        return self._batch(X, "X", self.problem.inputs, "inputs")

    def labels(self, Y: Any) -> Array:
        """Labels as an (M, n_N) array for which the loss is defined."""
        checked = self._batch(Y, "Y", self.problem.widths[-1], "outputs")
        kind, loss = self.problem.loss_entry.labels, self.problem.loss.name
        if kind == "real":
            return checked
        if kind == "sign":
            for i, p in np.argwhere(abs(checked) != 1)[:1]:
                raise DataError(f"Y[{i}, {p}] is {checked[i, p]:g}; {loss} needs labels -1 and 1")
            return checked
        outside = np.argwhere((checked < 0) | (checked > 1))
        if len(outside):
            i, p = outside[0]
            raise DataError(f"Y[{i}, {p}] is {checked[i, p]:g}; {loss} needs labels in [0, 1]")
        sums = checked.sum(axis=1)
        off = np.flatnonzero(abs(sums - 1) > LABEL_TOLERANCE[self.dtype])
        if kind == "distribution" and len(off):
            raise DataError(
                f"row {off[0]} of Y sums to {sums[off[0]]:g}; {loss} needs one-hot labels, or "
                "probabilities that sum to 1"
            )
        return checked

    def layers(self, arrays: Any, name: str, count: int) -> Layers:
        """States or multipliers: ``count`` arrays (M, n_k) per layer."""
        rows = sequence(arrays, name, self.problem.depth, f"{count} arrays per layer")
        checked = []
        for k, (row, width) in enumerate(zip(rows, self.problem.widths[1:], strict=True), 1):
            items = sequence(row, f"{name}, layer {k}", count, f"{count} arrays")
            checked.append(tuple(
                self._batch(item, f"{name} of layer {k}", width, f"components in layer {k}")
                for item in items
            ))  # fmt: skip
            self._same_batch(checked[-1][0], name, checked[0][0], name)
        return tuple(checked)

    def _point(self, theta: Any, X: Any, Y: Any) -> tuple[Theta, Array, Array]:
        checked = self.theta(theta), self.inputs(X), self.labels(Y)
        self._same_batch(checked[1], "X", checked[2], "Y")
        return checked

    def _same_batch(self, a: Array, name: str, b: Array, other: str) -> None:
        if len(a) != len(b):
            raise DataError(f"{name} has {len(a)} samples, {other} has {len(b)}")

    def _batch(self, value: Any, name: str, width: int, what: str) -> Array:
        array = self._array(value, name, None)
        if array.ndim != 2 or array.shape[1] != width:
            hint = f"; reshape it to ({len(array)}, 1)" if array.ndim == 1 and width == 1 else ""
            raise DataError(
                f"{name} has shape {array.shape}, expected (M, {width}): rows are samples and the "
                f"problem has {width} {what}{hint}"
            )
        if len(array) == 0:
            raise DataError(f"{name} has no samples; the mean over an empty batch is undefined")
        return array

    def _array(self, value: Any, name: str, shape: tuple[int, ...] | None) -> Array:
        array = floating(value, name, self.dtype)
        if shape is not None and array.shape != shape:
            raise DataError(f"{name} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            where = tuple(int(j) for j in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{name} holds {array[where]} at index {where}; it has to be finite")
        return array
