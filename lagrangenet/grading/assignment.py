"""An assignment: which network, what is asked, how a submission is called, what it may use.

Read from TOML, frozen afterwards. The family of networks leaves open what a submission has to
handle for any value; probes draw it. It refuses unknown keys and values, naming the key, and asks
nothing that the contract does not answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.grading.contract import Contract
from lagrangenet.grading.keys import positive, strings, subtable, typed, whole
from lagrangenet.grading.network import Network, network_from_table
from lagrangenet.toml import array_of_tables, only, read, tables

#: What a part can ask for; the first four are answered by code, the last by a formula.
ASKS = ("loss", "gradient", "multipliers", "states", "formula")


@dataclass(frozen=True)
class Asked:
    """A part: what is asked and what it is worth.

    Attributes
    ----------
    name : str
        For people; unique.
    asks : str
        One of ``loss``, ``gradient``, ``multipliers``, ``states``, ``formula``.
    points : float
        For the right answer.
    layers : tuple of int
        Of these layers alone; empty for all.
    of : {"", "W", "b"}
        Gradients of weights or of biases alone.
    formula : str
        Which formula, where one is asked.
    """

    name: str
    asks: str
    points: float = 1.0
    layers: tuple[int, ...] = ()
    of: str = ""
    formula: str = ""


@dataclass(frozen=True)
class Limits:
    """What a submission may use while it runs.

    Attributes
    ----------
    seconds : float
        Wall clock of the whole submission, and CPU time.
    memory_mb : int
        Address space.
    file_mb : int
        Largest file it may write, in its own temporary folder.
    processes : int
        Processes and threads of its user.
    output_kb : int
        What is kept of what it prints.
    """

    seconds: float = 10.0
    memory_mb: int = 1024
    file_mb: int = 1
    processes: int = 16
    output_kb: int = 64


@dataclass(frozen=True)
class Assignment:
    """Everything that the grader knows about an assignment.

    Attributes
    ----------
    name : str
        Title.
    network : Network
        The family and its objective.
    contract : Contract or None
        How code is called; None where only formulas are asked.
    parts : tuple of Asked
        What is asked, in order.
    hidden : bool
        Whether feedback keeps the answer to itself.
    tolerance : float
        Largest relative error of a right float64 answer.
    limits : Limits
        What a submission may use.
    packages : tuple of str
        Packages besides the standard library that a submission may import.
    placeholders : tuple of str
        Packages whose import is answered by an empty stand-in, such as ``matplotlib``.
    formulas : mapping
        The table ``[formulas]``: notation, convention.

    Examples
    --------
    >>> assignment = Assignment.from_toml('''
    ... name = "Two layers"
    ... [network]
    ... widths = ["any", "any", 3]
    ... activation = "tanh"
    ... loss = "cross_entropy"
    ... [submission]
    ... calls = "loss, grads = loss_and_gradients(theta, X, Y)"
    ... ''')
    >>> [(part.name, part.asks) for part in assignment.parts]
    [('loss', 'loss'), ('gradient', 'gradient')]
    >>> str(assignment.network.problem([4, 5, 3], samples=6))
    '4 → 5 tanh → 3 softmax, cross_entropy'
    """

    name: str
    network: Network
    contract: Contract | None
    parts: tuple[Asked, ...]
    hidden: bool = True
    tolerance: float = 1e-6
    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ("numpy",)
    placeholders: tuple[str, ...] = ("matplotlib",)
    formulas: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def max_score(self) -> float:
        """Points of all parts."""
        return math.fsum(part.points for part in self.parts)

    @classmethod
    def from_toml(cls, text: str) -> Assignment:
        """Read an assignment; errors name the key."""
        table = tables(text)
        known = {"name", "network", "submission", "parts", "hidden", "tolerance", "limits"}
        known |= {"packages", "placeholders", "formulas"}
        only(table, known, "an assignment")
        if "network" not in table:
            raise ProblemError("the assignment has no [network]")
        submission = subtable(table, "submission")
        contract = Contract.from_table(submission) if "submission" in table else None
        formulas = subtable(table, "formulas")
        return cls(
            typed(table, "name", str, "assignment"),
            _fitting(network_from_table(subtable(table, "network")), contract),
            contract,
            _parts(array_of_tables(table, "parts"), contract),
            typed(table, "hidden", bool, True),
            positive(table, "tolerance", 1e-6),
            _limits(subtable(table, "limits")),
            strings(table, "packages", ("numpy",)),
            strings(table, "placeholders", ("matplotlib",)),
            MappingProxyType(formulas),
        )

    @classmethod
    def load(cls, path: str | Path) -> Assignment:
        """Read an assignment file."""
        return cls.from_toml(read(path))


def _fitting(network: Network, contract: Contract | None) -> Network:
    """The network, if the contract goes with it."""
    summed = network.reduction == "sum" or network.over_samples
    if contract is not None and contract.layout.single and summed:
        raise ProblemError(
            f"submission.samples is {contract.layout.samples!r}: a call with one sample has no sum over "
            'samples; leave network.reduction at "mean" and network.over_samples at false'
        )
    if contract is not None and contract.takes("rho") and network.regularizer is None:
        raise ProblemError("submission.calls pass rho, but network.regularizer is not declared")
    return network


def _parts(given: list[dict[str, Any]], contract: Contract | None) -> tuple[Asked, ...]:
    answered = contract.answers if contract else ()
    if not given:
        given = [{"asks": name} for name in ASKS if name in answered]
    parts = tuple(_part(k, dict(table), answered) for k, table in enumerate(given, 1))
    names = [part.name for part in parts]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ProblemError(f"two parts have the name {min(twice)!r}; give each its own")
    if not parts:
        raise ProblemError(
            "the assignment asks nothing: [[parts]] with asks = ..., or [submission]"
        )
    return parts


def _part(k: int, table: dict[str, Any], answered: tuple[str, ...]) -> Asked:
    only(table, {item.name for item in fields(Asked)}, f"part {k}")
    asks = table.get("asks")
    if asks not in ASKS:
        raise ProblemError(f"part {k}: asks is {asks!r}; known: {', '.join(ASKS)}")
    if asks != "formula" and asks not in answered:
        raise ProblemError(f"part {k} asks for {asks}, which no line of submission.calls gives")
    if (asks == "formula") != ("formula" in table):
        raise ProblemError(f'part {k}: asks = "formula" goes with formula = "..."')
    if table.get("of", "") not in {"", "W", "b"}:
        raise ProblemError(f"part {k}: of is {table['of']!r}; W or b")
    layers = tuple(whole(f"part {k}: layers", item) for item in table.get("layers", ()))
    default = table.get("formula") or " ".join([asks, table.get("of", "")]).strip()
    name = typed(table, "name", str, str(default))
    points = positive(table, "points", 1.0)
    return Asked(name, asks, points, layers, table.get("of", ""), str(table.get("formula", "")))


def _limits(table: dict[str, Any]) -> Limits:
    only(table, {item.name for item in fields(Limits)}, "[limits]")
    given: dict[str, Any] = {key: positive(table, key, 1.0) for key in table}
    return Limits(**{k: v if k == "seconds" else math.ceil(v) for k, v in given.items()})
