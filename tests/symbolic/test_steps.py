"""Steps of the derivation: they lead to the conditions, and a wrong one is refused by its name."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import sympy as sp
from typer.testing import CliRunner

import lagrangenet as ln
from lagrangenet.cli import app
from lagrangenet.errors import DerivationError
from lagrangenet.report.steps import steps_text
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import stationarity as engine
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.notation import Notation, names
from lagrangenet.symbolic.stationarity import stationarity
from lagrangenet.symbolic.steps import StepError, checked, steps
from lagrangenet.symbolic.tangent import TangentLagrangian

SPLITTINGS = ("activation", "preactivation")
PLAIN, MIXED = (l.COMPONENTWISE,), (l.COMPONENTWISE, l.COUPLED)
CASES = [
    *((Lagrangian, splitting, kinds) for splitting in SPLITTINGS for kinds in (PLAIN, MIXED)),
    (TangentLagrangian, "activation", PLAIN),
    (TangentLagrangian, "preactivation", (l.COUPLED,)),
    pytest.param((TangentLagrangian, "activation", MIXED), marks=pytest.mark.slow),
    pytest.param((TangentLagrangian, "preactivation", MIXED), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def lagrangian(request):
    kind, splitting, kinds = request.param
    return kind(splitting, kinds)


def test_every_condition_is_reached_by_steps_that_hold(lagrangian):
    found = steps(lagrangian)
    for condition in stationarity(lagrangian):
        own = [step for step in found if step.condition == condition]
        assert own[0].name == "linearity"
        assert own[0].before.has(l.Pending)
        solved = condition.solution is not None
        assert own[-1].solved == solved
        assert own[-1].after == (condition.solution if solved else condition.residual)


def test_each_step_begins_where_the_one_before_it_ended(lagrangian):
    found = steps(lagrangian)
    for before, step in itertools.pairwise(found):
        if step.condition == before.condition and not step.solved:
            assert step.before == before.after


def test_no_derivative_is_left_at_the_end(lagrangian):
    for step in steps(lagrangian):
        if step.name in {"collapse", "layer index", "kind of layer", "solving"}:
            assert not step.after.has(l.Pending)


WRONG = {
    "linearity": lambda e: e.xreplace({l.M: 2 * l.M}),
    "vanishing summands": lambda e: sp.Add(*e.args[1:]),
    "chain rule": lambda e: e.replace(
        lambda f: isinstance(f, l.Opaque) and f.order == 1, lambda f: l.opaque(f.name, 2)(*f.args)
    ),
    "abbreviation": lambda e: e.replace(
        lambda f: isinstance(f, sp.Indexed) and f.base == l.Z, lambda f: f + 1
    ),
    "Kronecker deltas": lambda e: e.replace(
        lambda f: f == sp.KroneckerDelta(l.i, sp.Symbol("j", integer=True, positive=True)),
        lambda _: sp.S.One,
    ),
    "collapse": lambda e: e.replace(
        lambda f: isinstance(f, sp.Indexed) and f.base == l.W,
        lambda f: l.W[f.indices[0], f.indices[2], f.indices[1]],
    ),
    "layer index": lambda e: e + l.lam[l.k, l.i, l.p],
    "solving": lambda e: -e,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_step_is_refused_by_its_name(name):
    right = next(step for step in steps(Lagrangian(), "S3") if step.name == name)
    wrong = replace(right, after=WRONG[name](right.after))
    assert wrong.after != right.after
    with pytest.raises(StepError, match=re.escape(f"(S3) step {name!r}")):
        checked(wrong)


def test_a_wrong_kind_of_layer_is_refused():
    found = steps(Lagrangian("preactivation", MIXED), "S4")
    one, other = (step for step in found if step.name == "kind of layer")
    with pytest.raises(StepError, match="kind of layer"):
        checked(replace(one, after=other.after))


def test_a_wrong_rule_of_the_engine_is_refused(monkeypatch):
    """Not the step is tampered with, but what the derivation computes: a sign is lost."""

    def wrong(lagrangian, row):
        right = engine.stages(lagrangian, row)
        return replace(right, collapsed=-right.collapsed)

    fresh = Lagrangian("activation", (l.COUPLED, l.COMPONENTWISE))  # not derived by other tests
    monkeypatch.setattr("lagrangenet.symbolic.steps.stages", wrong)
    with pytest.raises(StepError, match=r"\(S3\) step 'collapse'"):
        steps(fresh, "S3")


def test_a_step_with_a_tiny_error_is_refused():
    right = next(step for step in steps(Lagrangian(), "S5") if step.name == "collapse")
    wrong = replace(right, after=right.after * (1 + sp.Float(1e-10)))
    with pytest.raises(StepError, match="does not hold"):
        checked(wrong)


def test_an_unknown_condition_is_refused_with_those_there_are():
    with pytest.raises(DerivationError, match=r"no condition \(S4\); there are S1, S2, S3, S5, S6"):
        ln.derive().steps("S4")


def test_steps_of_both_orders():
    derivation = ln.derive(splitting="preactivation", order=2)
    labels = {step.condition.label for step in derivation.steps()}
    assert labels == {f"{order}{j}" for order in "ST" for j in range(7)}


def test_steps_of_a_problem_with_softmax():
    derivation = ln.derive(ln.chain([3, 2, 4], loss="cross_entropy"), "preactivation")
    kinds = {step.condition.kind for step in derivation.steps("S4")}
    assert kinds == set(MIXED)


def test_the_text_is_the_golden_one(golden):
    golden("steps_S3.txt", steps_text(ln.derive(), "S3") + "\n")


def test_formats():
    latex = steps_text(ln.derive(), "S3", "latex")
    assert latex.startswith(r"\documentclass")
    assert latex.count(r"\begin{align*}") == latex.count(r"\medskip") == 8
    assert latex.isascii()
    assert steps_text(ln.derive(), "S3", "latex", fragment=True) in latex
    markdown = steps_text(ln.derive(), "S3", "markdown")
    assert markdown.count("$$") == 16
    with pytest.raises(DerivationError, match="unknown format 'pdf'"):
        steps_text(ln.derive(), "S3", "pdf")


def test_the_page_is_well_formed():
    page = steps_text(ln.derive(splitting="preactivation"), "S3", "html")
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert len(list(root.iter("li"))) == 7


@pytest.mark.parametrize("name", names())
def test_a_second_index_has_a_letter_that_the_notation_does_not_use(name):
    notation = Notation.named(name)
    used = {symbol for symbol, _ in notation.symbols.values()}
    shown = steps_text(ln.derive(), "S3", notation=notation)
    bound = re.findall(r"Σ_\{(\w+)=[01]\}\^", shown)
    free = {notation.symbols[role][0] for role in "kip"}
    assert free.isdisjoint(bound)
    assert len(set(bound) - used) == 2


def test_the_command_prints_steps():
    result = CliRunner().invoke(app, ["derive", "--steps", "--condition", "S6"])
    assert result.exit_code == 0
    assert result.output == steps_text(ln.derive(), "S6") + "\n"
    assert "1. Linearity." in result.output
