"""Pictures: a certificate's figures beside their tolerances, and how solutions converged.

Each is a figure of matplotlib and a function that saves it, all under the terms of :func:`save_plot`.
Needs matplotlib (the extra ``plot``); imported only when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.errors import DataError, MissingExtra
from lagrangenet.optimize.norms import MultiplierNorms, norms_of
from lagrangenet.verify import Certificate, CheckResult

#: Exact agreement, and whatever lies below, is drawn here.
FLOOR = 1e-17
_COLORS = {"agree": "#2a7f3f", "disagree": "#c0392b", "inconclusive": "#d68910"}


def save_plot(figure: Any, path: Path) -> None:
    """Save a figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Its ending chooses the format: ``.png``, ``.svg`` or ``.pdf``; folders are made.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write the plot {str(path)!r}: {error}") from None


def _figure(size: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "a plot") from None
    return Figure(figsize=size, layout="constrained")


def _bare(ax: Any) -> None:
    """Small numbers, and no frame above and to the right."""
    ax.tick_params(axis="both", labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


# -- a certificate ---------------------------------------------------------------------------------


def save_certificate_plot(certificate: Certificate, path: Path) -> None:
    """Draw every measured figure and its tolerance, one panel per problem, and save it."""
    save_plot(certificate_figure(certificate), path)


def certificate_figure(certificate: Certificate) -> Any:
    """The matplotlib figure of :func:`save_certificate_plot`."""
    names = list(certificate.problem)
    rows = [c.name for c in certificate.checks if c.problem == names[0]]
    figure = _figure((5.2 + 3.4 * len(names), 1.2 + 0.27 * len(rows)))
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
    _bare(ax)


# -- solutions -------------------------------------------------------------------------------------

_MEASURES = ("optimality", "constr_violation")
_TITLES = (
    "|J − J*|, J* the lowest that was reached",
    "stationarity, max |∂L/∂x|, |∂L/∂θ|",
    "violation, max |∂L/∂λ|",
    "multipliers, rms of M λ",
)


def save_convergence_plot(results: Sequence[Any], path: Path) -> None:
    """Draw how solutions of one problem converged, with their multipliers by layer, and save it.

    Results are those of :func:`lagrangenet.minimize`; a DataError says that none has an iteration.
    """
    save_plot(convergence_figure(results), path)


def convergence_figure(results: Sequence[Any]) -> Any:
    """The matplotlib figure of :func:`save_convergence_plot`."""
    drawn = [result for result in results if result.history]
    if not drawn:
        raise DataError("there is no iteration to draw: every method ended where it started")
    figure = _figure((13.0, 3.4))
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 0.8))
    best = min(drawn, key=lambda result: (not result.success, result.fun)).fun
    for number, result in enumerate(drawn):
        color = f"C{number % 10}"
        nit = [record["nit"] for record in result.history]
        gaps = [abs(record["fun"] - best) for record in result.history]
        rows = [gaps, *([r[key] for r in result.history] for key in _MEASURES)]
        for ax, values in zip(axes, rows, strict=False):
            ax.plot(nit, _positive(values), color=color, lw=1.2, label=result.method)
        norms = norms_of(result.multipliers, len(next(iter(_listed(result.multipliers)))))
        axes[3].plot(norms.names, _positive(norms.norms), "o-", color=color, ms=4, lw=1.2)
    for ax, title in zip(axes, _TITLES, strict=True):
        _logarithmic(ax, title)
    for ax in axes[1:3]:
        ax.axhline(drawn[0].tol, color="0.5", lw=0.8, ls=":")
    if len({len(result.history) for result in drawn}) > 1:
        for ax in axes[:3]:
            ax.set_xscale("log")
    axes[3].margins(0.1, 0.6)
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def save_norms_plot(norms: Mapping[str, MultiplierNorms], path: Path) -> None:
    """Draw the size of the multipliers by layer, one line for each network, and save it.

    The networks have names and the :func:`lagrangenet.optimize.norms.multiplier_norms` of a point.
    """
    save_plot(norms_figure(norms), path)


def norms_figure(norms: Mapping[str, MultiplierNorms]) -> Any:
    """The matplotlib figure of :func:`save_norms_plot`: geometric decay is a straight line."""
    figure = _figure((6.4, 3.6))
    ax = figure.subplots()
    for name, found in norms.items():
        label = f"{name}: {found.factor:.2g} per layer"
        layers = np.arange(1, len(found.norms) + 1)
        ax.plot(layers, _positive(found.norms), "o-", ms=3, lw=1.2, label=label)
    _logarithmic(ax, _TITLES[3])
    ax.legend(fontsize=8, frameon=False)
    return figure


def _listed(arrays: Any) -> Any:
    return arrays.values() if isinstance(arrays, dict) else arrays


def _positive(values: Any) -> Any:
    """What a logarithmic axis can show; zeros are gaps."""
    array = np.asarray(values, dtype=float)
    return np.where(array > 0, array, np.nan)


def _logarithmic(ax: Any, title: str) -> None:
    ax.set_yscale("log")
    ax.set_title(title, fontsize=9)
    ax.set_xlabel("layer or state" if title == _TITLES[3] else "iteration", fontsize=8)
    if not any(np.isfinite(line.get_ydata()).any() for line in ax.lines):
        ax.text(0.5, 0.5, "zero throughout", transform=ax.transAxes, ha="center", fontsize=8)
    _bare(ax)
