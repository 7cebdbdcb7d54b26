"""Each check can fail, for the mistake it is there for, and says where and what like a colleague."""

import itertools
import re
from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

from lagrangenet import Dense, Problem, chain, derive, generate, verify
from lagrangenet.errors import DataError, ProblemError
from lagrangenet.functions import ACTIVATIONS, LOSSES, Activation
from lagrangenet.functions.base import z
from lagrangenet.runtime import Routines
from lagrangenet.verify import check as checks
from lagrangenet.verify import solved as solving
from lagrangenet.verify.check import Check, Subject
from lagrangenet.verify.comparing import NEGLIGIBLE, Block, deviation, worst
from lagrangenet.verify.differences import kink_distance
from lagrangenet.verify.scipy_solutions import solve
from lagrangenet.verify.textbook import Textbook
from tests.problems import TRAINABLE, TRAINED, fits

NAMED = {kind.__name__: kind for kind in Check.registered}
SOLUTIONS = [k for k in Check.registered if k.__module__.endswith("solution_checks")]
#: Those have a file of their own.
SECOND_ORDER = [k for k in Check.registered if k.__module__.endswith("second_order_checks")]
CHEAP = [k for k in Check.registered if k not in SOLUTIONS]


def _data(problem: Problem, samples: int = 4, seed: int = 3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, problem.inputs))
    outputs = problem.widths[-1]
    kind = problem.loss_entry.labels
    if kind == "distribution":
        return X, np.eye(outputs)[np.arange(samples) % outputs]
    if kind == "binary":
        return X, ((np.arange(samples)[:, None] + np.arange(outputs)) % 2).astype(float)
    if kind == "sign":
        return X, (-1.0) ** (np.arange(samples)[:, None] + np.arange(outputs))
    return X, rng.normal(size=(samples, outputs))


SQUARE = chain([3, 3, 2], "tanh", "squared_error", name="square")
KINKED = chain([3, 3, 2], "relu", "squared_error", name="kinked")
LOGISTIC = chain([3, 3, 2], "sigmoid", "squared_error", name="logistic")


@cache
def _routines(problem: Problem) -> Routines:
    return generate(derive(problem))


def _wrong(problem: Problem, function: str, right: str, wrong: str) -> Routines:
    """The generated code with one line of one function changed."""
    source = _routines(problem).source
    before, name, rest = source.partition(f"def {function}(")
    assert rest.count(right) >= 1
    return Routines(problem, before + name + rest.replace(right, wrong, 1))


def _check(kind: str, problem: Problem = SQUARE, routines: Routines | None = None):
    (result,) = verify(problem, *_data(problem), routines=routines, only=[NAMED[kind]]).checks
    return result


# -- every check fails for its mistake -------------------------------------------------------------

ALONE, WITH_OTHERS = True, False

#: A value that depends, in its last digits, on how often it was asked for.
COUNTED = "loss.calls = getattr(loss, 'calls', 0) + 1; return J * (1 + 1e-14 * loss.calls)"

