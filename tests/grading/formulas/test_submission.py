"""Formulas from files: TOML, Markdown, LaTeX and text."""

import pytest

from lagrangenet.errors import DataError
from lagrangenet.grading.formulas.submission import SIZE, load, loads

OUTPUT, BACK = r"\lambda^N = -\frac{1}{M} \ell'(x^N)", r"\lambda^k = {W^{k+1}}^\top v"
TOML = f"""
notation = "kkt"
output = '''{OUTPUT}'''
"backward pass" = ['{BACK}']
[conventions]
samples = "rows"
"""
MARKDOWN = f"""
# My homework

## 1. Output multiplier
By the chain rule,
$$
{OUTPUT}
$$
as stated.

## 2. Backward pass

The step is ${BACK}$.

## Remarks
It was fun: $1 + 1$.
"""
LATEX = rf"""
\documentclass{{article}}
\begin{{document}}
\section{{Output multiplier}}
{OUTPUT} % by the chain rule
\subsection*{{Backward pass}}
\begin{{align*}}
{BACK}
\end{{align*}}
\end{{document}}
"""
TEXT = f"""
Output multiplier: {OUTPUT}
2) Backward pass:
  {BACK}
"""


@pytest.mark.parametrize(
    ("text", "suffix"), [(TOML, ".toml"), (MARKDOWN, ".md"), (LATEX, ".tex"), (TEXT, ".txt")]
)
def test_parts_are_found_in_every_kind_of_file(text, suffix, tmp_path):
    path = tmp_path / f"answer{suffix}"
    path.write_text(text, encoding="utf-8")
    found = load(path)
    assert found["output"].strip().startswith(OUTPUT)
    assert BACK in found["recursion"]
    assert set(found) - {"notation", "conventions"} == {"output", "recursion"}


def test_options_of_a_toml_file():
    found = loads(TOML, ".toml")
    assert found["notation"] == "kkt"
    assert found["conventions"] == "samples = rows"


@pytest.mark.parametrize(
    ("text", "suffix", "says"),
    [
        ('output = "\\lambda"', ".toml", "write formulas between"),
        ("essay = 'x'", ".toml", "key 'essay' is not one of"),
        ("output = 1", ".toml", "with a text"),
        ("nothing here", ".md", "none of the parts"),
        ("## Output\n$a$\n## Output\n$b$\n", ".md", "the part 'output' twice"),
        ("x = " + "[" * 5000, ".toml", "is no TOML"),
    ],
)
def test_files_that_are_no_answer_are_refused(text, suffix, says):
    with pytest.raises(DataError, match=says):
        loads(text, suffix)


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"read from \.toml, \.md, \.tex, \.txt"):
        load(tmp_path / "answer.pkl")
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "answer.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="no UTF-8"):
        load(tmp_path / "a.toml")
    (tmp_path / "b.txt").write_bytes(b" " * (SIZE + 1))
    with pytest.raises(DataError, match="larger than"):
        load(tmp_path / "b.txt")
