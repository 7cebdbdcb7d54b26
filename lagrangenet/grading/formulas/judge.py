"""A whole answer: conventions are taken from the student's own Lagrangian, then every part is judged.

A part is right if all its lines are, and if they say what was asked. Multipliers of the opposite sign,
or without 1/M, are right where the Lagrangian, or the first and the last part together, are written so;
the note says it. What cannot be read is not gradable, with its place and a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lagrangenet.grading.formulas.attempts import Setting
from lagrangenet.grading.formulas.conventions import FAMILIES, Convention, Scale
from lagrangenet.grading.formulas.names import ARRAYS, Vocabulary
from lagrangenet.grading.formulas.parts import Answer, Verdict, judge_part
from lagrangenet.grading.formulas.task import Task
from lagrangenet.grading.formulas.tree import Slope
from lagrangenet.symbolic.notation import Notation

#: The constraints' sign and scale that a student may choose.
SCALES = tuple(Scale(sign, power) for power in (0, -1) for sign in (1, -1))
_GRADIENTS = ("weights", "biases", "update")


def judge(task: Task, answer: Answer) -> dict[str, Verdict]:
    """The verdict on every part that was submitted.

    Examples
    --------
    >>> answer = Answer.of({"recursion": "λ^k = W^{k+1}ᵀ λ^{k+1}"})
    >>> print(judge(Task(), answer)["recursion"])
    recursion: wrong; the factor σ′^{k+1}(z^{k+1}) is missing
    """
    best: dict[str, Verdict] = {}
    for words in _vocabularies(task, answer):
        found = _in_convention(task, answer, words)
        if not best or _score(found) > _score(best):
            best = found
        if all(v.verdict == "right" for v in found.values()):
            break
    return best


def _score(verdicts: Mapping[str, Verdict]) -> tuple[int, int]:
    values = [verdict.verdict for verdict in verdicts.values()]
    return values.count("right"), values.count("wrong")


def _vocabularies(task: Task, answer: Answer) -> Iterator[Vocabulary]:
    """The declared notation; then those whose own symbols are used and which it does not know."""
    chosen = answer.options.get("notation")
    if chosen is not None:
        yield Vocabulary.of(Notation.named(chosen))
        return
    first, *others = task.vocabularies
    yield first
    used = answer.names()
    for words in others:
        arrays = {
            name
            for name in used
            if (m := words.meaning(name)) is not None and m.role in {*ARRAYS, "sigma", "output"}
        }
        strange = {name for name in arrays & words.own if name not in first.own}
        if strange and arrays <= words.own:
            yield words


def _in_convention(task: Task, answer: Answer, words: Vocabulary) -> dict[str, Verdict]:
    """Verdicts in the convention of the student's Lagrangian, or in one that fits all parts."""
    base = _setting(task, answer, words)
    base = replace(base, inputs_first=_inputs_first(answer, base))
    verdicts: dict[str, Verdict] = {}
    given = "lagrangian" in answer.lines
    if "lagrangian" in answer.errors:
        verdicts["lagrangian"] = judge_part("lagrangian", answer, base)
    if given:
        verdicts["lagrangian"], base = _lagrangian(answer, base, task.declared)
    rest = [part for part in answer.texts if part != "lagrangian"]
    options = [] if task.declared else list(_alternatives(answer, base, given))
    convention = _fitting(answer, base, rest, options)
    best = _judged(answer, replace(base, convention=convention), rest)
    if verdicts.get("lagrangian") and verdicts["lagrangian"].verdict != "right":
        best = _followed(task, answer, base, rest, best)
    return {**verdicts, **best}


def _alternatives(answer: Answer, setting: Setting, given: bool) -> Iterator[Convention]:
    """Other signs and scales; only parts that fit each other can show one."""
    parts, convention = set(answer.lines), setting.convention
    if "output" not in parts or not parts & set(_GRADIENTS):
        return
    families = {FAMILIES[v] for v in _variables(answer, setting.words)}
    for scale in SCALES:
        if scale != convention.errors and "errors" in families:
            yield replace(convention, errors=scale)
        if scale != convention.constraint and "multipliers" in families and not given:
            yield replace(convention, constraint=scale)


