"""Assignments: what can be declared, and errors that name the key."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrangenet.errors import LagrangenetError, ProblemError
from lagrangenet.grading import Assignment
from lagrangenet.grading.calls import parse_calls

BASE = """
name = "hw"
[network]
widths = ["any", 4, 3]
loss = "cross_entropy"
regularizer = { name = "L2", strength = 0.5 }
[submission]
calls = "loss, grads = f(theta, X, Y, rho)"
"""


def test_the_template_is_an_assignment():
    text = files("lagrangenet.grading").joinpath("template.toml").read_text(encoding="utf-8")
    read = Assignment.from_toml(text)
    assert [part.points for part in read.parts] == [1, 3, 2]
    assert [part.of for part in read.parts] == ["", "W", "b"]
    assert read.max_score == 6


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "hw"', "nam = 1", "no key 'nam'"),
        ('name = "hw"', "hidden = 1", "'hidden' is 1"),
        ('name = "hw"', "tolerance = 0", "'tolerance' is 0"),
        ('name = "hw"', "tolerance = nan", "'tolerance' is nan"),
        ('name = "hw"', 'packages = "numpy"', "'packages'"),
        ("[network]", "[net]", "no key 'net'"),
        ('"any", 4, 3', '"some", 4, 3', "network.widths: 'some'"),
        ('"any", 4, 3', '"any", 0, 3', "network.widths: 0"),
        ('"any", 4, 3', '"any", 100000, 3', "network.widths: 100000"),
        ('"any", 4, 3', "3", "network.widths has 1"),
        ('widths = ["any", 4, 3]', "depth = [3, 1]", r"network.depth is \[3, 1\]"),
        ('widths = ["any", 4, 3]', "", 'either "widths" or "depth"'),
        ("cross_entropy", "crossentropy", "crossentropy"),
        ('loss = "cross_entropy"\n', "", 'no "loss"'),
        ("regularizer =", 'reduction = "median"\nregularizer =', "network.reduction is 'median'"),
        ("regularizer =", "scale = -1\nregularizer =", "'scale' is -1"),
        (
            "regularizer =",
            'activation = ["tanh", "relu"]\nregularizer =',
            "lists 2 functions for 1",
        ),
        (
            'regularizer = { name = "L2", strength = 0.5 }\n',
            "",
            "pass rho, but network.regularizer",
        ),
        ("[submission]", "[submission]\nlabel = 1", "no key 'label'"),
        ("[submission]", '[submission]\nsamples = "diagonal"', "submission.samples is 'diagonal'"),
        ("[submission]", "[submission]\nfirst = true", "submission.first is True"),
        ("[submission]", '[submission]\nkeys = ["W{k}", 3]', "submission.keys"),
        ('calls = "loss, grads = f(theta, X, Y, rho)"', "", 'no "calls"'),
        ("loss, grads = f", "cost, g = f", "no line gives an answer"),
        ("loss, grads = f", "loss, grads = 3 + f", "submission.calls, line 1"),
        ("loss, grads = f", "loss, grads = __import__", "'__import__' is not allowed"),
        ("[submission]", '[[parts]]\nasks = "proof"\n[submission]', "asks is 'proof'"),
        (
            "[submission]",
            '[[parts]]\nasks = "multipliers"\n[submission]',
            "asks for multipliers, which no line",
        ),
        ("[submission]", '[[parts]]\nasks = "loss"\npoints = 0\n[submission]', "'points' is 0"),
        ("[submission]", '[[parts]]\nasks = "loss"\npoints = nan\n[submission]', "'points' is nan"),
        (
            "[submission]",
            '[[parts]]\nasks = "loss"\n[[parts]]\nasks = "loss"\n[submission]',
            "two parts have the name 'loss'",
        ),
        ("[submission]", '[[parts]]\nasks = "formula"\n[submission]', "goes with formula"),
        ("[submission]", "[limits]\nminutes = 1\n[submission]", "no key 'minutes'"),
        ("[submission]", "[limits]\nseconds = inf\n[submission]", "'seconds' is inf"),
    ],
)
def test_errors_name_the_key(old, new, words):
    assert old in BASE
    with pytest.raises(ProblemError, match=words):
        Assignment.from_toml(BASE.replace(old, new))


def test_only_means_go_with_single_samples():
    text = BASE.replace("[submission]", '[submission]\nsamples = "one"').replace(
        "[network]", '[network]\nreduction = "sum"'
    )
    with pytest.raises(ProblemError, match="one sample"):
        Assignment.from_toml(text)


@pytest.mark.parametrize(
    ("reduction", "factor"), [("mean", 1.0), ("sum", 6.0), ("mean of entries", 1 / 3)]
)
def test_factors_of_the_objective(reduction, factor):
    network = Assignment.from_toml(
        BASE.replace("[network]", f'[network]\nscale = 2.0\nreduction = "{reduction}"')
    ).network
    assert network.factor([5, 4, 3], 6) == pytest.approx(2 * factor)
    problem = network.problem([5, 4, 3], 6)
    assert problem.strength * network.factor([5, 4, 3], 6) == pytest.approx(0.5)
    assert network.problem([5, 4, 3], 6, strength=0.0).regularizer is None


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "f = lambda: 1",
        "loss = [x for x in y]",
        "loss = f(*X)",
        "loss = f(**X)",
        "loss = f(X)[i]",
        "loss = f(X)[0:1]",
        "loss += f(X)",
        "loss = yield",
        "loss = f'{X}'",
        "loss = X if Y else X",
        "loss = a.__class__",
        "loss = _f(X)",
        "loss = (y := 3)",
        "f(X) = 3",
        "def f(): pass",
        "loss = b'x'",
        "loss = " + "f(" * 60 + ")" * 60,
        "x" * 5000,
        "",
        3,
    ],
)
def test_call_lines_are_an_allow_list(text):
    with pytest.raises(ProblemError, match=r"submission\.calls"):
        parse_calls(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        parse_calls(text)
    except LagrangenetError:
        return


def test_what_a_line_reads_and_writes():
    (step,) = parse_calls(
        "net.params['W1'], (dW1, net.b[-1]) = g(W1, [b1, 2.5], reg=rho, mode='x')"
    )
    assert step.writes == ("dW1",)
    assert step.reads == ("g", "W1", "b1", "rho", "net")
