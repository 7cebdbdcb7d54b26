"""LaTeX: a document that compiles with stock packages, and a fragment."""

import re
import shutil
import subprocess

import pytest

from lagrangenet import L2, Constraint, Dense, Problem, derive
from lagrangenet.report.latex import escaped
from lagrangenet.report.terminal import derivation_text
from lagrangenet.symbolic.notation import Notation, names
from lagrangenet.symbolic.printing import FORMS

MIXED = Problem(3, [Dense(4, "softmax"), Dense(3, "tanh"), Dense(2, "softmax")], "cross_entropy",
                L2(0.1))  # fmt: skip
needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX installation")


def compiled(folder, source):
    """The log of pdflatex, which must not fail; no box may leave the page."""
    (folder / "a.tex").write_text(source, encoding="utf-8")
    command = [
        "pdflatex",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-no-shell-escape",
        "a.tex",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=60)
    log = (folder / "a.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (folder / "a.pdf").stat().st_size > 10_000
    return log


@needs_tex
@pytest.mark.parametrize("name", names())
def test_the_document_compiles_in_every_notation(name, tmp_path):
    notation = Notation.named(name)
    derivation = derive(MIXED, notation.splitting, order=2)
    source = derivation_text(derivation, notation.form, "latex", None, notation)
    log = compiled(tmp_path, source)
    assert "Overfull" not in log
    assert "undefined" not in log


@needs_tex
@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", names())
def test_the_document_compiles_in_every_form(name, form, order, tmp_path):
    notation = Notation.named(name)
    derivation = derive(MIXED, notation.splitting, order=order)
    for depth in (None, 3):
        log = compiled(tmp_path, derivation_text(derivation, form, "latex", depth, notation))
        assert "Overfull" not in log


@needs_tex
def test_the_document_of_a_graph_compiles(tmp_path):
    graph = Problem.graph(
        inputs={"x0": 4},
        constraints=[
            Constraint("x1", "dense", "x0", m=3, activation="tanh", W="w"),
            Constraint("x2", "dense", "x1", m=3, activation="softmax"),
        ],
        output="x2",
        loss="squared_error",
    )
    log = compiled(tmp_path, derivation_text(derive(graph, order=2), "index", "latex"))
    assert "Overfull" not in log


@needs_tex
def test_a_fragment_compiles_inside_a_document_with_amsmath(tmp_path):
    fragment = derivation_text(derive(MIXED), "vec", "latex", fragment=True)
    compiled(
        tmp_path,
        "\\documentclass{article}\\usepackage{amsmath}\\begin{document}\n"
        f"{fragment}\n\\end{{document}}\n",
    )


def test_the_document_uses_stock_packages_only():
    source = derivation_text(derive(), "index", "latex")
    packages = re.findall(r"\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", source)
    assert packages == ["fontenc", "amsmath,amssymb", "geometry"]
    assert source.startswith("\\documentclass")
    assert source.isascii()


@pytest.mark.parametrize("name", names())
def test_every_condition_is_tagged_once_per_kind(name):
    notation = Notation.named(name)
    derivation = derive(MIXED, notation.splitting)
    source = derivation_text(derivation, "matrix", "latex", None, notation)
    tags = re.findall(r"\\tag\{([^}]*)\}", source)
    style_rows = derivation_text(derivation, "matrix", "text", None, notation)
    assert tags == re.findall(r"^\(([^)]*)\)", style_rows, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("binary_cross_entropy", r"binary\_cross\_entropy"),
        ("50% & #1 {a} $b$", r"50\% \& \#1 \{a\} \$b\$"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a^b ~ c", r"a\textasciicircum{}b \textasciitilde{} c"),
        ("4 → 3", r"4 $\to$ 3"),
        ("naïve", "naïve"),
        ("層", "?"),
    ],
)
def test_words_are_escaped(words, written):
    assert escaped(words) == written
