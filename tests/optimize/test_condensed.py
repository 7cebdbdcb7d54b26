"""Generated blocks, and the condensed step against the whole sparse KKT system."""

import numpy as np
import pytest

from lagrangenet import L2, chain
from lagrangenet.errors import DerivationError
from lagrangenet.optimize.blocks import Layered, flattened, source
from lagrangenet.optimize.compiled import Condenser
from lagrangenet.optimize.condensed import Condensed, matrix, sweep
from lagrangenet.optimize.gauss_newton import matrix as gauss_newton_matrix
from lagrangenet.optimize.inertia import Shifted
from lagrangenet.optimize.lifted_chain import LiftedChain
from lagrangenet.optimize.lifted_sparse import SparseSystem
from lagrangenet.optimize.task import Task
from lagrangenet.runtime import compiled
from lagrangenet.runtime.kkt import ChainLayout
from tests.compilers import needs_compiler


def onehot(samples, classes):
    return np.eye(classes)[np.arange(samples) % classes]


def real(samples, outputs):
    return np.random.default_rng(5).normal(size=(samples, outputs))


#: Componentwise and coupled activations, fused and other losses, weights on both, kinks.
PROBLEMS = {
    "tanh": (chain([2, 4, 3, 2], "tanh", regularizer=L2(0.1)), real),
    "biases": (chain([2, 4, 3, 2], "gelu", regularizer=L2(0.1, biases=True)), real),
    "classes": (chain([2, 4, 3, 3], "softplus", loss="cross_entropy"), onehot),
    "weighted": (
        chain([2, 4, 3], "tanh", loss="cross_entropy", class_weights=(1, 2, 3)),
        onehot,
    ),
    "elastic": (chain([2, 3, 2], "silu", regularizer={"name": "elastic_net"}), real),
    "sigmoid output": (chain([2, 4, 3, 5, 2], "tanh", output="sigmoid"), real),
    "softmax hidden": (chain([2, 4, 3, 3], "softmax", regularizer=L2(0.1)), real),
    "softmax output": (chain([2, 4, 3], "tanh", output="softmax"), real),
    "density": (chain([2, 3, 2], "tanh", loss="negative_log_density"), real),
    "log": (chain([2, 3, 3], "tanh", loss="log_probability"), onehot),
    "huber": (chain([2, 3, 2], "tanh", loss={"name": "huber", "delta": 0.5}), real),
    "compared": (chain([2, 3, 3], "tanh", loss="multiclass_hinge"), onehot),
    "relu": (chain([2, 6, 5, 2], "relu"), real),
    "one layer": (chain([3, 2], "identity"), real),
    "own": (chain([2, 4, 2], "z/(1 + z**2)", regularizer=L2(0.1)), real),
}
SMOOTH_OUTPUT = ("tanh", "biases", "softmax hidden", "elastic", "own")


def net(name, samples=7, dtype="float64"):
    problem, labels = PROBLEMS[name]
    X = np.random.default_rng(1).normal(size=(samples, problem.inputs))
    return Layered(problem, X.astype(dtype), labels(samples, problem.widths[-1]).astype(dtype))


def anywhere(layered, seed=0):
    """Values and multipliers at a point that is neither feasible nor stationary."""
    rng = np.random.default_rng(seed)
    dtype = layered.X.dtype
    theta = rng.normal(size=layered.problem.size).astype(dtype)
    states = layered.forward(theta)
    at = layered.values(theta, states + 0.3 * rng.normal(size=states.size).astype(dtype))
    return at, 0.1 * rng.normal(size=states.size).astype(dtype)


def whole(lower):
    return np.tril(lower) + np.tril(lower, -1).T


