"""Bounds, linear constraints and complementarity: what they add to the conditions is derived."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.complementarity import RELU, ComplementarityLagrangian
from lagrangenet.symbolic.inequalities import conditions, inequalities, written
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.limited import LimitedLagrangian
from lagrangenet.symbolic.stationarity import stationarity
from lagrangenet.symbolic.tidy import tidy


def by_label(lagrangian, kind=None):
    return {c.label: c for c in conditions(lagrangian) if c.kind in (None, kind)}


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
@pytest.mark.parametrize("linear", [False, True])
def test_limits_leave_states_and_multipliers_as_they_are(splitting, linear):
    plain = {c.label: c for c in stationarity(Lagrangian(splitting))}
    limited = by_label(LimitedLagrangian(splitting, linear=linear))
    assert limited.keys() == plain.keys()
    for label in set(plain) - {"S5", "S6"}:
        assert limited[label].residual == plain[label].residual
        assert limited[label].solution == plain[label].solution


def kkt(name):
    return sp.IndexedBase(f"kkt_{name}", real=True)


def test_what_limits_add_to_the_gradient():
    plain = {c.label: c.residual for c in stationarity(Lagrangian())}
    limited = by_label(LimitedLagrangian(linear=True))
    at, rows = (l.k, l.p, l.q), (l.r, 1, l.R)
    both = kkt("eta_plus")[l.r] - kkt("eta_minus")[l.r]
    more = (
        kkt("plus_W")[at]
        - kkt("minus_W")[at]
        + sp.Sum(both * kkt("row_W")[l.k, l.r, l.p, l.q], rows)
    )
    gap = limited["S5"].residual - plain["S5"] - more
    assert tidy(sp.expand(gap.doit())) == 0
    more = (
        kkt("plus_b")[at[:2]]
        - kkt("minus_b")[at[:2]]
        + sp.Sum(both * kkt("row_b")[l.k, l.r, l.p], rows)
    )
    assert tidy(sp.expand((limited["S6"].residual - plain["S6"] - more).doit())) == 0


def test_inequalities_of_limits():
    found = inequalities(LimitedLagrangian(linear=True))
    assert [row.label for row in found] == ["S7"] * 4 + ["S8"] * 2
    upper, lower = found[:2]
    assert upper.written("latex") == (
        r"W_{pq}^{k} - \overline{W}_{pq}^{k} \le 0",
        r"\overline{\nu}_{pq}^{k} \ge 0",
        r"\overline{\nu}_{pq}^{k}\, \left(W_{pq}^{k} - \overline{W}_{pq}^{k}\right) = 0",
    )
    assert lower.residual == kkt("lower_W")[l.k, l.p, l.q] - l.W[l.k, l.p, l.q]
    assert "h" in str(found[4])


# -- complementarity ---------------------------------------------------------------------------------


def test_complementarity_leaves_smooth_layers_as_they_are():
    plain = {c.label: c for c in stationarity(Lagrangian("preactivation"))}
    smooth = by_label(ComplementarityLagrangian(), l.COMPONENTWISE)
    assert smooth.keys() == plain.keys()
    for label, condition in plain.items():
        assert smooth[label].residual == condition.residual


def test_the_multiplier_of_z_in_a_relu_layer():
    """μ = γ x − β, and W^{k+1}ᵀ μ^{k+1} = γ (2x − z) − α − β, so at t = 0 μ/λ is 1, 0, or β/(α + β)."""
    relu = by_label(ComplementarityLagrangian(), RELU)
    at = (l.k, l.i, l.p)
    a, b, g = (kkt(name)[at] for name in ("alpha", "beta", "gamma"))
    mu = relu["S4"].solution
    assert sp.expand(mu - (g * l.X[at] - b)) == 0
    pulled = sp.Sum(l.W[l.k + 1, l.q, l.p] * l.mu[l.k + 1, l.i, l.q], (l.q, 1, l.n(l.k + 1)))
    lam = sp.expand(relu["S3"].residual + pulled)  # what Wᵀμ has to be
    on = {l.X[at]: l.Z[at], a: 0}
    assert sp.simplify((lam - mu).xreplace(on)) == 0  # slope 1
    off = {l.X[at]: sp.S.Zero, b: sp.S.Zero}
    assert mu.xreplace(off) == 0  # slope 0
    kink = {l.X[at]: sp.S.Zero, l.Z[at]: sp.S.Zero}
    assert sp.simplify((mu / lam).xreplace(kink) - b / (a + b)) == 0


def test_inequalities_of_a_relu_layer():
    first, second, product = inequalities(ComplementarityLagrangian())
    assert [str(row.residual.subs(l.X[l.k, l.i, l.p], 0)) for row in (first,)] == ["0"]
    assert second.residual == l.Z[l.k, l.i, l.p] - l.X[l.k, l.i, l.p]
    x, z = 3.0, 1.0
    t = sp.Symbol("kkt_t", nonnegative=True)
    value = product.residual.subs({l.X[l.k, l.i, l.p]: x, l.Z[l.k, l.i, l.p]: z, t: 0.5})
    assert np.isclose(float(value), x * (x - z) - 0.5)
    assert product.written()[2].endswith("= 0")


def test_conditions_are_written_with_their_label_and_slope():
    rows = [f"({c.label}) {written(c)}" for c in conditions(ComplementarityLagrangian())]
    assert "(S4) μ_ip^k = γ_ip^k x_ip^k − β_ip^k" in rows
    assert any(row.startswith("(S3) ∂L/∂x_ip^k = ") for row in rows)
