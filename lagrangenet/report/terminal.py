"""Terminal and text views of a derivation and of a certificate.

What a view shows is decided here and nowhere else; numbers and verdicts come from the rooms to the
left unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lagrangenet.errors import DerivationError
from lagrangenet.report import html, latex
from lagrangenet.report.document import Document, document
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.display import stacked
from lagrangenet.symbolic.graphs.derivation import GraphDerivation
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.printing import FORMS, check_form
from lagrangenet.symbolic.styles import named_style
from lagrangenet.verify import Certificate, CheckResult

_MARKS = {"agree": ("✓", "green"), "disagree": ("✗", "bold red"),
          "inapplicable": ("–", "dim"), "inconclusive": ("?", "bold yellow")}  # fmt: skip

FORMATS = ("text", "latex", "markdown", "html")
_STYLE_OF = {"text": "text", "latex": "latex", "markdown": "latex", "html": "mathml"}


def certificate_view(certificate: Certificate) -> RenderableType:
    """One table per problem and the verdict, for ``rich.print``."""
    parts: list[RenderableType] = []
    for name, declared in certificate.problem.items():
        title = f"{name}: {declared['summary']} ({declared['samples']} samples)"
        table = Table(title=Text(title), title_justify="left", title_style="bold", expand=False)
        table.add_column("")
        table.add_column("check")
        table.add_column("figure", justify="right", no_wrap=True)
        table.add_column("≤", justify="right", no_wrap=True)
        for check in certificate.checks:
            if check.problem == name:
                table.add_row(*_row(check))
        parts += [table, Text(_solved(declared), style="dim"), ""]
    return Group(*parts, _verdict(certificate), _reproduced(certificate))


def _solved(declared: Mapping[str, Any]) -> str:
    """Which problem the solutions are solutions of."""
    sentence = declared.get("subproblem", "")
    return f"SciPy solved: {sentence[0].lower()}{sentence[1:]}" if sentence else ""


def _reproduced(certificate: Certificate) -> Text:
    """What gives the same certificate again: seed, versions, source."""
    named = ("python", "numpy", "scipy", "sympy", "lagrangenet")
    versions = [f"{name} {certificate.environment.get(name, '?')}" for name in named]
    source = certificate.sources.get("lagrangenet", "")[:12]
    return Text(f"seed {certificate.seed}; {', '.join(versions)} (source {source})", style="dim")


def _row(check: CheckResult) -> tuple[RenderableType, ...]:
    mark, style = _MARKS[check.verdict]
    figure = "" if check.figure is None else f"{check.figure:.1e}" if check.figure else "0"
    tolerance = f"{check.tolerance:.0e}" if check.tolerance else "0"
    line = Text(check.name)
    if check.verdict != "agree":
        line.append("".join(f"\n{part}" for part in (check.where, check.note) if part), style=style)
    return Text(mark, style=style), line, figure, tolerance


def _verdict(certificate: Certificate) -> Text:
    made = [check for check in certificate.checks if check.verdict != "inapplicable"]
    failed = len(certificate.failures)
    if certificate.agrees:
        words = f"agree: symbols, code and numbers, in {len(made)} of {len(made)} checks"
        return Text(words, style="bold green")
    return Text(f"disagree: {failed} of {len(made)} checks failed", style="bold red")


def derivation_text(
    derivation: Derivation | GraphDerivation,
    form: str,
    format: str,
    depth: int | None = None,
    notation: Notation | None = None,
    fragment: bool = False,
) -> str:
    """The derivation in a format: text, LaTeX, Markdown or HTML.

    Parameters
    ----------
    form : str
        The form of the equations; HTML shows the others after it.
    notation : Notation, optional
        By default ``kkt``.
    fragment : bool
        LaTeX without preamble, problem and symbols: one ``align*``.

    Examples
    --------
    >>> from lagrangenet.symbolic.derivation import derive
    >>> print(derivation_text(derive(), "matrix", "text").splitlines()[-1])
    (S6)  ∂L/∂b^k = −Σ_{i=1}^{M} σ′^k(z_i^k) ⊙ λ_i^k        gradient of the biases
    """
    if format not in FORMATS:
        raise DerivationError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    forms = [form]
    if format == "html" and isinstance(derivation, Derivation):
        forms += [other for other in FORMS if other != check_form(form)]
    shown = document(derivation, forms, named_style(_STYLE_OF[format], notation), depth)
    if format == "latex":
        return latex.fragment(shown) if fragment else latex.page(shown)
    if format == "html":
        return html.page(shown)
    if format == "markdown":
        return "\n".join(_markdown_lines(shown))
    lagrangian = shown.parts[0].lagrangian
    head = stacked(lagrangian) if isinstance(derivation, GraphDerivation) else str(lagrangian)
    return "\n".join([head, "", *_text_lines(shown)])


def derivation_json(
    derivation: Derivation | GraphDerivation,
    form: str,
    format: str,
    depth: int | None = None,
    notation: Notation | None = None,
) -> str:
    """The same as JSON: ``{schema, splitting, notation, form, format, lagrangian, conditions}``."""
    style = named_style(_STYLE_OF[format], notation)
    if isinstance(derivation, GraphDerivation):
        rows, splitting = derivation.equations(form, style), None
        lagrangian = str(derivation.lagrangian(style))
    else:
        rows, splitting = derivation.equations(form, style, depth), derivation.splitting
        lagrangian = derivation.lagrangian.equation(form, style, depth)
    keys = ("label", "title", "equation")
    data = {
        "schema": "lagrangenet.derivation/1",
        "splitting": splitting,
        "order": derivation.order,
        "notation": style.notation.name,
        "variable": style.notation.variable,
        "form": form,
        "format": _STYLE_OF[format],
        "lagrangian": lagrangian,
        "conditions": [dict(zip(keys, row, strict=True)) for row in rows],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _text_lines(shown: Document) -> Iterable[str]:
    rows = shown.rows
    width = min(max(len(str(row)) for row in rows), 78)
    widest = max(len(row.label) for row in rows) + 2
    for row in rows:
        label = f"({row.label})" if row.label else ""
        yield f"{label:<{widest}}  {row!s:<{width}}        {row.title}"
    if shown.functions:
        yield ""
        yield "; ".join(f"{formula} = {words}" for formula, words in shown.functions)


def _markdown_lines(shown: Document) -> Iterable[str]:
    part = shown.parts[0]
    yield f"$$\n{part.lagrangian}\n$$"
    for row in shown.rows:
        head = f"({row.label}) {row.title}" if row.label else row.title
        yield f"\n{head}:\n\n$$\n{row}\n$$"
    if shown.functions:
        yield ""
        yield "; ".join(f"${formula}$ = {_plain(words)}" for formula, words in shown.functions)


def _plain(words: str) -> str:
    """Words that Markdown leaves as they are."""
    return words.replace("_", "\\_")
