"""Functions given by their formula: in the API, in code, in TOML and on the command line."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from lagrangenet import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    DataError,
    Dense,
    Problem,
    ProblemError,
    chain,
    derive,
    generate,
    verify,
)
from lagrangenet.cli import app
from lagrangenet.verify.check import Check

X = np.array([[0.0, 0.3], [0.5, 1.0], [1.0, -0.2], [1.1, 0.9]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])


def refused(message):
    return pytest.raises(ProblemError, match=re.escape(message))


def column(activation, *values):
    """σ at some arguments, through generated code."""
    code = generate(derive(Problem(1, [Dense(1, activation)], "squared_error")))
    return code.forward(((np.eye(1), np.zeros(1)),), np.array([values]).T)[0][1][:, 0].tolist()


# -- values and certificates -----------------------------------------------------------------------


def test_values_are_those_of_the_formula():
    assert column("z/(1 + exp(-z))", 0.0, 2.0) == [0.0, pytest.approx(2 / (1 + np.exp(-2)))]
    assert column({"name": "a*z + b", "a": -2.0, "b": 0.5}, 1.0, 3.0) == [-1.5, -5.5]
    assert column("min(max(z, -1), 1)", -3.0, 0.5, 4.0) == [-1.0, 0.5, 1.0]
    assert column("pi*z", 1.0) == [np.pi]


@pytest.mark.parametrize(
    ("activation", "loss", "regularizer"),
    [
        ("z/(1+exp(-z))", "(x - y)**4", None),
        (
            ACTIVATIONS["z*sigmoid(beta*z)"](beta=1.5),
            "log_cosh",
            {"name": "w**4/4", "strength": 1e-6},
        ),
        ("where(z > 0, z, 0.3*(exp(z) - 1))", "sqrt(1 + (x - y)**2) - 1", None),
        ({"name": "min(max(z, -a), a)", "a": 0.75}, "squared_error", "abs(w)"),
        ("z/(1 + abs(z))", "2*x + x**2 - x*y", {"name": "w**2", "strength": 0.1, "biases": True}),
        ("erf(z) + 0.1*sin(3*z)", "squared_error", None),
    ],
)
def test_the_certificate_agrees(activation, loss, regularizer):
    problem = chain([2, 3, 1], activation, loss, regularizer=regularizer)
    assert Problem.from_toml(problem.to_toml()) == problem
    checks = [check for check in Check.registered if "solutions" not in check.name]
    certificate = verify(problem, X, Y, only=checks)
    assert certificate.verdict == "agree", str(certificate)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("text", ["where(z > 0, 1, 0.5)*z", "max(z, 0) + 0.1*min(z, 1)", "abs(z)"])
def test_the_type_of_the_arrays_is_kept(text, dtype):
    code = generate(derive(chain([2, 3, 1], text)), dtype)
    point, data = code.initial(0), (X.astype(dtype), Y.astype(dtype))
    leaves = [leaf for layer in code.gradient(point, *data) for leaf in layer]
    leaves += [leaf for layer in code.forward(point, data[0]) for leaf in layer]
    assert {leaf.dtype for leaf in leaves} == {np.dtype(dtype)}


def test_equal_text_is_the_same_function_and_nothing_is_registered():
    known = set(ACTIVATIONS)
    assert Dense(2, "z*tanh(z)") == Dense(2, "z*tanh(z)")
    assert Dense(2, "z*tanh(z)") != Dense(2, "tanh(z)*z")
    assert "z*tanh(z)" in ACTIVATIONS
    assert set(ACTIVATIONS) == known


def test_two_formulas_in_one_module_have_two_names():
    code = generate(derive(Problem(2, [Dense(2, "z**3"), Dense(1, "z**5 + z")], "squared_error")))
    assert "def sigma1(z):" in code.source
    assert "def sigma2(z):" in code.source


# -- kinks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kinks"),
    [
        ("max(z, 0)", [0]),
        ("abs(2*z - 1)", [0.5]),
        ("min(max(z, -1), 2)", [-1, 2]),
        ("where(z > 1, 2*z - 1, z)", [1]),
        ("where(abs(z) > 1, abs(z) - 0.5, z**2/2)", []),
        ("where(z > 0, z, exp(z) - 1)", []),
        ("max(z, 0)**2", []),
        ("z*abs(z)", []),
        ("tanh(z)", []),
    ],
)
def test_kinks_are_found(text, kinks):
    entry = ACTIVATIONS[text]
    assert sorted(map(float, entry.kinks)) == kinks
    assert entry.smooth == (not kinks)
    assert bool(entry.subgradient) == bool(kinks)


def test_the_kink_of_a_loss_moves_with_the_label():
    assert [str(kink) for kink in LOSSES["abs(x - y)"].kinks] == ["y"]
    assert [str(kink) for kink in REGULARIZERS["abs(w)"].kinks] == ["0"]


@pytest.mark.parametrize(
    ("text", "slope"), [("max(z, 0)", 0.0), ("abs(z)", 0.0), ("where(z >= 0, z, -z)", 1.0)]
)
def test_the_derivative_at_a_kink_is_that_of_the_branch(text, slope):
    code = generate(derive(Problem(1, [Dense(1, text)], "squared_error")))
    gradient = code.gradient(((np.zeros((1, 1)), np.zeros(1)),), [[1.0]], [[-1.0]])
    assert gradient[0][1] == [slope]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where(z > 0, 1, 0)", "jumps, or has no finite derivative, at z = 0"),
        ("sign(z)", "jumps, or has no finite derivative, at z = 0"),
        ("sqrt(abs(z))", "jumps, or has no finite derivative, at z = 0"),
        ("where(z > 1, z**2, z + 1)", "jumps, or has no finite derivative, at z = 1"),
        ("max(z**2, 1)", "not affine in z"),
        ("abs(sin(z))", "not affine in z"),
        ("zz + 1", "'zz' has no value"),
        ("z*sigmoid(beta*z)", "'beta' has no value; write { name = "),
        ("z +", "activation 'z +', column"),
        ("import os", "activation 'import os', column 1"),
    ],
)
def test_formulas_that_are_refused(text, message):
    with refused(message):
        Dense(1, text)


def test_a_jump_that_depends_on_a_parameter():
    assert ACTIVATIONS["where(z > b, z, b)"](b=0.5)
    with refused("jumps, or has no finite derivative, at z = 1/2"):
        ACTIVATIONS["where(z > b, z, 0)"](b=0.5)
    with refused("b is nan; it has to be finite"):
        ACTIVATIONS["where(z > b, z, b)"](b=float("nan"))


def test_a_word_is_a_name_and_no_formula():
    with refused("unknown activation 'tahn'; known: elu, "):
        Dense(1, "tahn")


# -- domains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "z"), [("log(z)", "-1"), ("sqrt(z)", "-1"), ("1/(z + 1)", "-1")])
def test_an_argument_outside_the_domain_is_named(text, z):
    code = generate(derive(Problem(1, [Dense(1, text)], "squared_error")))
    theta = ((np.eye(1), np.zeros(1)),)
    message = (
        rf"layer 1: activation '{re.escape(text)}' has no finite value at z = {z} \(sample 1, "
    )
    with pytest.raises(DataError, match=message):
        code.gradient(theta, [[2.0], [-1.0]], [[0.0], [0.0]])
    assert np.isfinite(code.gradient(theta, [[2.0]], [[0.0]])[0][0]).all()


def test_verify_says_where_a_domain_is_left():
    certificate = verify(chain([2, 3, 1], "log(z)"), X, Y)
    assert certificate.verdict == "disagree"
    assert "activation 'log(z)' has no finite value at z = -" in str(certificate)


def test_an_infinite_derivative_is_refused():
    code = generate(derive(Problem(1, [Dense(1, "sqrt(z)")], "squared_error")))
    with pytest.raises(DataError, match="a derivative is infinite"):
        code.gradient(((np.eye(1), np.zeros(1)),), [[0.0]], [[1.0]])


# -- the command line ------------------------------------------------------------------------------


def test_formulas_on_the_command_line():
    options = ["--layers", "2,3,1", "--activation", "z/(1+exp(-z))", "--loss", "(x-y)**4"]
    result = CliRunner().invoke(app, ["generate", *options])
    assert result.exit_code == 0, result.output
    assert "return z * sigmoid(z)" in result.output


def test_a_formula_in_a_problem_file(tmp_path):
    path = tmp_path / "swish.toml"
    path.write_text(
        'inputs = 2\nloss = "log_cosh"\n[[layers]]\nwidth = 1\n'
        'activation = { name = "z*sigmoid(beta*z)", beta = 1.5 }\n'
    )
    result = CliRunner().invoke(app, ["generate", "--problem", str(path)])
    assert result.exit_code == 0, result.output
    assert "sigma1(Z1, 1.5)" in result.output
