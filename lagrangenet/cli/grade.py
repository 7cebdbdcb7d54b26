"""``lagrangenet grade``: homework."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from lagrangenet.cli.application import app
from lagrangenet.cli.output import progress, write
from lagrangenet.errors import DataError
from lagrangenet.grading import Assignment, Grade
from lagrangenet.grading.batch import Batch, submissions, write_whole
from lagrangenet.grading.formats import FORMATS
from lagrangenet.grading.summary import table
from lagrangenet.report.grades import class_page, grade_page, grade_text

STATUS = (
    "Exit status: 0 all right, 1 something wrong, 2 something not gradable, or bad input, "
    "3 a defect of lagrangenet itself."
)
FORMS = ("text", "json", "html", *FORMATS)


@app.command(epilog=STATUS)
def grade(
    submission: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files (.py, .ipynb; formulas: .toml, .md, .tex, .txt), or a folder of submissions."
        ),
    ] = None,
    assignment: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="What was asked, and how it is called.")
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="FORMAT", help=f"How to write it: {', '.join(FORMS)}.")
    ] = "text",
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="Refuse to run without isolation that holds.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Submissions at a time.")] = max(
        1, min(8, os.cpu_count() or 1)
    ),
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write results there, and a class's summary; a rerun goes on."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the probes; by default a new one.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Text and HTML: show what a hidden assignment hides.")
    ] = False,
    init: Annotated[
        bool, typer.Option("--init", help="Print a template, or write it to --assignment.")
    ] = False,
) -> None:
    """Grade homework: code and formulas against the derivation.

    A submission runs in a child process with no more rights than the machine can leave it.
    """
    if init:
        _template(assignment)
        return
    if assignment is None or not submission:
        raise DataError(
            "say what to grade and against what: lagrangenet grade FILE --assignment hw.toml"
        )
    if format not in FORMS:
        raise DataError(f"no format {format!r}; known: {', '.join(FORMS)}")
    batch = Batch.of(Assignment.load(assignment), seed, untrusted, out)
    paths = submissions(submission)
    with progress() as report:
        grades = batch.run(paths, workers, report)
    if out is not None:
        _keep(out, grades, format, full)
    elif format == "json":
        typer.echo(_json(grades))
    elif format == "text" or len(grades) == 1:
        typer.echo("\n".join(_writer(format, full)(graded).rstrip("\n") for graded in grades))
    else:
        raise DataError(f"{len(grades)} submissions in the format {format}: say where with --out")
    raise typer.Exit(max(graded.status for graded in grades))


def _template(place: Path | None) -> None:
    text = files("lagrangenet.grading").joinpath("template.toml").read_text(encoding="utf-8")
    if place is None:
        typer.echo(text, nl=False)
    elif place.exists():
        raise DataError(f"{str(place)!r} is there already; the template does not replace it")
    else:
        write(place, text)


def _writer(form: str, full: bool) -> Callable[[Grade], str]:
    known: dict[str, Callable[[Grade], str]] = {
        "text": lambda graded: grade_text(graded, full),
        "json": Grade.to_json,
        "html": lambda graded: grade_page(graded, full),
    }
    return known[form] if form in known else FORMATS[form].export


def _json(grades: tuple[Grade, ...]) -> str:
    if len(grades) == 1:
        return grades[0].to_json()
    tables = [graded.to_dict() for graded in grades]
    document = {"schema": "lagrangenet-grades/1", "grades": tables}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)


def _keep(folder: Path, grades: tuple[Grade, ...], form: str, full: bool) -> None:
    """Write each grade in its format, beside its JSON, and the class's table and page."""
    if form != "json":
        suffix = FORMATS[form].suffix if form in FORMATS else ""
        ending = {"text": ".txt", "html": ".html"}.get(form, f".{form}{suffix}")
        for graded in grades:
            write_whole(folder / f"{graded.submission}{ending}", _writer(form, full)(graded))
    write_whole(folder / "class.csv", table(grades))
    write_whole(folder / "class.html", class_page(grades))
    score = sum(graded.score for graded in grades) / len(grades)
    typer.echo(
        f"{len(grades)} graded, mean score {score:.2f}; see {folder / 'class.html'}", err=True
    )
