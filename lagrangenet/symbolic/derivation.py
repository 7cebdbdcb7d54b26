"""``derive``: from a problem to its Lagrangian and stationarity conditions, every stage kept.

The derivation is that of the chain with symbolic depth; a problem only says which kinds of layer
occur and which functions stand for the opaque ones. So its cost does not depend on the depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import ACTIVATIONS
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.backward import in_variable
from lagrangenet.symbolic.blocks import Block, hessian_blocks
from lagrangenet.symbolic.display import Equation, display, table
from lagrangenet.symbolic.equations import equation, placed, step
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.lagrangian import Lagrangian, Splitting, affine
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import Condition, stationarity
from lagrangenet.symbolic.steps import Step, steps
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tangent import TangentLagrangian, tangent
from lagrangenet.symbolic.tidy import tidy


@dataclass(frozen=True)
class Derivation:
    """Every stage from the declared problem to its KKT conditions.

    Attributes
    ----------
    problem : Problem or None
        None for the generic chain with componentwise σ^k.
    splitting : {"activation", "preactivation"}
        Whether z^k is an abbreviation, or a state with a constraint and multiplier μ^k.
    order : {1, 2}
        Whether the conditions of the tangent Lagrangian L̇ belong to what is printed and
        generated: tangent pass, second-order adjoint and Hessian-vector product.
    """

    problem: Problem | None = None
    splitting: Splitting = "activation"
    order: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise DerivationError(f"unknown order {self.order!r}; known: 1, 2")

    @cached_property
    def lagrangian(self) -> Lagrangian:
        """L, for the kinds of layer that occur in the problem."""
        return Lagrangian(self.splitting, self.kinds, self.biases)

    @property
    def biases(self) -> bool:
        """Whether the problem's regularizer sums over the biases too."""
        return self.problem is not None and self.problem.penalizes_biases

    @cached_property
    def kinds(self) -> tuple[sp.Symbol, ...]:
        """The kinds of layer that occur: componentwise, coupled."""
        if self.problem is None:
            return (l.COMPONENTWISE,)
        coupled = {entry.coupled for entry in self.problem.activations}
        return tuple(
            kind for kind in (l.COMPONENTWISE, l.COUPLED) if (kind == l.COUPLED) in coupled
        )

    @cached_property
    def stationarity(self) -> tuple[Condition, ...]:
        """The conditions ∂L/∂λ, ∂L/∂x, ∂L/∂W, ∂L/∂b = 0, labelled (S0) to (S6)."""
        return stationarity(self.lagrangian)

    @cached_property
    def tangent_lagrangian(self) -> TangentLagrangian:
        """L̇, the derivative of L in the direction of a tangent of all its variables."""
        return TangentLagrangian(self.splitting, self.kinds, self.biases)

    @cached_property
    def second_order(self) -> tuple[Condition, ...]:
        """The conditions ∂L̇/∂λ, ∂L̇/∂x, ∂L̇/∂W, ∂L̇/∂b = 0, labelled (T0) to (T6)."""
        return stationarity(self.tangent_lagrangian)

    @property
    def hessian_blocks(self) -> tuple[Block, ...]:
        """∂²L/∂u∂v for all pairs of variables, in index form, read off (T0) to (T6)."""
        return hessian_blocks(self.tangent_lagrangian)

    @property
    def constraint_jacobian(self) -> tuple[Block, ...]:
        """∂c/∂v: the blocks in the rows of the multipliers."""
        return tuple(b for b in self.hessian_blocks if b.rows.base in (l.lam, l.mu))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions up to the order of this derivation."""
        return self.stationarity + (self.second_order if self.order == 2 else ())

    def split(self, splitting: Splitting) -> Derivation:
        """The same problem in the other splitting."""
        return Derivation(self.problem, splitting, self.order)

    def kind_of(self, layer: int) -> sp.Symbol:
        """The kind of a concrete layer of the problem."""
        if self.problem is None:
            return l.COMPONENTWISE
        entry = ACTIVATIONS[self.problem.layers[layer - 1].activation.name]
        return l.COUPLED if entry.coupled else l.COMPONENTWISE

    def condition(self, label: str, layer: int) -> Condition:
        """The condition of a label as it reads at a concrete layer (by kind of that layer)."""
        for condition in self.second_order if label.startswith("T") else self.stationarity:
            if condition.label != label:
                continue
            if condition.kind_of is None:
                return condition
            if condition.kind == self.kind_of(int(condition.kind_of.xreplace({l.k: layer}))):
                return condition
        raise DerivationError(f"no condition ({label}) at layer {layer}")

    def __reduce__(self) -> tuple[type[Derivation], tuple[Problem | None, Splitting, int]]:
        return Derivation, (self.problem, self.splitting, self.order)

    def steps(self, label: str | None = None) -> tuple[Step, ...]:
        """Every step from L to its conditions, or to one of them, each checked in numbers.

        >>> print(derive().steps("S2")[-1].written())
        λ_ip^N = −(1/M) ∂ℓ(y_i, x_i^N)/∂x_ip^N
        """
        if label is not None:
            return steps(self.tangent_lagrangian if label[:1] == "T" else self.lagrangian, label)
        second = steps(self.tangent_lagrangian) if self.order == 2 else ()
        return steps(self.lagrangian) + second

    # -- printing ------------------------------------------------------------------------------

    def equations(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> list[tuple[str, str, str]]:
        """Every condition as (label, meaning, equation).

        Parameters
        ----------
        form : {"index", "matrix", "batch", "vec"}
            Components; vectors of one sample (columns); all samples as rows; vectors of one
            sample with the weights as one column.
        style : {"text", "latex", "mathml"} or Text
            A format by name, or one with a notation of its own, which also says in which
            variable the backward pass is written.
        depth : int, optional
            Write the conditions out for k = 1..depth instead of for symbolic k.

        Examples
        --------
        >>> from lagrangenet.symbolic.notation import Notation
        >>> slides = Text(notation=Notation.named("goodfellow"))
        >>> print(derive(splitting="preactivation").equations("matrix", slides)[-1][2])
        g ← W^(k)ᵀ g
        """
        rows = self.written(form, style, depth)
        return [(row.label, row.title, str(row)) for row in rows]

    def written(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> list[Equation]:
        """Every condition as an equation in its parts; parameters as of :meth:`equations`."""
        chosen = self.styled(style)
        notation = chosen.notation
        found = []
        for condition in in_variable(self.conditions, notation.variable):
            for layer in _layers(condition, depth):
                if not self._holds(condition, layer):
                    continue
                shown = condition if layer else placed(condition, notation)
                shown = replace(shown, title=_title(shown, depth, chosen))
                found.append((layer, equation(shown, form, chosen, layer, depth)))
        if notation.error == "overwritten" and notation.variable != "lambda":
            found.sort(key=_as_executed)
        elif depth is not None:
            found.sort(key=lambda row: (row[1].label, row[0]))
        return [row for _, row in found]

    def styled(self, style: str | Text) -> Text:
        """The style by name; a vector that is overwritten is no notation for the second order."""
        chosen = named_style(style)
        if self.order == 1 or chosen.notation.error != "overwritten":
            return chosen
        return replace(chosen, notation=replace(chosen.notation, error="derivative"))

    def updates(self, form: str = "index", style: str | Text = "text") -> list[Equation]:
        """A step of gradient descent along each ∂L/∂θ: W ← W − η ∂L/∂W."""
        chosen = self.styled(style)
        found: list[tuple[str, Equation]] = []
        for condition in in_variable(self.stationarity, chosen.notation.variable):
            written = equation(condition, form, chosen)
            if condition.unknown is None and all(written.left != old for old, _ in found):
                found.append((written.left, step(condition, form, chosen)))
        return [update for _, update in found]

    def definitions(self, form: str = "index", style: str | Text = "text") -> list[Equation]:
        """What z^k (and its tangent) abbreviates, where it is no variable."""
        if self.splitting == "preactivation":
            return []
        at = (l.k, l.i, l.p)
        pairs = [(l.Z[at], affine(*at))]
        if self.order == 2:
            pairs.append((l.TANGENTS[l.Z][at], tangent(affine(*at))))
        titles = ("preactivation", "tangent of the preactivation")
        return [
            equation(Condition("", title, z, "all", z - value, z, tidy(value)), form, style)
            for title, (z, value) in zip(titles, pairs, strict=False)
        ]

    def _holds(self, condition: Condition, layer: int | None) -> bool:
        """Whether the layer, if it is known, is of the kind that the condition is for."""
        if condition.kind_of is None or self.problem is None:
            return True
        at = condition.kind_of.xreplace({l.N: sp.Integer(self.problem.depth)})
        at = at if layer is None else at.xreplace({l.k: sp.Integer(layer)})
        return not at.is_Integer or bool(condition.kind == self.kind_of(int(at)))

    def __str__(self) -> str:
        return "\n".join([str(self.lagrangian), "", *map(str, self.conditions)])

    def _repr_latex_(self) -> str:
        rows = [self.lagrangian.equation("index", "latex")]
        rows += [equation for _, _, equation in self.equations("index", "latex")]
        return "$$\\begin{gathered}" + r"\\ ".join(rows) + "\\end{gathered}$$"

    def _repr_html_(self) -> str:
        lagrangian = display(self.lagrangian.written("matrix", "mathml"))
        return f"<div>{lagrangian}{table(self.written('matrix', 'mathml'))}</div>"


@overload
def derive(problem: Graph, splitting: Splitting = ..., order: int = ...) -> GraphDerivation: ...


@overload
def derive(
    problem: Problem | None = None, splitting: Splitting = ..., order: int = ...
) -> Derivation: ...


def derive(
    problem: Problem | Graph | None = None, splitting: Splitting = "activation", order: int = 1
) -> Derivation | GraphDerivation:
    """Derive the KKT conditions of a problem, or of the generic chain.

    Parameters
    ----------
    problem : Problem or Graph, optional
        Without one: the chain x^k = σ^k(W^k x^{k-1} + b^k) with symbolic depth and componentwise
        opaque σ^k.
    splitting : {"activation", "preactivation"}
        Of a chain; the layers of a graph say themselves which states there are.
    order : {1, 2}
        With 2 also the conditions (T0) to (T6) of the tangent Lagrangian, whose solution is the
        Hessian-vector product.

    Returns
    -------
    Derivation
        Holds the Lagrangian and the conditions; prints as text and LaTeX.

    Examples
    --------
    >>> for label, meaning, equation in derive().equations("matrix"):
    ...     print(f"({label}) {equation}")
    (S1) x_i^k = σ^k(z_i^k)
    (S2) λ_i^N = −(1/M) ∂ℓ(y_i, x_i^N)/∂x_i^N
    (S3) λ_i^k = W^{k+1}ᵀ (σ′^{k+1}(z_i^{k+1}) ⊙ λ_i^{k+1})
    (S5) ∂L/∂W^k = ρ ω′(W^k) − Σ_{i=1}^{M} (σ′^k(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ
    (S6) ∂L/∂b^k = −Σ_{i=1}^{M} σ′^k(z_i^k) ⊙ λ_i^k
    """
    if isinstance(problem, Graph):
        graph = GraphDerivation(problem, order)
        _ = graph.stationarity
        return graph
    derivation = Derivation(problem, splitting, order)
    _ = derivation.conditions  # derive now, so that what cannot be derived is said here
    return derivation


def _layers(condition: Condition, depth: int | None) -> list[int | None]:
    """The concrete layers a condition is written out for; None for symbolic k."""
    if depth is None:
        return [None]
    if condition.layers == "output":
        return [depth]
    return list(range(1, depth + (condition.layers == "all")))


def _as_executed(row: tuple[int | None, Equation]) -> tuple[int, int, int]:
    """Forward through the layers, then backward: where one symbol is overwritten, order counts."""
    layer, label = row[0], row[1].label
    steps = ("S0", "S1"), ("S2", "S4", "S6", "S5", "S3")
    back = label not in steps[0]
    position = steps[back].index(label) if label in steps[back] else len(steps[back])
    at = 0 if layer is None else -(layer + (label == "S3")) if back else layer
    return back, at, position


def _title(condition: Condition, depth: int | None, style: Text) -> str:
    if condition.kind is None or depth is not None:
        return condition.title
    plain = Text(notation=style.notation)
    return f"{condition.title}, layer {text(condition.kind_of, plain)} {condition.kind}"
