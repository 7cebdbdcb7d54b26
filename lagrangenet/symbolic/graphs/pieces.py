"""What one layer contributes to the stationarity conditions, in its own names.

Each equation y = f of a layer adds ⟨λ_y, y − f⟩ to the Lagrangian. This file differentiates the
product P = ⟨λ_y, f⟩ by everything that occurs in it: ∂P/∂λ_y is f, the forward pass; ∂P/∂x is what
flows back to x. Differentiating the tangent Ṗ in the same way gives the second order. It is done once
for each layer; :mod:`.network` puts the names and sizes of a graph in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.layers import Layer
from lagrangenet.layers.equation import ArgLargest, Equation, Largest, Sigma
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import differentiate
from lagrangenet.symbolic.graphs.elimination import Part, parts
from lagrangenet.symbolic.tangent import tangent

#: The label that stands for the activation of whichever constraint uses the layer.
LABEL = sp.Symbol("sigma")


@dataclass(frozen=True)
class Contribution:
    """∂P/∂v (or ∂Ṗ/∂v) of one equation, at free indices of v.

    Attributes
    ----------
    equation : str
        The state of the equation.
    wrt : sympy.Indexed
        v at the free indices.
    ranges : tuple of (index, lower, upper)
        Of these indices.
    parts : tuple of Part
        Their sum is the derivative.
    """

    equation: str
    wrt: sp.Indexed
    ranges: tuple[tuple[sp.Symbol, sp.Expr, sp.Expr], ...]
    parts: tuple[Part, ...]


def multiplier(state: str) -> str:
    """The name of a state's multiplier."""
    return f"lambda_{state}"


def dotted(name: str) -> str:
    """The name of the tangent of an array."""
    return f"{name}_dot"


def base(name: str) -> sp.IndexedBase:
    """A real array."""
    return sp.IndexedBase(name, real=True)


def constant_states(layer: Layer, options: tuple[tuple[str, float], ...]) -> tuple[str, ...]:
    """States without a multiplier: declared constants, and positions of maxima."""
    positions = (e.name for e in layer.at(dict(options)) if e.forward.has(ArgLargest))
    return (*layer.constants, *positions)


@cache
def forward(
    layer: Layer, options: tuple[tuple[str, float], ...], coupled: bool
) -> tuple[Equation, ...]:
    """The equations with the opaque σ in them.

    Parameters
    ----------
    coupled : bool
        Whether σ couples the components of its argument's last axis, as softmax does.
    """
    return tuple(
        Equation(e.state, _with_sigma(e, coupled), e.ranges) for e in layer.at(dict(options))
    )


def _with_sigma(equation: Equation, coupled: bool) -> sp.Expr:
    def change(e: Sigma) -> sp.Expr:
        (argument,) = e.args
        if not coupled:
            return l.sigma(LABEL, argument)
        if not isinstance(argument, sp.Indexed) or not argument.indices[-1].is_Symbol:
            raise DerivationError(
                f"the equation of {equation.name!r}: an activation that couples components needs "
                f"a state as its argument, not {argument}; give {argument} an equation of its own"
            )
        component = argument.indices[-1]
        (size,) = (high for v, _, high in equation.ranges if v == component)
        return l.sigma_vector(LABEL, component, argument.xreplace({component: l.STAR}), size)

    return equation.forward.replace(lambda e: isinstance(e, Sigma), change)


@cache
def contributions(
    layer: Layer,
    options: tuple[tuple[str, float], ...],
    coupled: bool,
    order: int = 1,
    store: bool = True,
) -> tuple[Contribution, ...]:
    """All derivatives of ⟨λ, f⟩ (order 1) or of its tangent (order 2), equation by equation.

    Raises
    ------
    DerivationError
        Naming the layer and the equation, where an equation cannot be differentiated.
    """
    constants = constant_states(layer, options)
    _prove_constant(layer, options)
    found: list[Contribution] = []
    for equation in forward(layer, options, coupled):
        if equation.name not in constants:
            found += _of_equation(layer, equation, constants, order, store)
        elif order == 1:
            (part,) = parts(equation.forward, {}, store, frozenset())
            lam = base(multiplier(equation.name))[equation.state.indices]
            found.append(Contribution(equation.name, lam, equation.ranges, (part,)))
    return tuple(found)


def _of_equation(
    layer: Layer, equation: Equation, constants: tuple[str, ...], order: int, store: bool
) -> Iterator[Contribution]:
    lam = base(multiplier(equation.name))
    product = sp.Sum(lam[equation.state.indices] * equation.forward, *reversed(equation.ranges))
    fixed = {*constants, *layer.integers}
    moving = {str(e.base.label) for e in equation.forward.atoms(sp.Indexed)} - fixed
    if order == 2:
        names = (*sorted(moving), multiplier(equation.name))
        product = tangent(product, {base(name): base(dotted(name)) for name in names})
    shapes = layer.arrays
    yield _derivative(layer, equation, product, lam, equation.ranges, store)
    for name in (a for a in shapes if a in moving):
        use = next(e for e in _uses(equation.forward) if str(e.base.label) == name)
        ranges = []
        for subscript, (low, high) in zip(use.indices, shapes[name], strict=True):
            letters = {v.name for v, *_ in equation.ranges}
            free = sp.Dummy(_letter(subscript, letters), integer=True, positive=True)
            first = sp.S.One if low == 0 else low  # what the recurrence starts from is given
            ranges.append((free, first, high))
        yield _derivative(layer, equation, product, base(name), tuple(ranges), store)


