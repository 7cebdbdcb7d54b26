"""Written equations: their parts, where long ones are broken, and MathML tables of them.

Markup only: what an equation says, and in which notation, was decided when it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from lagrangenet.symbolic.styles import STYLES, Text

_WIDTH = 90
_XMLNS = "http://www.w3.org/1998/Math/MathML"


@dataclass(frozen=True)
class Equation:
    """A written equation: left, a sign, and the summands on the right with their signs.

    ``label`` and ``title`` name the condition; a definition has no label.
    """

    label: str
    title: str
    left: str
    sign: str
    terms: tuple[str, ...]
    style: Text = STYLES["text"]

    def __str__(self) -> str:
        return self.style.relation(self.left, self.sign, " ".join(self.terms))


def stacked(equation: Equation) -> str:
    """An equation as text, every summand after the first on a line of its own."""
    first, *rest = equation.terms
    head = equation.style.relation(equation.left, equation.sign, first)
    return "\n    ".join([head, *rest])


def table(equations: Iterable[Equation]) -> str:
    """Label, equation and meaning of each, as an HTML table; equations are written in MathML."""
    rows = "".join(
        f'<tr><th class="label" scope="row">{f"({row.label})" if row.label else ""}</th>'
        f'<td><div class="formula">{display(row)}</div></td>'
        f'<td class="meaning">{escape(row.title)}</td></tr>'
        for row in equations
    )
    return f'<table class="conditions"><tbody>{rows}</tbody></table>'


def inline(formula: str) -> str:
    """A formula in a line of text."""
    return f'<math xmlns="{_XMLNS}"><mrow>{formula}</mrow></math>'


def block(formula: str) -> str:
    """A formula on a line of its own."""
    return f'<math xmlns="{_XMLNS}" display="block"><mrow>{formula}</mrow></math>'


def display(equation: Equation) -> str:
    """An equation, its summands on several lines where they do not fit on one."""
    broken = lines(equation, _WIDTH)
    if len(broken) == 1:
        return block(equation.style.relation(equation.left, equation.sign, broken[0]))
    heads = [equation.style.relation(equation.left, equation.sign, ""), *[""] * (len(broken) - 1)]
    rows = "".join(
        f"<mtr><mtd><mrow>{head}</mrow></mtd><mtd><mrow>{line}</mrow></mtd></mtr>"
        for head, line in zip(heads, broken, strict=True)
    )
    return block(
        f'<mtable class="terms" displaystyle="true" columnalign="right left">{rows}</mtable>'
    )


def lines(equation: Equation, width: int, least: int = 1) -> list[str]:
    """The summands on the right in lines of about that many symbols; ``least`` stay together."""
    found: list[str] = []
    used = len(visible(equation.left)) + 1
    for number, term in enumerate(equation.terms):
        size = len(visible(term))
        if found and (number < least or used + size <= width):
            found[-1] += f" {term}"
            used += size
        else:
            found.append(term)
            used = size
    return found


_MARKUP = re.compile(r"<[^>]*>|\\[A-Za-z]+|[{}_^\\&\s]")


def visible(markup: str) -> str:
    """Roughly the symbols that a formula shows: what is left of it without markup."""
    return _MARKUP.sub("", markup)
