"""``lagrangenet derive``: the Lagrangian and its stationarity conditions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lagrangenet.cli.application import STATUS, app
from lagrangenet.cli.options import Network, grouped
from lagrangenet.cli.output import put
from lagrangenet.errors import ProblemError
from lagrangenet.experiments.case import case_depth
from lagrangenet.graph import Graph
from lagrangenet.report.steps import steps_text
from lagrangenet.report.terminal import derivation_json, derivation_text
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.derivation import derive as derive_problem
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.notation import Notation, names


class Splitting(StrEnum):
    """The two splittings, as the command line names them."""

    ACTIVATION = "activation"
    PREACTIVATION = "preactivation"


class Form(StrEnum):
    """Forms of an equation."""

    INDEX = "index"
    MATRIX = "matrix"
    BATCH = "batch"
    VEC = "vec"


class Variable(StrEnum):
    """Variables of the backward recursion."""

    LAMBDA = "lambda"
    DELTA = "Delta"
    ERROR = "delta"


class Format(StrEnum):
    """Formats of a derivation."""

    TEXT = "text"
    LATEX = "latex"
    MARKDOWN = "markdown"
    HTML = "html"


@app.command(epilog=STATUS)
@grouped
def derive(
    *,
    network: Network,
    notation: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml", help=f"Symbols and indices: {', '.join(names())}, or a file."
        ),
    ] = "kkt",
    form: Annotated[
        Form | None,
        typer.Option(help="Components, vectors of one sample, all samples as rows, or a = B w."),
    ] = None,
    splitting: Annotated[
        Splitting | None,
        typer.Option(help="z^k as an abbreviation, or as a state with multiplier μ^k."),
    ] = None,
    variable: Annotated[
        Variable | None,
        typer.Option(help="Backwards in λ, in Δ = ∂ℓ/∂x = −Mλ, or in δ = ∂ℓ/∂z = −Mμ."),
    ] = None,
    order: Annotated[
        int, typer.Option(min=1, max=2, help="2: also the tangent Lagrangian's conditions.")
    ] = 1,
    format: Annotated[Format, typer.Option(help="How to write the equations.")] = Format.TEXT,
    fragment: Annotated[
        bool, typer.Option("--fragment", help="LaTeX to include: one align*, no document.")
    ] = False,
    depth: Annotated[
        str, typer.Option(help="N for every depth, or a number to write the layers out.")
    ] = "N",
    json: Annotated[bool, typer.Option("--json", help="Print the equations as JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there instead of printing.")
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Every step with its reason, each checked in numbers.")
    ] = False,
    condition: Annotated[
        str | None, typer.Option(metavar="LABEL", help="With --steps: of one condition, as S3.")
    ] = None,
) -> None:
    """Print, or write, the Lagrangian and its stationarity conditions.

    Without a problem: the chain of symbolic depth N with componentwise activations. A notation
    also says which form, splitting and variable its source prefers; the options below decide.
    """
    declared = network.declared() if network.named else None
    written = None if depth == "N" else case_depth(depth, declared)
    chosen = Notation.choose(notation).with_variable(variable)
    split = splitting or ("preactivation" if chosen.variable == "delta" else chosen.splitting)
    derivation: Derivation | GraphDerivation
    if isinstance(declared, Graph):
        _only_for_chains(splitting=splitting, variable=variable, steps=steps, condition=condition)
        derivation = derive_problem(declared, order=order)
    else:
        derivation = derive_problem(
            declared, "activation" if split == "activation" else "preactivation", order
        )
    if isinstance(derivation, Derivation) and (steps or condition is not None):
        put(out, steps_text(derivation, condition, format.value, chosen, fragment) + "\n")
        return
    preferred = chosen.form if isinstance(derivation, Derivation) else Form.INDEX
    shape = (form or preferred, format.value, written, chosen)
    text = derivation_json(derivation, *shape) if json else (
        derivation_text(derivation, *shape, fragment=fragment)
    )  # fmt: skip
    put(out, text + "\n")


def _only_for_chains(**options: object) -> None:
    """Refuse options that mean nothing for a graph."""
    for name, value in options.items():
        if value:
            raise ProblemError(f"--{name} is for chains; leave it out for a graph")
