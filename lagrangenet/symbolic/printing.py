"""Formulas as text: index form from SymPy expressions, matrix form from trees of array operations.

Both writers share a :class:`~.styles.Text` style, so a format is added once for both, and read the
places of indices from its notation, so a notation is added once for all formats.
"""

from __future__ import annotations

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions.base import Top
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.collapse import Between
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.matrix_form import MatrixWriter
from lagrangenet.symbolic.styles import STYLES, Text
from lagrangenet.symbolic.writer import (
    ADD,
    ATOM,
    LAYERED,
    MUL,
    PARAMETERS,
    POW,
    Piece,
    Writer,
    abs_,
    is_negative,
)

#: Forms of an equation: components; vectors of one sample (columns); all samples as rows; vectors
#: of one sample with the weights as one column.
FORMS = ("index", "matrix", "batch", "vec")


def text(
    what: sp.Expr | t.Node,
    style: Text = STYLES["text"],
    labels: str = "i",
    last: sp.Expr = l.N,
    rows: bool = False,
) -> str:
    """Write an index expression or a matrix-form tree.

    Parameters
    ----------
    what : sympy.Expr or Node
        The formula.
    style : Text
        The format and notation, see :data:`~.styles.STYLES`.
    labels : str
        The subscript that matrix-form vectors carry; empty to leave it out.
    last : sympy.Expr
        The layer of the output, N or its number.
    rows : bool
        Whether Δ is a row vector; a tree that Δ is equal to is then written as a row.
    """
    return " ".join(terms(what, style, labels, last, rows))


def terms(
    what: sp.Expr | t.Node,
    style: Text = STYLES["text"],
    labels: str = "i",
    last: sp.Expr = l.N,
    rows: bool = False,
) -> list[str]:
    """The summands of a formula, each but the first with its sign; parameters as of :func:`text`.

    >>> terms(l.X[l.k, l.i, l.p] - l.b[l.k, l.p])
    ['x_ip^k', '− b_p^k']
    """
    if isinstance(what, t.Node):
        return MatrixWriter(style, labels, last, rows).terms(what)
    return IndexWriter(style, last).terms(what)


def check_form(form: str) -> str:
    """The form, if there is one of that name; otherwise a :class:`DerivationError`."""
    if form not in FORMS:
        raise DerivationError(f"unknown form {form!r}; known: {', '.join(FORMS)}")
    return form


def in_order(expr: sp.Expr) -> list[sp.Expr]:
    """The summands of an expression in the order in which they are written."""
    terms = sorted(sp.Add.make_args(expr), key=_term_rank)
    return sorted(terms, key=is_negative)


