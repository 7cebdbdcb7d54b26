"""The application that commands add themselves to, and its entry point."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from lagrangenet.errors import LagrangenetError

STATUS = "Exit status: 0 agreed, 1 disagreed, 2 bad input, 3 a defect of lagrangenet itself."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=STATUS,
)


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
