"""The certificate of a result: which conditions hold, how far it is from each, and of which order.

It is data: :mod:`lagrangenet.optimize.independent` measures it, the tolerance decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lagrangenet.optimize.second_order import SecondOrder

SCHEMA = "lagrangenet.kkt/1"

Kind = Literal["feasibility", "stationarity", "second order", "oracle"]


@dataclass(frozen=True)
class Condition:
    """One line: a condition, how far the point is from it, and where it is farthest.

    Attributes
    ----------
    kind : {"feasibility", "stationarity", "second order", "oracle"}
        What it belongs to; "oracle" compares two ways to calculate.
    name : str
    figure, tolerance : float
    source : str
        What calculated the figure.
    where : str
        The block of the worst entry.
    """

    kind: Kind
    name: str
    figure: float
    tolerance: float
    source: str
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is at most the tolerance; NaN is not."""
        return bool(self.figure <= self.tolerance)


@dataclass(frozen=True)
class KKTCertificate:
    """What was measured at a point.

    Attributes
    ----------
    conditions : tuple of Condition
    second_order : SecondOrder or None
        None where it was not asked for.
    notes : tuple of str
        What a reader should know: constraint qualification, choices of subgradients.
    """

    conditions: tuple[Condition, ...]
    second_order: SecondOrder | None = None
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every condition of the first order holds, and the oracles agree."""
        return all(c.holds for c in self.conditions)

    @property
    def failures(self) -> tuple[Condition, ...]:
        """The conditions that do not hold."""
        return tuple(c for c in self.conditions if not c.holds)

    @property
    def optimality(self) -> float:
        """The worst figure of stationarity, complementarity and signs."""
        return _worst(c.figure for c in self.conditions if c.kind == "stationarity")

    @property
    def constr_violation(self) -> float:
        """The worst figure of feasibility."""
        return _worst(c.figure for c in self.conditions if c.kind == "feasibility")

    @property
    def order(self) -> int:
        """0: no KKT point; 1: one; 2: one with the second-order sufficient condition."""
        if not self.holds:
            return 0
        found = self.second_order
        return 2 if found is not None and found.condition == "sufficient" else 1

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures that are not finite are strings."""
        second = self.second_order
        return {
            "schema": SCHEMA,
            "holds": self.holds,
            "order": self.order,
            "conditions": [
                {**asdict(c), "figure": _plain(c.figure), "holds": c.holds} for c in self.conditions
            ],
            "second_order": None if second is None else second.to_dict(),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """The certificate as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        said = {
            2: "a KKT point, certified to the second order",
            1: "a KKT point",
            0: "no KKT point",
        }
        rows = [said[self.order]]
        for c in self.conditions:
            mark, sign = ("holds", "≤") if c.holds else ("FAILS", ">")
            rows.append(f"{mark}  {c.figure:8.1e} {sign} {c.tolerance:.0e}  {c.name} ({c.source})")
            if not c.holds and c.where:
                rows.append(f"{'':7s}{c.where}")
        if self.second_order is not None:
            rows.append(str(self.second_order))
        return "\n".join([*rows, *self.notes])


def _worst(figures: Iterator[float]) -> float:
    found = list(figures)
    return float(np.max(found)) if found else 0.0  # NaN is the worst


def _plain(figure: float) -> float | str:
    return figure if np.isfinite(figure) else str(figure)
