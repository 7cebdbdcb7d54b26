"""Names with their scripts, primes and arguments: ``σ'^{k+1}(z_i^{k+1})``, ``W^{k+1}^T``, ``dl/dx^N``."""

from __future__ import annotations

from dataclasses import dataclass

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
from lagrangenet.grading.formulas.words import called

#: Symbols that are functions when a bracket follows; before it every other name is a factor.
CALLED = frozenset({
    "sigma", "ell", "Omega", "omega", "f", "g", "phi", "A", "loss", "L", "l", "C", "J", "calL",
})  # fmt: skip
#: Functions whose argument may stand without brackets.
_BARE = {"log", "ln", "exp", "tanh"}
#: Words between a formula and where it holds.
CONDITIONS = {"for", "where", "with", "if", "all", "and"}
#: Scripts at one bracket.
MARKS = 6
#: Letters of a name.
LONGEST = 16


@dataclass
class _Scripts:
    """What has been read at a name so far."""

    subs: tuple[Script, ...] = ()
    sups: tuple[Script, ...] = ()
    primes: int = 0
    turned: bool = False
    args: tuple[Mark, ...] | None = None

    def raise_(self, found: tuple[Script, ...]) -> None:
        """Superscripts; a T among them is a transpose, a prime a prime."""
        if not self.turned and Script("T") in found:
            self.turned = True
            found = tuple(one for one in found if one != Script("T"))
        self.primes += sum(one.symbol == "'" for one in found)
        self.sups += tuple(one for one in found if one.symbol != "'")


class Names(Cursor):
    """Reads names, and what stands raised or lowered beside names and brackets."""

    def name(self, differential: bool = True) -> Mark:
        """A name, or ``dl/dx`` in plain text."""
        token = self.take()
        text = token.text
        if text in CONDITIONS:
            raise self.refuse(f"{text!r} where a formula is expected", "complete it", token.at)
        if len(text) > LONGEST:
            raise self.refuse(
                f"a name of {len(text)} letters", "leave blanks between names", token.at
            )
        if differential and self.is_differential(token):
            return self.worded(token)
        found = _Scripts()
        if text.endswith("prime") and len(text) > len("prime"):
            text, found.primes = text.removesuffix("prime"), 1
        for _ in range(4 * MARKS):
            if not self.script(text, found):
                break
        if found.args is None and text in _BARE and self.now.kind == "name":
            found.args = (self.factor(),)
        name: Mark = Name(token.at, text, found.subs, found.sups, found.primes, found.args)
        return Turned(token.at, name) if found.turned else name

    def script(self, text: str, found: _Scripts) -> bool:
        """One mark at a name, if there is one."""
        if self.sees("'", "''"):
            found.primes += len(self.take().text)
        elif self.sees("^") and self.is_power(found):
            return False
        elif self.accept("^"):
            found.raise_(self.scripts())
        elif self.sees("_") and self.tokens[self.place + 1].text == "prime":
            self.place += 2
            found.primes += 1
        elif self.accept("_"):
            found.subs += self.scripts()
        elif self.sees("^T") and not found.turned:
            self.take()
            found.turned = True
        elif self.opens_arguments(text, found):
            found.args = self.arguments()
        else:
            return False
        return True

    def opens_arguments(self, text: str, found: _Scripts) -> bool:
        """Whether the bracket that follows holds arguments."""
        free = found.args is None and not found.turned
        return free and self.sees("(") and (text in CALLED or bool(called(text)))

    def is_power(self, found: _Scripts) -> bool:
        """Whether ``^2`` follows a name that has its layer, or its arguments: then it is a power."""
        after = self.tokens[self.place + 1 : self.place + 4]
        if after and after[0].text == "{":
            after = after[1:]
        number = len(after) > 1 and after[0].kind == "number" and after[1].text != "+"
        return number and (bool(found.sups) or found.args is not None)

    def is_differential(self, token: Token) -> bool:
        """``dl/dx^N`` in plain text: d and a name, over d and a name."""
        if not token.text.startswith("d") or token.text in {"d", "diag", "delta"}:
            return False
        depth = 0
        for place in range(self.place, min(self.place + 30, len(self.tokens) - 1)):
            one, following = self.tokens[place : place + 2]
            depth += (one.text in {"(", "{"}) - (one.text in {")", "}"})
            if depth == 0 and one.text == "/":
                return following.kind == "name" and following.text.startswith("d")
            if depth == 0 and one.kind == "op" and one.text not in {"_", "^", ")", "}"}:
                return False
        return False

    def worded(self, token: Token) -> Mark:
        """The derivative that :meth:`is_differential` has seen."""
        self.place -= 1
        above = self.after_d(token)
        self.expect("/", "write dl/dx^N")
        return self.derivative(token.at, above, self.after_d(self.now))

    def after_d(self, token: Token) -> Mark:
        """The name behind the letter d."""
        self.tokens[self.place] = Token("name", token.text[1:], token.at + 1, token.end)
        return self.scripted(self.name(differential=False))

    def arguments(self) -> tuple[Mark, ...]:
        """The arguments of a function."""
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
        """A bracket with a superscript: transposed, or to a power."""
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
        """Indices up to a closing bracket."""
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
        """+1 or −1 behind an index."""
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
