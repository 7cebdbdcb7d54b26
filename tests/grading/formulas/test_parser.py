"""What a text is read as, and how it is refused: places, remedies, limits."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangenet.grading.formulas import check_formula
from lagrangenet.grading.formulas.parser import parse
from lagrangenet.grading.formulas.tree import FormulaError
from tests.grading.formulas.attacks import ATTACKS

ALPHABET = "λWxzσδ∂ℓΣΛ⊙ᵀᵏ⁺¹kipq_^{}()[]+-=·/,'1M\\ \n"


@pytest.mark.parametrize(
    "spellings",
    [
        ("λ^k", "lambda^k", r"\lambda^k", r"\lambda^{k}", "λᵏ", "𝜆^k"),
        (
            "W^{k+1}^T x^k",
            "Wᵏ⁺¹ᵀ xᵏ",
            r"{W^{k+1}}^\top x^k",
            r"W^{k+1}^{\top} x^k",
            "(W^{k+1})^T x^k",
        ),
        ("x_i^{k-1}", "xᵢᵏ⁻¹", r"x_{i}^{k-1}", "x_i^{k−1}"),
        ("a ⊙ b", "a .* b", r"a \odot b", r"a \circ b"),
        ("∂ℓ/∂x^N", r"\frac{\partial \ell}{\partial x^N}", "∇_{x^N} ℓ", r"\nabla_{x^N} \ell"),
        ("Σ_{i=1}^M z_i", r"\sum_{i=1}^{M} z_i", "sum(i=1..M, z_i)", "sum_{i=1}^M z_i"),
        ("W <- x", "W ← x", r"W \leftarrow x", r"W \gets x"),
        ("σ'(z)", "sigma'(z)", r"\sigma'(z)", r"\sigma^{\prime}(z)", "sigma_prime(z)", "σ′(z)"),
        ("ŷ", r"\hat{y}", "yhat"),
    ],
)
def test_spellings_of_one_formula_are_one_tree(spellings):
    def plain(text):
        (line,) = parse(text)
        return line.signs, [_without_places(member) for member in line.members]

    assert len({repr(plain(text)) for text in spellings}) == 1


def _without_places(mark):
    fields = {key: value for key, value in vars(mark).items() if key != "at"}
    for key, value in fields.items():
        if hasattr(value, "at"):
            fields[key] = _without_places(value)
        elif isinstance(value, tuple):
            fields[key] = tuple(
                _without_places(v)
                if hasattr(v, "at")
                else (v[0], _without_places(v[1]))
                if isinstance(v, tuple) and hasattr(v[1], "at")
                else v
                for v in value
            )
    inner = fields.get("terms")
    if inner and len(inner) == 1 and inner[0][0] == 1:  # a bracket around a product
        return inner[0][1]
    return type(mark).__name__, sorted(fields.items())


@pytest.mark.parametrize(
    ("text", "column", "says", "remedy"),
    [
        ("lambda^k = W^k+1 x", 15, "I read `W^k+1` as (W^k)+1", "write W^{k+1}"),
        ("x_i-1", 4, "I read `x_i-1` as (x_i)-1", "write x_{i-1}"),
        ("λ^k = W^{k+1", 13, "not closed", "close it"),
        ("λ^k = (W^k", 11, "expected ')'", "close the bracket"),
        ("λ^k = ", 7, "the end where a number", "complete it"),
        ("λ^k = W ? x", 9, "QUESTION MARK", "page on the syntax"),
        (r"\lambda^k = \foo x", 13, r"the command \foo", "page on the syntax"),
        ("λ^k = (W^k)^j x", 12, "a bracket to the power of j", "whole power"),
        ("λ^k = (W^k)' x", 12, "a prime at a bracket", "write ^T"),
        ("Σ x", 3, "a sum without an index", "write Σ_i"),
        ("λ^k = x^k, for all W(k)", 22, "", "close"),
        ("λ^k = 12345678901 x", 7, "a number of 11 characters", "at most 9"),
    ],
)
def test_refusals_show_the_place_and_say_what_to_write(text, column, says, remedy):
    if text.endswith("W(k)"):
        parse(text)  # a condition, which is not judged
        return
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert caught.value.position == column - 1
    assert says in caught.value.cause
    assert remedy in caught.value.remedy
    *_, shown, caret = str(caught.value).splitlines()
    assert caret.index("^") - 4 == column - 1
    assert text.strip() in shown


def test_conditions_are_set_aside_and_equations_after_a_comma_are_not():
    assert len(parse("λ^k = x^k, k = N−1, ..., 1")) == 1
    assert len(parse(r"\lambda^k = x^k \quad \text{for } k = 1, \dots, N-1")) == 1
    assert len(parse("λ^k = x^k, λ^k = z^k")) == 2
    assert len(parse("λ^k = D^k x^k, where D^k = diag(z^k)")) == 2


def test_lines_go_on_after_an_operator():
    assert len(parse("L = x\n  + z\n  + b")) == 1
    assert len(parse("L =\n x +\n z")) == 1
    assert len(parse("z^k = W^k\nx^k = σ(z^k)")) == 2
    assert len(parse(r"a &= b \\ &= c")) == 1


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_or_wrong_in_no_time(name):
    text = ATTACKS[name]
    spent = []
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(FormulaError):
            parse(text)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05
    verdict = check_formula(text, "recursion")
    assert verdict.verdict != "right"
    assert len(verdict.diagnosis) < 600


@given(st.text(alphabet=ALPHABET, max_size=60))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_random_text_is_refused_or_judged_and_never_right(text):
    assert check_formula("λ^k = " + text, "recursion").verdict in {"wrong", "not_gradable"}


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(FormulaError):
        parse(text)
