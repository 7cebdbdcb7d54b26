"""The tangent Lagrangian: its conditions by hand, and as derivatives of those of L by differences."""

import time

import numpy as np
import pytest
import sympy as sp

from lagrangenet import DerivationError, derive
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.stationarity import stationarity
from lagrangenet.symbolic.tangent import TangentLagrangian, tangent
from tests.symbolic.test_stationarity import CASES, holds, kinds_of, layers_of, prepared

k, i, p, q, N, M, n = l.k, l.i, l.p, l.q, l.N, l.M, l.n
X, Z, W, b, lam, mu, rho = l.X, l.Z, l.W, l.b, l.lam, l.mu, l.rho
Xd, Zd, Wd, bd, lamd, mud = (l.TANGENTS[base] for base in (X, Z, W, b, lam, mu))
slope, bend = l.opaque("sigma", 1), l.opaque("sigma", 2)
STEP = 1e-4
#: Layers of one kind, and mixed ones; the others take longer and tell the same.
SOME_CASES = [
    case if case[1] in ((), (1, 3)) else pytest.param(*case, marks=pytest.mark.slow)
    for case in CASES
]


def conditions(splitting, kinds=(l.COMPONENTWISE,)):
    return stationarity(TangentLagrangian(splitting, kinds))


EXACT = {
    "T0": (Zd[k, i, p], sp.Sum(W[k, p, q] * Xd[k - 1, i, q], (q, 1, n(k - 1)))
           + sp.Sum(Wd[k, p, q] * X[k - 1, i, q], (q, 1, n(k - 1))) + bd[k, p]),
    "T1": (Xd[k, i, p], slope(k, Z[k, i, p]) * Zd[k, i, p]),
    "T2": (lamd[N, i, p], -sp.Sum(l.partial_of("ell", 2)(i, q, p, X[N, i, l.STAR], n(N))
                                  * Xd[N, i, q], (q, 1, n(N))) / M),
    "T3": (lamd[k, i, p], sp.Sum(W[k + 1, q, p] * mud[k + 1, i, q], (q, 1, n(k + 1)))
           + sp.Sum(Wd[k + 1, q, p] * mu[k + 1, i, q], (q, 1, n(k + 1)))),
    "T4": (mud[k, i, p], slope(k, Z[k, i, p]) * lamd[k, i, p]
           + bend(k, Z[k, i, p]) * Zd[k, i, p] * lam[k, i, p]),
    "T5": (None, rho * l.opaque("omega", 2)(W[k, p, q]) * Wd[k, p, q]
           - sp.Sum(mud[k, i, p] * X[k - 1, i, q], (i, 1, M))
           - sp.Sum(mu[k, i, p] * Xd[k - 1, i, q], (i, 1, M))),
    "T6": (None, -sp.Sum(mud[k, i, p], (i, 1, M))),
}  # fmt: skip


@pytest.mark.parametrize("label", EXACT)
def test_the_exact_condition(label):
    unknown, value = EXACT[label]
    (condition,) = (c for c in conditions("preactivation") if c.label == label)
    assert condition.unknown == unknown
    assert (condition.residual if unknown is None else condition.solution) == value


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
def test_conditions_are_those_of_the_first_order(splitting):
    first, second = stationarity(Lagrangian(splitting)), conditions(splitting)
    for s, t in zip(first, second, strict=True):
        assert (t.label[1:], t.wrt, t.layers) == (s.label[1:], s.wrt, s.layers)
        if s.unknown is not None:
            assert t.unknown == l.TANGENTS[s.unknown.base][s.unknown.indices]


def tangents(world, seed=1):
    """A direction for every variable; inputs do not move."""
    rng = np.random.default_rng(seed)
    found = {}
    for base in l.TANGENTS:
        name = str(base.label)
        found[name] = {k: rng.normal(size=a.shape) for k, a in world.arrays[name].items()}
    found["X"][0] = np.zeros_like(found["X"][0])
    return found


def moved(coupled, splitting, directions, step):
    """The example at v + step v̇; in the activation splitting z^k abbreviates what it does."""
    world = prepared(coupled, splitting)
    for name, by_layer in directions.items():
        for k, direction in by_layer.items():
            world.arrays[name][k] = world.arrays[name][k] + step * direction
    if splitting == "activation":
        a = world.arrays
        a["Z"] = {k: a["X"][k - 1] @ a["W"][k].T + a["b"][k] for k in a["Z"]}
    return world


