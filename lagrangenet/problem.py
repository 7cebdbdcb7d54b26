"""The declaration: a network, its loss and its regularizer as one constrained problem.

    minimize    J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ)
    subject to  x_i^k = σ^k(W^k x_i^{k-1} + b^k),    k = 1..N, i = 1..M

A problem is frozen, comparable and hashable, and round-trips through TOML. It holds no data and
no numbers but the parameters of its functions. It refuses at construction what could not be meant.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.functions import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    Activation,
    Choice,
)
from lagrangenet.functions.terms import Terms
from lagrangenet.functions.weighting import check_count, checked_weights, weighted
from lagrangenet.graph import Constraint, Graph, Length
from lagrangenet.toml import array_of_tables, inline, only, quoted, read, tables

Named = str | Choice | Mapping[str, object]


@dataclass(frozen=True)
class Dense:
    """One layer x^k = σ^k(W^k x^{k-1} + b^k) with W^k of shape (width, previous width).

    Parameters
    ----------
    width : int
        n_k ≥ 1.
    activation : str or Choice
        A name such as ``"tanh"``, or an entry with parameters, ``leaky_relu(slope=0.2)``.

    Examples
    --------
    >>> Dense(3, "leaky_relu")
    Dense(3, 'leaky_relu(slope=0.01)')
    """

    width: int
    activation: Choice

    def __init__(self, width: int, activation: Named = "identity") -> None:
        object.__setattr__(self, "width", _size(width, "the width of a Dense layer"))
        object.__setattr__(self, "activation", ACTIVATIONS.choose(activation))

    def __repr__(self) -> str:
        return f"Dense({self.width}, {str(self.activation)!r})"


@dataclass(frozen=True)
class Problem(Terms):
    """A network and its training objective, declared once.

    Parameters
    ----------
    inputs : int
        n_0, the number of features of a sample.
    layers : sequence of Dense
        Layers 1..N.
    loss : str or Choice
        ℓ, by name.
    regularizer : Choice, optional
        Ω with its strength ρ, e.g. ``L2(1e-3)``.
    name : str, optional
        A title for reports; not part of the comparison of mathematics, but of equality.
    class_weights : sequence of float, optional
        Positive weights c_p of the outputs: ℓ = Σ_p c_p ℓ_p(y_p, x_p). The mean over samples is
        not divided by them, so it is PyTorch's sum over samples, divided by M.

    Raises
    ------
    ProblemError
        For unknown names, sizes below 1, no layer, or a loss without the outputs it needs.

    Examples
    --------
    >>> problem = Problem(inputs=2, layers=[Dense(3, "tanh"), Dense(1)], loss="squared_error")
    >>> problem.widths
    (2, 3, 1)
    >>> Problem.from_toml(problem.to_toml()) == problem
    True
    """

    inputs: int
    layers: tuple[Dense, ...]
    loss: Choice
    regularizer: Choice | None = None
    name: str = ""
    class_weights: tuple[float, ...] = ()

    def __init__(
        self,
        inputs: int,
        layers: Iterable[Dense],
        loss: Named,
        regularizer: Named | None = None,
        name: str = "",
        class_weights: Iterable[float] = (),
    ) -> None:
        chosen = None if regularizer is None else REGULARIZERS.choose(regularizer)
        object.__setattr__(self, "inputs", _size(inputs, "the number of inputs"))
        object.__setattr__(self, "layers", tuple(layers))
        weights = checked_weights(class_weights)
        object.__setattr__(self, "loss", weighted(loss, weights))
        object.__setattr__(self, "class_weights", weights)
        object.__setattr__(self, "regularizer", chosen)
        object.__setattr__(self, "name", str(name))
        self._check()

    def _check(self) -> None:
        if not self.layers:
            raise ProblemError("a problem needs at least one layer")
        for k, layer in enumerate(self.layers, 1):
            if not isinstance(layer, Dense):
                raise ProblemError(f"layer {k} is {layer!r}; expected a Dense layer")
        self._check_output()
        check_count(self.class_weights, self.widths[-1])

    def _check_output(self) -> None:
        last = self.activations[-1]
        if unmet := self.loss_entry.unmet(last):
            raise ProblemError(
                f"loss {self.loss.name!r} needs outputs that are {unmet[0]}, but layer {self.depth} "
                f"ends in {last.name!r}; end in {unmet[1]}"
            )
        if self.loss_entry.needs_simplex and not last.simplex:
            raise ProblemError(
                f"loss {self.loss.name!r} needs outputs that are positive and sum to one, but "
                f"layer {self.depth} ends in {last.name!r}; end in 'softmax', or use "
                "'binary_cross_entropy' on logits"
            )
        if self.loss_entry.needs_simplex and self.widths[-1] < 2:
            raise ProblemError(
                f"layer {self.depth}: softmax over one output is the constant 1; use at least two "
                "outputs, or 'binary_cross_entropy' on one logit"
            )
        if self.loss_entry.coupled and self.widths[-1] < 2:
            raise ProblemError(
                f"loss {self.loss.name!r} of one output is constant; use at least two outputs, or "
                "'hinge' with labels -1 and 1"
            )

    # -- what the declaration says, in the paper's symbols -------------------------------------

    @property
    def depth(self) -> int:
        """N."""
        return len(self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """n_0, ..., n_N."""
        return (self.inputs, *(layer.width for layer in self.layers))

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The entries of σ^1, ..., σ^N."""
        return tuple(ACTIVATIONS[layer.activation.name] for layer in self.layers)

    @property
    def smooth(self) -> bool:
        """Whether every function of the problem is differentiable everywhere."""
        entries = (*self.activations, self.loss_entry, self.regularizer_entry)
        return all(entry.smooth for entry in entries if entry is not None)

    @property
    def shapes(self) -> tuple[tuple[tuple[int, int], tuple[int]], ...]:
        """The shapes of (W^k, b^k) for k = 1..N."""
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return tuple(((after, before), (after,)) for before, after in pairs)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(after * before + after for (after, before), _ in self.shapes)

    def __str__(self) -> str:
        middle = "".join(f" → {layer.width} {layer.activation}" for layer in self.layers)
        penalty = f" + {self.regularizer}" if self.regularizer else ""
        return f"{self.inputs}{middle}, {self.loss}{penalty}"

    # -- TOML ----------------------------------------------------------------------------------

    def to_toml(self) -> str:
        """The declaration as TOML text that :meth:`from_toml` reads back."""
        lines = [f"name = {quoted(self.name)}"] if self.name else []
        unweighted = self.loss_entry.without_options(self.loss)
        lines += [f"inputs = {self.inputs}", f"loss = {inline(unweighted)}"]
        if self.class_weights:
            lines.append(f"class_weights = {list(self.class_weights)!r}")
        if self.regularizer:
            lines.append(f"regularizer = {inline(self.regularizer)}")
        for layer in self.layers:
            lines += ["", "[[layers]]", f"width = {layer.width}"]
            lines.append(f"activation = {inline(layer.activation)}")
        return "\n".join(lines) + "\n"

    @staticmethod
    def graph(
        inputs: Mapping[str, Length | Iterable[Length]],
        constraints: Iterable[Constraint],
        output: str | None = None,
        loss: Named = "squared_error",
        regularizer: Named | None = None,
        name: str = "",
        class_weights: Iterable[float] = (),
    ) -> Graph:
        """A network that is no chain: see :class:`~lagrangenet.graph.Graph`.

        Parameters
        ----------
        inputs : mapping
            Name → shape of one sample: a width, or a tuple; a string is an axis of any length.
        constraints : iterable of Constraint
            In an order in which each reads what is there already.
        output : str, optional
            The state that the loss compares with the labels; by default the last.
        loss, regularizer, name, class_weights
            As for a chain. The regularizer sums over the parameters with two or more axes; the
            weights are those of the last axis of the output.

        Examples
        --------
        >>> skip = Problem.graph(
        ...     {"x0": 2},
        ...     [Constraint("x1", "dense", "x0", m=2, activation="tanh", W="w"),
        ...      Constraint("x2", "dense", "x1", m=2, activation="tanh", W="w"),
        ...      Constraint("x3", "add", ("x2", "x0"))],
        ... )
        >>> skip.parameters
        ('w', 'b_x1', 'b_x2')
        """
        return Graph(inputs, constraints, output, loss, regularizer, name, class_weights)

    @classmethod
    def from_toml(cls, text: str) -> Problem | Graph:
        """Read a declaration of a chain, or of a graph (one with ``[[constraints]]``).

        The inverse of :meth:`to_toml`, and of that of a graph.
        """
        table = tables(text)
        if "constraints" in table:
            return Graph.from_toml(text)
        known = {"name", "inputs", "loss", "class_weights", "regularizer", "layers"}
        only(table, known, "a problem")
        for key in ("inputs", "loss", "layers"):
            if key not in table:
                raise ProblemError(f"the problem file has no {key!r}")
        layers = array_of_tables(table, "layers")
        return cls(layers=[_layer(k, layer) for k, layer in enumerate(layers, 1)], **table)

    @classmethod
    def load(cls, path: str | Path) -> Problem | Graph:
        """Read a TOML problem file."""
        return cls.from_toml(read(path))


