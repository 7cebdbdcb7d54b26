"""Concrete derivatives against numeric ones: σ′, the softmax Jacobian, ∂ℓ/∂x."""

import mpmath
import numpy as np
import pytest
import scipy.special
import sympy as sp

from lagrangenet import ACTIVATIONS, LOSSES, REGULARIZERS, DerivationError
from lagrangenet.functions import Choice
from lagrangenet.functions import base as f
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.derivatives import jacobian, loss_slope, penalty, slope
from lagrangenet.symbolic.stable import defined, stably

mpmath.mp.dps = 15  # the default: precision is raised where it is needed
DIGITS = 60
POINTS = ["-20.5", "-3", "-0.7", "-0.01", "0.02", "0.5", "1.25", "4", "18.75"]
COMPONENTWISE = sorted(name for name, entry in ACTIVATIONS.items() if not entry.coupled)
SMOOTH_NAMES = [name for name in COMPONENTWISE if ACTIVATIONS[name].differentiable]
#: Constants such as 1/√(2π) are doubles in a derivative that is written for evaluation.
ROUNDING = mpmath.mpf("1e-14")
WRITTEN = [
    "z/(1 + exp(-z))",
    "exp(z)/(1 + exp(z))",
    "log(1 + exp(z))",
    "log(exp(z) + exp(-z))",
    "(exp(z) - exp(-z))/(exp(z) + exp(-z))",
    "sinh(z)/cosh(z)",
    "1/cosh(z)",
    "2/(3 + 4*exp(-2*z + 1))",
    "z*tanh(log(1 + exp(z)))",
    "z/2*(1 + erf(z/sqrt(2)))",
    "where(z > 0, z, 1.5*(exp(z) - 1))",
    "min(max(z, -1), 1)*z",
    "z/(1 + abs(z))",
    "log(sigmoid(z))*z",
    "atan(z) + 0.1*sin(3*z)",
    "exp(-z**2)",
    "exp(z/2)/(1 + exp(z))",
]
CHOICES = [
    *(ACTIVATIONS.choose(name) for name in SMOOTH_NAMES),
    ACTIVATIONS["leaky_relu"](0.2),
    ACTIVATIONS["elu"](0.3),
    ACTIVATIONS["hard_tanh"](low=-0.25, high=2.0),
    ACTIVATIONS["z*sigmoid(beta*z)"](beta=1.5),
    *map(ACTIVATIONS.choose, WRITTEN),
]


def definition(choice):
    """σ as an mpmath function, from the definition in the catalogue."""
    entry = ACTIVATIONS[choice.name]
    values = {entry.symbol(key): sp.Float(value, DIGITS) for key, value in choice.parameters}
    return sp.lambdify(f.z, entry.expr.xreplace(values), "mpmath")


def evaluated(expr, values):
    """An expression in z, x or y with functions of the catalogue by name, at mpmath numbers."""
    where = {
        "Where": lambda c, a, b: a if c else b,
        "ndtr": mpmath.ncdf,
        "expm1": mpmath.expm1,
        "log_softplus": lambda v: mpmath.log(mpmath.log(1 + mpmath.exp(v))),
    }
    named = {name: definition(ACTIVATIONS.choose(name)) for name in COMPONENTWISE}
    return sp.lambdify(list(values), expr, [where, named, "mpmath"])(*values.values())


def differentiated(function, at, order):
    """A derivative by differences; the step stays on one side of a kink that is 1e-3 away."""
    return mpmath.diff(function, at, order, h=mpmath.mpf(10) ** -18)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_slope_is_the_derivative_of_the_definition(choice, order):
    with mpmath.workdps(DIGITS):
        sigma = definition(choice)
        for point in POINTS:
            z = mpmath.mpf(point)
            expected = differentiated(sigma, z, order)
            found = evaluated(slope(choice, order), {f.z: z, f.x: sigma(z)})
            assert abs(found - expected) <= ROUNDING * max(abs(expected), mpmath.mpf("1e-8"))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_emitted_values_and_slopes_are_finite_where_everything_saturates(choice):
    """σ, σ′ and σ″ as they are written for evaluation, in doubles, with warnings as errors."""
    with mpmath.workdps(DIGITS):
        sigma = definition(choice)
        for point in (-1e4, -1e3, -50.5, 50.5, 1e3, 1e4):
            for order in (1, 2):
                expected = float(differentiated(sigma, mpmath.mpf(point), order))
                form = slope(choice, order)
                at = np.array([point])
                known = {f.z: at, f.x: np.array([float(sigma(mpmath.mpf(point)))])}
                found = in_doubles(form, known)
                assert np.isfinite(found).all()
                assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def in_doubles(expr, values):
    stable = {
        "sigmoid": scipy.special.expit,
        "softplus": lambda v: np.logaddexp(0, v),
        "Where": np.where,
        "ndtr": scipy.special.ndtr,
    }
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        return sp.lambdify(list(values), expr, [stable, "numpy"])(*values.values())


