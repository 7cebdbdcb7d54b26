"""2,000 random networks: every target against the stages of NumPy in long double.

Each network is computed at three points: numbers of unit size; saturated, |x| up to 1e4; denormal,
below the smallest normal number. What is claimed of J, its gradient and both products:

- Every component of every result is within its running error bound (``tests.running_errors``), which
  is derived from the stages and no target takes part in. It is small wherever the problem is well
  conditioned.
- ‖found − expected‖₂ <= ``TOLERANCE`` ‖expected‖₂ in double precision at every point of unit size,
  and in all but ``EXCEPT`` of a block's comparisons, where the smallest normal number is taken for
  zero. The exceptions are saturated or denormal, of single precision rarely of unit size: sin and
  softmax of hundreds, which feel the rounding of their argument, 1 − x² for x = tanh(z) near 1,
  gradients whose terms cancel.
- A second call gives the same bits.

At a saturated point parameters are multiples of 1/8 and data of 512: the first preactivations are
exact, so that the functions are compared at the same arguments.

A target that compiles for seconds gets its 2,000 networks as fewer architectures with more
parameters and data each (``ARCHITECTURES``); the text of Numba's code is run for all 2,000 too. What
a target has no form for is refused by name, and another network takes its place.
"""

import dataclasses
import logging
from functools import lru_cache

import numpy as np
import pytest

from lagrangenet.errors import DerivationError
from lagrangenet.runtime import load as loading
from tests.compilers import Point, cache_in, stages
from tests.emit.test_targets import TOLERANCE, WHAT, computed, every_target, need, refusal
from tests.problems import random_problem
from tests.running_errors import LONGER, uncertain

#: Networks of the slow run, in blocks; a test is one block of one target in one type.
BLOCKS, SIZE = 20, 100
#: Architectures in a block, if not all: Numba compiles each for 10 s, the others for one.
ARCHITECTURES = {
    ("numba", "float64"): 5,
    ("numba", "float32"): 1,
    ("c", "float32"): 20,
    ("jax", "float32"): 20,
}
FIRST_SEED, NEXT = 100, 100_000
#: The share of comparisons in a block of many architectures that may miss the tolerance.
EXCEPT, MANY = {"float64": 0.01, "float32": 0.03}, 20

LOG = logging.getLogger(__name__)
longer = pytest.mark.skipif(not LONGER, reason="long double is no longer than double here")


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with cache_in(tmp_path_factory.mktemp("compiled")):
        yield


@lru_cache(maxsize=6 * SIZE)
def points(problem, samples, dtype, seed):
    """The same network at three points, and what is right there."""
    found = []
    for kind in ("unit", "saturated", "denormal"):
        point = Point(problem, samples, dtype, seed)
        if kind == "saturated":
            point.theta = np.round(8 * point.theta) / 8
            point.X = 512 * np.round(point.X * (19 / np.abs(point.X).max()))
        elif kind == "denormal":
            point.X = point.X * (np.finfo(dtype).tiny / 8)
        point.theta, point.X = (a.astype(dtype) for a in (point.theta, point.X))
        found.append((kind, point, uncertain(stages(problem), point)))
    return found


def norm(a):
    """‖a‖₂, also of numbers whose squares underflow."""
    largest = np.abs(a).max()
    return largest * np.sqrt(np.sum((a / largest) ** 2)) if largest > 0 else largest


def exceptions(name, kind, point, expected, code):
    """The results that miss the tolerance; each has to be within its bound."""
    code = dataclasses.replace(code, dtype=point.dtype, target=name)
    objective = code.objective(point.X, point.Y)
    assert objective.target == name
    found, again = computed(objective, point), computed(objective, point)
    missed = []
    for what, value, second, right in zip(WHAT, found, again, expected, strict=True):
        where = f"{name}, {kind}, {point.problem}: {what}"
        np.testing.assert_array_equal(value, second, where)
        error = np.abs(value - right.value)
        assert np.all(error <= right.error), f"{where}: {error} > {right.error} of {right.value}"
        if not norm(error) <= TOLERANCE[point.dtype] * norm(right.value) + right.tiny:
            assert (kind, point.dtype) != ("unit", "float64"), f"{where}: {norm(error):.1e}"
            missed.append(f"{where}: {norm(error):.1e} of {norm(right.value):.1e}")
    return missed


def check(name, dtype, seed, draws=1):
    """One architecture at so many draws of parameters and data: exceptions and comparisons."""
    problem = random_problem(seed)
    while refusal(name, problem) is not None:
        assert_refused(name, problem)
        seed += NEXT
        problem = random_problem(seed)
    missed, code = [], stages(problem)
    for draw in range(draws):
        samples = 1 + (seed + draw) % 11
        for kind, point, expected in points(problem, samples, dtype, seed + 10_000_000 * draw):
            missed += exceptions(name, kind, point, expected, code)
    return missed, 3 * len(WHAT) * draws


def assert_refused(name, problem):
    """A target says which function it lacks."""
    point = Point(problem, 1)
    reason = f"no .* form for the function '{refusal(name, problem)}'"
    with pytest.raises(DerivationError, match=reason):
        dataclasses.replace(stages(problem), target=name).objective(point.X, point.Y)


def check_block(name, dtype, block, count):
    """A block of networks, of so many architectures; ``pytest --log-cli-level=info`` says how many."""
    missed, compared = [], 0
    for seed in range(FIRST_SEED + block * SIZE, FIRST_SEED + block * SIZE + count):
        more, number = check(name, dtype, seed, draws=SIZE // count)
        missed, compared = missed + more, compared + number
    said = "%s, %s, block %d: %d compared, %d exceptions"
    LOG.info(said, name, dtype, block, compared, len(missed))
    if count >= MANY:
        assert len(missed) <= EXCEPT[dtype] * compared, missed


@longer
@every_target
def test_a_random_network_at_three_points(name):
    need(name)
    missed, _ = check(name, "float64", FIRST_SEED + 2)
    assert not missed


@longer
@pytest.mark.slow
@every_target
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", range(BLOCKS))
def test_2000_random_networks(name, dtype, block):
    need(name)
    count = ARCHITECTURES.get((name, dtype), SIZE)
    check_block(name, dtype, block, count)


@longer
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
            check_block("numba", "float64", block, SIZE)
    finally:
        loading._executed.cache_clear()
