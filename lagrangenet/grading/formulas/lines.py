"""One line against the derivation: read in every sensible way, compared, and its mistake named.

A line is right if one reading of it, in which all shapes fit, has the normal form of the derived
equation, and the numbers agree. Where the normal forms differ and the numbers do not, it is right too,
and the note says that numbers alone decided. Otherwise the reading with the fewest troubles is compared
with what one mistake, or two, make of the derived equation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lagrangenet.grading.formulas.arrays import Reading
from lagrangenet.grading.formulas.attempts import Attempt, Setting, compared_to
from lagrangenet.grading.formulas.evidence import AGREE, UNKNOWN, decisive, first_gap
from lagrangenet.grading.formulas.expected import Expected
from lagrangenet.grading.formulas.indexed import LAST, Fun, K, Layer, Ref, Sym, Tree
from lagrangenet.grading.formulas.mistakes import READINGS, Mistake, explained, where_it_ends
from lagrangenet.grading.formulas.names import Vocabulary
from lagrangenet.grading.formulas.numbers import Comparison
from lagrangenet.grading.formulas.reading import Reader
from lagrangenet.grading.formulas.shapes import Trouble
from lagrangenet.grading.formulas.statements import Statement, statements
from lagrangenet.grading.formulas.subjects import Subject
from lagrangenet.grading.formulas.task import Task
from lagrangenet.grading.formulas.terms import Normal
from lagrangenet.grading.formulas.tree import FormulaError, Line, Name, Slope

_VAGUE = {"not recognized", "shape"}


@dataclass(frozen=True)
class Judged:
    """The verdict on a line.

    Attributes
    ----------
    right : bool
    stated : Statement
    expected : Expected or None
    mistakes : tuple of Mistake
    notes : tuple of str
    numbers : Comparison or None
        Where both sides differ.
    distance : int
        In how many terms.
    confirmed : bool
        Whether numbers were computed, and agree.
    """

    right: bool
    stated: Statement
    expected: Expected | None
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Comparison | None = None
    distance: int = 0
    confirmed: bool = False

    @property
    def expected_variables(self) -> frozenset[str]:
        """The errors or multipliers in the derived equation."""
        return frozenset() if self.expected is None else self.expected.variables

    @property
    def label(self) -> str:
        """The label of the equation."""
        return "" if self.expected is None else self.expected.label


def judge_line(
    text: str, line: Line, part: str, setting: Setting, search: bool = True
) -> list[Judged]:
    """The verdicts on what a line states; without ``search``, a mistake is not looked for.

    Raises
    ------
    FormulaError
        If it cannot be read in any way.
    """
    error: FormulaError | None = None
    wrong: list[tuple[int, int, list[Attempt]]] = []
    for reading, subject, overwritten in _readings(line, part, setting):
        try:
            found = _attempts(text, line, part, setting, reading, subject, overwritten)
        except FormulaError as refused:
            error = error or refused
            continue
        if found and all(attempt.right for attempt in found):
            return [_accepted(attempt, setting) for attempt in found]
        if found:
            wrong.append((_strain(reading, found), len(wrong), found))
    if not wrong:
        raise error or FormulaError(text, line.at, "this line states nothing", "write an equation")
    options = [found for _, _, found in sorted(wrong, key=lambda w: w[:2])]
    if not search:
        return [_unexplained(attempt, setting) for attempt in options[0]]
    return _explained(options, setting)


def _strain(reading: Reading, found: list[Attempt]) -> int:
    """How far-fetched a reading is."""
    troubles = sum(3 * len(a.stated.troubles) + len(a.stated.notes) for a in found)
    return troubles + 4 * bool(reading.turned) + 2 * reading.tight + reading.loss


def _unexplained(attempt: Attempt, setting: Setting) -> Judged:
    """Right or wrong, and how far from right."""
    if attempt.right:
        return _accepted(attempt, setting)
    sound = not attempt.stated.troubles and decisive(attempt)
    if sound and first_gap(attempt, setting) == AGREE:
        return _by_numbers(attempt, setting.task)
    distance = 1000
    if attempt.form is not None:
        distance = len(attempt.form.minus(attempt.expected.normal).terms)
    return Judged(False, attempt.stated, attempt.expected, (), (), None, distance)


def _explained(options: list[list[Attempt]], setting: Setting) -> list[Judged]:
    """The verdicts by the likeliest reading whose mistake has a name."""
    seen: list[tuple[Normal | None, ...]] = []
    if not any(attempt.stated.troubles for attempt in options[0]):
        options = [o for o in options if not any(attempt.stated.troubles for attempt in o)]
    for found in options:
        forms = tuple(a.form for a in found)
        if forms in seen:
            continue
        seen.append(forms)
        if len(seen) > READINGS:
            break
        judged = [_verdict(attempt, setting, pairs=False) for attempt in found]
        if all(j.right or j.mistakes[0].kind not in _VAGUE for j in judged):
            return judged
    return [_verdict(attempt, setting) for attempt in options[0]]


_Choice = tuple[Reading, Subject | None, tuple[str, Layer] | None]


#: What g ← ... may mean, where one letter is overwritten: on the left, and on the right.
OVERWRITTEN = (
    (Subject("delta", K), ("Delta", K)),
    (Subject("Delta", K + -1), ("delta", K)),
    (Subject("Delta", K + -1), ("Delta", K)),
    (Subject("delta", K + -1), ("delta", K)),
    (Subject("delta", K), ("delta", K + 1)),
    (Subject("Delta", K), ("delta", K + 1)),
    (Subject("Delta", K), ("Delta", K + 1)),
)


def _readings(line: Line, part: str, setting: Setting) -> Iterator[_Choice]:
    """The ways of reading a line, the likeliest first."""
    words = setting.words
    marks = [mark for mark in line.walk() if isinstance(mark, Name)]
    meanings = [words.meaning(mark.name) for mark in marks]
    capital = any(m is not None and (m.capital or m.role == "one") for m in meanings)
    batches = ["rows", "columns"] if capital else ["rows"]
    if setting.samples:
        batches = [setting.samples]
    labels = [] if capital or (setting.samples and part != "lagrangian") else ["label"]
    subjects: list[tuple[Subject | None, tuple[str, Layer] | None]] = [(_default(part), None)]
    if words.notation.error == "overwritten" and any(_bare(mark, words) for mark in marks):
        if part == "recursion":
            subjects = list(OVERWRITTEN)
        elif part == "output":
            subjects = [(Subject(role, LAST), (role, LAST)) for role in ("Delta", "delta")]
        else:
            subjects = [(_default(part), (role, K)) for role in ("delta", "Delta")]
    slopes = any(isinstance(mark, Slope) for mark in line.walk())
    loss = (False, True) if slopes and not setting.lagrangian else (False,)
    inner = (True,) if part == "lagrangian" else (False,)
    for subject, overwritten in subjects:
        for samples in (*labels, *batches):
            vectors = samples == "label" and part != "lagrangian"
            turns = ("", "errors", "all") if vectors else ("",)
            for turned, inside, tight, slope in itertools.product(
                turns, inner, (False, True), loss
            ):
                reading = Reading(samples, turned, inside, tight, slope, setting.inputs_first)
                yield reading, subject, overwritten


def _bare(mark: Name, words: Vocabulary) -> bool:
    layered = any(words.is_layer(script) for script in (*mark.sups, *mark.subs))
    return words.role(mark) in {"Delta", "delta"} and not layered


def _default(part: str) -> Subject | None:
    """The unknown of a line that has no left side."""
    return {
        "output": Subject("lambda", LAST),
        "recursion": Subject("lambda", K),
        "weights": Subject("W", K),
        "biases": Subject("b", K),
        "forward": Subject("X", K),
    }.get(part)


def _attempts(
    text: str,
    line: Line,
    part: str,
    setting: Setting,
    reading: Reading,
    subject: Subject | None,
    overwritten: tuple[str, Layer] | None,
) -> list[Attempt]:
    def read(mend: bool) -> list[Statement]:
        reader = Reader(text, setting.words, reading, setting.definitions, overwritten, mend)
        found = list(statements(reader, line, part, subject))
        return [replace(s, slope="step") for s in found] if part == "update" else found

    mended = [_solved(statement, part) for statement in read(True)]
    literal = read(False) if any(s.troubles for s in mended) else mended
    return [compared_to(s, raw, setting) for s, raw in zip(mended, literal, strict=True)]


def _solved(stated: Statement, part: str) -> Statement:
    """A statement; with a trouble if its right side is what it should say."""
    arrays = [one for one in stated.tree.walk() if isinstance(one, Ref)]
    if part in {"weights", "biases"}:
        circular = any(one.name.startswith("slope") for one in arrays)
    else:
        same = [one.layer for one in arrays if one.name == stated.unknown]
        circular = part != "update" and stated.layer in same
    if not circular:
        return stated
    trouble = Trouble("circular", "what is asked stands on the right side too", stated.at)
    return replace(stated, troubles=(*stated.troubles, trouble))


def _accepted(attempt: Attempt, setting: Setting) -> Judged:
    """A right line, confirmed by numbers."""
    stated, expected = attempt.stated, attempt.expected
    gap = first_gap(attempt, setting)
    if isinstance(gap, Comparison):
        message = "the normal forms are equal and the numbers are not: please report this"
        return Judged(False, stated, expected, (Mistake("disagreement", message, ""),), (), gap)
    notes = _notes(attempt, setting.task)
    return Judged(True, stated, expected, (), notes, confirmed=gap == AGREE)


def _notes(attempt: Attempt, task: Task) -> tuple[str, ...]:
    found = list(attempt.stated.notes)
    marks = list(attempt.stated.tree.walk())
    if task.functions.penalty is None and Sym("rho") in marks:
        found.append("the assignment has no regularizer: ρ = 0")
    found += _where_it_holds(attempt, marks, task)
    if attempt.stated.slope == "sample":
        found.append("this is the gradient of one sample's loss; the update takes their mean")
    return tuple(found)


def _where_it_holds(attempt: Attempt, marks: list[Tree], task: Task) -> list[str]:
    """Whether a general line is written with the hidden layers' activation alone."""
    functions, expected = task.functions, attempt.expected
    if functions.hidden == functions.output or expected.layers not in {"hidden", "all"}:
        return []
    found = [one for one in expected.tree.walk() if isinstance(one, Fun) and one.name == "sigma"]
    opaque = any(isinstance(one, Fun | Ref) and one.name in {"sigma", "jac"} for one in marks)
    coupled = len(functions.kinds) > 1 and any(one.order for one in found)
    if not found or expected.label == "L" or (opaque and not coupled):
        return []
    last = "k < N − 1" if any(one.layer == K + 1 for one in found) else "k < N"
    return [f"for {last}: the output layer has another activation"]


def _verdict(attempt: Attempt, setting: Setting, pairs: bool = True) -> Judged:
    """A wrong line and its mistake; or a right one, which numbers alone recognize."""
    stated, expected = attempt.stated, attempt.expected
    if attempt.right:
        return _accepted(attempt, setting)
    gap = UNKNOWN if stated.troubles else first_gap(attempt, setting)
    if gap == AGREE and decisive(attempt):
        return _by_numbers(attempt, setting.task)
    mistakes = explained(attempt, setting, pairs) or where_it_ends(attempt, setting)
    return Judged(
        False, stated, expected, mistakes, (), gap if isinstance(gap, Comparison) else None
    )


def _by_numbers(attempt: Attempt, task: Task) -> Judged:
    """A line that is right although its normal form is another one."""
    note = "numbers at random networks agree; the normal forms could not decide"
    notes = (*_notes(attempt, task), note)
    return Judged(True, attempt.stated, attempt.expected, (), notes, confirmed=True)
