"""ℓ at arrays and its derivatives by the outputs, against the same sums written out in scalars."""

import pytest
import sympy as sp

from lagrangenet import LOSSES
from lagrangenet.functions import Choice, Loss
from lagrangenet.functions import base as f
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.losses import loss_at

SIZE = 3
Y, X, C = (sp.IndexedBase(name, real=True) for name in "yxc")
LABELS = [sp.Rational(j, 7) for j in (1, 4, 2)]
OUTPUTS = sp.symbols("u1:4", real=True)
POINT = dict(zip(OUTPUTS, [sp.Rational(1, 3), sp.Rational(-5, 4), sp.Rational(3, 2)], strict=True))


@pytest.fixture
def ranking():
    name = "a_ranking"
    yield LOSSES.add(Loss(name, (1 + f.x**2) * sp.exp(f.x - 2 * f.t) - f.y * f.t**3, "a test"))
    LOSSES.remove(name)


def written_out(name):
    """ℓ of three outputs, without a sum."""
    t = sp.Add(*map(sp.Mul, LABELS, OUTPUTS))
    pairs = zip(LABELS, OUTPUTS, strict=True)
    return sp.Add(*(LOSSES[name].expr.xreplace({f.y: y, f.x: x, f.t: t}) for y, x in pairs))


def value(expr):
    """An expression of loss_at for three components, as a number."""
    arrays = {Y[j]: LABELS[j - 1] for j in range(1, SIZE + 1)}
    arrays |= {X[j]: OUTPUTS[j - 1] for j in range(1, SIZE + 1)}
    spelled = expr.replace(lambda e: isinstance(e, sp.Sum), lambda e: e.doit())
    spelled = spelled.doit().xreplace(arrays).xreplace(POINT)
    cases = spelled.replace(l.Where, lambda c, a, b: sp.Piecewise((a, c), (b, True)))
    return float(cases.evalf(30))


def at(name, *by):
    components = tuple(map(sp.Integer, by))
    free = sp.symbols("a b", integer=True, positive=True)[: len(by)]
    expr = loss_at(Choice(name), Y[l.STAR], X[l.STAR], C[l.STAR], sp.Integer(SIZE), free)
    return value(expr.xreplace(dict(zip(free, components, strict=True))))


@pytest.mark.parametrize("name", ["a_ranking", "multiclass_hinge", "squared_error"])
def test_value_and_derivatives(ranking, name):
    ell = written_out(name)
    assert at(name) == pytest.approx(float(ell.xreplace(POINT)), rel=1e-14)
    for q, x in enumerate(OUTPUTS, 1):
        slope = float(sp.diff(ell, x).xreplace(POINT))
        assert at(name, q) == pytest.approx(slope, rel=1e-14)
        for r, u in enumerate(OUTPUTS, 1):
            curvature = float(sp.diff(ell, x, u).xreplace(POINT))
            assert at(name, q, r) == pytest.approx(curvature, rel=1e-14)
