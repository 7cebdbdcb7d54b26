"""The protocol of a style, and the plainest one: Unicode text.

A style says how scripts, sums and fractions look; it knows no condition. Names and the places of
indices come from its :class:`~.notation.Notation`. Formats are subclasses, gathered in
:mod:`.styles`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lagrangenet.symbolic.notation import Notation

#: Names of the ``kkt`` notation: SymPy name → (text, LaTeX).
KKT: Mapping[str, tuple[str, str]] = Notation.named("kkt").symbols

#: Names that every notation shares.
_COMMON: Mapping[str, tuple[str, str]] = MappingProxyType({
    "S": ("s", "s"),
    "L": ("L", "L"),
    "kronecker": ("δ", r"\delta"),
    # Multipliers and limits of inequalities, and the relaxation of complementarity.
    "kkt_alpha": ("α", r"\alpha"),
    "kkt_beta": ("β", r"\beta"),
    "kkt_gamma": ("γ", r"\gamma"),
    "kkt_t": ("t", "t"),
    "kkt_e": ("e", "e"),
    "kkt_d": ("d", "d"),
    "kkt_epsilon": ("ε", r"\varepsilon"),
    **{f"kkt_{what}_{of}": symbols
       for of in "Wb"
       for what, symbols in {
           "upper": (f"{of}\N{COMBINING MACRON}", rf"\overline{{{of}}}"),
           "lower": (f"{of}\N{COMBINING LOW LINE}", rf"\underline{{{of}}}"),
           "plus": ("ν\N{COMBINING MACRON}", r"\overline{\nu}"),
           "minus": ("ν\N{COMBINING LOW LINE}", r"\underline{\nu}"),
           "row": ({"W": "A", "b": "a"}[of], {"W": "A", "b": "a"}[of]),
       }.items()},
    "kkt_eta_plus": ("η\N{COMBINING MACRON}", r"\overline{\eta}"),
    "kkt_eta_minus": ("η\N{COMBINING LOW LINE}", r"\underline{\eta}"),
    "kkt_high": ("h\N{COMBINING MACRON}", r"\overline{h}"),
    "kkt_low": ("h\N{COMBINING LOW LINE}", r"\underline{h}"),
    "kkt_R": ("R", "R"),
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
