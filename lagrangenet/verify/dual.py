"""Numbers of the brute-force oracle: arrays of copies of a scalar, and duals; functions of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: An array of copies, a Dual or a plain number: whatever + − * / ** are defined for.
Number = Any


class Dual:
    """value + Σ_b slope_b ε_b with ε_b ε_c = 0: a number and its derivatives along directions.

    Examples
    --------
    >>> x = Dual(3.0, np.array([1.0]))
    >>> (x * x + 1 / x).slope.round(6)
    array([5.888889])
    """

    __array_ufunc__ = None  # an array on the left leaves the operation to this class
    __slots__ = ("slope", "value")

    def __init__(self, value: Any, slope: Array) -> None:
        self.value, self.slope = value, slope

    @staticmethod
    def of(number: Number) -> Dual:
        """A number as one that does not vary, unless it is a Dual."""
        return number if isinstance(number, Dual) else Dual(number, np.zeros(1))

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(
                self.value * other.value, self.slope * other.value + other.slope * self.value
            )
        return Dual(self.value * other, self.slope * other)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __sub__(self, other: Number) -> Dual:
        return self.__add__(-other)

    def __rsub__(self, other: Number) -> Dual:
        return self.__neg__().__add__(other)

    def __truediv__(self, other: Number) -> Dual:
        return self.__mul__(other**-1.0 if isinstance(other, Dual) else 1.0 / other)

    def __rtruediv__(self, other: Number) -> Dual:
        return self.__pow__(-1.0).__mul__(other)

    def __pow__(self, power: float) -> Dual:
        return Dual(self.value**power, power * self.value ** (power - 1) * self.slope)

    __radd__, __rmul__ = __add__, __mul__


def _sign(z: Array) -> Array:
    return np.asarray(np.sign(np.real(z)))


def _sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def _erf(z: Any) -> Any:
    from scipy.special import erf  # here: importing it takes a quarter of the package's import

    return erf(z)


#: The functions that an equation may call, each with its derivative.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda z: 1 / z),
    "sqrt": (np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda z: -np.sin(z)),
    "atan": (np.arctan, lambda z: 1 / (1 + z**2)),
    "erf": (_erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2))),
    "abs": (lambda z: _sign(z) * z, _sign),
    "sign": (_sign, lambda z: 0.0 * z),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "softplus": (lambda z: np.log1p(np.exp(z)), _sigmoid),
}


def applied(rule: tuple[Callable[..., Any], Callable[..., Any]], number: Number) -> Number:
    """A function of one number, by (value, slope)."""
    value, slope = rule
    if isinstance(number, Dual):
        return Dual(value(number.value), slope(number.value) * number.slope)
    return value(number)


def is_zero(number: Number) -> bool:
    """Whether a number is the whole number 0, which no derivative can change."""
    return isinstance(number, int) and number == 0


def total(terms: Iterator[Number]) -> Number:
    """The sum."""
    found: Number = 0
    for term in terms:
        if not is_zero(term):
            found = term + found
    return found


def real(number: Number) -> Array:
    """The real part of the value."""
    return np.asarray(np.real(number.value if isinstance(number, Dual) else number))


def delta(a: Number, b: Number) -> Number:
    """1 where two indices are equal, 0 elsewhere."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a == b)
    equal = np.equal(real(a), real(b))
    return int(equal.all()) if equal.all() or not equal.any() else equal.astype(np.float64)


def largest(numbers: list[Number]) -> tuple[Number, Number]:
    """The number with the largest real part, and which it is: the first of several, from 1."""
    if any(isinstance(number, Dual) for number in numbers):
        at = int(np.argmax([real(number).item() for number in numbers]))
        return numbers[at], at + 1
    stacked = np.stack(np.broadcast_arrays(*numbers))
    place = np.argmax(stacked.real, axis=0)
    return np.take_along_axis(stacked, place[None], axis=0)[0], place + 1
