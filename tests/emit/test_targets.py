"""One contract for all targets: what their code computes, what it refuses, what it leaves alone.

A new target is covered as soon as it is in ``TARGETS``. What is compared with are the stages in
NumPy, in double precision.
"""

import ast
import dataclasses
import threading
import tracemalloc

import numpy as np
import pytest

import lagrangenet as ln
from lagrangenet import ACTIVATIONS, L2, LOSSES, REGULARIZERS, DataError, Dense, Problem, chain
from lagrangenet.emit import TARGETS, targets
from lagrangenet.errors import DerivationError, MissingExtra
from lagrangenet.runtime.compiled import NotCompiled, find_compiler
from lagrangenet.runtime.load import load
from tests.compilers import Point, cache_in, program, stages
from tests.problems import BANK, TRAINABLE, TRAINED, fits, random_problem, relative_error

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
NAMES = sorted(TARGETS)
#: Their code is compiled for a second or more, so that the fast run has few problems for them.
COMPILED = {"c", "jax", "numba"}
INTERPRETED = [name for name in NAMES if name not in COMPILED]
PYTHON = [name for name in NAMES if TARGETS[name].language == "python"]
#: Functions that a target has no form for; every other refusal fails.
REFUSED = {"casadi": "ndtr"}

SMALL = chain([2, 3, 1], "tanh", regularizer=L2(0.01), name="small")
#: Every kind of line: softmax inside and at the end, weights of classes, biases that are regularized.
RICH = Problem(
    3,
    [Dense(4, ACTIVATIONS["elu"](alpha=0.5)), Dense(3, "softmax"), Dense(2, "softplus"),
     Dense(3, "softmax")],
    "cross_entropy",
    REGULARIZERS["elastic_net"](l1=0.01, l2=0.03, strength=0.5, biases=True),
    class_weights=(1.0, 2.0, 5.0),
    name="rich",
)  # fmt: skip
FORMULAS = Problem(
    2,
    [Dense(3, "z/(1 + z**2)"), Dense(2, "exp(-z**2)"), Dense(3, "log(1 + sqrt(1 + z**2))"),
     Dense(2, "atan(z) + where(z > 1, z**3, 2*z - 1)"), Dense(2, "max(z, -z/4) - cosh(z/9)")],
    "sqrt(1 + (x - y)**2) - 1",
    {"name": "w**4/4 + abs(w)", "strength": 0.1},
    name="formulas",
)  # fmt: skip

every_target = pytest.mark.parametrize("name", NAMES)
every_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with cache_in(tmp_path_factory.mktemp("compiled")):
        yield


def need(name):
    """Skip where the package or the compiler of a target is missing."""
    if TARGETS[name].missing():
        pytest.skip(f"{TARGETS[name].missing()} is not installed")
    if TARGETS[name].language == "c":
        try:
            find_compiler()
        except NotCompiled as reason:
            pytest.skip(str(reason))


def objective_of(name, point, code=None):
    """The objective of ``generate(..., target=name)``; what targets share is done once."""
    need(name)
    code = dataclasses.replace(code or stages(point.problem), dtype=point.dtype, target=name)
    objective = code.objective(point.X, point.Y)
    assert objective.target == name
    return objective


def computed(objective, point):
    J, gradient = objective(point.theta)
    theta, p = point.theta, point.p
    value = objective.value(theta)
    return value, J, gradient, objective.hessp(theta, p), objective.gauss_newtonp(theta, p)


WHAT = ("value", "value with gradient", "gradient", "hessp", "gauss_newtonp")


def assert_agrees(name, point):
    found = computed(objective_of(name, point), point)
    for what, value, expected in zip(WHAT, found, point.expected, strict=True):
        error = relative_error(value, expected)
        assert error <= TOLERANCE[point.dtype], f"{point.problem}: {what} differs by {error:.1e}"


def refusal(name, problem):
    """The function for which a target refuses a problem, if it does."""
    function = REFUSED.get(name)
    return function if function and f"{function}(" in stages(problem).source else None


def assert_agrees_or_refuses(name, point):
    reason = refusal(name, point.problem)
    if reason is None:
        assert_agrees(name, point)
        return
    with pytest.raises(DerivationError, match=f"no CasADi form for the function '{reason}'"):
        objective_of(name, point)


