"""Terminal and text views of a derivation and of a certificate.

What a view shows is decided here and nowhere else; numbers and verdicts come from the rooms to the
left unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.verify import Certificate, CheckResult

_MARKS = {"agree": ("✓", "green"), "disagree": ("✗", "bold red"),
          "inapplicable": ("–", "dim"), "inconclusive": ("?", "bold yellow")}  # fmt: skip

FORMATS = ("text", "latex", "markdown")


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
    derivation: Derivation, form: str, format: str, depth: int | None = None
) -> str:
    """The Lagrangian and the conditions as text, LaTeX or Markdown.

    Examples
    --------
    >>> from lagrangenet.symbolic.derivation import derive
    >>> print(derivation_text(derive(), "matrix", "text").splitlines()[-1])
    (S6)  ∂L/∂b^k = −Σ_{i=1}^{M} σ′^k(z_i^k) ⊙ λ_i^k        gradient of the biases
    """
    if format not in FORMATS:
        raise DerivationError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    written = "text" if format == "text" else "latex"
    lagrangian = derivation.lagrangian.equation(form, written, depth)
    rows = derivation.equations(form, written, depth)
    if format == "latex":
        return "\n".join(_latex_lines(lagrangian, rows))
    lines = _text_lines(lagrangian, rows) if format == "text" else _markdown_lines(lagrangian, rows)
    return "\n".join([*lines, *_functions(derivation.problem)])


def derivation_json(
    derivation: Derivation, form: str, format: str, depth: int | None = None
) -> str:
    """The same as JSON: ``{schema, splitting, form, format, lagrangian, conditions: [...]}``."""
    written = "text" if format == "text" else "latex"
    rows = derivation.equations(form, written, depth)
    keys = ("label", "title", "equation")
    data = {
        "schema": "lagrangenet.derivation/1",
        "splitting": derivation.splitting,
        "form": form,
        "format": written,
        "lagrangian": derivation.lagrangian.equation(form, written, depth),
        "conditions": [dict(zip(keys, row, strict=True)) for row in rows],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


Rows = list[tuple[str, str, str]]


def _functions(problem: Problem | None) -> Iterable[str]:
    """What the opaque functions are in a problem: runs of layers with the same activation."""
    if problem is None:
        return
    runs, start = [], 1
    for name, layers in groupby(problem.layers, key=lambda layer: str(layer.activation)):
        end = start + len(list(layers)) - 1
        runs.append(f"σ^k = {name} for k = {start}" + (f"..{end}" if end > start else ""))
        start = end + 1
    penalty = f"ω = {problem.regularizer}" if problem.regularizer else "ρ = 0"
    yield ""
    yield "; ".join([*runs, f"ℓ = {problem.loss}", penalty])


def _text_lines(lagrangian: str, rows: Rows) -> Iterable[str]:
    yield lagrangian
    yield ""
    width = max(len(equation) for _, _, equation in rows)
    for label, title, equation in rows:
        yield f"({label})  {equation:<{min(width, 78)}}        {title}"


def _latex_lines(lagrangian: str, rows: Rows) -> Iterable[str]:
    yield r"\begin{align*}"
    broken = lagrangian.replace(r" + \sum_{k=1}", r" \\" + "\n" + r"  &\quad + \sum_{k=1}")
    yield broken.replace(" = ", " &= ", 1) + r" \\"
    for label, _, equation in rows[:-1]:
        yield equation.replace(" = ", " &= ", 1) + rf" \tag{{{label}}} \\"
    label, _, equation = rows[-1]
    yield equation.replace(" = ", " &= ", 1) + rf" \tag{{{label}}}"
    yield r"\end{align*}"


def _markdown_lines(lagrangian: str, rows: Rows) -> Iterable[str]:
    yield f"$$\n{lagrangian}\n$$"
    for label, title, equation in rows:
        yield f"\n({label}) {title}:\n\n$$\n{equation}\n$$"
