"""One line against the derivation: read in every sensible way, compared, and its mistake named.

A line is right if one reading of it, in which all shapes fit, has the normal form of the derived
equation, and the numbers agree. Where the normal forms differ and the numbers do not, it is right too,
and the note says that numbers alone decided. Otherwise the reading with the fewest troubles is compared
with what one mistake, or two, make of the derived equation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from lagrangenet.errors import DerivationError
from lagrangenet.grading.faults import RULES
from lagrangenet.grading.formulas.conventions import FAMILIES, Convention
from lagrangenet.grading.formulas.expected import Expected, candidates, lagrangian
from lagrangenet.grading.formulas.indexed import (
    LAST,
    Fun,
    K,
    Layer,
    Mul,
    Num,
    Pow,
    Range,
    Ref,
    Sum,
    Sym,
    Tree,
    changed,
    renamed,
    walk,
)
from lagrangenet.grading.formulas.names import Vocabulary
from lagrangenet.grading.formulas.normal import Normal, TooLarge, normal
from lagrangenet.grading.formulas.numbers import Comparison, compared, instances, scaled
from lagrangenet.grading.formulas.reading import Definition, Reader, Reading
from lagrangenet.grading.formulas.shapes import Trouble
from lagrangenet.grading.formulas.statements import Statement, Subject, statements
from lagrangenet.grading.formulas.task import Task
from lagrangenet.grading.formulas.tree import FormulaError, Line, Name, Slope

#: What a trouble with shapes is called, and where to look.
TROUBLES: Mapping[str, tuple[str, str]] = {
    "transpose": ("transpose", "Check the shapes: which factor is to be transposed?"),
    "order": ("transposed result", "Check the shape of the result."),
    "hadamard": ("elementwise product", "Is this a matrix product or a product entry by entry?"),
    "product": ("matrix product", "Is this a matrix product or a product entry by entry?"),
    "shape": ("shape", "Write the shape of each factor below it."),
    "index": ("shape", "Which layer does each index belong to?"),
    "layer": ("neighbouring layer", "Check the layer index of every array."),
    "sum": ("limits of a sum", "What does each index run over?"),
}
#: At most so many pairs of mistakes are tried, and so many readings of a wrong line.
PAIRS, READINGS = 2500, 4
_VAGUE = {"not recognized", "shape"}


@dataclass(frozen=True)
class Setting:
    """What is fixed while the lines of an answer are judged.

    Attributes
    ----------
    task : Task
    convention : Convention
    words : Vocabulary
    inputs_first : bool
        Whether W^k has n_{k−1} rows.
    samples : str
        ``rows`` or ``columns`` where the student says how samples are stored.
    lagrangian : bool
        Whether there is a Lagrangian, so that L is no loss.
    definitions : mapping
    """

    task: Task
    convention: Convention
    words: Vocabulary
    inputs_first: bool = False
    samples: str = ""
    lagrangian: bool = False
    definitions: Mapping[str, Definition] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a line.

    Attributes
    ----------
    kind : str
        The fault rule, or the kind of trouble.
    message : str
    hint : str
        Where to look, without the answer.
    """

    kind: str
    message: str
    hint: str


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
    def label(self) -> str:
        """The label of the equation."""
        return "" if self.expected is None else self.expected.label


@dataclass(frozen=True)
class Attempt:
    """One reading, how it was stated, and the equation it is nearest to."""

    stated: Statement
    expected: Expected
    form: Normal | None
    right: bool
    raw: tuple[Normal, ...] = ()


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
    sound = not attempt.stated.troubles and _decisive(attempt)
    if sound and _first_gap(attempt, setting) == _AGREE:
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


# -- readings --------------------------------------------------------------------------------------

