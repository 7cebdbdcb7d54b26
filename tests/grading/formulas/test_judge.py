"""Conventions, what is said beside a verdict, and the parts of a grade."""

import dataclasses

import pytest

from lagrangenet.errors import ProblemError
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.formulas import check_formula, judge_formulas
from lagrangenet.grading.formulas.judge import judge
from lagrangenet.grading.formulas.parts import Answer
from lagrangenet.grading.formulas.task import PARTS, Task
from tests.grading.formulas.right import RIGHT, TASKS

PLUS = "L = (1/M) Σ_i ℓ(y_i, x_i^N) + Σ_k Σ_i ⟨λ_i^k, x_i^k − σ^k(W^k x_i^{k−1} + b^k)⟩"
MINUS = PLUS.replace("+ Σ_k", "− Σ_k")
POSITIVE = "λ^N = (1/M) ∂ℓ/∂x^N"


def verdicts(parts, task="open", **options):
    found = judge(TASKS[task], Answer.of(parts, options))
    return {part: verdict.verdict for part, verdict in found.items()}


def test_the_lagrangian_decides_the_sign_of_all_other_parts():
    assert verdicts({"lagrangian": MINUS, "output": POSITIVE}) == {
        "lagrangian": "right",
        "output": "right",
    }
    assert verdicts({"lagrangian": PLUS, "output": POSITIVE})["output"] == "wrong"
    assert verdicts({"output": POSITIVE})["output"] == "wrong"


def test_parts_that_fit_each_other_show_a_convention_and_others_do_not():
    fitting = "∂L/∂W^k = Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ"
    assert set(verdicts({"output": POSITIVE, "weights": fitting}).values()) == {"right"}
    other = "∂L/∂W^k = −Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ"
    assert verdicts({"output": POSITIVE, "weights": other})["output"] == "wrong"


def test_a_declared_sign_is_binding():
    task = dataclasses.replace(TASKS["open"], declared=True)
    found = judge(task, Answer.of({"lagrangian": MINUS, "output": POSITIVE}))
    assert {v.verdict for v in found.values()} == {"wrong"}


def test_what_a_derivative_is_cannot_be_chosen():
    """δ may have another sign, ∂ℓ/∂z may not."""
    chosen = {
        "output": "δ^N = −ℓ'(x^N) ⊙ σ'(z^N)",
        "weights": "∂L/∂W^k = −(1/M) Σ_i δ_i^k x_i^{k−1}ᵀ",
    }
    assert set(verdicts(chosen).values()) == {"right"}
    fixed = {
        "output": "∂ℓ/∂z^N = −ℓ'(x^N) ⊙ σ'(z^N)",
        "weights": "∂L/∂W^k = −(1/M) Σ_i ∂ℓ/∂z_i^k x_i^{k−1}ᵀ",
    }
    assert set(verdicts(fixed).values()) == {"wrong"}


def test_a_mistake_in_the_lagrangian_is_counted_once():
    parts = {
        "lagrangian": PLUS.replace("(1/M) Σ_i ℓ", "Σ_i ℓ"),
        "output": "λ^N = −∂ℓ/∂x^N",
        "weights": "∂L/∂W^k = −Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
    }
    assert verdicts(parts) == {"lagrangian": "wrong", "output": "right", "weights": "right"}


def test_the_objective_may_be_declared_a_sum():
    parts = {"output": "λ^N = −∂ℓ/∂x^N"}
    assert verdicts(parts)["output"] == "wrong"
    assert verdicts(parts, objective="sum")["output"] == "right"


def test_one_sample_has_no_sum():
    parts = {
        "output": "λ^N = −∂ℓ/∂x^N",
        "weights": "∂L/∂W^k = −(σ'(z^k) ⊙ λ^k) x^{k−1}ᵀ",
    }
    assert set(verdicts(parts, objective="sample").values()) == {"right"}


