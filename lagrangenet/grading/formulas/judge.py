"""A whole answer: conventions are taken from the student's own Lagrangian, then every part is judged.

A part is right if all its lines are, and if they say what was asked. Multipliers of the opposite sign,
or without 1/M, are right where the Lagrangian, or the first and the last part together, are written so;
the note says it. What cannot be read is not gradable, with its place and a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lagrangenet.errors import DerivationError, ProblemError
from lagrangenet.grading.assignment import Asked, Assignment
from lagrangenet.grading.formulas.conventions import FAMILIES, Convention, Scale
from lagrangenet.grading.formulas.indexed import Layer
from lagrangenet.grading.formulas.lines import Judged, Mistake, Setting, judge_line
from lagrangenet.grading.formulas.names import ARRAYS, Vocabulary, scripts
from lagrangenet.grading.formulas.parser import parse
from lagrangenet.grading.formulas.reading import Definition
from lagrangenet.grading.formulas.task import PARTS, Task, part_of
from lagrangenet.grading.formulas.tree import FormulaError, Line, Name, Slope
from lagrangenet.grading.result import Part
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.styles import Text

#: The constraints' sign and scale that a student may choose.
SCALES = tuple(Scale(sign, power) for power in (0, -1) for sign in (1, -1))
_GRADIENTS = ("weights", "biases", "update")


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

    @property
    def label(self) -> str:
        """The label of the equation."""
        wrong = [one for one in self.judged if not one.right]
        return (wrong or list(self.judged) or [None])[0].label if self.judged else ""  # type: ignore[union-attr]  # not None there

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


# -- conventions -----------------------------------------------------------------------------------


def _in_convention(task: Task, answer: Answer, words: Vocabulary) -> dict[str, Verdict]:
    """Verdicts in the convention of the student's Lagrangian, or in one that fits all parts."""
    base = _setting(task, answer, words, task.convention)
    base = replace(base, inputs_first=_inputs_first(answer, base))
    verdicts: dict[str, Verdict] = {}
    given = "lagrangian" in answer.lines
    if "lagrangian" in answer.errors:
        verdicts["lagrangian"] = _part("lagrangian", answer, base)
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
    families = {FAMILIES[v] for v in _variables(answer, setting)}
    for scale in SCALES:
        if scale != convention.errors and "errors" in families:
            yield replace(convention, errors=scale)
        if scale != convention.constraint and "multipliers" in families and not given:
            yield replace(convention, constraint=scale)


def _variables(answer: Answer, setting: Setting) -> set[str]:
    """The multipliers and errors of an answer; errors only if they are symbols.

    ∂ℓ/∂x^k and ∂ℓ/∂z^k are what they are: no convention changes their sign.
    """
    found = set()
    for line in (line for lines in answer.lines.values() for line in lines):
        for mark in line.walk():
            role = _role(mark, setting)
            if role in FAMILIES:
                found.add(role)
            if isinstance(mark, Slope) and _role(mark.of, setting) == "ell":
                by = _role(mark.by, setting)
                if by == "Z" or (by in {"X", "output"} and mark in line.members):
                    return found - {"Delta", "delta"}
    return found


def _role(mark: object, setting: Setting) -> str:
    meaning = setting.words.meaning(mark.name) if isinstance(mark, Name) else None
    return "" if meaning is None else meaning.role


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


