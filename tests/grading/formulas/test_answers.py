"""The test set of formula answers: no right one rejected, no wrong one accepted, mistakes named."""

import time

import pytest

from lagrangenet.grading.formulas.judge import judge
from lagrangenet.grading.formulas.parts import Answer
from tests.grading.formulas.right import RIGHT, TASKS
from tests.grading.formulas.wrong import WRONG


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_right_answers_are_right_by_form_and_numbers_and_conventions_are_said(case):
    verdicts = judge(TASKS[case.task], Answer.of(case.parts, case.options))
    assert {part: str(v) for part, v in verdicts.items() if v.verdict != "right"} == {}
    assert set(verdicts) == set(case.parts)
    assert case.note in "; ".join(note for v in verdicts.values() for note in v.notes)
    assert all(line.confirmed for v in verdicts.values() for line in v.judged)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_wrong_answers_are_wrong_and_their_mistake_is_named(case):
    answer = Answer.of({**case.beside, case.part: case.text}, case.options)
    verdicts = judge(TASKS[case.task], answer)
    verdict = verdicts.pop(case.part)
    assert verdict.verdict == "wrong"
    assert verdict.mistakes[0].kind == case.kind
    assert case.says in verdict.diagnosis
    assert verdict.mistakes[0].hint
    assert all(other.verdict == "right" for other in verdicts.values())


def test_the_set_is_large_enough_and_diagnosed():
    assert sum(len(case.parts) for case in RIGHT) >= 20
    assert len(RIGHT) >= 20
    assert len(WRONG) >= 30
    vague = [case.name for case in WRONG if case.kind == "not recognized"]
    assert len(vague) <= 0.05 * len(WRONG)


def test_an_answer_is_judged_quickly():
    case = RIGHT[0]
    judge(TASKS[case.task], Answer.of(case.parts))  # what is derived once
    spent = []
    for _ in range(3):
        start = time.process_time()
        judge(TASKS[case.task], Answer.of(case.parts))
        spent.append(time.process_time() - start)
    assert min(spent) < 0.5