@pytest.mark.parametrize("name", PROBLEMS)
def test_at_feasible_points_the_condensed_matrix_is_the_reduced_hessian(name):
    layered = net(name)
    task = Task(layered.problem, layered.X, layered.Y)
    theta = np.random.default_rng(3).normal(size=task.size)
    rows = layered.rows(theta)
    at = layered.values(rows, layered.forward(rows))
    found = whole(matrix(layered, layered.blocks(at, layered.adjoint(at))))
    products = np.array([task.hessp(theta, unit) for unit in np.eye(task.size)])
    assert at.fun == pytest.approx(task.fun(theta), rel=1e-14)
    assert np.abs(found[np.ix_(layered.order, layered.order)] - products).max() <= 1e-13


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_matrix_is_the_derivative_of_the_sweeps_anywhere(name):
    layered = net(name)
    at, multipliers = anywhere(layered)
    blocks = layered.blocks(at, multipliers)
    along = np.random.default_rng(2).normal(size=layered.problem.size)
    for weight in (0.0, 0.7):
        still, moved = (sweep(layered, blocks, d, weight)[2] for d in (None, along))
        product = whole(matrix(layered, blocks, weight)) @ along
        assert np.abs(still + product - moved).max() <= 1e-12 * (1 + np.abs(product).max())
    metric = matrix(layered, blocks, 0.7) - matrix(layered, blocks)
    assert np.abs(np.tril(metric - 0.7 * matrix(layered, blocks, metric=True))).max() <= 1e-12


@pytest.mark.parametrize("name", SMOOTH_OUTPUT)
def test_the_condensed_step_solves_the_whole_kkt_system(name):
    """Against dense elimination of the sparse matrix, at a point that is not feasible."""
    layered = net(name)
    routines = Task(layered.problem, layered.X, layered.Y).routines
    at, multipliers = anywhere(layered)
    blocks, theta = layered.blocks(at, multipliers), layered.flat(at.theta)
    ridge = 10.0 * np.eye(theta.size)  # also where the matrix is singular
    along = np.linalg.solve(
        whole(matrix(layered, blocks)) + ridge, -sweep(layered, blocks, None)[2]
    )
    dx, plus, _ = sweep(layered, blocks, along)
    pairs = [tuple((a, a) for a in layered.split(v)) for v in (at.flat, multipliers)]
    shaped = routines.unpack(theta)
    kkt = routines.kkt_matrix(shaped, layered.X, layered.Y, *pairs)
    found = routines.residuals(shaped, layered.X, layered.Y, *pairs)
    c, by_x, by_theta = ChainLayout(layered.problem, len(layered.X)).flat(found)
    dense, m, P = kkt.matrix.toarray(), c.size, theta.size
    dense[m : m + P, m : m + P] += ridge
    solved = np.linalg.solve(dense, -np.concatenate([by_x, by_theta, c]))
    mine = np.concatenate([flattened(dx), layered.flat(along), flattened(plus) - multipliers])
    assert np.abs(mine - solved).max() <= 1e-10 * np.abs(solved).max()


@needs_compiler
@pytest.mark.parametrize("samples", [1, 7, 96, 250])
@pytest.mark.parametrize("name", PROBLEMS)
def test_compiled_and_numpy_assemble_the_same(name, samples):
    layered = net(name, samples)
    condenser = Condenser(layered)
    if any(entry.coupled for entry in layered.problem.activations[:-1]):
        assert not condenser.works
        return
    blocks = layered.blocks(*anywhere(layered))
    for weight, metric in ((0.0, False), (0.7, False), (0.0, True)):
        expected = np.tril(matrix(layered, blocks, weight, metric))
        found = np.tril(condenser.matrix(blocks, weight, metric))
        assert np.abs(found - expected).max() <= 1e-13 * max(1, np.abs(expected).max())


