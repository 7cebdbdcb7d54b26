"""One part of an answer: its lines together, what they leave out, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lagrangenet.errors import DerivationError
from lagrangenet.grading.formulas.arrays import Definition
from lagrangenet.grading.formulas.attempts import Setting
from lagrangenet.grading.formulas.conventions import FAMILIES
from lagrangenet.grading.formulas.indexed import Layer
from lagrangenet.grading.formulas.letters import scripts
from lagrangenet.grading.formulas.lines import Judged, judge_line
from lagrangenet.grading.formulas.mistakes import Mistake
from lagrangenet.grading.formulas.parser import parse
from lagrangenet.grading.formulas.tree import FormulaError, Line, Name
from lagrangenet.symbolic.styles import Text


@dataclass(frozen=True)
class Verdict:
    """What is to be said about one part.

    Attributes
    ----------
    part : str
        One of :data:`~lagrangenet.grading.formulas.task.PARTS`.
    verdict : {"right", "wrong", "not_gradable"}
    mistakes : tuple of Mistake
        Of a wrong answer; the first is the one to name.
    message : str
        Why an answer is not gradable.
    notes : tuple of str
        Conventions that were accepted, and how something was read.
    judged : tuple of Judged
        The lines.
    line : str
        The equation as it is derived, in the student's notation and convention.
    source : str
        The submitted line that is wrong.
    """

    part: str
    verdict: str
    mistakes: tuple[Mistake, ...] = ()
    message: str = ""
    notes: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()
    line: str = ""
    source: str = ""

    @property
    def diagnosis(self) -> str:
        """The mistake in one sentence."""
        return "; and ".join(mistake.message for mistake in self.mistakes) or self.message

    def __str__(self) -> str:
        words = [f"{self.part}: {self.verdict.replace('_', ' ')}"]
        if self.diagnosis:
            words.append(self.diagnosis)
        return "; ".join([*words, *self.notes])


@dataclass(frozen=True)
class Answer:
    """A submitted answer, as far as it can be read.

    Attributes
    ----------
    texts : mapping
        Part → text.
    lines : mapping
        Part → its lines; parts that cannot be read are in ``errors``.
    """

    texts: Mapping[str, str]
    lines: Mapping[str, tuple[Line, ...]]
    errors: Mapping[str, FormulaError]
    options: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(texts: Mapping[str, str], options: Mapping[str, str] | None = None) -> Answer:
        """Parse every part."""
        lines: dict[str, tuple[Line, ...]] = {}
        errors: dict[str, FormulaError] = {}
        for part, text in texts.items():
            try:
                lines[part] = parse(text)
            except FormulaError as error:
                errors[part] = error
        return Answer(texts, lines, errors, options or {})

    def names(self) -> set[str]:
        """All names that occur."""
        return {
            mark.name
            for lines in self.lines.values()
            for line in lines
            for mark in line.walk()
            if isinstance(mark, Name)
        }


def judge_part(part: str, answer: Answer, setting: Setting, search: bool = True) -> Verdict:
    """The verdict on a part; without ``search``, mistakes are not looked for."""
    if part in answer.errors:
        return Verdict(part, "not_gradable", message=str(answer.errors[part]))
    text, lines = answer.texts[part], answer.lines[part]
    definitions = dict(setting.definitions)
    judged: list[Judged] = []
    sources: list[str] = []
    try:
        for line in lines:
            defined = _definition(line, setting)
            if defined is not None:
                definitions[defined[0]] = defined[1]
        here = replace(setting, definitions=definitions)
        for line in lines:
            if _definition(line, setting) is None and not _initial(line, setting):
                found = judge_line(text, line, part, here, search)
                judged += found
                sources += [line.source] * len(found)
    except (FormulaError, DerivationError) as error:
        return Verdict(part, "not_gradable", message=str(error))
    except (RecursionError, ArithmeticError):
        return Verdict(part, "not_gradable", message="this is too involved: simplify the formula")
    if not judged:
        return Verdict(part, "not_gradable", message="there are only definitions")
    return _summed_up(part, judged, sources, setting)


def _initial(line: Line, setting: Setting) -> bool:
    """``x^0 = x``, which says that the states begin with the inputs."""
    first = line.members[0]
    if not isinstance(first, Name) or setting.words.role(first) != "X":
        return False
    return scripts(first, "X", setting.words, {}).layer == Layer("", 0)


def _definition(line: Line, setting: Setting) -> tuple[str, Definition] | None:
    """``D^k = diag(σ'(z^k))``: a name without a meaning, defined by the student."""
    if len(line.members) != 2:
        return None
    left, right = line.members
    if not isinstance(left, Name) or left.args or left.primes or left.subs:
        return None
    if setting.words.role(left) not in {"", "objective"} or left.name in {"dW", "db", "G", "g"}:
        return None
    return left.name, Definition(right, bool(left.sups))


def _summed_up(part: str, judged: list[Judged], sources: list[str], setting: Setting) -> Verdict:
    wrong = [(one, source) for one, source in zip(judged, sources, strict=True) if not one.right]
    style = Text(notation=setting.words.notation)
    if wrong:
        one, source = wrong[0]
        return Verdict(
            part, "wrong", one.mistakes, "", (), tuple(judged), _line(one, style), source
        )
    missing = _missing(part, judged)
    if missing:
        mistake = Mistake("incomplete", missing, "Is everything there that was asked for?")
        return Verdict(part, "wrong", (mistake,), "", (), tuple(judged), "", sources[0])
    notes = [note for one in judged for note in one.notes]
    notes += setting.convention.words(_used(judged))
    if setting.inputs_first:
        notes.append("W^k has n_{k−1} rows, as in your forward pass")
    return Verdict(
        part, "right", (), "", tuple(dict.fromkeys(notes)), tuple(judged), _line(judged[0], style)
    )


def _used(judged: list[Judged]) -> set[str]:
    """The families of variables in some lines."""
    variables = {v for one in judged if one.expected for v in one.expected.variables}
    variables |= {one.stated.unknown for one in judged} & set(FAMILIES)
    if any(one.label == "L" for one in judged):
        variables |= {"lambda", "L"}
    if any(one.stated.unknown in {"W", "b"} for one in judged):
        variables.add("L")
    return {FAMILIES.get(v, "objective") for v in variables}


def _line(one: Judged, style: Text) -> str:
    if one.expected is None:
        return ""
    form = "index" if one.stated.indices else "matrix"
    return (
        f"({one.label}) {one.expected.line(form, style)}"
        if one.label != "L"
        else one.expected.line(form, style)
    )


_THROUGH = {"mu": "μ^k by λ^k?", "delta": "δ^k by Δ^k?"}


def _missing(part: str, judged: list[Judged]) -> str:
    """What a part does not say although every line of it is right."""
    labels = {label for one in judged for label in one.label.split(", ")}
    layers = {one.stated.layer.base for one in judged}
    unknowns = {one.stated.unknown for one in judged}
    if part == "forward" and "S1" not in labels:
        return "x^k = σ^k(z^k) is missing"
    if part == "output" and "N" not in layers:
        return "the multiplier of the output layer N is missing"
    if part == "recursion" and "S3" not in labels:
        return "the step from layer k+1 to layer k is missing"
    through = {v for one in judged if one.label == "S3" for v in one.expected_variables}
    if part == "recursion" and through & {"mu", "delta"} and "S4" not in labels:
        return "the step through the activation is missing: what is " + _THROUGH[min(through)]
    if part == "update" and not {"W", "b"} <= unknowns:
        return f"the update of {'b' if 'W' in unknowns else 'W'} is missing"
    return ""
