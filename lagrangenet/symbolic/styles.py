"""How formulas are written: one style per format (text, LaTeX), one table of names per notation.

A style knows scripts, sums, fractions and functions; it knows no condition. A notation is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lagrangenet.errors import DerivationError

#: Names of the ``kkt`` notation: SymPy name → (text, LaTeX).
KKT: Mapping[str, tuple[str, str]] = {
    "X": ("x", "x"),
    "Z": ("z", "z"),
    "S": ("s", "s"),
    "W": ("W", "W"),
    "b": ("b", "b"),
    "Y": ("y", "y"),
    "lambda": ("λ", r"\lambda"),
    "mu": ("μ", r"\mu"),
    "sigma": ("σ", r"\sigma"),
    "ell": ("ℓ", r"\ell"),
    "omega": ("ω", r"\omega"),
    "Omega": ("Ω", r"\Omega"),
    "rho": ("ρ", r"\rho"),
    "eta": ("η", r"\eta"),
    "theta": ("θ", r"\theta"),
    "one": ("𝟏", r"\mathbf{1}"),
}

_SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


@dataclass(frozen=True)
class Text:
    """Plain Unicode for terminals and comments in code."""

    names: Mapping[str, tuple[str, str]] = field(default_factory=lambda: KKT)
    hadamard = " ⊙ "
    dot = " "
    partial = "∂"
    langle, rangle = "⟨", "⟩"
    minus = "−"

    def name(self, symbol: str) -> str:
        """A symbol in this notation."""
        return self.names.get(symbol, (symbol, symbol))[0]

    def script(self, base: str, lower: str = "", upper: str = "") -> str:
        """A base with subscript and superscript; numbers become Unicode superscripts."""
        below = f"_{lower}" if lower.isalnum() else f"_{{{lower}}}" if lower else ""
        if upper.isdigit():
            return base + below + upper.translate(_SUPERSCRIPTS)
        above = f"^{upper}" if len(upper) == 1 else f"^{{{upper}}}" if upper else ""
        return base + below + above

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

    def derivative(self, above: str, below: str) -> str:
        """∂above/∂below."""
        return self.fraction(self.partial + above, self.partial + below)

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        """A sum over an index."""
        return f"Σ_{{{index}={lower}}}^{{{upper}}} {body}"

    def parens(self, body: str) -> str:
        """(body)."""
        return f"({body})"

    def function(self, name: str, args: list[str]) -> str:
        """name(args)."""
        return f"{name}({', '.join(args)})"

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
    dot = r"\, "
    partial = r"\partial "
    langle, rangle = r"\langle ", r"\rangle "
    minus = "-"

    def name(self, symbol: str) -> str:
        return self.names.get(symbol, (symbol, symbol))[1]

    def script(self, base: str, lower: str = "", upper: str = "") -> str:
        return base + (f"_{{{lower}}}" if lower else "") + (f"^{{{upper}}}" if upper else "")

    def prime(self, base: str, order: int) -> str:
        return base + "'" * order

    def power(self, base: str, exponent: str) -> str:
        return f"{{{base}}}^{{{exponent}}}"

    def transpose(self, base: str) -> str:
        return f"{{{base}}}^{{\\top}}"

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def reciprocal(self, below: str) -> str:
        return self.fraction("1", below)

    def quotient(self, above: str, below: str, compound: bool) -> str:
        return self.fraction(above, below)

    def total(self, index: str, lower: str, upper: str, body: str) -> str:
        return rf"\sum_{{{index}={lower}}}^{{{upper}}} {body}"

    def parens(self, body: str) -> str:
        return rf"\left({body}\right)"

    def function(self, name: str, args: list[str]) -> str:
        known = {"exp", "log", "tanh", "max"}
        return rf"{chr(92) + name if name in known else name}\left({', '.join(args)}\right)"

    def words(self, symbol: str, phrase: str) -> str:
        return rf"{symbol}\ \text{{{phrase}}}"

    def cases(self, value: str, condition: str, other: str) -> str:
        return rf"\begin{{cases}}{value} & {condition}\\ {other} & \text{{otherwise}}\end{{cases}}"


STYLES: Mapping[str, Text] = {"text": Text(), "latex": LaTeX()}
BRIEF = Brief()


def named_style(style: str | Text) -> Text:
    """A style by name, or the style itself.

    Raises
    ------
    DerivationError
        For an unknown name.
    """
    if isinstance(style, Text):
        return style
    if style not in STYLES:
        raise DerivationError(f"unknown format {style!r}; known: {', '.join(STYLES)}")
    return STYLES[style]
