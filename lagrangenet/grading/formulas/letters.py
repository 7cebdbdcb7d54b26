"""The index letters of a line: which is a layer, a sample or a component.

They are told apart by where they stand and by how the same letter is used elsewhere in the line: in the
indices of weights, in the limits of sums, beside another letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lagrangenet.grading.formulas.indexed import Layer
from lagrangenet.grading.formulas.names import ARRAYS, Vocabulary, spelled
from lagrangenet.grading.formulas.tree import Bars, Binder, Chain, Mark, Name, Script, SumOver


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
    """Tell layer, sample and the other index letters of a name apart.

    Examples
    --------
    >>> from lagrangenet.symbolic.notation import Notation
    >>> words = Vocabulary.of(Notation.named("kkt"))
    >>> name = Name(0, "x", (Script("i"), Script("p")), (Script("k", -1),))
    >>> found = scripts(name, "X", words, {})
    >>> str(found.layer), found.letters
    ('k-1', ('i', 'p'))
    """
    found = _Sorting(words, bound, role)
    for one in name.sups:
        found.raised(one)
    pairs = words.notation.weights == "pairs" and not name.sups and len(name.subs) == 4
    for one in name.subs:
        found.lowered(one, pairs)
    layer = found.layer
    if role in {"W", "b"} and layer is not None:
        layer = layer + -words.notation.parameters
    return Scripts(layer, tuple(found.letters), found.sample, found.below, tuple(found.extra))


@dataclass
class _Sorting:
    """The scripts of one name, sorted one after the other."""

    words: Vocabulary
    bound: Mapping[str, str]
    role: str
    layer: Layer | None = None
    below: Layer | None = None
    sample: str = ""
    letters: list[str] = field(default_factory=list)
    extra: list[Script] = field(default_factory=list)

    def is_layer(self, one: Script) -> bool:
        return self.words.is_layer(one) or one.symbol in self.bound

    def raised(self, one: Script) -> None:
        """A superscript: the layer, or (i)."""
        turned = one.symbol == "T" and self.words.notation.place == "subscript"
        if self.layer is None and self.is_layer(one) and not turned:
            self.layer = self.words.layer(one, self.bound)
        elif one.symbol.isalpha() and not one.offset and not self.sample:
            self.sample = one.symbol
        else:
            self.extra.append(one)

    def lowered(self, one: Script, pairs: bool) -> None:
        """A subscript: the layer if there is none yet, an index, or the layer below of ω_{lj,(l-1)p}."""
        layered = self.is_layer(one)
        if layered and self.layer is None and self.role != "Y":
            self.layer = self.words.layer(one, self.bound)
        elif (
            layered and self.role == "W" and (one.offset or one.grouped or pairs) and not self.below
        ):
            self.below = self.words.layer(one, self.bound)
        elif one.offset or not one.symbol.isalpha():
            self.extra.append(one)
        else:
            self.letters.append(one.symbol)


def letters_of(line: Mark, words: Vocabulary) -> Letters:
    """What the index letters of a line are, from its sums, its weights and its states."""
    gathered = _Gathering(words, _layer_letters(line, words))
    sums = [mark for mark in line.walk() if isinstance(mark, SumOver)]
    for binder in (binder for mark in sums for binder in mark.binders):
        gathered.sum(binder)
    for mark in line.walk():
        if isinstance(mark, Name):
            gathered.name(mark)
    return Letters(gathered.decided([b.symbol for mark in sums for b in mark.binders]))


@dataclass
class _Gathering:
    """What the names and sums of a line say about its letters."""

    words: Vocabulary
    layered: set[str]
    kinds: dict[str, str] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    singles: list[str] = field(default_factory=list)
    pairs: list[tuple[str, ...]] = field(default_factory=list)
    weights: bool = False

    def sum(self, binder: Binder) -> None:
        """Limits say what an index is; without them, where it stands."""
        kind = _limited(binder, self.words)
        if not kind and binder.symbol in self.layered:
            kind = "layer"
        if kind == "layer":
            self.bound[binder.symbol] = binder.symbol
        if kind:
            self.kinds[binder.symbol] = kind

    def name(self, mark: Name) -> None:
        """An array, whose indices have their places; ℓ_i has a sample."""
        role = self.words.role(mark)
        if role in {"ell", "objective", "lagrangian"}:
            for one in (*mark.subs, *mark.sups):
                if not self.words.is_layer(one) and one.symbol.isalpha():
                    self.kinds.setdefault(one.symbol, "sample")
        if role in ARRAYS or role in {"sigma", "output", "input"}:
            self.array(role, scripts(mark, role, self.words, self.bound))

    def array(self, role: str, found: Scripts) -> None:
        """Weights have components alone; a state has a sample, a component, or both."""
        if found.sample:
            self.kinds.setdefault(found.sample, "sample")
        if role in {"W", "b"} or found.sample:
            self.weights = self.weights or (role == "W" and bool(found.letters))
            for letter in found.letters:
                self.kinds.setdefault(letter, "component")
        elif len(found.letters) == 2:
            self.pairs.append(found.letters)
        elif found.letters:
            self.singles.append(found.letters[0])

    def decided(self, bound: list[str]) -> dict[str, str]:
        """A kind for every letter; where nothing says otherwise, i is a sample."""
        kinds = self.kinds
        for first, second in self.pairs:
            if kinds.get(first) == "component" and second not in kinds:
                kinds[second] = "sample"
            elif kinds.get(second) == "component" and kinds.get(first) == "component":
                kinds[first] = "sample"  # whatever the limits of its sum say
            elif kinds.get(second) != "sample":
                kinds.setdefault(first, "sample")
            for letter in (first, second):
                kinds.setdefault(letter, "component")
        samples = {spelled(self.words.notation.symbols["i"][0]), "i", "n", "s"}
        for letter in self.singles:
            sample = letter in samples and not self.weights
            kinds.setdefault(letter, "sample" if sample else "component")
        for letter in bound:
            kinds.setdefault(letter, "sample" if letter in samples else "component")
        return kinds


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
        if isinstance(mark, Name) and words.role(mark) in {*ARRAYS, "sigma", "n"}:
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
        return "sample" if words.role(mark) == "M" else ""
    return ""