#: check, problem, (function, right, wrong), where, note, and whether no other check can see it.
MISTAKES = [
    ("LicqMeasured", SQUARE, ("residuals", "r_x1 = lam1 -", "r_x1 = 2 * lam1 -"),
     r"rank 20 of 20, smallest singular value \S+", "not unit triangular", WITH_OTHERS),
    ("LicqMeasured", SQUARE, ("residuals", "r_x1 = lam1 -", "r_x1 = 0 * lam1 -"),
     r"rank 8 of 20, smallest singular value 0", "not unit triangular", WITH_OTHERS),
    ("Forward", SQUARE, ("forward", "Z1 = X @ W1.T + b1", "Z1 = X @ W1.T - b1"),
     r"layer \d, \(S[01]\) [zx]", "the code gives .* the oracle", WITH_OTHERS),
    ("Forward", SQUARE, ("forward", "(Z1, X1), (Z2, X2)", "(X1, X1), (Z2, X2)"),
     r"layer 1, \(S0\) z", "the code gives", ALONE),
    ("Loss", SQUARE, ("loss", "/ (2 * M)", "/ 2"),
     "J", "the ratio is 4 everywhere: the mean over samples is missing", WITH_OTHERS),
    ("Backward", SQUARE, ("backward", "lam2 = (Y - X2) / M", "lam2 = Y - X2"),
     r"layer \d, \(S[23]\) λ",
     "the ratio is 4 everywhere: the mean over samples is missing", WITH_OTHERS),
    ("Backward", SQUARE, ("backward", "lam2 = (Y - X2) / M", "lam2 = (X2 - Y)"),
     r"layer \d, \(S[23]\) λ", "the mean over samples is missing and the sign reversed",
     WITH_OTHERS),
    ("Backward", SQUARE, ("backward", "lam2 = (Y - X2) / M", "lam2 = (Y - X2) / M**2"),
     r"layer \d, \(S[23]\) λ", "the mean over samples is taken twice", WITH_OTHERS),
    ("Backward", SQUARE, ("backward", "lam1 = mu2 @ W2", "lam1 = -(mu2 @ W2)"),
     r"layer 1, \(S3\) λ", "the ratio is -1 everywhere: the sign is reversed", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW1 = -mu1.T @ X", "dW1 = (-mu1.T @ X).T"),
     r"layer 1, \(S5\) ∂L/∂W", "the code gives .* it is the transpose", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "db2 = -mu2.sum(axis=0)", "db2 = mu2.sum(axis=0)"),
     r"layer 2, \(S6\) ∂L/∂b", "the sign is reversed", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW2 = -mu2.T @ X1", "dW2 = 0 * (-mu2.T @ X1)"),
     r"layer 2, \(S5\) ∂L/∂W", "it is zero", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW2 = -mu2.T @ X1", "dW2 = (-mu2.T @ X1).T"),
     r"layer 2, \(S5\) ∂L/∂W", r"shape \(3, 2\), expected \(2, 3\)", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW2 = -mu2.T @ X1", "dW2 = np.full((2, 3), np.nan)"),
     r"layer 2, \(S5\) ∂L/∂W", r"nan at \[0, 0\], expected", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW2 = -mu2.T @ X1", "dW2 = -mu2.T @ missing"),
     "", "the code raised NameError: name 'missing' is not defined", WITH_OTHERS),
    ("Gradient", SQUARE, ("gradient", "dW2 = -mu2.T @ X1", "dW2 = 1.5 * (-mu2.T @ X1)"),
     r"layer 2, \(S5\) ∂L/∂W", r"; the ratio is 1\.5 everywhere$", WITH_OTHERS),
    ("Update", SQUARE, ("update", "W1 = W1 - eta * dW1", "W1 = W1 + eta * dW1"),
     r"layer 1, \(S5\) step of W", "the code gives", ALONE),
    ("Update", SQUARE, ("update", "b2 = b2 - eta * db2", "b2 = b2"),
     r"layer 2, \(S6\) step of b", "the code gives", ALONE),
    ("FeasibleResiduals", SQUARE, ("residuals", "r_lam2 = X2 - S2", "r_lam2 = X2 - 2 * S2"),
     r"layer 2, \(S1\) ∂L/∂λ", "the code gives", WITH_OTHERS),
    ("FeasibleResiduals", SQUARE, ("residuals", "r_x1 = lam1 -", "r_x1 = lam1 +"),
     r"layer 1, \(S3\) ∂L/∂x", "the code gives", WITH_OTHERS),
    ("FeasibleResiduals", SQUARE, ("residuals", "(X2 - Y) / M", "(X2 - Y)"),
     r"layer 2, \(S2\) ∂L/∂x", "the code gives", WITH_OTHERS),
    ("ParameterResiduals", SQUARE, ("residuals", "db1 = -mu1", "db1 = mu1"),
     r"layer 1, \(S6\) ∂L/∂b", "the sign is reversed", WITH_OTHERS),
    ("ExplicitResiduals", SQUARE, ("residuals", "(1 - S1**2)", "(1 - X1**2)"),
     r"layer 1, \(S5\) ∂L/∂W|layer 1, \(S6\) ∂L/∂b", "the code gives", ALONE),
    ("Saturated", LOGISTIC, ("sigmoid", "return np.where(z >= 0, 1, e) / (1 + e)",
                             "return 1 / (1 + np.exp(-z))"),
     "", "the code raised FloatingPointError: overflow", ALONE),
    ("Purity", SQUARE, ("update", "b1 = b1 - eta * db1", "b1 -= eta * db1"),
     "", "a call modified its arguments or depends on earlier calls", WITH_OTHERS),
    ("Purity", SQUARE, ("loss", "return J", COUNTED),
     "", "a call modified its arguments or depends on earlier calls", ALONE),
    ("Taylor", SQUARE, ("gradient", "dW1 = -mu1.T @ X", "dW1 = -2 * mu1.T @ X"),
     r"observed rate (0\.9|1\.0)\d+", "the remainder does not fall quadratically", WITH_OTHERS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "problem", "change", "where", "note", "alone"),
    MISTAKES,
    ids=[f"{m[0]}-{m[2][2]}" for m in MISTAKES],
)
def test_a_check_disagrees_with_its_mistake(kind, problem, change, where, note, alone):
    routines = _wrong(problem, *change)
    assert _check(kind, problem, _routines(problem)).verdict == "agree"
    result = _check(kind, problem, routines)
    assert result.verdict == "disagree"
    assert re.fullmatch(where, result.where), result.where
    assert re.search(note, result.note), result.note
    certificate = verify(problem, *_data(problem), routines=routines, only=CHEAP)
    seen = [c.name for c in certificate.failures]
    assert (seen == [NAMED[kind].name]) if alone else (len(seen) > 1), seen


