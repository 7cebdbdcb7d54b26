"""Formulas as text: index form from SymPy expressions, matrix form from trees of array operations.

Both writers share a :class:`~.styles.Text` style, so a format is added once for both.
"""

from __future__ import annotations

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions.base import Top
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.styles import STYLES, Text

#: Forms of an equation: components; vectors of one sample (columns); all samples as rows.
FORMS = ("index", "matrix", "batch")

_ADD, _MUL, _POW, _ATOM = 1, 2, 3, 4
Piece = tuple[str, int]


def text(what: sp.Expr | t.Node, style: Text = STYLES["text"], labels: str = "i") -> str:
    """Write an index expression or a matrix-form tree.

    Parameters
    ----------
    what : sympy.Expr or Node
        The formula.
    style : Text
        The format and notation, see :data:`~.styles.STYLES`.
    labels : str
        The subscript that matrix-form vectors carry; empty to leave it out.
    """
    if isinstance(what, t.Node):
        return _MatrixWriter(style, labels).write(what)[0]
    return _IndexWriter(style).write(what)[0]


def check_form(form: str) -> str:
    """The form, if there is one of that name; otherwise a :class:`DerivationError`."""
    if form not in FORMS:
        raise DerivationError(f"unknown form {form!r}; known: {', '.join(FORMS)}")
    return form


class _Writer:
    def __init__(self, style: Text) -> None:
        self.style = style

    def at_least(self, piece: Piece, level: int) -> str:
        return piece[0] if piece[1] >= level else self.style.parens(piece[0])

    def scalar(self, expr: sp.Expr) -> Piece:
        """Numbers, symbols, widths n(k) and sums of them."""
        if isinstance(expr, l.n):
            return self.style.script("n", self.scalar(expr.args[0])[0]), _ATOM
        if expr.is_Symbol:
            return self.style.name(expr.name.rstrip("'")), _ATOM
        if expr.is_Float:
            return f"{float(expr):g}", _ATOM
        if expr.is_Rational and not expr.is_Integer:
            return self.style.fraction(str(expr.p), str(expr.q)), _MUL
        if expr.is_number:
            return str(expr), _ATOM if expr.is_nonnegative else _ADD
        if isinstance(expr, sp.Add):
            positive = sorted(expr.args, key=lambda a: a.is_number)
            terms = [(not _negative(a), self.scalar(abs_(a))) for a in positive]
            return self.joined(terms, gap=""), _ADD
        raise DerivationError(f"cannot write {expr}")

    def joined(self, terms: list[tuple[bool, Piece]], gap: str = " ") -> str:
        """Signed terms, the positive first."""
        minus, out = self.style.minus, ""
        for positive, piece in sorted(terms, key=lambda term: not term[0]):
            body = self.at_least(piece, _ADD if positive else _MUL)
            if out:
                out += f"{gap}{'+' if positive else minus}{gap}{body}"
            else:
                out = body if positive else minus + body
        return out

    def layer(self, layer: sp.Expr | None) -> str:
        return "" if layer is None else self.scalar(layer)[0]


def _negative(expr: sp.Expr) -> bool:
    return bool(expr.could_extract_minus_sign() and not isinstance(expr, sp.Add))


def abs_(expr: sp.Expr) -> sp.Expr:
    """The term without its sign."""
    return -expr if _negative(expr) else expr


