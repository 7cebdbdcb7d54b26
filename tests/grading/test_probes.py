"""Probes leave no mistake a place to hide, and are points at which a right program is right."""

import itertools

import numpy as np
import pytest

from lagrangenet.functions import ACTIVATIONS
from lagrangenet.grading import Assignment
from lagrangenet.grading.comparison import SPECIAL, truth
from lagrangenet.grading.probes import KINK, LARGE, MARGIN, SATURATED, probes
from lagrangenet.verify.textbook import Textbook


def assignment(network, calls="loss, grads = f(theta, X, Y)", **submission):
    lines = [f"{key} = {value!r}" for key, value in submission.items()]
    text = "\n".join(["[network]", network, "[submission]", f'calls = "{calls}"', *lines])
    return Assignment.from_toml(text)


OPEN = assignment(
    'depth = [1, 4]\nactivation = "relu"\nloss = "cross_entropy"\n'
    'regularizer = { name = "L2", strength = 0.1 }',
    "loss, grads = f(theta, X, Y, rho)",
)


def named(asked, name):
    return next(probe for probe in asked if probe.name == name)


def test_sizes_are_all_different_and_all_equal():
    asked = probes(OPEN, 0)
    different = named(asked, "all sizes different").problem.widths
    assert len(set(different)) == len(different)
    equal = named(asked, "all sizes equal")
    assert set(equal.problem.widths) == {equal.samples}
    assert named(asked, "one sample").samples == 1
    assert max(probe.samples for probe in asked) >= 6
    assert {probe.problem.depth for probe in asked} >= {3, 4}


def test_biases_and_penalties_are_there_and_penalties_go():
    asked = probes(OPEN, 0)
    assert all(np.all(b != 0) for probe in asked for _, b in probe.theta if probe.name != KINK)
    assert named(asked, "no regularizer").problem.regularizer is None
    assert named(asked, "stronger regularizer").problem.strength > OPEN.network.strength
    fixed = assignment('depth = 2\nloss = "squared_error"\nregularizer = "L2"')
    assert {p.strength for p in probes(fixed, 0)} == {fixed.network.strength}


def test_a_seed_repeats_and_another_does_not():
    assert probes(OPEN, 1) is probes(OPEN, 1)
    assert not np.array_equal(probes(OPEN, 1)[0].X, probes(OPEN, 2)[0].X)


def test_a_question_is_asked_again_at_once_and_in_the_end():
    asked = probes(OPEN, 0)
    for again in (asked[1], asked[-1]):
        assert again.X is asked[0].X
        assert again.theta is asked[0].theta


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_kink_is_hit_in_any_order_of_summation(dtype):
    probe = named(probes(OPEN, 5), KINK)
    W, b = (v.astype(dtype) for v in probe.theta[0])
    x = probe.X.astype(dtype)[0]
    for order in itertools.islice(itertools.permutations(range(len(x))), 24):
        total = dtype(0)
        for j in order:
            total += W[0, j] * x[j]
        assert total + b[0] == 0
        assert b[0] + total == 0


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "hard_tanh"])
@pytest.mark.parametrize("seed", range(5))
def test_ordinary_points_are_away_from_kinks(name, seed):
    family = assignment(f'depth = 3\nactivation = "{name}"\nloss = "squared_error"')
    for probe in probes(family, seed):
        if probe.name in SPECIAL:
            continue
        for (z, _), layer in zip(
            Textbook(probe.problem).forward(probe.theta, probe.X), probe.problem.layers, strict=True
        ):
            for kink in ACTIVATIONS[layer.activation.name].kinks:
                values = dict(layer.activation.parameters)
                place = float(kink.subs({s: values[str(s)] for s in kink.free_symbols}))
                assert np.abs(z - place).min() > MARGIN / 2


def test_extreme_points_are_finite_and_extreme():
    asked = probes(OPEN, 3)
    large, saturated = named(asked, LARGE), named(asked, SATURATED)
    output = Textbook(large.problem).forward(large.theta, large.X)[-1]
    assert output[0].min() > 710  # exp overflows
    assert output[1].max() < 1
    hidden = Textbook(saturated.problem).forward(saturated.theta, saturated.X)[0][0]
    assert np.abs(hidden).max() == pytest.approx(30)
    for probe in (large, saturated):
        assert all(np.isfinite(v).all() for k, v in truth(probe).items() if k.kind != "multipliers")


@pytest.mark.parametrize(
    ("network", "layout"),
    [
        ('widths = ["any", "any", "any"]\nloss = "cross_entropy"', "integers"),
        ('widths = ["any", "any", "any"]\nloss = "binary_cross_entropy"', "integers from 1"),
        ('widths = ["any", "any", "any"]\nloss = "squared_error"', "column"),
    ],
)
def test_labels_that_are_integers_have_classes(network, layout):
    for probe in probes(assignment(network, labels=layout), 2):
        assert set(np.unique(probe.Y)) <= {0.0, 1.0}
        assert (probe.Y.sum(axis=1) == 1).all()


def test_labels_in_a_vector_belong_to_one_output():
    for probe in probes(assignment('depth = 2\nloss = "squared_error"', labels="vector"), 2):
        assert probe.Y.shape == (probe.samples, 1)
        assert probe.problem.widths[-1] == 1


def test_fixed_sizes_are_kept():
    family = assignment('widths = [4, 5, 3]\nloss = "squared_error"')
    assert {probe.problem.widths for probe in probes(family, 0)} == {(4, 5, 3)}
    assert len({probe.samples for probe in probes(family, 0)}) > 3