def chain(
    widths: Iterable[int],
    activation: Named = "tanh",
    loss: Named = "squared_error",
    output: Named | None = None,
    regularizer: Named | None = None,
    name: str = "",
    class_weights: Iterable[float] = (),
) -> Problem:
    """A chain of dense layers from its widths n_0, ..., n_N.

    Hidden layers take ``activation``; the last takes ``output``, by default the activation that
    goes with the loss.

    Examples
    --------
    >>> str(chain([4, 8, 3], loss="cross_entropy"))
    '4 → 8 tanh → 3 softmax, cross_entropy'
    """
    sizes = list(widths)
    if len(sizes) < 2:
        raise ProblemError(f"a chain needs at least two widths, inputs and outputs; got {sizes}")
    last = LOSSES[LOSSES.choose(loss).name].default_output if output is None else output
    layers = [Dense(width, activation) for width in sizes[1:-1]] + [Dense(sizes[-1], last)]
    return Problem(sizes[0], layers, loss, regularizer, name, class_weights)


def _size(value: Any, what: str) -> int:
    if isinstance(value, bool):
        raise ProblemError(f"{what} is {value!r}, not a number")
    try:
        number = operator.index(value)
    except TypeError:
        raise ProblemError(f"{what} is {value!r}, not a whole number") from None
    if number < 1:
        raise ProblemError(f"{what} is {number}; it has to be at least 1")
    return number


def _layer(k: int, table: dict[str, Any]) -> Dense:
    only(table, {"width", "activation"}, f"layer {k}")
    if "width" not in table:
        raise ProblemError(f"layer {k} has no width")
    return Dense(**table)
