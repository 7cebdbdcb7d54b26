"""The executed documents: their generated text is current, and they open as notebooks."""

import re

import pytest
import sympy as sp

from derivations.__main__ import documents, main, stale
from derivations.cells import execute, read
from derivations.document import Formula, Printed, equation, recording, show
from derivations.latex import UnknownCharacter, inline, latex
from lagrangenet import derive

DOCUMENTS = documents()


@pytest.fixture(scope="module", params=DOCUMENTS)
def document(request):
    return execute(DOCUMENTS[request.param])


@pytest.fixture(scope="module")
def homework():
    return execute(DOCUMENTS["01_homework"])


def test_the_documents_are_there():
    assert list(DOCUMENTS) == [
        "01_homework",
        "02_chain_rule",
        "03_computational_graph",
        "04_delta_rule",
        "05_vectorized",
        "06_algorithms",
        "07_softmax",
        "08_shared_weights",
        "09_second_order",
        "10_relu_projection",
        "11_training_as_kkt",
        "12_relu_complementarity",
        "13_what_multipliers_mean",
        "14_formula_answers",
        "15_teachers_guide",
        "16_students_guide",
    ]


def test_generated_text_is_current(document):
    assert stale(document) == []


def test_a_changed_output_is_stale(document, monkeypatch, tmp_path):
    monkeypatch.setattr("derivations.__main__.outputs", lambda _: iter([(tmp_path / "x.md", "a")]))
    assert stale(document) == [tmp_path / "x.md"]
    (tmp_path / "x.md").write_text("b")
    assert stale(document) == [tmp_path / "x.md"]
    (tmp_path / "x.md").write_text("a")
    assert stale(document) == []


def test_every_document_opens_as_a_notebook(document):
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(document.path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == [cell.kind for cell in read(document.path)]


def test_no_formula_is_typed(document):
    """Display formulas come from code; prose has none, and code spells out no sum."""
    for cell in document.cells:
        if cell.kind == "markdown":
            assert "$$" not in cell.text
        else:
            assert r"\sum" not in cell.text


def test_the_conditions_are_those_of_the_package(homework):
    for condition in derive().stationarity:
        shown = homework.formulas[condition.label].body
        assert condition.equation("index", "latex").split(" = ", 1)[1] in shown
        assert condition.equation("matrix", "latex").split(" = ", 1)[1] in shown


def printed(document):
    shown = (one for cell in document.cells for one in cell.shown)
    return "".join(one.text for one in shown if isinstance(one, Printed))


def test_every_difference_that_is_shown_is_zero_and_every_claim_true(document):
    differences = re.findall(r"difference: (.*)", printed(document))
    assert all(re.fullmatch(r"0|\[0(, 0)*\]", value) for value in differences), differences
    claims = re.findall(r": (True|False)$", printed(document), re.MULTILINE)
    assert differences or claims
    assert "False" not in claims


def test_the_homework_shows_its_differences(homework):
    assert printed(homework).count("difference: 0") >= 8


def test_the_induction_has_base_and_step():
    text = printed(execute(DOCUMENTS["04_delta_rule"]))
    assert "base, difference: 0" in text
    assert "step, difference: 0" in text


def test_a_name_may_be_given_once():
    with recording():
        show("x", name="a")
        with pytest.raises(ValueError, match="two formulas are named 'a'"):
            show("y", name="a")


def test_lines_are_aligned_at_the_equals_sign():
    assert Formula(("x = 1", "+ 2")).body.splitlines()[1:3] == [
        r"  x &= 1 \\",
        r"  &\phantom{=}\;\, + 2",
    ]


def test_an_equation_leaves_out_a_side_that_is_repeated():
    with recording() as record:
        equation("a", sp.Integer(1), "1", sp.Symbol("x"))
    (shown,) = record.shown
    assert shown.lines == ("a = 1 = x",)


def test_bold_prose_may_run_over_a_line_break():
    assert inline("a **b\nc** d") == "a \\textbf{b\nc} d"


def test_quotation_marks_open_and_close():
    assert inline('a "b c" `"d"`') == """a ``b c'' \\texttt{"d"}"""


def test_an_unknown_character_is_named(tmp_path):
    path = tmp_path / "99_sign.py"
    path.write_text("# %% [markdown]\n# A sign: \N{SNOWMAN}\n", encoding="utf-8")
    with pytest.raises(UnknownCharacter, match=r"U\+2603"):
        latex(execute(path))


def test_the_command_checks_and_names_what_is_stale(capsys, monkeypatch):
    assert main(["--check", "01_homework"]) == 0
    monkeypatch.setattr("derivations.__main__.markdown", lambda _: "changed")
    assert main(["--check", "01_homework"]) == 1
    assert "stale: derivations/01_homework.md" in capsys.readouterr().out


def test_an_unknown_document_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["02_missing"])
    assert stop.value.code == 2
    assert "no document '02_missing'" in capsys.readouterr().err
