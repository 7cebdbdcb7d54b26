"""The HTML page and the tables of a notebook: well formed, self-contained, escaped."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from lagrangenet import L2, Constraint, Dense, DerivationError, Problem, derive
from lagrangenet.report import html
from lagrangenet.report.document import document
from lagrangenet.report.terminal import derivation_text
from lagrangenet.symbolic.notation import Notation, names
from lagrangenet.symbolic.printing import FORMS
from lagrangenet.symbolic.styles import MathML, named_style

MIXED = Problem(3, [Dense(4, "softmax"), Dense(3, "tanh"), Dense(2, "softmax")], "cross_entropy",
                L2(0.1))  # fmt: skip
SPLITTINGS = ["activation", "preactivation"]
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
#: How many children an element of MathML takes.
ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "msubsup": 3, "munderover": 3, "mover": 2}
TOKENS = {"mi", "mn", "mo", "mtext", "mspace"}
KNOWN = {*ARITY, *TOKENS, "math", "mrow", "mtable", "mtr", "mtd"}


def formulas(markup):
    root = ET.fromstring(markup)
    return list(root.iter(f"{NAMESPACE}math"))


def check_mathml(formula):
    for element in formula.iter():
        name = element.tag.removeprefix(NAMESPACE)
        assert name in KNOWN
        assert len(element) == ARITY.get(name, len(element)), ET.tostring(element)
        if name in TOKENS:
            assert len(element) == 0
            assert name == "mspace" or element.text
        else:
            assert not (element.text or "").strip(), "text outside a token"
        assert not (element.tail or "").strip() or element is formula, "text outside a token"


@pytest.mark.parametrize("problem", [None, MIXED], ids=["generic", "mixed"])
@pytest.mark.parametrize("splitting", SPLITTINGS)
@pytest.mark.parametrize("name", names())
def test_every_formula_is_well_formed_mathml(name, splitting, problem):
    notation = Notation.named(name)
    if splitting == "activation" and notation.variable == "delta":
        notation = notation.with_variable("Delta")
    page = derivation_text(derive(problem, splitting, order=2), "index", "html", None, notation)
    found = formulas(page)
    assert len(found) > 40
    for formula in found:
        check_mathml(formula)


def test_the_page_needs_no_network_and_no_script():
    page = derivation_text(derive(MIXED), "matrix", "html")
    assert not re.search(r"<script|\bsrc=|\bhref=|@import|url\(|\bon[a-z]+=", page)
    addresses = set(re.findall(r'https?://[^"<> ]+', page))
    assert addresses == {"http://www.w3.org/1998/Math/MathML"}


def test_the_page_shows_problem_lagrangian_every_form_and_the_symbols():
    page = derivation_text(derive(MIXED), "batch", "html")
    root = ET.fromstring(page)
    heads = [head.text for level in ("h2", "h3") for head in root.iter(level)]
    assert heads[:4] == ["Problem", "Lagrangian", "Conditions", "The same in other forms"]
    assert [head.split()[0] for head in heads[5:]] == ["Batch", "Index", "Matrix", "Vectorized"]
    labels = [th.text for th in root.iter("th") if th.text]
    assert labels.count("(S2)") == len(FORMS)
    assert list(root.iter("li"))[-1].find(f"{NAMESPACE}math") is not None
    assert "strength of the regularizer" in page


def test_a_graph_has_a_page_and_a_notebook_table():
    graph = Problem.graph(
        inputs={"x0": 4},
        constraints=[
            Constraint("x1", "dense", "x0", m=3, activation="tanh"),
            Constraint("x2", "dense", "x1", m=3, activation="softmax"),
            Constraint("x3", "add", ["x1", "x2"]),
        ],
        output="x3",
        loss="squared_error",
        regularizer=L2(0.1),
    )
    derivation = derive(graph, order=2)
    for markup in (derivation_text(derivation, "index", "html"), derivation._repr_html_()):
        found = formulas(markup)
        assert len(found) > len(derivation.stationarity)
        for formula in found:
            check_mathml(formula)
    assert "softmax for x2" in derivation_text(derivation, "index", "html")
    with pytest.raises(DerivationError, match="index form, not in 'vec' form"):
        derivation_text(derivation, "vec", "html")


def test_words_are_escaped():
    shown = document(derive(), ["matrix"], MathML())
    hostile = replace(
        shown,
        title="<script>alert(1)</script>",
        subtitle="a & b <i>",
        functions=(("", '"><img src=x onerror=alert(1)>'),),
    )
    page = html.page(hostile)
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "A &amp; b &lt;i&gt;." in page
    ET.fromstring(page)


def test_symbols_are_escaped_even_if_the_allow_list_were_not_there():
    kkt = Notation.named("kkt")
    broken = replace(kkt, symbols={**kkt.symbols, "X": ("<b>", "x")})
    page = derivation_text(derive(), "matrix", "html", None, broken)
    assert "<b>" not in page
    assert "<mi>&lt;b&gt;</mi>" in page


@pytest.mark.parametrize("form", ["index", "matrix", "vec"])
def test_long_equations_are_broken_between_summands(form):
    shown = document(derive(MIXED, order=2), [form], MathML())
    long = [row for row in shown.parts[0].conditions if row.label == "T5"]
    broken = ET.fromstring(html.table(long))
    rows = list(broken.iter(f"{NAMESPACE}mtr"))
    assert len(rows) > 1
    text = "".join(broken.itertext())
    assert all(text.count(letter) for letter in ("ρ", "λ", "M"))


def test_a_hat_and_a_dot_stand_above_their_letter():
    style = MathML(notation=Notation.named("goodfellow"))
    assert style.name("output") == '<mover accent="true"><mi>y</mi><mo>^</mo></mover>'
    assert style.name("X_dot") == "<mover><mrow><mi>h</mi></mrow><mo>˙</mo></mover>"


@pytest.mark.parametrize(("splitting", "order"), list(itertools.product(SPLITTINGS, (1, 2))))
def test_a_notebook_shows_tables_of_mathml(splitting, order):
    derivation = derive(MIXED, splitting, order)
    shown = formulas(derivation._repr_html_())
    assert len(shown) >= len(derivation.conditions) + 1
    for formula in shown:
        check_mathml(formula)
    for condition in derivation.conditions:
        (formula,) = formulas(condition._repr_html_())
        check_mathml(formula)
    check_mathml(ET.fromstring(derivation.lagrangian._repr_html_()))


def test_mathml_writes_the_same_symbols_as_text():
    """The letters of both, in the same order, for an equation without fractions and powers."""
    equations = derive(splitting="preactivation").equations
    for label, _, plain in equations("index", "text"):
        if label in {"S0", "S1", "S4"}:
            row = next(e for a, _, e in equations("index", named_style("mathml")) if a == label)
            letters = re.findall(r"[A-Za-zα-ω]", re.sub(r"<[^>]*>", "", row))
            assert sorted(letters) == sorted(re.findall(r"[A-Za-zα-ω]", plain))
