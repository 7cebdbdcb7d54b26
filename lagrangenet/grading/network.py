"""The family of networks of an assignment, and the objective as a course states it.

What is open in a family is drawn by the probes. Sums instead of means, a factor of the loss and a
regularizer divided by M are undone here, so that everything behind sees the package's own J.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, LOSSES, REGULARIZERS, Choice
from lagrangenet.grading.keys import positive, typed, whole
from lagrangenet.problem import Dense, Problem
from lagrangenet.toml import only

REDUCTIONS = ("mean", "sum", "mean of entries")
#: No family draws networks deeper than this.
LARGEST_DEPTH = 12


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


def network_from_table(table: dict[str, Any]) -> Network:
    """Read ``[network]``."""
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
        positive(table, "scale", 1.0),
        typed(table, "over_samples", bool, False),
    )
    example = [n or 3 for n in widths] or [3] * (depths[1] + 1)
    network.problem(example, 2)
    return network


def _sizes(table: Mapping[str, Any]) -> tuple[tuple[int | None, ...], tuple[int, int]]:
    if ("widths" in table) == ("depth" in table):
        raise ProblemError('[network] needs either "widths" or "depth"')
    if "widths" in table:
        widths = tuple(None if n == "any" else whole("widths", n) for n in table["widths"])
        if not 2 <= len(widths) <= LARGEST_DEPTH + 1:
            raise ProblemError(
                f"network.widths has {len(widths)} entries; inputs and outputs at least"
            )
        return widths, (len(widths) - 1,) * 2
    depth = table["depth"]
    low, high = depth if isinstance(depth, list) and len(depth) == 2 else (depth, depth)
    low, high = whole("depth", low), whole("depth", high)
    if not low <= high <= LARGEST_DEPTH:
        raise ProblemError(f"network.depth is {depth!r}; at most {LARGEST_DEPTH}, as in [1, 4]")
    return (), (low, high)
