"""The article quotes derived equations and measured figures, and nothing else that is numeric."""

import re

import pytest

from lagrangenet.verify import Certificate, CheckResult
from paper.__main__ import FOLDER, GENERATED, equations, figures, stale

MAIN = (FOLDER / "main.tex").read_text(encoding="utf-8")
MADE = (GENERATED / "figures.tex").read_text(encoding="utf-8")


def test_equations_are_current():
    assert stale(equations()) == []


def test_every_equation_that_is_quoted_exists():
    quoted = set(re.findall(r"\\(?:derived|stated)\{([\w-]+)\}", MAIN))
    assert quoted
    assert quoted <= {name.removeprefix("eq-").removesuffix(".tex") for name in equations()}


def test_every_figure_that_is_quoted_is_defined():
    quoted = set(re.findall(r"\\(fig[A-Z]\w*)", MAIN))
    assert quoted
    assert quoted <= set(re.findall(r"\\newcommand\{\\(fig\w+)\}", MADE))


def test_the_figures_name_the_command_that_made_them():
    assert "`lagrangenet verify --json`" in MADE.splitlines()[0]
    assert "`python -m paper`" in MADE.splitlines()[0]


def test_no_measured_number_is_typed():
    """No floating number and no power of ten outside the generated files."""
    text = re.sub(r"(?m)^\\documentclass.*$|^\\usepackage.*$|%.*$", "", MAIN)
    assert re.findall(r"\d\.\d|10\^", text) == []


def test_figures_follow_the_certificate():
    checks = tuple(
        CheckResult(problem, "a_b ≤ λ", figure, 1e-12, verdict)
        for problem, figure, verdict in (("xor", 2e-16, "agree"), ("digits", None, "inapplicable"))
    )
    declared = {"xor": {}, "digits": {"samples": 7, "parameters": 9, "subproblem": "Cut to 3-3."}}
    versions = dict.fromkeys(("python", "numpy", "scipy", "sympy"), "1")
    text = figures(Certificate(declared, 0, versions, {}, checks))
    assert r"\newcommand{\figChecks}{1}" in text
    assert r"\newcommand{\figDigitsSamples}{7}" in text
    assert r"a\_b ≤ λ & $2 \cdot 10^{-16}$ & -- & $1 \cdot 10^{-12}$" in text


@pytest.mark.slow
def test_the_article_compiles(tmp_path):
    import shutil
    import subprocess

    if shutil.which("latexmk") is None:
        pytest.skip("latexmk is not installed")
    done = subprocess.run(
        ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error",
         f"-output-directory={tmp_path}", "main.tex"],
        cwd=FOLDER, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in (tmp_path / "main.log").read_text(errors="replace").lower()
