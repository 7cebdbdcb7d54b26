"""Does the certificate notice wrong code? Every mutant of the generated modules must disagree.

A mutant changes one thing in an emitted module (``tests/mutants.py``). A survivor is either listed
in ``EQUIVALENT`` with the reason why it computes the same, or the certificate has a hole.
"""

import logging
import random
from collections import Counter
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from lagrangenet import Dense, Problem, chain, derive, generate, verify
from lagrangenet.runtime import Routines
from lagrangenet.verify.check import Check
from tests.mutants import RULES, Mutant, mutants

RIDGE = {"name": "L2", "strength": 0.01}
#: Mutants of each kind that the fast run takes from each problem.
SAMPLE = 2
#: What SciPy's solutions are compared with is generated anew, not the code under test.
CHECKS = [c for c in Check.registered if c.__module__ != "lagrangenet.verify.solution_checks"]


class Case(NamedTuple):
    """A problem with a few samples."""

    problem: Problem
    X: np.ndarray
    Y: np.ndarray


def _xor() -> Case:
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    problem = chain([2, 3, 1], "tanh", "squared_error", regularizer=RIDGE, name="xor")
    return Case(problem, X, np.array([[0.0], [1.0], [1.0], [0.0]]))


def _iris() -> Case:
    """Three columns of three flowers of each kind, standardized."""
    flowers = [[5.1, 3.5, 1.4], [4.9, 3.0, 1.4], [4.7, 3.2, 1.3],
               [7.0, 3.2, 4.7], [6.4, 3.2, 4.5], [6.9, 3.1, 4.9],
               [6.3, 3.3, 6.0], [5.8, 2.7, 5.1], [7.1, 3.0, 5.9]]  # fmt: skip
    X = np.array(flowers)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    layers = [Dense(4, "relu"), Dense(3, "softmax")]
    problem = Problem(3, layers, "cross_entropy", RIDGE, name="iris")
    return Case(problem, X, np.eye(3)[np.arange(9) // 3])


def _deep() -> Case:
    rng = np.random.default_rng(7)
    layers = [Dense(3, "leaky_relu"), Dense(2, "softplus"), Dense(1)]
    problem = Problem(3, layers, "binary_cross_entropy", name="deep")
    return Case(problem, rng.normal(size=(6, 3)), np.array([[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]]).T)


CASES = {case.problem.name: case for case in (_xor(), _iris(), _deep())}


@cache
def _source(name: str) -> str:
    return generate(derive(CASES[name].problem)).source


@cache
def _mutants(name: str) -> tuple[Mutant, ...]:
    return tuple(mutants(_source(name)))


def _sample(name: str) -> list[Mutant]:
    """A few of each kind, chosen once and for all."""
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in _mutants(name):
        by_kind.setdefault(mutant.kind, []).append(mutant)
    rng = random.Random(20240607)
    return [m for group in by_kind.values() for m in rng.sample(group, min(SAMPLE, len(group)))]


# -- survivors -------------------------------------------------------------------------------------

IDENTITY = (
    "the layer is the identity: z and x, μ and λ, are equal in all that forward and backward return"
)
COLUMN = "one output: a column (M, 1) times a row (1, n) is their matrix product"
ORDER = "a sum over the layers, in another order"
SQUARE = "(−a)² = a²"
BATCH = "X and Y have the same number of rows"
SHIFT = "what is subtracted from every exponent is added again"
RATIO = "a factor of numerator and denominator cancels"
LAST = "the last axis of two is axis 1"
TINY = "max(z, 2e-308) instead of max(z, 0)"
SIGN = "x = σ(z) > 0 exactly where z > 0"
AT_ZERO = "both branches are equal at z = 0"

#: For each problem, reasons and the mutants that compute the same for that reason.
EQUIVALENT: dict[str, dict[str, list[str]]] = {
    "xor": {
        IDENTITY: [
            "forward: return ((Z1, X1), (Z2, X2)) → return ((Z1, X1), (X2, Z2))",
            "forward: return ((Z1, X1), (Z2, X2)) → return ((Z1, X1), (X2, X2))",
            "forward: return ((Z1, X1), (Z2, X2)) → return ((Z1, X1), (Z2, Z2))",
            "loss: (_, _), (_, X2) = states → (_, _), (X2, _) = states",
            "backward: (_, X1), (_, X2) = states → (_, X1), (X2, _) = states",
            "backward: lam1 = mu2 @ W2 → lam1 = lam2 @ W2",
            "backward: return ((mu1, lam1), (mu2, lam2)) → return ((mu1, lam1), (lam2, mu2))",
            "backward: return ((mu1, lam1), (mu2, lam2)) → return ((mu1, lam1), (lam2, lam2))",
            "backward: return ((mu1, lam1), (mu2, lam2)) → return ((mu1, lam1), (mu2, mu2))",
            "gradient: (mu1, _), (mu2, _) = multipliers → (mu1, _), (_, mu2) = multipliers",
            "residuals: r_lam2 = X2 - S2 → r_lam2 = X2 - Z2",
        ],
        ORDER: [
            "loss: (W1, _), (W2, _) = theta → (W2, _), (W1, _) = theta",
        ],
        SQUARE: [
            "loss: J = ((X2 - Y) ** 2).sum() / (2 * M) → J = ((Y - X2) ** 2).sum() / (2 * M)",
        ],
        COLUMN: [
            "backward: lam1 = mu2 @ W2 → lam1 = mu2 * W2",
            "residuals: r_x1 = lam1 - lam2 @ W2 → r_x1 = lam1 - lam2 * W2",
        ],
        BATCH: [
            "residuals: M = X.shape[0] → M = Y.shape[0]",
        ],
    },
    "iris": {
        SHIFT: [
            "logsumexp: m = z.max(axis=-1, keepdims=True) → m = 1.000000001 * z.max(axis=-1, keepdims=True)",
            "logsumexp: m = z.max(axis=-1, keepdims=True) → m = np.float32(z.max(axis=-1, keepdims=True))",
        ],
        RATIO: [
            "softmax: e = np.exp(z - z.max(axis=-1, keepdims=True)) → e = -np.exp(z - z.max(axis=-1, keepdims=True))",
            "softmax: e = np.exp(z - z.max(axis=-1, keepdims=True)) → e = 1.000000001 * np.exp(z - z.max(axis=-1, keepdims=True))",
        ],
        LAST: [
            "logsumexp: m = z.max(axis=-1, keepdims=True) → m = z.max(axis=1, keepdims=True)",
            "logsumexp: return np.log(np.exp(z - m).sum(axis=-1, keepdims=True)) + m → return np.log(np.exp(z - m).sum(axis=1, keepdims=True)) + m",
            "softmax: e = np.exp(z - z.max(axis=-1, keepdims=True)) → e = np.exp(z - z.max(axis=1, keepdims=True))",
            "softmax: return e / e.sum(axis=-1, keepdims=True) → return e / e.sum(axis=1, keepdims=True)",
        ],
        TINY: [
            "forward: X1 = relu(Z1) → X1 = positive(Z1)",
            "residuals: S1 = relu(Z1) → S1 = positive(Z1)",
        ],
        ORDER: [
            "loss: (W1, _), (W2, _) = theta → (W2, _), (W1, _) = theta",
        ],
        SIGN: [
            "backward: (Z1, _), (_, X2) = states → (_, Z1), (_, X2) = states",
            "residuals: mu1 = np.where(Z1 > 0, lam1, 0) → mu1 = np.where(S1 > 0, lam1, 0)",
        ],
        BATCH: [
            "residuals: M = X.shape[0] → M = Y.shape[0]",
        ],
    },
    "deep": {
        AT_ZERO: [
            "leaky_relu: return np.where(z > 0, z, slope * z) → return np.where(z >= 0, z, slope * z)",
            "sigmoid: return np.where(z >= 0, 1, e) / (1 + e) → return np.where(z > 0, 1, e) / (1 + e)",
        ],
        IDENTITY: [
            "forward: return ((Z1, X1), (Z2, X2), (Z3, X3)) → return ((Z1, X1), (Z2, X2), (X3, Z3))",
            "forward: return ((Z1, X1), (Z2, X2), (Z3, X3)) → return ((Z1, X1), (Z2, X2), (X3, X3))",
            "forward: return ((Z1, X1), (Z2, X2), (Z3, X3)) → return ((Z1, X1), (Z2, X2), (Z3, Z3))",
            "loss: (_, _), (_, _), (_, X3) = states → (_, _), (_, _), (X3, _) = states",
            "backward: (Z1, _), (Z2, _), (_, X3) = states → (Z1, _), (Z2, _), (X3, _) = states",
            "backward: lam2 = mu3 @ W3 → lam2 = lam3 @ W3",
            "backward: return ((mu1, lam1), (mu2, lam2), (mu3, lam3)) → return ((mu1, lam1), (mu2, lam2), (lam3, mu3))",
            "backward: return ((mu1, lam1), (mu2, lam2), (mu3, lam3)) → return ((mu1, lam1), (mu2, lam2), (lam3, lam3))",
            "backward: return ((mu1, lam1), (mu2, lam2), (mu3, lam3)) → return ((mu1, lam1), (mu2, lam2), (mu3, mu3))",
            "gradient: (mu1, _), (mu2, _), (mu3, _) = multipliers → (mu1, _), (mu2, _), (_, mu3) = multipliers",
            "residuals: r_lam3 = X3 - S3 → r_lam3 = X3 - Z3",
        ],
        SIGN: [
            "backward: (Z1, _), (Z2, _), (_, X3) = states → (_, Z1), (Z2, _), (_, X3) = states",
            "residuals: mu1 = np.where(Z1 > 0, lam1, 0.01 * lam1) → mu1 = np.where(S1 > 0, lam1, 0.01 * lam1)",
        ],
        COLUMN: [
            "backward: lam2 = mu3 @ W3 → lam2 = mu3 * W3",
            "residuals: r_x2 = lam2 - lam3 @ W3 → r_x2 = lam2 - lam3 * W3",
        ],
        BATCH: [
            "residuals: M = X.shape[0] → M = Y.shape[0]",
        ],
    },
}


def _listed(name: str) -> set[str]:
    return {mutant for group in EQUIVALENT[name].values() for mutant in group}


class Tally:
    """Which mutants were killed, by which checks, and which survived."""

    def __init__(self, name: str, tried: list[Mutant]) -> None:
        self.name, self.made = name, len(tried)
        self.first: Counter[str] = Counter()
        self.alone: Counter[str] = Counter()
        self.survivors: list[str] = []
        for mutant in tried:
            self._judge(mutant)

    def _judge(self, mutant: Mutant) -> None:
        killers = _killers(CASES[self.name], mutant.source, CHECKS)
        if not killers:
            self.survivors.append(mutant.description)
            return
        self.first[killers[0]] += 1
        if len(killers) == 1:
            self.alone[killers[0]] += 1

    def __str__(self) -> str:
        killed = self.made - len(self.survivors)
        rows = [f"{self.name}: {killed} of {self.made} mutants killed"]
        rows += [
            f"{count:5d} first, {self.alone[check]:4d} only by: {check}"
            for check, count in self.first.most_common()
        ]
        return "\n".join([*rows, "survivors:", *(f"    {s}" for s in self.survivors)])


def _killers(case: Case, source: str, checks: list[type[Check]] | None) -> list[str]:
    """The checks that disagree; code that cannot even be loaded, or stops verify, is found too."""
    try:
        routines = Routines(case.problem, source)
    except Exception as error:  # noqa: BLE001  # whatever a mutant raises kills it
        return [f"loading raises {type(error).__name__}"]
    try:
        certificate = verify(case.problem, case.X, case.Y, routines=routines, only=checks)
    except Exception as error:  # noqa: BLE001
        return [f"verify raises {type(error).__name__}"]
    return [check.name for check in certificate.checks if check.verdict == "disagree"]


# -- tests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_generated_code_agrees(name):
    certificate = verify(*CASES[name], only=CHECKS)
    assert certificate.agrees, certificate


def test_the_problems_give_mutants_of_every_kind():
    kinds = {mutant.kind for name in CASES for mutant in _mutants(name)}
    assert kinds == {kind for rules in RULES.values() for kind, _ in rules}


@pytest.mark.parametrize("name", CASES)
def test_mutants_are_distinct_programs(name):
    made = _mutants(name)
    assert len({m.source for m in made}) == len({m.description for m in made}) == len(made)
    lines = _source(name).splitlines()
    assert all(lines[m.line - 1].strip() for m in made)


@pytest.mark.parametrize("name", CASES)
def test_a_sample_of_mutants_disagrees(name):
    tried = _sample(name)
    tally = Tally(name, tried)
    logging.getLogger(__name__).info("%s", tally)
    assert len(tried) >= 20
    assert set(tally.survivors) <= _listed(name), str(tally)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_all_mutants_disagree_but_for_equivalent_ones(name):
    made = _mutants(name)
    tally = Tally(name, list(made))
    logging.getLogger(__name__).info("%s", tally)
    assert len(made) >= 500
    assert set(tally.survivors) == _listed(name), str(tally)
    assert len(tally.survivors) <= 0.05 * len(made), str(tally)


def test_no_mutant_escapes_from_verify():
    """Wrong code is a finding of the check that met it, never an exception of ``verify``."""
    case = CASES["xor"]
    source = _source("xor").replace("return (dW1, db1), (dW2, db2)", "return undefined")
    assert source != _source("xor")
    certificate = verify(*case, routines=Routines(case.problem, source), only=CHECKS)
    assert "NameError" in certificate.failures[0].note


#: Mistakes that show at special points only.
RARE = {
    "the other subgradient, where z is exactly 0": (
        "deep",
        "mu1 = np.where(Z1 > 0, lam1, 0.01 * lam1)",
        "mu1 = np.where(Z1 >= 0, lam1, 0.01 * lam1)",
    ),
    "the other subgradient of relu": (
        "iris",
        "mu1 = np.where(Z1 > 0, lam1, 0)",
        "mu1 = np.where(Z1 >= 0, lam1, 0)",
    ),
    "residuals divide by a probability that underflowed": (
        "iris",
        "r_x2 = lam2 - Y / (M * positive(X2))",
        "r_x2 = lam2 - Y / (M * X2)",
    ),
    "residuals read z instead of x": (
        "xor",
        "(_, X1), (_, X2) = states\n    (_, lam1)",
        "(_, X1), (X2, _) = states\n    (_, lam1)",
    ),
    "residuals read μ instead of λ": (
        "xor",
        "(_, lam1), (_, lam2) = multipliers",
        "(_, lam1), (lam2, _) = multipliers",
    ),
}


@pytest.mark.parametrize("mistake", RARE)
def test_a_mistake_that_shows_at_special_points_disagrees(mistake):
    name, right, wrong = RARE[mistake]
    source = _source(name)
    assert right in source
    assert _killers(CASES[name], source.replace(right, wrong), CHECKS)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("db1 = -mu1.sum(axis=0)", "db1 = mu1.sum(axis=0)"),
        ("lam2 = (Y - X2) / M", "lam2 = (Y - X2)"),
    ],
)
def test_the_whole_certificate_disagrees(right, wrong):
    case, source = CASES["xor"], _source("xor").replace(right, wrong)
    assert source != _source("xor")
    certificate = verify(*case, routines=Routines(case.problem, source))
    assert certificate.verdict == "disagree"
    assert [check.name for check in certificate.checks] == [c.name for c in Check.registered]
