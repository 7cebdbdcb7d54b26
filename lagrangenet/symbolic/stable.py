"""Equal forms that neither overflow nor cancel, found by rule and not by hand.

    c e^u / (1 + e^u)  =  c sigmoid(u)        log(1 + e^u)  =  softplus(u)        e^u − 1  =  expm1(u)

The rules are identities in e^u. They are applied before differentiating, so that derivatives of a
stable form are stable too, to every order. A branch of a case distinction sees its argument clipped
to where the branch is taken: NumPy evaluates all branches. What no rule fits stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import sympy as sp
from sympy.codegen.cfunctions import expm1

from lagrangenet.functions import ACTIVATIONS
from lagrangenet.functions import base as f
from lagrangenet.functions.base import Bound
from lagrangenet.symbolic import language as l


class Block(sp.Function):
    """A stable function with a definition; its derivative comes from the definition."""

    nargs = (1,)
    is_real = True

    @classmethod
    def definition(cls) -> sp.Expr:
        """What the block abbreviates, in ``z``: the catalogue entry of the same name."""
        return ACTIVATIONS[cls.__name__].expr

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The derivative of the definition, in blocks again."""
        block: Any = type(self)
        return _slope(block).xreplace({f.z: self.args[argindex - 1]})


class sigmoid(Block):
    """1/(1 + exp(−z))."""

    is_positive = True


class softplus(Block):
    """log(1 + exp(z))."""

    is_positive = True


class ndtr(Block):
    """(1 + erf(z/√2))/2, the normal distribution function under the name that SciPy gives it."""

    is_positive = True

    @classmethod
    def definition(cls) -> sp.Expr:
        """In ``z``; no entry of the catalogue."""
        return (1 + sp.erf(f.z / sp.sqrt(2))) / 2


class log_softplus(Block):
    """log(log(1 + exp(z))), which tends to z where softplus underflows."""

    @classmethod
    def definition(cls) -> sp.Expr:
        """In ``z``; no entry of the catalogue."""
        return sp.log(sp.log(1 + sp.exp(f.z)))

    @classmethod
    def stable(cls) -> sp.Expr:
        """The form that the emitted helper has."""
        return l.Where(f.z > FAR, sp.log(softplus(sp.Max(f.z, FAR))), f.z)


#: Below this softplus(z) = sigmoid(z) = exp(z) to the last bit of a double.
FAR = -40


@cache
def _slope(block: Any) -> sp.Expr:
    return stably(sp.diff(block.definition(), f.z))


def stably(expr: sp.Expr) -> sp.Expr:
    """An equal expression with exponentials in stable functions, case distinctions as ``Where``.

    Examples
    --------
    >>> stably(f.z / (1 + sp.exp(-f.z)))
    z*sigmoid(z)
    >>> stably(sp.exp(f.x) / (1 + sp.exp(f.x)) - f.y)
    -y + sigmoid(x)
    >>> stably(sp.log(sp.cosh(f.z)))
    -z + softplus(2*z) - log(2)
    >>> stably(1 - sp.tanh(f.z) ** 2)
    4*sigmoid(-2*z)*sigmoid(2*z)
    """
    if not expr.args or isinstance(expr, sp.Indexed | sp.Sum):
        return expr
    if isinstance(expr, sp.Piecewise):
        return l.cases(expr.func(*((stably(e), c) for e, c in expr.args), evaluate=False))
    args = [stably(arg) if isinstance(arg, sp.Expr) else arg for arg in expr.args]
    new = expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else expr.func(*args)
    if isinstance(new, sp.Mul | sp.Pow):
        return _quotient(new)
    if isinstance(new, sp.log):
        return _logarithm(new)
    return _complements(new) if isinstance(new, sp.Add) else new


def settled(function: Bound[Any]) -> sp.Expr:
    """The stable form of a chosen entry; rules that need the sign of a parameter see its value."""
    return stably(function.entry.at(function.choice, stably(function.entry.expr)))


def defined(expr: sp.Expr) -> sp.Expr:
    """The expression with the definitions of its blocks: the inverse of :func:`stably`.

    Examples
    --------
    >>> defined(sigmoid(f.x))
    1/(1 + exp(-x))
    """
    return expr.replace(
        lambda e: isinstance(e, Block),
        lambda e: type(e).definition().xreplace({f.z: e.args[0]}),
    )


def derivative(expr: sp.Expr, symbol: sp.Symbol, order: int = 1) -> sp.Expr:
    """∂ⁿ/∂sⁿ of a stable form, as a stable form; jumps of a derivative at kinks count as nothing.

    Examples
    --------
    >>> derivative(stably(f.z / (1 + sp.exp(-f.z))), f.z)
    z*sigmoid(-z)*sigmoid(z) + sigmoid(z)
    """
    for _ in range(order):
        expr = sp.diff(expr, symbol).replace(sp.DiracDelta, lambda *_: sp.S.Zero)
        expr = stably(expr)
    return expr


