"""The figures of a comparison as JSON, as a Markdown table and as a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
CASE = ("workload", "dtype", "threads", "activation")
HEAD = (*CASE, "generated", "target", "best peer", "peer", "ratio", "to floor", "first call")


def best(rows: Iterable[Row]) -> list[Row]:
    """The fastest target of each case, in the order of the cases."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in CASE)
        if key not in found or row["generated_us"] < found[key]["generated_us"]:
            found[key] = row
    return list(found.values())


def geometric_means(rows: list[Row]) -> dict[str, dict[str, float | int | None]]:
    """Of the ratios of each target, and of the best target in each case."""
    groups = {"best": best(rows)}
    for row in rows:
        groups.setdefault(row["target"], []).append(row)
    return {
        name: {
            "cases": len(group),
            "ratio": _mean([row["ratio"] for row in group]),
            "floor_ratio": _mean([row["floor_ratio"] for row in group]),
        }
        for name, group in groups.items()
    }


def _mean(ratios: list[float | None]) -> float | None:
    """Their geometric mean; those without a peer do not count."""
    logarithms = [math.log(ratio) for ratio in ratios if ratio is not None]
    if not logarithms:
        return None
    return round(math.exp(math.fsum(logarithms) / len(logarithms)), 4)


def duration(us: float) -> str:
    """Three digits and a unit."""
    value, unit = (us / 1000, "ms") if us >= 1000 else (us, "µs")
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def markdown(figures: dict[str, Any]) -> str:
    """One line per case with the best target, then the means."""
    first = {_key(row): row["seconds"] for row in figures["first_calls"]}
    lines = [_line(HEAD), _line("---" for _ in HEAD)]
    lines += [
        _line([*_cells(row), f"{first[_key(row)]:.2f} s"]) for row in best(figures["results"])
    ]
    lines.append("")
    for name, mean in figures["geometric_mean"].items():
        ratio, floor = _number(mean["ratio"]), _number(mean["floor_ratio"])
        label = "the best target of each case" if name == "best" else f"target {name}"
        lines.append(
            f"- {label}, geometric means of {mean['cases']}: {ratio} times the best "
            f"peer's time, {floor} times the floor's"
        )
    lines += [f"- not installed: {n} ({package})" for n, package in figures["missing"].items()]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    peer = row["best_peer"]
    return [
        *(str(row[name]) for name in CASE),
        duration(row["generated_us"]),
        row["target"],
        peer or "–",
        duration(row["peers"][peer]) if peer else "–",
        _number(row["ratio"]),
        _number(row["floor_ratio"]),
    ]


def _number(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _key(row: Row) -> tuple[Any, ...]:
    """The case and the contender of a row."""
    return *(row[name] for name in CASE), row.get("target"), row.get("peer")


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """All figures of two runs; what was measured again is taken from the second."""
    same = [{**run["environment"], "processes": None} for run in (old, new)]
    if same[0] != same[1]:
        changed = ", ".join(name for name in same[1] if same[0].get(name) != same[1][name])
        raise SystemExit(
            f"python -m benchmarks: error: the figures there are of another environment ({changed})"
        )
    found = new | {"missing": old["missing"] | new["missing"]}
    for name in ("results", "first_calls", "skipped"):
        again = {_key(row): row for row in new[name]}
        found[name] = [again.pop(_key(row), row) for row in old[name]] + [*again.values()]
    processes = old["environment"]["processes"] | new["environment"]["processes"]
    return found | {"environment": new["environment"] | {"processes": processes}}


def write(figures: dict[str, Any], folder: Path) -> None:
    """``results.json``, ``table.md``, and ``plot.png`` if matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        plot(figures["results"], folder / "plot.png")
    except ImportError:
        figures["missing"]["plot.png"] = "matplotlib"
    write_json(figures, folder)
    (folder / "table.md").write_text(markdown(figures) + "\n")


def write_json(figures: dict[str, Any], folder: Path) -> None:
    """``results.json``, which later runs are joined to."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(figures, indent=2) + "\n")


def plot(rows: list[Row], path: Path) -> None:
    """Times of all contenders, relative to the best target of each case."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    shown = best(rows)
    figure = Figure(figsize=(9, 1.6 + 0.3 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_prop_cycle(color=colormaps["tab20"].colors)
    for name, found in _points(rows).items():
        marker = {"target": "o", "floor": "|"}.get(name.split()[0], "x")
        axes.plot(*zip(*found, strict=True), marker, label=name)
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time / time of the best target")
    labels = [" ".join(str(row[name]) for name in CASE) for row in shown]
    axes.set_yticks(range(len(shown)), labels)
    axes.invert_yaxis()
    if shown:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    figure.savefig(path, dpi=150)


def _points(rows: list[Row]) -> dict[str, list[tuple[float, int]]]:
    """Of each contender, relative times and the numbers of their cases."""
    points: dict[str, list[tuple[float, int]]] = {}
    for height, first in enumerate(best(rows)):
        same = [row for row in rows if all(row[name] == first[name] for name in CASE)]
        times = {f"target {row['target']}": row["generated_us"] for row in same}
        for name, us in (times | {"floor": first["floor_us"]} | first["peers"]).items():
            points.setdefault(name, []).append((us / first["generated_us"], height))
    return points