def some(name, problems, compiled):
    """All problems, or the first few for targets whose code has to be compiled."""
    return problems[:compiled] if name in COMPILED else problems


# -- a small problem -------------------------------------------------------------------------------


def test_the_targets_of_this_release_are_known():
    assert {"c", "casadi", "jax", "numba", "numpy", "numpy-workspace", "torch"} <= set(NAMES)


@every_target
def test_generate_makes_the_objective_of_a_target(name):
    need(name)
    point = Point(SMALL, 5)
    code = ln.generate(ln.derive(SMALL), target=name)
    assert code.objective(point.X, point.Y).target == name
    assert code.target == name


# -- what a call leaves alone ----------------------------------------------------------------------


@every_target
def test_equal_calls_give_equal_bits_and_change_nothing(name):
    point = Point(SMALL, 5)
    objective = objective_of(name, point)
    before = [array.copy() for array in (point.theta, point.p, point.X, point.Y)]
    first = computed(objective, point)
    kept = [np.array(value) for value in first]
    other = Point(SMALL, 5, seed=1)
    computed(objective, other)
    for value, copied in zip(first, kept, strict=True):
        np.testing.assert_array_equal(value, copied)
    for value, copied in zip(computed(objective, point), kept, strict=True):
        np.testing.assert_array_equal(value, copied)
    for array, copied in zip((point.theta, point.p, point.X, point.Y), before, strict=True):
        np.testing.assert_array_equal(array, copied)
    point.X[...], point.Y[...] = 7, 7  # the data were copied
    for value, copied in zip(computed(objective, point), kept, strict=True):
        np.testing.assert_array_equal(value, copied)
    point.theta.flags.writeable = point.p.flags.writeable = False
    computed(objective, point)


@every_target
def test_results_are_written_where_they_are_wanted(name):
    point = Point(SMALL, 5)
    objective = objective_of(name, point)
    _, J, gradient, product, _ = computed(objective, point)
    out = np.full_like(point.theta, np.nan)
    assert objective.into(point.theta, out) == J
    np.testing.assert_array_equal(out, gradient)
    assert objective.hessp(point.theta, point.p, out) is out
    np.testing.assert_array_equal(out, product)
    assert gradient.dtype == product.dtype == point.theta.dtype


@every_target
def test_data_may_lie_in_memory_in_any_way(name):
    point = Point(SMALL, 6)
    expected = objective_of(name, point)(point.theta)[1]
    point.X = np.asfortranarray(np.repeat(point.X, 2, axis=0))[::2]
    point.Y = point.Y[::-1].copy()[::-1]
    np.testing.assert_array_equal(objective_of(name, point)(point.theta)[1], expected)