_Choice = tuple[Reading, Subject | None, tuple[str, Layer] | None]
#: What g ← ... may mean, where one letter is overwritten: on the left, and on the right.
OVERWRITTEN = (
    (Subject("delta", K), ("Delta", K)),
    (Subject("Delta", K + -1), ("delta", K)),
    (Subject("Delta", K + -1), ("Delta", K)),
    (Subject("delta", K + -1), ("delta", K)),
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
            turns = ("", "errors", "all") if samples == "label" else ("",)
            for turned, inside, tight, slope in itertools.product(
                turns, inner, (False, True), loss
            ):
                reading = Reading(samples, turned, inside, tight, slope, setting.inputs_first)
                yield reading, subject, overwritten


def _bare(mark: Name, words: Vocabulary) -> bool:
    meaning = words.meaning(mark.name)
    layered = any(words.is_layer(script) for script in (*mark.sups, *mark.subs))
    return meaning is not None and meaning.role in {"Delta", "delta"} and not layered


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

    mended = read(True)
    literal = read(False) if any(s.troubles for s in mended) else mended
    return [_compared(s, raw, setting) for s, raw in zip(mended, literal, strict=True)]


def _compared(stated: Statement, raw: Statement, setting: Setting) -> Attempt:
    options = (
        [lagrangian(setting.task, setting.convention)]
        if stated.unknown == "L"
        else candidates(setting.task, setting.convention, stated)
    )
    first: Attempt | None = None
    if stated.unknown == "L" and setting.convention.splitting == "z":
        stated, raw = _renamed(stated, "lambda", "mu"), _renamed(raw, "lambda", "mu")
    if stated.below and options and options[0].layers == "below":
        stated, raw = _at_the_end(stated), _at_the_end(raw)
    for expected in options:
        tree = _in_variables(stated.tree, expected, setting)
        form = _form(tree, expected)
        right = not stated.troubles and form is not None and form == expected.normal
        literal = [_in_variables(raw.tree, expected, setting)] if raw.troubles else []
        plain = [] if tree == stated.tree else [stated.tree]  # μ for λ is a mistake of its own
        others = [found for one in (*literal, *plain) if (found := _form(one, expected))]
        attempt = Attempt(replace(stated, tree=tree), expected, form, right, tuple(others))
        if right:
            return attempt
        first = first or attempt
    if first is None:
        raise DerivationError(f"there is no equation for {stated.unknown} at layer {stated.layer}")
    return first


def _renamed(stated: Statement, old: str, new: str) -> Statement:
    """The multipliers of a statement under another name."""

    def change(one: Tree) -> Tree:
        return replace(one, name=new) if isinstance(one, Ref) and one.name == old else one

    return replace(stated, tree=changed(stated.tree, change))


def _at_the_end(stated: Statement) -> Statement:
    """A statement about layer k as one about layer N−1."""

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref | Fun) and one.layer is not None and one.layer.base == "k":
            return replace(one, layer=Layer("N", one.layer.offset - 1))
        return one

    return replace(stated, tree=changed(stated.tree, change))


def _form(tree: Tree, expected: Expected) -> Normal | None:
    try:
        return normal(tree, expected.rules)
    except (TooLarge, ZeroDivisionError):
        return None


# -- one variable for another ----------------------------------------------------------------------


def _in_variables(tree: Tree, expected: Expected, setting: Setting) -> Tree:
    """The tree with gradients put in, and with the multipliers of the expected equation."""
    tree = _with_gradients(tree, setting)
    used = {one.name for one in walk(tree) if isinstance(one, Ref)} & set(FAMILIES)
    if not used or used <= expected.variables or len(expected.variables) != 1:
        return tree
    if expected.label == "L":
        return tree  # there, λ and μ are variables of their own
    (target,) = expected.variables
    if target not in {"lambda", "Delta"}:
        return tree

    def change(one: Tree) -> Tree:
        if not isinstance(one, Ref) or one.name not in FAMILIES or one.name == target:
            return one
        return _as(target, one, setting)

    return changed(tree, change)


def _as(target: str, one: Ref, setting: Setting) -> Tree:
    """μ, δ, λ or Δ by λ or by Δ."""
    convention = setting.convention
    value: Tree = replace(one, name=target)
    if one.name in {"mu", "delta"}:
        sample, component = one.at
        coupled = one.layer == LAST and len(setting.task.functions.kinds) > 1
        if coupled:
            inner = Mul(
                (
                    Ref("jac", one.layer, (sample, "j*", component)),
                    Ref(target, one.layer, (sample, "j*")),
                )
            )
            value = Sum("j*", Range("component", one.layer), inner)
        else:
            value = Mul((Fun("sigma", one.layer, 1, replace(one, name="Z"), component), value))
    if FAMILIES[one.name] == FAMILIES[target]:
        return value
    scale = convention.of(one.name).times(convention.of(target).inverse())
    power = scale.samples + (1 if target == "lambda" else -1)
    factor = Mul((Num(Fraction(-scale.sign)), Pow(Sym("M"), power)))
    return Mul((factor, value))


