"""Generated code as an object: checked arrays in, plain arrays out.

The arithmetic is in the emitted module alone (``Routines.source``); this file loads it, checks what
goes in, and packs parameters into vectors for SciPy. It refuses what could only be a mistake:
wrong shapes, NaN and infinity, an empty batch, lossy conversions, labels the loss is not made for.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lagrangenet.emit.numpy import emit
from lagrangenet.errors import DataError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Program
from lagrangenet.routines.lower import lower
from lagrangenet.symbolic.derivation import Derivation

Array = npt.NDArray[Any]
Theta = tuple[tuple[Array, Array], ...]
Layers = tuple[tuple[Array, ...], ...]

_LABEL_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


def generate(derivation: Derivation, dtype: str = "float64") -> Routines:
    """Generate the routines of a derivation's problem.

    Parameters
    ----------
    derivation : Derivation
        From :func:`lagrangenet.derive`.
    dtype : {"float64", "float32"}
        The one floating type of all arrays.

    Returns
    -------
    Routines

    Examples
    --------
    >>> import numpy as np
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.symbolic.derivation import derive
    >>> routines = generate(derive(chain([2, 3, 1])))
    >>> theta = routines.initial(seed=0)
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [0.0]])
    >>> value, gradient = routines.value_and_grad(theta, X, Y)
    >>> [tuple(array.shape for array in layer) for layer in gradient]
    [((3, 2), (3,)), ((1, 3), (1,))]
    """
    program = lower(derivation)
    return Routines(program.problem, emit(program), dtype, program)


@dataclass(frozen=True)
class Routines:
    """The emitted module of a problem, callable.

    ``theta`` is a tuple of pairs (W^k, b^k) with the shapes of ``problem.shapes``; ``X`` is (M, n_0)
    and ``Y`` (M, n_N). Arrays may be lists, integers or of lower precision, in any memory order: they
    are converted exactly or refused (a list of Python floats is float64), and never modified. Two
    equal calls give equal bits. Where two results are equal by definition, as x^k = z^k of an
    identity layer, they may be one array.

    Attributes
    ----------
    problem : Problem
    source : str
        The Python module that does the arithmetic; runs without this package.
    dtype : {"float64", "float32"}
    program : Program or None
        The intermediate representation with provenance; None for code that was loaded.
    """

    problem: Problem
    source: str
    dtype: str = "float64"
    program: Program | None = field(default=None, compare=False, repr=False)
    _functions: dict[str, Callable[..., Any]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in _LABEL_TOLERANCE:
            raise DataError(f"unknown dtype {self.dtype!r}; known: float64, float32")
        object.__setattr__(self, "_functions", _load(self.source))

    def __reduce__(self) -> tuple[Any, ...]:
        return Routines, (self.problem, self.source, self.dtype)

    # -- the routines --------------------------------------------------------------------------

    def forward(self, theta: Any, X: Any) -> Layers:
        """States ((z^1, x^1), ..., (z^N, x^N)), each (M, n_k): ∂L/∂λ = 0 solved for x."""
        return cast(Layers, self._functions["forward"](self.theta(theta), self.inputs(X)))

    def loss(self, theta: Any, X: Any, Y: Any) -> float:
        """J(x(θ), θ)."""
        theta, X, Y = self._point(theta, X, Y)
        return float(self._functions["loss"](theta, self._functions["forward"](theta, X), Y))

    def backward(self, theta: Any, states: Any, Y: Any) -> Layers:
        """Multipliers ((μ^1, λ^1), ..., (μ^N, λ^N)): ∂L/∂x = 0 solved for λ, given states.

        λ^k is −∂J/∂x^k and has its shape; it carries the 1/M.
        """
        theta, states, Y = self.theta(theta), self.layers(states, "states", 2), self.labels(Y)
        self._same_batch(Y, "Y", states[0][1], "states")
        return cast(Layers, self._functions["backward"](theta, states, Y))

    def gradient(self, theta: Any, X: Any, Y: Any) -> Theta:
        """((∂J/∂W^1, ∂J/∂b^1), ...), the gradient of the reduced objective."""
        theta, X, Y = self._point(theta, X, Y)
        return self._gradient(theta, X, Y, self._functions["forward"](theta, X))

    def value_and_grad(self, theta: Any, X: Any, Y: Any) -> tuple[float, Theta]:
        """J and its gradient, from one forward and one backward pass."""
        theta, X, Y = self._point(theta, X, Y)
        states = self._functions["forward"](theta, X)
        value = float(self._functions["loss"](theta, states, Y))
        return value, self._gradient(theta, X, Y, states)

    def update(self, theta: Any, gradients: Any, eta: Any) -> Theta:
        """θ − η ∂J/∂θ."""
        theta, gradients = self.theta(theta), self.theta(gradients, "gradients")
        step = self._functions["update"]
        return cast(Theta, step(theta, gradients, _step_size(eta)))

    def residuals(self, theta: Any, X: Any, Y: Any, states: Any, multipliers: Any) -> Layers:
        """∇L of the activation splitting at any (x, λ, θ), feasible or not.

        Returns (∂L/∂λ^k, ∂L/∂x^k, ∂L/∂W^k, ∂L/∂b^k) for each layer. Of ``states`` and
        ``multipliers`` only x^k and λ^k are read.
        """
        theta, X, Y = self._point(theta, X, Y)
        states = self.layers(states, "states", 2)
        multipliers = self.layers(multipliers, "multipliers", 2)
        for arrays, name in ((states, "states"), (multipliers, "multipliers")):
            self._same_batch(X, "X", arrays[0][1], name)
        function = self._functions["residuals"]
        return cast(Layers, function(theta, X, Y, states, multipliers))

    def _gradient(self, theta: Theta, X: Array, Y: Array, states: Layers) -> Theta:
        multipliers = self._functions["backward"](theta, states, Y)
        return cast(Theta, self._functions["gradient"](theta, X, states, multipliers))

    # -- flat vectors for SciPy ----------------------------------------------------------------

    def pack(self, theta: Any) -> Array:
        """(W^1, b^1, ..., W^N, b^N), row-wise, as one vector of length ``problem.size``."""
        checked = self.theta(theta)
        return np.concatenate([array.ravel() for layer in checked for array in layer])

    def unpack(self, flat: Any) -> Theta:
        """The inverse of :meth:`pack`; the arrays are views of ``flat``."""
        vector = self._array(flat, "flat parameters", (self.problem.size,))
        theta, start = [], 0
        for shapes in self.problem.shapes:
            layer = []
            for shape in shapes:
                size = int(np.prod(shape))
                layer.append(vector[start : start + size].reshape(shape))
                start += size
            theta.append((layer[0], layer[1]))
        return tuple(theta)

    def fun(self, flat: Any, X: Any, Y: Any) -> tuple[float, Array]:
        """J and its gradient as a vector: ``scipy.optimize.minimize(fun, x0, (X, Y), jac=True)``."""
        value, gradient = self.value_and_grad(self.unpack(flat), X, Y)
        return value, np.concatenate([array.ravel() for layer in gradient for array in layer])

    def initial(self, seed: int | np.random.Generator = 0) -> Theta:
        """Random parameters: W^k uniform in ±√(6/(n_k + n_{k-1})) (Glorot & Bengio 2010), b^k = 0."""
        rng = np.random.default_rng(seed)
        theta = []
        for (after, before), _ in self.problem.shapes:
            bound = np.sqrt(6 / (after + before))
            W = rng.uniform(-bound, bound, size=(after, before)).astype(self.dtype)
            theta.append((W, np.zeros(after, dtype=self.dtype)))
        return tuple(theta)

    # -- checks --------------------------------------------------------------------------------

    def theta(self, theta: Any, name: str = "theta") -> Theta:
        """Parameters (or gradients) as arrays of the right shapes.

        Raises
        ------
        DataError
            Naming layer and array, for a wrong number of layers, shape, type, NaN or infinity.
        """
        rows = _sequence(theta, name, self.problem.depth, "pairs (W, b), one per layer")
        checked = []
        for k, (row, (weight, bias)) in enumerate(zip(rows, self.problem.shapes, strict=True), 1):
            W, b = _sequence(row, f"{name}, layer {k}", 2, "(W, b)")
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
        outside = np.argwhere((checked < 0) | (checked > 1))
        if len(outside):
            i, p = outside[0]
            raise DataError(f"Y[{i}, {p}] is {checked[i, p]:g}; {loss} needs labels in [0, 1]")
        sums = checked.sum(axis=1)
        off = np.flatnonzero(abs(sums - 1) > _LABEL_TOLERANCE[self.dtype])
        if kind == "distribution" and len(off):
            raise DataError(
                f"row {off[0]} of Y sums to {sums[off[0]]:g}; {loss} needs one-hot labels, or "
                "probabilities that sum to 1"
            )
        return checked

    def layers(self, arrays: Any, name: str, count: int) -> Layers:
        """States or multipliers: ``count`` arrays (M, n_k) per layer."""
        rows = _sequence(arrays, name, self.problem.depth, f"{count} arrays per layer")
        checked = []
        for k, (row, width) in enumerate(zip(rows, self.problem.widths[1:], strict=True), 1):
            items = _sequence(row, f"{name}, layer {k}", count, f"{count} arrays")
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
        array = _floating(value, name, self.dtype)
        if shape is not None and array.shape != shape:
            raise DataError(f"{name} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            where = tuple(int(j) for j in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{name} holds {array[where]} at index {where}; it has to be finite")
        return array


def _floating(value: Any, name: str, dtype: str) -> Array:
    """An array of the given type, if that conversion loses nothing."""
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array; fill or remove the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name} is not a rectangular array: {error}") from None
    if array.dtype.kind in "biu":
        return _exact(array, name, dtype)
    if array.dtype.kind != "f":
        raise DataError(f"{name} has type {array.dtype}, expected real numbers")
    if array.dtype.itemsize > np.dtype(dtype).itemsize:
        raise DataError(
            f"{name} is {array.dtype}, the routines are {dtype}: converting would lose digits; "
            f"convert it yourself with .astype(np.{dtype}), or generate(..., dtype={str(array.dtype)!r})"
        )
    return array.astype(dtype, copy=False)


def _exact(integers: Array, name: str, dtype: str) -> Array:
    """Integers as floating numbers, if all of them are floating numbers."""
    array = integers.astype(dtype)
    largest = 2 ** (np.finfo(dtype).nmant + 1)
    outside = (integers > largest) | (integers < -largest) if integers.dtype.kind != "b" else []
    for at in np.argwhere(outside):
        where = tuple(int(j) for j in at)
        if int(array[where]) != int(integers[where]):
            raise DataError(f"{name} holds {integers[where]} at index {where}, which is no {dtype}")
    return array


def _step_size(eta: Any) -> float:
    try:
        value = float(eta)
    except (TypeError, ValueError):
        value = float("nan")
    if isinstance(eta, (bool, str)) or not np.isfinite(value):
        raise DataError(f"the step size eta is {eta!r}; it has to be a finite number")
    return value


def _sequence(value: Any, name: str, length: int, what: str) -> Sequence[Any]:
    if not isinstance(value, (tuple, list)):
        raise DataError(f"{name} is a {type(value).__name__}, expected a tuple of {what}")
    if len(value) != length:
        raise DataError(f"{name} has {len(value)} entries, expected {length}: {what}")
    return value


def _load(source: str) -> dict[str, Callable[..., Any]]:
    """Execute an emitted module; tracebacks show its lines."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<lagrangenet {digest}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": f"lagrangenet_generated_{digest}"}
    # The source is emitted by this package, or handed over by the caller as code to run.
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    return namespace