class _IndexWriter(_Writer):
    def write(self, expr: sp.Expr) -> Piece:
        style = self.style
        if isinstance(expr, sp.Indexed):
            return self._indexed(expr), _ATOM
        if isinstance(expr, sp.Sum):
            return self._sum(expr), _MUL
        if isinstance(expr, sp.Add) and expr.is_integer:
            return self.scalar(expr)
        if isinstance(expr, sp.Add):
            terms = sorted(expr.args, key=_term_rank)
            return self.joined([(not _negative(a), self.write(abs_(a))) for a in terms]), _ADD
        if isinstance(expr, sp.Mul):
            return self._mul(expr)
        if isinstance(expr, sp.Pow) and expr.exp.is_number:
            if expr.exp.is_negative:
                below = self.at_least(self.write(expr.base**-expr.exp), _POW)
                return style.fraction("1", below), _MUL
            base = self.at_least(self.write(expr.base), _ATOM)
            if isinstance(expr.base, sp.Indexed) and expr.base.base != l.Y:
                base = style.parens(base)  # its superscript is the layer
            return style.power(base, self.scalar(expr.exp)[0]), _POW
        if isinstance(expr, sp.KroneckerDelta):
            return style.script("δ", "".join(self.write(a)[0] for a in expr.args)), _ATOM
        if isinstance(expr, l.Where):
            condition, value, other = expr.args
            written = (self.write(e)[0] for e in (value, condition, other))
            return style.cases(*written), _ATOM
        if isinstance(expr, sp.core.relational.Relational):
            left, right = (self.write(a)[0] for a in expr.args)
            return f"{left} {expr.rel_op} {right}", _ADD
        if isinstance(expr, sp.Function) and not isinstance(expr, l.n):
            return self._function(expr), _ATOM
        return self.scalar(expr)

    def _indexed(self, expr: sp.Indexed) -> str:
        name = str(expr.base.label)
        indices = [a for a in expr.indices if a != l.STAR]
        layer = None if name == "Y" else indices.pop(0)
        lower = "".join(self.scalar(a)[0] for a in indices)
        return self.style.script(self.style.name(name), lower, self.layer(layer))

    def _sum(self, expr: sp.Sum) -> str:
        body = self.at_least(self.write(expr.function), _MUL)
        for v, lower, upper in expr.limits:
            index, low, high = (self.scalar(e)[0] for e in (v, lower, upper))
            body = self.style.total(index, low, high, body)
        return body

    def _mul(self, expr: sp.Mul) -> Piece:
        if _negative(expr):
            return self.style.minus + self.at_least(self.write(-expr), _MUL), _ADD
        above, below = [], []
        for factor in sorted(expr.args, key=_factor_rank):
            if isinstance(factor, sp.Pow) and factor.exp.is_negative:
                below.append(factor.base**-factor.exp)
            elif isinstance(factor, sp.Rational) and factor.q != 1:
                above += [factor.p] if factor.p != 1 else []
                below.append(sp.Integer(factor.q))
            else:
                above.append(factor)
        divisor = self.style.dot.join(self.at_least(self.write(e), _POW) for e in below)
        factors = [self.at_least(self.write(f), _MUL) for f in above]
        long = any(isinstance(f, sp.Sum | l.Coupled | l.Partial) for f in above)
        if below and (long or not above):
            return self.style.dot.join([self.style.reciprocal(divisor), *factors]), _MUL
        product = self.style.dot.join(factors)
        if not below:
            return product, _MUL
        return self.style.quotient(product, divisor, len(above) > 1 or len(below) > 1), _MUL

    def _function(self, expr: sp.Function) -> str:
        style = self.style
        if isinstance(expr, l.Opaque):
            layer = expr.args[0] if len(expr.args) > 1 else None
            head = style.script(
                style.prime(style.name(expr.name), expr.order), "", self.layer(layer)
            )
            return style.function(head, [self.write(expr.args[-1])[0]])
        if isinstance(expr, l.Coupled | l.Partial):
            return self._coupled(expr)
        if isinstance(expr, Top):
            return style.function("max", [self.write(expr.args[0])[0]])
        if isinstance(expr, l.Member):
            return f"[{style.words(self.write(expr.args[0])[0], str(expr.args[1]))}]"
        return style.function(type(expr).__name__, [self.write(a)[0] for a in expr.args])

    def _coupled(self, expr: sp.Function) -> str:
        style, vector = self.style, self._vector(expr)
        if expr.name == "ell":
            labels = self.write(l.Y[expr.args[0], l.STAR])[0]
            value = style.function(style.name("ell"), [labels, vector])
            along = expr.args[-2].xreplace({l.STAR: expr.args[1]}) if len(expr.args) == 4 else None
        else:
            head = style.script(
                style.name(expr.name), self.write(expr.args[1])[0], self.layer(expr.args[0])
            )
            value = style.function(head, [vector])
            along = None
            if isinstance(expr, l.Partial):
                along = expr.args[-2].xreplace({l.STAR: expr.args[2]})
        if along is None:
            return value
        return style.fraction(style.partial + value, style.partial + self.write(along)[0])

    def _vector(self, expr: sp.Function) -> str:
        """The argument of a coupled function, as a vector."""
        sample = next(e for e in expr.args[-2].atoms(sp.Indexed) if e.base in (l.X, l.Z)).indices[1]
        component = sp.Dummy("p", integer=True, positive=True)
        node = contract(expr.args[-2].xreplace({l.STAR: component}), (component,), (sample,))
        return _MatrixWriter(self.style, self.scalar(sample)[0]).write(node)[0]


def _factor_rank(expr: sp.Expr) -> tuple[int, str]:
    order = (
        expr.is_number,
        expr.is_Symbol or isinstance(expr, sp.Pow),
        isinstance(expr, sp.Indexed) and expr.base == l.W,
        isinstance(expr, sp.Function),
        isinstance(expr, sp.Indexed) and expr.base in (l.lam, l.mu),
        isinstance(expr, sp.Indexed),
        isinstance(expr, sp.Add),
    )
    return next((j for j, hit in enumerate(order) if hit), len(order)), str(expr)


def _term_rank(expr: sp.Expr) -> tuple[bool, int, str]:
    bare = abs_(expr)
    if isinstance(bare, sp.Indexed):
        rank = 4 if bare.base == l.b else 0
    else:
        rank = 1 if bare.has(l.ell) else 2 if bare.has(l.Opaque) and bare.has(l.rho) else 3
    return _negative(expr), rank, str(expr)