@pytest.mark.parametrize("name", ["threshold", "sign"])
def test_no_slope_of_a_function_with_jumps(name):
    with pytest.raises(DerivationError, match=f"activation '{name}' jumps and has no derivative"):
        slope(Choice(name))


def test_no_slope_of_a_loss_with_jumps():
    with pytest.raises(DerivationError, match=r"loss 'zero_one' jumps .* 'hinge'"):
        loss_slope(Choice("zero_one"))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("identity", "1"),
        ("tanh", "1 - x**2"),
        ("sigmoid", "x*(1 - x)"),
        ("softplus", "sigmoid(z)"),
        ("relu", "Where(z > 0, 1, 0)"),
        ("silu", "z*sigmoid(-z)*sigmoid(z) + sigmoid(z)"),
        ("elu", "Where(z > 0, 1, exp(Min(0, z)))"),
        ("hard_tanh", "Where(z > -1, Where(z < 1, 1, 0), 0)"),
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


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("through_value", [True, False])
def test_jacobian_of_log_softmax(size, through_value):
    """δ_pr − exp(x_r)."""
    expr = jacobian(Choice("log_softmax"), through_value)
    delta = sp.KroneckerDelta(f.p, f.r)
    value = sp.IndexedBase("x", real=True)[f.r]
    if not through_value:
        value = l.sigma_vector(l.k, f.r, f.Z[l.STAR], f.n)
    assert sp.simplify(expr - (delta - sp.exp(value))) == 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", sorted(n for n, e in LOSSES.items() if e.differentiable))
@pytest.mark.parametrize("label", ["0", "0.25", "1", "-1"])
def test_loss_slope_is_the_derivative_of_the_definition(name, label, order):
    choice = LOSSES.choose(name)
    with mpmath.workdps(DIGITS):
        ell = sp.lambdify([f.y, f.x, f.t], LOSSES.bind(choice).expr, "mpmath")
        for point in ("0.125", "0.9", "3.5"):
            y, x, t = mpmath.mpf(label), mpmath.mpf(point), mpmath.mpf("1.75")
            expected = differentiated(lambda at, y=y, t=t: ell(y, at, t), x, order)
            found = evaluated(loss_slope(choice, order), {f.y: y, f.x: x, f.t: t})
            assert abs(found - expected) <= ROUNDING * max(abs(expected), mpmath.mpf("1e-8"))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(REGULARIZERS))
def test_penalty_is_the_derivative_of_the_definition(name, order):
    choice = REGULARIZERS.choose(name)
    with mpmath.workdps(DIGITS):
        omega = sp.lambdify(f.w, REGULARIZERS.bind(choice).expr, "mpmath")
        for point in ("-2.5", "0.5"):
            w = mpmath.mpf(point)
            expected = differentiated(omega, w, order) if order else omega(w)
            found = evaluated(penalty(choice, order), {f.w: w})
            assert abs(found - expected) <= ROUNDING * max(abs(expected), mpmath.mpf("1e-8"))


def test_weighted_losses_carry_the_weight_of_their_component():
    weighted = LOSSES["squared_error"](weighted=True)
    assert loss_slope(weighted) == f.c * loss_slope(Choice("squared_error"))


@pytest.mark.parametrize("text", WRITTEN)
def test_stable_forms_are_equal_to_what_was_written(text):
    """With the definitions of the blocks put back, at 60 digits."""
    expr = ACTIVATIONS[text].expr
    back = defined(stably(expr)).replace(l.Where, lambda c, a, b: sp.Piecewise((a, c), (b, True)))
    for point in POINTS:
        at = sp.Rational(point)
        assert abs((back - expr).subs(f.z, at).evalf(60)) < 1e-40


def test_what_no_rule_fits_is_left_alone():
    for expr in (sp.exp(2 * f.z), sp.exp(-(f.z**2)), f.z**3, sp.log(1 + f.z**2)):
        assert stably(expr) == expr


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


def test_the_curvature_of_log_cosh_keeps_its_digits_where_it_is_small():
    for distance in (0.1, 3.0, 12.5, 40.0, 300.0):
        known = {f.x: np.array([distance]), f.y: np.zeros(1)}
        found = in_doubles(loss_slope(Choice("log_cosh"), 2), known)
        assert found == pytest.approx(float(mpmath.sech(distance) ** 2), rel=1e-13)
