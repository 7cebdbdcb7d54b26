"""Options that several commands have: which problem, which data, which code.

A group of options is a dataclass. A command that :func:`grouped` decorates takes it as one argument
and shows its fields as options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from lagrangenet.emit import TARGETS
from lagrangenet.experiments import DATASETS
from lagrangenet.experiments.case import case_data, case_problem
from lagrangenet.experiments.data import Dataset
from lagrangenet.functions import ACTIVATIONS, LOSSES
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem

ProblemFile = Annotated[
    Path | None, typer.Option("--problem", metavar="FILE.toml", help="A problem file.")
]
Layers = Annotated[
    str | None,
    typer.Option(metavar="n0,n1,...", help="Widths of a chain, inputs first: 64,16,10."),
]
Activation = Annotated[
    str | None,
    typer.Option(
        help=f"Of the hidden layers (default: tanh): {', '.join(ACTIVATIONS)}; "
        "or a formula, 'z/(1+exp(-z))'."
    ),
]
Output = Annotated[
    str | None, typer.Option(help="Activation of the last layer; by default what the loss needs.")
]
LossName = Annotated[
    str | None,
    typer.Option(
        "--loss",
        help=f"{', '.join(LOSSES)}; or a formula, '(x-y)**4'; by default what fits the data.",
    ),
]
Strength = Annotated[
    float | None, typer.Option("--l2", help="Add L2 with this strength (default: none).")
]
DatasetName = Annotated[str | None, typer.Option(help=f"{', '.join(DATASETS)}.")]
DataFile = Annotated[
    Path | None, typer.Option("--data", metavar="FILE.csv", help="A CSV file with a header.")
]
Target = Annotated[str | None, typer.Option(metavar="COLUMN", help="The label column of --data.")]
Code = Annotated[
    str,
    typer.Option(
        "--code",
        metavar="TARGET",
        help=f"What computes J, its gradient and products: {', '.join(TARGETS)} or auto.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of every random choice.")]


@dataclass(frozen=True)
class Network:
    """Which network: a file, or a chain in words."""

    problem: ProblemFile = None
    layers: Layers = None
    activation: Activation = None
    output: Output = None
    loss: LossName = None

    @property
    def named(self) -> bool:
        """Whether it is said which network; if not, data may say it."""
        return self.problem is not None or self.layers is not None

    def declared(self, l2: float | None = None, data: Dataset | None = None) -> Problem | Graph:
        """The problem; what is left open is as the data need it."""
        words = (self.layers, self.activation, self.output, self.loss)
        return case_problem(self.problem, *words, l2, data)


@dataclass(frozen=True)
class Data:
    """Which data: a set of the catalogue, or a file."""

    dataset: DatasetName = None
    data: DataFile = None
    target: Target = None

    def read(self) -> Dataset | None:
        """The data, None if no options name any."""
        return case_data(self.dataset, self.data, self.target)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the fields of its groups in their place, as Typer reads a signature."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: one for name, one in hints.items() if is_dataclass(one)}
    flat: dict[str, Parameter] = {}
    for name, own in signature(command).parameters.items():
        if name not in groups:
            flat[name] = own.replace(annotation=hints[name])
            continue
        inner = get_type_hints(groups[name], include_extras=True)
        for one in fields(groups[name]):
            flat[one.name] = Parameter(
                one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=inner[one.name]
            )

    @wraps(command)
    def run(**options: Any) -> None:
        for name, group in groups.items():
            given = {one.name: options.pop(one.name) for one in fields(group)}
            options[name] = group(**given)
        command(**options)

    run.__annotations__ = {name: one.annotation for name, one in flat.items()}
    vars(run)["__signature__"] = Signature(list(flat.values()))
    return run
