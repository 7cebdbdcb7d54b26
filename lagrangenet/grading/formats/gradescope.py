"""Gradescope: ``results.json``, a test for each part.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/. The status says "passed" for
full points alone, so that a partial score does not look like success.
"""

from __future__ import annotations

import json
from typing import Any

from lagrangenet.grading.result import SCHEMA, Grade, Part

SUFFIX = ".json"


def export(grade: Grade) -> str:
    r"""``results.json``.

    Examples
    --------
    >>> half = Part("gradient", "wrong", 1.0, 2.0, hint="Look at the bias.")
    >>> result = json.loads(export(Grade("s.py", "hw", (half,))))
    >>> result["score"], result["tests"][0]["status"], result["tests"][0]["output"]
    (1.0, 'failed', 'wrong\nhint: Look at the bias.')
    """
    shown = grade.shown()
    tests = [_test(number, part) for number, part in enumerate(shown.parts, 1)]
    result = {
        "score": shown.score,
        "execution_time": shown.seconds,
        "output": shown.note,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"schema": SCHEMA, "isolation": list(shown.isolation), "seed": shown.seed},
    }
    return json.dumps(result, ensure_ascii=False, allow_nan=False, indent=2)


def _test(number: int, part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "number": str(number),
        "score": part.points,
        "max_score": part.max_points,
        "status": "passed" if part.right else "failed",
        "output": "\n".join([part.verdict.replace("_", " "), *part.lines()]),
        "output_format": "text",
    }
