"""Presentation MathML, for HTML pages and notebooks."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from html import escape

from lagrangenet.symbolic.plain import Text


def _operator(sign: str, **attributes: str) -> str:
    given = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<mo{given}>{escape(sign)}</mo>"


def _row(body: str) -> str:
    return f"<mrow>{body}</mrow>"


#: Combining characters and the operators that MathML sets above a letter.
_ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯", "\u0307": "˙", "\u030c": "ˇ"}
_TALL = ("<mfrac>", "<munderover>", "<mtable>")


def _fence(sign: str, body: str) -> str:
    """A bracket, as high as its body only where that is tall: stretching widens it in some fonts."""
    return _operator(sign, stretchy=str(any(tag in body for tag in _TALL)).lower())


@dataclass(frozen=True)
class MathML(Text):
    """Presentation MathML: every method returns sibling elements; what takes one, wraps them."""

    hadamard = _operator("⊙")
    kronecker = _operator("⊗")
    dot = '<mspace width="0.17em"/>'
    comma = script_comma = _operator(",")
    partial = "<mi>∂</mi>"
    langle, rangle = (_operator(fence, stretchy="false") for fence in "⟨⟩")
    plus, minus, negative = _operator("+"), _operator("−"), _operator("−", form="prefix")
    at_most = _operator("≤")
    stacked = True

    def letter(self, symbol: str) -> str:
        plain, *marks = list(unicodedata.normalize("NFD", symbol))
        if len(marks) == 1 and marks[0] in _ACCENTS:
            accent = f"<mo>{_ACCENTS[marks[0]]}</mo>"
            return f'<mover accent="true"><mi>{plain}</mi>{accent}</mover>'
        return f"<mi>{escape(symbol)}</mi>"

    def word(self, name: str) -> str:
        return self.letter(name)

    def number(self, digits: str) -> str:
        return f"<mn>{digits}</mn>"

    def dotted(self, base: str) -> str:
        return f"<mover>{_row(base)}<mo>˙</mo></mover>"

    def relation(self, left: str, sign: str, right: str) -> str:
        known = {"<=": "≤", ">=": "≥", "!=": "≠"}
        return left + _operator(known.get(sign, sign)) + right

    def script(self, base: str, lower: str = "", upper: str = "") -> str:
        base, below, above = (_row(part) for part in (base, lower, upper))
        if lower and upper:
            return f"<msubsup>{base}{below}{above}</msubsup>"
        if lower:
            return f"<msub>{base}{below}</msub>"
        return f"<msup>{base}{above}</msup>" if upper else base

    def prime(self, base: str, order: int) -> str:
        return base + _operator("′″‴"[order - 1], lspace="0", rspace="0") if order else base

    def power(self, base: str, exponent: str) -> str:
        return self.script(base, upper=exponent)

    def transpose(self, base: str) -> str:
        return self.script(base, upper="<mi>⊤</mi>")

    def fraction(self, above: str, below: str) -> str:
        return f"<mfrac>{_row(above)}{_row(below)}</mfrac>"

    def reciprocal(self, below: str) -> str:
        return self.fraction(self.number("1"), below)

    def quotient(self, above: str, below: str, compound: bool) -> str:
        return self.fraction(above, below)

    def nabla(self, of: str, by: str) -> str:
        return self.script(_operator("∇"), by) + of

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        below = _row(index + _operator("=") + lower)
        return f"<munderover>{_operator('∑')}{below}{_row(upper)}</munderover>{_row(body)}"

    def parens(self, body: str) -> str:
        return _row(body.join(_fence(sign, body) for sign in "()"))

    def enclosed(self, body: str) -> str:
        return body.join(_operator(sign, stretchy="false") for sign in "()")

    def brackets(self, body: str) -> str:
        return _row(body.join(_fence(sign, body) for sign in "[]"))

    def function(self, name: str, args: list[str]) -> str:
        return name + _operator("\N{FUNCTION APPLICATION}") + self.parens(self.comma.join(args))

    def words(self, symbol: str, phrase: str) -> str:
        return f"{symbol}<mtext>\N{NO-BREAK SPACE}{escape(phrase)}</mtext>"

    def cases(self, value: str, condition: str, other: str) -> str:
        otherwise = "<mtext>otherwise</mtext>"
        rows = ((value, condition), (other, otherwise))
        cells = "".join(
            "<mtr>" + "".join(f"<mtd>{_row(cell)}</mtd>" for cell in row) + "</mtr>" for row in rows
        )
        return _row(f"{_operator('{')}<mtable>{cells}</mtable>")
