"""2,000 random networks: every target against the stages of NumPy in double precision.

Each network is computed at three points: numbers of unit size; saturated, |x| up to 1e4; denormal,
below the smallest normal number. At the first every result is within ``TOLERANCE`` of the reference,
‖found − expected‖₂ / ‖expected‖₂. At the others some problems are ill-conditioned: sin(1e4) loses
four digits to the rounding of its argument, and 1 − x² all of them where x = tanh(z) is almost 1.
There a result is also right that is no farther from the reference than this is from itself, if
parameters, data, states and the values of functions are rounded once more (``NEIGHBOURS`` times at
random, with the machine precision of the type): what is nearer cannot be told from rounding. Nor can
numbers below the smallest normal one.

A target that compiles for seconds gets its 2,000 networks as fewer architectures with more
parameters and data each (``ARCHITECTURES``); the text of Numba's code is run for all 2,000 too.
"""

import dataclasses
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from lagrangenet.errors import DerivationError
from lagrangenet.runtime import load as loading
from tests.compilers import Point, cache_in, stages
from tests.emit.test_targets import TOLERANCE, WHAT, computed, every_target, need, refusal
from tests.problems import random_problem

#: Networks of the slow run, in blocks; a test is one block of one target in one type.
BLOCKS, SIZE = 20, 100
#: Architectures in a block, if not all: Numba compiles each for 10 s, the others for one.
ARCHITECTURES = {
    ("numba", "float64"): 5,
    ("numba", "float32"): 1,
    ("c", "float32"): 20,
    ("jax", "float32"): 20,
}
FIRST_SEED = 100
NEIGHBOURS, FACTOR = 4, 10.0


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with cache_in(tmp_path_factory.mktemp("compiled")):
        yield


def points(problem, samples, dtype, seed):
    """The same network at three points; whether the first bound is the only one."""
    for kind in ("unit", "saturated", "denormal"):
        point = Point(problem, samples, dtype, seed)
        scale = {"unit": 1, "saturated": 1e4 / np.abs(point.X).max()}
        point.X = (point.X * scale.get(kind, np.finfo(dtype).tiny / 8)).astype(dtype)
        yield kind, point


def results(point, perturb):
    """J, gradient and products in double precision, from numbers that are perturbed."""
    code = stages(point.problem)
    with rounded_functions(loading._executed(code.source), perturb):
        return _results(point, code, perturb)


@contextmanager
def rounded_functions(module, perturb):
    """The module of the stages with NumPy's and SciPy's functions rounded once more."""

    def rounded(function):
        return lambda *arguments, **options: perturb(function(*arguments, **options))

    kept = dict(module)
    functions = {n: rounded(f) for n, f in vars(np).items() if isinstance(f, np.ufunc)}
    module["np"] = SimpleNamespace(**(vars(np) | functions))
    module.update({n: rounded(f) for n, f in kept.items() if isinstance(f, np.ufunc)})
    try:
        yield
    finally:
        module.update(kept)


def _results(point, code, perturb):
    run = code._functions
    theta, p, X, Y = (a.astype("float64") for a in (point.theta, point.p, point.X, point.Y))
    theta, along, X = code.unpack(perturb(theta)), code.unpack(p), perturb(X)
    states = tuple(tuple(map(perturb, pair)) for pair in run["forward"](theta, X))
    multipliers = run["backward"](theta, states, Y)
    tangents = run["tangent"](theta, X, states, along)
    adjoints = run["second_adjoint"](theta, Y, states, multipliers, along, tangents)
    newton = run["gauss_newton_adjoint"](theta, Y, states, tangents)
    J = run["loss"](theta, states, Y)
    gradient = run["gradient"](theta, X, states, multipliers)
    hessp = run["hessian_product"](theta, X, states, multipliers, along, tangents, adjoints)
    gauss_newtonp = run["gauss_newton_product"](theta, X, states, along, newton)
    return J, J, *(code.pack(each) for each in (gradient, hessp, gauss_newtonp))


def uncertain(point, expected):
    """How far rounding once more moves each result."""
    rng, eps = np.random.default_rng(0), np.finfo(point.dtype).eps
    moved = [
        results(point, lambda a: a * (1 + eps * rng.uniform(-1, 1, np.shape(a))))
        for _ in range(NEIGHBOURS)
    ]
    return [max(distance(m[j], expected[j]) for m in moved) for j in range(len(expected))]


def distance(a, b):
    """‖a − b‖₂."""
    return float(np.linalg.norm(np.ravel(a) - np.ravel(b)))


def assert_agrees(name, kind, point, code):
    """All results of a target are right."""
    code = dataclasses.replace(code, dtype=point.dtype, target=name)
    objective = code.objective(point.X, point.Y)
    assert objective.target == name
    expected = point.expected
    found = computed(objective, point)
    errors = [distance(*pair) for pair in zip(found, expected, strict=True)]
    bounds = [TOLERANCE[point.dtype] * np.linalg.norm(value) for value in expected]
    if kind != "unit" and any(not e <= b for e, b in zip(errors, bounds, strict=True)):
        extra = uncertain(point, expected)
        tiny = np.finfo(point.dtype).tiny
        bounds = [b + FACTOR * more + tiny for b, more in zip(bounds, extra, strict=True)]
    wrong = [
        f"{what}: {error:.1e} > {bound:.1e} of {np.linalg.norm(value):.1e}"
        for what, error, bound, value in zip(WHAT, errors, bounds, expected, strict=True)
        if not error <= bound
    ]
    assert not wrong, f"{name}, {kind}, {point.problem}: {', '.join(wrong)}"


def check(name, dtype, seed, draws=1):
    """One architecture at so many draws of parameters and data; whether it is refused by name."""
    problem = random_problem(seed)
    code, reason = stages(problem), refusal(name, problem)
    for draw in range(draws):
        for kind, point in points(problem, 1 + (seed + draw) % 11, dtype, seed + 10_000 * draw):
            if reason is None:
                assert_agrees(name, kind, point, code)
                continue
            with pytest.raises(DerivationError, match=f"no .* form for the function '{reason}'"):
                dataclasses.replace(code, target=name).objective(point.X, point.Y)


@every_target
def test_a_random_network_at_three_points(name):
    need(name)
    check(name, "float64", FIRST_SEED + 2)


@pytest.mark.slow
@every_target
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", range(BLOCKS))
def test_2000_random_networks(name, dtype, block):
    need(name)
    count = ARCHITECTURES.get((name, dtype), SIZE)
    for seed in range(FIRST_SEED + block * SIZE, FIRST_SEED + block * SIZE + count):
        check(name, dtype, seed, draws=SIZE // count)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_the_text_for_2000_random_networks(block, monkeypatch):
    """Numba's, run by Python without the compiler."""
    need("numba")
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    loading._executed.cache_clear()
    try:
        with np.errstate(all="ignore"):
            for seed in range(FIRST_SEED + block * SIZE, FIRST_SEED + (block + 1) * SIZE):
                check("numba", "float64", seed)
    finally:
        loading._executed.cache_clear()
