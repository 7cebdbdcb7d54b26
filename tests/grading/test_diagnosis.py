"""The test set of code answers: no wrong one is accepted, no right one rejected, mistakes are named."""

from functools import cache

import pytest

from lagrangenet.grading import Assignment, grade
from lagrangenet.grading.judge import judge_code
from lagrangenet.grading.probes import probes
from lagrangenet.grading.submission import Submission
from tests.grading.in_process import answers_of
from tests.grading.right_answers import RIGHT
from tests.grading.wrong_answers import FOLDER, WRONG

#: What is said where no hypothesis explains the numbers; the mistake is described then, not named.
UNKNOWN = "the mistake is none that this grader knows"


@cache
def assignment(base):
    return Assignment.load(FOLDER / f"{base}.toml")


def judged(declared, source, seed):
    asked = probes(declared, seed)
    parts = judge_code(declared, asked, answers_of(source, declared, asked))
    return {part.name: part for part in parts}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.base}: {wrong.name}")
def test_a_wrong_answer_is_wrong_and_its_mistake_is_named(wrong):
    parts = judged(assignment(wrong.base), wrong.source, seed=3)
    part = parts[wrong.part]
    assert part.verdict == "wrong"
    assert part.points == 0
    for words in wrong.says:
        assert words in part.diagnosis
    assert wrong.label in part.equation.split(")")[0]
    if wrong.layer is not None:
        assert part.layer == wrong.layer
    assert part.hint
    for name in wrong.right:
        assert parts[name].right, parts[name].diagnosis
    if not wrong.says:
        assert part.diagnosis.startswith(UNKNOWN)
        assert "is the first that is wrong" in part.diagnosis


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: f"{right.base}: {right.name}")
def test_a_right_answer_is_right_however_it_looks(right):
    parts = judged(Assignment.from_toml(right.assignment), right.source, seed=3)
    for part in parts.values():
        assert part.right, part.diagnosis
        assert part.points == part.max_points
    assert right.note in "; ".join(part.note for part in parts.values())


def test_the_test_set_is_as_large_as_it_is_said_to_be():
    named = [wrong for wrong in WRONG if wrong.says]
    assert len(WRONG) >= 60
    assert len({(wrong.base, wrong.name) for wrong in WRONG}) == len(WRONG)
    assert len(named) / len(WRONG) >= 0.95
    assert len(RIGHT) >= 15


@pytest.mark.parametrize("base", sorted({wrong.base for wrong in WRONG}))
def test_the_programs_that_mistakes_are_put_into_are_right(base):
    source = (FOLDER / f"{base}.py").read_text(encoding="utf-8")
    assert all(part.right for part in judged(assignment(base), source, seed=3).values())


def test_a_diagnosis_reads_as_a_colleague_would_say_it():
    wrong = next(one for one in WRONG if one.name == "penalty missing in the first layer")
    part = judged(assignment(wrong.base), wrong.source, seed=3)["gradient"]
    said, numbers = part.diagnosis.split("; ", 1)
    assert said == "layer 1, (S5) ∂L/∂W¹: the term ρ ω′(W¹) is missing"
    assert numbers.startswith("your code gives ")
    assert part.equation == "(S5) ∂L/∂W¹ = ρ ω′(W¹) − Σ_i μ_i¹ x_i⁰ᵀ"
    assert part.expected.startswith("∂J/∂W¹ at [")
    assert part.found.startswith("∂J/∂W¹ at [")
    assert part.hint == "Look at the gradient of the weights. Count the terms of this sum."


def test_a_hint_does_not_hold_the_answer():
    for wrong in WRONG[:12]:
        part = judged(assignment(wrong.base), wrong.source, seed=3)[wrong.part]
        assert not set("⁰¹²³ωρμλΣ") & set(part.hint)
        assert "missing" not in part.hint
        assert "belongs" not in part.hint


def test_two_mistakes_are_both_named():
    wrong = next(one for one in WRONG if one.name == "penalty and derivative forgotten")
    part = judged(assignment(wrong.base), wrong.source, seed=4)["gradient"]
    assert "; and " in part.diagnosis


@pytest.mark.parametrize("wrong", WRONG[::14], ids=lambda wrong: wrong.name)
def test_through_the_child_process_it_is_the_same(wrong):
    here = judged(assignment(wrong.base), wrong.source, seed=3)
    graded = grade(assignment(wrong.base), Submission.of_source(wrong.source), seed=3)
    assert {part.name: part for part in graded.parts} == here
    assert graded.status == 1


@pytest.mark.parametrize("right", RIGHT[::9], ids=lambda right: right.name)
def test_through_the_child_process_right_is_right(right):
    declared = Assignment.from_toml(right.assignment)
    graded = grade(declared, Submission.of_source(right.source), seed=3)
    assert graded.score == graded.max_score
    assert graded.status == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_verdicts_do_not_depend_on_the_seed(seed):
    for wrong in WRONG:
        declared = assignment(wrong.base)
        parts = judged(declared, wrong.source, seed)
        assert parts[wrong.part].verdict == "wrong", wrong.name
        assert all(words in parts[wrong.part].diagnosis for words in wrong.says), wrong.name
        assert all(parts[name].right for name in wrong.right), wrong.name
    for right in RIGHT:
        parts = judged(Assignment.from_toml(right.assignment), right.source, seed)
        assert all(part.right for part in parts.values()), right.name
