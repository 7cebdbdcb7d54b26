"""Concrete derivatives against numeric ones: σ′, the softmax Jacobian, ∂ℓ/∂x."""

import mpmath
import numpy as np
import pytest
import sympy as sp

from lagrangenet import ACTIVATIONS, LOSSES
from lagrangenet.functions import Choice
from lagrangenet.functions import base as f
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.derivatives import jacobian, loss_slope, slope
from lagrangenet.symbolic.stable import stably

mpmath.mp.dps = 15  # the default: precision is raised where it is needed
DIGITS = 60
POINTS = ["-20.5", "-3", "-0.7", "-0.01", "0.02", "0.5", "1.25", "4", "18.75"]
COMPONENTWISE = sorted(name for name, entry in ACTIVATIONS.items() if not entry.coupled)


def definition(choice):
    """σ as an mpmath function, from the definition in the catalogue."""
    entry = ACTIVATIONS[choice.name]
    values = {f.parameter(key): sp.Float(value, DIGITS) for key, value in choice.parameters}
    return sp.lambdify(f.z, entry.expr.xreplace(values), "mpmath")


def evaluated(expr, values):
    """An expression in z, x or y with functions of the catalogue by name, at mpmath numbers."""
    where = {"Where": lambda c, a, b: a if c else b}
    named = {name: definition(ACTIVATIONS.choose(name)) for name in COMPONENTWISE}
    return sp.lambdify(list(values), expr, [where, named, "mpmath"])(*values.values())


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "choice",
    [*(ACTIVATIONS.choose(name) for name in COMPONENTWISE), ACTIVATIONS["leaky_relu"](0.2)],
    ids=str,
)
def test_slope_is_the_derivative_of_the_definition(choice, point):
    with mpmath.workdps(DIGITS):
        z, sigma = mpmath.mpf(point), definition(choice)
        expected = mpmath.diff(sigma, z)
        found = evaluated(slope(choice), {f.z: z, f.x: sigma(z)})
        assert abs(found - expected) <= mpmath.mpf(10) ** -25 * abs(expected)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("identity", "1"),
        ("tanh", "1 - x**2"),
        ("sigmoid", "x*(1 - x)"),
        ("softplus", "sigmoid(z)"),
        ("relu", "Where(z > 0, 1, 0)"),
    ],
)
def test_slope_is_written_through_what_is_known(name, written):
    assert str(slope(ACTIVATIONS.choose(name))) == written


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("through_value", [True, False])
def test_jacobian_of_softmax(size, through_value):
    expr = jacobian(Choice("softmax"), through_value)
    x, rng = sp.IndexedBase("x", real=True), np.random.default_rng(size)
    with mpmath.workdps(DIGITS):
        z = [mpmath.mpf(float(value)) for value in 2 * rng.normal(size=size)]

        def softmax(*vector):
            whole = mpmath.fsum(mpmath.exp(v) for v in vector)
            return [mpmath.exp(v) / whole for v in vector]

        values = softmax(*z)
        for above in range(size):
            for below in range(size):
                order = tuple(int(j == below) for j in range(size))
                expected = mpmath.diff(lambda *v, a=above: softmax(*v)[a], tuple(z), order)
                at = expr.xreplace({f.p: sp.Integer(above + 1), f.r: sp.Integer(below + 1)})
                at = at.replace(
                    lambda e: isinstance(e, l.Coupled), lambda e: x[e.args[1]]
                )  # σ_p(z) by its value
                names = {x[j + 1]: sp.Symbol(f"x{j + 1}") for j in range(size)}
                found = sp.lambdify(list(names.values()), at.xreplace(names), "mpmath")(*values)
                assert abs(found - expected) <= mpmath.mpf(10) ** -25


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("label", ["0", "0.25", "1"])
@pytest.mark.parametrize("point", ["0.125", "0.9", "3.5"])
def test_loss_slope_is_the_derivative_of_the_definition(name, label, point):
    with mpmath.workdps(DIGITS):
        y, x = mpmath.mpf(label), mpmath.mpf(point)
        ell = sp.lambdify([f.y, f.x], LOSSES[name].expr, "mpmath")
        expected = mpmath.diff(lambda at: ell(y, at), x)
        found = evaluated(loss_slope(Choice(name)), {f.y: y, f.x: x})
        assert abs(found - expected) <= mpmath.mpf(10) ** -25


@pytest.mark.parametrize(
    "expr",
    [
        sp.exp(f.x) / (1 + sp.exp(f.x)) - f.y,
        1 / (1 + sp.exp(-f.x)),
        3 * sp.log(1 + sp.exp(f.x)) - f.y * f.x,
        sp.exp(-f.x) / (1 + sp.exp(-f.x)),
        sp.exp(2 * f.x),
    ],
)
def test_stable_rewrites_keep_the_value(expr):
    with mpmath.workdps(DIGITS):
        values = {f.y: mpmath.mpf("0.3"), f.x: mpmath.mpf("-1.7")}
        difference = evaluated(stably(expr), values) - evaluated(expr, values)
        assert abs(difference) <= mpmath.mpf(10) ** -50
