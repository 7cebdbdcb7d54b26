"""Hessian and Gauss-Newton products, sparse second derivatives and classification of points."""

import logging
import pickle
from functools import cache

import numpy as np
import pytest
import scipy.optimize

from lagrangenet import (
    L2,
    Constraint,
    DataError,
    Dense,
    DerivationError,
    Layer,
    Problem,
    chain,
    classify,
    derive,
    generate,
)
from lagrangenet.verify.differences import unflatten
from lagrangenet.verify.explicit import ExplicitLagrangian
from tests.problems import BANK, case, flat, random_point, random_problem, relative_error

TOLERANCE = 1e-12


@cache
def routines(problem, dtype="float64"):
    return generate(derive(problem, order=2), dtype)


def direction(problem, rng):
    return tuple((rng.normal(size=W), rng.normal(size=b)) for W, b in problem.shapes)


def matrix(problem, product, theta, X, Y):
    """The matrix of a product, column by column."""
    code = routines(problem)
    return np.stack([product(code, code.pack(theta), unit, X, Y) for unit in np.eye(problem.size)],
                    axis=1)  # fmt: skip


def hessian(problem, theta, X, Y):
    return matrix(problem, lambda code, *args: code.hessp(*args), theta, X, Y)


def gauss_newton(problem, theta, X, Y):
    return matrix(problem, lambda code, *args: code.gauss_newtonp(*args), theta, X, Y)


# -- against torch ---------------------------------------------------------------------------------


def by_torch(problem, theta, X, Y, along):
    """∇²J v by differentiating ⟨∇J, v⟩ once more."""
    reference = pytest.importorskip("tests.torch_reference")
    torch = reference.torch
    parameters = [torch.tensor(a, requires_grad=True) for layer in theta for a in layer]
    x, y = torch.tensor(X), torch.tensor(Y)
    for layer, W, b in zip(problem.layers, parameters[::2], parameters[1::2], strict=True):
        z = torch.nn.functional.linear(x, W, b)
        x = reference.activation(layer.activation)(z)
    logits = z if problem.loss.name == "cross_entropy" else None
    J = reference.loss(problem.loss, x, y, logits) + reference.penalty(
        problem.regularizer, parameters
    )
    slopes = torch.autograd.grad(J, parameters, create_graph=True)
    moved = [torch.tensor(a) for layer in along for a in layer]
    total = sum((s * v).sum() for s, v in zip(slopes, moved, strict=True))
    if not total.requires_grad:
        return np.zeros(problem.size)
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return flat([[np.zeros(p.shape) if f is None else f.numpy()
                  for f, p in zip(found, parameters, strict=True)]])  # fmt: skip


def errors(count, first=0):
    """Errors of Hessian-vector products of random networks."""
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng)
        _, theta, X, Y = random_point(problem, rng)
        along = direction(problem, rng)
        found = flat(routines.__wrapped__(problem).hessian_product(theta, X, Y, along))
        expected = by_torch(problem, theta, X, Y, along)
        # Where the Hessian is zero because terms cancel, both are rounding errors: equal.
        largest = max(np.linalg.norm(found), np.linalg.norm(expected))
        vanish = largest <= 1e-14 * np.linalg.norm(flat(along))
        yield 0.0 if vanish else relative_error(found, expected), str(problem)


def test_random_networks_against_torch():
    worst = max(errors(30))
    logging.getLogger(__name__).info("30 Hessian-vector products against torch: %.1e", worst[0])
    assert worst[0] <= TOLERANCE, worst


@pytest.mark.slow
def test_2000_random_networks_against_torch():
    worst = max(errors(2000, first=1000))
    logging.getLogger(__name__).info("2000 Hessian-vector products: %.1e", worst[0])
    assert worst[0] <= TOLERANCE, worst


# -- shapes, types, edges --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BANK)
def test_hessian_is_symmetric_and_linear(name):
    problem, theta, X, Y = case(BANK[name])
    H = hessian(problem, theta, X, Y)
    assert relative_error(H, H.T) <= TOLERANCE
    rng = np.random.default_rng(1)
    code = routines(problem)
    u, v = rng.normal(size=(2, problem.size))
    both = code.hessp(code.pack(theta), 2 * u - v, X, Y)
    assert relative_error(both, H @ (2 * u - v)) <= TOLERANCE


