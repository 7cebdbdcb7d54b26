"""Fault hypotheses: what they predict, that the oracle's numbers are theirs, that they are found."""

import numpy as np
import pytest

from lagrangenet.errors import DataError
from lagrangenet.grading import Assignment
from lagrangenet.grading.comparison import SPECIAL, truth
from lagrangenet.grading.faults import RULES, Change, Place, mutants, rule
from lagrangenet.grading.faults.equations import Equations
from lagrangenet.grading.faults.hypotheses import hypotheses
from lagrangenet.grading.faults.predictions import Predictions
from lagrangenet.grading.faults.search import Given, Search
from lagrangenet.grading.probes import probes
from lagrangenet.problem import chain
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.derivation import derive

FAMILIES = {
    "softmax": 'widths = ["any", "any", 3]\nactivation = "tanh"\nloss = "cross_entropy"\n'
    'regularizer = { name = "L2", strength = 0.1 }',
    "deep": 'depth = [1, 4]\nactivation = "relu"\nloss = "squared_error"',
    "logits": 'depth = 2\nactivation = "sigmoid"\nloss = "binary_cross_entropy"\n'
    'regularizer = { name = "L1", strength = 0.1, biases = true }',
    "coupled": 'depth = 2\nactivation = "softmax"\noutput = "softmax"\nloss = "squared_error"',
    "formula": 'depth = 2\nactivation = "gelu"\nloss = "hinge"',
}


def predictions(name, kinds=("loss", "gradient", "multipliers", "states"), **options):
    family = Assignment.from_toml(
        f'[network]\n{FAMILIES[name]}\n[submission]\ncalls = "grads = f(theta, X, Y)"'
    )
    ordinary = tuple(p for p in probes(family, 1) if p.name not in SPECIAL)
    return Predictions(ordinary, kinds, **options)


@pytest.fixture(scope="module", params=FAMILIES)
def predicted(request):
    return predictions(request.param)


def given(predicted, row):
    vector, states = row
    allowed = np.empty(predicted.sheet.size)
    for block in predicted.sheet.blocks:
        part = np.abs(vector[block.span])
        allowed[block.span] = 1e-8 * max(part.max() if np.isfinite(part).all() else 1.0, 1e-3)
    return Given(predicted.sheet, vector, states, allowed)


def test_without_a_fault_the_equations_give_the_oracle_s_numbers(predicted):
    vector, _ = predicted.right
    right, _ = predicted.sheet.filled([truth(probe) for probe in predicted.probes])
    np.testing.assert_allclose(vector, right, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("options", [{"updates": True}, {"single": True}])
def test_so_they_do_by_updates_and_by_single_samples(options):
    predicted = predictions("softmax", ("gradient",), **options)
    right, _ = predicted.sheet.filled([truth(probe) for probe in predicted.probes])
    np.testing.assert_allclose(predicted.right[0], right, rtol=1e-11, atol=1e-13)


def test_every_hypothesis_shows(predicted):
    vectors, states = predicted.numbers
    vector, right = predicted.right
    scale = np.maximum(np.abs(vector), 1e-3)
    with np.errstate(invalid="ignore", over="ignore"):
        moved = (np.abs(vectors - vector) / scale > 1e-10) | np.isnan(vectors)
    assert (moved.any(axis=1) | (states != right).any(axis=1)).all()


def test_what_a_hypothesis_predicts_is_explained_by_it_or_its_like(predicted):
    vectors, states = predicted.numbers
    for j in range(0, len(vectors), 17):
        answers = given(predicted, (vectors[j], states[j]))
        if (answers.states < 0).all():
            continue
        explanation = Search(predicted, answers, tries=0).explanation()
        if explanation is None:
            assert not np.isfinite(vectors[j]).any()
            continue
        (fault,) = explanation.faults
        assert answers.matches(*(row[None] for row in predicted.of(fault))).all()


def test_most_pairs_of_faults_are_found():
    predicted = predictions("softmax", ("loss", "gradient"))
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(20):
        one, two = rng.choice(len(predicted.hypotheses), 2, replace=False)
        faults = predicted.hypotheses[one], predicted.hypotheses[two]
        explanation = Search(predicted, given(predicted, predicted.of(*faults))).explanation()
        found += explanation is not None
    assert found >= 17


def test_numbers_without_a_fault_behind_them_are_not_explained():
    predicted = predictions("softmax", ("loss", "gradient"))
    vector, states = predicted.right
    noise = np.random.default_rng(0).normal(size=vector.shape)
    search = Search(predicted, given(predicted, (vector + 0.01 * noise, states)), tries=5000)
    assert search.explanation() is None


def test_a_rule_serves_every_equation_by_being_there():
    @rule("squared instead", "Is this squared?")
    def squared(node, place):
        if isinstance(node, t.Ref) and node.name == "X":
            power = t.Power(node.axes, node, t.scalar(2).value)
            yield Change(power, (node, " is squared"))

    try:
        with pytest.raises(DataError, match="squared instead"):
            rule("squared instead", "")(squared)
        found = hypotheses(Equations(chain([2, 3, 1])), [2])
        labels = {h.label for h in found if h.mutant.rule == "squared instead"}
        assert labels >= {"S0", "S2", "S5"}
    finally:
        RULES.remove("squared instead")


def test_every_rule_has_a_hint_and_makes_something():
    trees = []
    for loss in ("cross_entropy", "binary_cross_entropy"):
        problem = chain([3, 4, 2], loss=loss, regularizer="L2")
        equations = Equations(problem, updates=True)
        written = (*equations.general, *equations.written_out)
        trees += [(equation.node, equations.place(equation)) for equation in written]
        for label in ("S4", "S5", "S6"):  # as formulas of one sample
            condition = equations.derivation.condition(label, 2)
            expr = condition.solution or condition.residual
            trees.append((condition.tree(expr), Place(label)))
    trees.append((derive(splitting="preactivation").lagrangian.vector_form, Place("L")))
    used = {mutant.rule for node, place in trees for mutant in mutants(node, place)}
    assert used == set(RULES)
    assert all(entry.hint for entry in RULES.values())


def test_a_mutant_is_another_tree_and_says_so_for_a_layer():
    condition = derive(splitting="preactivation").condition("S3", 1)
    node = condition.tree(condition.solution, batch=True)
    for mutant in mutants(node, Place("S3")):
        assert mutant.node != node
        assert mutant.description
