"""``lagrangenet solve``: a KKT point of a network's constrained problem."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.live import Live

from lagrangenet.cli.application import app
from lagrangenet.cli.options import Code, Data, Network, Seed, Strength, grouped
from lagrangenet.cli.output import console, file_name, write
from lagrangenet.errors import DataError, LagrangenetError, ProblemError
from lagrangenet.experiments.case import case_arrays
from lagrangenet.graph import Graph
from lagrangenet.optimize import METHODS, load, minimize, save
from lagrangenet.problem import Problem
from lagrangenet.report.plots import save_convergence_plot
from lagrangenet.report.solutions import (
    COLUMNS,
    Attempt,
    comparison_data,
    comparison_view,
    headline,
    progress_view,
    solution_data,
    solution_view,
)
from lagrangenet.runtime import generate as generate_routines
from lagrangenet.symbolic.derivation import derive as derive_problem

STATUS = "Exit status: 0 converged, 1 not converged, 2 bad input, 3 a defect of lagrangenet itself."
#: Seconds between two pictures of a live table.
EVERY = 0.1

Method = Annotated[
    str, typer.Option(metavar="NAME", help=f"auto, or one of {', '.join(sorted(METHODS))}.")
]
Compare = Annotated[
    str | None,
    typer.Option(metavar="m1,m2,...", help="Several methods from the same start, one table."),
]


class _Case(NamedTuple):
    """A problem with data and code, and what every method is asked for."""

    problem: Problem | Graph
    X: Any
    Y: Any
    asked: dict[str, Any]


@app.command(epilog=STATUS)
@grouped
def solve(
    *,
    network: Network,
    l2: Strength = None,
    data: Data,
    method: Method = "auto",
    compare: Compare = None,
    tol: Annotated[
        float | None,
        typer.Option(help="For every KKT residual (default: 1e-8, of float32 1e-4)."),
    ] = None,
    max_iterations: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    seed: Seed = 0,
    start: Annotated[
        int | None, typer.Option(min=0, help="Seed of the starting point alone (default: --seed).")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Go on from a result in a file.")
    ] = None,
    escape_saddles: Annotated[
        bool, typer.Option("--escape-saddles", help="Leave saddles along negative curvature.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why this method was chosen.")
    ] = False,
    code: Code = "numpy",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the result (.npz, for --resume) and its JSON there, while it runs too.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the convergence: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Train a network by solving its KKT system, to first and second order.

    Without options: XOR (2-3-1). Without --layers or --problem, --l2 is 1e-3, so that a minimizer
    exists. Features are standardized (not XOR's); a network without data gets random numbers. The
    result is certified by oracles that share no code with the solver.
    """
    if not network.named and data.dataset is None and data.data is None:
        data = replace(data, dataset="xor")
    if not network.named and l2 is None:
        l2 = 1e-3
    source = data.read()
    declared = network.declared(l2, source)
    X, Y = _in_type(dtype, *case_arrays(declared, source, seed))
    routines = generate_routines(derive_problem(declared, order=2), dtype, code)
    limits = {"maxiter": max_iterations, "seconds": max_seconds}
    asked = {
        "seed": seed if start is None else start,
        "x0": None if resume is None else load(resume),
        "tol": tol,
        "options": {k: v for k, v in limits.items() if v is not None},
        "escape_saddles": escape_saddles,
        "routines": routines,
    }
    case = _Case(declared, X, Y, asked)
    names = _names(compare, method)
    if compare is not None:
        _warm(case, names)
    attempts = [_attempt(case, name, out, alone=compare is None) for name in names]
    _show(case, attempts, seed, json, explain, alone=compare is None)
    _write(case, attempts, seed, out)
    if plot is not None:
        save_convergence_plot([a.result for a in attempts if a.result is not None], plot)
    raise typer.Exit(0 if all(a.success for a in attempts) else 1)


def _in_type(dtype: str, X: Any, Y: Any) -> tuple[Any, Any]:
    """The data in the type that was asked for; what is no floating number stays as it is."""
    if dtype != "float32":
        return X, Y
    if isinstance(X, dict):
        return {name: _single(array) for name, array in X.items()}, _single(Y)
    return _single(X), _single(Y)


def _single(array: Any) -> Any:
    return array.astype("float32") if array.dtype.kind == "f" else array


def _names(compare: str | None, method: str) -> list[str]:
    if compare is None:
        return [method]
    if method != "auto":
        raise ProblemError("--compare names the methods; drop --method")
    names = [name.strip() for name in compare.split(",") if name.strip()]
    if not names:
        raise ProblemError("--compare needs methods: --compare lifted-newton,ipopt")
    for name in names:
        if name != "auto":
            METHODS[name]
    return list(dict.fromkeys(names))


def _attempt(case: _Case, name: str, out: Path | None, alone: bool) -> Attempt:
    """Run a method; in a comparison a refusal is a row, alone it ends the command."""
    checkpoint = None if out is None else _path(case, out, name, "npz")
    try:
        with _watched(name) as callback:
            result = minimize(*case[:3], name, **case.asked, callback=callback,
                              checkpoint=checkpoint)  # fmt: skip
    except LagrangenetError as error:
        if alone:
            raise
        return Attempt(name, refused=str(error))
    return Attempt(name, result)


def _warm(case: _Case, names: list[str]) -> None:
    """One iteration of each method, so that the times compared are without imports and compilation."""
    for name in names:
        with suppress(LagrangenetError):
            minimize(*case[:3], name, **{**case.asked, "options": {"maxiter": 1}})


@contextmanager
def _watched(name: str) -> Iterator[Callable[[Any], None] | None]:
    """A callback that keeps a live table on standard error, if that is a terminal."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    records: list[Any] = []
    shown = 0.0
    with Live(console=screen, transient=True, auto_refresh=False) as live:

        def watch(intermediate_result: Any) -> None:
            nonlocal shown
            records.append({key: intermediate_result.get(key) for key in COLUMNS})
            if time.perf_counter() - shown >= EVERY:
                live.update(progress_view(name, records), refresh=True)
                shown = time.perf_counter()

        yield watch


def _title(case: _Case, attempts: list[Attempt]) -> str:
    solved = next((a.result for a in attempts if a.result is not None), None)
    if solved is None:
        return headline(case.problem, len(case.Y))
    arrays = solved.states
    listed = arrays.values() if isinstance(arrays, dict) else arrays
    return headline(case.problem, len(case.Y), sum(array.size for array in listed))


def _show(
    case: _Case, attempts: list[Attempt], seed: int, json: bool, explain: bool, alone: bool
) -> None:
    title, first = _title(case, attempts), attempts[0].result
    if json:
        found = (
            solution_data(title, first, seed) if alone else comparison_data(title, attempts, seed)
        )
        typer.echo(json_module.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    elif alone:
        console().print(solution_view(title, first, explain))
    else:
        console().print(comparison_view(title, attempts))


def _path(case: _Case, folder: Path, method: str, ending: str) -> Path:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--out {str(folder)!r} is a file; name a folder")
    return folder / f"{file_name(case.problem)}-{method}.{ending}"


def _write(case: _Case, attempts: list[Attempt], seed: int, out: Path | None) -> None:
    if out is None:
        return
    title = _title(case, attempts)
    for attempt in attempts:
        if attempt.result is not None:
            save(attempt.result, _path(case, out, attempt.method, "npz"))
            data = solution_data(title, attempt.result, seed)
            text = json_module.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
            write(_path(case, out, attempt.method, "json"), text + "\n")
    write(out / f"{file_name(case.problem)}.toml", case.problem.to_toml())
