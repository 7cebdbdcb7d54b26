"""Generated code of a graph as an object: dictionaries of checked arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import sympy as sp

from lagrangenet.emit.graphs import emit_graph
from lagrangenet.errors import DataError, DerivationError
from lagrangenet.graph import Graph
from lagrangenet.layers.equation import M
from lagrangenet.routines.graph_ir import GraphProgram
from lagrangenet.routines.graphs import lower_graph
from lagrangenet.runtime.arrays import Array, floating, generator, step_size
from lagrangenet.runtime.checks import LABEL_TOLERANCE
from lagrangenet.runtime.graph_layout import GraphLayout
from lagrangenet.runtime.kkt import KKT, assemble
from lagrangenet.runtime.load import load
from lagrangenet.runtime.loaded import Loaded
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.graphs.network import network

Arrays = dict[str, Array]


def generate_graph(derivation: GraphDerivation, dtype: str = "float64") -> GraphRoutines:
    """Generate the routines of a graph; called by :func:`lagrangenet.generate`."""
    program = lower_graph(network(derivation.problem), derivation.order)
    return GraphRoutines(derivation.problem, emit_graph(program), dtype, program)


@dataclass(frozen=True)
class GraphRoutines(Loaded):
    """The emitted module of a graph, callable.

    Parameters, inputs, states and multipliers are dictionaries by name. Arrays are converted exactly
    or refused, and never modified. Two equal calls give equal bits. Where two results are equal by
    definition they may be one array.

    Attributes
    ----------
    problem : Graph
    source : str
        The Python module that does the arithmetic; runs without this package.
    dtype : {"float64", "float32"}
    program : GraphProgram or None
        The statements with provenance; None for code that was loaded.

    Examples
    --------
    >>> import lagrangenet as ln
    >>> graph = ln.Problem.graph({"x": 2}, [ln.Constraint("y", "dense", "x", m=1)])
    >>> routines = ln.generate(ln.derive(graph))
    >>> value, gradient = routines.value_and_grad(
    ...     {"W_y": [[1.0, 2.0]], "b_y": [0.0]}, {"x": [[1.0, 1.0]]}, [[2.0]]
    ... )
    >>> value, gradient["W_y"].tolist()
    (0.5, [[1.0, 1.0]])
    """

    problem: Graph
    source: str
    dtype: str = "float64"
    program: GraphProgram | None = field(default=None, compare=False, repr=False)
    _functions: dict[str, Callable[..., Any]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._set(load(self.source))

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphRoutines, (self.problem, self.source, self.dtype)

    # -- the routines ------------------------------------------------------------------------------

    def forward(self, theta: Any, inputs: Any) -> Arrays:
        """Every state by name: ∂L/∂λ = 0 solved for it."""
        theta, inputs = self._point(theta, inputs)
        return cast(Arrays, self._functions["forward"](theta, inputs))

    def loss(self, theta: Any, inputs: Any, Y: Any) -> float:
        """J(x(θ), θ)."""
        theta, inputs, Y = self._sample(theta, inputs, Y)
        states = self._functions["forward"](theta, inputs)
        return float(self._functions["loss"](theta, states, Y))

    def backward(self, theta: Any, inputs: Any, states: Any, Y: Any) -> Arrays:
        """Multipliers by the state that they belong to: ∂L/∂x = 0 solved for λ, given states."""
        theta, inputs, Y = self._sample(theta, inputs, Y)
        states = self._checked(states, "states", self.problem.states, inputs)
        return cast(Arrays, self._functions["backward"](theta, inputs, states, Y))

    def gradient(self, theta: Any, inputs: Any, Y: Any) -> Arrays:
        """∂J/∂θ by the parameter's name."""
        return self.value_and_grad(theta, inputs, Y)[1]

    def value_and_grad(self, theta: Any, inputs: Any, Y: Any) -> tuple[float, Arrays]:
        """J and its gradient, from one forward and one backward pass."""
        theta, inputs, Y = self._sample(theta, inputs, Y)
        states, multipliers = self._solved(theta, inputs, Y)
        value = float(self._functions["loss"](theta, states, Y))
        return value, self._functions["gradient"](theta, inputs, states, multipliers)

    def update(self, theta: Any, gradients: Any, eta: Any) -> Arrays:
        """θ − η ∂J/∂θ."""
        names = self.problem.parameters
        theta, gradients = (self._checked(a, n, names) for a, n in
                            ((theta, "theta"), (gradients, "gradients")))  # fmt: skip
        return cast(Arrays, self._functions["update"](theta, gradients, step_size(eta)))

    def residuals(self, theta: Any, inputs: Any, Y: Any, states: Any, multipliers: Any) -> Arrays:
        """∇L at any point: ``lambda_x`` → x − f(x, θ), x → ∂L/∂x, W → ∂L/∂W."""
        theta, inputs, Y = self._sample(theta, inputs, Y)
        states = self._checked(states, "states", self.problem.states, inputs)
        multipliers = self._multipliers(multipliers, inputs)
        function = self._functions["residuals"]
        return cast(Arrays, function(theta, inputs, Y, states, multipliers))

    def hessian_product(self, theta: Any, inputs: Any, Y: Any, direction: Any) -> Arrays:
        """∇²J θ̇, the Hessian of the reduced objective times a direction."""
        return self._product("hessian_product", theta, inputs, Y, direction)

    def gauss_newton_product(self, theta: Any, inputs: Any, Y: Any, direction: Any) -> Arrays:
        """Jᵀ ℓ″ J θ̇: the Hessian product at λ = 0, plus the regularizer's."""
        return self._product("gauss_newton_product", theta, inputs, Y, direction)

    def kkt_product(
        self,
        theta: Any,
        inputs: Any,
        Y: Any,
        states: Any,
        multipliers: Any,
        direction: Any,
        state_tangents: Any,
        multiplier_tangents: Any,
    ) -> Arrays:
        """∇²L times (θ̇, ẋ, λ̇) at any point, by the names of :meth:`residuals`."""
        theta, inputs, Y = self._sample(theta, inputs, Y)
        states = self._checked(states, "states", self.problem.states, inputs)
        multipliers = self._multipliers(multipliers, inputs)
        direction = self._checked(direction, "direction", self.problem.parameters)
        moving = tuple(multipliers)
        state_tangents = self._checked(state_tangents, "state_tangents", moving, inputs)
        multiplier_tangents = self._multipliers(multiplier_tangents, inputs)
        function = self._second("kkt_product")
        return cast(Arrays, function(theta, inputs, Y, states, multipliers, direction,
                                     state_tangents, multiplier_tangents))  # fmt: skip

    def kkt_matrix(
        self, theta: Any, inputs: Any, Y: Any, states: Any = None, multipliers: Any = None
    ) -> KKT:
        """∇²L at (x, λ, θ), as sparse matrices.

        The order of v is that of ``problem.states``, each (M, ...) row by row, without constants;
        then ``problem.parameters``. States and multipliers are by default those that θ gives.

        Examples
        --------
        >>> import lagrangenet as ln
        >>> graph = ln.Problem.graph({"x": 1}, [ln.Constraint("y", "affine", "x", m=1)])
        >>> routines = ln.generate(ln.derive(graph, order=2))
        >>> kkt = routines.kkt_matrix(routines.initial(), {"x": [[2.0]]}, [[0.0]])
        >>> print(kkt.jacobian.toarray())
        [[ 1. -2. -1.]]
        """
        theta, inputs, Y = self._sample(theta, inputs, Y)
        if coupled := self.problem.couples_samples:
            raise DerivationError(
                f"the equation of {coupled!r} reads other samples than its own; the sparse matrix is "
                "assembled sample by sample, so use hessian_product or kkt_product"
            )
        if states is None:
            states = self._functions["forward"](theta, inputs)
        states = self._checked(states, "states", self.problem.states, inputs)
        if multipliers is None:
            multipliers = self._functions["backward"](theta, inputs, states, Y)
        multipliers = self._multipliers(multipliers, inputs)
        product = partial(self._second("kkt_product"), theta, inputs, Y, states, multipliers)
        return assemble(GraphLayout(self.problem, states, multipliers), product, self.dtype)

    def _product(self, name: str, theta: Any, inputs: Any, Y: Any, direction: Any) -> Arrays:
        theta, inputs, Y = self._sample(theta, inputs, Y)
        direction = self._checked(direction, "direction", self.problem.parameters)
        states, multipliers = self._solved(theta, inputs, Y)
        function = self._second(name)
        return cast(Arrays, function(theta, inputs, Y, states, multipliers, direction))

    def _solved(self, theta: Arrays, inputs: Arrays, Y: Array) -> tuple[Arrays, Arrays]:
        states = self._functions["forward"](theta, inputs)
        return states, self._functions["backward"](theta, inputs, states, Y)

    # -- flat vectors for SciPy ----------------------------------------------------------------------

    def pack(self, theta: Any) -> Array:
        """All parameters, each row by row, as one vector of length ``problem.size``."""
        return self._packed(self._checked(theta, "theta", self.problem.parameters))

    def _packed(self, arrays: Arrays) -> Array:
        none = np.empty(0, self.dtype)
        return np.concatenate([none, *(arrays[n].ravel() for n in self.problem.parameters)])

    def unpack(self, flat: Any) -> Arrays:
        """The inverse of :meth:`pack`; the arrays are views of ``flat``."""
        vector = floating(flat, "flat parameters", self.dtype)
        if vector.shape != (self.problem.size,):
            raise DataError(
                f"flat parameters have shape {vector.shape}, expected ({self.problem.size},)"
            )
        theta, start = {}, 0
        for name in self.problem.parameters:
            shape = cast(tuple[int, ...], self.problem.shape_of(name))
            size = int(np.prod(shape))
            theta[name] = vector[start : start + size].reshape(shape)
            start += size
        return theta

    def fun(self, flat: Any, inputs: Any, Y: Any) -> tuple[float, Array]:
        """J and its gradient as a vector, for ``scipy.optimize.minimize(..., jac=True)``."""
        value, gradient = self.value_and_grad(self.unpack(flat), inputs, Y)
        return value, self._packed(gradient)

    def hessp(self, flat: Any, p: Any, inputs: Any, Y: Any) -> Array:
        """The Hessian product of flat vectors, for ``scipy.optimize.minimize(..., hessp=...)``."""
        return self._packed(self.hessian_product(self.unpack(flat), inputs, Y, self.unpack(p)))

    def initial(self, seed: int | np.random.Generator = 0) -> Arrays:
        """Random parameters: uniform in ±√(6/(fan in + fan out)), vectors that scale 1, biases 0.

        Weights have two or more axes; a vector called ``g`` in its layer scales, any other shifts.
        """
        rng = generator(seed)
        local = {g: p for c in self.problem.constraints for p, g in c.names}
        theta = {}
        for name in self.problem.parameters:
            shape = cast(tuple[int, ...], self.problem.shape_of(name))
            if len(shape) > 1:
                fan = shape[0] + int(np.prod(shape[1:]))
                bound = np.sqrt(6 / fan)
                theta[name] = rng.uniform(-bound, bound, shape).astype(self.dtype)
            else:
                theta[name] = np.full(shape, float(local[name] == "g"), self.dtype)
        return theta

    # -- checks ------------------------------------------------------------------------------------

    def inputs(self, inputs: Any) -> Arrays:
        """Inputs as arrays that fit the graph and each other.

        Raises
        ------
        DataError
            Naming the input, for a wrong shape, type, NaN or infinity, or a token out of range.
        """
        names = tuple(name for name, _ in self.problem.inputs)
        arrays = self._named(inputs, "inputs", names)
        checked = {name: self._input(name, value) for name, value in arrays.items()}
        self._lengths(checked)
        return checked

    def labels(self, Y: Any) -> Array:
        """Labels as an array for which the loss is defined."""
        labels = self._labels(floating(Y, "Y", self.dtype))
        _finite("Y", labels)
        return labels

    def data(self, inputs: Any, Y: Any) -> tuple[Arrays, Array]:
        """Inputs and labels as arrays that fit the graph."""
        _, inputs, labels = self._sample(self.initial(), inputs, Y)
        return inputs, labels

    def _sample(self, theta: Any, inputs: Any, Y: Any) -> tuple[Arrays, Arrays, Array]:
        theta, inputs = self._point(theta, inputs)
        labels = self.labels(Y)
        sizes = self._lengths(inputs)
        self._shape_matches("Y", labels, self.problem.output, sizes, "the output")
        return theta, inputs, labels

    def _point(self, theta: Any, inputs: Any) -> tuple[Arrays, Arrays]:
        return self._checked(theta, "theta", self.problem.parameters), self.inputs(inputs)

    def _input(self, name: str, value: Any) -> Array:
        if name not in self.problem.integers:
            array = floating(value, f"inputs: {name}", self.dtype)
            _finite(f"inputs: {name}", array)
            return array
        if isinstance(value, np.ma.MaskedArray):
            raise DataError(f"inputs: {name} is a masked array; fill the masked entries first")
        try:
            tokens = np.asarray(value)
        except ValueError as error:
            raise DataError(f"inputs: {name} is not a rectangular array: {error}") from None
        if tokens.dtype.kind not in "iu":
            raise DataError(f"inputs: {name} holds subscripts, so it has to be whole numbers")
        limit = self.problem.limit_of(name)
        if tokens.size and (tokens.min() < 0 or tokens.max() >= limit):
            raise DataError(f"inputs: {name} has to be in 0..{limit - 1}")
        return tokens

    def _labels(self, Y: Array) -> Array:
        kind, loss = self.problem.loss_entry.labels, self.problem.loss.name
        if kind == "real" or Y.ndim == 0:
            return Y
        if kind == "sign":
            allowed = "labels −1 and 1"
            good = np.isin(Y, (-1, 1))
        else:
            allowed = "labels in [0, 1]"
            good = (Y >= 0) & (Y <= 1)
        if not good.all():
            raise DataError(f"Y holds {Y[~good][0]:g}; {loss} needs {allowed}")
        sums = Y.sum(axis=-1)
        if kind == "distribution" and (abs(sums - 1) > LABEL_TOLERANCE[self.dtype]).any():
            raise DataError(
                f"a row of Y does not sum to 1; {loss} needs one-hot labels or probabilities"
            )
        return Y

    def _lengths(self, inputs: Arrays) -> dict[sp.Symbol, int]:
        """Sizes of a batch: the number of samples, and of axes that may have any length."""
        sizes: dict[sp.Symbol, int] = {}
        for name, array in inputs.items():
            self._shape_matches(f"inputs: {name}", array, name, sizes, "the graph")
        swap = {s: sp.Integer(n) for s, n in sizes.items()}
        for size in self.problem.rules:
            if (length := self.problem.known(size).xreplace(swap).doit()) < 1:
                given = ", ".join(f"{s} = {n}" for s, n in sizes.items() if s != M)
                raise DataError(f"inputs are too short: {size} would be {length} with {given}")
        return sizes

    def _shape_matches(
        self,
        what: str,
        array: Array,
        name: str,
        sizes: dict[sp.Symbol, int],
        whose: str,
        determined: bool = False,
    ) -> None:
        limits = self.problem.shapes[name]
        expected = [self.problem.known(high if determined else high - low + 1)
                    for low, high in limits]  # fmt: skip
        shown = f"({', '.join(map(str, expected))})"
        if array.ndim != len(expected):
            raise DataError(f"{what} has shape {array.shape}, expected {shown} for {whose}")
        if array.shape[0] == 0:
            raise DataError(f"{what} has no samples; the mean over an empty batch is undefined")
        if array.size == 0:
            raise DataError(
                f"{what} has shape {array.shape}; every axis needs a length of at least 1"
            )
        for length, size in zip(array.shape, expected, strict=True):
            if size.is_Symbol and size not in sizes:
                sizes[size] = length
            wanted = size.xreplace({s: sp.Integer(n) for s, n in sizes.items()}).doit()
            if wanted != length:
                hint = f" with {M} = {sizes[M]}" if M in sizes else ""
                raise DataError(
                    f"{what} has shape {array.shape}, expected {shown}{hint} for {whose}"
                )

    def _multipliers(self, multipliers: Any, inputs: Arrays) -> Arrays:
        constants = network(self.problem).constants
        names = tuple(s for s in self.problem.states if s not in constants)
        return self._checked(multipliers, "multipliers", names, inputs)

    def _checked(
        self, arrays: Any, what: str, names: tuple[str, ...], inputs: Arrays | None = None
    ) -> Arrays:
        found = {}
        sizes = {} if inputs is None else self._lengths(inputs)
        for name, value in self._named(arrays, what, names).items():
            where = f"{what}: {name}"
            position = what == "states" and name in network(self.problem).constants
            whole = isinstance(value, np.ndarray) and value.dtype.kind == "i"
            array = value if position and whole else floating(value, where, self.dtype)
            self._shape_matches(where, array, name, dict(sizes), "the graph",
                                determined=what == "multipliers")  # fmt: skip
            _finite(where, array)
            found[name] = array
        return found

    def _named(self, arrays: Any, what: str, names: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(arrays, Mapping):
            raise DataError(f"{what} is a {type(arrays).__name__}, expected a dictionary by name")
        for name in names:
            if name not in arrays:
                raise DataError(f"{what} lacks {name!r}; it needs: {', '.join(names)}")
        if unknown := [name for name in arrays if name not in names]:
            raise DataError(f"{what} has an unknown {unknown[0]!r}; it needs: {', '.join(names)}")
        return {name: arrays[name] for name in names}


def _finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        where = tuple(int(j) for j in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{name} holds {array[where]} at index {where}; it has to be finite")
