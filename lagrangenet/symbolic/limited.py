"""The Lagrangian of a network whose parameters have bounds and linear constraints.

    L = J + ⟨λ, c⟩ + ⟨ν̄, θ − θ̄⟩ + ⟨ν̲, θ̲ − θ⟩ + ⟨η̄, A θ − h̄⟩ + ⟨η̲, h̲ − A θ⟩,    ν̄, ν̲, η̄, η̲ ≥ 0

stated for symbolic depth, widths and number R of linear constraints. The terms are written here;
what they add to ∂L/∂W and ∂L/∂b is derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.stationarity import Row

_k, _p, _q = sp.symbols("k' p' q'", integer=True, positive=True)
_r = sp.Symbol("r'", integer=True, positive=True)


def _base(name: str) -> sp.IndexedBase:
    return sp.IndexedBase(f"kkt_{name}", real=True)


_UPPER, _LOWER, _PLUS, _MINUS, _ROW = (
    {of: _base(f"{what}_{of}") for of in "Wb"}
    for what in ("upper", "lower", "plus", "minus", "row")
)
_ETA_PLUS, _ETA_MINUS, _HIGH, _LOW = map(_base, ("eta_plus", "eta_minus", "high", "low"))


@dataclass(frozen=True)
class LimitedLagrangian(Lagrangian):
    r"""L with the terms of bounds, and of linear constraints if ``linear``.

    Examples
    --------
    >>> from lagrangenet.symbolic.inequalities import conditions, written
    >>> print(written(conditions(LimitedLagrangian())[-1], "latex").terms[:2])
    ('\\overline{\\nu}_{p}^{k}', '- \\underline{\\nu}_{p}^{k}')
    """

    linear: bool = False

    @cached_property
    def expr(self) -> sp.Expr:
        """L itself."""
        found = self.objective + sp.Add(*self.products) + sp.Add(*self._bounds())
        return found + sp.Add(*self._linear()) if self.linear else found

    def _bounds(self) -> list[sp.Expr]:
        """⟨ν̄, θ − θ̄⟩ + ⟨ν̲, θ̲ − θ⟩, for weights and biases."""
        return [
            self._total(of, sign * multipliers[of][at] * (value[at] - limits[of][at]))
            for of, value, at in (("W", l.W, (_k, _p, _q)), ("b", l.b, (_k, _p)))
            for sign, multipliers, limits in ((1, _PLUS, _UPPER), (-1, _MINUS, _LOWER))
        ]

    def _linear(self) -> list[sp.Expr]:
        """⟨η̄, A θ − h̄⟩ + ⟨η̲, h̲ − A θ⟩."""
        both = _ETA_PLUS[_r] - _ETA_MINUS[_r]
        weights = self._total("W", _ROW["W"][_k, _r, _p, _q] * l.W[_k, _p, _q])
        biases = self._total("b", _ROW["b"][_k, _r, _p] * l.b[_k, _p])
        limits = _ETA_MINUS[_r] * _LOW[_r] - _ETA_PLUS[_r] * _HIGH[_r]
        return [sp.Sum(term, (_r, 1, l.R)) for term in (both * weights, both * biases, limits)]

    @staticmethod
    def _total(of: str, term: sp.Expr) -> sp.Expr:
        over = [(_p, 1, l.n(_k)), (_k, 1, l.N)]
        return sp.Sum(term, *([(_q, 1, l.n(_k - 1))] if of == "W" else []), *over)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The inequalities, by multiplier."""
        found = [
            Row("S7", f"{side} bounds of the {what}", multipliers[of][at], "all", None)
            for of, what, at in (("W", "weights", (l.k, l.p, l.q)), ("b", "biases", (l.k, l.p)))
            for side, multipliers in (("upper", _PLUS), ("lower", _MINUS))
        ]
        if self.linear:
            found += [
                Row("S8", f"linear constraints, {side} limits", multiplier[l.r], "all", None)
                for side, multiplier in (("upper", _ETA_PLUS), ("lower", _ETA_MINUS))
            ]
        return tuple(found)
