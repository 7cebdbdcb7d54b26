"""Matrix form equals index form, at random arrays; what has no matrix form is refused."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import stationarity
from lagrangenet.symbolic.tensor import instantiate, same_shape, substituted
from tests.symbolic.world import example

k, i, p, q, n = l.k, l.i, l.p, l.q, l.n
X, W, b, lam = l.X, l.W, l.b, l.lam
r = sp.Symbol("r", integer=True, positive=True)

CASES = [
    (splitting, coupled)
    for splitting in ("activation", "preactivation")
    for coupled in [(), (3,), (1, 2, 3)]
]


def written(world, splitting):
    kinds = tuple(kind for kind in (l.COMPONENTWISE, l.COUPLED) if kind in world.kinds.values())
    for condition in stationarity(Lagrangian(splitting, kinds)):
        layers = {"all": range(1, 4), "hidden": range(1, 3), "output": [3]}[condition.layers]
        for layer in layers:
            holder = condition.kind_of
            if holder is None or (world.kinds[world.number(holder, {k: layer})] == condition.kind):
                yield condition, layer


def by_index(world, expr, axes, at):
    """An index expression at every value of ``axes``."""
    sizes = {i: world.samples, p: world.widths[at[k]], q: world.widths[at[k] - 1]}
    found = np.empty(tuple(sizes[axis] for axis in axes))
    for position in np.ndindex(found.shape):
        here = dict(zip(axes, (j + 1 for j in position), strict=True))
        found[position] = world.index(expr, {**at, **here})
    return found


@pytest.mark.parametrize(("splitting", "coupled"), CASES)
def test_batch_form_equals_index_form(splitting, coupled):
    """Rows are samples: the arrays of the code."""
    world = example(coupled)
    for condition, layer in written(world, splitting):
        for expr in (condition.residual, condition.solution):
            if expr is None:
                continue
            node = condition.tree(expr, batch=True)
            axes = condition.wrt.indices[1:]
            found = np.broadcast_to(
                world.array(node, layer), by_index(world, expr, axes, {k: layer}).shape
            )
            expected = by_index(world, expr, axes, {k: layer})
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("splitting", "coupled"), CASES)
def test_matrix_form_of_one_sample_equals_index_form(splitting, coupled):
    """Vectors are columns: the formulas on paper."""
    world = example(coupled)
    for condition, layer in written(world, splitting):
        axes = tuple(axis for axis in condition.wrt.indices[1:] if axis != i)
        samples = [1, 2, 3] if i in condition.wrt.indices else [None]
        for sample in samples:
            node = condition.tree(condition.residual)
            at = {k: layer} | ({i: sample} if sample else {})
            expected = by_index(world, condition.residual, axes, at)
            found = world.array(node, layer, sample)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("expr", "axes", "reads"),
    [
        (sp.Sum(W[k, p, q] * X[k - 1, i, q], (q, 1, n(k - 1))), (i, p), "x^{k−1} W^kᵀ"),
        (sp.Sum(W[k, p, q] * lam[k, i, p], (p, 1, n(k))), (i, q), "λ^k W^k"),
        (sp.Sum(lam[k, i, p] * X[k - 1, i, q], (i, 1, l.M)), (p, q), "λ^kᵀ x^{k−1}"),
        (sp.Sum(lam[k, i, p] * X[k - 1, i, q], (i, 1, l.M)), (q, p), "x^{k−1}ᵀ λ^k"),
        (sp.Sum(lam[k, i, p] * X[k, i, p], (p, 1, n(k))), (i,), "(λ^k ⊙ x^k) 𝟏"),
        (sp.Sum(lam[k, i, p], (i, 1, l.M)), (p,), "𝟏ᵀ λ^k"),
        (W[k, p, q], (q, p), "W^kᵀ"),
        (X[k, i, p] + b[k, p], (i, p), "x^k + b^k"),
        (-X[k, i, p] * lam[k, i, p] / l.M, (i, p), "−(1/M) λ^k ⊙ x^k"),
    ],
)
def test_products_sums_and_transposes(expr, axes, reads):
    world, node = example(), contract(expr, axes)
    assert text(node, labels="") == reads
    expected = by_index(world, expr, axes, {k: 2})
    np.testing.assert_allclose(world.array(node, 2), expected, rtol=1e-12)


def test_an_outer_product_of_one_sample():
    node = contract(lam[k, i, p] * X[k - 1, i, q], (p, q), labels=(i,))
    assert isinstance(node, t.Outer)
    world = example()
    a = world.arrays
    np.testing.assert_allclose(
        world.array(node, 2, 3), a["lambda"][2][2][:, None] * a["X"][1][2][None], rtol=1e-14
    )


def test_a_contraction_of_three_arrays_over_one_index():
    """Σ_i λ_ip x_iq x_iq: two of them run over the same axes."""
    expr = sp.Sum(lam[k, i, p] * X[k - 1, i, q] ** 2, (i, 1, l.M))
    world = example()
    expected = by_index(world, expr, (p, q), {k: 2})
    np.testing.assert_allclose(world.array(contract(expr, (p, q)), 2), expected, rtol=1e-12)


def test_indices_that_are_left_over_are_refused():
    with pytest.raises(DerivationError, match="left over where"):
        contract(W[k, p, q], (p,))


def test_a_compound_subscript_is_refused():
    with pytest.raises(DerivationError, match="has a compound subscript"):
        contract(X[k, i, p + 1], (i, p))


def test_an_expression_without_array_form_is_refused():
    with pytest.raises(DerivationError, match="no array form for"):
        contract(sp.KroneckerDelta(p, q) * X[k, i, p], (i, p))


# -- trees -----------------------------------------------------------------------------------------


def test_instantiate_puts_the_layer_into_references_and_functions():
    expr = sp.Sum(W[k + 1, q, p] * l.sigma(k + 1, l.Z[k + 1, i, q]), (q, 1, n(k + 1)))
    node = instantiate(contract(expr, (i, p)), {k: sp.Integer(4)})
    layers = {one.layer for one in node.walk() if isinstance(one, t.Ref)}
    layers |= {one.fn.layer for one in node.walk() if isinstance(one, t.Call)}
    assert layers == {sp.Integer(5)}


def test_equal_computations_over_other_axes_have_the_same_shape_and_are_substituted():
    one = contract(l.sigma(k, l.Z[k, i, p]), (i, p))
    other = contract(l.sigma(k, l.Z[k, i, q]), (i, q))
    assert one != other
    assert same_shape(one) == same_shape(other)
    known = {same_shape(one): t.Ref((i, p), "S", k)}
    assert substituted(other, known) == t.Ref((i, q), "S", k)
    assert substituted(contract(l.sigma(k, X[k, i, q]), (i, q)), known) != known


def test_nodes_are_frozen_and_compare_by_value():
    expr = sp.Sum(W[k, p, q] * X[k - 1, i, q], (q, 1, n(k - 1))) + b[k, p]
    assert contract(expr, (i, p)) == contract(expr, (i, p))
    assert hash(contract(expr, (i, p))) == hash(contract(expr, (i, p)))
    with pytest.raises(AttributeError):
        contract(expr, (i, p)).axes = ()
