"""Many starts, many methods: who reports success is at a KKT point, and neighbours agree."""

from itertools import combinations

import numpy as np
import pytest

from lagrangenet import METHODS, minimize
from tests.optimize.solved import Data, code, iris, regression, violation_and_optimality, xor

STARTS = 20
#: A general solver gets so long for a start; where that is not enough, it is no success.
SECONDS = 4.0
#: Two results are of one basin if the network calculates the same on the data, to this.
SAME = 1e-5

PROBLEMS = {
    "xor 2-3-1": xor,
    "xor 2-2-1": lambda: xor(2),
    "sine 1-8-8-1": lambda: regression((1, 8, 8, 1), 20),
    "iris 4-8-3": iris,
}


def fits(data: Data, name: str) -> bool:
    """Whether a method takes a problem at all."""
    from lagrangenet.optimize.task import Task

    return not METHODS[name].unfit(Task(*data, routines=code(data.problem)))


def results(data, seed, names):
    options = {"seconds": SECONDS}
    return {
        name: minimize(*data, name, seed=seed, routines=code(data.problem), options=options)
        for name in names
    }


def check(data, seed, found):
    for name, result in found.items():
        if result.success:
            residuals = violation_and_optimality(data, result)
            assert max(residuals) <= result.tol, (name, seed, residuals)
        else:
            assert result.message, (name, seed)
    good = {name: result for name, result in found.items() if result.success}
    for one, other in combinations(good, 2):
        a, b = good[one], good[other]
        if np.abs(a.states[-1] - b.states[-1]).max() <= SAME:
            assert a.fun == pytest.approx(b.fun, abs=1e-8), (one, other, seed)
    return good


def installed():
    return [name for name, method in METHODS.items() if not method.missing()]


@pytest.mark.parametrize("problem", ["xor 2-3-1", "xor 2-2-1"])
def test_from_some_starts(problem):
    data = PROBLEMS[problem]()
    for seed in range(2):
        good = check(data, seed, results(data, seed, installed()))
        assert len(good) >= len(installed()) - 2


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_from_many_starts(problem):
    data = PROBLEMS[problem]()
    names = [name for name in installed() if fits(data, name)]
    for seed in range(STARTS):
        good = check(data, seed, results(data, seed, names))
        assert good, seed