def _setting(task: Task, answer: Answer, words: Vocabulary, convention: Convention) -> Setting:
    options = answer.options
    chosen = convention
    if "objective" in options:
        chosen = replace(chosen, objective=options["objective"])
    return Setting(
        task,
        chosen,
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
    if _part("forward", answer, setting, search=False).verdict == "right":
        return False
    if _part("forward", answer, other, search=False).verdict != "right":
        return False
    parts = [part for part in ("lagrangian", "recursion", "weights") if part in answer.lines]
    here, there = (
        sum(_part(part, answer, one, search=False).verdict == "right" for part in parts)
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
        verdict = _part("lagrangian", answer, here, search=False)
        if verdict.verdict != "wrong":
            return verdict, here
        tried.append(here)
    nearest = min(tried, key=lambda one: _distance(answer, one))
    return _part("lagrangian", answer, nearest), nearest


def _splittings(answer: Answer, setting: Setting) -> list[str]:
    """Which constraints the student may have put in, by the multipliers that occur."""
    roles = {
        meaning.role
        for line in answer.lines["lagrangian"]
        for mark in line.walk()
        if isinstance(mark, Name) and (meaning := setting.words.meaning(mark.name))
    }
    if {"lambda", "mu"} <= roles:
        return ["preactivation"]
    return ["activation", "z"] if "Z" in roles else ["activation"]


def _distance(answer: Answer, setting: Setting) -> int:
    """How many terms of the student's Lagrangian are not those of a convention."""
    judged = _part("lagrangian", answer, setting, search=False).judged
    if not judged or judged[0].expected is None:
        return 1000
    return judged[0].distance


# -- parts -----------------------------------------------------------------------------------------


def _judged(
    answer: Answer, setting: Setting, parts: Iterable[str], search: bool = True
) -> dict[str, Verdict]:
    return {part: _part(part, answer, setting, search) for part in parts}


def _part(part: str, answer: Answer, setting: Setting, search: bool = True) -> Verdict:
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
    if not judged:
        return Verdict(part, "not_gradable", message="there are only definitions")
    return _summed_up(part, judged, sources, setting)


def _initial(line: Line, setting: Setting) -> bool:
    """``x^0 = x``, which says that the states begin with the inputs."""
    first = line.members[0]
    meaning = setting.words.meaning(first.name) if isinstance(first, Name) else None
    if meaning is None or meaning.role != "X" or not isinstance(first, Name):
        return False
    return scripts(first, "X", setting.words, {}).layer == Layer("", 0)


def _definition(line: Line, setting: Setting) -> tuple[str, Definition] | None:
    """``D^k = diag(σ'(z^k))``: a name without a meaning, defined by the student."""
    if len(line.members) != 2:
        return None
    left, right = line.members
    if not isinstance(left, Name) or left.args or left.primes or left.subs:
        return None
    meaning = setting.words.meaning(left.name)
    if meaning is not None and meaning.role != "objective":
        return None
    if left.name in {"dW", "db", "G", "g"}:
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
    if part == "update" and not {"W", "b"} <= unknowns:
        return f"the update of {'b' if 'W' in unknowns else 'W'} is missing"
    return ""


# -- what the outside calls ------------------------------------------------------------------------


def check_formula(text: str, part: str, notation: str = "kkt", task: Task | None = None) -> Verdict:
    """Judge one formula.

    Parameters
    ----------
    text : str
        Plain text or LaTeX.
    part : str
        ``lagrangian``, ``forward``, ``output``, ``recursion``, ``weights``, ``biases`` or ``update``.
    notation : str
        A built-in notation.
    task : Task, optional
        What it is judged against; by default the generic chain, with σ and ℓ left open.

    Raises
    ------
    ProblemError
        For another part.

    Examples
    --------
    >>> print(check_formula("λ^N = -1/M dl/dx^N", "output"))
    output: right
    >>> print(check_formula("∂L/∂b^k = -σ'(z_i^k) ⊙ λ_i^k", "biases").diagnosis)
    the sum over the samples is missing
    """
    known = part_of(part)
    if not known:
        raise ProblemError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    base = task or Task()
    answer = Answer.of({known: text}, {"notation": notation})
    return judge(base, answer)[known]


def judge_formulas(assignment: Assignment, formulas: Mapping[str, str]) -> list[Part]:
    """Judge the formulas of a submission, one part for each that the assignment asks for.

    Parameters
    ----------
    assignment : Assignment
    formulas : mapping
        Part (``Asked.formula``, or a name in :data:`PARTS`) → text; ``notation`` and ``conventions``
        may be among them.

    Returns
    -------
    list of Part
        In the order of the assignment.

    Raises
    ------
    ProblemError
        If the assignment asks for a formula that there is not.
    """
    task = Task.of(assignment)
    asked = [one for one in assignment.parts if one.asks == "formula"]
    keys = {one.name: part_of(one.formula or one.name) for one in asked}
    for one in asked:
        if not keys[one.name]:
            raise ProblemError(
                f"part {one.name!r} asks for the formula {one.formula!r}; known: {', '.join(PARTS)}"
            )
    texts = {part_of(key): value for key, value in formulas.items() if part_of(key)}
    try:
        answer = Answer.of(texts, _options(formulas))
    except ProblemError as error:
        return [_unanswered(one, str(error)) for one in asked]
    verdicts = judge(task, answer)
    return [
        _as_part(one, verdicts[keys[one.name]])
        if keys[one.name] in verdicts
        else _unanswered(one, f"there is no formula {keys[one.name]!r}")
        for one in asked
    ]


_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "samples": ("rows", "columns"),
    "weights": ("inputs first", "outputs first"),
    "objective": ("mean", "sum", "sample"),
}


def _options(formulas: Mapping[str, str]) -> dict[str, str]:
    """``notation``, and the lines of ``conventions``: ``samples = rows``."""
    found: dict[str, str] = {}
    if "notation" in formulas:
        found["notation"] = Notation.named(formulas["notation"].strip()).name
    for line in formulas.get("conventions", "").splitlines():
        if not line.strip():
            continue
        key, _, value = (piece.strip().strip("\"'") for piece in line.partition("="))
        if value not in _OPTIONS.get(key, ()):
            known = "; ".join(f"{k} = {' or '.join(v)}" for k, v in _OPTIONS.items())
            raise ProblemError(f"conventions: {line.strip()[:60]!r} is not known; known: {known}")
        found[key] = value
    return found


def _unanswered(asked: Asked, message: str) -> Part:
    return Part(asked.name, "not_gradable", 0.0, asked.points, message)


def _as_part(asked: Asked, verdict: Verdict) -> Part:
    """A verdict as a part of the grade."""
    if verdict.verdict == "not_gradable":
        return _unanswered(asked, verdict.message)
    note = "; ".join(verdict.notes)
    if verdict.verdict == "right":
        return Part(
            asked.name, "right", asked.points, asked.points, note=note, equation=verdict.line
        )
    one = next((j for j in verdict.judged if not j.right), None)
    expected, found, layer = verdict.line, verdict.source, None
    if one is not None and one.numbers is not None and one.expected is not None:
        expected, found, layer = _numbers(one)
    return Part(
        asked.name,
        "wrong",
        0.0,
        asked.points,
        verdict.diagnosis,
        layer,
        verdict.line,
        expected,
        found,
        note,
        verdict.mistakes[0].hint if verdict.mistakes else "",
    )


def _numbers(one: Judged) -> tuple[str, str, int]:
    """Both numbers at one index of a random network."""
    assert one.numbers is not None
    assert one.expected is not None
    place, right, wrong = one.numbers.worst()
    at = ", ".join(f"{a} = {j + 1}" for a, j in zip(one.expected.axes, place, strict=False))
    network = one.numbers.network
    where = f"widths {network.widths}, M = {network.samples}, layer {one.numbers.layer}"
    return f"{right:.6g} at {at or 'a random point'} ({where})", f"{wrong:.6g}", one.numbers.layer
