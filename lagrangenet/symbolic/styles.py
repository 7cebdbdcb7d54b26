"""How formulas are written: one style per format (text, LaTeX, MathML), in any notation.

A style knows scripts, sums, fractions and functions; it knows no condition. Names and the places of
indices come from its :class:`~.notation.Notation`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from types import MappingProxyType

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic.notation import Notation

#: Names of the ``kkt`` notation: SymPy name → (text, LaTeX).
KKT: Mapping[str, tuple[str, str]] = Notation.named("kkt").symbols

#: Names that every notation shares.
_COMMON: Mapping[str, tuple[str, str]] = MappingProxyType({
    "S": ("s", "s"),
    "L": ("L", "L"),
    "kronecker": ("δ", r"\delta"),
})  # fmt: skip

_SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_DOT = "_dot"


@dataclass(frozen=True)
class Text:
    """Plain Unicode for terminals and comments in code.

    Attributes
    ----------
    names : mapping
        Names beside or instead of those of the notation: SymPy name → (text, LaTeX).
    notation : Notation
    """

    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notation: Notation = field(default_factory=lambda: Notation.named("kkt"))
    hadamard = " ⊙ "
    kronecker = " ⊗ "
    dot = " "
    comma, script_comma = ", ", ","
    partial = "∂"
    langle, rangle = "⟨", "⟩"
    plus, minus, negative = "+", "−", "−"
    at_most = "≤"
    column = 0
    #: Whether a fraction is set apart from its neighbours without parentheses.
    stacked = False

    def name(self, symbol: str) -> str:
        """A symbol in this notation; ``X_dot`` is ẋ."""
        for table in (self.names, self.notation.symbols, _COMMON):
            if symbol in table:
                return self.letter(table[symbol][self.column])
        if symbol.endswith(_DOT):
            return self.dotted(self.name(symbol.removesuffix(_DOT)))
        return self.word(symbol)

    def letter(self, symbol: str) -> str:
        """A symbol as the notation has it."""
        return symbol

    def word(self, name: str) -> str:
        """A name that is no symbol of the notation: a function, an index of somebody's own."""
        return name

    def number(self, digits: str) -> str:
        """A number."""
        return digits

    def dotted(self, base: str) -> str:
        """A tangent, base with a dot above."""
        return unicodedata.normalize("NFC", base + "\N{COMBINING DOT ABOVE}")

    def relation(self, left: str, sign: str, right: str) -> str:
        """Two sides and =, <, <=, >, >= or ← between them."""
        return f"{left} {sign} {right}"

    def script(self, base: str, lower: str = "", upper: str = "") -> str:
        """A base with subscript and superscript; numbers become Unicode superscripts."""
        below = f"_{lower}" if lower.isalnum() else f"_{{{lower}}}" if lower else ""
        if upper.isdigit():
            return base + below + upper.translate(_SUPERSCRIPTS)
        bare = len(upper) == 1 or upper.startswith("(")
        above = f"^{upper}" if bare else f"^{{{upper}}}" if upper else ""
        return base + below + above

    def indexed(
        self, base: str, layer: str = "", sample: str = "", components: Sequence[str] = ()
    ) -> str:
        """A base with its indices in the places that the notation gives them."""
        place = self.notation.place
        if place == "subscript":
            parts = [layer, *components] if layer else list(components)
            separator = self.script_comma if self.notation.separator else ""
            return self.script(base, separator.join(parts), self.enclosed(sample) if sample else "")
        upper = self.enclosed(layer) if layer and place == "parentheses" else layer
        return self.script(base, "".join([sample, *components]), upper)

    def prime(self, base: str, order: int) -> str:
        """base′, base″."""
        return base + "′" * order

    def power(self, base: str, exponent: str) -> str:
        """A base to a power."""
        return (
            base + exponent.translate(_SUPERSCRIPTS) if exponent.isdigit() else f"{base}^{exponent}"
        )

    def transpose(self, base: str) -> str:
        """baseᵀ."""
        return base + "ᵀ"

    def fraction(self, above: str, below: str) -> str:
        """above/below; both are parenthesized by the caller where they must be."""
        return f"{above}/{below}"

    def reciprocal(self, below: str) -> str:
        """1/below as a factor in front of something."""
        return f"(1/{below})"

    def quotient(self, above: str, below: str, compound: bool) -> str:
        """above/below where either may be a product."""
        return self.fraction(*(f"({e})" if compound and " " in e else e for e in (above, below)))

    def derivative(self, above: str, *below: str) -> str:
        """∂above/∂below, or a higher partial derivative."""
        bare, order = self.partial.strip(), len(below)
        top = self.partial if order == 1 else self.power(bare, self.number(str(order)))
        return self.fraction(top + above, "".join(self.partial + one for one in below))

    def nabla(self, of: str, by: str) -> str:
        """∇_by of."""
        return f"∇_{{{by}}} {of}"

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        """A sum over an index."""
        return f"Σ_{{{index}={lower}}}^{{{upper}}} {body}"

    def parens(self, body: str) -> str:
        """(body), as high as the body."""
        return f"({body})"

    def enclosed(self, body: str) -> str:
        """(body) in a script."""
        return f"({body})"

    def brackets(self, body: str) -> str:
        """[body]."""
        return f"[{body}]"

    def function(self, name: str, args: list[str]) -> str:
        """name(args)."""
        return f"{name}({self.comma.join(args)})"

    def words(self, symbol: str, phrase: str) -> str:
        """A statement about a symbol, in words."""
        return f"{symbol} {phrase}"

    def cases(self, value: str, condition: str, other: str) -> str:
        """A value if condition, otherwise other."""
        return f"({value} if {condition} else {other})"


