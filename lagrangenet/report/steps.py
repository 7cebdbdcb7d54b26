"""The steps of a derivation as text, LaTeX and Markdown: a chain of equalities with reasons.

Only steps that passed their check arrive here; what a step says is decided in ``symbolic``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.steps import TOLERANCE, Step, places
from lagrangenet.symbolic.styles import Text, named_style

_RANGES = {"all": "k = 1, ..., N", "hidden": "k < N", "output": "k = N"}


def steps_text(
    derivation: Derivation,
    label: str | None = None,
    format: str = "text",
    style: str | Text | None = None,
) -> str:
    """Every step to the conditions, or to one of them.

    Parameters
    ----------
    derivation : Derivation
    label : str, optional
        The condition, such as ``S3``.
    format : {"text", "latex", "markdown"}
    style : str or Text, optional
        Names of a notation; by default those of the format.

    Raises
    ------
    DerivationError
        For an unknown label or format; a :class:`~lagrangenet.symbolic.steps.StepError` if a step
        does not hold.

    Examples
    --------
    >>> from lagrangenet.symbolic.derivation import derive
    >>> print(steps_text(derive(splitting="preactivation"), "S4").splitlines()[-3].strip())
    μ_ip^k = σ′^k(z_ip^k) λ_ip^k
    """
    if format not in _WRITERS:
        raise DerivationError(f"unknown format {format!r}; known: {', '.join(_WRITERS)}")
    chosen = named_style(style or ("text" if format == "text" else "latex"))
    groups = groupby(derivation.steps(label), key=lambda step: step.condition)
    blocks = ["\n".join(_WRITERS[format](list(steps), chosen)) for _, steps in groups]
    return "\n\n".join(blocks)


def _title(step: Step, style: Text, mark: str = "") -> str:
    """(S3) backward pass (k < N)."""
    condition = step.condition
    kind = ""
    if condition.kind is not None:
        kind = f", layer {mark}{text(condition.kind_of, style)}{mark} {condition.kind}"
    return f"({condition.label}) {condition.title}, {mark}{_RANGES[condition.layers]}{mark}{kind}"


def _derivative(step: Step, style: Text) -> str:
    return style.derivative(step.condition.of(style), text(step.wrt, style))


def _lines(step: Step, style: Text) -> Iterator[str]:
    """The right-hand side, one summand per line, each with its sign."""
    for number, line in enumerate(step.lines(style)):
        bare = line.removeprefix(style.minus)
        if number == 0:
            yield line
        else:
            yield f"{'+' if bare == line else style.minus} {bare.strip()}"


def _text(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield _title(steps[0], style)
    head = f"{_derivative(steps[0], style)} = "
    for number, step in enumerate(steps, 1):
        yield ""
        yield f"  {number}. {step.name[0].upper()}{step.name[1:]}. {step.because(style)}"
        lead = "" if step.solved else head
        for line in _lines(step, style):
            yield f"       {lead}{line}"
            lead = " " * len(lead)
    yield ""
    yield f"  {_check(steps)}"


def _check(steps: Sequence[Step]) -> str:
    points = len(places(steps[0]))
    return (
        f"Each step holds in numbers: both sides agree to {TOLERANCE:.0e}, with derivatives as "
        f"complex steps, at {points} points of random networks."
    )


def _latex(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield rf"\paragraph{{{_title(steps[0], style, '$')}}}"
    yield r"\begin{enumerate}"
    for step in steps:
        yield rf"\item \emph{{{step.name}}}. {step.because(style)}"
        yield r"\begin{align*}"
        yield " \\\\\n".join(_aligned(step, style))
        yield r"\end{align*}"
    yield r"\end{enumerate}"
    yield _check(steps)


def _aligned(step: Step, style: Text) -> Iterator[str]:
    head = _derivative(step, style)
    for number, line in enumerate(_lines(step, style)):
        if step.solved:
            yield line.replace(" = ", " &= ", 1)
        else:
            yield f"{head} &= {line}" if number == 0 else rf"&\quad {line}"


def _markdown(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield f"### {_title(steps[0], style, '$')}"
    for number, step in enumerate(steps, 1):
        yield f"\n{number}. **{step.name}.** {step.because(style)}\n"
        yield "   $$"
        yield "   \\begin{aligned}"
        yield from ("   " + line + r" \\" for line in _aligned(step, style))
        yield "   \\end{aligned}"
        yield "   $$"
    yield f"\n{_check(steps)}"


_WRITERS = {"text": _text, "latex": _latex, "markdown": _markdown}
