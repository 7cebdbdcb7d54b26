"""All conditions as text and LaTeX, against golden files (``--update-golden`` rewrites them)."""

import subprocess
import sys

import pytest
import sympy as sp

from lagrangenet import L2, Dense, DerivationError, Problem, chain, derive
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.printing import FORMS, text
from lagrangenet.symbolic.styles import STYLES

MIXED = Problem(3, [Dense(4, "softmax"), Dense(3, "tanh"), Dense(2, "softmax")], "cross_entropy",
                L2(0.1))  # fmt: skip
PROBLEMS = {"generic": None, "mixed": MIXED}
SPLITTINGS = ["activation", "preactivation"]


def listing(derivation, format):
    lines = ["L = " + text(derivation.lagrangian.expr, STYLES[format])]
    for form in FORMS:
        lines += ["", f"-- {form} form"]
        lines += [f"({a})  {meaning}: {e}" for a, meaning, e in derivation.equations(form, format)]
    if derivation.problem is not None:
        lines += ["", f"-- {derivation.problem}"]
        rows = derivation.equations("matrix", format, depth=derivation.problem.depth)
        lines += [f"({a})  {equation}" for a, _, equation in rows]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("format", ["latex", "text"])
@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_all_conditions(name, splitting, format, golden):
    derivation = derive(PROBLEMS[name], splitting)
    golden(f"conditions-{name}-{splitting}-{format}.txt", listing(derivation, format))


def test_a_derivation_prints_its_lagrangian_and_conditions():
    lines = str(derive()).splitlines()
    assert lines[0].startswith("L = (1/M) Σ_{i=1}^{M} ℓ(y_i, x_i^N) + ")
    assert lines[2] == "(S1)  x_ip^k = σ^k(z_ip^k)"
    assert len(lines) == 2 + len(derive().stationarity)


def test_the_latex_of_a_notebook_is_one_display():
    shown = derive()._repr_latex_()
    assert shown.startswith("$$\\begin{gathered}")
    assert shown.endswith("\\end{gathered}$$")
    assert shown.count(r"\\ ") == len(derive().stationarity)


@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_latex_has_balanced_braces_and_delimiters_and_no_unicode(problem, splitting):
    derivation = derive(problem, splitting)
    for form in FORMS:
        for _, _, equation in derivation.equations(form, "latex"):
            assert equation.isascii()
            assert equation.count("{") == equation.count("}")
            assert equation.count(r"\left(") == equation.count(r"\right)")


def test_equations_written_out_for_a_depth_name_every_layer():
    rows = derive(chain([2, 3, 4, 1])).equations("matrix", depth=3)
    assert [label for label, _, _ in rows] == ["S1"] * 3 + ["S2"] + ["S3"] * 2 + ["S5"] * 3 + [
        "S6"
    ] * 3
    assert [e for label, _, e in rows if label == "S3"] == [
        "λ_i¹ = W²ᵀ (σ′²(z_i²) ⊙ λ_i²)",
        "λ_i² = W³ᵀ (σ′³(z_i³) ⊙ λ_i³)",
    ]


def test_equations_of_mixed_layers_are_written_out_in_the_order_of_layers():
    rows = derive(MIXED).equations("matrix", depth=3)
    heads = [equation.split(" = ")[0] for label, _, equation in rows if label in {"S1", "S6"}]
    assert heads == ["x_i¹", "x_i²", "x_i³", "∂L/∂b¹", "∂L/∂b²", "∂L/∂b³"]


def test_the_title_names_the_layer_as_the_formula_does():
    titles = {title for label, title, _ in derive(MIXED).equations() if label == "S3"}
    assert titles == {
        "backward pass, layer k+1 componentwise",
        "backward pass, layer k+1 coupled",
    }


def test_an_unknown_form_is_refused():
    with pytest.raises(DerivationError, match="unknown form 'rows'; known: index, matrix, batch"):
        derive().equations("rows")


def test_an_unknown_format_is_refused_by_name():
    with pytest.raises(DerivationError, match="html"):
        derive().equations("index", "html")


@pytest.mark.parametrize(
    ("expr", "written"),
    [
        (l.X[l.k, l.i, l.p] - l.b[l.k, l.p], "x_ip^k − b_p^k"),
        (-l.X[l.k, l.i, l.p] / l.M, "−x_ip^k/M"),
        (l.X[l.k, l.i, l.p] ** 2 / 2, "(x_ip^k)²/2"),
        ((l.X[l.k, l.i, l.p] - l.Y[l.i, l.p]) ** 2, "(x_ip^k − y_ip)²"),
        (sp.Sum(l.b[l.k, l.p], (l.p, 1, l.n(l.k))), "Σ_{p=1}^{n_k} b_p^k"),
        (l.sigma(l.k + 1, l.Z[l.k + 1, l.i, l.p]), "σ^{k+1}(z_ip^{k+1})"),
        (sp.KroneckerDelta(l.p, l.q), "δ_pq"),
    ],
)
def test_small_formulas(expr, written):
    assert text(expr) == written


def test_printing_does_not_depend_on_the_hash_seed():
    """Sets and dictionaries of symbols have another order in every process."""
    program = (
        "from lagrangenet import derive, chain\n"
        "d = derive(chain([2, 3, 2], loss='cross_entropy'))\n"
        "print(d, d.equations('batch'), d._repr_latex_())"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(shown) == 1
