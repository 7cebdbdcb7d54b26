"""Entries that a formula declares: ``"z/(1 + exp(-z))"``, ``"(x - y)**4"``, ``"w**4/4"``.

Names other than the variables are parameters. Kinks are found where a comparison or |.| changes and
the one-sided derivatives differ. Refused: comparisons that are not affine in the variable, jumps,
infinite derivatives, text that :mod:`.parser` refuses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any, TypeVar

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.functions.base import Activation, Entry, Loss, Regularizer, w, x, y, z
from lagrangenet.functions.parser import FUNCTIONS, parse

_SUBGRADIENT = "that of the branch that holds at the kink, 0 for abs"
_WORD = re.compile(r"(?<![\w.])[A-Za-z]\w*(?!\w)(?!\s*\()")
_DIGITS = 60
#: Steps of one-sided difference quotients, in 60-digit arithmetic, and the slope that is too steep.
_STEPS = (sp.Rational(1, 10**24), sp.Rational(1, 10**28))
_STEEPEST = 10**6

E = TypeVar("E", bound=Entry)


@cache
def activation(text: str) -> Activation:
    """σ from a formula in ``z``.

    Examples
    --------
    >>> activation("max(z, 0)").kinks
    (0,)
    >>> activation("z*sigmoid(beta*z)")(beta=1.5)
    Choice(name='z*sigmoid(beta*z)', parameters=(('beta', 1.5),))
    """
    found = _entry(Activation, text, (z,))
    return replace(found, positive=bool(found.expr.is_positive))


@cache
def loss(text: str) -> Loss:
    """ℓ of one component from a formula in label ``y`` and output ``x``.

    Examples
    --------
    >>> loss("abs(x - y)").kinks
    (y,)
    """
    return _entry(Loss, text, (x, y))


@cache
def regularizer(text: str) -> Regularizer:
    """Ω of one weight from a formula in ``w``; its parameter ``strength`` is ρ, one by default.

    Examples
    --------
    >>> regularizer("w**4/4")(strength=0.1)
    Choice(name='w**4/4', parameters=(('strength', 0.1),))
    """
    return _entry(Regularizer, text, (w,), {"strength": 1.0}, {"strength": "positive"})


def _entry(
    kind: type[E],
    text: str,
    variables: tuple[sp.Symbol, ...],
    declared: Mapping[str, float] = MappingProxyType({}),
    ranges: Mapping[str, str] = MappingProxyType({}),
) -> E:
    names: dict[str, sp.Expr] = {variable.name: variable for variable in variables}
    names["pi"] = sp.pi
    found = [
        word
        for word in dict.fromkeys(_WORD.findall(text))
        if word not in names and word not in FUNCTIONS and word not in declared
    ]
    parameters = {word: sp.Symbol(word, real=True) for word in found}
    try:
        expr = parse(text, {**names, **parameters})
    except ProblemError as error:
        raise ProblemError(f"{kind.kind} {_short(text)!r}, {error}") from None
    edges = _edges(expr, variables[0], f"{kind.kind} {_short(text)!r}")
    check = partial(_check, expr, edges, variables, f"{kind.kind} {_short(text)!r}")
    if not parameters:
        edges = check({})
    return kind(
        name=text,
        expr=expr,
        summary=text,
        kinks=edges,
        subgradient=_SUBGRADIENT if edges else "",
        parameters=MappingProxyType({**dict.fromkeys(found, math.nan), **declared}),
        ranges=MappingProxyType({**dict.fromkeys(found, "real"), **ranges}),
        restricted=_restricted(expr, variables),
        accepts=None if not parameters else partial(_accepted, check),
    )


def _accepted(check: Any, values: Mapping[str, float]) -> None:
    check(values)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _edges(expr: sp.Expr, variable: sp.Symbol, what: str) -> tuple[sp.Expr, ...]:
    """Where a comparison or |.| changes, as expressions in the parameters (and the label)."""
    differences = [c.lhs - c.rhs for c in expr.atoms(sp.core.relational.Relational)]
    differences += [e.args[0] for e in expr.atoms(sp.Abs, sp.sign)]
    edges = []
    for difference in differences:
        slope = sp.diff(difference, variable)
        if slope.has(variable) or difference.has(sp.Piecewise, sp.Abs, sp.sign):
            raise ProblemError(
                f"{what} distinguishes cases by {difference}, which is not affine in {variable}, so "
                "that its kinks are not known; compare affine expressions"
            )
        if slope != 0:
            edges.append(sp.simplify(variable - difference / slope))
    return tuple(sorted(set(edges), key=sp.default_sort_key))


def _check(
    expr: sp.Expr,
    edges: tuple[sp.Expr, ...],
    variables: tuple[sp.Symbol, ...],
    what: str,
    values: Mapping[str, float],
) -> tuple[sp.Expr, ...]:
    """The edges at which there is a kink.

    Raises
    ------
    ProblemError
        If the function jumps, has no value or no finite derivative there.
    """
    bound = {sp.Symbol(name, real=True): sp.Rational(value) for name, value in values.items()}
    function = expr.xreplace(bound)
    variable = variables[0]
    kinks = []
    for edge in edges:
        at = edge.xreplace(bound)
        rows = [_one_sided(function, at, variable, label) for label in _labels(variables)]
        if not all(math.isfinite(s) and abs(s) < _STEEPEST for row in rows for s in row):
            raise ProblemError(
                f"{what} jumps, or has no finite derivative, at {variable} = {at}; there is no "
                "gradient of a network with it"
            )
        if any(abs(left - right) > 1e-9 for left, right in rows):
            kinks.append(edge)
    return tuple(kinks)


def _labels(variables: tuple[sp.Symbol, ...]) -> list[dict[sp.Symbol, sp.Expr]]:
    """Values for the label at which a loss is looked at."""
    if len(variables) == 1:
        return [{}]
    return [{variables[1]: value} for value in (sp.S.Zero, sp.S.One, sp.Rational(1, 3))]


def _one_sided(
    function: sp.Expr, at: sp.Expr, variable: sp.Symbol, label: Mapping[sp.Symbol, sp.Expr]
) -> tuple[float, float]:
    """The derivatives from the left and from the right; infinite where there is none."""
    fixed, edge = function.subs(label), at.subs(label)
    value = fixed.subs(variable, edge)
    slopes = []
    for sign in (-1, 1):
        quotients = [
            ((fixed.subs(variable, edge + sign * h) - value) / (sign * h)).evalf(_DIGITS)
            for h in _STEPS
        ]
        real = all(q.is_Float or q.is_Rational for q in quotients)
        slopes.append(float(quotients[-1]) if real else math.inf)
    return slopes[0], slopes[1]


def _restricted(expr: sp.Expr, variables: tuple[sp.Symbol, ...]) -> bool:
    """Whether a logarithm, a root or a quotient may leave its domain."""
    moving = set(variables)

    def leaves(e: sp.Expr) -> bool:
        if isinstance(e, sp.log):
            return not e.args[0].is_positive
        if not (e.is_Pow and e.base.free_symbols & moving):
            return False
        if e.exp.is_integer:
            return bool(e.exp.is_negative and not e.base.is_nonzero)
        return not e.base.is_positive

    return any(leaves(e) for e in sp.preorder_traversal(expr) if e.free_symbols & moving)
