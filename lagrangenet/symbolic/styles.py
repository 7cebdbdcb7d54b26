"""How formulas are written: one style per format (text, LaTeX, MathML), in any notation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic.mathml import MathML
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.plain import KKT, Brief, Text

__all__ = ["BRIEF", "KKT", "STYLES", "Brief", "LaTeX", "MathML", "Text", "named_style"]


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
