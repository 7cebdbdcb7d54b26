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

from lagrangenet.grading.formulas.tokens import Token, tokens
from lagrangenet.grading.formulas.tree import (
    Bars,
    Binder,
    Chain,
    FormulaError,
    Inner,
    Line,
    Literal,
    Mark,
    Name,
    Picked,
    Powered,
    Script,
    Signed,
    Slope,
    SumOver,
    Turned,
)

#: How deep brackets may be nested, and the largest power.
NESTING, POWER = 25, 6
#: Factors of a product, terms of a sum, scripts at a bracket.
FACTORS, SUMMANDS, MARKS = 30, 60, 6

_EQUAL = {"=", "<-", ":=", "+=", "-="}
_PRODUCTS = {"*", "·", "⊙", "@", "/"}
_GOES_ON = _EQUAL | _PRODUCTS | {"+", "-", ","}
#: Functions that are called; every other name before a bracket is a factor.
CALLED = frozenset({
    "exp", "log", "ln", "tanh", "diag", "softmax", "sigmoid", "sigm", "relu", "ReLU", "step",
    "transpose", "sqrt", "sigma", "ell", "Omega", "omega", "f", "g", "phi", "A", "loss", "L", "l",
    "C", "J", "calL",
})  # fmt: skip
#: Functions whose argument may stand without brackets.
_BARE = {"log", "ln", "exp", "tanh"}
_CONDITIONS = {"for", "where", "with", "if", "all", "and"}
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


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.depth = 0
        self.bars = 0
        self.separated = False

    # -- moving ------------------------------------------------------------------------------------

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.now.kind == "op" and self.now.text in texts

    def says(self, *names: str) -> bool:
        """Whether the next token is one of these words, however it was written."""
        return self.now.kind in {"name", "op"} and self.now.text in names

    def take(self) -> Token:
        token = self.now
        self.place += 1
        return token

    def accept(self, *texts: str) -> bool:
        found = self.sees(*texts)
        self.place += found
        return found

    def expect(self, text: str, remedy: str) -> None:
        if not self.accept(text):
            what = repr(self.now.text) if self.now.text else "the end"
            raise self.refuse(f"expected {text!r} and found {what}", remedy)

    def refuse(self, cause: str, remedy: str, at: int | None = None) -> FormulaError:
        return FormulaError(self.text, self.now.at if at is None else at, cause, remedy)

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
        if self.says(*_CONDITIONS):
            self.take()
        members = [self.sum()]
        signs = []
        while self.sees(*_EQUAL):
            signs.append(self.take().text)
            members.append(self.sum())
        end = self.now.at
        self.separated = self.defines() or self.equation_follows()
        if not self.separated and (self.sees(",", ":", "(") or self.says(*_CONDITIONS)):
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
            plain = token.kind == "number" or token.text in _CONDITIONS | _RELATIONS
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
            return self.now.text not in _CONDITIONS
        return self.sees("(", "{", "⟨", "∂", "∇", "sum", "frac", "½") or (
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
        if self.accept("⟨"):
            left = self.sum()
            self.expect(",", "write ⟨a, b⟩")
            right = self.sum()
            self.expect("⟩", "write ⟨a, b⟩")
            return Inner(token.at, left, right)
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

    def fraction(self, at: int) -> Mark:
        """``\\frac{a}{b}``, which may be a derivative."""
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
        self.expect("{", "write ^{...}")
        inside = self.sum()
        self.expect("}", "close the brace")
        return inside

    def primary_script(self) -> Mark:
        token = self.take()
        if token.kind == "number":
            return Literal(token.at, Fraction(token.text))
        if token.kind == "name":
            name = Name(token.at, token.text)
            if self.accept("_"):
                return Name(token.at, token.text, subs=self.scripts())
            return name
        raise self.refuse("a limit is expected", "write Σ_{i=1}^{M}", token.at)

    # -- names and scripts -------------------------------------------------------------------------

    def name(self) -> Mark:
        token = self.take()
        text = token.text
        if text in _CONDITIONS:
            raise self.refuse(f"{text!r} where a formula is expected", "complete it", token.at)
        for prefix in ("d", "grad"):
            if self.is_differential(token, prefix):
                return self.worded(token, prefix)
        subs: tuple[Script, ...] = ()
        sups: tuple[Script, ...] = ()
        primes = 0
        if text.endswith("prime") and len(text) > len("prime"):
            text, primes = text.removesuffix("prime").rstrip("_"), 1
        turned = False
        args: tuple[Mark, ...] | None = None
        for _ in range(4 * MARKS):
            if self.accept("''"):
                primes += 2
            elif self.accept("'"):
                primes += 1
            elif self.sees("^") and self.power_of_name(sups, args is not None):
                break
            elif self.accept("^"):
                found = self.scripts()
                if not turned and any(s.symbol == "T" and not s.offset for s in found):
                    turned, found = True, tuple(s for s in found if s.symbol != "T")
                primes += sum(s.symbol == "'" for s in found)
                sups += tuple(s for s in found if s.symbol != "'")
            elif self.sees("_") and self.tokens[self.place + 1].text == "prime":
                self.place += 2
                primes += 1
            elif self.sees("_"):
                self.take()
                subs += self.scripts()
            elif self.accept("^T"):
                turned = True
            elif self.sees("(") and args is None and text in CALLED and not turned:
                args = self.arguments()
            else:
                break
        if args is None and text in _BARE and self.now.kind == "name":
            args = (self.factor(),)
        found_name: Mark = Name(token.at, text, subs, sups, primes, args)
        return Turned(token.at, found_name) if turned else found_name

    def power_of_name(self, sups: tuple[Script, ...], called: bool) -> bool:
        """Whether ``^2`` follows a name that has its layer, or its arguments: then it is a power."""
        after = self.tokens[self.place + 1 : self.place + 4]
        if after and after[0].text == "{":
            after = after[1:]
        number = bool(after) and after[0].kind == "number"
        return number and (bool(sups) or called) and len(after) > 1 and after[1].text != "+"

    def is_differential(self, token: Token, prefix: str) -> bool:
        """``dl/dx^N`` in plain text: d and a name, over d and a name."""
        if not token.text.startswith(prefix) or len(token.text) <= len(prefix):
            return False
        if prefix == "grad":
            return token.text == "grad" or self.sees("_")
        if token.text in {"diag", "delta"}:
            return False
        depth = 0
        for one in self.tokens[self.place : self.place + 30]:
            depth += (one.text in {"(", "{"}) - (one.text in {")", "}"})
            if depth == 0 and one.text == "/":
                following = self.tokens[self.tokens.index(one) + 1]
                return following.kind == "name" and following.text.startswith("d")
            if depth == 0 and one.text not in {"_", "^", ")", "}"} and one.kind == "op":
                return False
        return False

    def worded(self, token: Token, prefix: str) -> Mark:
        self.place -= 1
        self.tokens[self.place] = Token("name", token.text[1:], token.at + 1, token.end)
        above = self.scripted(self.name())
        self.expect("/", "write dl/dx^N")
        below = self.now
        self.tokens[self.place] = Token("name", below.text[1:], below.at + 1, below.end)
        return self.derivative(token.at, above, self.scripted(self.name()))

    def arguments(self) -> tuple[Mark, ...]:
        self.expect("(", "write f(z)")
        found = [self.sum()]
        while self.accept(",", ";"):
            found.append(self.sum())
        self.expect(")", "close the bracket")
        return tuple(found)

    def scripted(self, base: Mark) -> Mark:
        """Powers, transposes and components of a bracket."""
        for _ in range(MARKS):
            at = self.now.at
            if self.accept("^T"):
                base = Turned(at, base)
            elif self.accept("^"):
                base = self.raised(base, at)
            elif self.sees("_") and not isinstance(base, Name | SumOver):
                self.take()
                found = self.scripts()
                if not (isinstance(base, Bars) and {s.symbol for s in found} <= {"F", "2"}):
                    base = Picked(at, base, found)
            elif self.accept("'"):
                raise self.refuse("a prime at a bracket", "write ^T for a transpose", at)
            else:
                return base
        raise self.refuse(f"more than {MARKS} scripts at one bracket", "simplify the formula")

    def raised(self, base: Mark, at: int) -> Mark:
        found = self.scripts()
        if len(found) == 1 and found[0].symbol == "T" and not found[0].offset:
            return Turned(at, base)
        if len(found) == 1 and found[0].symbol.isdigit() and not found[0].offset:
            exponent = int(found[0].symbol)
            if not 1 <= exponent <= POWER:
                raise self.refuse(f"the power {exponent}", f"use one from 1 to {POWER}", at)
            return Powered(at, base, exponent)
        shown = ", ".join(map(str, found))
        raise self.refuse(
            f"a bracket to the power of {shown}",
            "only a transpose or a whole power stands there",
            at,
        )

    def scripts(self) -> tuple[Script, ...]:
        """The entries of a script: ``k``, ``{k+1}``, ``(k)``, ``{ip}``, ``{(l+1)p,lj}``, ``{kT}``."""
        if self.accept("{"):
            found = self.script_list("}")
            self.expect("}", "close the brace of the script")
            return found
        if self.accept("("):
            found = self.script_list(")")
            self.expect(")", "close the bracket of the script")
            return tuple(Script(s.symbol, s.offset, True) for s in found)
        token = self.take()
        if token.text == "^T":
            return (Script("T"),)
        if token.kind == "number":
            return (Script(token.text),)
        if token.kind == "name":
            return _letters(token.text)
        if token.text in {"'", "*"}:
            return (Script("'"),)
        raise self.refuse("a script is expected", "write x^k, or x^{k+1}", token.at)

    def script_list(self, closing: str) -> tuple[Script, ...]:
        found: list[Script] = []
        while not self.sees(closing):
            if self.now.kind == "end":
                raise self.refuse("a script is not closed", f"close it with {closing}")
            if len(found) > 12:
                raise self.refuse("a long script", "write at most 12 indices")
            if self.accept(","):
                continue
            if self.accept("("):
                inner = self.script_list(")")
                self.expect(")", "close the bracket")
                found += [Script(s.symbol, s.offset, True) for s in inner]
            elif self.accept("{"):
                inner = self.script_list("}")
                self.expect("}", "close the brace")
                found += inner
            elif self.accept("^T"):
                found.append(Script("T"))
            elif self.accept("'"):
                found.append(Script("'"))
            elif self.sees("+", "-"):
                found = self.offset(found)
            elif self.now.kind == "name":
                found += _letters(self.take().text)
            elif self.now.kind == "number":
                found.append(Script(self.take().text))
            else:
                raise self.refuse(
                    f"{self.now.text!r} cannot stand in a script", "write indices, as in x_i^{k-1}"
                )
        return tuple(found)

    def offset(self, found: list[Script]) -> list[Script]:
        sign = -1 if self.take().text == "-" else 1
        if not found or self.now.kind != "number" or len(self.now.text) > 2:
            raise self.refuse("an offset of no index", "write k+1 or k-1")
        last = found[-1]
        number = sign * int(self.take().text)
        return [*found[:-1], Script(last.symbol, last.offset + number, last.grouped)]


def _letters(word: str) -> tuple[Script, ...]:
    """``ip`` is two indices; ``out`` is one."""
    if word in {"out", "eta", "top", "lambda"}:
        return (Script("T" if word == "top" else word),)
    return tuple(Script(letter) for letter in word)


def _continues(token: Token) -> bool:
    """Whether a line that begins so belongs to the one before it."""
    return token.kind == "op" and token.text in (_EQUAL | _PRODUCTS | {"+", ")", "}"})


def _bracketed(inside: Mark, at: int) -> Mark:
    """A bracket is its inside; a product in brackets is kept as one."""
    return Signed(at, ((1, inside),)) if isinstance(inside, Chain) else inside
