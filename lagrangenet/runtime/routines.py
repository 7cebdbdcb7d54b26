"""Generated code as an object: checked arrays in, plain arrays out.

The arithmetic is in the emitted module alone (``Routines.source``); this file loads it, checks what
goes in, and packs parameters into vectors for SciPy. It refuses what could only be a mistake:
wrong shapes, NaN and infinity, an empty batch, lossy conversions, labels the loss is not made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast, overload

import numpy as np

from lagrangenet.emit import TARGETS
from lagrangenet.emit.numpy import emit
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Program
from lagrangenet.routines.lower import lower
from lagrangenet.runtime.arrays import Array, Layers, Theta, generator, packed, step_size
from lagrangenet.runtime.choose import AUTO
from lagrangenet.runtime.graphs import GraphRoutines, generate_graph
from lagrangenet.runtime.guards import guarded
from lagrangenet.runtime.kkt import KKT, ChainLayout, assemble
from lagrangenet.runtime.load import load
from lagrangenet.runtime.targeted import Targeted
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.graphs.derivation import GraphDerivation


@overload
def generate(
    derivation: GraphDerivation, dtype: str = ..., target: str = ..., threads: int = ...
) -> GraphRoutines: ...


@overload
def generate(
    derivation: Derivation, dtype: str = ..., target: str = ..., threads: int = ...
) -> Routines: ...


def generate(
    derivation: Derivation | GraphDerivation,
    dtype: str = "float64",
    target: str = "numpy",
    threads: int = 1,
) -> Routines | GraphRoutines:
    """Generate the routines of a derivation's problem.

    Parameters
    ----------
    derivation : Derivation or GraphDerivation
        From :func:`lagrangenet.derive`.
    dtype : {"float64", "float32"}
        The one floating type of all arrays.
    target : str
        What computes the objective, one of :data:`lagrangenet.emit.TARGETS` or "auto", which takes
        the one that is expected to be fastest. The stages (forward, backward, residuals, ...) are
        NumPy in any case.
    threads : int
        How many share a batch in compiled code; other targets follow their libraries' settings.

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
    if target != AUTO:
        TARGETS[target].require()
    if isinstance(derivation, GraphDerivation):
        if target not in {AUTO, "numpy"}:
            raise DerivationError(f"the target {target!r} is for chains; a graph has 'numpy' alone")
        return generate_graph(derivation, dtype)
    program = lower(derivation)
    return Routines(program.problem, emit(program), dtype, program, target, threads)


