"""The command line: ``lagrangenet verify``, ``derive`` and ``generate``.

Exit status: 0 agreed (or done), 1 disagreed, 2 bad input, 3 a defect of this package. Results go
to standard output, progress to standard error and only on a terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lagrangenet.emit import TARGETS
from lagrangenet.errors import DataError, LagrangenetError, ProblemError
from lagrangenet.experiments import DATASETS
from lagrangenet.experiments.case import case_arrays, case_data, case_depth, case_problem, example
from lagrangenet.functions import ACTIVATIONS, LOSSES
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.report.plots import save_certificate_plot
from lagrangenet.report.steps import steps_text
from lagrangenet.report.terminal import certificate_view, derivation_json, derivation_text
from lagrangenet.runtime import Routines
from lagrangenet.runtime import generate as generate_routines
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.derivation import derive as derive_problem
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.notation import Notation, names
from lagrangenet.verify import Certificate
from lagrangenet.verify import verify as verify_problem

_STATUS = "Exit status: 0 agreed, 1 disagreed, 2 bad input, 3 a defect of lagrangenet itself."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=_STATUS,
)


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


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lagrangenet {version('lagrangenet')}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Neural networks as constrained optimization: KKT conditions, code, and a certificate."""


@app.command(epilog=_STATUS)
def verify(
    problem: ProblemFile = None,
    layers: Layers = None,
    activation: Activation = None,
    output: Output = None,
    loss: LossName = None,
    l2: Strength = None,
    dataset: DatasetName = None,
    data: DataFile = None,
    target: Target = None,
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
    options = (problem, layers, activation, output, loss, l2, dataset, data, target)
    cases: list[tuple[Problem | Graph, Any, Any]]
    if any(option is not None for option in options):
        source = case_data(dataset, data, target)
        declared = case_problem(problem, layers, activation, output, loss, l2, source)
        cases = [(declared, *case_arrays(declared, source, seed))]
    else:
        cases = [example("xor", [2, 3, 1]), example("digits", [64, 16, 10])]
    with _progress() as report:
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
        _console().print(certificate_view(certificate))
    raise typer.Exit(0 if certificate.agrees else 1)


@app.command(epilog=_STATUS)
def derive(
    problem: ProblemFile = None,
    layers: Layers = None,
    activation: Activation = None,
    output: Output = None,
    loss: LossName = None,
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
    declared = None
    if problem is not None or layers is not None:
        declared = case_problem(problem, layers, activation, output, loss, None, None)
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
        _put(out, steps_text(derivation, condition, format.value, chosen, fragment) + "\n")
        return
    preferred = chosen.form if isinstance(derivation, Derivation) else Form.INDEX
    shape = (form or preferred, format.value, written, chosen)
    text = derivation_json(derivation, *shape) if json else (
        derivation_text(derivation, *shape, fragment=fragment)
    )  # fmt: skip
    _put(out, text + "\n")


@app.command(epilog=_STATUS)
def generate(
    problem: ProblemFile = None,
    layers: Layers = None,
    activation: Activation = None,
    output: Output = None,
    loss: LossName = None,
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
    if problem is None and layers is None:
        raise ProblemError("say which network: --layers n0,n1,... or --problem FILE.toml")
    declared = case_problem(problem, layers, activation, output, loss, l2, None)
    derivation = derive_problem(declared, order=order)
    made = generate_routines(derivation, dtype, code, threads)
    text, suffix, declarations = made.source, ".py", ""
    if isinstance(made, Routines) and code != "numpy":
        text = made.linked_source(samples)
        if TARGETS[made.chosen(samples)].language == "c":
            suffix, declarations = ".c", made.header()
    inside = out / f"{_file_name(declared)}{suffix}" if out is not None and out.is_dir() else out
    _put(inside, text)
    if inside is not None and declarations:
        _write(inside.with_suffix(".h"), declarations)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    epilog="All options are those of the suite; `lagrangenet bench gradient --help` lists them.",
)
def bench(context: typer.Context) -> None:
    """Time generated code against other packages: the suite of the source repository.

    gradient, hessian or derivation, then --workload, --dtype, --threads, --activation, --quick, --json.
    """
    root = Path(__file__).parents[1]
    if not (root / "benchmarks" / "__main__.py").exists():
        raise DataError(
            "the benchmarks are part of the source repository: install lagrangenet from a clone of "
            "it with pip install -e, or run python -m benchmarks there"
        )
    given = context.args or ["--help"]
    suite = (
        []
        if {"gradient", "hessian", "derivation"} & set(given) or "--help" in given
        else ["gradient"]
    )
    command = [sys.executable, "-m", "benchmarks", *suite, *given]
    environment = os.environ | {"PYTHONPATH": str(root)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the console script ``lagrangenet``."""
    try:
        app(arguments)
    except LagrangenetError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception:  # noqa: BLE001  # exit 1 means "disagreed", so a crash must not use it
        traceback.print_exc()
        typer.echo(
            "this is a defect of lagrangenet; please report it with the lines above", err=True
        )
        sys.exit(3)


def _code_of(problem: Problem | Graph, target: str) -> Any:
    """The code to check, if it is not the default."""
    if target == "numpy":
        return None
    return generate_routines(derive_problem(problem, order=2), target=target)


# -- output ------------------------------------------------------------------------------------------


def _console() -> Console:
    """A console that does not cut lines where there is no terminal to fit."""
    return Console() if sys.stdout.isatty() else Console(width=110)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A status line on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


def _put(path: Path | None, text: str) -> None:
    """Write to a file if one is named, otherwise to standard output."""
    if path is None:
        typer.echo(text, nl=False)
    else:
        _write(path, text)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error}") from None


def _only_for_chains(**options: object) -> None:
    """Refuse options that mean nothing for a graph."""
    for name, value in options.items():
        if value:
            raise ProblemError(f"--{name} is for chains; leave it out for a graph")


def _file_name(problem: Problem | Graph) -> str:
    """The problem's name as the name of a module: no path, no character of another meaning."""
    plain = re.sub(r"\W", "_", problem.name, flags=re.ASCII)[:40]
    return plain if plain[:1].isalpha() else f"net_{plain}"


def _write_certificate(
    folder: Path, certificate: Certificate, problems: list[Problem | Graph]
) -> None:
    for problem in problems:
        name = _file_name(problem)
        _write(folder / f"{name}.py", generate_routines(derive_problem(problem, order=2)).source)
        _write(folder / f"{name}.toml", problem.to_toml())
    _write(folder / "certificate.json", certificate.to_json() + "\n")
