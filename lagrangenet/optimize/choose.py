"""``method="auto"``: which method is taken, and why."""

from __future__ import annotations

from lagrangenet.optimize.methods import METHODS
from lagrangenet.optimize.task import Task

AUTO = "auto"


def choose(task: Task) -> tuple[str, str]:  # noqa: ARG001
    """The name of a method for a task, and the reasons as text."""
    name = "lifted-newton" if "lifted-newton" in METHODS else "l-bfgs-b"
    return name, f"{name}: the default"
