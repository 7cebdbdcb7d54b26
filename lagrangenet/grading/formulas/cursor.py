"""Moving through tokens: what comes next, what has to come, and how to say that it does not."""

from __future__ import annotations

from abc import ABC, abstractmethod

from lagrangenet.grading.formulas.tokens import Token, tokens
from lagrangenet.grading.formulas.tree import FormulaError, Mark

#: How deep brackets may be nested, and the largest power.
NESTING, POWER = 25, 6


class Cursor(ABC):
    """A place in a list of tokens.

    Parameters
    ----------
    text : str
        What the tokens were made of, for messages.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.now.kind == "op" and self.now.text in texts

    def says(self, *names: str) -> bool:
        """Whether the next token is one of these words, however it was written."""
        return self.now.kind in {"name", "op"} and self.now.text in names

    def take(self) -> Token:
        """The next token, and on to the one after it; the end stays."""
        token = self.now
        self.place += token.kind != "end"
        return token

    def accept(self, *texts: str) -> bool:
        """Whether the next token is one of these operators; then it is taken."""
        found = self.sees(*texts)
        self.place += found
        return found

    def expect(self, text: str, remedy: str) -> None:
        """Take an operator, which has to be there."""
        if not self.accept(text):
            what = repr(self.now.text) if self.now.text else "the end"
            raise self.refuse(f"expected {text!r} and found {what}", remedy)

    def refuse(self, cause: str, remedy: str, at: int | None = None) -> FormulaError:
        """An error at the next token, or at a place in the text."""
        return FormulaError(self.text, self.now.at if at is None else at, cause, remedy)

    # -- what the parser adds ----------------------------------------------------------------------

    @abstractmethod
    def sum(self) -> Mark:
        """A sum of products: what a bracket holds."""

    @abstractmethod
    def product(self) -> Mark:
        """A product of factors."""

    @abstractmethod
    def factor(self) -> Mark:
        """One factor, with its scripts."""

    @abstractmethod
    def primary(self) -> Mark:
        """One factor, without."""

    @abstractmethod
    def derivative(self, at: int, above: Mark | None, below: Mark | None) -> Mark:
        """∂above/∂below."""