def _with_gradients(tree: Tree, setting: Setting) -> Tree:
    """∂L/∂W and ∂ℓ/∂W on a right-hand side, as they are derived."""

    def change(one: Tree) -> Tree:
        if not isinstance(one, Ref) or not one.name.startswith("slope"):
            return one
        slope = "sample" if one.name.startswith("slope1") else "objective"
        stated = Statement(one.name[-1], K, Num(Fraction(0)), slope=slope)
        (first, *_) = candidates(setting.task, setting.convention, stated)
        names = dict(zip(first.axes, one.at, strict=False))
        return renamed(first.tree, names)

    return changed(tree, change)


# -- verdicts --------------------------------------------------------------------------------------


def _accepted(attempt: Attempt, setting: Setting) -> Judged:
    """A right line, confirmed by numbers."""
    stated, expected = attempt.stated, attempt.expected
    gap = _first_gap(attempt, setting)
    if isinstance(gap, Comparison):
        message = "the normal forms are equal and the numbers are not: please report this"
        return Judged(False, stated, expected, (Mistake("disagreement", message, ""),), (), gap)
    notes = _notes(attempt, setting.task)
    return Judged(True, stated, expected, (), notes, confirmed=gap == _AGREE)


def _notes(attempt: Attempt, task: Task) -> tuple[str, ...]:
    found = list(attempt.stated.notes)
    marks = list(walk(attempt.stated.tree))
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
    slopes = [one for one in walk(expected.tree) if isinstance(one, Fun) and one.order]
    opaque = [one for one in marks if isinstance(one, Fun | Ref) and one.name in {"sigma", "jac"}]
    if not slopes or expected.label == "L" or (opaque and len(functions.kinds) == 1):
        return []
    last = "k < N − 1" if any(one.layer == K + 1 for one in slopes) else "k < N"
    return [f"for {last}: the output layer has another activation"]


def _verdict(attempt: Attempt, setting: Setting, pairs: bool = True) -> Judged:
    """A wrong line and its mistake; or a right one, which numbers alone recognize."""
    stated, expected = attempt.stated, attempt.expected
    if attempt.right:
        return _accepted(attempt, setting)
    gap = _UNKNOWN if stated.troubles else _first_gap(attempt, setting)
    if gap == _AGREE and _decisive(attempt):
        return _by_numbers(attempt, setting.task)
    mistakes = _mistakes(attempt, setting, pairs) or _where_it_ends(attempt, setting)
    return Judged(
        False, stated, expected, mistakes, (), gap if isinstance(gap, Comparison) else None
    )


def _decisive(attempt: Attempt) -> bool:
    """Whether equal numbers prove a line: not a Lagrangian with constraints that numbers satisfy."""
    used = {one.name for one in walk(attempt.stated.tree) if isinstance(one, Ref)} & set(FAMILIES)
    return attempt.expected.label != "L" or used == attempt.expected.variables


def _by_numbers(attempt: Attempt, task: Task) -> Judged:
    """A line that is right although its normal form is another one."""
    note = "numbers at random networks agree; the normal forms could not decide"
    notes = (*_notes(attempt, task), note)
    return Judged(True, attempt.stated, attempt.expected, (), notes, confirmed=True)


#: Numbers agree everywhere; there are none.
_AGREE, _UNKNOWN = "agree", "unknown"


def _first_gap(attempt: Attempt, setting: Setting) -> Comparison | str:
    """Where both sides differ first."""
    result = _UNKNOWN
    for comparison in _comparisons(attempt, setting):
        if not comparison.equal:
            return comparison
        result = _AGREE
    return result


def _mistakes(attempt: Attempt, setting: Setting, pairs: bool) -> tuple[Mistake, ...]:
    """What one mistake, or two, explain."""
    expected, troubles = attempt.expected, attempt.stated.troubles
    if troubles and attempt.form == expected.normal:
        return tuple(_trouble(one) for one in troubles[:1])
    forms = [form for form in (*attempt.raw, attempt.form) if form is not None]
    for form in forms:
        found = [(m.cost, m) for m, wrong in expected.wrong if wrong == form]
        if found:
            _, mutant = min(found, key=lambda pair: pair[0])
            mistake = Mistake(mutant.rule, mutant.description, RULES[mutant.rule].hint)
            if troubles and form is attempt.form:
                return (_trouble(troubles[0]), mistake)
            return (mistake,)
    if other := _another(attempt, setting):
        return (other,)
    for first, second, wrong in itertools.islice(expected.pairs(), PAIRS if pairs else 0):
        if wrong in forms:
            return tuple(
                Mistake(m.rule, m.description, RULES[m.rule].hint) for m in (first, second)
            )
    return tuple(_trouble(one) for one in troubles[:1])


