"""Results in files: npz without pickles, written whole or not at all, sizes checked before reading."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Task


def save(result: Any, path: str | PathLike[str]) -> None:
    """Write a result."""
    raise NotImplementedError


def load(path: str | PathLike[str]) -> Any:
    """Read a result."""
    raise NotImplementedError


def keeper(path: Path, task: Task, method: str) -> Callable[[Progress], None]:
    """A function that writes a run as it stands."""
    raise NotImplementedError
