r"""Derivatives, fractions and sums.

``∂ℓ/∂x^N``, ``∇_W L``, ``\frac{\partial L}{\partial W}``, ``Σ_{i=1}^M``, ``sum(i=1..M, ...)``.
"""

from __future__ import annotations

from fractions import Fraction

from lagrangenet.grading.formulas.scripts import Names
from lagrangenet.grading.formulas.tree import Binder, Chain, Literal, Mark, Name, Slope, SumOver


class Calculus(Names):
    """Reads derivatives, fractions and sums."""

    def fraction(self, at: int) -> Mark:
        r"""``\frac{a}{b}``, which may be a derivative."""
        if self.sees("{") and self.tokens[self.place + 1].text == "∂":
            self.take()
            above, below = self.differential(), None
            self.expect("}", "close the numerator")
            self.expect("{", "write \\frac{\\partial a}{\\partial b}")
            below = self.differential()
            self.expect("}", "close the denominator")
            return self.derivative(at, above, below)
        above, under = self.primary(), self.primary()
        return Chain(at, (("", above), ("/", under)))

    def slope(self) -> Mark:
        """``∂a/∂b``."""
        at = self.now.at
        above = self.differential()
        self.expect("/", "write ∂a/∂b")
        bracket = self.accept("(")
        below = self.differential()
        if bracket:
            self.expect(")", "close the bracket")
        return self.derivative(at, above, below)

    def differential(self) -> Mark | None:
        """``∂ name``, or ∂ alone."""
        self.expect("∂", "write ∂a/∂b")
        if self.now.kind != "name":
            return None
        return self.scripted(self.name())

    def derivative(self, at: int, above: Mark | None, below: Mark | None) -> Mark:
        """∂above/∂below; in ``(∂ℓ/∂x)(y, x^N)`` the arguments say where."""
        if below is None:
            raise self.refuse("a derivative by nothing", "write ∂a/∂b", at)
        if above is None:
            above = self.factor()
        elif self.sees("(") and self.is_call():
            arguments = self.arguments()
            if isinstance(below, Name) and not below.sups and isinstance(arguments[-1], Name):
                below = arguments[-1]
        return Slope(at, above, below)

    def is_call(self) -> bool:
        """Whether the bracket that opens here holds several arguments."""
        depth = 0
        for token in self.tokens[self.place :]:
            depth += (token.text in {"(", "{"}) - (token.text in {")", "}"})
            if depth == 0:
                return False
            if depth == 1 and token.text == ",":
                return True
        return False

    def nabla(self, at: int) -> Mark:
        """``∇_b a``: the index says by what."""
        self.expect("_", "write ∇_{x^N} ℓ")
        if self.accept("{") or self.accept("("):
            by = self.scripted(self.name())
            self.place += self.sees("}", ")")
        else:
            token = self.take()
            by = Name(token.at, token.text)
            if self.sees("^", "^T"):
                by = self.scripted(by)
        return Slope(at, self.factor(), by)

    def total(self, at: int) -> Mark:
        """``Σ_{i=1}^M body``, ``sum_i body`` or ``sum(i=1..M, body)``."""
        if self.accept("("):
            return self.called_sum(at)
        if not self.sees("_"):
            raise self.refuse("a sum without an index", "write Σ_i or sum(i=1..M, ...)")
        self.take()
        binders = self.binders()
        if self.accept("^"):
            upper = self.braced() if self.sees("{") else self.primary_script()
            first, *rest = binders
            binders = [Binder(first.at, first.symbol, first.lower, upper, first.within), *rest]
        return SumOver(at, tuple(binders), self.product())

    def called_sum(self, at: int) -> Mark:
        """``sum(i=1..M, body)`` or ``sum(body, i)``, after the bracket."""
        if self.now.kind == "name" and self.tokens[self.place + 1].text in {"=", "in", ","}:
            binder = self.binder()
            if binder.lower is not None or binder.within or not self.sees(","):
                self.accept("..", "...")
                upper = None if self.sees(",") else self.sum()
                binder = Binder(binder.at, binder.symbol, binder.lower, upper, binder.within)
            self.expect(",", "write sum(i=1..M, ...)")
            body = self.sum()
            self.expect(")", "close the bracket")
            return SumOver(at, (binder,), body)
        body = self.sum()
        self.expect(",", "write sum(i=1..M, ...)")
        binder = self.binder()
        self.expect(")", "close the bracket")
        return SumOver(at, (binder,), body)

    def binders(self) -> list[Binder]:
        """The indices below a Σ."""
        if not self.accept("{"):
            token = self.take()
            if token.kind != "name":
                raise self.refuse("a sum over no index", "write Σ_i", token.at)
            # Σ_ij in plain text is a sum over i and j
            return [Binder(token.at, letter) for letter in token.text]
        found = [self.binder()]
        while not self.sees("}"):
            self.accept(",")
            found.append(self.binder())
        self.take()
        return found

    def binder(self) -> Binder:
        """``i``, ``i=1`` or ``i in I``."""
        token = self.take()
        if token.kind != "name":
            raise self.refuse("a sum over no index", "write Σ_{i=1}^{M}", token.at)
        if self.accept("in"):
            within = self.take()
            return Binder(token.at, token.text, within=within.text)
        if self.accept("="):
            return Binder(token.at, token.text, lower=self.sum())
        return Binder(token.at, token.text)

    def braced(self) -> Mark:
        """A limit in braces."""
        self.expect("{", "write ^{...}")
        inside = self.sum()
        self.expect("}", "close the brace")
        return inside

    def primary_script(self) -> Mark:
        """A limit without braces: a number or a name."""
        token = self.take()
        if token.kind == "number":
            return Literal(token.at, Fraction(token.text))
        if token.kind == "name":
            name = Name(token.at, token.text)
            if self.accept("_"):
                return Name(token.at, token.text, subs=self.scripts())
            return name
        raise self.refuse("a limit is expected", "write Σ_{i=1}^{M}", token.at)
