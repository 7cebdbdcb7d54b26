"""Tokens to trees: a precedence parser for formulas, with bounded nesting.

    lines    = line {";" line}          a line that begins or ends with an operator goes on
    line     = sum {("=" | "<-" | ":=" | "+=" | "-=") sum} [("," | "for" | "where") condition]
    sum      = ["+" | "-"] product {("+" | "-") product}
    product  = factor {["*" | "·" | "⊙" | "@" | "/"] factor}
    factor   = number | name | "(" sum ")" | "|" sum "|" | "⟨" sum "," sum "⟩" | "frac" { } { }
             | ∂ name "/" ∂ name | ∇ name | "sum" indices product            each with scripts

What stands after a comma, such as ``k = N−1, ..., 1``, says where the line holds and is not judged.
Refusals say how the text was read: ``W^k+1`` is a sum, and ``W^{k+1}`` was meant.
"""

from __future__ import annotations

from fractions import Fraction

from lagrangenet.grading.formulas.calculus import Calculus
from lagrangenet.grading.formulas.cursor import NESTING
from lagrangenet.grading.formulas.scripts import CONDITIONS
from lagrangenet.grading.formulas.tokens import Token
from lagrangenet.grading.formulas.tree import (
    Bars,
    Chain,
    FormulaError,
    Inner,
    Line,
    Literal,
    Mark,
    Signed,
)

#: Factors of a product, terms of a sum.
FACTORS, SUMMANDS = 30, 60
_EQUAL = {"=", "<-", ":=", "+=", "-="}
_PRODUCTS = {"*", "·", "⊙", "@", "/"}
_GOES_ON = _EQUAL | _PRODUCTS | {"+", "-", ","}
#: What may stand in a condition besides names and numbers.
_RELATIONS = {
    ",", ":", "(", ")", "=", "<=", ">=", "<", ">", "in", "...", "..", "-", "+", "{", "}", ".",
}  # fmt: skip
#: The longest word in a condition.
LONGEST = 6


def parse(text: str) -> tuple[Line, ...]:
    """The lines of an answer as trees.

    Raises
    ------
    FormulaError
        With the place and a remedy.

    Examples
    --------
    >>> (line,) = parse("W <- W - eta G")
    >>> line.signs
    ('<-',)
    >>> parse("lambda^k = W^k+1")
    Traceback (most recent call last):
    ...
    lagrangenet.grading.formulas.tree.FormulaError: column 15: I read `W^k+1` as (W^k)+1; write W^{k+1}
        lambda^k = W^k+1
                      ^
    """
    return _Parser(text).lines()


