r"""A derivation as LaTeX: a document of its own for stock packages, or a fragment for yours.

A fragment is one ``align*`` and needs amsmath only.
"""

from __future__ import annotations

from collections.abc import Iterator

from lagrangenet.report.document import Document, Part
from lagrangenet.symbolic.display import Equation, lines, visible

_WIDTH, _LONG = 66, 100
_PREAMBLE = r"""\documentclass[a4paper,10pt]{article}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=15mm]{geometry}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\begin{document}"""

_SPECIAL = {
    **{c: f"\\{c}" for c in "#$%&_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "→": r"$\to$", "×": r"$\times$", "−": "$-$", "–": "--", "…": r"\dots{}", "<": "$<$", ">": "$>$",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Words of a problem or a notation as LaTeX; what no Latin letter is becomes a question mark.

    >>> print(escaped("4 → 3 softmax, cross_entropy"))
    4 $\to$ 3 softmax, cross\_entropy
    """
    return "".join(_SPECIAL.get(c, c if ord(c) < 0x180 else "?") for c in text)


def fragment(shown: Document) -> str:
    """The Lagrangian and the conditions of the first part as one ``align*``."""
    part = shown.parts[0]
    rows = [*_split(part.lagrangian, 2, always=True)]
    rows += [_one(row) for row in shown.rows]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def wrapped(body: str) -> str:
    """A document that compiles, with this body."""
    return f"{_PREAMBLE}\n{body}\n\\end{{document}}"


def page(shown: Document) -> str:
    """A document that compiles: problem, Lagrangian, conditions with their meaning, symbols."""
    return "\n".join(_page(shown))


def _page(shown: Document) -> Iterator[str]:
    yield _PREAMBLE
    yield rf"\section*{{\raggedright {escaped(shown.title)}}}"
    yield escaped(shown.subtitle[0].upper() + shown.subtitle[1:]) + "."
    yield from _problem(shown)
    for part in shown.parts:
        yield r"\subsection*{Conditions}"
        yield from _conditions(part)
    yield r"\subsection*{Symbols}"
    yield r"\renewcommand{\arraystretch}{1.3}"
    yield r"\begin{tabular}{@{}lp{.8\linewidth}@{}}"
    for formula, meaning in shown.symbols:
        yield rf"$\displaystyle {formula}$ & {_words(meaning)} \\"
    yield r"\end{tabular}"
    yield r"\end{document}"


def _problem(shown: Document) -> Iterator[str]:
    part = shown.parts[0]
    yield r"\subsection*{Problem}"
    yield rf"Minimize over ${shown.unknowns}$"
    yield _display([*_split(part.objective, 1)])
    yield r"subject to, for every sample,"
    yield _display([rf"&{constraint}" for constraint in part.constraints])
    if part.definitions:
        yield "where"
        yield _display([row for equation in part.definitions for row in _split(equation, 1)])
    if shown.functions:
        yield r"\begin{itemize}\setlength{\itemsep}{0pt}\raggedright"
        yield from (rf"\item ${formula}$ = {escaped(words)}" for formula, words in shown.functions)
        yield r"\end{itemize}"
    yield r"\subsection*{Lagrangian}"
    yield _display([*_split(part.lagrangian, 2, always=True)])


def _conditions(part: Part) -> Iterator[str]:
    for equation in part.conditions:
        yield rf"\medskip {escaped(equation.title[0].upper() + equation.title[1:])}:"
        rows = [*_split(equation, 1)]
        rows[-1] += rf" \tag{{{equation.label}}}"
        yield _display(rows)
    if part.updates:
        yield r"\medskip A step of gradient descent:"
        yield _display([row for equation in part.updates for row in _split(equation, 1)])


def _display(rows: list[str]) -> str:
    shown = "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"
    if max(len(visible(row)) for row in rows) > _LONG:  # one summand that cannot be broken
        return f"{{\\small\n{shown}}}"
    return shown


def _split(equation: Equation, least: int, always: bool = False) -> Iterator[str]:
    """The lines of an equation; ``always`` breaks after ``least`` summands."""
    broken = lines(equation, 0 if always else _WIDTH, least)
    head = equation.style.relation(equation.left, "&" + _sign(equation), "")
    yield (head + broken[0]).replace("  ", " ")
    yield from (rf"  &\quad {line}" for line in broken[1:])


def _one(equation: Equation) -> str:
    row = " \\\\\n".join(_split(equation, 1))
    return row + (rf" \tag{{{equation.label}}}" if equation.label else "")


def _sign(equation: Equation) -> str:
    return r"\leftarrow" if equation.sign == "←" else equation.sign


def _words(meaning: str) -> str:
    return escaped(meaning.replace("−M times its multiplier", "minus M times its multiplier"))