@needs_compiler
@pytest.mark.parametrize("samples", [1, 7, 250])
@pytest.mark.parametrize("name", [n for n in PROBLEMS if n != "softmax hidden"])
def test_compiled_and_numpy_steps_are_the_same(name, samples):
    """With no shift known and with one, by the metric of the states and without it."""
    layered = net(name, samples)
    at, multipliers = anywhere(layered)
    blocks = layered.blocks(at, multipliers)
    both = Condensed(layered), Condenser(layered)
    slopes = [steps.gradient(blocks, multipliers) for steps in both]
    assert slopes[0][1] == pytest.approx(slopes[1][1], rel=1e-12)
    assert np.abs(slopes[0][0] - slopes[1][0]).max() <= 1e-12
    for last, weight in ((0.0, 1.0), (0.03, 1.0), (0.03, 0.0)):
        inertias = Shifted(last), Shifted(last)
        expected, found = (steps.step(blocks, inertia, weight)
                           for steps, inertia in zip(both, inertias, strict=True))  # fmt: skip
        assert found.shift == expected.shift
        assert inertias[0].last == inertias[1].last
        assert found.slope == pytest.approx(expected.slope, rel=1e-8)
        for one in ("along", "states", "multipliers"):
            mine, other = getattr(found, one), getattr(expected, one)
            assert np.abs(mine - other).max() <= 1e-8 * max(1, np.abs(other).max())


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [Condensed, Condenser])
def test_a_step_from_what_is_not_finite_is_none(kind, dtype):
    layered = net("tanh", dtype=dtype)
    at, multipliers = anywhere(layered)
    multipliers[3] = np.nan
    steps, inertia = kind(layered), Shifted()
    blocks = layered.blocks(at, multipliers)
    assert steps.step(blocks, inertia, 1.0) is None
    assert inertia.last == 0
    assert np.isnan(steps.gradient(blocks, multipliers)[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_largest_constraint_is_not_finite_if_one_is(bad):
    layered = net("tanh")
    at, _ = anywhere(layered)
    assert at.worst == max(np.abs(gap).max() for gap in at.gaps)
    states = at.flat.copy()
    states[-1] = bad
    assert not np.isfinite(layered.values(at.theta, states).worst)


def test_without_a_compiler_numpy_assembles(monkeypatch):
    from lagrangenet.optimize import compiled as own

    def missing(_):
        raise compiled.NotCompiled("there is no C compiler")

    own._functions.cache_clear()
    monkeypatch.setattr(own, "library", missing)
    try:
        assert not Condenser(net("tanh")).works
    finally:
        own._functions.cache_clear()


def test_parts_of_the_samples_add_up(monkeypatch):
    from lagrangenet.optimize import condensed

    layered = net("sigmoid output", 50)
    blocks = layered.blocks(*anywhere(layered))
    expected = matrix(layered, blocks)
    monkeypatch.setattr(condensed, "CHUNK", 1)
    assert np.abs(matrix(layered, blocks) - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name", [n for n in PROBLEMS if n != "compared"])
def test_the_gauss_newton_matrix_is_that_of_the_products(name):
    layered = net(name)
    task = Task(layered.problem, layered.X, layered.Y)
    theta = np.random.default_rng(3).normal(size=task.size)
    products = np.array([task.gauss_newtonp(theta, unit) for unit in np.eye(task.size)])
    assert np.abs(gauss_newton_matrix(task)(theta) - products).max() <= 1e-13


@pytest.mark.parametrize("way", ["condensed", "sparse"])
def test_sweeps_and_sparse_factors_give_the_same_step(way):
    """The same KKT system in three ways, at a point that is not feasible."""
    layered = net("biases")
    task = Task(layered.problem, layered.X, layered.Y)
    at, multipliers = anywhere(layered)
    chain_step = LiftedChain(task).linear(at, multipliers).step(Shifted(0.1), 1.0)
    system = SparseSystem(task, way)
    linear = system.linear(system.values(layered.flat(at.theta), at.flat), multipliers)
    step = linear.step(Shifted(0.1), 1.0)
    assert step.shift == pytest.approx(chain_step.shift)
    assert step.slope == pytest.approx(chain_step.slope, rel=1e-9)
    assert np.abs(step.along - layered.flat(chain_step.along)).max() <= 1e-9
    assert np.abs(step.states - chain_step.states).max() <= 1e-9
    assert np.abs(step.multipliers - chain_step.multipliers).max() <= 1e-9


def test_every_line_of_the_blocks_names_its_condition():
    lines = source(chain([2, 3, 3], loss="cross_entropy")).splitlines()
    assert any("Sdot1 = 1 - S1**2" in line and "(T1)" in line for line in lines)
    assert any("r_lam2 = Z2 - X1 @ W2.T - b2" in line and "(S0)" in line for line in lines)
    assert any("mu2 = (Y - S2) / M" in line and "(S2, S4)" in line for line in lines)


def test_what_has_no_derivative_has_no_blocks():
    with pytest.raises(DerivationError, match="layer 1: activation 'sign' jumps"):
        source(chain([2, 3, 1], "sign"))


def test_memory_and_time_are_of_the_samples_not_of_their_square():
    small, large = net("tanh", 100), net("tanh", 1000)
    for layered in (small, large):
        blocks = layered.blocks(*anywhere(layered))
        arrays = [*blocks.slopes, *blocks.curvatures, *blocks.mu, blocks.output]
        assert sum(a.size for a in arrays) == len(layered.X) * (2 * 7 + 9 + 2)
