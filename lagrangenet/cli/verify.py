"""``lagrangenet verify``: a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lagrangenet.cli.application import STATUS, app
from lagrangenet.cli.options import Code, Data, Network, Seed, Strength, grouped
from lagrangenet.cli.output import console, file_name, progress, write
from lagrangenet.experiments.case import case_arrays, example
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.report.plots import save_certificate_plot
from lagrangenet.report.terminal import certificate_view
from lagrangenet.runtime import generate as generate_routines
from lagrangenet.symbolic.derivation import derive as derive_problem
from lagrangenet.verify import Certificate
from lagrangenet.verify import verify as verify_problem


@app.command(epilog=STATUS)
@grouped
def verify(
    *,
    network: Network,
    l2: Strength = None,
    data: Data,
    code: Code = "numpy",
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write certificate.json and the generated modules there."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw figures and tolerances: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Derive, generate, and check that symbols, code and numbers agree.

    Without options: XOR (2-3-1) and the digits data (64-16-10). Features are standardized (not
    XOR's). A network without data is checked on random numbers.
    """
    cases: list[tuple[Problem | Graph, Any, Any]]
    if (network, l2, data) == (Network(), None, Data()):
        cases = [example("xor", [2, 3, 1]), example("digits", [64, 16, 10])]
    else:
        source = data.read()
        declared = network.declared(l2, source)
        cases = [(declared, *case_arrays(declared, source, seed))]
    with progress() as report:
        parts = [
            verify_problem(p, X, Y, seed=seed, routines=_code_of(p, code), report=report)
            for p, X, Y in cases
        ]
    certificate = Certificate.joined(parts)
    if out is not None:
        _write_certificate(out, certificate, [p for p, _, _ in cases])
    if plot is not None:
        save_certificate_plot(certificate, plot)
    if json:
        typer.echo(certificate.to_json())
    else:
        console().print(certificate_view(certificate))
    raise typer.Exit(0 if certificate.agrees else 1)


def _code_of(problem: Problem | Graph, target: str) -> Any:
    """The code to check, if it is not the default."""
    if target == "numpy":
        return None
    return generate_routines(derive_problem(problem, order=2), target=target)


def _write_certificate(
    folder: Path, certificate: Certificate, problems: list[Problem | Graph]
) -> None:
    for problem in problems:
        name = file_name(problem)
        write(folder / f"{name}.py", generate_routines(derive_problem(problem, order=2)).source)
        write(folder / f"{name}.toml", problem.to_toml())
    write(folder / "certificate.json", certificate.to_json() + "\n")