@dataclass(frozen=True)
class Brief(Text):
    """Plain Unicode for comments in code: sums without their limits."""

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        return f"Σ_{index} {body}"


@dataclass(frozen=True)
class LaTeX(Text):
    """LaTeX, for amsmath."""

    hadamard = r" \odot "
    kronecker = r" \otimes "
    dot = r"\, "
    partial = r"\partial "
    langle, rangle = r"\langle ", r"\rangle "
    minus = negative = "-"
    at_most = r"\le"
    column = 1
    stacked = True

    def word(self, name: str) -> str:
        known = {"exp", "log", "tanh", "max", "min", "sin", "cos", "cosh", "sinh"}
        if name in known:
            return "\\" + name
        return name if len(name) == 1 else rf"\operatorname{{{name.replace('_', ' ')}}}"

    def dotted(self, base: str) -> str:
        return rf"\dot{{{base}}}"

    def relation(self, left: str, sign: str, right: str) -> str:
        known = {"<=": r"\le", ">=": r"\ge", "←": r"\leftarrow", "!=": r"\ne"}
        return f"{left} {known.get(sign, sign)} {right}"

    def script(self, base: str, lower: str = "", upper: str = "") -> str:
        return base + (f"_{{{lower}}}" if lower else "") + (f"^{{{upper}}}" if upper else "")

    def prime(self, base: str, order: int) -> str:
        return base + "'" * order

    def power(self, base: str, exponent: str) -> str:
        return f"{{{self._whole(base)}}}^{{{exponent}}}"

    def transpose(self, base: str) -> str:
        return f"{{{self._whole(base)}}}^{{\\top}}"

    @staticmethod
    def _whole(base: str) -> str:
        """The inside of a group; TeX takes one that holds only an accented letter apart."""
        accented = base.startswith(("\\dot", "\\hat", "\\bar", "\\tilde", "\\vec"))
        return "{}" + base if accented else base

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def reciprocal(self, below: str) -> str:
        return self.fraction("1", below)

    def quotient(self, above: str, below: str, compound: bool) -> str:
        return self.fraction(above, below)

    def nabla(self, of: str, by: str) -> str:
        return rf"\nabla_{{{by}}} {of}"

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        return rf"\sum_{{{index}={lower}}}^{{{upper}}} {body}"

    def parens(self, body: str) -> str:
        return rf"\left({body}\right)"

    def function(self, name: str, args: list[str]) -> str:
        return rf"{name}\left({self.comma.join(args)}\right)"

    def words(self, symbol: str, phrase: str) -> str:
        return rf"{symbol}\ \text{{{phrase}}}"

    def cases(self, value: str, condition: str, other: str) -> str:
        return rf"\begin{{cases}}{value} & {condition}\\ {other} & \text{{otherwise}}\end{{cases}}"


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
        plain, *marks = unicodedata.normalize("NFD", symbol)
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


STYLES: Mapping[str, Text] = {"text": Text(), "latex": LaTeX(), "mathml": MathML()}
BRIEF = Brief()


def named_style(style: str | Text, notation: Notation | None = None) -> Text:
    """A style by name, or the style itself; in a notation if one is given.

    Raises
    ------
    DerivationError
        For an unknown name.
    """
    if isinstance(style, str):
        if style not in STYLES:
            raise DerivationError(f"unknown format {style!r}; known: {', '.join(STYLES)}")
        style = STYLES[style]
    return style if notation is None else replace(style, notation=notation)
