"""The converters against problems that each solver really solves, with a multiplier known by hand.

min (x₁² + x₂²)/2 subject to c = x₁ + x₂ − 2 = 0 has x = (1, 1), and ∇J + λ ∇c = 0 gives λ = −1.
"""

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint, minimize

from lagrangenet import signs
from lagrangenet.errors import DataError

EXACT = -1.0


def objective(x):
    return 0.5 * float(x @ x)


def constraint(x):
    return np.array([x[0] + x[1] - 2.0])


def jacobian(x):
    return np.ones((1, 2))


def test_slsqp():
    equality = {"type": "eq", "fun": constraint, "jac": jacobian}
    found = minimize(
        objective, np.array([3.0, 0.0]), jac=lambda x: x, constraints=[equality], method="SLSQP"
    )
    np.testing.assert_allclose(signs.from_slsqp(found.multipliers), [EXACT], atol=1e-7)


def test_trust_constr():
    equality = NonlinearConstraint(
        constraint, 0.0, 0.0, jac=jacobian, hess=lambda x, v: np.zeros((2, 2))
    )
    found = minimize(
        objective,
        np.array([3.0, 0.0]),
        jac=lambda x: x,
        hess=lambda x: np.eye(2),
        constraints=[equality],
        method="trust-constr",
    )
    np.testing.assert_allclose(signs.from_trust_constr(found.v[0]), [EXACT], atol=1e-7)


def test_ipopt():
    casadi = pytest.importorskip("casadi")
    x = casadi.SX.sym("x", 2)
    program = {"x": x, "f": casadi.sumsqr(x) / 2, "g": x[0] + x[1] - 2}
    options = {"ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes"}
    found = casadi.nlpsol("solver", "ipopt", program, options)(x0=[3, 0], lbg=0, ubg=0)
    np.testing.assert_allclose(signs.from_ipopt(found["lam_g"]).ravel(), [EXACT], atol=1e-7)


def test_the_multiplier_is_minus_the_price_of_the_constraint():
    """J(r) = (2 + r)²/4 under c = r, so dJ/dr = 1 = −λ at r = 0."""
    rise = (2.0 + 1e-6) ** 2 / 4 - (2.0 - 1e-6) ** 2 / 4
    assert rise / 2e-6 == pytest.approx(-signs.CONSTRAINT_SIGN * EXACT)


@pytest.mark.parametrize("convert", [signs.from_slsqp, signs.from_trust_constr, signs.from_ipopt])
def test_results_are_new_arrays(convert):
    given = np.array([1.0, -2.0])
    converted = convert(given)
    assert not np.shares_memory(given, converted)
    np.testing.assert_array_equal(given, [1.0, -2.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_delta_there_and_back(dtype):
    lam = np.array([[0.5, -0.25], [0.0, 1.0]], dtype=dtype)
    delta = signs.to_delta(lam, 4)
    assert delta.dtype == dtype
    np.testing.assert_array_equal(delta, -4 * lam)
    np.testing.assert_array_equal(signs.from_delta(delta, 4), lam)


def test_no_samples_no_mean():
    with pytest.raises(DataError, match="at least 1"):
        signs.to_delta(np.zeros((0, 2)), 0)