@every_target
def test_threads_share_an_objective(name):
    point = Point(SMALL, 40)
    objective = objective_of(name, point)
    thetas = [point.theta + shift for shift in range(4)]
    expected = [objective(theta)[1] for theta in thetas]
    wrong = []

    def work(theta, right):
        wrong.extend(j for j in range(50) if not np.array_equal(objective(theta)[1], right))

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(thetas, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- what is refused -------------------------------------------------------------------------------


@every_target
def test_vectors_of_a_wrong_type_or_length_are_refused(name):
    point = Point(SMALL, 5)
    objective = objective_of(name, point)
    good = point.theta
    for bad in (good[:-1], good[None], good.astype(complex), None, "theta", np.array(1.0)):
        for call in (objective, objective.value, lambda x: objective.hessp(x, good),
                     lambda x: objective.gauss_newtonp(good, x)):  # fmt: skip
            with pytest.raises(DataError, match="13"):
                call(bad)
    for bad in (good.tolist(), good.astype("float32"), good[:-1].copy(), np.repeat(good, 2)[::2]):
        with pytest.raises(DataError, match="13"):
            objective.into(good, bad)
        with pytest.raises(DataError, match="13"):
            objective.hessp(good, point.p, bad)


@every_target
def test_an_array_that_may_not_be_written_is_refused(name):
    point = Point(SMALL, 5)
    objective, fixed = objective_of(name, point), np.zeros(13)
    fixed.flags.writeable = False
    for call in (
        lambda: objective.into(point.theta, fixed),
        lambda: objective.hessp(point.theta, point.p, fixed),
        lambda: objective.gauss_newtonp(point.theta, point.p, fixed),
    ):
        with pytest.raises(DataError, match="out has to be a contiguous writable vector of 13"):
            call()
    assert not fixed.any()
    point.theta.flags.writeable = point.p.flags.writeable = False
    objective.hessp(point.theta, point.p)


@every_target
def test_a_result_may_not_lie_in_an_argument(name):
    point = Point(SMALL, 5)
    objective, both = objective_of(name, point), np.zeros(20)
    both[:13] = point.theta
    for call in (
        lambda: objective.into(both[:13], both[:13]),
        lambda: objective.into(both[:13], both[7:]),
        lambda: objective.hessp(point.theta, both[7:], both[:13]),
    ):
        with pytest.raises(DataError, match=r"out shares memory with (theta|p)"):
            call()
    np.testing.assert_array_equal(both[:13], point.theta)
    apart = np.concatenate([point.theta, np.zeros(13)])
    objective.into(apart[:13], apart[13:])
    np.testing.assert_array_equal(apart[13:], objective(point.theta)[1])


@pytest.mark.parametrize("name", [name for name in NAMES if TARGETS[name].package])
def test_a_missing_package_is_named_with_the_line_that_installs_it(name, monkeypatch):
    monkeypatch.setattr(targets, "find_spec", lambda package: None)
    line = rf'needs {TARGETS[name].package}.*pip install "lagrangenet\[{TARGETS[name].extra}\]"'
    with pytest.raises(MissingExtra, match=line):
        ln.generate(ln.derive(SMALL), target=name)


def test_a_name_that_the_code_needs_is_refused():
    for name, activation in (("jax", "native"), ("torch", "torch"), ("casadi", "nlp")):
        entry = ACTIVATIONS.add(dataclasses.replace(ACTIVATIONS["silu"], name=activation))
        try:
            problem = chain([2, 3, 1], activation)
            with pytest.raises(DerivationError, match=f"{activation}.*a name that the code needs"):
                TARGETS[name].emit(program(problem))
        finally:
            ACTIVATIONS.remove(entry.name)


# -- values ----------------------------------------------------------------------------------------

#: A few of each kind; all are in the slow run.
CHOSEN = [SMALL, RICH, FORMULAS, *(BANK[name] for name in ("one-of-each-axis", "single-scalar",
          "softmax-of-one", "mixed", "deep", "depth 6"))]  # fmt: skip


@every_target
def test_named_problems(name):
    for problem in some(name, CHOSEN, 2 if name == "c" else 1):
        for samples in (1, 7) if problem == SMALL else (7,):
            assert_agrees_or_refuses(name, Point(problem, samples))


@pytest.mark.parametrize("name", INTERPRETED)
def test_single_precision(name):
    for problem in CHOSEN:
        assert_agrees_or_refuses(name, Point(problem, 6, "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COMPILED))
def test_single_precision_of_compiled_code(name):
    for problem in some(name, CHOSEN, 3):
        assert_agrees_or_refuses(name, Point(problem, 6, "float32"))


@every_target
def test_random_networks(name):
    for seed in some(name, range(30), 1):
        if name != "numba":  # its compilation takes seconds; see the slow run
            assert_agrees_or_refuses(name, Point(random_problem(seed), 1 + seed % 9, seed=seed))


@pytest.mark.slow
@every_target
def test_the_problem_bank(name):
    problems = list(BANK.values())
    for problem in problems[:: 16 if name == "numba" else 1]:
        for dtype in ("float64", "float32")[: 1 if name in COMPILED else 2]:
            assert_agrees_or_refuses(name, Point(problem, 5, dtype))


# -- every entry of the catalogues -----------------------------------------------------------------


def network_of(activations, loss="squared_error"):
    """One activation after the other, so that there is one module to compile."""
    return Problem(2, [Dense(2, name) for name in activations], loss)


def of_activations(name):
    """All that a target has a form for."""
    return network_of([a for a in TRAINED if refusal(name, network_of([a])) is None])


def of_loss(loss):
    output = next(a for a in (LOSSES[loss].default_output, *TRAINED) if fits(a, loss))
    return network_of(["tanh", output], loss)


@pytest.mark.parametrize("name", INTERPRETED)
def test_every_activation_and_every_loss(name):
    for activation in (*TRAINED, "erf(z)"):
        assert_agrees_or_refuses(name, Point(network_of([activation, "tanh"]), 4))
    for loss in TRAINABLE:
        assert_agrees(name, Point(of_loss(loss), 4))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COMPILED))
def test_every_activation_and_every_loss_in_compiled_code(name):
    assert_agrees(name, Point(of_activations(name), 4))
    for loss in TRAINABLE:
        assert_agrees(name, Point(of_loss(loss), 4))
    assert_agrees(name, Point(FORMULAS, 4))


@pytest.mark.parametrize("name", [name for name in INTERPRETED if name not in REFUSED])
def test_the_tail_of_gelu_keeps_its_digits(name):
    """Φ(−9) is 1e-19; J is 5e-19, and nothing where Φ is taken for zero."""
    point = Point(network_of(["gelu", "identity"]), 1)
    point.theta[:], point.X[:], point.Y[:] = (0, 0, 0, 0, -9, -12, 1e9, 0, 0, 1e18, 0, 0), 0, 0
    assert point.expected[0] > 1e-19
    assert_agrees(name, point)


@every_target
def test_functions_without_a_derivative_are_evaluated(name):
    """Of jumps there is the value alone."""
    problem = Problem(2, [Dense(2, "threshold"), Dense(2, "sign")], "zero_one")
    point = Point(problem, 6)
    code = ln.generate(ln.derive(problem))
    objective = objective_of(name, point, code)
    theta = code.unpack(point.theta)
    assert relative_error(objective.value(point.theta), code.loss(theta, point.X, point.Y)) <= 1e-15
    with pytest.raises(DerivationError, match="no gradient"):
        objective(point.theta)


# -- numbers at the end of the range ---------------------------------------------------------------

SATURATED = ("tanh", "sigmoid", "softplus", "softmax", "elu")


def assert_saturated(name, activation):
    for output, loss in (("softmax", "cross_entropy"), ("identity", "binary_cross_entropy")):
        point = Point(chain([3, 4, 2], activation, loss, output=output), 8)
        point.X = point.X * (1e4 / np.abs(point.X).max())
        found = computed(objective_of(name, point), point)
        assert all(np.isfinite(value).all() for value in found)
        assert_agrees(name, point)


@pytest.mark.parametrize("name", INTERPRETED)
def test_saturated_inputs_give_finite_values_without_warning(name):
    """|z| up to 1e4 in the first layer."""
    for activation in SATURATED:
        assert_saturated(name, activation)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COMPILED))
