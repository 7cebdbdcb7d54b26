"""A formula before it has a meaning: which characters, how long, how deep, and Python's tree of it.

The bounds hold before Python's grammar sees the text, so that no text takes long to refuse.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from typing import NoReturn

from lagrangenet.errors import ProblemError

#: What a text may be at most.
LENGTH, NESTING, NODES = 1000, 30, 300

_SPELLING = re.compile(r"[A-Za-z0-9_.+\-*/(),<>=\[\] ]")
_REMEDIES = {
    "^": "write ** for a power",
    "·": "write * for a product",
    "−": "write an ASCII minus, -",
    "²": "write **2",
    "\n": "write the expression on one line",
    "\t": "write a blank",
}


class Formula:
    """A text that is to be read as an expression."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ProblemError(f"an expression is text, not {type(text).__name__}")
        self.text = text
        self.left = 0

    def tree(self) -> ast.expr:
        """The expression as Python's grammar has it; nothing is executed."""
        self._check_spelling()
        self.left = len(self.text) - len(self.text.lstrip())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                tree = ast.parse(self.text.strip(), mode="eval").body
            count = sum(1 for _ in ast.walk(tree))
        except SyntaxError as error:
            column = self.left + max((error.offset or 1) - 1, 0)
            self.refuse(min(column, len(self.text)), "this is no formula", f"{error.msg}")
        except (ValueError, MemoryError, RecursionError, Warning) as error:
            self.refuse(0, "this cannot be read", str(error) or "simplify it")
        if count > 4 * NODES:
            self.refuse(0, "too many operations", f"write at most {NODES}")
        return tree

    def _check_spelling(self) -> None:
        """Refuse what is empty, long, deeply nested or not ASCII."""
        if not self.text.strip():
            self.refuse(0, "the expression is empty", "write one, such as z/(1 + exp(-z))")
        if len(self.text) > LENGTH:
            self.refuse(LENGTH, f"{len(self.text)} characters", f"write at most {LENGTH}")
        depth = 0
        for column, character in enumerate(self.text):
            if not _SPELLING.fullmatch(character):
                shown = repr(character)
                if not character.isascii():
                    shown += f" ({unicodedata.name(character, 'no name')})"
                remedy = _REMEDIES.get(
                    character, "use ASCII letters, digits and + - * / ( ) [ ] , . < > ="
                )
                self.refuse(column, f"the character {shown} cannot stand in a formula", remedy)
            depth += (character in "([") - (character in ")]")
            if depth > NESTING:
                self.refuse(column, f"more than {NESTING} nested brackets", "simplify it")

    def source(self, node: ast.expr) -> str:
        """The text of a node."""
        return self.text.strip()[node.col_offset : node.end_col_offset]

    def refuse_at(self, node: ast.expr, cause: str, remedy: str) -> NoReturn:
        """Refuse a node."""
        self.refuse(self.left + node.col_offset, cause, remedy)

    def refuse(self, column: int, cause: str, remedy: str) -> NoReturn:
        """Say where, why and what to do; the caret stands under the place."""
        start = max(0, column - 40)
        shown = "".join(c if c.isprintable() else "?" for c in self.text[start : start + 80])
        caret = " " * (column - start) + "^"
        raise ProblemError(f"column {column + 1}: {cause}; {remedy}\n    {shown}\n    {caret}")
