"""The certificate as a picture: every figure beside the tolerance it has to stay under.

Needs matplotlib (the extra ``plot``); imported only when a picture is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.errors import DataError, MissingExtra
from lagrangenet.verify import Certificate, CheckResult

#: Exact agreement, and whatever lies below, is drawn here.
FLOOR = 1e-17
_COLORS = {"agree": "#2a7f3f", "disagree": "#c0392b", "inconclusive": "#d68910"}


def save_certificate_plot(certificate: Certificate, path: Path) -> None:
    """Draw every measured figure and its tolerance, one panel per problem, and save it.

    Parameters
    ----------
    certificate : Certificate
    path : path
        Its ending chooses the format: ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    MissingExtra
        Without matplotlib.
    DataError
        If the file cannot be written.
    """
    figure = certificate_figure(certificate)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write the plot {str(path)!r}: {error}") from None


def certificate_figure(certificate: Certificate) -> Any:
    """The matplotlib figure of :func:`save_certificate_plot`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "a plot") from None
    names = list(certificate.problem)
    rows = [c.name for c in certificate.checks if c.problem == names[0]]
    figure = Figure(figsize=(5.2 + 3.4 * len(names), 1.2 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        _panel(ax, [c for c in certificate.checks if c.problem == name])
        ax.set_title(f"{name}: {certificate.problem[name]['summary']}", fontsize=9)
    axes[0].set_yticks(range(len(rows)), rows, fontsize=8)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def _panel(ax: Any, checks: list[CheckResult]) -> None:
    for row, check in enumerate(checks):
        limit = max(check.tolerance, FLOOR)
        ax.plot([limit, limit], [row - 0.35, row + 0.35], color="0.35", lw=1.5)
        if check.figure is None:
            ax.text(FLOOR, row, f"  {check.verdict}", va="center", fontsize=7, color="0.5")
            continue
        value = float(np.clip(check.figure, FLOOR, 10.0))
        ax.plot([FLOOR, value], [row, row], color="0.85", lw=1, zorder=0)
        ax.plot(value, row, "o", ms=4.5, color=_COLORS[check.verdict], clip_on=False)
    ax.set_xscale("log")
    ax.set_xlim(FLOOR, 10.0)
    ax.set_xlabel("measured (●) and tolerance (|); at the left edge: exact", fontsize=8)
    ax.tick_params(axis="both", labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
