"""What the names of a notation mean, and which of their scripts is layer, sample or component.

A notation of the derivation gives its symbols; beside them the usual spellings are understood where
they are free: ``lam``, ``Λ`` for all samples, ``alpha`` for the step size. Scripts are told apart by
where they stand and by how the same letter is used elsewhere in the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lagrangenet.grading.formulas.indexed import LAST, K, Layer
from lagrangenet.grading.formulas.tokens import GREEK
from lagrangenet.grading.formulas.tree import Mark, Name, Script
from lagrangenet.symbolic.notation import Notation

#: Roles of arrays with a layer, and their number of components.
ARRAYS: Mapping[str, int] = {
    "X": 1, "Z": 1, "W": 2, "b": 1, "lambda": 1, "mu": 1, "Delta": 1, "delta": 1, "Y": 1
}  # fmt: skip
#: Arrays with a sample.
SAMPLED = frozenset({"X", "Z", "lambda", "mu", "Delta", "delta", "Y"})
ERRORS = frozenset({"lambda", "mu", "Delta", "delta"})
#: Other spellings, used where the notation has not given them another meaning.
SPELLINGS: Mapping[str, str] = {
    "lam": "lambda", "lambda": "lambda", "mu": "mu", "Delta": "Delta", "delta": "delta",
    "x": "X", "z": "Z", "W": "W", "w": "W", "b": "b", "y": "Y", "yhat": "output", "xhat": "output",
    "sigma": "sigma", "f": "sigma", "phi": "sigma", "g": "sigma", "ell": "ell", "l": "ell",
    "loss": "ell", "C": "ell", "E": "ell", "J": "objective", "L": "lagrangian",
    "calL": "lagrangian", "lagrangian": "lagrangian", "objective": "objective", "Omega": "Omega",
    "R": "Omega", "omega": "omega", "rho": "rho", "eta": "eta", "alpha": "eta", "lr": "eta",
    "gamma": "eta", "epsilon": "eta", "M": "M", "m": "M", "n": "M", "theta": "theta", "one": "one",
    "ones": "one", "I": "identity",
}  # fmt: skip
#: Capital letters: all samples at once.
CAPITALS: Mapping[str, str] = {
    "X": "X",
    "Z": "Z",
    "Y": "Y",
    "Lambda": "lambda",
    "H": "X",
}


@dataclass(frozen=True)
class Meaning:
    """The role of a name; ``capital`` says that it stands for all samples."""

    role: str
    capital: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The names of a notation.

    Attributes
    ----------
    notation : Notation
    roles : mapping
        Name → meaning.
    own : frozenset of str
        The names that the notation itself gives.
    layers, depths : frozenset of str
        Letters for k, and for N.
    """

    notation: Notation
    roles: Mapping[str, Meaning] = field(repr=False)
    own: frozenset[str] = field(repr=False)
    layers: frozenset[str]
    depths: frozenset[str]

    @staticmethod
    def of(notation: Notation) -> Vocabulary:
        """The vocabulary of a notation.

        Examples
        --------
        >>> words = Vocabulary.of(Notation.named("goodfellow"))
        >>> words.roles["h"].role, words.roles["lambda"].role, sorted(words.layers)
        ('X', 'rho', ['k', 't'])
        """
        if notation.name not in _KNOWN or _KNOWN[notation.name].notation is not notation:
            _KNOWN[notation.name] = _vocabulary(notation)
        return _KNOWN[notation.name]

    def meaning(self, name: str) -> Meaning | None:
        """What a name means, None if nothing."""
        return self.roles.get(name)

    def role(self, mark: Mark) -> str:
        """The role of a name; empty of anything else."""
        meaning = self.meaning(mark.name) if isinstance(mark, Name) else None
        return "" if meaning is None else meaning.role

    def is_layer(self, script: Script) -> bool:
        """Whether a script can be a layer: k, N, a number, or one with an offset."""
        return script.symbol in self.layers | self.depths or script.symbol.isdigit()

    def layer(self, script: Script, bound: Mapping[str, str]) -> Layer:
        """The layer that a script names."""
        if script.symbol in bound:
            return Layer(bound[script.symbol], script.offset)
        if script.symbol.isdigit():
            return self.number(int(script.symbol) + script.offset)
        if script.symbol in self.depths:
            return LAST + script.offset
        return K + script.offset

    def number(self, printed: int) -> Layer:
        """A layer by its number; a notation may call the first one 0."""
        return Layer("", printed + 1 - self.notation.first)


#: What has been built already, by name of the notation.
_KNOWN: dict[str, Vocabulary] = {}


def _vocabulary(notation: Notation) -> Vocabulary:
    given = notation.symbols
    roles: dict[str, Meaning] = {}
    indices = set("kNinpqrstuv")
    for role, (text, latex) in given.items():
        if role in indices or role in {"vec", "one", "identity"}:
            continue
        for name in (spelled(text), _latex(latex)):
            roles.setdefault(name, Meaning(role))
    own = frozenset(roles)
    depth, layer = spelled(given["N"][0]), spelled(given["k"][0])
    depths = {depth} | ({"N", "L", "out"} - {layer})
    layers = {layer} | ({"k", "l", "t"} - depths)
    if notation.place == "subscript":
        depths -= {"L"} - {depth}
    width = spelled(given["n"][0])
    for name, role in SPELLINGS.items():
        if name != width or role != "M":
            roles.setdefault(name, Meaning(role))
    roles.setdefault(width, Meaning("n"))
    for name, role in CAPITALS.items():
        roles.setdefault(name, Meaning(role, capital=True))
    for role in ("X", "Z", "lambda", "Y"):
        capital = spelled(given[role][0])
        roles.setdefault(capital[:1].upper() + capital[1:], Meaning(role, capital=True))
    return Vocabulary(notation, roles, own, frozenset(layers), frozenset(depths))


def spelled(text: str) -> str:
    """A symbol of a notation as the scanner spells it."""
    if text == "ŷ":
        return "yhat"
    return "".join(GREEK.get(letter, letter) for letter in text)


def _latex(latex: str) -> str:
    known = {r"\hat{y}": "yhat", r"\mathcal{L}": "calL", r"\mathrm{out}": "out"}
    return known.get(latex, latex.removeprefix("\\").removeprefix("var"))