def test_transposed_weights_are_a_convention_only_if_more_than_one_part_has_them():
    forward = "x^k = σ((W^k)ᵀ x^{k−1} + b^k)"
    backward = "λ^k = W^{k+1} (σ'(z^{k+1}) ⊙ λ^{k+1})"
    assert verdicts({"forward": forward})["forward"] == "wrong"
    assert set(verdicts({"forward": forward, "recursion": backward}).values()) == {"right"}


def test_L_is_a_loss_only_where_there_is_no_lagrangian():
    one = "λ^N = −(1/M) ∂L/∂x^N"
    assert verdicts({"output": one})["output"] == "right"
    assert verdicts({"lagrangian": PLUS, "output": one})["output"] == "wrong"
    assert verdicts({"output": "λ^N = −(1/M) ∂J/∂x^N"})["output"] == "wrong"


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("forward", "x^k = x^k"),
        ("forward", "x^k = σ(z^k)\nz^k = z^k"),
        ("output", "λ^N = λ^N"),
        ("output", "δ^N = δ^N"),
        ("recursion", "λ^k = λ^k"),
        ("recursion", "μ^k = μ^k\nλ^k = W^{k+1}ᵀ μ^{k+1}"),
        ("recursion", "μ^k = −(1/M) δ^k\nλ^k = W^{k+1}ᵀ μ^{k+1}"),
        ("weights", "∂L/∂W^k = ∂L/∂W^k"),
        ("weights", "∂L/∂W^k = (1/M) Σ_i ∂ℓ_i/∂W^k"),
        ("biases", "∂L/∂b^k = ∂J/∂b^k"),
    ],
)
def test_what_is_asked_is_no_answer(part, line):
    assert verdicts({part: line})[part] == "wrong"


def test_two_letters_of_samples_are_two_samples():
    line = "λ_i^k = W^{k+1}ᵀ (σ'(z_i^{k+1}) ⊙ λ_n^{k+1})"
    assert verdicts({"recursion": line})["recursion"] == "wrong"


@pytest.mark.parametrize(
    "line",
    [
        "∂L/∂b^k = −Σ_{i=2}^{M} σ'(z_i^k) ⊙ λ_i^k",
        "∂L/∂b^k = −Σ_{i=1}^{M−1} σ'(z_i^k) ⊙ λ_i^k",
        "∂L/∂b_p^k = −Σ_{i=1}^{n_k} σ'(z_ip^k) λ_ip^k",
    ],
)
def test_limits_of_sums_count(line):
    assert verdicts({"biases": line})["biases"] == "wrong"


def test_a_regularizer_that_is_not_there_is_zero():
    line = "∂L/∂W^k = ρ ω'(W^k) − Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ"
    verdict = check_formula(line, "weights")
    assert verdict.verdict == "right"
    assert "ρ = 0" in "; ".join(verdict.notes)


def test_where_a_line_holds_is_said():
    verdict = check_formula(
        "λ^k = W^{k+1}ᵀ ((1 − x^{k+1} ⊙ x^{k+1}) ⊙ λ^{k+1})", "recursion", task=TASKS["squares"]
    )
    assert verdict.verdict == "right"
    assert "k < N − 1" in "; ".join(verdict.notes)


def test_what_is_true_of_a_line_that_no_mistake_explains():
    line = "∂L/∂b^k = −(1/M^3) Σ_i σ'(z_i^k) ⊙ λ_i^k"
    assert check_formula(line, "biases").diagnosis == "this is right for M = 1 only"
    line = "∂L/∂b^k = −5 Σ_i σ'(z_i^k) ⊙ λ_i^k"
    assert check_formula(line, "biases").diagnosis == "this is 5 times what the derivation gives"


