"""What a formula is judged against: the functions, the objective and the notation of an assignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.formulas.conventions import UNIT, Convention, Scale
from lagrangenet.grading.formulas.indexed import LAST, Mul, Num, Pow, Sym
from lagrangenet.grading.formulas.known import rules
from lagrangenet.grading.formulas.names import Vocabulary
from lagrangenet.grading.formulas.networks import Functions
from lagrangenet.grading.formulas.normal import Rules
from lagrangenet.symbolic.notation import Notation, names

#: The parts of the homework, in its order, and other names under which they are submitted.
PARTS: Mapping[str, tuple[str, ...]] = {
    "lagrangian": ("lagrange", "lagrange function", "l"),
    "forward": ("forward pass", "states"),
    "output": ("lambda_n", "lambda^n", "output multiplier", "delta_n", "output error"),
    "recursion": ("backward", "backward pass", "multipliers", "lambda_k", "adjoint"),
    "weights": ("dw", "gradient w", "gradient of the weights", "weight gradient"),
    "biases": ("db", "gradient b", "gradient of the biases", "bias gradient"),
    "update": ("update rule", "updates", "step"),
}
_KEYS = {"notation", "splitting", "multipliers", "samples", "opaque"}
_SIGNS: Mapping[str, Scale] = {
    "plus": UNIT,
    "minus": Scale(-1),
    "plus over M": Scale(1, -1),
    "minus over M": Scale(-1, -1),
}


@dataclass(frozen=True)
class Task:
    """An assignment as far as formulas are concerned.

    Attributes
    ----------
    functions : Functions
        σ of hidden layers and of the output, ℓ, ω; None where left open.
    convention : Convention
        What is assumed where a student's Lagrangian does not say otherwise.
    notation : str
        The notation that is tried first.
    declared : bool
        Whether the sign and scale of the multipliers are prescribed.
    """

    functions: Functions = field(default_factory=Functions)
    convention: Convention = field(default_factory=Convention)
    notation: str = "kkt"
    declared: bool = False

    @cached_property
    def rules(self) -> Rules:
        """What the normal form may use."""
        f = self.functions
        found = rules(f.hidden, f.output, f.loss, f.penalty)
        if f.factor == 1.0 and not f.entries:
            return found
        share = (Pow(Sym("n", LAST), -1),) if f.entries else ()
        factor = Num(Fraction(f.factor).limit_denominator(10**6))
        scaled = {order: Mul((factor, tree, *share)) for order, tree in found.loss.items()}
        return replace(found, loss=MappingProxyType(scaled))

    @property
    def biases(self) -> bool:
        """Whether the regularizer counts the biases."""
        penalty = self.functions.penalty
        return penalty is not None and ("biases", True) in penalty.parameters

    @property
    def vocabularies(self) -> tuple[Vocabulary, ...]:
        """The notations in the order in which they are tried."""
        order = dict.fromkeys((self.notation, *names()))
        return tuple(Vocabulary.of(Notation.named(name)) for name in order)

    @staticmethod
    def of(assignment: Assignment) -> Task:
        """The task of an assignment.

        Raises
        ------
        ProblemError
            For an unknown key or value in ``[formulas]``.
        """
        network, table = assignment.network, assignment.formulas
        if unknown := sorted(set(table) - _KEYS):
            raise ProblemError(
                f"[formulas]: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}"
            )
        opaque = table.get("opaque", False) is True
        hidden = network.activations[0] if len(set(network.activations)) == 1 else None
        functions = Functions(
            None if opaque else hidden,
            None if opaque else network.output,
            None if opaque else network.loss,
            network.regularizer,
            network.scale,
            network.reduction == "mean of entries",
        )
        convention = Convention(
            "sum" if network.reduction == "sum" else "mean",
            _chosen(table, "multipliers", _SIGNS, "plus"),
            UNIT,
            _chosen(table, "splitting", {s: s for s in _SPLITTINGS}, "activation"),
            network.over_samples,
        )
        if table.get("samples") == "one":
            convention = replace(convention, objective="sample")
        notation = table.get("notation", "kkt")
        if notation not in names():
            raise ProblemError(f"formulas.notation is {notation!r}; known: {', '.join(names())}")
        return Task(functions, convention, notation, "multipliers" in table)


_SPLITTINGS = ("activation", "preactivation", "z")


def _chosen(table: Mapping[str, Any], key: str, known: Mapping[str, Any], default: str) -> Any:
    value = table.get(key, default)
    if not isinstance(value, str) or value not in known:
        raise ProblemError(f"formulas.{key} is {value!r}; known: {', '.join(known)}")
    return known[value]


def part_of(name: str) -> str:
    """The part that a name of a formula means; empty for none.

    >>> part_of("Backward pass"), part_of("4. Update rule")
    ('recursion', 'update')
    """
    plain = name.strip().strip("0123456789.)( :#").replace("-", " ").replace("_", " ").lower()
    for part, others in PARTS.items():
        if plain == part or plain in {other.replace("_", " ") for other in others}:
            return part
    return ""
