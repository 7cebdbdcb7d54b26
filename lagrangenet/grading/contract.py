"""The submission contract: what is called, with what, in which layout, declared and never programmed.

``calls`` are the lines that a teacher would print in the hand-out::

    net = TwoLayerNet(n0, n1, n2)
    net.params = theta
    loss, grads = net.loss(X, y, reg=rho)

They are read by :mod:`lagrangenet.grading.calls` as data; nothing here is executed. Names of the
vocabulary below are what the grader passes in, or takes out; other names are the submission's.
It refuses a contract from which no answer comes, or that asks for a layout it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.grading.calls import Step, parse_calls

#: What may be passed in: the name, and what it stands for. ``#`` is a layer number.
INPUTS = {
    "X": "samples",
    "x": "the same, or the one sample of this call",
    "Y": "labels",
    "y": "the same, or the label of this call",
    "theta": "all parameters in the declared container",
    "W": "list of the weights",
    "b": "list of the biases",
    "W#": "weights of layer #",
    "b#": "bias of layer #",
    "widths": "list n_0, ..., n_N",
    "n#": "width of layer #",
    "N": "number of layers",
    "M": "number of samples",
    "eta": "step size",
    "rho": "strength of the regularizer",
}
#: What may be taken out, and what it is an answer to.
OUTPUTS = {
    "loss": "loss",
    "grads": "gradient",
    "dW": "gradient",
    "db": "gradient",
    "dW#": "gradient",
    "db#": "gradient",
    "theta_new": "gradient",
    "W_new": "gradient",
    "b_new": "gradient",
    "W#_new": "gradient",
    "b#_new": "gradient",
    "lam": "multipliers",
    "lam#": "multipliers",
    "states": "states",
    "x#": "states",
}
CONTAINERS = ("pairs", "alternating", "lists", "dict", "flat", "flat F", "matrices")
LABELS = (
    "matrix",
    "one-hot",
    "integers",
    "integers from 1",
    "column",
    "column from 1",
    "vector",
)
CHOICES = {
    "samples": ("rows", "columns", "one", "one column"),
    "weights": ("out,in", "in,out"),
    "bias": ("vector", "row", "column", "first", "last"),
    "container": CONTAINERS,
    "labels": LABELS,
    "arrays": ("numpy", "lists"),
    "multipliers": ("mean", "sample"),
}


def kind(name: str, known: Mapping[str, str]) -> str | None:
    """The entry of a vocabulary that a name belongs to: ``"W2"`` to ``"W#"``."""
    if name in known and "#" not in name:
        return name
    pattern = re.sub(r"\d+", "#", name, count=1)
    return pattern if pattern in known and "#" in pattern else None


@dataclass(frozen=True)
class Layout:
    """How arrays look on the submission's side.

    Attributes
    ----------
    samples : {"rows", "columns", "one", "one column"}
        A batch as rows or as columns; or one sample per call, as a vector or as a column (n, 1).
        The answers to single samples are averaged by the grader.
    weights : {"out,in", "in,out"}
        Which axis of W^k is the output.
    bias : {"vector", "row", "column", "first", "last"}
        Separate as (n,), (1, n) or (n, 1); or folded into W along its input axis.
    container : str
        How ``theta`` (and ``grads``) hold the parameters: ``pairs`` [(W1, b1), ...], ``alternating``
        [W1, b1, W2, ...], ``lists`` (Ws, bs), ``dict``, one ``flat`` vector (C order) or ``flat F``
        (Fortran order), or ``matrices`` [W1, W2, ...] where the bias is folded.
    keys : tuple of str
        Of a dict: ``("W{k}", "b{k}")``; for folded biases the first alone.
    first : int
        The number that the first layer has in keys and names.
    labels : str
        ``matrix`` (M, n_N) as the samples are laid out, one-hot for classes; ``integers`` (M,) from 0
        or ``from 1``; ``column`` (M, 1) of integers; ``vector`` (M,) where there is one output.
    arrays : {"numpy", "lists"}
        NumPy arrays, or nested lists of floats.
    gradient_container : str
        The container of ``grads``; by default the parameters'.
    gradient_keys : tuple of str
        Its keys; by default ``d`` before the parameters' keys.
    multipliers : {"mean", "sample"}
        Whether λ carries the 1/M of the objective (mean) or belongs to the loss of one sample.
    multiplier_sign : {1, -1}
        +1: L = J + ⟨λ, x − σ(·)⟩, the package's own; −1 the other one.
    """

    samples: str = "rows"
    weights: str = "out,in"
    bias: str = "vector"
    container: str = "pairs"
    keys: tuple[str, ...] = ("W{k}", "b{k}")
    first: int = 1
    labels: str = "matrix"
    arrays: str = "numpy"
    gradient_container: str = ""
    gradient_keys: tuple[str, ...] = ()
    multipliers: str = "mean"
    multiplier_sign: int = 1

    def __post_init__(self) -> None:
        if not self.gradient_container:
            object.__setattr__(self, "gradient_container", self.container)
        if not self.gradient_keys:
            object.__setattr__(self, "gradient_keys", tuple("d" + key for key in self.keys))
        for name, known in (*CHOICES.items(), ("gradient_container", CONTAINERS)):
            if (value := getattr(self, name)) not in known:
                raise ProblemError(f"submission.{name} is {value!r}; known: {', '.join(known)}")
        for name in ("keys", "gradient_keys"):
            if any("{k}" not in key for key in getattr(self, name)):
                raise ProblemError(f'submission.{name}: each key names its layer, as in "W{{k}}"')
            if len(getattr(self, name)) != (1 if self.folded else 2):
                raise ProblemError(
                    f"submission.{name} has {len(getattr(self, name))} keys; "
                    f"bias {self.bias!r} needs {1 if self.folded else 2}"
                )
        if self.multiplier_sign not in {1, -1}:
            raise ProblemError(f"submission.multiplier_sign is {self.multiplier_sign}; 1 or -1")
        if "matrices" in {self.container, self.gradient_container} and not self.folded:
            raise ProblemError('submission.container "matrices" needs bias "first" or "last"')

    @property
    def folded(self) -> bool:
        """Whether the bias is a row or column of W."""
        return self.bias in {"first", "last"}

    @property
    def single(self) -> bool:
        """Whether each call gets one sample."""
        return self.samples in {"one", "one column"}

    def of_gradient(self) -> Layout:
        """The layout of gradients."""
        return replace(self, container=self.gradient_container, keys=self.gradient_keys)


@dataclass(frozen=True)
class Contract:
    """Calls and layout.

    Attributes
    ----------
    calls : tuple of Step
        What is done for each probe, in order.
    layout : Layout
        How arrays look on the submission's side.
    source : str
        The calls as they were written, for people.
    """

    calls: tuple[Step, ...]
    layout: Layout = field(default_factory=Layout)
    source: str = ""

    def __post_init__(self) -> None:
        if not self.answers:
            raise ProblemError(
                "submission.calls: no line gives an answer; assign to "
                f"{', '.join(OUTPUTS).replace('#', '1')}"
            )

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Contract:
        """Read ``[submission]``."""
        known = {item.name for item in fields(Layout)}
        if unknown := sorted(table.keys() - known - {"calls"}):
            raise ProblemError(
                f"[submission] has no key {unknown[0]!r}; known: {', '.join(sorted(known | {'calls'}))}"
            )
        if "calls" not in table:
            raise ProblemError('[submission] has no "calls": the lines that call the submission')
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in table.items()
            if key != "calls"
        }
        for key, value in given.items():
            default = getattr(Layout(), key)
            texts = not isinstance(value, tuple) or all(isinstance(item, str) for item in value)
            if type(value) is not type(default) or not texts:
                raise ProblemError(f"submission.{key} is {value!r}; expected as in {default!r}")
        if given.get("bias") in {"first", "last"}:
            given.setdefault("keys", ("W{k}",))
        return cls(parse_calls(table["calls"]), Layout(**given), table["calls"].strip())

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names that the grader has to pass in, in order of use."""
        made: set[str] = set()
        used: dict[str, None] = {}
        for step in self.calls:
            for name in step.reads:
                if name not in made and kind(name, INPUTS):
                    used[name] = None
            made.update(step.writes)
        return tuple(used)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names whose values are answers."""
        written = [name for step in self.calls for name in step.writes]
        return tuple(dict.fromkeys(name for name in written if kind(name, OUTPUTS)))

    @property
    def answers(self) -> tuple[str, ...]:
        """What the outputs answer: of ``loss``, ``gradient``, ``multipliers``, ``states``."""
        kinds = (OUTPUTS[kind(name, OUTPUTS) or ""] for name in self.outputs)
        return tuple(dict.fromkeys(kinds))

    @property
    def updates(self) -> bool:
        """Whether updated weights are returned instead of gradients."""
        return any(name.endswith("_new") for name in self.outputs)

    def takes(self, name: str) -> bool:
        """Whether the calls pass this name in."""
        return name in self.inputs