def test_the_parts_of_this_file_meet_every_check():
    by_line = {kind for kind, *_ in MISTAKES}
    by_hand = {"Splittings", "Licq", "ValueAndGradient", "ComplexStep", "CentralDifferences"}
    elsewhere = {kind.__name__ for kind in (*SOLUTIONS, *SECOND_ORDER)}
    assert by_line | by_hand | elsewhere == set(NAMED)


class _Derivation:
    """A derivation in one splitting of which the residual of a condition is changed."""

    def __init__(self, splitting, label, change):
        self.splitting, self.label, self.change = splitting, label, change

    def split(self, splitting):
        conditions = derive(SQUARE, splitting).stationarity
        if splitting == self.splitting:
            conditions = tuple(
                replace(c, residual=self.change(c)) if c.label == self.label else c
                for c in conditions
            )
        return SimpleNamespace(stationarity=conditions)


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
@pytest.mark.parametrize("label", ["S1", "S2", "S3", "S5", "S6"])
def test_a_wrong_condition_of_one_splitting_disagrees(splitting, label):
    subject = SimpleNamespace(
        problem=SQUARE, derivation=_Derivation(splitting, label, lambda c: -c.residual)
    )
    result = NAMED["Splittings"]().run(subject)
    assert (result.verdict, result.figure, result.where) == ("disagree", 1, f"({label})")
    assert result.note == "the conditions differ after elimination"


@pytest.mark.parametrize("label", ["S2", "S3"])
@pytest.mark.parametrize("factor", [0, 2, -1])
def test_a_multiplier_without_unit_coefficient_breaks_the_constraint_qualification(label, factor):
    def changed(condition):
        return condition.residual + (factor - 1) * condition.unknown

    derivation = _Derivation("activation", label, changed)
    result = NAMED["Licq"]().run(SimpleNamespace(problem=SQUARE, derivation=derivation))
    assert (result.verdict, result.where) == ("disagree", f"({label})")
    assert result.note == "∂c/∂x is not unit triangular"


def test_a_wrong_door_to_the_optimizers_disagrees(monkeypatch):
    right = Routines.fun

    def wrong(self, flat, X, Y):
        value, gradient = right(self, flat, X, Y)
        return value, gradient[::-1]

    monkeypatch.setattr(Routines, "fun", wrong)
    certificate = verify(SQUARE, *_data(SQUARE), only=CHEAP)
    (result,) = certificate.failures
    assert result.name == NAMED["ValueAndGradient"].name
    assert result.where == "flat gradient"


def _agreeing_mistake(monkeypatch, problem, factor):
    """The same mistake in the generated gradient and in the textbook's: derivatives must see it."""
    right = Textbook.gradient

    def wrong(self, theta, X, Y):
        (W1, b1), *rest = right(self, theta, X, Y)
        return (factor * W1, b1), *rest

    monkeypatch.setattr(Textbook, "gradient", wrong)
    routines = _wrong(problem, "gradient", "dW1 = -mu1.T @ X", f"dW1 = {factor!r} * (-mu1.T @ X)")
    only = [NAMED[n] for n in ("Gradient", "ComplexStep", "CentralDifferences", "Taylor")]
    return verify(problem, *_data(problem), routines=routines, only=only)


