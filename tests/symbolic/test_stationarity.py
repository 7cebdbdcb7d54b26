"""The conditions: as SymPy expressions written out by hand, and as numbers by brute force.

The Lagrangian below is stated once more, in NumPy, and differentiated by complex steps; nothing of
the derivation enters it.
"""

import numpy as np
import pytest
import sympy as sp

from lagrangenet import Dense, Derivation, DerivationError, Problem, chain, derive
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.stationarity import Condition, stationarity
from tests.symbolic.world import STEP, example

k, i, p, q, N, M, n = l.k, l.i, l.p, l.q, l.N, l.M, l.n
X, Z, W, b, lam, mu, rho = l.X, l.Z, l.W, l.b, l.lam, l.mu, l.rho
r = sp.Symbol("r", integer=True, positive=True)
sigma, slope = l.opaque("sigma"), l.opaque("sigma", 1)
omega_slope = l.opaque("omega", 1)
ell_slope = l.partial_of("ell")
jacobian = l.partial_of("sigma")

SPLITTINGS = ["activation", "preactivation"]


def conditions(splitting, kinds=(l.COMPONENTWISE,)):
    return stationarity(Lagrangian(splitting, kinds))


def by_label(splitting):
    return {condition.label: condition for condition in conditions(splitting)}


# -- exact -----------------------------------------------------------------------------------------

OUTPUT = -ell_slope(i, p, X[N, i, l.STAR], n(N)) / M
LINEAR = sp.Sum(W[k, p, q] * X[k - 1, i, q], (q, 1, n(k - 1))) + b[k, p]

EXACT = {
    "activation": {
        "S1": (lam[k, i, p], X[k, i, p], sigma(k, Z[k, i, p])),
        "S2": (X[N, i, p], lam[N, i, p], OUTPUT),
        "S3": (
            X[k, i, p],
            lam[k, i, p],
            sp.Sum(
                W[k + 1, q, p] * slope(k + 1, Z[k + 1, i, q]) * lam[k + 1, i, q],
                (q, 1, n(k + 1)),
            ),
        ),
        "S5": (
            W[k, p, q],
            None,
            rho * omega_slope(W[k, p, q])
            - sp.Sum(slope(k, Z[k, i, p]) * lam[k, i, p] * X[k - 1, i, q], (i, 1, M)),
        ),
        "S6": (b[k, p], None, -sp.Sum(slope(k, Z[k, i, p]) * lam[k, i, p], (i, 1, M))),
    },
    "preactivation": {
        "S0": (mu[k, i, p], Z[k, i, p], LINEAR),
        "S1": (lam[k, i, p], X[k, i, p], sigma(k, Z[k, i, p])),
        "S2": (X[N, i, p], lam[N, i, p], OUTPUT),
        "S3": (
            X[k, i, p],
            lam[k, i, p],
            sp.Sum(W[k + 1, q, p] * mu[k + 1, i, q], (q, 1, n(k + 1))),
        ),
        "S4": (Z[k, i, p], mu[k, i, p], slope(k, Z[k, i, p]) * lam[k, i, p]),
        "S5": (
            W[k, p, q],
            None,
            rho * omega_slope(W[k, p, q]) - sp.Sum(mu[k, i, p] * X[k - 1, i, q], (i, 1, M)),
        ),
        "S6": (b[k, p], None, -sp.Sum(mu[k, i, p], (i, 1, M))),
    },
}


@pytest.mark.parametrize("splitting", SPLITTINGS)
def test_the_conditions_that_there_are(splitting):
    assert [c.label for c in conditions(splitting)] == list(EXACT[splitting])


@pytest.mark.parametrize(
    ("splitting", "label"), [(s, label) for s in SPLITTINGS for label in EXACT[s]]
)
def test_the_exact_condition(splitting, label):
    condition = by_label(splitting)[label]
    wrt, unknown, value = EXACT[splitting][label]
    assert condition.wrt == wrt
    assert condition.unknown == unknown
    if unknown is None:
        assert condition.solution is None
        assert condition.residual == value
    else:
        assert condition.solution == value
        assert sp.expand(condition.residual - (unknown - value)) == 0


@pytest.mark.parametrize("splitting", SPLITTINGS)
def test_the_layers_for_which_a_condition_holds(splitting):
    layers = {c.label: c.layers for c in conditions(splitting)}
    assert layers.pop("S2") == "output"
    assert layers.pop("S3") == "hidden"
    assert set(layers.values()) == {"all"}


def test_the_coupled_conditions_sum_over_the_jacobian():
    vector = Z[k, i, l.STAR]
    found = {c.label: c.residual for c in conditions("preactivation", (l.COUPLED,))}
    backward = mu[k, i, p] - sp.Sum(jacobian(k, q, p, vector, n(k)) * lam[k, i, q], (q, 1, n(k)))
    assert sp.expand(found["S4"] - backward) == 0
    assert found["S1"] == X[k, i, p] - l.sigma_vector(k, p, vector, n(k))


# -- brute force -----------------------------------------------------------------------------------


def lagrangian_value(world, splitting, variables):
    """L of the written-out problem at complex ``variables``: (name, layer) → array."""

    def get(name, layer=None):
        array = world.arrays[name] if layer is None else world.arrays[name][layer]
        return variables.get((name, layer), array)

    labels, output = world.arrays["Y"], get("X", world.depth)
    value = sum(world.ell(y, x) for y, x in zip(labels, output, strict=True)) / world.samples
    for k in range(1, world.depth + 1):
        value += world.rho * world.omega(get("W", k)).sum()
        affine = get("X", k - 1) @ get("W", k).T + get("b", k)
        if splitting == "preactivation":
            value += (get("mu", k) * (get("Z", k) - affine)).sum()
            affine = get("Z", k)
        sigma = np.array([world.sigma[k](row) for row in affine])
        value += (get("lambda", k) * (get("X", k) - sigma)).sum()
    return value


