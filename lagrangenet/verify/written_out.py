"""Declared functions written out as scalar SymPy expressions: parameters in, sums spelled out.

The oracles read the declaration here and nowhere else. It only substitutes; it derives nothing.
It refuses an expression that does not become a plain scalar one.
"""

from __future__ import annotations

from typing import cast

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, LOSSES, REGULARIZERS, Choice
from lagrangenet.functions.base import Entry, Z, n, p, t, w, x, y, z


def activation(choice: Choice, arguments: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
    """σ_1(z), ..., σ_n(z) for the scalar arguments z_1, ..., z_n.

    Parameters
    ----------
    choice : Choice
        The activation with its parameters.
    arguments : tuple of sympy.Expr
        One scalar expression for each component.

    Returns
    -------
    tuple of sympy.Expr
        As many components as arguments.

    Raises
    ------
    ProblemError
        If the declaration leaves an index or an unevaluated sum.

    Examples
    --------
    >>> a, b = sp.symbols("a b")
    >>> activation(Choice("softmax"), (a, b))
    (exp(a)/(exp(a) + exp(b)), exp(b)/(exp(a) + exp(b)))
    """
    entry = ACTIVATIONS[choice.name]
    expr = bound(entry, choice)
    if not entry.coupled:
        return tuple(cast(sp.Expr, expr.xreplace({z: argument})) for argument in arguments)
    slots = {Z[j]: argument for j, argument in enumerate(arguments, 1)}
    written = expr.subs(n, len(arguments))
    components = [written.subs(p, j).doit().xreplace(slots) for j in range(1, len(slots) + 1)]
    if any(component.has(sp.Sum, sp.Indexed) for component in components):
        raise ProblemError(f"activation {choice.name!r} cannot be written out in scalars")
    return tuple(components)


def loss(
    choice: Choice, labels: tuple[sp.Expr, ...], outputs: tuple[sp.Expr, ...]
) -> tuple[sp.Expr, ...]:
    """The terms of ℓ, one for each component, in labels and outputs.

    Examples
    --------
    >>> a, b = sp.symbols("a b")
    >>> loss(Choice("squared_error"), (a,), (b,))
    ((-a + b)**2/2,)
    """
    expr = bound(LOSSES[choice.name], choice)
    labelled = sp.Add(*map(sp.Mul, labels, outputs))
    return tuple(
        cast(sp.Expr, expr.xreplace({y: label, x: output, t: labelled}))
        for label, output in zip(labels, outputs, strict=True)
    )


def regularizer(choice: Choice, weight: sp.Expr) -> sp.Expr:
    """Ω of one weight, without its strength.

    Examples
    --------
    >>> regularizer(Choice("L2", (("strength", 0.1),)), sp.Symbol("a"))
    a**2/2
    """
    return cast(sp.Expr, bound(REGULARIZERS[choice.name], choice).xreplace({w: weight}))


def bound(entry: Entry, choice: Choice, expr: sp.Expr | None = None) -> sp.Expr:
    """The entry's expression (or ``expr``, one of its kinks) with its parameters' values.

    Examples
    --------
    >>> from lagrangenet.functions.activations import leaky_relu
    >>> bound(leaky_relu, leaky_relu(slope=0.25))
    Piecewise((z, z > 0), (0.25*z, True))
    """
    return cast(sp.Expr, entry.at(choice, expr))