def test_complex_steps_see_what_the_textbook_shares(monkeypatch):
    certificate = _agreeing_mistake(monkeypatch, SQUARE, 1 + 1e-9)
    (result,) = certificate.failures
    assert result.name == NAMED["ComplexStep"].name
    assert re.fullmatch(r"layer 1, \(S5\) ∂L/∂W\[\d, \d\]", result.where)


def test_central_differences_see_what_the_textbook_shares(monkeypatch):
    certificate = _agreeing_mistake(monkeypatch, KINKED, 1 + 1e-6)
    (result,) = certificate.failures  # the Taylor rate is too weak for it
    assert result.name == NAMED["CentralDifferences"].name
    assert re.fullmatch(r"layer 1, \(S5\) ∂L/∂W\[\d, \d\]", result.where)


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        ("loss", "J = ((X2 - Y) ** 2).sum() / (2 * M)", "J = np.nan"),
        ("gradient", "dW1 = -mu1.T @ X", "dW1 = np.full((3, 3), np.nan)"),
    ],
)
@pytest.mark.parametrize("kind", ["Taylor", "ValueAndGradient", "Saturated", "Purity"])
def test_nan_passes_no_check(kind, function, right, wrong):
    result = _check(kind, SQUARE, _wrong(SQUARE, function, right, wrong))
    assert result.verdict == "disagree"


@pytest.mark.parametrize(
    "kind", [k.__name__ for k in CHEAP if k.__name__ not in {"Splittings", "Licq"}]
)
def test_code_that_warns_disagrees(kind):
    source = generate(derive(SQUARE, order=2)).source
    for function in re.findall(r"^def (\w+)\(.*(?:theta|states)", source, re.MULTILINE):
        head, name, rest = source.partition(f"def {function}(")
        signature, line, body = rest.partition("\n    (")
        warning = "\n    import warnings; warnings.warn('late')"
        source = head + name + signature + warning + line + body
    result = _check(kind, SQUARE, Routines(SQUARE, source))
    assert result.verdict == "disagree"
    assert "the code raised UserWarning: late" in result.note


# -- comparing -------------------------------------------------------------------------------------


def test_nan_is_infinitely_far():
    one, nan = np.array([1.0]), np.array([np.nan])
    assert deviation(nan, one, 1.0)[0] == np.inf
    assert deviation(one, nan, 1.0)[0] == np.inf
    assert deviation(nan, nan, 1.0)[0] == np.inf
    assert worst([Block("a", nan, one), Block("b", one, one)]).figure == np.inf
    assert worst([Block("b", one, one), Block("a", nan, one)]).where == "a"


def test_a_nan_in_the_oracle_spoils_no_other_block():
    found = [Block("nan", np.zeros(1), np.array([np.nan])), Block("wrong", np.ones(1), np.zeros(1))]
    assert worst(found).figure == np.inf
    assert not worst(found[:1]).figure <= 1e300


@pytest.mark.parametrize("found", [np.inf, -np.inf])
@pytest.mark.parametrize("expected", [1.0, np.inf, -np.inf, np.nan])
def test_infinity_agrees_with_itself_alone(found, expected):
    figure, _ = deviation(np.array([found]), np.array([expected]), 1.0)
    assert figure == (0.0 if found == expected else np.inf)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((3,), (1, 3)),
        ((3, 1), (3,)),
        ((1, 3), (2, 3)),
        ((), (2, 3)),
        ((2, 1), (2, 3)),
        ((3, 2), (2, 3)),
        ((0,), (1,)),
    ],
)
def test_shapes_that_would_broadcast_are_infinitely_far(found, expected):
    figure, seen = deviation(np.zeros(found), np.zeros(expected), 1.0)
    assert figure == np.inf
    assert seen == f"shape {found}, expected {expected}"


def test_two_zeros_agree_and_a_zero_oracle_tolerates_nothing():
    zero = np.zeros((2, 2))
    assert worst([Block("", zero, zero)]).figure == 0.0
    assert worst([Block("", -zero, zero)]).figure == 0.0
    assert worst([Block("", zero + 1e-300, zero)]).figure == np.inf


def test_a_block_is_measured_by_its_own_size():
    large, small = np.array([1e6]), np.array([1e3])
    found = worst([Block("large", large, large), Block("small", small * (1 + 1e-6), small)])
    assert found.where == "small"
    assert found.figure == pytest.approx(1e-6)