#: Variables and parameters that are taken for each other, and what the other one is.
_OTHERS: Mapping[str, tuple[str, str]] = {
    "lambda": ("mu", "the multiplier μ^k of z^k"),
    "mu": ("lambda", "the multiplier λ^k of x^k"),
    "Delta": ("delta", "δ^k = ∂ℓ/∂z^k"),
    "delta": ("Delta", "Δ^k = ∂ℓ/∂x^k"),
    "b": ("W", "∂L/∂W^k"),
    "W": ("b", "∂L/∂b^k"),
}


def _another(attempt: Attempt, setting: Setting) -> Mistake | None:
    """The right equation of something else."""
    stated = attempt.stated
    if stated.unknown not in _OTHERS:
        return None
    other, what = _OTHERS[stated.unknown]
    tree = stated.tree
    if stated.unknown in FAMILIES:
        tree = _renamed(stated, stated.unknown, other).tree
    for expected in candidates(setting.task, setting.convention, replace(stated, unknown=other)):
        if _form(_in_variables(tree, expected, setting), expected) == expected.normal:
            hint = "Which quantity is this line about?"
            return Mistake("another equation", f"this is what {what} is equal to", hint)
    return None


def _trouble(trouble: Trouble) -> Mistake:
    kind, hint = TROUBLES[trouble.kind]
    return Mistake(kind, trouble.message, hint)


def _comparisons(attempt: Attempt, setting: Setting) -> Iterator[Comparison]:
    """Both sides at random networks; nothing where one of them has no numbers."""
    stated, expected = attempt.stated, attempt.expected
    task, convention = setting.task, setting.convention
    free = expected.label in {"L", "S1"}
    tied = expected.label != "L" or convention.splitting == "activation"
    forward = not free or expected.label == "S1" or convention.splitting == "z"
    for drawn in instances(task.functions, forward, tied):
        network = scaled(drawn, convention.multipliers, convention.errors)
        for k in _layers(expected, network.depth, task):
            try:
                yield compared(stated.tree, expected.expr, network, k, expected.axes or ())
            except (DerivationError, ZeroDivisionError, FloatingPointError):
                return


def _layers(expected: Expected, depth: int, task: Task) -> list[int]:
    """The layers at which an equation is evaluated: those of the hidden activation."""
    if expected.label == "L" or expected.layers == "output":
        return [depth]
    if expected.layers == "below":
        return [depth - 1]
    alike = task.functions.hidden == task.functions.output
    last = depth - (expected.layers == "hidden") - (not alike)
    return list(range(1, last + 1))


def _where_it_ends(attempt: Attempt, setting: Setting) -> tuple[Mistake, ...]:
    """No mistake explains the line: what is true of it all the same."""
    hint = "Derive this line again, one factor at a time."
    comparisons = [] if attempt.stated.troubles else list(_comparisons(attempt, setting))
    if not comparisons:
        return (Mistake("not recognized", "this is not what the derivation gives", hint),)
    equal = [c for c in comparisons if c.equal]
    text = "this is not what the derivation gives"
    if equal and all((c.network.samples == 1) == c.equal for c in comparisons):
        text = "this is right for M = 1 only"
    elif equal:
        layers = sorted({c.layer for c in comparisons if not c.equal})
        text = f"this agrees at some layers and differs at layer {layers[0]}"
    else:
        ratios = {_ratio(c) for c in comparisons}
        if len(ratios) == 1 and None not in ratios:
            text = f"this is {ratios.pop():g} times what the derivation gives"
    return (Mistake("not recognized", text, hint),)


def _ratio(comparison: Comparison) -> float | None:
    """The constant factor between both sides, if there is one."""
    big = abs(comparison.expected) > 1e-6
    if not big.any():
        return None
    ratios = comparison.found[big] / comparison.expected[big]
    first = float(ratios.ravel()[0])
    return round(first, 6) if abs(ratios - first).max() < 1e-6 else None