@pytest.mark.parametrize("name", BANK)
def test_gauss_newton_is_positive_semidefinite(name):
    """For a convex loss; the curvature of the network is what it leaves out."""
    problem, theta, X, Y = case(BANK[name])
    G = gauss_newton(problem, theta, X, Y)
    assert relative_error(G, G.T) <= TOLERANCE
    eigenvalues = np.linalg.eigvalsh((G + G.T) / 2)
    assert eigenvalues[0] >= -1e-12 * max(1.0, eigenvalues[-1])


def test_gauss_newton_is_the_hessian_of_a_linear_network():
    for loss, output in (("squared_error", "identity"), ("binary_cross_entropy", "identity"),
                         ("cross_entropy", "softmax")):  # fmt: skip
        problem, theta, X, Y = case(Problem(3, [Dense(2, output)], loss, L2(0.1)))
        H, G = hessian(problem, theta, X, Y), gauss_newton(problem, theta, X, Y)
        assert relative_error(G, H) <= TOLERANCE


def test_gauss_newton_of_a_perfect_fit_is_the_hessian():
    problem, theta, X, _ = case(chain([2, 3, 2], "tanh"))
    Y = routines(problem).forward(theta, X)[-1][1]
    H, G = hessian(problem, theta, X, Y), gauss_newton(problem, theta, X, Y)
    assert relative_error(G, H) <= TOLERANCE
    assert relative_error(gauss_newton(problem, theta, X, Y + 1), G) <= TOLERANCE
    assert relative_error(hessian(problem, theta, X, Y + 1), G) > 1e-3


@pytest.mark.parametrize("widths", [[1, 1], [1, 1, 1], [3, 1, 2], [1, 4, 1, 1]])
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_axes_of_length_one(widths, loss):
    problem = chain(widths, "tanh", loss)
    _, theta, X, Y = case(problem, samples=1)
    along = direction(problem, np.random.default_rng(0))
    found = flat(routines(problem).hessian_product(theta, X, Y, along))
    assert relative_error(found, by_torch(problem, theta, X, Y, along)) <= TOLERANCE


def test_float32_stays_float32():
    problem, theta, X, Y = case(chain([3, 4, 3], "tanh", "cross_entropy"))
    code = routines(problem, "float32")

    def single(layers):
        return tuple(tuple(a.astype(np.float32) for a in layer) for layer in layers)

    along = direction(problem, np.random.default_rng(0))
    found = code.hessian_product(
        single(theta), X.astype(np.float32), Y.astype(np.float32), single(along)
    )
    assert {a.dtype for layer in found for a in layer} == {np.dtype(np.float32)}
    expected = routines(problem).hessian_product(theta, X, Y, along)
    assert relative_error(flat(found), flat(expected)) < 1e-5
    kkt = code.kkt_matrix(single(theta), X.astype(np.float32), Y.astype(np.float32))
    assert kkt.matrix.dtype == np.float32


