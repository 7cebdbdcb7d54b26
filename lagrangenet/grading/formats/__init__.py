"""Grades for other graders' software: a file here is a format.

A module with ``export(grade) -> str`` and a ``SUFFIX`` is a format of its own name; there is no
second registration. What it writes is for the student: a hidden assignment keeps its answers. Every
format takes points from the parts, which are numbers between 0 and their maximum by construction.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from lagrangenet.grading.result import Grade


class Format(NamedTuple):
    """How a grade is written, and how its file ends."""

    export: Callable[[Grade], str]
    suffix: str


def _found() -> dict[str, Format]:
    modules = {
        item.name: import_module(f"{__name__}.{item.name}")
        for item in pkgutil.iter_modules(__path__)
    }
    return {name: Format(module.export, module.SUFFIX) for name, module in modules.items()}


FORMATS = _found()