# -- exponentials --------------------------------------------------------------------------------


def _two_exponentials(expr: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr] | None:
    """(c, u, v) with expr = c e^u (1 + e^v), c > 0; None if it is not of that form."""
    if isinstance(expr, sp.cosh):
        return sp.S.Half, -expr.args[0], 2 * expr.args[0]
    if not isinstance(expr, sp.Add) or len(expr.args) != 2:
        return None
    parts = []
    for term in sorted(expr.args, key=lambda term: term.has(sp.exp)):
        factors = sp.Mul.make_args(term)
        powers = [e for e in factors if isinstance(e, sp.exp)]
        scale = sp.Mul(*(e for e in factors if not isinstance(e, sp.exp)))
        if not scale.is_positive or scale.has(f.z, f.x, f.y, f.w):
            return None
        parts.append((scale, sp.Add(*(e.args[0] for e in powers))))
    (c, u), (d, v) = parts
    if v == 0:
        return None
    return c, u, v - u + sp.log(d / c)


def _quotient(product: sp.Expr) -> sp.Expr:
    """e^g Π (1 + e^v)^−b as Π sigmoid(v)^a sigmoid(−v)^(b−a), where g = Σ a v, 0 ≤ a ≤ b."""
    grown, rest = sp.S.Zero, []
    blocks: list[tuple[sp.Expr, sp.Expr]] = []
    for factor in sp.Mul.make_args(product):
        base, power = (factor.base, factor.exp) if factor.is_Pow else (factor, sp.S.One)
        found = _two_exponentials(base) if power.is_negative else None
        if isinstance(factor, sp.exp):
            grown += factor.args[0]
        elif isinstance(base, sigmoid) and power.is_positive:
            blocks.append((-base.args[0], power))
        elif found is not None:
            c, u, v = found
            rest.append(c**power)
            grown += power * u
            blocks.append((v, -power))
        else:
            rest.append(factor)
    if not blocks:
        return product
    sums = [
        e for e in rest if e.has(sp.exp, sp.sinh, sp.cosh) and isinstance(e.rewrite(sp.exp), sp.Add)
    ]
    if sums:
        terms = sp.expand_mul(sp.Mul(*(e.rewrite(sp.exp) for e in sums))).args
        others = sp.Mul(*(e for e in product.args if e not in sums))
        return _complements(sp.Add(*(_quotient(term * others) for term in terms)))
    for v, b in blocks:
        share = sp.cancel(grown / v)
        a = sp.Min(share, b) if share.is_number and share.is_positive else sp.S.Zero
        grown = sp.expand(grown - a * v)
        rest += [sigmoid(v) ** a, sigmoid(-v) ** (b - a)]
    return sp.Mul(*rest, sp.exp(grown))


def _logarithm(log: sp.Expr) -> sp.Expr:
    """log(c e^u (1 + e^v)) = log c + u + softplus(v); log sigmoid(v) = −softplus(−v)."""
    if isinstance(log.args[0], softplus):
        return log_softplus(log.args[0].args[0])
    found = _two_exponentials(log.args[0])
    if found is not None:
        c, u, v = found
        return sp.log(c) + u + softplus(v)
    total = sp.S.Zero
    for factor in sp.Mul.make_args(log.args[0]):
        base, power = (factor.base, factor.exp) if factor.is_Pow else (factor, sp.S.One)
        if isinstance(base, sigmoid):
            total -= power * softplus(-base.args[0])
        elif isinstance(factor, sp.exp):
            total += factor.args[0]
        elif factor.is_number and factor.is_positive:
            total += sp.log(factor)
        else:
            return log
    return total


def _cancels(factor: sp.Expr) -> bool:
    """Whether one minus this loses digits: a block near one, or the square of tanh."""
    if factor.is_Pow:
        return isinstance(factor.base, sp.tanh) and factor.exp == 2
    return isinstance(factor, sigmoid | sp.erf)