def test_saturated_inputs_in_compiled_code(name):
    for activation in SATURATED[: 1 if name == "numba" else None]:
        assert_saturated(name, activation)


@every_target
def test_denormal_inputs(name):
    """Numbers below the smallest normal one; that XLA takes them for zero does not show here."""
    for dtype in ("float64", "float32")[: 0 if name == "numba" else 1 if name in COMPILED else 2]:
        point = Point(SMALL, 6, dtype)
        point.X = (point.X * np.finfo(dtype).tiny / 8).astype(dtype)
        assert 0 < np.abs(point.X).max() < np.finfo(dtype).tiny
        assert_agrees(name, point)


# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PYTHON)
def test_source(name, golden):
    golden(f"target-{name}.txt", TARGETS[name].emit(program(SMALL, 1)))


@pytest.mark.parametrize("name", PYTHON)
def test_modules_are_python_with_short_lines_and_docstrings(name):
    for problem in (SMALL, FORMULAS, RICH, BANK["deep"], random_problem(3)):
        if refusal(name, problem) is None:
            source = TARGETS[name].emit(program(problem))
            assert max(map(len, source.splitlines())) <= 100
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef):
                    assert ast.get_docstring(node)


# -- one target alone ------------------------------------------------------------------------------


def allocated(function, *arguments):
    """The most bytes that a call holds at once."""
    function(*arguments)
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        function(*arguments)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("problem", [SMALL, RICH, FORMULAS], ids=lambda problem: problem.name)
def test_a_workspace_is_all_that_is_ever_allocated(problem):
    for samples in (1, 10, 5000):
        point = Point(problem, samples)
        objective, out = objective_of("numpy-workspace", point), np.empty_like(point.theta)
        theta, p = point.theta, point.p
        for function, arguments in (
            (objective.value, (theta,)),
            (objective.into, (theta, out)),
            (objective.hessp, (theta, p, out)),
            (objective.gauss_newtonp, (theta, p, out)),
        ):
            assert allocated(function, *arguments) <= 2500
    assert allocated(objective_of("numpy", point), theta) > 40_000


