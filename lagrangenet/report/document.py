"""What a written derivation shows, whatever the format: problem, Lagrangian, conditions, symbols.

Everything is written once here, in the style that the format asks for; the formats only arrange it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import sympy as sp

from lagrangenet.problem import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.display import Equation
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.matrix_form import MatrixWriter
from lagrangenet.symbolic.notation import ROLES
from lagrangenet.symbolic.styles import Text

#: The forms of an equation and what they are called.
FORM_TITLES = {
    "index": "Index form: components",
    "matrix": "Matrix form: vectors of one sample",
    "batch": "Batch form: all samples as rows",
    "vec": "Vectorized form: the weights as one column",
}


@dataclass(frozen=True)
class Part:
    """A derivation in one form: L, what is abbreviated, and the conditions."""

    form: str
    objective: Equation
    constraints: tuple[str, ...]
    lagrangian: Equation
    definitions: tuple[Equation, ...]
    conditions: tuple[Equation, ...]
    updates: tuple[Equation, ...]


@dataclass(frozen=True)
class Document:
    """A derivation, ready to be arranged.

    Attributes
    ----------
    title, subtitle : str
        The network, and splitting, order and notation.
    parts : tuple of Part
        One per form; the first is the one that was asked for.
    functions : tuple of (str, str)
        Formula and words: what the opaque functions are in this problem.
    symbols : tuple of (str, str)
        Formula and meaning, in the notation of the document.
    unknowns : str
        What the objective is minimized over.
    """

    title: str
    subtitle: str
    style: Text
    parts: tuple[Part, ...]
    functions: tuple[tuple[str, str], ...]
    symbols: tuple[tuple[str, str], ...]
    unknowns: str

    @property
    def rows(self) -> tuple[Equation, ...]:
        """What a plain list shows: conditions; definitions where form or notation is not ours."""
        first = self.parts[0]
        known = first.form != "vec" and self.style.notation.name == "kkt"
        return first.conditions if known else (*first.definitions, *first.conditions)


def document(
    derivation: Derivation | GraphDerivation,
    forms: Sequence[str],
    style: Text,
    depth: int | None = None,
) -> Document:
    """Write a derivation in some forms.

    Examples
    --------
    >>> from lagrangenet.symbolic.derivation import derive
    >>> shown = document(derive(), ["matrix"], Text())
    >>> print(shown.parts[0].conditions[0])
    x_i^k = σ^k(z_i^k)
    """
    if isinstance(derivation, GraphDerivation):
        return _of_graph(derivation, forms, style)
    style = derivation.styled(style)
    parts = tuple(_part(derivation, form, style, depth) for form in forms)
    problem = derivation.problem
    states = [style.name("X"), *([style.name("Z")] if derivation.splitting != "activation" else [])]
    return Document(
        str(problem) if problem else "Chain of symbolic depth, width and batch size",
        f"{derivation.splitting} splitting, {_orders(derivation.order)}; notation: {style.notation.title}",
        style,
        parts,
        tuple(functions(problem, style)),
        tuple(_symbols(derivation, style, "vec" in forms)),
        style.comma.join([*states, style.name("theta")]),
    )


def _part(derivation: Derivation, form: str, style: Text, depth: int | None) -> Part:
    lagrangian = derivation.lagrangian
    objective, constraints = lagrangian.problem(form, style, depth)
    return Part(
        form,
        Equation("", "", style.name("objective"), "=", tuple(objective), style),
        tuple(constraints),
        lagrangian.written(form, style, depth),
        tuple(derivation.definitions(form, style)),
        tuple(derivation.written(form, style, depth)),
        tuple(derivation.updates(form, style)),
    )


def _of_graph(derivation: GraphDerivation, forms: Sequence[str], style: Text) -> Document:
    """A graph has the index form, names of its own for arrays, and functions by constraint."""
    graph, lagrangian = derivation.problem, derivation.lagrangian(style)
    terms = lagrangian.terms[: 2 if derivation.network.penalized else 1]
    conditions = tuple(derivation.written(forms[0], style))
    constraints = tuple(str(row) for row in conditions if row.label == "S1")
    part = Part(
        forms[0],
        Equation("", "", style.name("objective"), "=", terms, style),
        constraints,
        lagrangian,
        (),
        conditions,
        (),
    )
    used = [
        (style.name("sigma"), f"{c.activation} for {c.state}")
        for c in graph.constraints
        if c.activation is not None
    ]
    penalty = [(style.name("omega"), str(graph.regularizer))] if graph.regularizer else []
    roles = ("lambda", "ell", "rho", "objective", "lagrangian", "i", "M")
    return Document(
        str(graph),
        f"graph, {_orders(derivation.order)}; notation: {style.notation.title}",
        style,
        (part,),
        (*used, (style.name("ell"), str(graph.loss)), *penalty),
        tuple((style.name(role), ROLES[role]) for role in roles),
        style.comma.join([style.name("X"), style.name("theta")]),
    )


def _orders(order: int) -> str:
    return "first and second order" if order == 2 else "first order"


def functions(problem: Problem | None, style: Text) -> Iterator[tuple[str, str]]:
    """What the opaque functions are: runs of layers with the same activation, loss, regularizer."""
    if problem is None:
        return
    plain = MatrixWriter(Text(notation=style.notation), "", sp.Integer(problem.depth))
    writer, start = MatrixWriter(style, ""), 1
    for name, layers in groupby(problem.layers, key=lambda layer: str(layer.activation)):
        end = start + len(list(layers)) - 1
        ends = list(dict.fromkeys(plain.layer(sp.Integer(k)) for k in (start, end)))
        yield (
            writer.function_at("sigma", 0, l.k),
            f"{name} for {plain.style.name('k')} = {'..'.join(ends)}",
        )
        start = end + 1
    yield style.name("ell"), str(problem.loss)
    if problem.regularizer:
        yield style.name("omega"), str(problem.regularizer)
    else:
        yield style.name("rho"), "0"


def _symbols(derivation: Derivation, style: Text, vec: bool) -> Iterator[tuple[str, str]]:
    """Formula and meaning of every symbol that the formulas use; equal formulas share a row."""
    meanings: dict[str, list[str]] = {}
    for role, formula in _formulas(derivation, style, vec):
        meanings.setdefault(formula, []).append(ROLES[role])
    return ((formula, "; ".join(words)) for formula, words in meanings.items())


def _formulas(derivation: Derivation, style: Text, vec: bool) -> Iterator[tuple[str, str]]:
    writer, notation = MatrixWriter(style, "i"), style.notation
    for role in ("X", "input", "output", "Z"):
        if role in {"X", "Z"}:
            yield role, writer.array(role, l.k, writer.labels)[0]
        elif role in notation.symbols:
            yield role, style.name(role)
    for role in ("W", *(["vec"] if vec else []), "b"):
        yield role, writer.array(role, l.k)[0]
    yield "Y", style.indexed(style.name("Y"), "", writer.labels)
    yield "sigma", writer.function_at("sigma", 0, l.k)
    for role in ("ell", "Omega", "rho", "eta", "objective", "lagrangian"):
        yield role, style.name(role)
    lifted = derivation.splitting == "preactivation"
    for role in ("lambda", *(["mu"] if lifted else [])):
        yield role, writer.array(role, l.k, writer.labels)[0]
    errors = {"lambda": (), "Delta": ("Delta", *(["delta"] if lifted else [])), "delta": ("delta",)}
    for role in errors[notation.variable]:
        yield role, writer.array(role, l.k, writer.labels)[0]
    for role in ("k", "N", "i", "M"):
        yield role, style.name(role)
    yield "n", writer.scalar(l.n(l.k))[0]
