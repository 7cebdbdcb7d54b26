"""``derive``: from a problem to its Lagrangian and stationarity conditions, every stage kept.

The derivation is that of the chain with symbolic depth; a problem only says which kinds of layer
occur and which functions stand for the opaque ones. So its cost does not depend on the depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import ACTIVATIONS
from lagrangenet.problem import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.lagrangian import Lagrangian, Splitting
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import Condition, stationarity
from lagrangenet.symbolic.styles import Text


@dataclass(frozen=True)
class Derivation:
    """Every stage from the declared problem to its KKT conditions.

    Attributes
    ----------
    problem : Problem or None
        None for the generic chain with componentwise σ^k.
    splitting : {"activation", "preactivation"}
        Whether z^k is an abbreviation, or a state with a constraint and multiplier μ^k.
    """

    problem: Problem | None = None
    splitting: Splitting = "activation"

    @cached_property
    def lagrangian(self) -> Lagrangian:
        """L, for the kinds of layer that occur in the problem."""
        return Lagrangian(self.splitting, self.kinds)

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

    def split(self, splitting: Splitting) -> Derivation:
        """The same problem in the other splitting."""
        return Derivation(self.problem, splitting)

    def kind_of(self, layer: int) -> sp.Symbol:
        """The kind of a concrete layer of the problem."""
        if self.problem is None:
            return l.COMPONENTWISE
        entry = ACTIVATIONS[self.problem.layers[layer - 1].activation.name]
        return l.COUPLED if entry.coupled else l.COMPONENTWISE

    def condition(self, label: str, layer: int) -> Condition:
        """The condition of a label as it reads at a concrete layer (by kind of that layer)."""
        for condition in self.stationarity:
            if condition.label != label:
                continue
            if condition.kind_of is None:
                return condition
            if condition.kind == self.kind_of(int(condition.kind_of.xreplace({l.k: layer}))):
                return condition
        raise DerivationError(f"no condition ({label}) at layer {layer}")

    def __reduce__(self) -> tuple[type[Derivation], tuple[Problem | None, Splitting]]:
        return Derivation, (self.problem, self.splitting)

    # -- printing ------------------------------------------------------------------------------

    def equations(
        self, form: str = "index", style: str | Text = "text", depth: int | None = None
    ) -> list[tuple[str, str, str]]:
        """Every condition as (label, meaning, equation).

        Parameters
        ----------
        form : {"index", "matrix", "batch"}
            Components; vectors of one sample (columns); all samples as rows.
        style : {"text", "latex"} or Text
            A format by name, or one with names of its own (a notation).
        depth : int, optional
            Write the conditions out for k = 1..depth instead of for symbolic k.
        """
        written = []
        for condition in self.stationarity:
            for layer in _layers(condition, depth):
                if layer and self.problem and condition != self.condition(condition.label, layer):
                    continue
                row = (condition.label, _title(condition, depth), layer)
                written.append((*row, condition.equation(form, style, layer, depth)))
        if depth is not None:
            written.sort(key=lambda row: (row[0], row[2]))
        return [(label, title, equation) for label, title, _, equation in written]

    def __str__(self) -> str:
        return "\n".join([str(self.lagrangian), "", *map(str, self.stationarity)])

    def _repr_latex_(self) -> str:
        rows = [self.lagrangian.equation("index", "latex")]
        rows += [equation for _, _, equation in self.equations("index", "latex")]
        return "$$\\begin{gathered}" + r"\\ ".join(rows) + "\\end{gathered}$$"


def derive(problem: Problem | None = None, splitting: Splitting = "activation") -> Derivation:
    """Derive the KKT conditions of a problem, or of the generic chain.

    Parameters
    ----------
    problem : Problem, optional
        Without one: the chain x^k = σ^k(W^k x^{k-1} + b^k) with symbolic depth and componentwise
        opaque σ^k.
    splitting : {"activation", "preactivation"}

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
    derivation = Derivation(problem, splitting)
    _ = derivation.stationarity  # derive now, so that what cannot be derived is said here
    return derivation


def _layers(condition: Condition, depth: int | None) -> list[int | None]:
    """The concrete layers a condition is written out for; None for symbolic k."""
    if depth is None:
        return [None]
    if condition.layers == "output":
        return [depth]
    return list(range(1, depth + (condition.layers == "all")))


def _title(condition: Condition, depth: int | None) -> str:
    if condition.kind is None or depth is not None:
        return condition.title
    return f"{condition.title}, layer {text(condition.kind_of)} {condition.kind}"
