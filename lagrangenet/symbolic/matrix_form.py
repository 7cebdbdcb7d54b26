"""Matrix form: trees of array operations as formulas.

A tree says which sums are matrix products; here they are only written. ``labels`` is the sample
index that vectors carry, empty where rows are samples or where the notation leaves it out.
"""

from __future__ import annotations

import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.styles import Text
from lagrangenet.symbolic.vectorized import Blocks, Vec
from lagrangenet.symbolic.writer import ADD, ATOM, LAYERED, MUL, PARAMETERS, POW, Piece, Writer

_RELATIONS = {">", ">=", "<", "<="}


class MatrixWriter(Writer):
    """Writes a tree; a method per kind of node."""

    def __init__(self, style: Text, labels: str, last: sp.Expr = l.N, rows: bool = False) -> None:
        super().__init__(style, last)
        self.rows = rows
        self.labels = style.name(labels) if labels and self.notation.sample == "always" else ""
        self.vectors = bool(labels)

    def write(self, node: t.Node) -> Piece:
        """A node, by the method of its name."""
        method = getattr(self, "_" + type(node).__name__.lower())
        return method(node)  # type: ignore[no-any-return]

    def _number(self, node: t.Number) -> Piece:
        return self.scalar(node.value)

    def _ref(self, node: t.Ref) -> Piece:
        base = node.name.removesuffix("_dot")
        lower = "" if base in PARAMETERS else self.labels
        if node.layer is not None and node.name in LAYERED:
            written = self.array(node.name, node.layer, lower)
            if self.rows and base == "Delta":  # a column is wanted
                return self.style.transpose(self.at_least(written, ATOM)), POW
            return written
        return self.style.indexed(self.style.name(node.name), "", lower), ATOM

    def _call(self, node: t.Call) -> Piece:
        style, fn = self.style, node.fn
        args = [self.write(arg)[0] for arg in node.args]
        if fn.name == "where":
            return style.cases(args[1], args[0], args[2]), ATOM
        if fn.name in _RELATIONS:
            return style.relation(args[0], fn.name, args[1]), ADD
        if fn.name == "ell":
            return self._loss(fn.order, args)
        if fn.name == "omega" and fn.order == 1 and self.notation.penalty == "whole":
            return self._slope_of_penalty(args[0]), MUL
        if fn.coupled and fn.order:
            return self._jacobian(fn, args), MUL
        return style.function(self.function_at(fn.name, fn.order, fn.layer), args), ATOM

    def _loss(self, order: int, args: list[str]) -> Piece:
        style = self.style
        value = self.loss(style.indexed(style.name("Y"), "", self.labels), args[0])
        if not order:
            return value, ATOM
        if self.notation.derivative == "nabla" and order == 1:
            return style.nabla(value, args[0]), MUL
        apart = style.stacked and self.notation.error != "symbol"
        return style.derivative(value, *self._along(args[0], order)), POW if apart else MUL

    def _slope_of_penalty(self, weights: str) -> str:
        if self.notation.derivative == "nabla":
            return self.style.nabla(self.penalty(), weights)
        return self.style.derivative(self.penalty(), weights)

    def _jacobian(self, fn: t.Fn, args: list[str]) -> str:
        """∂σ/∂z; of second order ∂²σ/∂z∂zᵀ, applied to the vector in brackets."""
        style = self.style
        head = self.function_at(fn.name, 0, fn.layer)
        value = style.function(head, args[:1])
        written = style.derivative(value, *self._along(args[0], fn.order))
        return written + "".join(map(style.brackets, args[1:]))

    def _along(self, vector: str, order: int) -> tuple[str, ...]:
        """What a derivative is taken by: x, or x and xᵀ."""
        return (vector, self.style.transpose(vector))[:order]

    def _product(self, node: t.Product) -> Piece:
        scalars = [f for f in node.factors if not f.axes and f != t.ONE]
        arrays = [f for f in node.factors if f.axes]
        lead = [self.at_least(self.write(f), MUL) for f in scalars]
        body = self.style.hadamard.join(
            self.at_least(self.write(f), POW if len(arrays) > 1 else MUL) for f in arrays
        )
        above = self.style.dot.join([*lead, *([body] if body else [])]) or self.style.number("1")
        if not node.divisors:
            return above, MUL
        below = self.style.dot.join(self.at_least(self.write(d), POW) for d in node.divisors)
        sums = any(isinstance(f, t.Over | t.Reduced) for f in scalars)
        if all(not d.axes for d in node.divisors) and (arrays or sums):
            return self.style.dot.join([self.style.reciprocal(below), above]), MUL
        compound = len(arrays) > 1 or len(node.divisors) > 1
        return self.style.quotient(above, below, compound), MUL

    def terms(self, node: t.Node) -> list[str]:
        """The summands of a tree with their signs."""
        if not isinstance(node, t.Total):
            return [self.write(node)[0]]
        plus = [(True, self.write(term)) for term in node.plus]
        return self.signed(plus + [(False, self.write(term)) for term in node.minus])

    def _total(self, node: t.Total) -> Piece:
        return " ".join(self.terms(node)), ADD

    def _power(self, node: t.Power) -> Piece:
        base = self.write(node.base)
        layered = isinstance(node.base, t.Ref) and node.base.layer is not None
        inner = self.style.parens(base[0]) if layered else self.at_least(base, ATOM)
        return self.style.power(inner, self.scalar(node.exponent)[0]), POW

    def _matmul(self, node: t.MatMul) -> Piece:
        left, right = node.left, node.right
        if not node.axes:
            style = self.style
            pair = style.comma.join(self.write(side)[0] for side in (left, right))
            return f"{style.langle}{pair}{style.rangle}", ATOM
        if len(left.axes) == 1:  # row times matrix: written as matrixᵀ column
            left, right = t.Transposed(right.axes[::-1], right), left
        pieces = [self.at_least(self.write(side), POW) for side in (left, right)]
        return self.style.dot.join(pieces), MUL

    def _transposed(self, node: t.Transposed) -> Piece:
        if isinstance(node.arg, t.Transposed):
            return self.write(node.arg.arg)
        return self._turned(node.arg), POW

    def _turned(self, node: t.Node) -> str:
        piece = self.write(node)
        if piece[1] == POW and isinstance(node, t.Ref):  # a derivative that stands apart
            piece = piece[0], MUL
        return self.style.transpose(self.at_least(piece, ATOM))

    def row(self, node: t.Node, right: str = "") -> str:
        """A column that is linear in Δ, times a matrix on its right, as a row: Δ [σ′ ⊙ W]."""
        style = self.style
        if isinstance(node, t.MatMul) and len(node.axes) == 1:
            left, vector = node.left, node.right
            matrix = left.arg if isinstance(left, t.Transposed) else t.Transposed(left.axes, left)
            factor = self.at_least(self.write(matrix), POW)
            return self.row(vector, style.dot.join(filter(None, (factor, right))))
        if isinstance(node, t.Product) and right and not node.divisors:
            delta = next(f for f in node.factors if isinstance(f, t.Ref) and f.name == "Delta")
            rest = [self.at_least(self.write(f), POW) for f in node.factors if f is not delta]
            bracket = style.brackets(style.hadamard.join([*rest, right]))
            return style.dot.join([self.row(delta), bracket])
        if isinstance(node, t.Ref) and node.layer is not None:
            written = self.array(node.name, node.layer, self.labels)[0]
            return style.dot.join(filter(None, (written, right)))
        return self.write(node)[0]

    # -- the vectorized form -----------------------------------------------------------------------

    def _vec(self, node: Vec) -> Piece:
        dot = "_dot" if node.arg.name.endswith("_dot") else ""
        assert node.arg.layer is not None
        return self.array("vec" + dot, node.arg.layer)

    def _blocks(self, node: Blocks) -> Piece:
        vector = (
            self._turned(node.vector) if node.wide else self.at_least(self.write(node.vector), POW)
        )
        return self.style.kronecker.join([self.style.name("identity"), vector]), MUL

    def _outer(self, node: t.Outer) -> Piece:
        left = self.at_least(self.write(node.left), POW)
        return self.style.dot.join([left, self._turned(node.right)]), MUL

    def _reduced(self, node: t.Reduced) -> Piece:
        inner, style = node.arg, self.style
        if isinstance(inner, t.Call) and inner.fn.name == "omega" and not inner.fn.order:
            if self.notation.penalty == "whole":
                return self.penalty(), ATOM
            return style.function(style.name("Omega"), [self.write(inner.args[0])[0]]), ATOM
        if node.op == "sum" and len(inner.axes) == 2 and len(node.axes) == 1:
            factors = [self.at_least(self.write(inner), POW), style.name("one")]
            if node.over == (0,):  # over the samples: a row of ones from the left
                factors = [style.transpose(factors[1]), factors[0]]
            return style.dot.join(factors), MUL
        return style.function(style.name(node.op), [self.write(inner)[0]]), ATOM

    def _over(self, node: t.Over) -> Piece:
        name = node.index.name.rstrip("'")
        if name == l.k.name and _is_penalty(node.arg) and self.notation.penalty == "whole":
            return self.penalty(), ATOM
        index, low, high = self.limits(node.index, node.lower, node.upper)
        outside = self.labels
        if name == l.i.name and self.vectors:
            self.labels = index
        body = self.at_least(self.write(node.arg), MUL)
        self.labels = outside
        return self.style.total(index, low, high, body), MUL


def _is_penalty(node: t.Node) -> bool:
    return (
        isinstance(node, t.Reduced)
        and isinstance(node.arg, t.Call)
        and node.arg.fn.name == "omega"
        and not node.arg.fn.order
    )
