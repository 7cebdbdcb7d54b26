"""The public side: one formula checked, and the formula parts of a submission graded."""

from __future__ import annotations

from collections.abc import Mapping

from lagrangenet.errors import ProblemError
from lagrangenet.grading.assignment import Asked, Assignment
from lagrangenet.grading.formulas.judge import judge
from lagrangenet.grading.formulas.lines import Judged
from lagrangenet.grading.formulas.parts import Answer, Verdict
from lagrangenet.grading.formulas.task import PARTS, Task, part_of
from lagrangenet.grading.result import Part
from lagrangenet.symbolic.notation import Notation


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