def test_the_expected_line_is_in_the_students_notation_and_convention():
    found = judge(TASKS["open"], Answer.of({"lagrangian": MINUS, "output": "λ_i^N = ∂ℓ/∂x_i^N"}))
    assert found["output"].line == "(S2) λ_i^N = (1/M) ∂ℓ(y_i, x_i^N)/∂x_i^N"
    slides = check_formula("a^(k) = W^(k) h^(k) + b^(k)", "forward", "goodfellow")
    assert slides.line == "(S0) a_i^(k) = W^(k) h_i^(k−1) + b^(k)".replace("_i", "")


# -- parts of a grade ------------------------------------------------------------------------------

HOMEWORK = """
name = "Derive back-propagation"
[network]
depth = [2, 4]
activation = "tanh"
loss = "squared_error"
[formulas]
notation = "kkt"
"""


def homework(*formulas, extra=""):
    parts = "".join(
        f'\n[[parts]]\nname = "{name}"\nasks = "formula"\nformula = "{name}"\npoints = 2\n'
        for name in formulas
    )
    return Assignment.from_toml(HOMEWORK + extra + parts)


def test_parts_of_an_assignment():
    assignment = homework("output", "recursion", "weights")
    output, recursion, weights = judge_formulas(
        assignment,
        {"output": "λ^N = (y − x^N)/M", "backward pass": "λ^k = W^{k+1}ᵀ λ^{k+1}"},
    )
    assert (output.verdict, output.points) == ("right", 2.0)
    assert (recursion.verdict, recursion.points) == ("wrong", 0.0)
    assert recursion.diagnosis == "the factor σ′^{k+1}(z^{k+1}) is missing"
    assert recursion.equation.startswith("(S3) λ_i^k = ")
    assert recursion.hint
    assert "σ" not in recursion.hint
    assert recursion.layer is not None
    assert recursion.expected != recursion.found
    assert (weights.verdict, weights.points) == ("not_gradable", 0.0)


def test_unreadable_formulas_are_not_gradable_with_place_and_remedy():
    (part,) = judge_formulas(homework("recursion"), {"recursion": "λ^k = W^k+1 λ^{k+1}"})
    assert part.verdict == "not_gradable"
    assert "I read `W^k+1` as (W^k)+1" in part.diagnosis
    assert "write W^{k+1}" in part.diagnosis


def test_conventions_of_a_submission():
    line = {"output": "λ^N = y − x^N"}
    assert judge_formulas(homework("output"), line)[0].verdict == "wrong"
    told = {**line, "conventions": "objective = sum"}
    assert judge_formulas(homework("output"), told)[0].verdict == "right"
    (part,) = judge_formulas(homework("output"), {**line, "conventions": "objective = none"})
    assert part.verdict == "not_gradable"
    assert "objective = mean or sum or sample" in part.diagnosis


def test_sums_and_scales_of_an_assignment():
    assignment = Assignment.from_toml(
        HOMEWORK.replace("[formulas]", 'reduction = "sum"\nscale = 2.0\n[formulas]')
        + '\n[[parts]]\nname = "output"\nasks = "formula"\nformula = "output"\n'
    )
    assert judge_formulas(assignment, {"output": "λ^N = 2 (y − x^N)"})[0].verdict == "right"
    assert judge_formulas(assignment, {"output": "λ^N = (y − x^N)/M"})[0].verdict == "wrong"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('colour = "red"\n', "unknown key 'colour'"),
        ('splitting = "both"\n', "formulas.splitting is 'both'"),
    ],
)
def test_unknown_keys_of_an_assignment_are_named(extra, says):
    with pytest.raises(ProblemError, match=says):
        judge_formulas(homework("output", extra=extra), {"output": "λ^N = 0"})


def test_unknown_parts_are_named():
    with pytest.raises(ProblemError, match="known: lagrangian, forward"):
        check_formula("λ^N = 0", "conclusion")
    with pytest.raises(ProblemError, match="asks for the formula 'conclusion'"):
        judge_formulas(homework("conclusion"), {})


def test_every_part_has_a_right_answer_in_the_test_set():
    assert {part for case in RIGHT for part in case.parts} == set(PARTS)
    assert Task().notation == "kkt"
