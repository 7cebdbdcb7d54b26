"""Functions that no hand-written table knows: their declared expression, in 40-digit arithmetic.

Values are evaluated with mpmath and derivatives are *numeric* differences of these values, so that
an oracle for a new catalogue entry exists without repeating the derivation. Slow by design. It
refuses to differentiate at a declared kink, where the derivative is a matter of choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.errors import DataError
from lagrangenet.functions import ACTIVATIONS, LOSSES, Choice
from lagrangenet.verify import written_out

Array = NDArray[Any]
Pair = tuple[Callable[..., Array], Callable[..., Array]]

#: Digits of the arithmetic; differences then agree with the derivative far beyond float64.
DIGITS = 40


def activation(choice: Choice) -> Pair:
    """σ and σ' on (M, n) arrays; (M, n, n) Jacobians where the entry couples components.

    Parameters
    ----------
    choice : Choice
        Any activation of the catalogue.

    Returns
    -------
    value, slope : callable
        Functions of Z; ``slope`` raises DataError at a declared kink.

    Examples
    --------
    >>> value, slope = activation(Choice("tanh"))
    >>> slope(np.array([[0.5]])).round(6)
    array([[0.786448]])
    """
    entry = ACTIVATIONS[choice.name]
    if entry.coupled:
        return _coupled(choice)
    z = sp.Symbol("z", real=True)
    kinks = [float(written_out.bound(entry, choice, kink)) for kink in entry.kinks]
    value, slope = _scalar((z,), written_out.activation(choice, (z,))[0], 0)

    def guarded(z: Array) -> Array:
        if np.isin(z, kinks).any():
            raise DataError(f"{choice} has a kink in the data; its derivative there is a choice")
        return slope(z)

    return value, guarded


def loss(choice: Choice) -> Pair:
    """ℓ(y, x) and ∂ℓ/∂x, one value for each component, on arrays (M, n).

    Examples
    --------
    >>> value, slope = loss(Choice("squared_error"))
    >>> slope(np.array([[1.0]]), np.array([[3.0]]))
    array([[2.]])
    """
    if LOSSES[choice.name].coupled:
        return _coupled_loss(choice)
    y, x = sp.symbols("y x", real=True)
    return _scalar((y, x), written_out.loss(choice, (y,), (x,))[0], 1)


def regularizer(choice: Choice) -> Pair:
    """Ω(w) and ∂Ω/∂w of one weight, without the strength.

    Examples
    --------
    >>> regularizer(Choice("L2", (("strength", 1.0),)))[1](np.array([3.0]))
    array([3.])
    """
    w = sp.Symbol("w", real=True)
    return _scalar((w,), written_out.regularizer(choice, w), 0)


def _scalar(arguments: tuple[sp.Symbol, ...], expr: sp.Expr, by: int) -> Pair:
    """An elementwise function and its derivative by argument number ``by``."""
    function = sp.lambdify(arguments, expr, modules="mpmath")
    orders = tuple(int(j == by) for j in range(len(arguments)))

    def value(*arrays: Array) -> Array:
        return _elementwise(function, arrays)

    def slope(*arrays: Array) -> Array:
        return _elementwise(lambda *point: mpmath.diff(function, point, orders), arrays)

    return value, slope


def _coupled(choice: Choice) -> Pair:
    """Value (M, n) and Jacobian (M, n, n) of an activation that couples components."""

    def components(count: int) -> list[Callable[..., Any]]:
        slots = tuple(sp.symbols(f"z1:{count + 1}", real=True))
        written = written_out.activation(choice, slots)
        return [sp.lambdify(slots, component, modules="mpmath") for component in written]

    def value(z: Array) -> Array:
        columns = tuple(z.T)
        return np.stack([_elementwise(f, columns) for f in components(len(columns))], axis=-1)

    def jacobian(z: Array) -> Array:
        columns = tuple(z.T)
        orders = np.eye(len(columns), dtype=int).tolist()

        def partial(f: Callable[..., Any], order: list[int]) -> Array:
            return _elementwise(lambda *point: mpmath.diff(f, point, tuple(order)), columns)

        rows = [[partial(f, order) for order in orders] for f in components(len(columns))]
        return np.moveaxis(np.array(rows), -1, 0)

    return value, jacobian


def _coupled_loss(choice: Choice) -> Pair:
    """The terms of ℓ, and ∂ℓ/∂x of their sum, where a term holds several outputs."""

    def terms(count: int) -> list[Callable[..., Any]]:
        y = tuple(sp.symbols(f"y1:{count + 1}", real=True))
        x = tuple(sp.symbols(f"x1:{count + 1}", real=True))
        written = written_out.loss(choice, y, x)
        return [sp.lambdify((*y, *x), e, modules="mpmath") for e in (*written, sp.Add(*written))]

    def value(y: Array, x: Array) -> Array:
        columns = (*y.T, *x.T)
        return np.stack([_elementwise(f, columns) for f in terms(len(x.T))[:-1]], axis=-1)

    def slope(y: Array, x: Array) -> Array:
        columns, total = (*y.T, *x.T), terms(len(x.T))[-1]
        orders = np.eye(len(columns), dtype=int).tolist()[len(x.T) :]

        def partial(order: list[int]) -> Array:
            return _elementwise(lambda *point: mpmath.diff(total, point, tuple(order)), columns)

        return np.stack([partial(order) for order in orders], axis=-1)

    return value, slope


def _elementwise(function: Callable[..., Any], arrays: tuple[Array, ...]) -> Array:
    """Apply a scalar mpmath function to each entry; complex in, complex out."""
    kind: Any = complex if any(np.iscomplexobj(array) for array in arrays) else float
    number = mpmath.mpc if kind is complex else mpmath.mpf
    out = np.empty(np.shape(arrays[0]), dtype=kind)
    with mpmath.workdps(DIGITS):
        for index in np.ndindex(out.shape):
            point = [kind(array[index]) for array in arrays]
            try:
                out[index] = kind(function(*map(number, point)))
            except (TypeError, ValueError, ZeroDivisionError):
                raise DataError(f"a declared function has no real value at {point}") from None
    return out
