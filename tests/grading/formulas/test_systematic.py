"""Every derived equation as the package prints it is right; what one fault makes of it is not."""

from collections import Counter

import pytest

from lagrangenet.errors import DerivationError
from lagrangenet.grading.faults import Place, mutants
from lagrangenet.grading.formulas.conventions import Convention, conditions
from lagrangenet.grading.formulas.conversion import Unreadable, indexed
from lagrangenet.grading.formulas.judge import judge
from lagrangenet.grading.formulas.normal import normal
from lagrangenet.grading.formulas.parts import Answer
from lagrangenet.symbolic.derivation import derive
from lagrangenet.symbolic.notation import Notation, names
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import LaTeX, Text
from tests.grading.formulas.right import TASKS

TASK = TASKS["open penalty"]
PARTS = {
    "S0": "forward",
    "S1": "forward",
    "S2": "output",
    "S2, S4": "output",
    "S3": "recursion",
    "S4": "recursion",
    "S3, S4": "recursion",
    "S5": "weights",
    "S6": "biases",
}


def printed(name, variable):
    """Part, equation and options of everything that a notation prints."""
    notation = Notation.named(name).with_variable(variable)
    for style in (Text(notation=notation), LaTeX(notation=notation)):
        for splitting in ("activation", "preactivation"):
            if notation.variable == "delta" and splitting == "activation":
                continue  # δ is the derivative by z, which is no variable there
            derivation = derive(splitting=splitting)
            for form in ("index", "matrix", "batch"):
                options = {"notation": name} | ({"samples": "rows"} if form == "batch" else {})
                for label, _, equation in derivation.equations(form, style):
                    yield PARTS[label], equation, options
                if form != "batch":
                    equation = derivation.lagrangian.equation(form, style)
                    yield "lagrangian", equation, {"notation": name}


def refused(name, variable):
    found = []
    for part, equation, options in printed(name, variable):
        verdict = judge(TASK, Answer.of({part: equation}, options))[part]
        alone = bool(verdict.mistakes) and verdict.mistakes[0].kind == "incomplete"
        if verdict.verdict != "right" and not alone:
            found.append((part, equation, str(verdict)))
    return found


@pytest.mark.parametrize("name", names())
def test_what_a_notation_prints_is_right(name):
    assert refused(name, None) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("variable", ["lambda", "Delta", "delta"])
def test_what_a_notation_prints_in_another_variable_is_right(name, variable):
    assert refused(name, variable) == []


VARIABLES = (
    ("lambda", "activation"),
    ("mu", "preactivation"),
    ("Delta", "activation"),
    ("delta", "preactivation"),
)


def faults(variable, splitting):
    """Label, rule and text of every wrong line that one rule makes of a derived one."""
    style = Text()
    found = conditions(variable, splitting, TASK.functions.kinds, False, Convention())
    for condition in found:
        if condition.label in {"S0", "S1", "S4"}:
            continue
        expr = condition.residual if condition.unknown is None else condition.solution
        node = condition.tree(expr)
        axes = tuple(str(i) for i in condition.wrt.indices[1:] if str(i) != "i")
        right = normal(indexed(node, axes), TASK.rules)
        left = condition.equation("matrix", style).split(" = ")[0]
        for mutant in mutants(node, Place(condition.label)):
            try:
                if normal(indexed(mutant.node, axes), TASK.rules) == right:
                    continue  # the same mathematics
            except (Unreadable, DerivationError, ValueError):
                pass
            yield PARTS[condition.label], mutant.rule, f"{left} = {text(mutant.node, style, 'i')}"


def counted(variable, splitting):
    count = Counter()
    for part, rule, line in faults(variable, splitting):
        verdict = judge(TASK, Answer.of({part: line}))[part]
        count["all"] += 1
        count[verdict.verdict] += 1
        if verdict.verdict == "wrong":
            kind = verdict.mistakes[0].kind
            count["same"] += kind == rule
            count["vague"] += kind == "not recognized"
    return count


@pytest.mark.slow
@pytest.mark.parametrize(("variable", "splitting"), VARIABLES)
def test_no_fault_of_a_derived_equation_is_accepted_and_nearly_all_are_named(variable, splitting):
    count = counted(variable, splitting)
    assert count["all"] > 100
    assert count["right"] == 0
    assert count["vague"] <= 0.05 * count["wrong"]
    assert count["same"] >= 0.85 * count["wrong"]
