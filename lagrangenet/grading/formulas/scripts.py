"""Names with their scripts, primes and arguments: ``σ'^{k+1}(z_i^{k+1})``, ``W^{k+1}^T``, ``dl/dx^N``."""

from __future__ import annotations

from lagrangenet.grading.formulas.cursor import POWER, Cursor
from lagrangenet.grading.formulas.tokens import Token
from lagrangenet.grading.formulas.tree import (
    Bars,
    Mark,
    Name,
    Picked,
    Powered,
    Script,
    SumOver,
    Turned,
)

#: Functions that are called; every other name before a bracket is a factor.
CALLED = frozenset({
    "exp", "log", "ln", "tanh", "diag", "softmax", "sigmoid", "sigm", "relu", "ReLU", "step",
    "transpose", "sqrt", "sigma", "ell", "Omega", "omega", "f", "g", "phi", "A", "loss", "L", "l",
    "C", "J", "calL",
})  # fmt: skip


#: Functions whose argument may stand without brackets.
_BARE = {"log", "ln", "exp", "tanh"}


CONDITIONS = {"for", "where", "with", "if", "all", "and"}


#: Scripts at one bracket.
MARKS = 6


class Names(Cursor):
    """Reads names, and what stands raised or lowered beside names and brackets."""

    def name(self) -> Mark:
        token = self.take()
        text = token.text
        if text in CONDITIONS:
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
