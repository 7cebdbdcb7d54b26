"""``lagrangenet generate``: code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lagrangenet.cli.application import STATUS, app
from lagrangenet.cli.options import Code, Network, Strength, grouped
from lagrangenet.cli.output import file_name, put, write
from lagrangenet.emit import TARGETS
from lagrangenet.runtime import Routines
from lagrangenet.runtime import generate as generate_routines
from lagrangenet.symbolic.derivation import derive as derive_problem


@app.command(epilog=STATUS)
@grouped
def generate(
    *,
    network: Network,
    l2: Strength = None,
    order: Annotated[
        int, typer.Option(min=1, max=2, help="2: also products with second derivatives.")
    ] = 1,
    code: Code = "numpy",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    samples: Annotated[
        int, typer.Option(min=1, help="C: the size of the batch that the file is made for.")
    ] = 128,
    threads: Annotated[int, typer.Option(min=1, help="C: how many share a batch.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the module there (into a folder: by name)."),
    ] = None,
) -> None:
    """Print, or write, generated code.

    By default the readable NumPy module: forward, loss, backward, gradient, update. For another
    target the routines of flat parameters: value, value_and_grad and, with --order 2, products with
    the Hessian; C is written with its header.
    """
    declared = network.declared(l2)
    derivation = derive_problem(declared, order=order)
    made = generate_routines(derivation, dtype, code, threads)
    text, suffix, declarations = made.source, ".py", ""
    if isinstance(made, Routines) and code != "numpy":
        text = made.linked_source(samples)
        if TARGETS[made.chosen(samples)].language == "c":
            suffix, declarations = ".c", made.header()
    inside = out / f"{file_name(declared)}{suffix}" if out is not None and out.is_dir() else out
    put(inside, text)
    if inside is not None and declarations:
        write(inside.with_suffix(".h"), declarations)