def test_saturated_outputs_are_finite():
    """|z| to 1e4 with every label: cross-entropy and softmax have no poles in the second order."""
    problem = chain([2, 3, 3], "tanh", "cross_entropy")
    rng = np.random.default_rng(0)
    theta = tuple((1e4 * W, 1e3 * b) for W, b in direction(problem, rng))
    X, Y = rng.normal(size=(6, 2)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    along = direction(problem, rng)
    code = routines(problem)
    for product in (code.hessian_product, code.gauss_newton_product):
        assert np.isfinite(flat(product(theta, X, Y, along))).all()


def test_arguments_are_not_modified_and_equal_calls_give_equal_bits():
    problem, theta, X, Y = case(chain([2, 3, 2], "softplus", "cross_entropy"))
    along = direction(problem, np.random.default_rng(0))
    arrays = [X, Y, *(a for layer in (*theta, *along) for a in layer)]
    before = [a.copy() for a in arrays]
    first, second = (routines(problem).hessian_product(theta, X, Y, along) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(before, arrays, strict=True))
    assert np.array_equal(flat(first), flat(second))


def test_routines_of_the_first_order_say_so():
    problem, theta, X, Y = case(chain([2, 3, 1]))
    code = generate(derive(problem))
    assert (code.order, routines(problem).order) == (1, 2)
    for call in (
        lambda: code.hessian_product(theta, X, Y, theta),
        lambda: code.gauss_newton_product(theta, X, Y, theta),
        lambda: code.kkt_matrix(theta, X, Y),
    ):
        with pytest.raises(DerivationError, match=r"first order .*derive\(problem, order=2\)"):
            call()


def test_a_direction_of_another_shape():
    problem, theta, X, Y = case(chain([2, 3, 1]))
    with pytest.raises(DataError, match="direction: W of layer 2 has shape"):
        routines(problem).hessian_product(theta, X, Y, (theta[0], theta[0]))


def test_routines_survive_pickling():
    problem, theta, X, Y = case(chain([2, 3, 1]))
    copy = pickle.loads(pickle.dumps(routines(problem)))
    assert np.array_equal(flat(copy.hessian_product(theta, X, Y, theta)),
                          flat(routines(problem).hessian_product(theta, X, Y, theta)))  # fmt: skip
    assert pickle.loads(pickle.dumps(derive(problem, order=2))).order == 2


def test_scipy_minimizes_with_products():
    problem = chain([2, 3, 1], "tanh", regularizer=L2(0.01))
    _, theta, X, Y = case(problem)
    code = routines(problem)
    for product in (code.hessp, code.gauss_newtonp):
        found = scipy.optimize.minimize(
            code.fun, code.pack(theta), (X, Y), "trust-ncg", jac=True, hessp=product,
            options={"gtol": 1e-9, "maxiter": 2000},
        )  # fmt: skip
        assert found.success, found.message
        assert np.abs(code.fun(found.x, X, Y)[1]).max() < 1e-9


# -- sparse second derivatives ---------------------------------------------------------------------

SMALL = [
    chain([2, 3, 1], "tanh", regularizer=L2(0.1)),
    chain([2, 3, 2], "softmax", "cross_entropy", regularizer=L2(0.1)),
    Problem(1, [Dense(2, "softplus"), Dense(3, "softmax"), Dense(2, "sigmoid")],
            "binary_cross_entropy"),
    chain([2, 3, 2], "relu"),
    chain([1, 1], "tanh", output="tanh"),
]  # fmt: skip


def anywhere(problem, samples=3, seed=0):
    """A point that satisfies no condition: θ, X, Y, states and multipliers."""
    rng = np.random.default_rng(seed)
    _, theta, X, Y = case(problem, samples, seed)
    shapes = [(samples, width) for width in problem.widths[1:]]
    states = tuple((np.zeros(shape), 0.1 + rng.random(shape)) for shape in shapes)
    multipliers = tuple((np.zeros(shape), rng.normal(size=shape)) for shape in shapes)
    return theta, X, Y, states, multipliers


@pytest.mark.parametrize("problem", SMALL, ids=str)
def test_sparse_blocks_are_those_of_the_explicit_lagrangian(problem):
    theta, X, Y, states, multipliers = anywhere(problem)
    kkt = routines(problem).kkt_matrix(theta, X, Y, states, multipliers)
    explicit = ExplicitLagrangian(problem, len(X))
    v = explicit.pack([x for _, x in states], theta)
    hessian_there = explicit.lagrangian_hessian(v, [lam for _, lam in multipliers], X, Y)
    jacobian = explicit.jacobian(v, X)
    scale = np.abs(hessian_there).max()
    assert np.abs(kkt.hessian.toarray() - hessian_there).max() <= 1e-14 * scale
    assert np.abs(kkt.jacobian.toarray() - jacobian).max() <= 1e-14 * np.abs(jacobian).max()


@pytest.mark.parametrize("problem", SMALL, ids=str)
def test_the_matrix_is_that_of_the_product(problem):
    """∇²L times a direction in all of λ, x, θ at once."""
    theta, X, Y, states, multipliers = anywhere(problem)
    rng = np.random.default_rng(9)
    code = routines(problem)
    along = direction(problem, rng)
    moved = [tuple((rng.normal(size=x.shape),) for _, x in states) for _ in range(2)]
    found = code.kkt_product(theta, X, Y, states, multipliers, along, *moved)
    kkt = code.kkt_matrix(theta, X, Y, states, multipliers)
    whole = kkt.matrix @ np.concatenate([flat(moved[0]), flat(along), flat(moved[1])])
    by_lambda, by_x = (np.concatenate([layer[j].ravel() for layer in found]) for j in (0, 1))
    expected = np.concatenate([by_x, flat([layer[2:] for layer in found]), by_lambda])
    assert relative_error(whole, expected) <= 1e-14


@pytest.mark.parametrize("problem", SMALL, ids=str)
def test_the_reduced_hessian_is_that_of_the_reduced_objective(problem):
    _, theta, X, Y = case(problem, 3)
    kkt = routines(problem).kkt_matrix(theta, X, Y)
    Z = kkt.null_space()
    assert np.abs(kkt.jacobian @ Z).max() <= 1e-13 * np.abs(Z).max()
    assert relative_error(kkt.reduced_hessian(), hessian(problem, theta, X, Y)) <= TOLERANCE


def test_the_matrix_is_sparse_and_symmetric():
    problem, theta, X, Y = case(chain([2] + [3] * 8 + [1], "tanh"), samples=20)
    kkt = routines(problem).kkt_matrix(theta, X, Y)
    whole = kkt.matrix
    assert whole.shape == (2 * 20 * 25 + problem.size,) * 2
    assert whole.nnz < 0.03 * whole.shape[0] ** 2
    assert abs(whole - whole.T).max() <= 1e-15


def test_kkt_product_wants_what_fits():
    problem = SMALL[0]
    theta, X, Y, states, multipliers = anywhere(problem)
    moved = tuple((x,) for _, x in states)
    with pytest.raises(DataError, match="state_tangents"):
        routines(problem).kkt_product(theta, X, Y, states, multipliers, theta, states, moved)
    short = tuple((x[:2],) for _, x in states)
    with pytest.raises(DataError, match="multiplier_tangents has 2"):
        routines(problem).kkt_product(theta, X, Y, states, multipliers, theta, moved, short)


# -- classification --------------------------------------------------------------------------------

X2 = np.array([[-1.0], [1.0]])


def zero(problem):
    return unflatten(np.zeros(problem.size), routines(problem).initial())


def test_a_minimum():
    problem = chain([1, 1])
    found = classify(problem, ((np.array([[2.0]]), np.zeros(1)),), X2, 2 * X2)
    assert (found.kind, found.inertia, found.direction) == ("minimum", (2, 0, 0), None)
    assert found.eigenvalues == pytest.approx([1, 1])


def test_a_saddle_of_a_linear_network():
    """J = ½ mean (w₂ w₁ x − y)² at the origin: eigenvalues ±mean(x y), 1 for b², 0 for b¹."""
    problem = chain([1, 1, 1], "identity")
    found = classify(problem, zero(problem), X2, 3 * X2)
    assert (found.kind, found.index, found.inertia) == ("saddle", 1, (2, 1, 1))
    assert found.eigenvalues == pytest.approx([-3, 0, 1, 3])
    (W1, b1), (W2, b2) = found.direction
    assert abs(W1) == pytest.approx(np.sqrt([[0.5]]))
    assert abs(W2) == pytest.approx(abs(W1))
    assert np.allclose([b1, b2], 0)
    code, step = routines(problem), 1e-3
    down = tuple((step * W, step * b) for W, b in found.direction)
    assert code.loss(down, X2, 3 * X2) < code.loss(zero(problem), X2, 3 * X2)


@pytest.mark.parametrize(("widths", "index"), [([1, 3, 1], 3), ([2, 3, 2], 6), ([2, 1, 2], 2)])
def test_the_index_counts_units_and_directions_of_the_data(widths, index):
    """At the origin every hidden unit can learn every singular direction of mean(y xᵀ)."""
    problem = chain(widths, "identity")
    X = np.vstack([np.eye(widths[0]), -np.eye(widths[0])])
    assert classify(problem, zero(problem), X, X).index == index


def test_strong_regularization_makes_the_origin_degenerate():
    """ρ > |mean(x y)|: only the bias b¹, which is not penalized, is left undecided."""
    problem = chain([1, 1, 1], "identity", regularizer=L2(4.0))
    found = classify(problem, zero(problem), X2, 3 * X2)
    assert (found.kind, found.inertia) == ("degenerate", (3, 0, 1))


def test_what_a_classification_says():
    problem = chain([1, 1, 1], "identity")
    said = str(classify(problem, zero(problem), X2, 3 * X2))
    assert said == (
        "saddle of index 1: inertia (2, 1, 1), eigenvalues from -3 to 3, zero up to 3.0e-08; "
        "‖∇J‖∞ = 0.0e+00"
    )


def test_points_that_are_not_stationary_are_refused():
    problem = chain([1, 1])
    with pytest.raises(DataError, match="not stationary"):
        classify(problem, ((np.ones((1, 1)), np.zeros(1)),), X2, 2 * X2)


def test_kinks_are_refused():
    problem = chain([1, 1, 1], "relu")
    with pytest.raises(DataError, match="at a kink"):
        classify(problem, zero(problem), X2, X2)


def test_large_problems_are_counted_by_lanczos():
    """J = ½ mean |W x + b − y|² + (ρ/2)(|W|² + |b|²) of 3660 parameters has Hessian eigenvalues ≥ ρ."""
    problem = chain([60, 60], regularizer=L2(0.5, biases=True))
    found = classify(problem, zero(problem), np.eye(60)[:2], np.zeros((2, 60)))
    assert (found.kind, found.inertia, found.direction) == ("minimum", (3660, 0, 0), None)
    assert found.eigenvalues[0] == pytest.approx(0.5)
    assert found.computed == "the 6 smallest of 3660 eigenvalues by Lanczos, and the largest"


def test_a_large_saddle_has_at_least_the_index_that_lanczos_finds():
    problem = chain([60, 60, 2], "identity")
    X = np.vstack([np.eye(60)[:2], -np.eye(60)[:2]])
    found = classify(problem, zero(problem), X, X[:, :2])
    assert (found.kind, found.inertia, found.index) == ("saddle", None, 6)
    assert "saddle of index at least 6: the 6 smallest of 3782 eigenvalues" in str(found)
    code, step = routines(problem), 1e-3
    down = tuple((step * W, step * b) for W, b in found.direction)
    assert code.loss(down, X, X[:, :2]) < code.loss(zero(problem), X, X[:, :2])


def test_a_point_of_a_graph_is_classified():
    """The same network as a graph has the same eigenvalues."""
    graph = Problem.graph(
        {"x": 1}, [Constraint("h", "affine", "x", m=1), Constraint("y", "affine", "h", m=1)]
    )
    theta = {name: np.zeros(graph.shape_of(name)) for name in graph.parameters}
    found = classify(graph, theta, {"x": X2}, 3 * X2)
    assert (found.kind, found.inertia) == ("saddle", (2, 1, 1))
    assert found.eigenvalues == pytest.approx([-3, 0, 1, 3])
    assert abs(found.direction["W_h"]) == pytest.approx(np.sqrt([[0.5]]))


GATE = Layer("gate", "y[i,p] = u[i,p]*sigma(u[i,p])", "u[M,n] y[M,n]")


@pytest.mark.parametrize("last", [
    Constraint("y", "dense", "x", m=1, activation="relu", W="w", b="c"),
    Constraint("y", GATE, "z", activation="relu"),
])  # fmt: skip
def test_kinks_of_graphs_are_refused(last):
    first = [Constraint("z", "affine", "x", m=1, W="w", b="c")] if last.entry is GATE else []
    graph = Problem.graph({"x": 1}, [*first, last])
    at = {"w": np.zeros((1, 1)), "c": np.zeros(1)}
    with pytest.raises(DataError, match="at a kink"):
        classify(graph, at, {"x": X2}, 0 * X2)
    assert classify(graph, at | {"c": np.ones(1)}, {"x": X2}, 1 + 0 * X2).kind == "minimum"


def test_a_converged_network_is_a_minimum():
    problem = chain([2, 2, 1], "tanh", regularizer=L2(0.001))
    _, theta, X, Y = case(problem, samples=8)
    code = routines(problem)
    found = scipy.optimize.minimize(
        code.fun, code.pack(theta), (X, Y), "trust-exact", jac=True,
        hess=lambda v, *data: np.stack([code.hessp(v, e, *data) for e in np.eye(v.size)]),
        options={"gtol": 1e-10},
    )  # fmt: skip
    kind = classify(problem, code.unpack(found.x), X, Y)
    assert kind.kind == "minimum", str(kind)