def _variables(answer: Answer, words: Vocabulary) -> set[str]:
    """The multipliers and errors of an answer; errors only if they are symbols.

    ∂ℓ/∂x^k and ∂ℓ/∂z^k are what they are: no convention changes their sign.
    """
    found = set()
    for line in (line for lines in answer.lines.values() for line in lines):
        for mark in line.walk():
            if (role := words.role(mark)) in FAMILIES:
                found.add(role)
            if isinstance(mark, Slope) and words.role(mark.of) == "ell":
                by = words.role(mark.by)
                if by == "Z" or (by in {"X", "output"} and mark in line.members):
                    return found - {"Delta", "delta"}
    return found


def _fitting(
    answer: Answer, base: Setting, parts: list[str], options: list[Convention]
) -> Convention:
    """The convention in which most is right, if the output and a gradient are right in it."""

    def right(convention: Convention) -> set[str]:
        found = _judged(answer, replace(base, convention=convention), parts, search=False)
        return {part for part, verdict in found.items() if verdict.verdict == "right"}

    if not options:
        return base.convention
    best, chosen = right(base.convention), base.convention
    for convention in options:
        if len(best) == len(parts):
            break
        found = right(convention)
        if len(found) > len(best) and "output" in found and found & set(_GRADIENTS):
            best, chosen = found, convention
    return chosen


def _followed(
    task: Task, answer: Answer, base: Setting, rest: list[str], best: dict[str, Verdict]
) -> dict[str, Verdict]:
    """Parts that follow from a wrong Lagrangian, or from the right one, are right."""
    result = dict(best)
    for objective in ("mean", "sum"):
        for constraint in {base.convention.constraint, task.convention.constraint}:
            other = replace(base.convention, objective=objective, constraint=constraint)
            if other == base.convention:
                continue
            found = _judged(answer, replace(base, convention=other), rest, search=False)
            for part, verdict in found.items():
                if verdict.verdict == "right" and result[part].verdict == "wrong":
                    result[part] = verdict
    return result


def _setting(task: Task, answer: Answer, words: Vocabulary) -> Setting:
    options, convention = answer.options, task.convention
    if "objective" in options:
        convention = replace(convention, objective=options["objective"])
    return Setting(
        task,
        convention,
        words,
        options.get("weights") == "inputs first",
        options.get("samples", ""),
        "lagrangian" in answer.texts,
    )


def _inputs_first(answer: Answer, setting: Setting) -> bool:
    """Whether the student's own forward pass has W^k with n_{k−1} rows, and another part too."""
    if setting.inputs_first or "forward" not in answer.lines:
        return setting.inputs_first
    other = replace(setting, inputs_first=True)
    if judge_part("forward", answer, setting, search=False).verdict == "right":
        return False
    if judge_part("forward", answer, other, search=False).verdict != "right":
        return False
    parts = [part for part in ("lagrangian", "recursion", "weights") if part in answer.lines]
    here, there = (
        sum(judge_part(part, answer, one, search=False).verdict == "right" for part in parts)
        for one in (setting, other)
    )
    return there > here


def _lagrangian(answer: Answer, setting: Setting, declared: bool) -> tuple[Verdict, Setting]:
    """The verdict on the Lagrangian, and the convention that it states."""
    conventions = [setting.convention]
    if not declared:
        conventions += [
            replace(setting.convention, constraint=scale, splitting=splitting)
            for splitting in _splittings(answer, setting)
            for scale in SCALES
        ]
    tried = []
    for convention in dict.fromkeys(conventions):
        here = replace(setting, convention=convention)
        verdict = judge_part("lagrangian", answer, here, search=False)
        if verdict.verdict != "wrong":
            return verdict, here
        tried.append(here)
    nearest = min(tried, key=lambda one: _distance(answer, one))
    return judge_part("lagrangian", answer, nearest), nearest


def _splittings(answer: Answer, setting: Setting) -> list[str]:
    """Which constraints the student may have put in, by the multipliers that occur."""
    marks = [mark for line in answer.lines["lagrangian"] for mark in line.walk()]
    roles = {setting.words.role(mark) for mark in marks}
    if {"lambda", "mu"} <= roles:
        return ["preactivation"]
    return ["activation", "z"] if "Z" in roles else ["activation"]


def _distance(answer: Answer, setting: Setting) -> int:
    """How many terms of the student's Lagrangian are not those of a convention."""
    judged = judge_part("lagrangian", answer, setting, search=False).judged
    if not judged or judged[0].expected is None:
        return 1000
    return judged[0].distance


def _judged(
    answer: Answer, setting: Setting, parts: Iterable[str], search: bool = True
) -> dict[str, Verdict]:
    return {part: judge_part(part, answer, setting, search) for part in parts}
