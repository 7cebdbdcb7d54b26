"""What a check is: what it compares, the one figure that it measures, and the largest that agrees.

Defining the class is its registration. Code under test that raises, warns or returns another shape
disagrees; how two arrays are compared is in :mod:`.comparing`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from lagrangenet.errors import DataError, DerivationError
from lagrangenet.problem import Problem
from lagrangenet.runtime import Routines, generate
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.verify.certificate import CheckResult, Verdict
from lagrangenet.verify.differences import kink_distance, penalty_kinks
from lagrangenet.verify.explicit import LARGEST, ExplicitLagrangian
from lagrangenet.verify.instance import Instance, small_instance
from lagrangenet.verify.scipy_solutions import Solution
from lagrangenet.verify.solved import Solved, solve_by_all
from lagrangenet.verify.tables import ACTIVATION_RULES
from lagrangenet.verify.textbook import Textbook, Theta

Array = np.ndarray[Any, Any]
#: The smallest distance to a kink at which differences are taken (DESIGN §6).
CLEAR_OF_KINKS = 1e-3
#: How far parameters move away from the kinks of a regularizer for that.
AWAY = 0.05


class Inconclusive(Exception):
    """The oracle could not certify itself, so the check says nothing."""


class Inapplicable(Exception):
    """The check has nothing to compare on this problem with these data."""


@dataclass(frozen=True)
class Finding:
    """What a check measured: the worst figure, the place it belongs to, what was seen there."""

    figure: float
    where: str = ""
    seen: str = ""


@dataclass(frozen=True)
class Point:
    """Parameters and the samples at which code is compared."""

    theta: Theta
    X: Array
    Y: Array


class Subject:
    """The code under test, the points at which it is tested, and the oracles, each made once."""

    def __init__(
        self,
        derivation: Derivation,
        routines: Routines,
        X: Array,
        Y: Array,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        self.derivation, self.routines = derivation, routines
        self.problem: Problem = routines.problem
        self.X, self.Y, self.seed, self.report = X, Y, seed, report

    @cached_property
    def textbook(self) -> Textbook:
        """The independent backpropagation."""
        return Textbook(self.problem)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All data at random θ, usual and larger; one sample; and one at which every z^1 is zero."""
        rng = np.random.default_rng(self.seed)
        usual, larger = (self._theta(rng, scale) for scale in (1.0, 2.0))
        row = rng.integers(len(self.X), size=1)
        one = Point(usual, self.X[row], self.Y[row])
        points = (Point(usual, self.X, self.Y), Point(larger, self.X, self.Y), one)
        unsettled = (
            e for e in self.problem.activations if e.kinks and e.name not in ACTIVATION_RULES
        )
        if any(unsettled):  # the numeric oracle has no derivative at a kink
            return points
        at_zero = tuple((W, np.zeros_like(b)) for W, b in usual)
        return (*points, Point(at_zero, np.zeros_like(one.X), one.Y))

    @cached_property
    def few(self) -> Point:
        """At most eight samples at a θ that keeps every z, and every weight, clear of the kinks.

        Raises
        ------
        Inconclusive
            If no such point is found.
        """
        rng = np.random.default_rng(self.seed + 1)
        for count in (8, 4, 2, 1):
            rows = rng.permutation(len(self.X))[:count]
            for _ in range(50):
                theta = self._theta(rng, 1.0)
                for kink in penalty_kinks(self.problem):  # away from it, on either side
                    theta = tuple(
                        (W + AWAY * np.sign(W - kink), b + AWAY * np.sign(b - kink))
                        for W, b in theta
                    )
                point = Point(theta, self.X[rows], self.Y[rows])
                if kink_distance(self.problem, point.theta, point.X, point.Y) > 2 * CLEAR_OF_KINKS:
                    return point
        raise Inconclusive("no random point keeps every preactivation clear of the kinks")

    def _theta(self, rng: np.random.Generator, scale: float) -> Theta:
        theta = self.routines.initial(rng)
        return tuple((scale * W, scale * 0.3 * rng.standard_normal(b.shape)) for W, b in theta)

    @cached_property
    def instance(self) -> Instance:
        """The subproblem small enough to be solved with every state as a variable.

        Raises
        ------
        Inapplicable
            If the data admit none, for example labels of one class: J has no minimizer then.
        """
        try:
            return small_instance(self.problem, self.X, self.Y, self.seed)
        except DataError as error:
            raise Inapplicable(str(error)) from None

    @property
    def subproblem(self) -> str:
        """What SciPy solved, in a sentence; empty as long as nothing was."""
        return self.solved.instance.note if "solved" in vars(self) else ""

    @cached_property
    def instance_routines(self) -> Routines:
        """Code generated for the subproblem."""
        return generate(Derivation(self.instance.problem, order=2))

    @cached_property
    def written_out(self) -> tuple[Routines, ExplicitLagrangian, Array, Array, str]:
        """Code, explicit Lagrangian and data that fit each other, and which code it is."""
        samples = min(len(self.X), 4)
        variables = self.problem.size + samples * sum(self.problem.widths[1:])
        if variables <= min(LARGEST, 200):
            explicit = ExplicitLagrangian(self.problem, samples)
            return self.routines, explicit, self.X[:samples], self.Y[:samples], ""
        small = self.instance
        explicit = ExplicitLagrangian(small.problem, len(small.X))
        return self.instance_routines, explicit, small.X, small.Y, small.note

    @cached_property
    def solved(self) -> Solved:
        """A subproblem with the code generated for it and SciPy's solutions of it."""
        return solve_by_all(self.instance, self.seed, self.report)

    def solutions(self, method: str) -> tuple[Solution, ...]:
        """SciPy's solutions of the subproblem that certified themselves.

        Raises
        ------
        Inconclusive
            If none did.
        """
        if not self.solved.solutions[method]:
            raise Inconclusive(
                f"{method} did not converge from any start; {self.solved.last[method]}"
            )
        return self.solved.solutions[method]


