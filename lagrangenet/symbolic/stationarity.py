"""The stationarity (KKT) conditions of a Lagrangian: differentiate, collapse, solve.

SymPy differentiates; :mod:`.collapse` removes the deltas; each condition that is linear with unit
coefficient in one unknown is solved for it. The table :data:`CONDITIONS` names the conditions and
says nothing about their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between, collapse, differentiate
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.display import table
from lagrangenet.symbolic.equations import equation
from lagrangenet.symbolic.lagrangian import Lagrangian, affine
from lagrangenet.symbolic.styles import Text
from lagrangenet.symbolic.tangent import TangentLagrangian, tangent
from lagrangenet.symbolic.tensor import Node
from lagrangenet.symbolic.tidy import tidy


@dataclass(frozen=True)
class Condition:
    """One stationarity condition ∂L/∂v = 0 at a symbolic layer k.

    Attributes
    ----------
    label : str
        ``S0`` to ``S6``, or ``T0`` to ``T6`` for ∂L̇/∂v = 0 of the tangent Lagrangian; the same
        condition has the same label in both splittings.
    title : str
        What the condition gives.
    wrt : sympy.Indexed
        v.
    layers : str
        The layers it holds for: ``all`` (k = 1..N), ``hidden`` (k < N) or ``output`` (k = N).
    residual : sympy.Expr
        ∂L/∂v.
    unknown, solution : sympy.Indexed and sympy.Expr, or None
        What the condition is solved for; ``residual = unknown − solution``.
    kind, kind_of : sympy.Symbol and sympy.Expr, or None
        If several kinds of layer occur: this form holds where layer ``kind_of`` is a ``kind``.
    """

    label: str
    title: str
    wrt: sp.Indexed
    layers: str
    residual: sp.Expr
    unknown: sp.Indexed | None = None
    solution: sp.Expr | None = None
    kind: sp.Symbol | None = None
    kind_of: sp.Expr | None = None

    def equation(
        self,
        form: str = "index",
        style: str | Text = "text",
        layer: int | None = None,
        depth: int | None = None,
    ) -> str:
        """The condition, solved for its unknown if it has one, as an equation.

        Parameters
        ----------
        form : {"index", "matrix", "batch", "vec"}
            Components; vectors of one sample (columns); all samples as rows; vectors of one
            sample with the weights as one column.
        style : {"text", "latex", "mathml"} or Text
        layer, depth : int, optional
            Numbers for k and N.

        Examples
        --------
        >>> print(stationarity(Lagrangian())[2].equation("matrix", layer=1, depth=2))
        λ_i¹ = W²ᵀ (σ′²(z_i²) ⊙ λ_i²)
        """
        return str(equation(self, form, style, layer, depth))

    def of(self, style: Text) -> str:
        """What is differentiated: L or L̇; with Δ or δ, whose values make it so, J or J̇."""
        bases = {str(e.base.label) for e in self.residual.atoms(sp.Indexed)}
        name = "objective" if any(b.lower().startswith("delta") for b in bases) else "lagrangian"
        return style.name(name + ("_dot" if self.label.startswith("T") else ""))

    def tree(self, expr: sp.Expr, batch: bool = False) -> Node:
        """An expression with the free indices of this condition, as array operations."""
        return contract(expr, self.wrt.indices[1:], () if batch else (l.i,))

    def __str__(self) -> str:
        return f"({self.label})  {self.equation()}"

    def _repr_latex_(self) -> str:
        return rf"$$ {self.equation('matrix', 'latex')} \tag{{{self.label}}} $$"

    def _repr_html_(self) -> str:
        return table([equation(self, "matrix", "mathml")])


@dataclass(frozen=True)
class Row:
    """What a condition is called, and what it is differentiated by."""

    label: str
    title: str
    wrt: sp.Indexed
    layers: str
    unknown: sp.Indexed | None


_state = (l.k, l.i, l.p)

#: label, meaning, differentiated symbol, layers, unknown.
CONDITIONS = (
    Row("S0", "forward pass, linear part", l.mu[_state], "all", l.Z[_state]),
    Row("S1", "forward pass", l.lam[_state], "all", l.X[_state]),
    Row("S2", "multiplier of the output", l.X[_state], "output", l.lam[_state]),
    Row("S3", "backward pass", l.X[_state], "hidden", l.lam[_state]),
    Row("S4", "backward pass, through the activation", l.Z[_state], "all", l.mu[_state]),
    Row("S5", "gradient of the weights", l.W[l.k, l.p, l.q], "all", None),
    Row("S6", "gradient of the biases", l.b[l.k, l.p], "all", None),
)

#: The conditions of the tangent Lagrangian: the same derivatives, solved for the tangents.
TANGENT_CONDITIONS = tuple(
    Row(
        row.label.replace("S", "T"),
        title,
        row.wrt,
        row.layers,
        None if row.unknown is None else l.TANGENTS[row.unknown.base][row.unknown.indices],
    )
    for row, title in zip(
        CONDITIONS,
        (
            "tangent pass, linear part",
            "tangent pass",
            "second-order adjoint of the output",
            "second-order adjoint",
            "second-order adjoint, through the activation",
            "Hessian times direction, weights",
            "Hessian times direction, biases",
        ),
        strict=True,
    )
)

_ranges = {
    l.k: (sp.S.One, l.N),
    l.i: (sp.S.One, l.M),
    l.p: (sp.S.One, l.n(l.k)),
    l.q: (sp.S.One, l.n(l.k - 1)),
    l.r: (sp.S.One, l.R),
}


@cache
def stationarity(lagrangian: Lagrangian | TangentLagrangian) -> tuple[Condition, ...]:
    """Derive every condition ∂L/∂v = 0 of a Lagrangian, or ∂L̇/∂v = 0 of its tangent.

    Returns
    -------
    tuple of Condition
        In the order of :data:`CONDITIONS` (:data:`TANGENT_CONDITIONS`); those of one label that
        differ by kind of layer follow each other.

    Examples
    --------
    >>> [condition.label for condition in stationarity(Lagrangian("activation"))]
    ['S1', 'S2', 'S3', 'S5', 'S6']
    """
    second = isinstance(lagrangian, TangentLagrangian)
    return tuple(
        condition
        for row in (TANGENT_CONDITIONS if second else CONDITIONS)
        if lagrangian.expr.has(row.wrt.base)
        for condition in _by_kind(lagrangian, row)
    )


@dataclass(frozen=True)
class Stages:
    """What lies between L and ∂L/∂v; the sum over each of the four is ∂L/∂v.

    ``surviving`` are the summands of L that contain v, ``derivatives`` theirs, ``collapsed`` is
    without Kronecker deltas under sums, ``decided`` without conditions on the layer.
    """

    surviving: tuple[sp.Expr, ...]
    derivatives: tuple[sp.Expr, ...]
    collapsed: sp.Expr
    decided: sp.Expr


def stages(lagrangian: Lagrangian | TangentLagrangian, row: Row) -> Stages:
    """Differentiate a Lagrangian by the symbol of a row of :data:`CONDITIONS`, stage by stage."""
    surviving, derivatives, collapsed = _differentiated(lagrangian, row.wrt)
    return Stages(surviving, derivatives, collapsed, at_layers(collapsed, row))


@cache
def _differentiated(
    lagrangian: Lagrangian | TangentLagrangian, wrt: sp.Indexed
) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...], sp.Expr]:
    """What is the same for the output and the hidden layers."""
    surviving = tuple(s for s in summands(lagrangian.expr) if s.has(wrt.base))
    derivatives = tuple(differentiate(summand, wrt) for summand in surviving)
    return surviving, derivatives, collapse(sp.Add(*derivatives), _ranges)


@cache
def summands(expr: sp.Expr) -> tuple[sp.Expr, ...]:
    """The terms of an expression, sums over indices taken apart.

    >>> j, m = sp.symbols("j m", integer=True, positive=True)
    >>> summands(sp.Sum(l.b[1, j] * (1 - l.b[2, j]), (j, 1, m)))
    (Sum(-b[1, j]*b[2, j], (j, 1, m)), Sum(b[1, j], (j, 1, m)))
    """
    found: list[sp.Expr] = []
    for term in sp.Add.make_args(expr):
        constant, rest = term.as_independent(sp.Sum, as_Add=False)
        if not isinstance(rest, sp.Sum):
            found.append(term)
            continue
        for product in sp.Add.make_args(rest.function):
            parts = sp.Add.make_args(sp.expand_mul(product, deep=False))
            found += [constant * sp.Sum(part, *rest.limits) for part in parts]
    return tuple(found)


def _by_kind(lagrangian: Lagrangian | TangentLagrangian, row: Row) -> Iterator[Condition]:
    layer = l.N if row.layers == "output" else l.k
    residual = abbreviate(tidy(stages(lagrangian, row).decided))
    wrt = row.wrt.xreplace({l.k: layer})
    unknown = None if row.unknown is None else row.unknown.xreplace({l.k: layer})
    members = residual.atoms(l.Member)
    if not members:
        yield _solved(Condition(row.label, row.title, wrt, row.layers, residual, unknown))
        return
    (kind_of,) = {member.args[0] for member in members}
    for kind in lagrangian.kinds:
        only = residual.xreplace({m: sp.Integer(m.args[1] == kind) for m in members})
        yield _solved(
            Condition(
                row.label, row.title, wrt, row.layers, tidy(only), unknown, None, kind, kind_of
            )
        )


def at_layers(derivative: sp.Expr, row: Row) -> sp.Expr:
    """Decide the deltas and guards on the layer index for k = N, or for k < N."""
    if row.layers == "output":
        derivative = derivative.xreplace({l.k: l.N})
        ranges = {l.k: (l.N, l.N), l.p: (sp.S.One, l.n(l.N))}
    else:
        ranges = {l.k: (sp.S.One, l.N - 1), l.p: (sp.S.One, l.n(l.k))}
        derivative = derivative.replace(
            lambda e: isinstance(e, sp.KroneckerDelta) and e.has(l.N), lambda _: sp.S.Zero
        )
    decided = derivative.replace(
        lambda e: isinstance(e, Between), lambda e: _decide(e, ranges, row.label)
    )
    if decided.has(sp.KroneckerDelta):
        raise DerivationError(f"({row.label}) keeps a Kronecker delta: {decided}")
    return decided


def _decide(
    guard: Between, ranges: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]], label: str
) -> sp.Expr:
    """1 or 0 for an Iverson bracket, over the whole range of its index."""
    lower, value, upper = guard.args

    def at(end: int, expr: sp.Expr) -> sp.Expr:
        return sp.expand(expr.xreplace({v: limits[end] for v, limits in ranges.items()}))

    if at(0, value - lower).is_nonnegative and at(1, upper - value).is_nonnegative:
        return sp.S.One
    if at(1, value - lower).is_negative or at(0, upper - value).is_negative:
        return sp.S.Zero
    raise DerivationError(f"({label}) depends on the undecided condition {guard}")


def _solved(condition: Condition) -> Condition:
    """Solve the condition for its unknown, in which it has to be linear with coefficient 1."""
    if condition.unknown is None:
        return condition
    rest = condition.residual - condition.unknown
    if rest.has(condition.unknown):
        raise DerivationError(
            f"({condition.label}) is not linear with unit coefficient in {condition.unknown}"
        )
    values = {**vars(condition), "solution": tidy(sp.expand_mul(-rest))}
    return Condition(**values)


def abbreviate(expr: sp.Expr) -> sp.Expr:
    """Write z^k for W^k x^{k-1} + b^k; the identity is checked at every place.

    Raises
    ------
    DerivationError
        If a function of the preactivation has another argument.
    """

    def short(node: sp.Expr) -> sp.Expr:
        position = -1 if isinstance(node, l.Opaque) else -2
        argument = node.args[position]
        if not argument.has(l.b) or node.name == "omega":
            return node
        args = list(node.args)
        args[position] = l.Z[_preactivation(argument, l.b, lambda stated: stated)]
        return node.func(*args)

    def short_tangent(node: sp.Expr) -> sp.Expr:
        return l.TANGENTS[l.Z][_preactivation(node.args[0], l.TANGENTS[l.b], tangent)]

    functions = (l.Opaque, l.Coupled, l.Partial)
    named = expr.replace(lambda e: isinstance(e, functions) and e.has(l.b), short)
    return named.replace(lambda e: isinstance(e, l.Whole), short_tangent)


def _preactivation(
    argument: sp.Expr, biases: sp.IndexedBase, of: Callable[[sp.Expr], sp.Expr]
) -> tuple[sp.Expr, ...]:
    """Layer, sample and component of a preactivation, or of its tangent, from its bias."""
    (bias,) = (e for e in argument.atoms(sp.Indexed) if e.base == biases)
    sample = next(e for e in argument.atoms(sp.Indexed) if e.base == l.X).indices[1]
    layer, component = bias.indices
    stated = of(affine(layer, sample, component))
    if tidy(argument) != tidy(stated) and sp.simplify(argument - stated) != 0:
        raise DerivationError(f"{argument} is not the preactivation of layer {layer}")
    return layer, sample, component