def test_nothing_is_read_from_a_workspace_that_was_not_written_in_the_same_call():
    for problem in (RICH, FORMULAS, BANK["deep"], *map(random_problem, range(4))):
        point = Point(problem, 4)
        functions = load(TARGETS["numpy-workspace"].emit(program(problem)))
        for name in ("value_and_grad", "hessian_product", "gauss_newton_product"):
            along = (point.p,) if name.endswith("product") else ()
            found = []
            for filling in (0, np.nan):
                work, out = functions["workspace"](4), np.empty_like(point.theta)
                for array in [a for arrays in work.values() for a in arrays]:
                    if isinstance(array, np.ndarray) and array.base is not None:
                        array[...] = filling
                functions[name](point.theta, point.X, point.Y, *along, work, out)
                found.append(out)
            np.testing.assert_array_equal(*found)


def test_jax_keeps_the_settings_of_its_user():
    need("jax")
    import jax
    import jax.numpy as jnp

    computed(objective_of("jax", Point(SMALL, 5)), Point(SMALL, 5))
    assert not jax.config.jax_enable_x64
    assert jnp.ones(3).dtype == "float32"


def test_torch_records_nothing():
    need("torch")
    import torch

    functions = load(TARGETS["torch"].emit(program(SMALL)))
    assert functions["DEVICE"] in {"cpu", "cuda"}
    point = Point(SMALL, 5)
    theta = torch.tensor(point.theta, requires_grad=True, device=functions["DEVICE"])
    value, gradient = functions["value_and_grad"](
        theta, *map(functions["native"], (point.X, point.Y))
    )
    assert not value.requires_grad
    assert not gradient.requires_grad


@pytest.mark.parametrize("problem", [SMALL, RICH, FORMULAS], ids=lambda problem: problem.name)
def test_the_constrained_problem_of_casadi_has_our_multipliers(problem):
    """Where the forward equations hold, g = 0 and ∇(f + ⟨λ, g⟩) = (∂J/∂θ, 0)."""
    need("casadi")
    import casadi as ca

    point = Point(problem, 4)
    functions = load(TARGETS["casadi"].emit(program(problem)))
    nlp = functions["nlp"](4)
    code = stages(problem)
    theta = code.unpack(point.theta)
    states = code.forward(theta, point.X)
    multipliers = code.backward(theta, states, point.Y)
    pairs = [(s.ravel(), m.ravel()) for pair, both in zip(states, multipliers, strict=True)
             for s, m in zip(pair, both, strict=True)]  # fmt: skip
    width = nlp["g"].shape[0]  # x^N is left out where J is a function of z^N
    x = np.concatenate([point.theta, *(s for s, _ in pairs)])[: problem.size + width]
    lam = np.concatenate([m for _, m in pairs])[:width]
    p = np.concatenate([point.X.ravel(), point.Y.ravel()])
    assert nlp["x"].shape == (len(x), 1)
    multiplier = ca.MX.sym("lam", width)
    lagrangian = nlp["f"] + ca.dot(multiplier, nlp["g"])
    symbols = [nlp["x"], nlp["p"], multiplier]
    slope = ca.gradient(lagrangian, nlp["x"])
    J, g, gradient = ca.Function("at", symbols, [nlp["f"], nlp["g"], slope])(x, p, lam)
    expected, reduced = code.fun(point.theta, point.X, point.Y)
    assert relative_error(J.full(), expected) <= 1e-13
    assert np.abs(g.full()).max() <= 1e-13
    assert relative_error(gradient.full()[: problem.size], reduced) <= 1e-12
    assert np.abs(gradient.full()[problem.size :]).max() <= 1e-12
