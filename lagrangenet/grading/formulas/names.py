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
from lagrangenet.grading.formulas.tree import Bars, Binder, Chain, Mark, Name, Script, SumOver
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
#: Functions that are called by their own names.
FUNCTIONS: Mapping[str, str] = {
    "exp": "exp", "log": "log", "ln": "log", "tanh": "tanh", "softmax": "softmax",
    "sigmoid": "sigmoid", "sigm": "sigmoid", "relu": "relu", "ReLU": "relu", "step": "step",
    "diag": "diag", "transpose": "transpose", "sqrt": "sqrt",
}  # fmt: skip


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


# -- the letters of a line -------------------------------------------------------------------------


@dataclass
class Letters:
    """What each index letter of a line is: ``sample``, ``component`` or ``layer``."""

    kinds: dict[str, str]

    def kind(self, letter: str) -> str:
        """The kind of a letter; a component where nothing is known."""
        return self.kinds.get(letter, "component")


@dataclass(frozen=True)
class Scripts:
    """The scripts of a name by what they are."""

    layer: Layer | None
    letters: tuple[str, ...]
    sample: str = ""
    below: Layer | None = None
    extra: tuple[Script, ...] = ()


def scripts(name: Name, role: str, words: Vocabulary, bound: Mapping[str, str]) -> Scripts:
    """Tell layer, sample and the other index letters of a name apart."""
    layer: Layer | None = None
    below: Layer | None = None
    sample = ""
    letters: list[str] = []
    extra: list[Script] = []
    for one in name.sups:
        known = words.is_layer(one) or one.symbol in bound
        if (
            known
            and layer is None
            and not (one.symbol == "T" and words.notation.place == "subscript")
        ):
            layer = words.layer(one, bound)
        elif one.symbol.isalpha() and not one.offset and not sample:
            sample = one.symbol
        else:
            extra.append(one)
    for one in name.subs:
        layered = words.is_layer(one) or one.symbol in bound
        if layered and layer is None and role != "Y":
            layer = words.layer(one, bound)
        elif (
            layered
            and role == "W"
            and below is None
            and (one.offset or one.grouped or name_pairs(name, words))
        ):
            below = words.layer(one, bound)
        elif one.offset or not one.symbol.isalpha():
            extra.append(one)
        else:
            letters.append(one.symbol)
    if role in {"W", "b"} and layer is not None and words.notation.parameters:
        layer = layer + -words.notation.parameters
    return Scripts(layer, tuple(letters), sample, below, tuple(extra))


def name_pairs(name: Name, words: Vocabulary) -> bool:
    """Whether the weights of a notation name both of their layers, ω_{(l+1)p,lj}."""
    return words.notation.weights == "pairs" and not name.sups and len(name.subs) == 4


def letters_of(line: Mark, words: Vocabulary) -> Letters:
    """What the index letters of a line are, from its sums, its weights and its states."""
    kinds: dict[str, str] = {}
    layered = _layer_letters(line, words)
    singles: list[str] = []
    pairs: list[tuple[str, str]] = []
    weights = False
    bound: dict[str, str] = {}
    for mark in line.walk():
        if isinstance(mark, SumOver):
            for binder in mark.binders:
                kind = _limited(binder, words)
                if kind == "layer" or (not kind and binder.symbol in layered):
                    kind = "layer"
                    bound[binder.symbol] = binder.symbol
                if kind:
                    kinds[binder.symbol] = kind
    for mark in line.walk():
        if not isinstance(mark, Name):
            continue
        meaning = words.meaning(mark.name)
        role = {"output": "X", "input": "X"}.get(meaning.role, meaning.role) if meaning else ""
        if role in {"ell", "objective", "lagrangian"}:
            for one in (*mark.subs, *mark.sups):
                if not words.is_layer(one) and one.symbol.isalpha():
                    kinds.setdefault(one.symbol, "sample")
        if role not in ARRAYS and role not in {"sigma"}:
            continue
        found = scripts(mark, role, words, bound)
        if found.sample:
            kinds.setdefault(found.sample, "sample")
        if role in {"W", "b"}:
            weights = weights or (role == "W" and bool(found.letters))
            for letter in found.letters:
                kinds.setdefault(letter, "component")
        elif len(found.letters) == 2:
            pairs.append((found.letters[0], found.letters[1]))
        elif found.letters and found.sample:
            kinds.setdefault(found.letters[0], "component")
        elif found.letters:
            singles.append(found.letters[0])
    for first, second in pairs:
        if kinds.get(first) == "component" and second not in kinds:
            kinds[second] = "sample"
        elif kinds.get(second) != "sample":
            kinds.setdefault(first, "sample")
            kinds.setdefault(second, "component")
        else:
            kinds.setdefault(first, "component")
    sampled = {spelled(words.notation.symbols["i"][0]), "i", "n", "s"}
    for letter in singles:
        guess = "sample" if letter in sampled and not weights else "component"
        kinds.setdefault(letter, guess)
    for mark in line.walk():
        for binder in mark.binders if isinstance(mark, SumOver) else ():
            kinds.setdefault(binder.symbol, "sample" if binder.symbol in sampled else "component")
    return Letters(kinds)


def free_sample(line: Mark, letters: Letters) -> str:
    """The first letter of a sample that no sum binds."""
    bound = {
        binder.symbol
        for mark in line.walk()
        if isinstance(mark, SumOver)
        for binder in mark.binders
    }
    for mark in line.walk():
        for script in (*mark.subs, *mark.sups) if isinstance(mark, Name) else ():
            if letters.kinds.get(script.symbol) == "sample" and script.symbol not in bound:
                return script.symbol
    return ""


def _layer_letters(line: Mark, words: Vocabulary) -> set[str]:
    """Letters that stand where a layer stands."""
    found = set()
    for mark in line.walk():
        if isinstance(mark, Name) and (meaning := words.meaning(mark.name)):
            if meaning.role not in ARRAYS and meaning.role not in {"sigma", "n"}:
                continue
            place = mark.sups or mark.subs
            found |= {one.symbol for one in place if one.symbol in words.layers}
    return found


def _limited(binder: Binder, words: Vocabulary) -> str:
    """What a sum runs over, by its limits; empty if they do not say."""
    if binder.within or isinstance(binder.upper, Bars):
        return "sample"
    upper = binder.upper
    while isinstance(upper, Chain):
        upper = upper.factors[0][1]
    for mark in upper.walk() if upper is not None else ():
        if not isinstance(mark, Name):
            continue
        if mark.name in words.depths and not mark.subs:
            return "layer"
        if mark.subs or mark.sups:
            return "component"
        meaning = words.meaning(mark.name)
        return "sample" if meaning is not None and meaning.role == "M" else ""
    return ""
