"""nbgrader: an autograded notebook, a grade cell for each part, that its own code reads.

nbgrader gives *full* marks to a cell whose value is not a number, or is NaN or negative, or that
says nothing. So each cell here ends in an error, which is no points, or has a value that was a
finite number between 0 and the cell's maximum when the part was made.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lagrangenet.grading.result import Grade, Part

SUFFIX = ".ipynb"
Cell = dict[str, Any]


def export(grade: Grade) -> str:
    """The notebook.

    Examples
    --------
    >>> half = Part("gradient", "wrong", 0.5, 2.0)
    >>> cell = json.loads(export(Grade("s.py", "hw", (half,))))["cells"][1]
    >>> cell["outputs"][-1]["data"]["text/plain"], cell["metadata"]["nbgrader"]["points"]
    ('0.5', 2.0)
    """
    shown = grade.shown()
    cells = [_title(shown), *(_cell(k, part) for k, part in enumerate(shown.parts, 1))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, allow_nan=False, indent=1)


def _title(grade: Grade) -> Cell:
    """Words about the whole; indented, so that nothing in them is markup."""
    lines = [grade.assignment, f"{grade.score:g} of {grade.max_score:g} points", grade.note]
    text = "\n".join(f"    {line}" for line in lines if line)
    return {"cell_type": "markdown", "id": "about", "metadata": {}, "source": text}


def _cell(number: int, part: Part) -> Cell:
    words = "\n".join([part.verdict.replace("_", " "), *part.lines()])
    return {
        "cell_type": "code",
        "id": f"part-{number}",
        "execution_count": number,
        "metadata": {"nbgrader": _metadata(number, part)},
        "source": _source(number),
        "outputs": _outputs(number, part, words),
    }


def _source(number: int) -> str:
    return f"# part {number}, graded by lagrangenet"


def _outputs(number: int, part: Part, words: str) -> list[dict[str, Any]]:
    stream = {"output_type": "stream", "name": "stdout", "text": words + "\n"}
    if part.points == 0:
        name = "AssertionError"
        lines = [f"{name}: {words}"]
        return [{"output_type": "error", "ename": name, "evalue": words, "traceback": lines}]
    value = {"text/plain": repr(float(part.points))}
    result = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
    return [stream, {**result, "data": value}]


def _metadata(number: int, part: Part) -> dict[str, Any]:
    metadata = {
        "schema_version": 3,
        "grade": True,
        "solution": False,
        "locked": True,
        "task": False,
        "grade_id": f"part-{number}",
        "points": float(part.max_points),
        "cell_type": "code",
    }
    return {**metadata, "checksum": _checksum(number, metadata)}


def _checksum(number: int, metadata: dict[str, Any]) -> str:
    """As ``nbgrader.utils.compute_checksum``: of source, type, flags, id and points."""
    parts = [_source(number), "code", "True", "False", "True", metadata["grade_id"]]
    text = "".join([*parts, str(metadata["points"])])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
