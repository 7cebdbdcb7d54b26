"""otter-grader: JSON that its ``GradingResults.from_ottr_json`` reads.

Otter stores results as pickles, which nobody should load from a stranger; the JSON of its R client
says the same. A test case of otter passes or does not, so a partial score is two of them: one that
passed with the points earned, one that failed with the rest.
"""

from __future__ import annotations

import json
from typing import Any

from lagrangenet.grading.result import Grade, Part

SUFFIX = ".json"


def export(grade: Grade) -> str:
    """The results of all parts.

    Examples
    --------
    >>> half = Part("gradient", "wrong", 0.5, 2.0)
    >>> file = json.loads(export(Grade("s.py", "hw", (half,))))["test_file_results"][0]
    >>> file["points"], [case["passed"] for case in file["test_case_results"]]
    ([0.5, 1.5], [True, False])
    """
    files = [_file(number, part) for number, part in enumerate(grade.shown().parts, 1)]
    return json.dumps({"test_file_results": files}, ensure_ascii=False, allow_nan=False, indent=2)


def _file(number: int, part: Part) -> dict[str, Any]:
    lost = part.max_points - part.points
    earned = [(part.points, True)] if part.points else []
    cases = [*earned, *([] if part.right else [(lost, False)])]
    return {
        "filename": f"{number:02d} {_plain(part.name)}.json",
        "points": [points for points, _ in cases],
        "test_case_results": [_case(part, points, passed) for points, passed in cases],
    }


def _case(part: Part, points: float, passed: bool) -> dict[str, Any]:
    message = "\n".join(part.lines())
    case = {
        "name": part.name if passed == part.right else f"{part.name}, partly",
        "code": "",
        "hidden": False,
        "points": points,
        "success_message": message if passed and part.right and message else None,
        "failure_message": None,
    }
    error = None if passed else "\n".join([part.verdict.replace("_", " "), message]).strip()
    return {"test_case": case, "passed": passed, "error": error}


def _plain(name: str) -> str:
    """The name without what a path would split at."""
    return "".join(" " if c in "/\\." or not c.isprintable() else c for c in name)