def test_a_block_of_rounding_is_measured_by_the_largest_one():
    found = worst([Block("large", np.ones(1), np.ones(1)),
                   Block("tiny", np.array([2e-30]), np.array([1e-30]))])  # fmt: skip
    assert found.figure == pytest.approx(1e-30 / NEGLIGIBLE)


def test_absolute_deviations_are_not_scaled():
    found = worst([Block("", np.array([1e6 + 1.0]), np.array([1e6]))], absolute=True)
    assert found.figure == 1.0


# -- oracles that say nothing ----------------------------------------------------------------------


def test_a_solver_that_does_not_converge_is_no_pass(monkeypatch):
    monkeypatch.setattr(solving, "solve", partial(solve, maxiter=2))
    only = [*SOLUTIONS, NAMED["Gradient"]]
    certificate = verify(SQUARE, *_data(SQUARE), only=only)
    verdicts = [result.verdict for result in certificate.checks]
    assert verdicts == ["inconclusive"] * len(SOLUTIONS) + ["agree"]
    assert certificate.verdict == "disagree"
    assert len(certificate.failures) == len(SOLUTIONS)
    for result, kind in zip(certificate.checks, SOLUTIONS, strict=False):
        assert result.figure is None
        assert f"{kind.method} did not converge from any start" in result.note


def test_labels_without_a_minimizer_make_the_solutions_inapplicable():
    problem = chain([2, 3], loss="cross_entropy", name="one class")
    X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    certificate = verify(problem, X, np.eye(3)[[0, 0, 0]])
    skipped = {r.name for r in certificate.checks if r.verdict == "inapplicable"}
    assert skipped == {kind.name for kind in SOLUTIONS}
    assert certificate.agrees


def test_a_complex_step_is_inapplicable_at_kinks():
    result = _check("ComplexStep", KINKED)
    assert (result.verdict, result.figure) == ("inapplicable", None)
    assert "kinks" in result.note
    assert _check("ComplexStep", SQUARE).verdict == "agree"
    assert verify(KINKED, *_data(KINKED), only=CHEAP).agrees


def test_no_point_clear_of_kinks_is_inconclusive(monkeypatch):
    monkeypatch.setattr(checks, "kink_distance", lambda *_: 1e-9)
    for kind in ("CentralDifferences", "Taylor"):
        result = _check(kind, KINKED)
        assert result.verdict == "inconclusive"
        assert "clear of the kinks" in result.note


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["CentralDifferences", "Taylor"])
def test_differences_are_taken_away_from_kinks(monkeypatch, kind, seed):
    problem = chain([3, 6, 6, 2], "relu", "squared_error", name="kinked")
    X, Y = _data(problem, samples=30)
    nearest = []
    oracle, code = Textbook.loss, Routines.loss

    def watched(right):
        def evaluate(self, theta, X, Y):
            nearest.append(kink_distance(problem, theta, X, Y))
            return right(self, theta, X, Y)

        return evaluate

    monkeypatch.setattr(Textbook, "loss", watched(oracle))
    monkeypatch.setattr(Routines, "loss", watched(code))
    certificate = verify(problem, X, Y, seed=seed, only=[NAMED[kind]])
    assert certificate.agrees, certificate
    assert len(nearest) > 10
    assert min(nearest) >= checks.CLEAR_OF_KINKS == 1e-3


def test_a_point_near_a_kink_is_refused(monkeypatch):
    subject = Subject(derive(KINKED), _routines(KINKED), *_data(KINKED), 0, lambda _: None)
    subject.few = replace(subject.few, theta=tuple((0 * W, 0 * b) for W, b in subject.few.theta))
    result = NAMED["CentralDifferences"]().run(subject)
    assert result.verdict == "inconclusive"
    assert result.note == "the nearest kink is 0.0e+00 away"


# -- SciPy's solutions -----------------------------------------------------------------------------

RIDGE = {"name": "L2", "strength": 0.01}
SMALL = chain([2, 2, 1], "tanh", "squared_error", regularizer=RIDGE, name="small")


@pytest.fixture(scope="module")
def solved():
    """Solutions of the small problem, computed once."""
    subject = Subject(derive(SMALL), _routines(SMALL), *_data(SMALL), 0, lambda _: None)
    return {m: solve(subject.instance, m, 0, 1) for m in ("slsqp", "trust-constr")}