class _MatrixWriter(_Writer):
    def __init__(self, style: Text, labels: str) -> None:
        super().__init__(style)
        self.labels = labels

    def write(self, node: t.Node) -> Piece:
        method = getattr(self, "_" + type(node).__name__.lower())
        return method(node)  # type: ignore[no-any-return]

    def _number(self, node: t.Number) -> Piece:
        return self.scalar(node.value)

    def _ref(self, node: t.Ref) -> Piece:
        lower = "" if node.name in {"W", "b"} else self.labels
        return self.style.script(self.style.name(node.name), lower, self.layer(node.layer)), _ATOM

    def _call(self, node: t.Call) -> Piece:
        style, fn = self.style, node.fn
        args = [self.write(arg)[0] for arg in node.args]
        if fn.name == "where":
            return style.cases(args[1], args[0], args[2]), _ATOM
        if fn.name in {">", ">=", "<", "<="}:
            return f"{args[0]} {fn.name} {args[1]}", _ADD
        if fn.name == "ell":
            label = style.script(style.name("Y"), self.labels)
            value = style.function(style.name("ell"), [label, *args])
            if not fn.order:
                return value, _ATOM
            return style.fraction(style.partial + value, style.partial + args[0]), _MUL
        if fn.coupled and fn.order:
            head = style.script(style.partial + style.name(fn.name), "", self.layer(fn.layer))
            value = style.function(head, args)
            return style.fraction(value, style.partial + args[0]), _MUL
        head = style.script(style.prime(style.name(fn.name), fn.order), "", self.layer(fn.layer))
        return style.function(head, args), _ATOM

    def _product(self, node: t.Product) -> Piece:
        scalars = [f for f in node.factors if not f.axes and f != t.ONE]
        arrays = [f for f in node.factors if f.axes]
        lead = [self.at_least(self.write(f), _MUL) for f in scalars]
        body = self.style.hadamard.join(
            self.at_least(self.write(f), _POW if len(arrays) > 1 else _MUL) for f in arrays
        )
        above = self.style.dot.join([*lead, *([body] if body else [])]) or "1"
        if not node.divisors:
            return above, _MUL
        below = self.style.dot.join(self.at_least(self.write(d), _POW) for d in node.divisors)
        sums = any(isinstance(f, t.Over | t.Reduced) for f in scalars)
        if all(not d.axes for d in node.divisors) and (arrays or sums):
            return self.style.dot.join([self.style.reciprocal(below), above]), _MUL
        compound = len(arrays) > 1 or len(node.divisors) > 1
        return self.style.quotient(above, below, compound), _MUL

    def _total(self, node: t.Total) -> Piece:
        terms = [(True, self.write(p)) for p in node.plus] + [
            (False, self.write(m)) for m in node.minus
        ]
        return self.joined(terms), _ADD

    def _power(self, node: t.Power) -> Piece:
        base = self.write(node.base)
        layered = isinstance(node.base, t.Ref) and node.base.layer is not None
        inner = self.style.parens(base[0]) if layered else self.at_least(base, _ATOM)
        return self.style.power(inner, self.scalar(node.exponent)[0]), _POW

    def _matmul(self, node: t.MatMul) -> Piece:
        left, right = node.left, node.right
        if not node.axes:
            pair = f"{self.write(left)[0]}, {self.write(right)[0]}"
            return f"{self.style.langle}{pair}{self.style.rangle}", _ATOM
        if len(left.axes) == 1:  # row times matrix: written as matrixᵀ column
            left, right = t.Transposed(right.axes[::-1], right), left
        pieces = [self.at_least(self.write(side), _POW) for side in (left, right)]
        return self.style.dot.join(pieces), _MUL

    def _transposed(self, node: t.Transposed) -> Piece:
        if isinstance(node.arg, t.Transposed):
            return self.write(node.arg.arg)
        return self.style.transpose(self.at_least(self.write(node.arg), _ATOM)), _POW

    def _outer(self, node: t.Outer) -> Piece:
        left = self.at_least(self.write(node.left), _POW)
        right = self.style.transpose(self.at_least(self.write(node.right), _ATOM))
        return self.style.dot.join([left, right]), _MUL

    def _reduced(self, node: t.Reduced) -> Piece:
        inner, style = node.arg, self.style
        if isinstance(inner, t.Call) and inner.fn.name == "omega":
            return style.function(style.name("Omega"), [self.write(inner.args[0])[0]]), _ATOM
        if node.op == "sum" and len(inner.axes) == 2 and len(node.axes) == 1:
            factors = [self.at_least(self.write(inner), _POW), style.name("one")]
            if node.over == (0,):  # over the samples: a row of ones from the left
                factors = [style.transpose(factors[1]), factors[0]]
            return style.dot.join(factors), _MUL
        return style.function(node.op, [self.write(inner)[0]]), _ATOM

    def _over(self, node: t.Over) -> Piece:
        index, low, high = (self.scalar(e)[0] for e in (node.index, node.lower, node.upper))
        body = self.at_least(self.write(node.arg), _MUL)
        return self.style.total(index, low, high, body), _MUL
