"""Public-style layouts from end to end: at most ten keys beside a title, a right answer, the child."""

import tomllib
from pathlib import Path

import pytest

from lagrangenet.grading import Assignment
from lagrangenet.grading.driver import grade
from lagrangenet.grading.submission import Submission

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("answers/*.toml"), *HERE.glob("layouts/*.toml")])


def code_of(assignment):
    (found,) = (
        assignment.with_suffix(s) for s in (".py", ".ipynb") if assignment.with_suffix(s).exists()
    )
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_right_answer_in_a_declared_layout_is_right(file):
    assignment = Assignment.load(file)
    found = grade(assignment, Submission.load(code_of(file)), seed=11)
    assert {part.name: part.verdict for part in found.parts} == {
        part.name: "right" for part in assignment.parts
    }
    assert found.score == found.max_score == len(assignment.parts)


def test_the_files_are_short_and_cover_the_contract():
    tables = [tomllib.loads(file.read_text(encoding="utf-8")) for file in FILES]
    layouts = [Assignment.load(file).contract.layout for file in FILES]
    assert max(len(t["network"]) + len(t["submission"]) for t in tables) <= 10
    assert {layout.samples for layout in layouts} >= {"rows", "columns", "one column"}
    assert {layout.weights for layout in layouts} == {"out,in", "in,out"}
    assert {layout.bias for layout in layouts} == {"vector", "row", "column", "first", "last"}
    assert {layout.container for layout in layouts} >= {"pairs", "lists", "dict", "flat", "flat F"}
    assert {layout.labels for layout in layouts} >= {
        "matrix",
        "integers",
        "integers from 1",
        "column",
    }
    assert {layout.arrays for layout in layouts} == {"numpy", "lists"}
    assert {layout.multiplier_sign for layout in layouts} == {1, -1}
    answers = {name for file in FILES for name in Assignment.load(file).contract.answers}
    assert answers == {"loss", "gradient", "multipliers", "states"}


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [
        ("pairs", 'labels = "integers from 1"', 'labels = "integers"'),
        ("pairs", 'container = "flat"', 'container = "flat F"'),
        ("pairs", "scale = 2.0", "scale = 1.0"),
        ("sums", 'bias = "last"', 'bias = "first"'),
        ("sums", "multiplier_sign = -1", "multiplier_sign = 1"),
        ("sums", 'reduction = "sum"', 'reduction = "mean"'),
        ("notebook", 'weights = "in,out"', 'weights = "out,in"'),
    ],
)
def test_another_layout_than_the_declared_one_is_not_right(name, key, wrong):
    file = HERE / "layouts" / f"{name}.toml"
    text = file.read_text()
    assert key in text
    assignment = Assignment.from_toml(text.replace(key, wrong))
    assert grade(assignment, Submission.load(code_of(file)), seed=11).status != 0