SOLUTION_MISTAKES = {
    "Violation": (
        ("residuals", "r_lam1 = X1 - S1", "r_lam1 = X1 - S1 + 1e-9"),
        r"layer 1, \(S1\) ∂L/∂λ; 1 solutions of the subproblem",
        "the code gives 1e-09",
    ),
    "Stationarity": (
        ("residuals", "r_x1 = lam1 -", "r_x1 = lam1 +"),
        r"layer 1, \(S3\) ∂L/∂x; 1 solutions of the subproblem",
        r"the oracle 0 .* samples",
    ),
    "Multipliers": (
        ("backward", "lam2 = (Y - X2) / M", "lam2 = (Y - X2)"),
        r"layer \d, \(S[23]\) λ; 1 solutions of the subproblem",
        "the ratio is 4.* everywhere",
    ),
}


@pytest.mark.parametrize("method", ["slsqp", "trust-constr"])
@pytest.mark.parametrize("what", SOLUTION_MISTAKES)
def test_a_wrong_line_disagrees_at_scipys_solutions(monkeypatch, solved, method, what):
    change, where, note = SOLUTION_MISTAKES[what]
    prefix = {"slsqp": "Slsqp", "trust-constr": "TrustConstr"}[method]
    family = [f"{prefix}{name}" for name in SOLUTION_MISTAKES]
    monkeypatch.setattr(solving, "solve", lambda instance, m, *_, **__: solved[m])
    right = verify(SMALL, *_data(SMALL), only=[NAMED[name] for name in family])
    assert right.agrees, right

    def wrong(derivation):
        problem = derivation.problem
        return _wrong(problem, *change)

    monkeypatch.setattr(solving, "generate", wrong)
    certificate = verify(SMALL, *_data(SMALL), only=[NAMED[name] for name in family])
    (result,) = certificate.failures
    assert result.name == NAMED[prefix + what].name
    assert re.fullmatch(where, result.where), result.where
    assert re.search(note, result.note), result.note


# -- what verify is given --------------------------------------------------------------------------


def _changed(array, value):
    changed = array.copy()
    changed[1, 0] = value
    return changed


BAD = {
    "another width of X": (lambda X, Y: (X[:, :2], Y), "X has shape (4, 2), expected (M, 3)"),
    "another width of Y": (lambda X, Y: (X, Y[:, :1]), "Y has shape (4, 1), expected (M, 2)"),
    "a vector": (lambda X, Y: (X[0], Y), "X has shape (3,)"),
    "three axes": (lambda X, Y: (X[None], Y), "X has shape (1, 4, 3)"),
    "other batches": (lambda X, Y: (X, Y[:3]), "X has 4 samples, Y has 3"),
    "one label for all": (lambda X, Y: (X, Y[:1]), "X has 4 samples, Y has 1"),
    "NaN in X": (lambda X, Y: (_changed(X, np.nan), Y), "X holds nan at index (1, 0)"),
    "infinity in X": (lambda X, Y: (_changed(X, np.inf), Y), "X holds inf at index (1, 0)"),
    "NaN in Y": (lambda X, Y: (X, _changed(Y, np.nan)), "Y holds nan at index (1, 0)"),
    "infinity in Y": (lambda X, Y: (X, _changed(Y, -np.inf)), "Y holds -inf at index (1, 0)"),
    "an empty batch": (lambda X, Y: (X[:0], Y[:0]), "X has no samples"),
    "text": (lambda X, Y: (X.astype(str), Y), "X has type <U32, expected real numbers"),
    "complex numbers": (lambda X, Y: (X + 0j, Y), "X has type complex128"),
    "objects": (lambda X, Y: (X.astype(object), Y), "X has type object"),
    "ragged rows": (lambda X, Y: ([[1.0], [1.0, 2.0]], Y), "X is not a rectangular array"),
    "masked": (lambda X, Y: (np.ma.masked_array(X), Y), "X is a masked array"),
    "None": (lambda X, Y: (None, Y), "X has type object"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_refused(case):
    change, message = BAD[case]
    with pytest.raises(DataError, match=re.escape(message)):
        verify(SQUARE, *change(*_data(SQUARE)), only=CHEAP)


@pytest.mark.parametrize(
    ("loss", "label", "message"),
    [
        ("binary_cross_entropy", 1.5, "binary_cross_entropy needs labels in [0, 1]"),
        ("cross_entropy", -0.5, "cross_entropy needs labels in [0, 1]"),
        ("cross_entropy", 0.5, "needs one-hot labels, or probabilities that sum to 1"),
    ],
)
def test_labels_that_the_loss_is_not_made_for_are_refused(loss, label, message):
    problem = chain([3, 3, 2], loss=loss)
    X, Y = _data(problem)
    with pytest.raises(DataError, match=re.escape(message)):
        verify(problem, X, _changed(Y, label), only=CHEAP)


def _verdicts(certificate):
    return [(result.name, result.verdict) for result in certificate.checks]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_type_and_order_of_data_do_not_matter(activation):
    problem = chain([3, 3, 2], activation, "squared_error", name="typed")
    rng = np.random.default_rng(0)
    X, Y = rng.integers(-3, 4, (9, 3)), rng.integers(-3, 4, (9, 2))
    expected = verify(problem, X.astype(float), Y.astype(float), only=CHEAP)
    assert expected.agrees
    for kind in (np.int64, np.int8, np.float32, np.float16):
        same = verify(problem, X.astype(kind), Y.astype(kind), only=CHEAP)
        assert same == expected
    lists = verify(problem, X.tolist(), Y.tolist(), only=CHEAP)
    assert lists == expected
    for order in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1][::-1],
    ):
        other = verify(problem, order(X.astype(float)), order(Y.astype(float)), only=CHEAP)
        assert _verdicts(other) == _verdicts(expected)
        assert other.problem == expected.problem