def _derivative(
    layer: Layer,
    equation: Equation,
    product: sp.Expr,
    array: sp.IndexedBase,
    ranges: tuple[tuple[sp.Symbol, sp.Expr, sp.Expr], ...],
    store: bool,
) -> Contribution:
    fresh = {v: sp.Dummy(v.name, integer=True, positive=True) for v, *_ in ranges}
    ranges = tuple((fresh[v], a, b) for v, a, b in ranges)
    wrt = array[tuple(v for v, *_ in ranges)]
    try:
        found = parts(
            differentiate(product, wrt),
            {v: (a, b) for v, a, b in ranges},
            store,
            recurrences(layer, equation),
        )
    except (TypeError, NotImplementedError, DerivationError) as error:
        raise DerivationError(
            f"layer {layer.name!r}, equation of {equation.name!r}: no derivative by {array}: {error}"
        ) from None
    return Contribution(equation.name, wrt, ranges, found)


def _uses(expr: sp.Expr) -> list[sp.Indexed]:
    return sorted(expr.atoms(sp.Indexed), key=str)


def _letter(subscript: sp.Expr, indices: set[str]) -> str:
    """The letter for a free index, from the subscript that it stands for."""
    if subscript.is_Symbol and (subscript.name in indices or subscript.name.islower()):
        return str(subscript.name)
    return "r" if subscript == l.STAR else "s"


def recurrences(layer: Layer, equation: Equation) -> frozenset[str]:
    """Names of indices along which an equation reads what is determined at an earlier value."""
    shifted = set()
    for use in _uses(equation.forward):
        for subscript, (low, _) in zip(use.indices, layer.arrays[str(use.base.label)], strict=True):
            if low == 0 and not subscript.is_Symbol:
                shifted |= {v.name for v in subscript.free_symbols if v.is_Symbol}
    return frozenset(shifted)


# -- constants: proved, not believed -----------------------------------------------------------------


@cache
def _prove_constant(layer: Layer, options: tuple[tuple[str, float], ...]) -> None:
    """Prove that no later state depends on a declared constant: its total derivative vanishes.

    Raises
    ------
    DerivationError
        If SymPy cannot show it.
    """
    equations = layer.at(dict(options))
    for name in layer.constants:
        value = sp.Dummy(name, real=True)
        known: dict[str, Equation] = {}
        for equation in equations:
            expr = _composed(equation.forward, known, name, value)
            if equation.name == name or not expr.has(value):
                continue
            if _vanishes(expr.diff(value)):
                continue
            known[equation.name] = Equation(equation.state, expr, equation.ranges)
        if equations[-1].name in known:
            raise DerivationError(
                f"layer {layer.name!r}: the output depends on {name!r}, which is declared constant"
            )


def _composed(expr: sp.Expr, known: Mapping[str, Equation], name: str, value: sp.Symbol) -> sp.Expr:
    def change(e: sp.Indexed) -> sp.Expr:
        label = str(e.base.label)
        if label == name:
            return value
        if label not in known:
            return e
        equation = known[label]
        bound = {v: sp.Dummy(integer=True, positive=True) for s in equation.forward.atoms(sp.Sum)
                 for v, *_ in s.limits}  # fmt: skip
        swap = dict(zip(equation.state.indices, e.indices, strict=True))
        return equation.forward.xreplace(bound).xreplace(swap)

    return expr.replace(lambda e: isinstance(e, sp.Indexed), change)


def _vanishes(expr: sp.Expr) -> bool:
    """Whether SymPy shows that an expression with sums is zero."""
    factored = expr.replace(lambda e: isinstance(e, sp.Sum), _factored)
    try:
        return bool(sp.simplify(sp.expand(factored)) == 0)
    except StopIteration:  # SymPy 1.14, combining sums: then it does not show it
        return False


def _factored(total: sp.Sum) -> sp.Expr:
    """Constants out of a sum, and one name for its index."""
    names = {v: sp.Symbol(f"_{j}", integer=True) for j, (v, *_) in enumerate(total.limits)}
    inner = sp.expand_power_exp(sp.powsimp(total.function)).xreplace(names)
    outside, inside = inner.as_independent(*names.values(), as_Add=False)
    limits = [(names[v], a, b) for v, a, b in total.limits]
    return outside * sp.Sum(inside, *limits)


def is_constant(equation: Equation) -> bool:
    """Whether an equation takes a maximum or its position."""
    return bool(equation.forward.has(Largest, ArgLargest))
