"""Terminal, JSON and table views of solutions: one result, several methods side by side, progress.

What a view shows is decided here and nowhere else; numbers and verdicts come from ``optimize``
unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lagrangenet.graph import Graph
from lagrangenet.problem import Problem

SCHEMA = "lagrangenet.solve/1"
#: What a live table shows of an iteration, and of how many iterations.
COLUMNS = ("nit", "fun", "optimality", "constr_violation", "step")
SHOWN = 12
_HOLDS = {True: ("✓", "green"), False: ("✗", "bold red")}


@dataclass(frozen=True, eq=False)
class Attempt:
    """A method and what came of it: a result, or the reason why it was refused."""

    method: str
    result: Any = None
    refused: str = ""

    @property
    def name(self) -> str:
        """The method, and which one it is where the choice was left open."""
        chosen = "" if self.result is None else self.result.method
        return self.method if chosen in {"", self.method} else f"{self.method}: {chosen}"

    @property
    def success(self) -> bool:
        """Whether there is a result and it converged."""
        return self.result is not None and bool(self.result.success)


def headline(problem: Problem | Graph, samples: int, states: int | None = None) -> str:
    """What is solved, with its sizes; the number of states is known once it was solved."""
    name = f"{problem.name}: " if problem.name else ""
    sizes = [counted(samples, "sample"), counted(problem.size, "parameter")]
    if states is not None:
        sizes.append(counted(states, "state"))
    return f"{name}{problem} ({', '.join(sizes)})"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "state"), counted(12000, "state")
    ('1 state', '12,000 states')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def solution_view(title: str, result: Any, explain: bool = False) -> RenderableType:
    """One result with its certificate, for ``rich.print``."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    for name, text in _facts(result, explain):
        facts.add_row(name, text)
    table = Table(title=Text("KKT conditions"), title_justify="left", expand=False)
    table.add_column("")
    table.add_column("condition")
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("≤", justify="right", no_wrap=True)
    table.add_column("calculated by")
    for condition in result.certificate.conditions:
        mark, style = _HOLDS[condition.holds]
        figure = f"{condition.figure:.1e}" if condition.figure else "0"
        row = (condition.name, figure, f"{condition.tolerance:.0e}", condition.source)
        table.add_row(Text(mark, style=style), *map(Text, row))
    word = Text(result.message, style="bold green" if result.success else "bold red")
    return Group(Text(title, style="bold"), "", facts, "", table, "", word)


def _facts(result: Any, explain: bool) -> Iterable[tuple[str, str]]:
    _, _, reason = result.reason.partition(": ")
    yield "method", result.method + (f", because: {reason}" if explain and reason else "")
    yield "iterations", f"{result.nit} ({_evaluations(result)}), {_seconds(result.wall_s)}"
    yield "J", f"{result.fun:.12g}"
    if result.second_order is not None:
        yield "second order", str(result.second_order)


def _evaluations(result: Any) -> str:
    names = {"nfev": "evaluations", "nhev": "Hessian products"}
    found = [f"{result[key]} {noun}" for key, noun in names.items() if result.get(key)]
    return ", ".join(found) or "evaluations not counted"


def comparison_view(title: str, attempts: Sequence[Attempt]) -> RenderableType:
    """Several methods on one problem from one start, one row each, and what went wrong."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", expand=False)
    table.add_column("")
    table.add_column("method", no_wrap=True)
    for name in ("iter.", "eval.", "J", "KKT", "violation", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("point", no_wrap=True)
    for attempt in attempts:
        mark, style = _HOLDS[attempt.success]
        table.add_row(Text(mark, style=style), attempt.name, *_cells(attempt))
    words = [
        Text(f"{a.name}: {a.refused or a.result.message}", style="red")
        for a in attempts
        if not a.success
    ]
    return Group(table, *words)


def _cells(attempt: Attempt) -> list[str]:
    r = attempt.result
    if r is None:
        return ["–"] * 6 + ["refused"]
    second = "–" if r.second_order is None else r.second_order.kind
    evaluations = str(r.nfev) if r.get("nfev") else "–"
    figures = (f"{r.optimality:.1e}", f"{r.constr_violation:.1e}" if r.constr_violation else "0")
    return [str(r.nit), evaluations, f"{r.fun:.10g}", *figures, _seconds(r.wall_s), second]


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


# -- JSON ------------------------------------------------------------------------------------------


def solution_data(title: str, result: Any, seed: int) -> dict[str, Any]:
    """A result as plain data: ``{schema, method, success, status, message, fun, ...}``."""
    keys = ("method", "reason", "success", "status", "message", "fun", "optimality",
            "constr_violation", "tol", "nit", "nfev", "njev", "nhev", "wall_s")  # fmt: skip
    found: dict[str, Any] = finite({
        "schema": SCHEMA,
        "problem": title,
        "seed": seed,
        **{key: result[key] for key in keys if key in result},
        "inertia": result.inertia,
        "escapes": result.get("escapes", []),
        "certificate": result.certificate.to_dict(),
        "history": result.history,
    })  # fmt: skip
    return found


def comparison_data(title: str, attempts: Sequence[Attempt], seed: int) -> dict[str, Any]:
    """Results side by side: ``{schema, results: [...]}``; of a refused method only the reason."""
    rows = [
        {"method": a.method, "success": False, "message": a.refused}
        if a.result is None
        else solution_data(title, a.result, seed)
        for a in attempts
    ]
    return {"schema": SCHEMA, "problem": title, "seed": seed, "results": rows}


def finite(value: Any) -> Any:
    """Data that JSON can hold: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- while it runs -----------------------------------------------------------------------------------


def progress_view(title: str, records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The last iterations as a table."""
    table = Table(title=Text(title), title_justify="left", expand=False)
    for name in ("iteration", "J", "stationarity", "violation", "step"):
        table.add_column(name, justify="right", min_width=11)
    for record in records[-SHOWN:]:
        step = record.get("step")
        table.add_row(
            str(record["nit"]),
            f"{record['fun']:.8g}",
            f"{record['optimality']:.2e}",
            f"{record['constr_violation']:.2e}",
            f"{step:.2g}" if isinstance(step, float) else "",
        )
    return table
