"""What grading one submission gives: a verdict for each part, and the grade they add up to.

One result object, from which every output is made. A verdict is one of three words, never a number
that could be read as a pass. Points that are not finite, negative or above their maximum, and full
points for what is not right, are refused at construction, so that no export can make full marks.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from lagrangenet.errors import DataError
from lagrangenet.grading.protocol import printable

SCHEMA = "lagrangenet-grade/1"
#: Characters of any text in a grade; control characters are blanks in all of them.
MAX_WORDS = 2000
Verdict = Literal["right", "wrong", "not_gradable"]


@dataclass(frozen=True)
class Part:
    """The verdict on one part of an assignment.

    Attributes
    ----------
    name : str
        The part's name in the assignment.
    verdict : {"right", "wrong", "not_gradable"}
        ``not_gradable``: there was no answer to judge (missing, crashed, timed out).
    points, max_points : float
        What was earned, and what could be.
    diagnosis : str
        The mistake in one sentence; empty for a right answer.
    layer : int or None
        k of the first layer concerned.
    equation : str
        Label and line of the equation, such as ``"(S3) λ_i^k = W^{k+1}ᵀ μ_i^{k+1}"``.
    expected, found : str
        The right and the submitted number at one index, or lines; empty where hidden.
    note : str
        What else is worth saying: a convention that was accepted, where agreement ends.
    hint : str
        Where to look, without the answer; what a student sees when the assignment is hidden.
    """

    name: str
    verdict: Verdict
    points: float
    max_points: float
    diagnosis: str = ""
    layer: int | None = None
    equation: str = ""
    expected: str = ""
    found: str = ""
    note: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "diagnosis", "equation", "expected", "found", "note", "hint"):
            object.__setattr__(self, name, printable(getattr(self, name), MAX_WORDS))
        if self.verdict not in get_args(Verdict):
            raise DataError(f"part {self.name!r}: {self.verdict!r} is no verdict")
        for value in (self.points, self.max_points):
            if not _is_points(value):
                raise DataError(f"part {self.name!r}: points are {value!r}, not a number ≥ 0")
        if self.points > self.max_points:
            raise DataError(f"part {self.name!r}: {self.points} of {self.max_points} points")
        if self.verdict == "not_gradable" and self.points:
            raise DataError(f"part {self.name!r} was not graded and has {self.points} points")
        if self.right != (self.points == self.max_points):
            raise DataError(
                f"part {self.name!r} is {self.verdict} with {self.points} of {self.max_points} points"
            )

    @property
    def right(self) -> bool:
        """Whether the verdict is ``right``."""
        return self.verdict == "right"

    def shown(self) -> Part:
        """What a student sees of a part whose answer is hidden: the verdict, a hint, no answer.

        Why something could not be graded is not hidden.
        """
        if self.verdict == "not_gradable":
            return self
        note = self.note if self.right else ""
        return replace(
            self, diagnosis="", equation="", layer=None, expected="", found="", note=note
        )

    def lines(self) -> list[str]:
        """The part in words, a line for each thing there is to say."""
        texts = [
            (self.diagnosis, self.diagnosis),
            (f"equation: {self.equation}", self.equation),
            (f"expected: {self.expected}", self.expected),
            (f"found:    {self.found}", self.found),
            (f"hint: {self.hint}", self.hint != self.diagnosis and self.hint),
            (self.note, self.note),
        ]
        return [text for text, there in texts if there]


def _is_points(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


@dataclass(frozen=True)
class Grade:
    """The graded submission.

    Attributes
    ----------
    submission : str
        Its name, for people.
    assignment : str
        The assignment's name.
    parts : tuple of Part
        In the order of the assignment.
    isolation : tuple of str
        The layers that were in force while it ran, such as ``"pid namespace"``.
    seed : int
        Of the probes: the same seed repeats them.
    seconds : float
        Wall time of grading.
    note : str
        About the whole: why it could not be loaded or graded.
    hidden : bool
        Whether what a student sees leaves the answers out.
    source : str
        Digest of submission and assignment, by which a batch knows what is done.
    """

    submission: str
    assignment: str
    parts: tuple[Part, ...]
    isolation: tuple[str, ...] = ()
    seed: int = 0
    seconds: float = 0.0
    note: str = ""
    hidden: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("submission", "assignment", "note"):
            object.__setattr__(self, name, printable(getattr(self, name), MAX_WORDS))

    @property
    def score(self) -> float:
        """Points earned."""
        return math.fsum(part.points for part in self.parts)

    @property
    def max_score(self) -> float:
        """Points that could be earned."""
        return math.fsum(part.max_points for part in self.parts)

    @property
    def status(self) -> int:
        """0 all right, 1 something wrong, 2 something not gradable: the exit status."""
        verdicts = {part.verdict for part in self.parts}
        return 2 if "not_gradable" in verdicts or not verdicts else int("wrong" in verdicts)

    def shown(self) -> Grade:
        """The grade as its student sees it."""
        if not self.hidden:
            return self
        return replace(self, parts=tuple(part.shown() for part in self.parts))

    def to_dict(self) -> dict[str, Any]:
        """The grade as what JSON holds."""
        return {
            "schema": SCHEMA,
            "submission": self.submission,
            "assignment": self.assignment,
            "score": self.score,
            "max_score": self.max_score,
            "parts": [asdict(part) for part in self.parts],
            "isolation": list(self.isolation),
            "seed": self.seed,
            "seconds": self.seconds,
            "note": self.note,
            "hidden": self.hidden,
            "source": self.source,
        }

    def to_json(self) -> str:
        """The grade as one JSON document.

        Examples
        --------
        >>> grade = Grade("s.py", "hw", (Part("loss", "right", 1, 1),), seed=3)
        >>> Grade.from_json(grade.to_json()) == grade
        True
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Grade:
        """Read back what :meth:`to_json` wrote."""
        try:
            table = json.loads(text)
            if table.pop("schema") != SCHEMA:
                raise DataError(f"not a grade of schema {SCHEMA}")
            table.pop("score"), table.pop("max_score")
            parts = tuple(Part(**part) for part in table.pop("parts"))
            return cls(parts=parts, isolation=tuple(table.pop("isolation")), **table)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"not a grade: {error}") from None
