"""Exports, read by the software that they are for; and points that no export can turn into more."""

import json
import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangenet.errors import DataError
from lagrangenet.grading import Grade, Part
from lagrangenet.grading.formats import FORMATS

#: The three need a hundred packages, so they may live in an environment of their own.
PYTHON = os.environ.get("GRADERS_PYTHON", sys.executable)
PACKAGES = {"gradescope": "gradescope_utils", "otter": "otter", "nbgrader": "nbgrader"}
HELPER = Path(__file__).with_name("graders.py")
PARTS = (
    Part("loss", "right", 1, 1, note="up to the declared sign"),
    Part("gradient", "wrong", 0.3, 2.0, "1/M is missing", 2, "(S2)", "0.25", "1.0", hint="Count."),
    Part("states", "wrong", 0, 1, 'a "quoted" <b>tag</b> \\ λ'),
    Part("λ/x.y", "not_gradable", 0, 1.5, note="no such function"),
    Part("tiny", "wrong", 1e-17, 1e-3),
    Part("almost", "wrong", math.nextafter(3.0, 0), 3.0),
)
GRADE = Grade("s.py", "Homework 1", PARTS, ("seccomp",), 7, 0.2, "a note")


@cache
def there(package):
    command = [
        PYTHON,
        "-c",
        f"import importlib.util as u; raise SystemExit(u.find_spec({package!r}) is None)",
    ]
    return subprocess.run(command, check=False).returncode == 0


def tool(name, text):
    """What the real software makes of an export."""
    package = PACKAGES[name]
    if not there(package):
        pytest.skip(f"{package} is not installed (pip install .[grading-test], or GRADERS_PYTHON)")
    path = os.pathsep.join([str(Path(PYTHON).parent), os.environ["PATH"]])  # nbgrader calls alembic
    ran = subprocess.run(
        [PYTHON, "-W", "ignore", str(HELPER), name],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path, "PYTHONIOENCODING": "utf-8"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


def test_gradescope_utils_makes_the_same_results():
    said = tool("gradescope", FORMATS["gradescope"].export(GRADE))
    assert said["same"]
    assert said["scores"] == [pytest.approx(GRADE.score)] * 2


def test_otter_reads_the_same_points():
    said = tool("otter", FORMATS["otter"].export(GRADE))
    assert said["total"] == pytest.approx(GRADE.score)
    assert said["possible"] == pytest.approx(GRADE.max_score)
    for part, (score, most, passed), words in zip(
        PARTS, said["scores"], said["summaries"], strict=True
    ):
        assert score == part.points
        assert most == pytest.approx(part.max_points, rel=1e-15)
        assert passed == part.right
        assert ("All test cases passed" in words) == part.right
    assert len(said["kept"]) == len(PARTS)
    assert [score for score, _ in said["gradescope"]] == [round(part.points, 5) for part in PARTS]


def test_nbgrader_reads_and_saves_the_same_points():
    said = tool("nbgrader", FORMATS["nbgrader"].export(GRADE))
    assert said["grades"] == [[part.points, part.max_points] for part in PARTS]
    assert all(said["checksums"])
    assert said["score"] == pytest.approx(GRADE.score)
    assert said["max_score"] == pytest.approx(GRADE.max_score)
    assert not said["review"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_hidden_assignment_keeps_its_answers(form):
    hidden = Grade("s.py", "hw", PARTS, hidden=True)
    text = FORMATS[form].export(hidden)
    assert "Count." in text
    assert "1/M is missing" not in text
    assert "0.25" not in text
    assert "(S2)" not in text
    assert "no such function" in text
    assert "1/M is missing" in FORMATS[form].export(GRADE)


@pytest.mark.parametrize(
    ("verdict", "points", "most"),
    [
        ("right", 0.5, 1),
        ("right", 0, 1),
        ("wrong", 1, 1),
        ("not_gradable", 0.5, 1),
        ("wrong", -0.5, 1),
        ("wrong", math.nan, 1),
        ("right", math.nan, math.nan),
        ("right", math.inf, math.inf),
        ("wrong", 2, 1),
        ("wrong", True, 2),
        ("wrong", "0.5", 1),
        ("wrong", None, 1),
        ("good", 1, 1),
        ("RIGHT", 1, 1),
    ],
)
def test_points_that_mean_nothing_are_refused(verdict, points, most):
    with pytest.raises(DataError, match="part 'p'"):
        Part("p", verdict, points, most)


@given(st.floats(0, 1, exclude_max=True), st.floats(1e-3, 100), st.text(max_size=20))
def test_a_partial_score_stays_partial_in_every_format(share, most, words):
    points = share * most
    if points >= most:
        return
    grade = Grade("s", "hw", (Part("p", "wrong", points, most, words),))
    (test,) = json.loads(FORMATS["gradescope"].export(grade))["tests"]
    assert (test["score"], test["max_score"], test["status"]) == (points, most, "failed")
    (file,) = json.loads(FORMATS["otter"].export(grade))["test_file_results"]
    passed = [case["test_case"]["points"] for case in file["test_case_results"] if case["passed"]]
    assert sum(passed) == points < most
    assert not all(case["passed"] for case in file["test_case_results"])
    cell = json.loads(FORMATS["nbgrader"].export(grade))["cells"][1]
    if points:
        assert float(cell["outputs"][-1]["data"]["text/plain"]) == points
    else:
        assert cell["outputs"][0]["output_type"] == "error"


def test_grades_come_back_from_json():
    assert Grade.from_json(GRADE.to_json()) == GRADE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "other"}',
        GRADE.to_json().replace("0.3", "NaN"),
        GRADE.to_json().replace('"wrong"', '"right"'),
    ],
)
def test_what_is_no_grade_is_refused(text):
    with pytest.raises(DataError):
        Grade.from_json(text)


def test_no_text_in_a_grade_controls_a_terminal_or_grows():
    part = Part("p\x1b[2J", "wrong", 0, 1, "a\x00b", found="\x9b31m" + "x" * 10_000, note="\u202e")
    grade = Grade("s\x07", "hw\r", (part,), note="\x1b]0;title\x07")
    texts = [*grade.to_dict().values(), *part.lines(), part.name]
    assert all(text.isprintable() for text in texts if isinstance(text, str))
    assert len(grade.to_json()) < 3000


def test_the_status_is_the_worst():
    right, wrong, none = PARTS[0], PARTS[1], PARTS[3]
    for parts, status in [((right,), 0), ((right, wrong), 1), ((wrong, none), 2), ((), 2)]:
        assert Grade("s", "hw", parts).status == status