@dataclass(frozen=True)
class Routines(Targeted):
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
    target : str
        What computes the :meth:`objective`.
    threads : int
        In compiled code.
    """

    problem: Problem
    source: str
    dtype: str = "float64"
    program: Program | None = field(default=None, compare=False, repr=False)
    target: str = "numpy"
    threads: int = 1
    _functions: dict[str, Callable[..., Any]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._set(guarded(load(self.source), self.problem))

    def __reduce__(self) -> tuple[Any, ...]:
        return Routines, (self.problem, self.source, self.dtype, None, self.target, self.threads)

    # -- the routines --------------------------------------------------------------------------

    def forward(self, theta: Any, X: Any) -> Layers:
        """States ((z^1, x^1), ..., (z^N, x^N)), each (M, n_k): ∂L/∂λ = 0 solved for x."""
        return cast(Layers, self._functions["forward"](self.theta(theta), self.inputs(X)))

    def loss(self, theta: Any, X: Any, Y: Any) -> float:
        """J(x(θ), θ)."""
        theta, X, Y = self._point(theta, X, Y)
        if self.target != "numpy":
            return self._objective(X, Y).value(packed(theta))
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
        return self.value_and_grad(theta, X, Y)[1]

    def value_and_grad(self, theta: Any, X: Any, Y: Any) -> tuple[float, Theta]:
        """J and its gradient, from one forward and one backward pass."""
        theta, X, Y = self._point(theta, X, Y)
        if self.target != "numpy":
            value, gradient = self._objective(X, Y)(packed(theta))
            return value, self.unpack(gradient)
        states = self._functions["forward"](theta, X)
        value = float(self._functions["loss"](theta, states, Y))
        multipliers = self._functions["backward"](theta, states, Y)
        return value, cast(Theta, self._functions["gradient"](theta, X, states, multipliers))

    def update(self, theta: Any, gradients: Any, eta: Any) -> Theta:
        """θ − η ∂J/∂θ."""
        theta, gradients = self.theta(theta), self.theta(gradients, "gradients")
        step = self._functions["update"]
        return cast(Theta, step(theta, gradients, step_size(eta)))

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

    # -- second order --------------------------------------------------------------------------

    def hessian_product(self, theta: Any, X: Any, Y: Any, direction: Any) -> Theta:
        """∇²J θ̇: the Hessian of the reduced objective times a direction, in the shapes of θ.

        At a kink σ″ is zero, as on both sides of it.
        """
        if self.target != "numpy":
            return self._by_target("hessp", theta, X, Y, direction)
        point = self._moved(theta, X, Y, direction)
        theta, X, Y, direction, states, tangents = point
        multipliers = self._functions["backward"](theta, states, Y)
        adjoints = self._functions["second_adjoint"](
            theta, Y, states, multipliers, direction, tangents
        )
        product = self._functions["hessian_product"]
        return cast(Theta, product(theta, X, states, multipliers, direction, tangents, adjoints))

    def gauss_newton_product(self, theta: Any, X: Any, Y: Any, direction: Any) -> Theta:
        """The Gauss-Newton matrix times a direction: ∇²J without the curvature of the network.

        For cross-entropy of softmax it is the generalized one, with respect to z^N.
        """
        if self.target != "numpy":
            return self._by_target("gauss_newtonp", theta, X, Y, direction)
        theta, X, Y, direction, states, tangents = self._moved(theta, X, Y, direction)
        adjoints = self._functions["gauss_newton_adjoint"](theta, Y, states, tangents)
        product = self._functions["gauss_newton_product"]
        return cast(Theta, product(theta, X, states, direction, adjoints))

    def kkt_product(
        self,
        theta: Any,
        X: Any,
        Y: Any,
        states: Any,
        multipliers: Any,
        direction: Any,
        state_tangents: Any,
        multiplier_tangents: Any,
    ) -> Layers:
        """∇²L times (λ̇, ẋ, θ̇) of the activation splitting at any (x, λ, θ), feasible or not.

        Returns (∂L̇/∂λ^k, ∂L̇/∂x^k, ∂L̇/∂W^k, ∂L̇/∂b^k) for each layer. ``states`` and
        ``multipliers`` are as in :meth:`residuals`; their tangents are tuples of one (M, n_k) array
        per layer, ((ẋ^1,), ..., (ẋ^N,)) and ((λ̇^1,), ..., (λ̇^N,)).
        """
        function = self._second("kkt_product")
        theta, X, Y = self._point(theta, X, Y)
        direction = self.theta(direction, "direction")
        layers = []
        for arrays, name, count in (
            (states, "states", 2),
            (multipliers, "multipliers", 2),
            (state_tangents, "state_tangents", 1),
            (multiplier_tangents, "multiplier_tangents", 1),
        ):
            layers.append(self.layers(arrays, name, count))
            self._same_batch(X, "X", layers[-1][0][-1], name)
        states, multipliers, *tangents = layers
        return cast(Layers, function(theta, X, Y, states, multipliers, direction, *tangents))

    def kkt_matrix(
        self, theta: Any, X: Any, Y: Any, states: Any = None, multipliers: Any = None
    ) -> KKT:
        """∇²L of the activation splitting at (x, λ, θ), as sparse matrices.

        Parameters
        ----------
        theta, X, Y
            The point and the data.
        states, multipliers
            As in :meth:`residuals`; by default those that θ gives, so that ∂L/∂λ = ∂L/∂x = 0.

        Returns
        -------
        KKT
            Blocks in the order v = (x^1, ..., x^N, W^1, b^1, ..., W^N, b^N), then λ^1, ..., λ^N.

        Examples
        --------
        >>> from lagrangenet.problem import chain
        >>> from lagrangenet.symbolic.derivation import derive
        >>> routines = generate(derive(chain([1, 1]), order=2))
        >>> kkt = routines.kkt_matrix(routines.initial(), [[2.0]], [[0.0]])
        >>> print(kkt.jacobian.toarray())
        [[ 1. -2. -1.]]
        >>> print(kkt.reduced_hessian())
        [[4. 2.]
         [2. 1.]]
        """
        function = self._second("kkt_product")
        theta, X, Y = self._point(theta, X, Y)
        states = self.forward(theta, X) if states is None else self.layers(states, "states", 2)
        if multipliers is None:
            multipliers = self._functions["backward"](theta, states, Y)
        multipliers = self.layers(multipliers, "multipliers", 2)
        for arrays, name in ((states, "states"), (multipliers, "multipliers")):
            self._same_batch(X, "X", arrays[0][1], name)
        layout = ChainLayout(self.problem, len(X))
        return assemble(layout, partial(function, theta, X, Y, states, multipliers), self.dtype)

    def _moved(self, theta: Any, X: Any, Y: Any, direction: Any) -> tuple[Any, ...]:
        """A checked point and direction, the states there and their tangents."""
        function = self._second("tangent")
        theta, X, Y = self._point(theta, X, Y)
        direction = self.theta(direction, "direction")
        states = self._functions["forward"](theta, X)
        return theta, X, Y, direction, states, function(theta, X, states, direction)

    def _by_target(self, product: str, theta: Any, X: Any, Y: Any, direction: Any) -> Theta:
        theta, X, Y = self._point(theta, X, Y)
        along = packed(self.theta(direction, "direction"))
        return self.unpack(getattr(self._objective(X, Y), product)(packed(theta), along))

    # -- flat vectors for SciPy ----------------------------------------------------------------

    def pack(self, theta: Any) -> Array:
        """(W^1, b^1, ..., W^N, b^N), row-wise, as one vector of length ``problem.size``."""
        return packed(self.theta(theta))

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
        return value, packed(gradient)

    def hessp(self, flat: Any, p: Any, X: Any, Y: Any) -> Array:
        """∇²J p as a vector: ``minimize(fun, x0, (X, Y), jac=True, hessp=hessp)``."""
        return packed(self.hessian_product(self.unpack(flat), X, Y, self.unpack(p)))

    def gauss_newtonp(self, flat: Any, p: Any, X: Any, Y: Any) -> Array:
        """The Gauss-Newton matrix times p, as :meth:`hessp`."""
        return packed(self.gauss_newton_product(self.unpack(flat), X, Y, self.unpack(p)))

    def initial(self, seed: int | np.random.Generator = 0) -> Theta:
        """Random parameters: W^k uniform in ±√(6/(n_k + n_{k-1})) (Glorot & Bengio 2010), b^k = 0."""
        rng = generator(seed)
        theta = []
        for (after, before), _ in self.problem.shapes:
            bound = np.sqrt(6 / (after + before))
            W = rng.uniform(-bound, bound, size=(after, before)).astype(self.dtype)
            theta.append((W, np.zeros(after, dtype=self.dtype)))
        return tuple(theta)