def test_data_are_not_modified():
    X, Y = _data(SQUARE)
    before = X.copy(), Y.copy()
    verify(SQUARE, X, Y, only=CHEAP)
    assert np.array_equal(X, before[0])
    assert np.array_equal(Y, before[1])


def test_one_sample_is_enough():
    X, Y = _data(SQUARE, samples=1)
    certificate = verify(SQUARE, X, Y, only=CHEAP)
    assert certificate.agrees, certificate


def test_single_precision_routines_are_refused():
    single = generate(derive(SQUARE), dtype="float32")
    with pytest.raises(DataError, match="verify checks float64 routines"):
        verify(SQUARE, *_data(SQUARE), routines=single)


@pytest.mark.parametrize(
    "other",
    [
        KINKED,
        chain([3, 4, 2], "tanh", "squared_error"),
        chain([3, 3, 2], "tanh", "binary_cross_entropy"),
        chain([3, 3, 2], "tanh", "squared_error", regularizer={"name": "L2", "strength": 0.1}),
    ],
    ids=str,
)
def test_routines_of_another_problem_are_refused(other):
    with pytest.raises(DataError, match="the routines are for"):
        verify(SQUARE, *_data(SQUARE), routines=_routines(other))


def test_the_same_problem_under_another_name_is_the_same():
    renamed = _routines(replace(SQUARE, name="a title"))
    certificate = verify(SQUARE, *_data(SQUARE), routines=renamed, only=[NAMED["Gradient"]])
    assert certificate.agrees
    assert [result.problem for result in certificate.checks] == ["square"]


def test_each_check_is_reported_before_it_runs():
    lines = []
    verify(SQUARE, *_data(SQUARE), only=CHEAP, report=lines.append)
    assert lines == ["square: deriving and generating", *(f"square: {k.name}" for k in CHEAP)]


# -- every function of the catalogue that has a derivative -----------------------------------------
# All combinations pass the checks but SciPy's in tests/functions/test_combinations.py.

ONCE = [chain([3, 3, 2], name, "squared_error", regularizer=RIDGE) for name in TRAINED]
ONCE += [chain([3, 3, 2], "tanh", name) for name in TRAINABLE]


@pytest.mark.parametrize("problem", ONCE, ids=str)
def test_every_function_agrees(problem):
    certificate = verify(problem, *_data(problem, samples=5), only=CHEAP)
    assert certificate.agrees, certificate


def _defined():
    """A problem for every hidden activation, and one for every output activation, with each loss."""
    hidden = [(name, None) for name in TRAINED]
    outputs = [("tanh", name) for name in TRAINED]
    for loss, (activation, output) in itertools.product(TRAINABLE, [*hidden, *outputs]):
        try:
            yield chain([3, 3, 2], activation, loss, output, RIDGE)
        except ProblemError:
            entry = LOSSES[loss]
            last = ACTIVATIONS[output or entry.default_output]
            assert entry.unmet(last) or entry.needs_simplex > last.simplex


