"""The index letters of a line: which is a layer, a sample or a component.

They are told apart by where they stand and by how the same letter is used elsewhere in the line: in the
indices of weights, in the limits of sums, beside another letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