def _complements(total: sp.Add) -> sp.Expr:
    """Sums of blocks that would cancel: the first of these identities that fits, for any factor c.

    c − c sigmoid(v) = c sigmoid(−v), c sigmoid(v) − c/2 = c/2 tanh(v/2),
    c sigmoid(v) − c sigmoid(−v) = c tanh(v/2), c ± c erf(v) = 2c ndtr(±√2 v),
    c − c tanh(v)² = 4c sigmoid(2v) sigmoid(−2v)
    """
    terms = set(total.args)
    for term in total.args:
        block = next(filter(_cancels, sp.Mul.make_args(term)), None)
        if block is None:
            continue
        c = term / block
        (v,) = block.base.args if block.is_Pow else block.args
        if block.is_Pow:
            swaps = [(-c, -4 * c * sigmoid(2 * v) * sigmoid(-2 * v))]
        elif isinstance(block, sp.erf):
            swaps = [(s * c, 2 * s * c * ndtr(s * sp.sqrt(2) * v)) for s in (1, -1)]
        else:
            tanh = sp.tanh(v / 2)
            swaps = [
                (-c, -c * sigmoid(-v)),
                (-c / 2, c / 2 * tanh),
                (-c * sigmoid(-v), c * tanh),
            ]
        for other, together in swaps:
            if other in terms:
                return total - term - other + together
    return total


# -- written for evaluation ------------------------------------------------------------------------

Bounds = Mapping[sp.Symbol, tuple[sp.Expr | None, sp.Expr | None]]
_EVERYWHERE: Bounds = MappingProxyType({})
#: Functions that overflow, or are not defined, outside the half-line of their branch.
_LOCAL = (sp.exp, expm1, sp.sinh, sp.cosh, sp.log)


def evaluable(expr: sp.Expr, bounds: Bounds = _EVERYWHERE) -> sp.Expr:
    """An equal expression to evaluate: e^u − 1 by ``expm1``, branches clipped to where they hold.

    Examples
    --------
    >>> evaluable(l.Where(f.z > 0, f.z, sp.exp(f.z) - 1))
    Where(z > 0, z, expm1(Min(0, z)))
    """
    if not expr.args or isinstance(expr, sp.Indexed):
        return expr
    if isinstance(expr, l.Where):
        condition, yes, no = expr.args
        inside, outside = _halves(condition, bounds)
        return l.Where(condition, evaluable(yes, inside), evaluable(no, outside))
    if isinstance(expr, sp.Add):
        expr = _expm1(expr)
    if isinstance(expr, sp.Mul):
        expr = _decimal(_near(expr))
    if not expr.args:
        return expr
    local = isinstance(expr, _LOCAL) or (expr.is_Pow and not expr.exp.is_nonnegative)
    if local or (expr.is_Pow and not expr.exp.is_integer):
        clipped = {s: _clip(s, *limits) for s, limits in bounds.items()}
        return expr.func(*(arg.xreplace(clipped) for arg in expr.args))
    return expr.func(*(evaluable(a, bounds) if isinstance(a, sp.Expr) else a for a in expr.args))


def _expm1(total: sp.Add) -> sp.Expr:
    """The term c e^u − c as c expm1(u), also within a longer sum."""
    terms = list(total.args)
    for term in terms:
        powers = [e for e in sp.Mul.make_args(term) if isinstance(e, sp.exp)]
        c = sp.Mul(*(e for e in sp.Mul.make_args(term) if not isinstance(e, sp.exp)))
        if len(powers) == 1 and -c in terms:
            return total - term + c + c * expm1(powers[0].args[0])
    return total


def _near(product: sp.Mul) -> sp.Expr:
    """sigmoid(v)/softplus(v), which is 1 where both underflow, with v kept above that."""
    below = {e.base.args[0] for e in product.args if e.is_Pow and isinstance(e.base, softplus)}
    clipped = {block(v): block(sp.Max(v, FAR)) for v in below for block in (sigmoid, softplus)}
    return product.xreplace(clipped)


def _decimal(product: sp.Mul) -> sp.Expr:
    """Constant factors as one number, unless it is a short fraction."""
    numbers = sp.Mul(*(e for e in product.args if e.is_number))
    if numbers.is_Rational and numbers.q < 100:
        return product
    return sp.Float(float(numbers)) * sp.Mul(*(e for e in product.args if not e.is_number))


def _halves(condition: Any, bounds: Bounds) -> tuple[Bounds, Bounds]:
    """Bounds where a comparison holds, and where it does not; conditions in one symbol only."""
    difference = condition.gts - condition.lts
    if len(difference.free_symbols) != 1:
        return bounds, bounds
    (symbol,) = difference.free_symbols
    slope = sp.diff(difference, symbol)
    if not slope.is_number or slope == 0:
        return bounds, bounds
    edge = symbol - sp.expand(difference / slope)
    low, high = bounds.get(symbol, (None, None))
    above = {**bounds, symbol: (edge if low is None else sp.Max(low, edge), high)}
    below = {**bounds, symbol: (low, edge if high is None else sp.Min(high, edge))}
    return (above, below) if slope > 0 else (below, above)


def _clip(symbol: sp.Symbol, low: sp.Expr | None, high: sp.Expr | None) -> sp.Expr:
    raised = symbol if low is None else sp.Max(symbol, low)
    return raised if high is None else sp.Min(raised, high)