DEFINED = list(dict.fromkeys(_defined()))


def test_most_combinations_are_defined():
    anything = [name for name in TRAINABLE if fits("identity", name)]
    hidden, both = len(TRAINED), 2 * len(TRAINED) - 1
    assert len(DEFINED) >= len(anything) * both + (len(TRAINABLE) - len(anything)) * hidden


#: Output and hidden functions with which SciPy may find no solution: descent stops at kinks of the
#: output, and softplus lets its inputs drift along a valley. That is inconclusive, never wrong.
HARD = ("→ 2 relu", "→ 2 leaky_relu", "→ 3 softplus")
#: Losses whose minimizers lie at kinks, or that have none.
UNSOLVED = {"hinge", "multiclass_hinge", "perceptron", "negative_log_density"}


@pytest.mark.slow
@pytest.mark.parametrize("problem", DEFINED, ids=str)
def test_every_combination_agrees_with_scipys_solutions(problem):
    certificate = verify(problem, *_data(problem, samples=5), only=SOLUTIONS)
    if problem.loss.name in UNSOLVED:
        assert {result.verdict for result in certificate.checks} == {"inapplicable"}, certificate
    elif any(functions in str(problem) for functions in HARD):
        assert {result.verdict for result in certificate.failures} <= {"inconclusive"}, certificate
    else:
        assert certificate.agrees, certificate


def _seeded(problem, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, problem.inputs))
    if problem.loss_entry.labels == "distribution":
        return X, np.eye(problem.widths[-1])[np.arange(20) % problem.widths[-1]]
    return X, rng.standard_normal((20, problem.widths[-1]))


@pytest.mark.parametrize(
    ("kind", "seed", "problem"),
    [
        ("Saturated", 0, chain([3, 4, 2], "tanh", "squared_error", "sigmoid")),
        ("Saturated", 39, chain([3, 4, 2], "tanh", "squared_error", "tanh")),
        ("Taylor", 1, chain([3, 4, 2], "tanh", "cross_entropy")),
        ("Taylor", 2, chain([3, 4, 2], "softmax", "squared_error", "softmax")),
        ("Taylor", 27, chain([3, 4, 2], "tanh", "squared_error", "sigmoid")),
    ],
    ids=str,
)
def test_right_code_agrees_where_the_figure_is_delicate(kind, seed, problem):
    """All outputs saturated, so that the gradient is rounding; a direction of little curvature."""
    (result,) = verify(problem, *_seeded(problem, seed), seed=seed, only=[NAMED[kind]]).checks
    assert result.verdict == "agree", result


@pytest.mark.parametrize("seed", [17, 41])
def test_the_taylor_rate_of_xor_agrees_with_these_seeds(seed):
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    Y = np.array([[0.0], [1.0], [1.0], [0.0]])
    (result,) = verify(chain([2, 3, 1]), X, Y, seed=seed, only=[NAMED["Taylor"]]).checks
    assert result.verdict == "agree", result


@pytest.mark.slow
@pytest.mark.parametrize("problem", ONCE, ids=str)
def test_right_code_agrees_with_every_seed(problem):
    for seed in range(30):
        certificate = verify(problem, *_data(problem, 7, seed), seed=seed, only=CHEAP)
        assert certificate.agrees, certificate


def test_layers_of_different_kinds_agree():
    layers = [Dense(3, "softmax"), Dense(3, "relu"), Dense(2, "softmax")]
    problem = Problem(2, layers, "cross_entropy")
    certificate = verify(problem, *_data(problem, samples=5), only=CHEAP)
    assert certificate.agrees, certificate


def test_an_unlisted_activation_with_a_kink_at_zero_agrees():
    """The numeric oracle refuses a derivative at the kink, so no point lies there."""
    kinked = ACTIVATIONS.add(
        Activation(
            "half_wave",
            sp.Piecewise((2 * z, z > 0), (z / 2, True)),
            "2z for z > 0, z/2 otherwise",
            kinks=(sp.S.Zero,),
            subgradient="1/2 at z = 0",
        )
    )
    try:
        problem = Problem(2, [Dense(3, "half_wave"), Dense(1)], "squared_error", name="kinked")
        certificate = verify(problem, *_data(problem), only=CHEAP)
    finally:
        ACTIVATIONS.remove(kinked.name)
    assert certificate.agrees, str(certificate)
