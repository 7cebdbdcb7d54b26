"""``lagrangenet bench``: the benchmarks of the source repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

from lagrangenet.cli.application import app
from lagrangenet.errors import DataError


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    epilog="All options are those of the suite; `lagrangenet bench gradient --help` lists them.",
)
def bench(context: typer.Context) -> None:
    """Time generated code against other packages: the suite of the source repository.

    gradient, hessian, auto, solve or derivation, then --workload, --dtype, --threads, --activation,
    --quick, --json.
    """
    root = Path(__file__).parents[2]
    if not (root / "benchmarks" / "__main__.py").exists():
        raise DataError(
            "the benchmarks are part of the source repository: install lagrangenet from a clone of "
            "it with pip install -e, or run python -m benchmarks there"
        )
    given = context.args or ["--help"]
    named = not given[0].startswith("-") or "--help" in given
    suite = [] if named else ["gradient"]
    command = [sys.executable, "-m", "benchmarks", *suite, *given]
    environment = os.environ | {"PYTHONPATH": str(root)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603
