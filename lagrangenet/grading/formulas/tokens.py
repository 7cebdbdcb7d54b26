r"""Characters to tokens: plain text (Unicode or ASCII) and a subset of LaTeX give the same ones.

Names become ASCII (``λ``, ``\lambda`` and ``lambda`` are one), raised and lowered characters become
scripts, line breaks become separators. What is not known is refused with its place; nothing is ever
executed, and length and digits are bounded before anything else happens.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lagrangenet.grading.formulas.tree import FormulaError
from lagrangenet.grading.formulas.words import called

#: What an answer to one part may be at most: characters, tokens, digits of a number.
LENGTH, TOKENS, DIGITS = 4000, 1500, 9

_GREEK_NAMES = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma",
    "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega",
)  # fmt: skip
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK_NAMES, strict=True)) | {
    "ϕ": "phi", "ϵ": "epsilon", "ℓ": "ell", "ℒ": "calL", "𝟏": "one", "𝟙": "one", "ϖ": "varpi"
}  # fmt: skip

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵀᵏˡⁱʲⁿᵐᵖᵗᴺᴸ", "0123456789+-()TklijnmptNL", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₖₗᵢⱼₙₘₚₜᵣₛ", "0123456789+-()klijnmptrs", strict=True))
_OPERATORS = {
    "−": "-", "–": "-", "⋅": "·", "∙": "·", "×": "·", "∘": "⊙", "◦": "⊙", "⊤": "^T",
    "′": "'", "’": "'", "″": "''", "∑": "sum", "←": "<-", "≔": ":=", "⟵": "<-", "‖": "|", "∥": "|",
    "≤": "<=", "≥": ">=", "…": "...", "∈": "in", "∀": "for", "[": "(", "]": ")",
}  # fmt: skip
_SIGNS = "+-*/^_(){}=,;:|'⊙·@∂∇⟨⟩<>½"
_PAIRS = (".*", "...", "..", "<-", ":=", "==", "+=", "-=", "<=", ">=", "->", "||", "\\\\")
_PAIR_NAMES = {".*": "⊙", "==": "=", "->": "in", "||": "|"}
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
#: LaTeX commands that are an operator, a bracket or nothing.
_COMMANDS = {
    "frac": "frac", "dfrac": "frac", "tfrac": "frac", "sum": "sum", "partial": "∂", "nabla": "∇",
    "odot": "⊙", "circ": "⊙", "cdot": "·", "times": "·", "ast": "*", "top": "^T", "intercal": "^T",
    "leftarrow": "<-", "gets": "<-", "longleftarrow": "<-", "coloneqq": ":=", "langle": "⟨",
    "rangle": "⟩", "prime": "'", "|": "|", "Vert": "|", "lVert": "|", "rVert": "|", "vert": "|",
    "lvert": "|", "rvert": "|", "lbrack": "(", "rbrack": ")", "lbrace": "(", "rbrace": ")",
    "{": "(", "}": ")", "in": "in", "forall": "for", "ldots": "...", "dots": "...", "cdots": "...",
    "le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "colon": ":", "\\": ";", "newline": ";",
}  # fmt: skip
_SKIPPED = {
    ",", ";", "!", ":", ">", " ", "\n", "quad", "qquad", "left", "right", "middle", "big", "Big",
    "bigl", "bigr", "Bigl", "Bigr", "bigg", "biggl", "biggr", "displaystyle", "limits", "nolimits",
    "nonumber", "notag", "hfill", "textstyle",
}  # fmt: skip
#: Commands that only change how their argument looks.
_FONTS = {
    "mathbf", "mathrm", "mathsf", "mathit", "mathcal", "mathbb", "boldsymbol", "bm", "operatorname",
    "text", "textbf", "textrm", "vec", "mathop", "underline",
}  # fmt: skip
_LETTERS = set(GREEK.values()) | {"ell"}
#: Words of plain text that are signs.
_SPELLED = {"sum": "sum", "partial": "∂", "nabla": "∇", "odot": "⊙", "circ": "⊙"}


@dataclass(frozen=True)
class Token:
    """A token: kind ``name``, ``number``, ``op`` or ``end``; where it begins and ends."""

    kind: str
    text: str
    at: int
    end: int


def tokens(text: str) -> list[Token]:
    r"""The tokens of a formula, ended by one of kind ``end``.

    Raises
    ------
    FormulaError
        For a character or command that is not known, and for more than :data:`LENGTH` characters.

    Examples
    --------
    >>> " ".join(token.text for token in tokens("λᵏ = Wᵀ v"))
    'lambda ^ { k } = W ^T v '
    >>> " ".join(token.text for token in tokens(r"\lambda^{k} = {W}^\top v"))
    'lambda ^ { k } = { W } ^ ^T v '
    """
    if not isinstance(text, str):
        raise FormulaError("", 0, f"a formula is text, not {type(text).__name__}", "write text")
    if len(text) > LENGTH:
        raise FormulaError(text[:40], 0, f"{len(text)} characters", f"write at most {LENGTH}")
    found = _Scanner(text).scan()
    if len(found) > TOKENS:
        raise FormulaError(text, found[TOKENS].at, "too many symbols", f"write at most {TOKENS}")
    return found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.latex = "\\" in text
        self.position = 0
        self.found: list[Token] = []

    def scan(self) -> list[Token]:
        while self.position < len(self.text):
            self.step()
        self.add("end", "", 0)
        return self.found

    def add(self, kind: str, text: str, length: int) -> None:
        self.found.append(Token(kind, text, self.position, self.position + length))
        self.position += length

    def refuse(self, cause: str, remedy: str) -> FormulaError:
        return FormulaError(self.text, self.position, cause, remedy)

    def step(self) -> None:
        here = self.text[self.position]
        if here == "\n":
            self.newline()
        elif here.isspace() or here in "&~\u200b\ufeff":
            self.position += 1
        elif here == "$":
            length = 2 if self.text.startswith("$$", self.position) else 1
            self.add("op", ";", length)
        elif here == "\\":
            self.command()
        elif here == "%" and self.latex:
            end = self.text.find("\n", self.position)
            self.position = len(self.text) if end < 0 else end
        elif here in _RAISED or here in _LOWERED:
            self.scripts()
        else:
            self.plain(here)

    def newline(self) -> None:
        """The end of a line: a separator in plain text, a blank in LaTeX unless the line is empty."""
        blank = re.match(r"\n[ \t]*\n", self.text[self.position : self.position + 200])
        if self.latex and not blank:
            self.position += 1
        else:
            self.add("op", ";", 1)

    def plain(self, here: str) -> None:
        for pair in _PAIRS:
            if self.text.startswith(pair, self.position):
                self.add("op", _PAIR_NAMES.get(pair, pair), len(pair))
                return
        if self.text.startswith(".T", self.position):
            self.add("op", "^T", 2)
        elif self.text.startswith(". ", self.position) and self.text[self.position - 1] == " ":
            self.add("op", "·", 1)
        elif number := _NUMBER.match(self.text, self.position):
            if len(number[0]) > DIGITS:
                raise self.refuse(
                    f"a number of {len(number[0])} characters", f"use at most {DIGITS}"
                )
            self.add("number", number[0], len(number[0]))
        elif here in GREEK:
            self.greek(GREEK[here])
        elif here.isascii() and here.isalpha():
            self.word(here)
        elif here in _OPERATORS:
            self.add("op", _OPERATORS[here], 1)
        elif here in _SIGNS:
            self.add("op", here, 1)
        else:
            self.other(here)

    def word(self, here: str) -> None:
        """A word of plain text; in LaTeX every letter is a symbol of its own."""
        found = None if self.latex else _WORD.match(self.text, self.position)
        text = found[0] if found else here
        if text in _SPELLED:
            self.add("op", _SPELLED[text], len(text))
        else:
            self.add("name", text, len(text))
            self.accent()

    def greek(self, name: str) -> None:
        if name == "Sigma" and self.sums():
            self.add("op", "sum", 1)
            return
        self.add("name", name, 1)
        self.accent()

    def sums(self) -> bool:
        """Whether a capital Σ is a sum: it is, unless a superscript makes it a name."""
        return not self.text.startswith("^", self.position + 1)

    def accent(self) -> None:
        """A combining hat makes a name another one."""
        if self.position < len(self.text) and self.text[self.position] == "\u0302":
            last = self.found.pop()
            self.found.append(Token("name", last.text + "hat", last.at, last.end + 1))
            self.position += 1

    def other(self, here: str) -> None:
        """A letter in another font is that letter; everything else is refused."""
        if here == "ŷ":
            self.add("name", "yhat", 1)
            return
        name = unicodedata.name(here, "no name")
        folded = unicodedata.normalize("NFKC", here)
        if name.startswith("MATHEMATICAL ") and len(folded) == 1 and folded != here:
            known = GREEK.get(folded, folded if folded.isascii() and folded.isalnum() else "")
            if known:
                self.add("name" if known.isalpha() else "number", known, 1)
                return
        shown = repr(here) if here.isprintable() else f"U+{ord(here):04X}"
        raise self.refuse(
            f"the character {shown} ({name}) has no meaning in a formula",
            "see the page on the syntax of formulas for what has",
        )

    def scripts(self) -> None:
        """Raised or lowered characters, as ``^{...}`` or ``_{...}``; a raised T is a transpose."""
        table, sign = (_RAISED, "^") if self.text[self.position] in _RAISED else (_LOWERED, "_")
        if self.text[self.position] == "ᵀ":
            self.add("op", "^T", 1)
            return
        self.found += [Token("op", one, self.position, self.position) for one in (sign, "{")]
        while self.position < len(self.text) and self.text[self.position] in table:
            if self.text[self.position] == "ᵀ":
                break
            character = table[self.text[self.position]]
            kind = "name" if character.isalpha() else "number" if character.isdigit() else "op"
            self.add(kind, character, 1)
        self.found.append(Token("op", "}", self.position, self.position))

    # -- LaTeX -------------------------------------------------------------------------------------

    def command(self) -> None:
        found = _COMMAND.match(self.text, self.position)
        if found is None:
            raise self.refuse("a lone backslash", "write a command, or leave it out")
        name, length = found[1], len(found[0])
        if name in {"begin", "end"}:
            self.environment(length)
        elif name in {"tag", "label", "color"}:
            self.position += length
            self.argument()
        elif name in {"[", "]", "(", ")"}:
            self.add("op", ";", length)
        elif name in _SKIPPED:
            self.skip(name, length)
        elif name in _COMMANDS:
            self.add("op", _COMMANDS[name], length)
        elif name in {"hat", "widehat", "bar", "tilde", "dot"}:
            inside = self.argument(length).strip("\\ ")
            self.add("name", inside + name.removeprefix("wide"), 0)
        elif name in _FONTS:
            self.font(name, length)
        elif name in {"lambda", "varphi", "epsilon"} or name.removeprefix("var") in _LETTERS:
            self.add("name", name.removeprefix("var"), length)
        elif called(name):
            self.add("name", name, length)
        else:
            raise self.refuse(
                f"the command \\{name} is not known", "see the page on the syntax of formulas"
            )

    def skip(self, name: str, length: int) -> None:
        r"""A blank; ``\left.`` takes its dot along."""
        self.position += length
        if name in {"left", "right"} and self.text.startswith(".", self.position):
            self.position += 1

    def environment(self, length: int) -> None:
        name = self.argument(length)
        known = {"align", "aligned", "equation", "gather", "gathered", "split", "multline"}
        if name.rstrip("*") not in known:
            raise self.refuse(
                f"the environment {name[:20]!r} is not known", "use align, gather or equation"
            )
        self.add("op", ";", 0)

    def font(self, name: str, length: int) -> None:
        start = self.position
        inside = self.argument(length, keep=name != "text").strip()
        if name in {"text", "textrm", "textbf"}:
            self.words(inside, start)
            return
        self.position = start + length
        if inside in {"1", "\\mathbf{1}"} and name in {"mathbf", "mathbb", "boldsymbol", "bm"}:
            self.argument()
            self.add("name", "one", 0)
        elif inside == "T" and name in {"mathsf", "mathrm"}:
            self.argument()
            self.add("op", "^T", 0)
        elif inside == "L" and name == "mathcal":
            self.argument()
            self.add("name", "calL", 0)
        elif name in {"operatorname", "mathrm"} and re.fullmatch(r"\\?[A-Za-z]+", inside):
            self.argument()
            self.add("name", inside.lstrip("\\"), 0)

    def words(self, inside: str, start: int) -> None:
        """Words between formulas: ``for``, ``and``, ``out``; a single name is one."""
        known = re.sub(r"[^A-Za-z]+", " ", inside).split()
        for word in known:
            if word in {"for", "all", "and", "where", "with", "out", "diag", "if"}:
                self.found.append(Token("name", word, start, self.position))

    def argument(self, length: int = 0, keep: bool = False) -> str:
        """The text between the braces that follow, or one token; ``keep`` does not move on."""
        place = self.position + length
        while self.text.startswith(" ", place):
            place += 1
        if not self.text.startswith("{", place):
            found = _COMMAND.match(self.text, place)
            end = place + (len(found[0]) if found else 1)
            inside = self.text[place:end]
        else:
            depth, end = 0, place
            while end < len(self.text):
                depth += (self.text[end] == "{") - (self.text[end] == "}")
                end += 1
                if depth == 0:
                    break
            else:
                raise FormulaError(self.text, place, "this brace is not closed", "close it with }")
            inside = self.text[place + 1 : end - 1]
        if not keep:
            self.position = end
        return inside
