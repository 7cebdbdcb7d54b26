"""The steps of a derivation as text, LaTeX, Markdown and HTML: a chain of equalities with reasons.

Only steps that passed their check arrive here; what a step says is decided in ``symbolic``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from lagrangenet.errors import DerivationError
from lagrangenet.report import html, latex
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.display import display, inline
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.steps import TOLERANCE, Step, places
from lagrangenet.symbolic.styles import Text, named_style

Mark = Callable[[str], str]


def steps_text(
    derivation: Derivation,
    label: str | None = None,
    format: str = "text",
    notation: Notation | None = None,
    fragment: bool = False,
) -> str:
    """Every step to the conditions, or to one of them.

    Parameters
    ----------
    derivation : Derivation
    label : str, optional
        The condition, such as ``S3``.
    format : {"text", "latex", "markdown", "html"}
    notation : Notation, optional
        By default ``kkt``.
    fragment : bool
        LaTeX without preamble.

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
    write, style = _WRITERS[format]
    chosen = named_style(style, notation)
    groups = groupby(derivation.steps(label), key=lambda step: step.condition)
    body = "\n\n".join("\n".join(write(list(steps), chosen)) for _, steps in groups)
    if format == "html":
        return html.wrapped("Steps of the derivation", body)
    return latex.wrapped(body) if format == "latex" and not fragment else body


def _title(step: Step, style: Text, mark: Mark = str) -> str:
    """(S3) backward pass, k < N."""
    condition = step.condition
    k, N = (mark(text(index, style)) for index in (l.k, l.N))
    layers = {"all": f"{k} = 1, ..., {N}", "hidden": f"{k} < {N}", "output": f"{k} = {N}"}
    kind = ""
    if condition.kind is not None:
        kind = f", layer {mark(text(condition.kind_of, style))} {condition.kind}"
    return f"({condition.label}) {condition.title}, {layers[condition.layers]}{kind}"


def _text(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield _title(steps[0], style)
    for number, step in enumerate(steps, 1):
        yield ""
        yield f"  {number}. {_named(step)}. {step.because(style)}"
        written = step.written(style)
        if step.solved:
            yield f"       {written}"
            continue
        lead = f"{written.left} = "
        for term in written.terms:
            yield f"       {lead}{term}"
            lead = " " * len(lead)
    yield ""
    yield f"  {_check(steps)}"


def _named(step: Step) -> str:
    return step.name[0].upper() + step.name[1:]


def _check(steps: Sequence[Step]) -> str:
    return (
        f"Each step holds in numbers: both sides agree to {TOLERANCE:.0e}, with derivatives as "
        f"complex steps, at {len(places(steps[0]))} points of random networks."
    )


def _dollars(formula: str) -> str:
    return f"${formula}$"


def _latex(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield rf"\subsection*{{{_title(steps[0], style, _dollars)}}}"
    yield r"\begingroup\small\raggedright"
    for number, step in enumerate(steps, 1):
        yield ""
        yield rf"\medskip \textbf{{{number}. {_named(step)}.}} {step.because(style, _dollars)}"
        yield "\\begin{align*}"
        yield " \\\\\n".join(_aligned(step, style))
        yield "\\end{align*}"
    yield ""
    yield _check(steps)
    yield ""
    yield r"\endgroup"


def _aligned(step: Step, style: Text) -> Iterator[str]:
    written = step.written(style)
    if step.solved:
        yield f"{written.left} &= {' '.join(written.terms)}"
        return
    yield f"{written.left} &= {written.terms[0]}"
    yield from (rf"&\quad {term}" for term in written.terms[1:])


def _markdown(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield f"### {_title(steps[0], style, _dollars)}"
    for number, step in enumerate(steps, 1):
        yield f"\n{number}. **{_named(step)}.** {step.because(style, _dollars)}\n"
        yield "   $$"
        yield "   \\begin{aligned}"
        yield from ("   " + line + r" \\" for line in _aligned(step, style))
        yield "   \\end{aligned}"
        yield "   $$"
    yield f"\n{_check(steps)}"


def _html(steps: Sequence[Step], style: Text) -> Iterator[str]:
    yield f"<h2>{_title(steps[0], style, inline).replace(' < ', ' &lt; ')}</h2>"
    yield "<ol>"
    for step in steps:
        reason = step.because(style, inline).replace(" < ", " &lt; ")
        yield f"<li><b>{_named(step)}.</b> {reason}"
        yield f'<div class="box formula">{display(step.written(style))}</div></li>'
    yield "</ol>"
    yield f"<p>{escape(_check(steps))}</p>"


_WRITERS: dict[str, tuple[Callable[[Sequence[Step], Text], Iterator[str]], str]] = {
    "text": (_text, "text"),
    "latex": (_latex, "latex"),
    "markdown": (_markdown, "latex"),
    "html": (_html, "mathml"),
}