class IndexWriter(Writer):
    """Writes SymPy expressions in index notation."""

    def __init__(self, style: Text, last: sp.Expr = l.N) -> None:
        super().__init__(style, last)
        self.bound: set[sp.Expr] = set()

    def terms(self, expr: sp.Expr) -> list[str]:
        """The summands of an expression with their signs."""
        if not isinstance(expr, sp.Add) or expr.is_integer:
            return [self.write(expr)[0]]
        found = sorted(expr.args, key=_term_rank)
        return self.signed([(not is_negative(a), self.write(abs_(a))) for a in found])

    def write(self, expr: sp.Expr) -> Piece:
        """An expression and how tightly it binds."""
        style = self.style
        if isinstance(expr, sp.Indexed):
            return self._indexed(expr)
        if isinstance(expr, sp.Sum):
            return self._sum(expr)
        if isinstance(expr, sp.Add) and expr.is_integer:
            return self.scalar(expr)
        if isinstance(expr, sp.Add):
            return " ".join(self.terms(expr)), ADD
        if isinstance(expr, sp.Mul):
            return self._mul(expr)
        if isinstance(expr, sp.Pow) and expr.exp.is_number:
            return self._power(expr)
        if isinstance(expr, _OF_STEPS):
            return self._unfinished(expr)
        if isinstance(expr, l.Where):
            condition, value, other = expr.args
            return style.cases(*(self.write(e)[0] for e in (value, condition, other))), ATOM
        if isinstance(expr, sp.core.relational.Relational):
            left, right = (self.write(a)[0] for a in expr.args)
            return style.relation(left, str(expr.rel_op), right), ADD
        if isinstance(expr, sp.Function) and not isinstance(expr, l.n):
            return self._function(expr)
        return self.scalar(expr)

    def _unfinished(self, expr: sp.Expr) -> Piece:
        """What occurs only on the way to a condition: deltas, guards, pending derivatives."""
        style = self.style
        if isinstance(expr, sp.KroneckerDelta):
            pair = [self.scalar(a) for a in expr.args]
            simple = all(a.is_Atom for a in expr.args)
            lower = ("" if simple else style.comma).join(piece[0] for piece in pair)
            return style.script(style.name("kronecker"), lower), ATOM
        if isinstance(expr, l.Whole):
            return style.parens(self.write(expr.args[0])[0]), ATOM
        if isinstance(expr, l.Pending):
            return self._pending(expr), MUL
        sides = [a for j, a in enumerate(expr.args) if j == 1 or a != expr.args[1]]
        bracket = f" {style.at_most} ".join(self.scalar(a)[0] for a in sides)
        return style.brackets(bracket), ATOM

    def _pending(self, expr: sp.Expr) -> str:
        style, (inside, variable) = self.style, expr.args
        written, by = self.write(inside)[0], self.write(variable)[0]
        if isinstance(inside, sp.Indexed):
            return style.derivative(written, by)
        operator = style.fraction(style.partial.strip(), style.partial + by)
        return style.dot.join([operator, style.parens(written)])

    def _power(self, expr: sp.Pow) -> Piece:
        style = self.style
        if expr.exp.is_negative:
            below = self.at_least(self.write(expr.base**-expr.exp), POW)
            return style.fraction(style.number("1"), below), MUL
        base = self.at_least(self.write(expr.base), ATOM)
        if isinstance(expr.base, sp.Indexed) and expr.base.base != l.Y:
            base = style.parens(base)  # its superscript is the layer
        return style.power(base, self.scalar(expr.exp)[0]), POW

    # -- arrays and sums -------------------------------------------------------------------------

    def _sample(self, sample: sp.Expr) -> str:
        """The index of a sample, unless the notation leaves it out where it is free."""
        shown = self.notation.sample == "always" or sample in self.bound
        return self.scalar(sample)[0] if shown else ""

    def _indexed(self, expr: sp.Indexed) -> Piece:
        name = str(expr.base.label)
        indices = [a for a in expr.indices if a != l.STAR]
        if name in LAYERED:
            layer = indices.pop(0)
            of_sample = name.removesuffix("_dot") not in PARAMETERS
            sample = self._sample(indices.pop(0)) if of_sample else ""
            return self.array(name, layer, sample, tuple(indices))
        written = [self.scalar(a)[0] for a in indices]
        if name == "Y":
            sample = self._sample(indices[0])
            return self.style.indexed(self.style.name(name), "", sample, written[1:]), ATOM
        separator = "" if all(a.is_Atom for a in indices) else self.style.script_comma
        return self.style.script(self.style.name(name), separator.join(written)), ATOM

    def _sum(self, expr: sp.Sum) -> Piece:
        if self.notation.penalty == "whole" and _is_penalty(expr):
            return self.penalty(), ATOM
        new = {v for v, *_ in expr.limits} - self.bound
        self.bound |= new
        body = self.at_least(self.write(expr.function), MUL)
        self.bound -= new
        for limits in expr.limits:
            body = self.style.total(*self.limits(*limits), body)
        return body, MUL

    def _mul(self, expr: sp.Mul) -> Piece:
        if is_negative(expr):
            return self.style.negative + self.at_least(self.write(-expr), MUL), ADD
        above, below = [], []
        for factor in sorted(expr.args, key=_factor_rank):
            if isinstance(factor, sp.Pow) and factor.exp.is_negative:
                below.append(factor.base**-factor.exp)
            elif isinstance(factor, sp.Rational) and factor.q != 1:
                above += [sp.Integer(factor.p)] if factor.p != 1 else []
                below.append(sp.Integer(factor.q))
            else:
                above.append(factor)
        divisor = self.style.dot.join(self.at_least(self.write(e), POW) for e in below)
        levels = [POW if len(above) > 1 and self._fraction([f]) else MUL for f in above]
        factors = [self.at_least(self.write(f), e) for f, e in zip(above, levels, strict=True)]
        long = any(isinstance(f, sp.Sum | l.Coupled | l.Partial | l.Pending) for f in above)
        if below and (long or not above or self._fraction(above)):
            return self.style.dot.join([self.style.reciprocal(divisor), *factors]), MUL
        product = self.style.dot.join(factors)
        if not below:
            return product, MUL
        return self.style.quotient(product, divisor, len(above) > 1 or len(below) > 1), MUL

    def _fraction(self, factors: list[sp.Expr]) -> bool:
        """Whether a factor is an array that is written as a derivative."""
        kind = self.notation.error
        names = {str(f.base.label) for f in factors if isinstance(f, sp.Indexed)}
        return kind.endswith("derivative") and bool(names & {"Delta", "delta"})

    # -- functions -------------------------------------------------------------------------------

    def _function(self, expr: sp.Function) -> Piece:
        style = self.style
        if isinstance(expr, l.Opaque):
            return self._opaque(expr)
        if isinstance(expr, l.Coupled | l.Partial):
            return self._coupled(expr), ATOM
        if isinstance(expr, Top):
            return style.function(style.name("max"), [self.write(expr.args[0])[0]]), ATOM
        if isinstance(expr, l.Member):
            return style.brackets(style.words(self.layer(expr.args[0]), str(expr.args[1]))), ATOM
        args = [self.write(a)[0] for a in expr.args]
        return style.function(style.word(type(expr).__name__), args), ATOM

    def _opaque(self, expr: sp.Function) -> Piece:
        argument = self.write(expr.args[-1])[0]
        if expr.name == "omega" and expr.order == 1 and self.notation.penalty == "whole":
            return self.style.derivative(self.penalty(), argument), MUL
        layer = expr.args[0] if len(expr.args) > 1 else None
        head = self.function_at(expr.name, expr.order, layer)
        return self.style.function(head, [argument]), ATOM

    def _coupled(self, expr: sp.Function) -> str:
        style, vector = self.style, self._vector(expr)
        components = expr.args[1 if expr.name == "ell" else 2 : -2]
        if expr.name == "ell":
            value = self.loss(self.write(l.Y[expr.args[0], l.STAR])[0], vector)
        else:
            component = self.scalar(expr.args[1])[0]
            value = style.function(
                self.function_at(expr.name, 0, expr.args[0], component), [vector]
            )
        if not components:
            return value
        along = [self.write(expr.args[-2].xreplace({l.STAR: r}))[0] for r in components]
        return style.derivative(value, *along)

    def _vector(self, expr: sp.Function) -> str:
        """The argument of a coupled function, as a vector."""
        sample = next(e for e in expr.args[-2].atoms(sp.Indexed) if e.base in (l.X, l.Z)).indices[1]
        component = sp.Dummy("p", integer=True, positive=True)
        node = contract(expr.args[-2].xreplace({l.STAR: component}), (component,), (sample,))
        writer = MatrixWriter(self.style, "", self.last)
        writer.labels = self._sample(sample)
        return writer.write(node)[0]


