"""The blocks of ∇²L of a chain, layer by layer, from generated routines.

The unknowns are θ, the states x^1, ..., x^{N−1}, z^N and their multipliers λ^1, ..., λ^{N−1}, μ^N
(:mod:`lagrangenet.routines.lifted`). θ is kept as matrices V^k = (W^k | b^k), row by row, so that a
layer is one product with (x^{k−1}, 1). Nothing here knows a derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any

import numpy as np

from lagrangenet.emit.blocks import emit_blocks
from lagrangenet.functions.base import w
from lagrangenet.problem import Problem
from lagrangenet.routines.lifted import full_output, lifted
from lagrangenet.runtime import Array
from lagrangenet.runtime.load import load
from lagrangenet.symbolic.derivatives import penalty


def flattened(arrays: list[Array]) -> Array:
    """One vector from arrays of layers."""
    return np.concatenate([array.ravel() for array in arrays])


@lru_cache(maxsize=32)
def source(problem: Problem) -> str:
    """The generated module of a chain's blocks."""
    return emit_blocks(lifted(problem))


@dataclass(frozen=True, eq=False)
class Values:
    """A point (θ, x) with the values of the network there.

    Attributes
    ----------
    theta : ndarray, shape (P,)
        V^1, ..., V^N.
    flat : ndarray, shape (m,)
        x^1, ..., x^{N−1}, z^N.
    states : list of ndarray
        The same, each (M, n_k); views.
    pairs : tuple
        (z^k, s^k = σ^k(z^k)) of every layer.
    gaps : list of ndarray
        c^k.
    largest : callable
        Where |a| is largest in a vector of numbers.
    fun, violation : float
        J and Σ |c|.
    worst : float
        Max |c|; not finite if one entry is not.
    """

    theta: Array
    flat: Array
    states: list[Array]
    pairs: tuple[tuple[Array, Array], ...]
    gaps: list[Array]
    largest: Callable[[Array], int]
    fun: float
    violation: float

    @cached_property
    def worst(self) -> float:
        """Max |c|."""
        if not isfinite(self.violation):
            return self.violation
        flat = [gap.ravel() for gap in self.gaps]
        return max(abs(float(gap[self.largest(gap)])) for gap in flat)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The factors of ∇²L at (θ, x, λ).

    Attributes
    ----------
    at : Values
    mu : list of ndarray
        μ^k = σ′ᵀ λ^k, and μ^N.
    slopes, curvatures : list of ndarray
        ∂σ^k/∂z^k and ∂(σ′ᵀ λ^k)/∂z^k for k < N: (M, n_k) where they are diagonal, else
        (M, n_k, n_k).
    wanted : ndarray, shape (M, n_N)
        −∂J/∂z^N, the μ^N that ∂L/∂z^N = 0 asks for.
    output : ndarray
        ∂²J/∂z^N², (M, n_N) or (M, n_N, n_N).
    penalty, bend : ndarray, shape (P,)
        ρ Ω′ and the diagonal of ρ Ω″.
    """

    at: Values
    mu: list[Array]
    slopes: list[Array]
    curvatures: list[Array]
    wanted: Array
    output: Array
    penalty: Array
    bend: Array


@dataclass(frozen=True, eq=False)
class Layered:
    """A chain with its data, ready to be evaluated anywhere.

    Parameters
    ----------
    problem : Problem
    X, Y : ndarray
        Checked data.
    """

    problem: Problem
    X: Array
    Y: Array
    run: dict[str, Any] = field(init=False)
    places: list[slice] = field(init=False)
    shapes: list[tuple[int, int]] = field(init=False)
    order: Array = field(init=False)
    parts: list[tuple[slice, tuple[int, int]]] = field(init=False)  # of x^1, ... in a flat vector
    full: list[bool] = field(init=False)  # whether the hidden layers couple their components
    ones: dict[str, Any] = field(init=False)
    absolute: Any = field(init=False)  # Σ |a| of a vector
    largest: Any = field(init=False)  # where |a| is largest
    still: Array | None = field(init=False)  # the diagonal of ρ Ω″, where it is the same everywhere

    def __post_init__(self) -> None:
        from scipy.linalg import blas  # here, because the import takes a while

        shapes = [(after, before + 1) for (after, before), _ in self.problem.shapes]
        ends = np.cumsum([rows * columns for rows, columns in shapes])
        places = [slice(end - r * c, end) for end, (r, c) in zip(ends, shapes, strict=True)]
        order = []
        for place, (rows, columns) in zip(places, shapes, strict=True):
            at = np.arange(place.start, place.stop).reshape(rows, columns)
            order += [at[:, :-1].ravel(), at[:, -1]]
        double = self.X.dtype == np.float64
        M, widths = len(self.X), self.problem.widths[1:]
        last = np.cumsum([M * n for n in widths]).tolist()
        found = {
            "run": load(source(self.problem)),
            "parts": [
                (slice(end - M * n, end), (M, n)) for end, n in zip(last, widths, strict=True)
            ],
            "full": [entry.coupled for entry in self.problem.activations[:-1]],
            "places": places,
            "shapes": shapes,
            "order": np.concatenate(order),
            "ones": self._ones(),
            "absolute": blas.dasum if double else blas.sasum,
            "largest": blas.idamax if double else blas.isamax,
            "still": None,
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
        chosen = self.problem.regularizer
        if chosen is None or not penalty(chosen, 2).has(w):
            object.__setattr__(self, "still", self.bend(self.ones["theta"]))

    def _ones(self) -> dict[str, Any]:
        M, dtype = len(self.X), self.X.dtype
        theta = tuple((np.ones(W, dtype), np.ones(b, dtype)) for W, b in self.problem.shapes)
        along = tuple((np.ones((M, n), dtype),) for n in self.problem.widths[1:])
        return {"theta": theta, "tangents": along}

    # -- θ ---------------------------------------------------------------------------------------

    def rows(self, theta: Array) -> Array:
        """θ with weights and biases row by row, from (W^1, b^1, ..., W^N, b^N)."""
        found = np.empty_like(theta)
        found[self.order] = theta
        return found

    def flat(self, rows: Array) -> Array:
        """The inverse of :meth:`rows`."""
        return rows[self.order]

    def matrices(self, theta: Array) -> list[Array]:
        """V^1, ..., V^N, views."""
        pairs = zip(self.places, self.shapes, strict=True)
        return [theta[place].reshape(shape) for place, shape in pairs]

    def shaped(self, theta: Array) -> tuple[tuple[Array, Array], ...]:
        """θ as routines take it, views."""
        return tuple((V[:, :-1], V[:, -1]) for V in self.matrices(theta))

    def split(self, flat: Array) -> list[Array]:
        """x^1, ..., x^{N−1}, z^N, or their multipliers, from a flat vector; views."""
        return [flat[part].reshape(shape) for part, shape in self.parts]

    # -- values and factors ------------------------------------------------------------------------

    def values(self, theta: Array, flat: Array) -> Values:
        """The network at (θ, x), feasible or not."""
        shaped, states = self.shaped(theta), self.split(flat)
        given = tuple((x, x) for x in states)
        found = self.run["constraints"](shaped, self.X, given)
        pairs = tuple((Z, S) for Z, S, _ in found)
        gaps = [gap for *_, gap in found]
        fun = float(self.run["loss"](shaped, pairs, self.Y))
        violation = float(sum(self.absolute(gap.ravel()) for gap in gaps))
        return Values(theta, flat, states, pairs, gaps, self.largest, fun, violation)

    def forward(self, theta: Array) -> Array:
        """x^1, ..., x^{N−1}, z^N of a forward pass, (m,)."""
        passed = self.run["forward"](self.shaped(theta), self.X)
        return flattened([X for _, X in passed[:-1]] + [passed[-1][0]])

    def adjoint(self, at: Values) -> Array:
        """The multipliers with ∂L/∂x = 0, at any states, (m,)."""
        states = tuple((z, s) for z, s in at.pairs)
        backward = self.run["backward"](self.shaped(at.theta), states, self.Y)
        return flattened([lam for _, lam in backward[:-1]] + [backward[-1][0]])

    def blocks(self, at: Values, multipliers: Array) -> Blocks:
        """The factors of ∇²L at a point."""
        parts = self.split(multipliers)
        lam = tuple((m, m) for m in parts)
        wanted, output = self.output(at)
        mu, slopes, curvatures = self._hidden(at, lam)
        shaped = self.shaped(at.theta)
        return Blocks(
            at,
            [*mu, parts[-1]],
            slopes,
            curvatures,
            wanted,
            output,
            self.joined(self.run["penalty"](shaped, self.ones["theta"])),
            self.bend(shaped) if self.still is None else self.still,
        )

    def bend(self, shaped: tuple[tuple[Array, Array], ...]) -> Array:
        """The diagonal of ρ Ω″."""
        return self.joined(self.run["bend"](shaped, self.ones["theta"]))

    def joined(self, parts: list[tuple[Array, Array]]) -> Array:
        """V^1, ..., V^N as a vector, from weights and biases."""
        found = np.empty(len(self.order), self.X.dtype)
        for V, (W, b) in zip(self.matrices(found), parts, strict=True):
            V[:, :-1], V[:, -1] = W, b
        return found

    def _hidden(
        self, at: Values, lam: tuple[tuple[Array, Array], ...]
    ) -> tuple[list[Array], list[Array], list[Array]]:
        full = self.full
        layers = range(len(full))
        found: dict[int, tuple[Array, ...]] = {}
        if not all(full):
            rows = self.run["factors"](at.pairs, lam)
            found |= dict(zip([k for k in layers if not full[k]], rows, strict=True))
        if any(full):
            coupled = [k for k in layers if full[k]]
            found |= dict(zip(coupled, self._directions(at, lam, coupled), strict=True))
        mu, slopes, curvatures = ([found[k][j] for k in layers] for j in range(3))
        return mu, slopes, curvatures

    def _directions(
        self, at: Values, lam: tuple[tuple[Array, Array], ...], coupled: list[int]
    ) -> list[tuple[Array, ...]]:
        """μ, σ′ and its derivative of the layers that need a direction for each component."""
        widths = self.problem.widths[1:]
        along = tuple((np.zeros_like(ones),) for (ones,) in self.ones["tangents"])
        found: list[list[tuple[Array, ...]]] = [[] for _ in coupled]
        for r in range(max(widths[k] for k in coupled)):
            moved = [k for k in coupled if r < widths[k]]
            for k in moved:
                along[k][0][:, r] = 1
            rows = self.run["coupled"](at.pairs, lam, along)
            for rows_of, row in zip(found, rows, strict=True):
                rows_of.append(row)
            for k in moved:
                along[k][0][:, r] = 0
        return [
            (rows[0][0], *(np.stack([row[j] for row in rows[: widths[k]]], axis=2) for j in (1, 2)))
            for k, rows in zip(coupled, found, strict=True)
        ]

    def output(self, at: Values) -> tuple[Array, Array]:
        """−∂J/∂z^N and ∂²J/∂z^N²."""
        wanted, second = self._along("output", at)
        return wanted, second

    def linearized(self, at: Values) -> Blocks:
        """The factors where the network is linearized: those of the Gauss-Newton matrix.

        Multipliers and curvatures are zero, and ℓ is taken with respect to what it is convex in.
        """
        found = self.blocks(at, self.adjoint(at))
        still = [np.zeros_like(array) for array in found.curvatures]
        return replace(
            found,
            mu=[np.zeros_like(mu) for mu in found.mu],
            curvatures=still,
            output=self._along("linear_output", at)[1],
        )

    def _along(self, name: str, at: Values) -> tuple[Array, Array]:
        """What a routine of the output returns, and minus its last array as a factor."""
        run = self.run[name]
        if not full_output(self.problem):
            ((*first, minus),) = run(self.Y, at.pairs)
            return first[0] if first else minus, -minus
        along = np.zeros_like(self.ones["tangents"][-1][0])
        columns = []
        for r in range(along.shape[1]):
            along[:, r] = 1
            ((*first, minus),) = run(self.Y, at.pairs, (*self.ones["tangents"][:-1], (along,)))
            columns.append(-minus)
            along[:, r] = 0
        return first[0] if first else minus, np.stack(columns, axis=2)