class _Parser(Calculus):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.bars = 0
        self.separated = False

    # -- lines -------------------------------------------------------------------------------------

    def lines(self) -> tuple[Line, ...]:
        self.join()
        found: list[Line] = []
        while self.now.kind != "end":
            if self.accept(";", ".", "..."):
                continue
            found.append(self.line())
            if self.now.kind != "end" and not self.sees(";") and not self.separated:
                raise self.refuse(
                    f"{self.now.text!r} does not belong here", "put one equation on each line"
                )
        if not found:
            raise FormulaError(self.text, 0, "there is no formula", "write one")
        return tuple(found)

    def join(self) -> None:
        """Drop separators inside brackets, and before or after an operator."""
        kept: list[Token] = []
        depth = 0
        for position, token in enumerate(self.tokens):
            if token.kind == "op":
                depth += (token.text in "({⟨") - (token.text in ")}⟩")
            if token.kind == "op" and token.text == ";":
                following = next((t for t in self.tokens[position + 1 :] if t.text != ";"), token)
                before = kept[-1].text if kept else ";"
                if depth > 0 or before in _GOES_ON or _continues(following):
                    continue
            kept.append(token)
        self.tokens = kept

    def line(self) -> Line:
        start = self.now.at
        if self.says(*CONDITIONS):
            self.take()
        members = [self.sum()]
        signs = []
        while self.sees(*_EQUAL):
            signs.append(self.take().text)
            members.append(self.sum())
        end = self.now.at
        self.separated = self.defines() or self.equation_follows()
        if not self.separated and (self.sees(",", ":", "(") or self.says(*CONDITIONS)):
            self.condition()
        return Line(start, tuple(members), tuple(signs), self.text[start:end].strip())

    def defines(self) -> bool:
        """``, where D^k = ...``: a new line begins, after the comma."""
        following = self.tokens[self.place : self.place + 2]
        words = [token.text for token in following]
        if words[:1] == [","] and words[1:] in (["where"], ["with"]):
            self.take()
            words = words[1:]
        return words[:1] in (["where"], ["with"])

    def condition(self) -> None:
        """Where the line holds: indices, numbers and relations up to the end of the line."""
        while self.now.kind != "end" and not self.sees(";"):
            if self.equation_follows():
                self.separated = True
                return
            token = self.take()
            plain = token.kind == "number" or token.text in CONDITIONS | _RELATIONS
            if not plain and not (token.kind == "name" and len(token.text) <= LONGEST):
                raise self.refuse(
                    f"{token.text!r} does not belong to a condition on indices",
                    "after the comma only say for which k and i the line holds",
                    token.at,
                )

    def equation_follows(self) -> bool:
        """Whether a comma is followed by another equation, which is then a line of its own."""
        if not self.sees(","):
            return False
        for token in self.tokens[self.place + 1 :]:
            if token.kind == "end" or token.text in {";", ","}:
                return False
            if token.kind == "op" and token.text in {"^", "_", "'", "sum", "∂", "<-"}:
                self.place += 1
                return True
        return False

    # -- sums and products -------------------------------------------------------------------------

    def sum(self) -> Mark:
        start = self.now.at
        terms: list[tuple[int, Mark]] = []
        sign = self.sign()
        terms.append((sign, self.product()))
        while self.sees("+", "-"):
            self.check_script()
            sign = self.sign()
            terms.append((sign, self.product()))
            if len(terms) > SUMMANDS:
                raise self.refuse(f"more than {SUMMANDS} terms", "simplify the formula")
        if len(terms) == 1 and terms[0][0] == 1:
            return terms[0][1]
        return Signed(start, tuple(terms))

    def sign(self) -> int:
        sign = 1
        while self.sees("+", "-"):
            sign *= -1 if self.take().text == "-" else 1
        return sign

    def check_script(self) -> None:
        """``W^k+1``: a one-letter script, an offset and no blank in between were meant as one."""
        here = self.now
        before, after = self.tokens[self.place - 1], self.tokens[self.place + 1]
        script = self.tokens[self.place - 2] if self.place > 1 else before
        if (
            before.kind == "name"
            and len(before.text) == 1
            and script.text in {"^", "_"}
            and script.kind == "op"
            and after.kind == "number"
            and after.text == "1"
            and before.end == here.at
            and here.end == after.at
            and script.end == before.at
        ):
            name = self.tokens[self.place - 3]
            base = self.text[name.at : name.end]
            inside = f"{before.text}{here.text}{after.text}"
            read = f"{base}{script.text}{before.text}"
            raise self.refuse(
                f"I read `{base}{script.text}{inside}` as ({read}){here.text}{after.text}",
                f"write {base}{script.text}{{{inside}}}",
                here.at,
            )

    def product(self) -> Mark:
        start = self.now.at
        factors: list[tuple[str, Mark]] = [("", self.factor())]
        while True:
            if self.sees(*_PRODUCTS):
                operator = self.take().text
                sign = self.sign()
                factor = self.factor()
                if sign < 0:
                    factor = Signed(factor.at, ((-1, factor),))
                factors.append((operator, factor))
            elif self.begins_factor():
                factors.append((" ", self.factor()))
            else:
                break
            if len(factors) > FACTORS:
                raise self.refuse(f"more than {FACTORS} factors", "simplify the formula")
        return factors[0][1] if len(factors) == 1 else Chain(start, tuple(factors))

    def begins_factor(self) -> bool:
        if self.now.kind == "number":
            return True
        if self.now.kind == "name":
            return self.now.text not in CONDITIONS
        return self.sees("(", "{", "⟨", "<", "∂", "∇", "sum", "frac", "½") or (
            self.sees("|") and not self.bars
        )

    # -- factors -----------------------------------------------------------------------------------

    def factor(self) -> Mark:
        self.depth += 1
        if self.depth > NESTING:
            raise self.refuse(f"more than {NESTING} nested brackets", "simplify the formula")
        found = self.scripted(self.primary())
        self.depth -= 1
        return found

    def primary(self) -> Mark:
        token = self.now
        if token.kind == "number":
            self.take()
            return Literal(token.at, Fraction(token.text))
        if token.kind == "name":
            return self.name()
        for opening, closing in (("(", ")"), ("{", "}")):
            if self.accept(opening):
                inside = self.sum()
                self.expect(closing, "close the bracket")
                return _bracketed(inside, token.at)
        if self.accept("½"):
            return Literal(token.at, Fraction(1, 2))
        if self.accept("|"):
            self.bars += 1
            inside = self.sum()
            self.bars -= 1
            self.expect("|", "close the bars")
            return Bars(token.at, inside)
        if self.sees("⟨", "<"):
            return self.inner()
        if self.accept("frac"):
            return self.fraction(token.at)
        if self.sees("∂"):
            return self.slope()
        if self.accept("∇"):
            return self.nabla(token.at)
        if self.accept("sum"):
            return self.total(token.at)
        what = repr(token.text) if token.text and token.text != ";" else "the end"
        raise self.refuse(f"{what} where a number, a name or a bracket is expected", "complete it")

    def inner(self) -> Mark:
        """``⟨a, b⟩``, or ``<a, b>``."""
        opening = self.take()
        left = self.sum()
        self.expect(",", "write ⟨a, b⟩")
        right = self.sum()
        self.expect("⟩" if opening.text == "⟨" else ">", "write ⟨a, b⟩")
        return Inner(opening.at, left, right)


def _continues(token: Token) -> bool:
    """Whether a line that begins so belongs to the one before it."""
    return token.kind == "op" and token.text in (_EQUAL | _PRODUCTS | {"+", ")", "}"})


def _bracketed(inside: Mark, at: int) -> Mark:
    """A bracket is its inside; a product in brackets is kept as one."""
    return Signed(at, ((1, inside),)) if isinstance(inside, Chain) else inside
