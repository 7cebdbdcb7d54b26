"""Options that several commands have: which problem, which data, which code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lagrangenet.emit import TARGETS
from lagrangenet.experiments import DATASETS
from lagrangenet.functions import ACTIVATIONS, LOSSES

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
