"""Numbers of index expressions: against the tests' own evaluator, and against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.evaluate import value
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.worlds import World, worlds
from tests.symbolic.world import World as OtherWorld

KINDS = (l.COMPONENTWISE, l.COUPLED)
WORLD = World((2, 3, 1), 2, KINDS)


def other(world):
    """The same world for the evaluator of the tests."""
    layers = range(1, world.depth + 1)
    arrays = {
        str(base.label): {k: world.array(base, k) for k in layers}
        for base in (l.X, l.W, l.b, l.Z, l.lam, l.mu)
    }
    arrays["X"][0] = world.array(l.X, 0)
    arrays["Y"] = world.array(l.Y, world.depth)

    def sigma(k):
        if world.kinds[k - 1] == l.COMPONENTWISE:
            return lambda z: world.componentwise("sigma", (k,), 0, z)
        return lambda v: np.array(
            [world.coupled("sigma", (k, p), (), list(v)) for p in range(1, len(v) + 1)]
        )

    def ell(y, x):
        (sample,) = np.flatnonzero((arrays["Y"] == y).all(axis=1)) + 1
        return world.coupled("ell", (sample,), (), list(x))

    return OtherWorld(
        world.widths, world.samples, world.scalar("rho"), arrays, {k: sigma(k) for k in layers},
        ell, lambda w: world.componentwise("omega", (), 0, w), dict(zip(layers, world.kinds, strict=True)),
    )  # fmt: skip


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
@pytest.mark.parametrize("world", worlds(KINDS, tied=False), ids=str)
def test_the_lagrangian_has_the_value_of_the_other_evaluator(world, splitting):
    expr = Lagrangian(splitting, KINDS).expr
    expected = np.real(other(world).index(expr, {}))
    assert value(expr, world, {}) == pytest.approx(expected, rel=1e-13)


def test_worlds_have_size_one_axes_every_kind_and_depth():
    found = worlds(KINDS, tied=True)
    assert {world.depth for world in found} == {1, 2, 3}
    assert any(1 in world.widths and world.samples == 1 for world in found)
    assert {world.kinds[-1] for world in found} == set(KINDS)


def test_a_pending_derivative_is_a_difference_quotient():
    expr, entry = Lagrangian(kinds=KINDS).expr, l.X[l.k, l.i, l.p]
    at = {l.k: 1, l.i: 2, l.p: 3}
    slope = value(l.Pending(expr, entry), WORLD, at)
    step, fresh = 1e-6, replace(WORLD, _arrays={})
    ends = []
    for sign in (1, -1):
        fresh.array(l.X, 1)[1, 2] += sign * step
        ends.append(value(expr, fresh, {}))
        fresh.array(l.X, 1)[1, 2] -= sign * step
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-7)


def test_derivatives_of_functions_are_those_of_their_values():
    h = 1e-30
    for order in range(3):
        moved = WORLD.componentwise("sigma", (1,), order, 0.3 + 1j * h)
        assert moved.imag / h == pytest.approx(
            WORLD.componentwise("sigma", (1,), order + 1, 0.3).real
        )
    moved = WORLD.coupled("sigma", (2, 1), (2,), [0.1, 0.2 + 1j * h, -0.3])
    assert moved.imag / h == pytest.approx(
        WORLD.coupled("sigma", (2, 1), (2, 2), [0.1, 0.2, -0.3]).real
    )


def test_functions_differ_from_layer_to_layer_and_component_to_component():
    assert WORLD.componentwise("sigma", (1,), 0, 0.5) != WORLD.componentwise("sigma", (2,), 0, 0.5)
    assert WORLD.coupled("sigma", (1, 1), (), [0.5]) != WORLD.coupled("sigma", (1, 2), (), [0.5])


def test_preactivations_are_affine_where_they_are_abbreviations():
    at = {l.k: 1, l.i: 1, l.p: 2}
    expected = WORLD.array(l.W, 1)[1] @ WORLD.array(l.X, 0)[0] + WORLD.array(l.b, 1)[1]
    assert value(l.Z[l.k, l.i, l.p], WORLD, at) == pytest.approx(expected)
    free = replace(WORLD, tied=False)
    assert value(l.Z[l.k, l.i, l.p], free, at) == free.array(l.Z, 1)[0, 1]


@pytest.mark.parametrize(
    ("expr", "cause"),
    [
        (sp.cos(l.k), "no value for cos"),
        (l.Pending(l.Pending(l.X[1, 1, 1], l.X[1, 1, 1]), l.X[1, 1, 1]), "derivative of a deriv"),
        (l.X[1, 1, 7], "there is no X"),
    ],
)
def test_what_has_no_value_is_refused(expr, cause):
    with pytest.raises(DerivationError, match=cause):
        value(expr, WORLD, {l.k: 1})
