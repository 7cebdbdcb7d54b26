"""Conditions of a graph as formulas, in components, in any style."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

import sympy as sp

from lagrangenet.graph import Graph
from lagrangenet.layers.equation import ArgLargest, Largest
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.display import Equation
from lagrangenet.symbolic.graphs.network import LABELS, Network, NetworkCondition, network
from lagrangenet.symbolic.graphs.pieces import multiplier
from lagrangenet.symbolic.printing import IndexWriter
from lagrangenet.symbolic.styles import BRIEF, Text
from lagrangenet.symbolic.writer import ATOM, MUL, POW, Piece, abs_, is_negative

_DIGITS = re.compile(r"([A-Za-z]+)(\d+)")
_TITLES = {
    "S1": "forward pass",
    "S2": "multiplier of the output",
    "S3": "backward pass",
    "S5": "gradient",
    "T1": "tangent pass",
    "T2": "tangent of the output's multiplier",
    "T3": "second-order adjoint",
    "T5": "Hessian-vector product",
}


class GraphWriter(IndexWriter):
    """Writes arrays that have names rather than layers: x1[i, p] as x_ip^1, z_x1[i, p] as z_ip^{x1}."""

    def scalar(self, expr: sp.Expr) -> Piece:
        """Sizes, indices and what is computed from them."""
        if isinstance(expr, sp.floor):
            return self.style.function(
                self.style.word("floor"), [self.scalar(expr.args[0])[0]]
            ), ATOM
        if expr.is_Symbol and "_" in expr.name:
            base, _, of = expr.name.partition("_")
            axis = _DIGITS.fullmatch(base)
            lower = self.style.number(axis[2]) if axis else ""
            return self.style.script(
                self._base(axis[1] if axis else base), lower, self._word(of)
            ), ATOM
        if isinstance(expr, sp.Indexed):
            return self._indexed(expr)
        if isinstance(expr, sp.Pow):
            return self._power(expr)
        return super().scalar(expr)

    def _word(self, name: str) -> str:
        return self.style.word(name)

    def terms(self, expr: sp.Expr) -> list[str]:
        """The summands with their signs: sums first, single arrays last."""
        if not isinstance(expr, sp.Add) or expr.is_integer:
            return super().terms(expr)
        found = sorted(
            expr.args, key=lambda a: (not a.has(sp.Sum), isinstance(abs_(a), sp.Indexed))
        )
        return self.signed([(not is_negative(a), self.write(abs_(a))) for a in found])

    def _power(self, expr: sp.Pow) -> Piece:
        if expr.exp.is_Integer:
            return super()._power(expr)
        base = self.style.parens(self.write(expr.base)[0])
        exponent = self.style.script(base, "", self.scalar(abs(expr.exp))[0])
        if expr.exp.is_negative:
            return self.style.fraction(self.style.number("1"), exponent), MUL
        return exponent, POW

    def _unfinished(self, expr: sp.Expr) -> Piece:
        if not isinstance(expr, sp.KroneckerDelta) or not expr.has(sp.Indexed):
            return super()._unfinished(expr)
        pair = (self.scalar(a)[0] for a in expr.args)
        return self.style.script(self.style.name("kronecker"), self.style.comma.join(pair)), ATOM

    def _indexed(self, expr: sp.Indexed) -> Piece:
        name = str(expr.base.label)
        written = [self.scalar(a)[0] for a in expr.indices if a != l.STAR]
        simple = all(a.is_Atom for a in expr.indices)
        return self._named(name, ("" if simple else self.style.script_comma).join(written)), ATOM

    def _named(self, name: str, lower: str) -> str:
        bare = name.removesuffix("_dot")
        if bare.startswith("lambda_"):
            base, upper = self.style.name("lambda"), self._named(bare.removeprefix("lambda_"), "")
        elif match := _DIGITS.fullmatch(bare):
            base, upper = self._base(match[1]), self.style.number(match[2])
        else:
            first, _, rest = bare.partition("_")
            base, upper = self._base(first), self._word(rest) if rest else ""
        return self.style.script(self.style.dotted(base) if name != bare else base, lower, upper)

    def _base(self, name: str) -> str:
        return self.style.name(name) if len(name) == 1 else self._word(name)

    def _function(self, expr: sp.Function) -> Piece:
        style = self.style
        if isinstance(expr, l.Opaque) and expr.name == "sigma":
            head = style.prime(style.name("sigma"), expr.order)
            head = style.script(head, "", self._state(str(expr.args[0])))
            return style.function(head, [self.write(expr.args[-1])[0]]), ATOM
        if isinstance(expr, Largest | ArgLargest):
            inside, v, _ = expr.args
            word = style.script(style.word("max" if isinstance(expr, Largest) else "argmax"),
                                self.scalar(v)[0])  # fmt: skip
            return style.dot.join([word, self.write(inside)[0]]), ATOM
        if isinstance(expr, l.Coupled | l.Partial):
            return self._whole(expr), ATOM
        return super()._function(expr)

    def _state(self, name: str) -> str:
        match = _DIGITS.fullmatch(name)  # f1 and g1 may have different activations
        return self.style.number(match[2]) if match and match[1] == "x" else self._word(name)

    def _whole(self, expr: sp.Expr) -> str:
        """σ_p(z), ∂σ_p/∂z_r, ℓ(y, x), ∂ℓ/∂x_p: functions of a vector."""
        style, order = self.style, getattr(expr, "order", 0)
        vector = expr.args[-2]
        if expr.name == "ell":
            labels = expr.args[: -2 - order]
            # the labels are y, or Y beside an output of that name
            same = str(vector.base.label) == "y"
            written = [self.scalar(a)[0] for a in labels]
            given = (
                self.style.script(self.style.letter("Y"), "".join(written))
                if same
                else self.write(LABELS[(*labels, l.STAR)])[0]
            )
            arguments = [given, self.write(vector)[0]]
            head, along = style.name("ell"), expr.args[len(expr.args) - 2 - order : -2]
        else:
            first = self.scalar(expr.args[1])[0]
            head = style.script(style.name("sigma"), first, self._state(str(expr.args[0])))
            arguments, along = [self.write(vector)[0]], expr.args[2:-2]
        value = style.function(head, arguments)
        if not along:
            return value
        by = [self.write(vector.xreplace({l.STAR: r}))[0] for r in along]
        return style.derivative(value, *by)


_LETTERS = (*"pqrstuvabcdefghjlmnow", *(f"p{k}" for k in range(1, 100)))


def readable(expr: sp.Expr, free: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
    """Indices as plain letters: different ones for free indices, within a sum, and from arrays."""
    expr = _apart(expr)
    arrays = frozenset(str(e.base.label) for e in expr.atoms(sp.Indexed))
    swap = _named(free, arrays)
    taken = arrays | {v.name for v in swap.values()}
    return _bound(expr.xreplace(swap), taken), tuple(swap[v] for v in free)


def _apart(expr: sp.Expr) -> sp.Expr:
    """The indices of sums as dummies, so that no letter that is given later is captured."""
    if not expr.has(sp.Sum):
        return expr
    if not isinstance(expr, sp.Sum):
        return expr.func(*map(_apart, expr.args))
    swap = {v: sp.Dummy(v.name, integer=True, positive=True) for v, *_ in expr.limits}
    limits = [(swap[v], a.xreplace(swap), b.xreplace(swap)) for v, a, b in expr.limits]
    return sp.Sum(_apart(expr.function).xreplace(swap), *limits)


def _named(indices: Iterable[sp.Symbol], taken: frozenset[str]) -> dict[sp.Symbol, sp.Symbol]:
    """Its own letter for each index, or the first that is not taken."""
    found: dict[sp.Symbol, sp.Symbol] = {}
    for v in indices:
        used = taken | {s.name for s in found.values()}
        letter = next(c for c in (v.name, *_LETTERS) if c not in used)
        found[v] = sp.Symbol(letter, integer=True, positive=True)
    return found


def _bound(expr: sp.Expr, taken: frozenset[str]) -> sp.Expr:
    """The indices of sums renamed, each sum for itself."""
    if not expr.has(sp.Sum):
        return expr
    if not isinstance(expr, sp.Sum):
        return expr.func(*(_bound(arg, taken) for arg in expr.args))
    names = _named((v for v, *_ in expr.limits), taken)
    inner = _bound(expr.function.xreplace(names), taken | {s.name for s in names.values()})
    limits = [(names[v], a.xreplace(names), b.xreplace(names)) for v, a, b in expr.limits]
    return sp.Sum(inner, *limits)


@cache
def formulas(graph: Graph, order: int) -> Mapping[tuple[str, str], str]:
    """Every condition in one line, by label and v: what comments in code say."""
    plain = network(graph, store=False)
    conditions = plain.conditions(1) if order == 1 else plain.every_tangent
    return {(c.label, c.wrt): written(c, BRIEF) for c in conditions}


def written(condition: NetworkCondition, style: Text) -> str:
    """A condition, solved for its unknown if it has one, as an equation in one line."""
    return str(equation(condition, style))


def equation(condition: NetworkCondition, style: Text) -> Equation:
    """A condition as an equation in its parts."""
    right, free = readable(condition.expr, condition.target.indices)
    writer = GraphWriter(style)
    target = sp.IndexedBase(condition.wrt, real=True)[free]
    name = str(condition.target.base.label)
    if condition.label in {"S5", "T5"}:
        of = style.name("lagrangian" if condition.label == "S5" else "lagrangian_dot")
        head = style.derivative(of, writer.write(target)[0])
    else:
        head = writer.write(sp.IndexedBase(name, real=True)[free])[0]
    meaning = f"{title(condition)}, {condition.wrt.removeprefix('lambda_')}"
    return Equation(condition.label, meaning, head, "=", tuple(writer.terms(right)), style)


def title(condition: NetworkCondition) -> str:
    """What a condition gives."""
    return _TITLES[condition.label]


def lagrangian_equation(network: Network, style: Text) -> Equation:
    """L = J + Σ λ (x − f(x, θ)), constraint by constraint."""
    writer = GraphWriter(style)
    rows = [writer.write(network.loss)[0]]
    if network.penalized:
        rows.append(writer.write(network.penalty)[0])
    for condition in network.conditions(1):
        if condition.label != "S1" or condition.wrt.removeprefix("lambda_") in network.constants:
            continue
        state = condition.target.base
        lam = sp.IndexedBase(multiplier(str(state.label)), real=True)
        right, free = readable(condition.expr, condition.target.indices)
        residual = writer.joined(
            [
                (True, writer.write(state[free])),
                (False, (style.parens(writer.write(right)[0]), ATOM)),
            ]
            if right.is_Add
            else [(True, writer.write(state[free])), (False, writer.write(right))]
        )
        body = style.dot.join([writer.write(lam[free])[0], style.parens(residual)])
        limits = list(zip(free, condition.ranges, strict=True))
        for v, (_, low, high) in reversed(limits):
            index, first, last = (writer.scalar(e)[0] for e in (v, low, high))
            body = style.total(index, first, last, body)
        rows.append(body)
    terms = (rows[0], *(f"{style.plus} {row}" for row in rows[1:]))
    return Equation("", "Lagrangian", style.name("lagrangian"), "=", terms, style)
