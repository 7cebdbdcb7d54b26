"""``target="auto"`` against all targets: what its choice costs, and the costs that it chooses by.

The best target is looked for among those that are there: with all of them, without a C compiler, and
with nothing installed but NumPy and SciPy. ``--fit`` prints the costs that the times just measured give
each target, as its file in ``lagrangenet/emit`` declares them: least squares of the relative errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import generated
from benchmarks.table import CASE, duration, write_json
from benchmarks.workloads import WORKLOADS
from lagrangenet.emit import TARGETS, Target
from lagrangenet.routines.ir import Program
from lagrangenet.routines.lower import lower
from lagrangenet.routines.passes.link import link
from lagrangenet.runtime.choose import amounts, estimates

Row = dict[str, Any]

#: What may be there: which targets count.
MACHINES: dict[str, Callable[[Target], bool]] = {
    "everything": lambda _: True,
    "no compiler": lambda target: target.language != "c",
    "NumPy alone": lambda target: target.language != "c" and not target.package,
}


def choices(rows: list[Row]) -> list[Row]:
    """For each case and machine: the target that is chosen, the best one, and the ratio of their times."""
    cases: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        times = cases.setdefault(tuple(row[name] for name in CASE), {})
        times[row["target"]] = row["generated_us"]
    found = []
    for case, times in cases.items():
        named = dict(zip(CASE, case, strict=True))
        order = [e.target for e in estimates(_program(named), _samples(named), named["dtype"])]
        for machine, counts in MACHINES.items():
            there = [name for name in order if name in times and counts(TARGETS[name])]
            if there:
                best = min(there, key=times.__getitem__)
                chosen = {"auto": there[0], "auto_us": times[there[0]]}
                ratio = {"best": best, "best_us": times[best]}
                ratio |= {"ratio": round(times[there[0]] / times[best], 4)}
                found.append(named | {"machine": machine} | chosen | ratio)
    return found


def costs(rows: list[Row]) -> dict[str, dict[str, float]]:
    """The constants of :class:`lagrangenet.emit.Cost` for each target."""
    from scipy.optimize import nnls

    found = {}
    for target in dict.fromkeys(row["target"] for row in rows):
        own = [row for row in rows if row["target"] == target]
        parts = [amounts(_program(row), _samples(row), row["dtype"]) for row in own]
        seconds = np.array([row["generated_us"] for row in own]) * 1e-6
        relative = np.array([[*part.values()] for part in parts]) / seconds[:, None]
        scale = np.linalg.norm(relative, axis=0)
        scale[scale == 0] = np.inf  # what no case has costs nothing
        constants = nnls(relative / scale, np.ones(len(own)))[0] / scale
        found[target] = {n: float(f"{c:.2g}") for n, c in zip(parts[0], constants, strict=True)}
    return found


def _program(case: Row) -> Program:
    """The linked routines of a case."""
    return link(lower(generated.derived(WORKLOADS[case["workload"]], case["activation"], 1)))


def _samples(case: Row) -> int:
    return WORKLOADS[case["workload"]].samples


def markdown(figures: dict[str, Any]) -> str:
    """A line for each case and machine, the largest ratios, and the costs if there are any."""
    head = (*CASE, "machine", "auto", "its time", "best", "its time", "ratio")
    lines = [_line(head), _line("---" for _ in head)]
    lines += [_line(_cells(row)) for row in figures["choices"]]
    lines.append("")
    for machine in MACHINES:
        ratios = [row["ratio"] for row in figures["choices"] if row["machine"] == machine]
        if ratios:
            lines.append(f"- {machine}: at most {max(ratios):.2f} times the best target's time")
    for target, constants in figures.get("costs", {}).items():
        values = ", ".join(f"{name}={value:.2g}" for name, value in constants.items())
        lines.append(f"- {target}: Cost({values})")
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    named = [str(row[name]) for name in (*CASE, "machine", "auto")]
    return [
        *named,
        duration(row["auto_us"]),
        row["best"],
        duration(row["best_us"]),
        f"{row['ratio']:.2f}",
    ]


def _line(cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def write(figures: dict[str, Any], folder: Path) -> None:
    """``results.json`` and ``table.md``."""
    write_json(figures, folder)
    (folder / "table.md").write_text(markdown(figures) + "\n")
