"""An assignment: which network, what is asked, how a submission is called, what it may use.

Read from TOML, frozen afterwards. The family of networks leaves open what a submission has to
handle for any value; probes draw it. It refuses unknown keys and values, naming the key, and asks
nothing that the contract does not answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, LOSSES, REGULARIZERS, Choice
from lagrangenet.grading.contract import Contract
from lagrangenet.problem import Dense, Problem
from lagrangenet.toml import array_of_tables, only, read, tables

#: What a part can ask for; the first four are answered by code, the last by a formula.
ASKS = ("loss", "gradient", "multipliers", "states", "formula")
REDUCTIONS = ("mean", "sum", "mean of entries")
#: No family draws networks deeper or wider than this.
LARGEST_DEPTH, LARGEST_WIDTH = 12, 512


@dataclass(frozen=True)
class Network:
    """A family of chains and the objective that the submission computes.

        J = c · (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ),  c = scale · {mean: 1, sum: M, mean of entries: 1/n_N}

    Attributes
    ----------
    widths : tuple of (int or None)
        n_0, ..., n_N, None for any; empty if the depth is open too.
    depths : (int, int)
        Smallest and largest N.
    activations : tuple of Choice
        σ of the hidden layers: one for all of them, or one for each.
    output : Choice
        σ^N.
    loss : Choice
        ℓ.
    regularizer : Choice or None
        Ω with ρ; see ``over_samples``.
    reduction : {"mean", "sum", "mean of entries"}
        How the losses of samples become one number.
    scale : float
        A factor of the loss that the course uses, such as 2 for Σ(x−y)².
    over_samples : bool
        Whether the regularizer is divided by M, as in λ/(2m) Σ W².
    """

    widths: tuple[int | None, ...]
    depths: tuple[int, int]
    activations: tuple[Choice, ...]
    output: Choice
    loss: Choice
    regularizer: Choice | None = None
    reduction: str = "mean"
    scale: float = 1.0
    over_samples: bool = False

    @property
    def strength(self) -> float:
        """ρ as the submission knows it; 0 without a regularizer."""
        return 0.0 if self.regularizer is None else dict(self.regularizer.parameters)["strength"]

    def factor(self, widths: Iterable[int], samples: int) -> float:
        """c: the submission's J without regularizer is c times the package's."""
        last = list(widths)[-1]
        return self.scale * {"mean": 1.0, "sum": float(samples)}.get(self.reduction, 1.0 / last)

    def problem(
        self, widths: Iterable[int], samples: int, strength: float | None = None
    ) -> Problem:
        """The member of the family with these widths, whose J is the submission's divided by c.

        Parameters
        ----------
        widths : iterable of int
            n_0, ..., n_N.
        samples : int
            M, which decides the effective strength where losses are summed.
        strength : float, optional
            ρ as the submission is told it; by default the declared one. Zero: no regularizer.
        """
        sizes = list(widths)
        hidden = len(sizes) - 2
        inner = self.activations * hidden if len(self.activations) == 1 else self.activations
        if hidden < 0 or len(inner[:hidden]) != hidden:
            raise ProblemError(f"network: no member of the family has the widths {sizes}")
        layers = [Dense(n, a) for n, a in zip(sizes[1:-1], inner, strict=False)]
        layers.append(Dense(sizes[-1], self.output))
        return Problem(sizes[0], layers, self.loss, self._penalty(sizes, samples, strength))

    def _penalty(self, sizes: list[int], samples: int, strength: float | None) -> Choice | None:
        told = self.strength if strength is None else strength
        if self.regularizer is None or told == 0.0:
            return None
        shared = 1.0 / samples if self.over_samples else 1.0
        effective = told * shared / self.factor(sizes, samples)
        values = dict(self.regularizer.parameters) | {"strength": effective}
        return Choice(self.regularizer.name, tuple(sorted(values.items())))


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
        submission = _table(table, "submission")
        contract = Contract.from_table(submission) if submission else None
        formulas = _table(table, "formulas")
        return cls(
            _typed(table, "name", str, "assignment"),
            _network(_table(table, "network"), contract),
            contract,
            _parts(array_of_tables(table, "parts"), contract),
            _typed(table, "hidden", bool, True),
            _positive(table, "tolerance", 1e-6),
            _limits(_table(table, "limits")),
            _strings(table, "packages", ("numpy",)),
            _strings(table, "placeholders", ("matplotlib",)),
            MappingProxyType(formulas),
        )

    @classmethod
    def load(cls, path: str | Path) -> Assignment:
        """Read an assignment file."""
        return cls.from_toml(read(path))


T = TypeVar("T")


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ProblemError(f"{key!r} has to be a table: [{key}]")
    return dict(found)


def _typed(table: Mapping[str, Any], key: str, kind: type[T], default: T) -> T:
    found = table.get(key, default)
    if not isinstance(found, kind):
        raise ProblemError(f"{key!r} is {found!r}; expected as in {default!r}")
    return found


def _positive(table: Mapping[str, Any], key: str, default: float) -> float:
    found = table.get(key, default)
    real = isinstance(found, int | float) and not isinstance(found, bool)
    if not (real and math.isfinite(found) and found > 0):
        raise ProblemError(f"{key!r} is {found!r}; it has to be a positive number")
    return float(found)


def _strings(table: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    found = table.get(key, default)
    if isinstance(found, str) or not all(isinstance(item, str) for item in found):
        raise ProblemError(f"{key!r} is {found!r}; expected a list of names")
    return tuple(found)


def _network(table: dict[str, Any], contract: Contract | None) -> Network:
    keys = {"widths", "depth", "activation", "output", "loss", "regularizer", "reduction", "scale"}
    only(table, keys | {"over_samples"}, "[network]")
    if "loss" not in table:
        raise ProblemError('[network] has no "loss"')
    widths, depths = _sizes(table)
    hidden = table.get("activation", "tanh")
    loss = LOSSES.choose(table["loss"])
    names = hidden if isinstance(hidden, list) else [hidden]
    if isinstance(hidden, list) and len(hidden) != depths[1] - 1:
        raise ProblemError(
            f"network.activation lists {len(hidden)} functions for {depths[1] - 1} hidden layers"
        )
    reduction = table.get("reduction", "mean")
    if reduction not in REDUCTIONS:
        raise ProblemError(f"network.reduction is {reduction!r}; known: {', '.join(REDUCTIONS)}")
    penalty = table.get("regularizer")
    network = Network(
        widths,
        depths,
        tuple(ACTIVATIONS.choose(name) for name in names),
        ACTIVATIONS.choose(table.get("output") or LOSSES[loss.name].default_output),
        loss,
        None if penalty is None else REGULARIZERS.choose(penalty),
        reduction,
        _positive(table, "scale", 1.0),
        _typed(table, "over_samples", bool, False),
    )
    if contract is not None and contract.takes("rho") and network.regularizer is None:
        raise ProblemError("submission.calls pass rho, but network.regularizer is not declared")
    example = [n or 3 for n in widths] or [3] * (depths[1] + 1)
    network.problem(example, 2)
    return network


def _sizes(table: Mapping[str, Any]) -> tuple[tuple[int | None, ...], tuple[int, int]]:
    if ("widths" in table) == ("depth" in table):
        raise ProblemError('[network] needs either "widths" or "depth"')
    if "widths" in table:
        widths = tuple(None if n == "any" else _whole("widths", n) for n in table["widths"])
        if not 2 <= len(widths) <= LARGEST_DEPTH + 1:
            raise ProblemError(
                f"network.widths has {len(widths)} entries; inputs and outputs at least"
            )
        return widths, (len(widths) - 1,) * 2
    depth = table["depth"]
    low, high = depth if isinstance(depth, list) and len(depth) == 2 else (depth, depth)
    low, high = _whole("depth", low), _whole("depth", high)
    if not low <= high <= LARGEST_DEPTH:
        raise ProblemError(f"network.depth is {depth!r}; at most {LARGEST_DEPTH}, as in [1, 4]")
    return (), (low, high)


def _whole(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_WIDTH:
        raise ProblemError(
            f'network.{key}: {value!r} is neither a whole number (1 to {LARGEST_WIDTH}) nor "any"'
        )
    return value


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
    layers = tuple(_whole(f"part {k}: layers", item) for item in table.get("layers", ()))
    default = table.get("formula") or " ".join([asks, table.get("of", "")]).strip()
    name = _typed(table, "name", str, str(default))
    points = _positive(table, "points", 1.0)
    return Asked(name, asks, points, layers, table.get("of", ""), str(table.get("formula", "")))


def _limits(table: dict[str, Any]) -> Limits:
    only(table, {item.name for item in fields(Limits)}, "[limits]")
    given: dict[str, Any] = {key: _positive(table, key, 1.0) for key in table}
    return Limits(**{k: v if k == "seconds" else math.ceil(v) for k, v in given.items()})