class Named(Protocol):
    """What checks are made on: it holds a declaration with a name."""

    problem: Any


S = TypeVar("S", bound=Named)


class Comparison(ABC, Generic[S]):
    """One comparison on subjects of one kind. A subclass with a name is registered.

    Class attributes
    ----------------
    name : str
        What is compared with what.
    tolerance : float
        The largest figure that agrees.
    reason : str
        Why that tolerance.
    """

    name: ClassVar[str]
    tolerance: ClassVar[float]
    reason: ClassVar[str]
    registered: ClassVar[list[Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            cls.registered.append(cls)

    def inapplicable(self, subject: S) -> str:
        """Why the check does not apply to a problem; empty if it does."""
        del subject
        return ""

    @abstractmethod
    def measure(self, subject: S) -> Finding:
        """The worst figure."""

    def run(self, subject: S) -> CheckResult:
        """Measure, and judge. Code that raises or warns disagrees."""
        try:
            if reason := self.inapplicable(subject):
                raise Inapplicable(reason)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = self.measure(subject)
        except (Inapplicable, DerivationError) as error:
            return self._result(subject, None, "inapplicable", "", str(error))
        except Inconclusive as error:
            return self._result(subject, None, "inconclusive", "", str(error))
        except Exception as error:  # noqa: BLE001  # whatever generated code raises is a finding
            found = Finding(float("inf"), "", f"the code raised {type(error).__name__}: {error}")
        if found.figure <= self.tolerance:  # False for NaN
            return self._result(subject, float(found.figure), "agree", found.where, self.reason)
        return self._result(subject, float(found.figure), "disagree", found.where, found.seen)

    def _result(
        self, subject: S, figure: float | None, verdict: Verdict, where: str, note: str
    ) -> CheckResult:
        name = subject.problem.name
        return CheckResult(name, self.name, figure, self.tolerance, verdict, where, note)


class Check(Comparison[Subject]):
    """One comparison on a chain of layers. A subclass is registered by being defined."""

    registered: ClassVar[list[type[Check]]] = []