def _is_penalty(expr: sp.Sum) -> bool:
    """Whether this is Σ_k Σ_p Σ_q ω(W_pq^k), the regularizer."""
    over_layers = any(upper == l.N or upper.is_Integer for _, _, upper in expr.limits)
    return isinstance(expr.function, l.omega) and over_layers and len(expr.limits) == 3


_OF_STEPS = (sp.KroneckerDelta, l.Whole, l.Pending, Between)
_LAST = (l.Pending, sp.KroneckerDelta)
_WEIGHTS = (l.W, l.TANGENTS[l.W])
_BIASES = (l.b, l.TANGENTS[l.b])
_MULTIPLIERS = (l.lam, l.mu, l.TANGENTS[l.lam], l.TANGENTS[l.mu], l.Delta, l.delta)


def _factor_rank(expr: sp.Expr) -> tuple[int, bool, str]:
    order = (
        expr.is_number,
        expr.is_Symbol or isinstance(expr, sp.Pow),
        isinstance(expr, sp.Indexed) and expr.base in _WEIGHTS,
        isinstance(expr, sp.Function) and not isinstance(expr, _LAST),
        isinstance(expr, sp.Indexed)
        and (expr.base in _MULTIPLIERS or str(expr.base.label).startswith("kkt_")),
        isinstance(expr, sp.Indexed),
        isinstance(expr, sp.Add),
    )
    rank = next((j for j, hit in enumerate(order) if hit), len(order))
    return rank, isinstance(expr, l.Partial) and expr.name == "ell", str(expr)


def _term_rank(expr: sp.Expr) -> tuple[bool, int, str]:
    bare = abs_(expr)
    if isinstance(bare, sp.Indexed):
        rank = 4 if bare.base in _BIASES else 0
    else:
        rank = (
            1
            if bare.has(l.ell, l.partial_of("ell"))
            else 2
            if bare.has(l.Opaque) and bare.has(l.rho)
            else 3
        )
    return is_negative(expr), rank, str(expr)
