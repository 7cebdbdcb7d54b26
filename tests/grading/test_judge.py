"""Verdicts: nothing passes that is not a right number in the right shape, from a clean call."""

from dataclasses import replace

import numpy as np
import pytest

from lagrangenet.grading import Answers, Assignment
from lagrangenet.grading.answers import Failure
from lagrangenet.grading.blocks import Key
from lagrangenet.grading.comparison import SPECIAL, truth
from lagrangenet.grading.judge import judge_code
from lagrangenet.grading.probes import COST, KINK, probes

ASSIGNMENT = Assignment.from_toml("""
[network]
depth = 2
activation = "relu"
loss = "cross_entropy"
[submission]
calls = "loss, grads = f(theta, X, Y)"
""")
PROBES = probes(ASSIGNMENT, 1)


def right(probe, share=None):
    numbers = truth(probe, share)
    blocks = [tuple(numbers[Key("gradient", k, of)].copy() for of in "Wb") for k in (1, 2)]
    return Answers(probe.name, numbers[Key("loss")], tuple(blocks))


def judged(change=lambda probe, answer: answer):
    answers = [change(probe, right(probe)) for probe in PROBES]
    return {part.name: part for part in judge_code(ASSIGNMENT, PROBES, answers)}


def with_block(answer, value, k=1, j=0):
    layers = [list(pair) for pair in answer.gradient]
    layers[k][j] = value
    return replace(answer, gradient=tuple(map(tuple, layers)))


def test_the_right_numbers_are_right():
    parts = judged()
    assert [part.verdict for part in parts.values()] == ["right", "right"]
    assert all(part.points == part.max_points for part in parts.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(bad):
    parts = judged(lambda probe, answer: replace(answer, loss=bad))
    assert parts["loss"].verdict == "wrong"
    assert parts["gradient"].right, parts["gradient"].diagnosis

    def one_entry(probe, answer):
        block = answer.gradient[0][0].copy()
        block[0, 0] = bad
        return with_block(answer, block, 0)

    assert judged(one_entry)["gradient"].verdict == "wrong"


def test_one_wrong_entry_at_one_probe_is_wrong():
    for chosen in [probe for probe in PROBES if probe.name in SPECIAL or probe.samples == 1]:

        def change(probe, answer, chosen=chosen):
            if probe is not chosen:
                return answer
            block = answer.gradient[1][1].copy()
            block[-1] *= 1 + 1e-3
            block[-1] += 1e-4
            return with_block(answer, block, 1, 1)

        assert judged(change)["gradient"].verdict == "wrong", chosen.name


@pytest.mark.parametrize(
    "reshaped",
    [
        lambda block: block[None],
        lambda block: block.T,
        lambda block: block[:1],
        lambda block: np.float64(block.flat[0]),
        lambda block: block.ravel(),
    ],
)
def test_a_shape_that_would_broadcast_does_not_pass(reshaped):
    part = judged(lambda _, answer: with_block(answer, reshaped(answer.gradient[1][0])))["gradient"]
    assert part.verdict == "wrong"
    assert "shape" in part.diagnosis or "transposed" in part.diagnosis


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_every_subgradient_at_a_kink_is_right(share):
    parts = judged(lambda probe, answer: right(probe, share) if probe.name == KINK else answer)
    assert parts["gradient"].right
    assert ("at a kink is accepted" in parts["gradient"].note) == (share > 0)


@pytest.mark.parametrize("share", [-0.2, 1.3])
def test_a_number_that_is_no_subgradient_is_wrong(share):
    parts = judged(lambda probe, answer: right(probe, share) if probe.name == KINK else answer)
    assert parts["gradient"].verdict == "wrong"
    assert "subgradient" in parts["gradient"].diagnosis


def test_single_precision_is_compared_as_such():
    def single(probe, answer):
        blocks = tuple(tuple(np.float64(np.float32(v)) for v in pair) for pair in answer.gradient)
        return replace(answer, gradient=blocks, dtype="float32")

    part = judged(single)["gradient"]
    assert part.right
    assert "single precision" in part.note
    rough = judged(lambda p, a: replace(a, loss=a.loss * 1.01, dtype="float32"))
    assert rough["loss"].verdict == "wrong"


@pytest.mark.parametrize("epsilon", [1e-8, 1e-10, 1e-12])
def test_an_epsilon_in_the_logarithm_is_accepted_and_said(epsilon):
    def moved(probe, answer):
        x = truth(probe)[Key("states", 2)]
        return replace(answer, loss=-float(np.sum(probe.Y * np.log(x + epsilon))) / probe.samples)

    part = judged(moved)["loss"]
    assert part.right
    assert "inside the logarithm" in part.note
    assert judged(lambda p, a: replace(a, loss=a.loss + 1e-4))["loss"].verdict == "wrong"


@pytest.mark.parametrize("kind", ["missing", "timeout", "died", "limit", "protocol"])
def test_without_an_answer_nothing_is_graded(kind):
    failure = Failure(kind, "the reason")
    answers = [
        Answers(probe.name, failures={"loss": failure, "gradient": failure}) for probe in PROBES
    ]
    parts = judge_code(ASSIGNMENT, PROBES, answers)
    assert [part.verdict for part in parts] == ["not_gradable", "not_gradable"]
    assert all(part.note == "the reason" and part.points == 0 for part in parts)


def test_a_crash_everywhere_is_not_gradable_and_one_somewhere_is_wrong():
    failure = Failure("crash", "ValueError: shapes")

    def crashed(probe, answer):
        return replace(answer, gradient=None, failures={"gradient": failure})

    parts = judged(crashed)
    assert parts["gradient"].verdict == "not_gradable"
    assert parts["loss"].right
    part = judged(lambda p, a: crashed(p, a) if p.samples == 1 else a)["gradient"]
    assert part.verdict == "wrong"
    assert "ValueError: shapes" in part.diagnosis


def test_a_layout_that_was_not_declared_is_wrong_and_said():
    failure = Failure("layout", "grads has no key 'dW1'")
    part = judged(lambda p, a: replace(a, gradient=None, failures={"gradient": failure}))[
        "gradient"
    ]
    assert part.verdict == "wrong"
    assert "no key 'dW1'" in part.diagnosis


def test_inputs_have_to_be_left_alone():
    part = judged(lambda p, a: replace(a, changed=("X",)))["gradient"]
    assert part.verdict == "wrong"
    assert "X in place" in part.diagnosis


def test_equal_questions_have_equal_answers():
    count = iter(range(100))
    part = judged(lambda p, a: replace(a, loss=a.loss + 0.1 * next(count)))["gradient"]
    assert part.verdict == "wrong"
    assert "equal calls" in part.diagnosis


@pytest.mark.parametrize(("error", "verdict"), [(1e-9, "wrong"), (0.0, "right")])
def test_many_calls_are_differences_if_the_result_is_not_exact(error, verdict):
    def counted(probe, answer):
        calls = {"loss": 2 * probe.problem.size} if probe.name == COST else {}
        moved = with_block(answer, answer.gradient[1][0] * (1 + error))
        return replace(moved, calls=calls)

    part = judged(counted)["gradient"]
    assert part.verdict == verdict
    assert (
        f"{2 * next(p for p in PROBES if p.name == COST).problem.size}"
        in part.diagnosis + part.note
    )