@pytest.mark.parametrize(("splitting", "coupled"), SOME_CASES)
def test_every_condition_is_the_derivative_of_that_of_the_first_order(splitting, coupled):
    world = prepared(coupled, splitting)
    directions = tangents(world)
    if splitting == "activation":
        a = world.arrays
        directions["Z"] = {
            k: directions["X"][k - 1] @ a["W"][k].T + a["X"][k - 1] @ directions["W"][k].T
            + directions["b"][k] for k in a["Z"]
        }  # fmt: skip
    world.arrays |= {f"{name}_dot": by_layer for name, by_layer in directions.items()}
    ends = {t: moved(coupled, splitting, directions, t * STEP) for t in (-2, -1, 1, 2)}
    kinds = kinds_of(world)
    pairs = zip(stationarity(Lagrangian(splitting, kinds)), conditions(splitting, kinds),
                strict=True)  # fmt: skip
    for first, second in pairs:
        for layer in layers_of(first, world):
            if not holds(first, layer, world):
                continue
            shape = world.arrays[str(first.wrt.base.label)][layer].shape
            for position in list(np.ndindex(shape))[::3]:
                free = first.wrt.indices[1:]
                at = {l.k: layer} | dict(zip(free, (j + 1 for j in position), strict=True))
                value = {t: end.index(first.residual, at) for t, end in ends.items()}
                expected = (8 * (value[1] - value[-1]) - (value[2] - value[-2])) / (12 * STEP)
                found = world.index(second.residual, at)
                assert found == pytest.approx(expected, rel=1e-7, abs=1e-7), (second.label, at)


@pytest.mark.parametrize("batch", [False, True], ids=["matrix", "batch"])
@pytest.mark.parametrize(("splitting", "coupled"), SOME_CASES)
def test_matrix_and_batch_form_equal_index_form(splitting, coupled, batch):
    world = prepared(coupled, splitting)
    world.arrays |= {f"{name}_dot": by_layer for name, by_layer in tangents(world).items()}
    for condition in conditions(splitting, kinds_of(world)):
        layer = max(layers_of(condition, world))
        if not holds(condition, layer, world):
            continue
        free = condition.wrt.indices[1:]
        samples = [2] if i in free and not batch else [None]
        axes = tuple(axis for axis in free if batch or axis != i)
        for sample in samples:
            found = world.array(condition.tree(condition.residual, batch), layer, sample)
            for position in np.ndindex(found.shape):
                at = {k: layer} | ({i: sample} if sample else {})
                at |= dict(zip(axes, (j + 1 for j in position), strict=True))
                expected = world.index(condition.residual, at)
                assert found[position] == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_tangent_of_other_arrays():
    """The operator knows no array by name."""
    u, v = sp.IndexedBase("u", real=True), sp.IndexedBase("v", real=True)
    j, m = sp.symbols("j m", integer=True, positive=True)
    found = tangent(sp.Sum(sp.sin(u[j]) * X[k, i, j], (j, 1, m)), {u: v})
    assert found == sp.Sum(sp.cos(u[j]) * v[j] * X[k, i, j], (j, 1, m))


def test_sums_come_apart():
    found = tangent(sp.Sum(W[k, p, q] * X[k - 1, i, q], (q, 1, n(k - 1))))
    assert isinstance(found, sp.Add)
    assert all(isinstance(term, sp.Sum) for term in found.args)


def test_inputs_do_not_move():
    first = derive(None, "preactivation", 2).condition("T0", 1)
    assert first.equation("matrix", layer=1) == "ż_i¹ = Ẇ¹ x_i⁰ + ḃ¹"
    assert first.equation("matrix", layer=2) == "ż_i² = W² ẋ_i¹ + Ẇ² x_i¹ + ḃ²"
    assert "ẋ" not in first.equation("index", layer=1)


def test_the_order_of_a_derivation():
    labels = [label for label, _, _ in derive(order=2).equations()]
    assert labels == ["S1", "S2", "S3", "S5", "S6", "T1", "T2", "T3", "T5", "T6"]
    assert [label for label, _, _ in derive().equations()] == labels[:5]
    assert derive(order=2).split("preactivation").order == 2
    with pytest.raises(DerivationError, match="unknown order 3; known: 1, 2"):
        derive(order=3)


def test_what_is_differentiated_is_named():
    written = {label: text for label, _, text in derive(order=2).equations("matrix")}
    assert written["T6"].startswith("∂L̇/∂b^k = ")
    assert written["S6"].startswith("∂L/∂b^k = ")


@pytest.mark.slow  # measures time, so it wants the machine for itself
def test_second_order_takes_at_most_a_second_more():
    for cache in (stationarity,):
        cache.cache_clear()
    mixed = (l.COMPONENTWISE, l.COUPLED)
    stationarity(Lagrangian("activation", mixed))
    start = time.process_time()
    conditions("activation", mixed)
    assert time.process_time() - start < 1.0