def derivative(world, splitting, name, layer, position):
    """∂L/∂v by a complex step in one entry."""
    moved = world.arrays[name][layer].astype(complex)
    moved[position] += 1j * STEP
    return np.imag(lagrangian_value(world, splitting, {(name, layer): moved})) / STEP


def prepared(coupled, splitting):
    """The example; in the activation splitting z^k abbreviates W^k x^{k-1} + b^k."""
    world = example(coupled)
    if splitting == "activation":
        a = world.arrays
        a["Z"] = {k: a["X"][k - 1] @ a["W"][k].T + a["b"][k] for k in a["Z"]}
    return world


CASES = [(s, c) for s in SPLITTINGS for c in [(), (3,), (2,), (1, 3), (1, 2, 3)]]


def kinds_of(world):
    return tuple(kind for kind in (l.COMPONENTWISE, l.COUPLED) if kind in world.kinds.values())


@pytest.mark.parametrize(("splitting", "coupled"), CASES)
def test_the_stated_lagrangian_is_that_of_the_network(splitting, coupled):
    world = prepared(coupled, splitting)
    stated = world.index(Lagrangian(splitting, kinds_of(world)).expr, {})
    assert stated == pytest.approx(lagrangian_value(world, splitting, {}), rel=1e-13)


@pytest.mark.parametrize(("splitting", "coupled"), CASES)
def test_every_condition_is_the_derivative_of_the_lagrangian(splitting, coupled):
    """At every layer, sample and component, at a point that satisfies no constraint."""
    world = prepared(coupled, splitting)
    seen = set()
    for condition in conditions(splitting, kinds_of(world)):
        name = str(condition.wrt.base.label)
        for layer in layers_of(condition, world):
            if not holds(condition, layer, world):
                continue
            array = world.arrays[name][layer]
            for position in np.ndindex(array.shape):
                free = condition.wrt.indices[1:]
                at = {l.k: layer} | dict(zip(free, (j + 1 for j in position), strict=True))
                expected = derivative(world, splitting, name, layer, position)
                found = world.index(condition.residual, at)
                assert found == pytest.approx(expected, rel=1e-11, abs=1e-12), (condition.label, at)
                seen.add((name, layer, position))
    names = {"X", "W", "b", "lambda"} | ({"Z", "mu"} if splitting == "preactivation" else set())
    variables = {
        (name, layer, position)
        for name in names
        for layer in range(1, world.depth + 1)
        for position in np.ndindex(world.arrays[name][layer].shape)
    }
    assert seen == variables  # every variable of L, once


@pytest.mark.parametrize(("splitting", "coupled"), CASES)
def test_residual_is_unknown_minus_solution(splitting, coupled):
    world = prepared(coupled, splitting)
    for condition in conditions(splitting, kinds_of(world)):
        if condition.unknown is None:
            continue
        for layer in layers_of(condition, world):
            if holds(condition, layer, world):
                at = {l.k: layer, l.i: 2, l.p: 1}
                difference = world.index(condition.unknown, at) - world.index(
                    condition.solution, at
                )
                assert world.index(condition.residual, at) == pytest.approx(difference, rel=1e-11)
                assert not condition.solution.has(condition.unknown)


def layers_of(condition, world):
    return {
        "all": range(1, world.depth + 1),
        "hidden": range(1, world.depth),
        "output": [world.depth],
    }[condition.layers]


def holds(condition, layer, world):
    if condition.kind_of is None:
        return True
    return world.kinds[world.number(condition.kind_of, {l.k: layer})] == condition.kind


# -- depth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("splitting", SPLITTINGS)
def test_the_derivation_is_the_same_for_every_depth(splitting):
    shallow, deep = (
        derive(chain([2] * (depth + 1), "tanh"), splitting).stationarity for depth in (2, 1000)
    )
    assert shallow is deep
    assert shallow == derive(None, splitting).stationarity


def test_mixed_kinds_do_not_depend_on_the_depth_either():
    def mixed(depth):
        layers = [Dense(2, "tanh")] * (depth - 1) + [Dense(2, "softmax")]
        return derive(Problem(2, layers, "cross_entropy")).stationarity

    assert mixed(2) is mixed(1000)


# -- a condition at a concrete layer ---------------------------------------------------------------


def test_condition_by_label_and_layer():
    derivation = derive(
        Problem(2, [Dense(3, "tanh"), Dense(3, "softmax"), Dense(2, "softmax")], "cross_entropy")
    )
    kinds = [derivation.condition("S1", layer).kind for layer in (1, 2, 3)]
    assert kinds == [l.COMPONENTWISE, l.COUPLED, l.COUPLED]
    assert derivation.condition("S3", 1).kind == l.COUPLED  # of layer 2, whose σ occurs
    assert derivation.condition("S2", 3).kind is None
    assert isinstance(derivation.condition("S5", 1), Condition)


@pytest.mark.parametrize("label", ["S0", "S4", "S7", ""])
def test_a_condition_that_does_not_exist(label):
    with pytest.raises(DerivationError, match=rf"no condition \({label}\) at layer 1"):
        derive(chain([2, 3, 1])).condition(label, 1)


def test_an_unknown_splitting():
    with pytest.raises(DerivationError, match="unknown splitting 'both'; known: activation, pre"):
        Lagrangian("both")
    with pytest.raises(DerivationError, match="unknown splitting 'both'"):
        derive(None, "both")


def test_split_keeps_the_problem():
    derivation = derive(chain([2, 3, 1]))
    assert derivation.split("preactivation") == Derivation(derivation.problem, "preactivation")
