"""Names as arrays: entries, vectors and matrices with a layer, a sample and components.

An array without indices has axes; one with letters is an entry. A letter has to run over the same
wherever it stands, and exchanged letters of a matrix are recognized. Samples are a label, or an axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from lagrangenet.grading.formulas.cursor import POWER
from lagrangenet.grading.formulas.indexed import (
    FREE,
    LAST,
    SAMPLES,
    Layer,
    Num,
    Pow,
    Range,
    Ref,
    Sym,
    renamed,
)
from lagrangenet.grading.formulas.letters import Letters, Scripts, free_sample, letters_of, scripts
from lagrangenet.grading.formulas.names import ARRAYS, ERRORS, SAMPLED, Vocabulary
from lagrangenet.grading.formulas.shapes import Axis, Shapes, Value, component
from lagrangenet.grading.formulas.tree import FormulaError, Mark, Name, Picked


@dataclass(frozen=True)
class Reading:
    """One way of reading a line.

    Attributes
    ----------
    samples : {"label", "rows", "columns"}
        Vectors of one sample, or matrices of all samples.
    turned : {"", "errors", "all"}
        Which vectors of one sample are rows.
    inner : bool
        Whether two columns side by side are an inner product.
    tight : bool
        Whether ⊙ binds before a matrix product.
    loss : bool
        Whether L in a derivative by a state is the loss of a sample rather than the objective.
    inputs_first : bool
        Whether W^k has n_{k−1} rows.
    """

    samples: str = "label"
    turned: str = ""
    inner: bool = False
    tight: bool = False
    loss: bool = False
    inputs_first: bool = False


@dataclass(frozen=True)
class Definition:
    """A name that the student introduces, ``D^k = diag(σ'(z^k))``, as a value at layer k."""

    body: Mark
    layered: bool


@dataclass
class Arrays(ABC):
    """What names mean in one line.

    Attributes
    ----------
    text : str
        The answer, for messages.
    words : Vocabulary
    reading : Reading
    definitions : mapping
        Names that the student has introduced.
    overwritten : (str, Layer) or None
        What a letter for the error without a layer stands for.
    mend : bool
        Whether what does not fit is mended.
    """

    text: str
    words: Vocabulary
    reading: Reading
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    overwritten: tuple[str, Layer] | None = None
    mend: bool = True

    def __post_init__(self) -> None:
        self.shapes = Shapes(self.mend, self.reading.inner)
        self.letters = Letters({})
        self.bound: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.sample: list[str] = ["i"]
        self.ranges: dict[str, Layer] = {}
        self.free_sample = ""
        self.depth = 0

    def refuse(self, at: int, cause: str, remedy: str) -> FormulaError:
        """What cannot be meant."""
        return FormulaError(self.text, at, cause, remedy)

    def begin(self, line: Mark) -> None:
        """Learn what the letters of a line are."""
        self.letters = letters_of(line, self.words)
        self.free_sample = free_sample(line, self.letters)

    @abstractmethod
    def value(self, mark: Mark) -> Value:
        """An expression as a value: the reader's."""

    @abstractmethod
    def name(self, mark: Name) -> Value:
        """A name as a value: the reader's."""

    def role(self, mark: Mark) -> str:
        """The role of a name; empty of anything else."""
        return self.words.role(mark)

    def scripts(self, mark: Name, role: str) -> Scripts:
        """The scripts of a name."""
        return scripts(mark, role, self.words, self.bound)

    @property
    def batch(self) -> bool:
        """Whether arrays hold all samples."""
        return self.reading.samples != "label"

    def array(self, mark: Name, role: str, found: Scripts) -> Value:
        """An entry of an array, or a vector or matrix of them."""
        layer = LAST if role == "Y" else found.layer
        if found.extra:
            raise self.refuse(
                mark.at,
                f"I do not know what {found.extra[0]} means at {mark.name}",
                f"write ({mark.name}^k)^2 for a power, one layer and one index for each axis",
            )
        if layer is None and role in ERRORS and self.overwritten is not None:
            role, layer = self.overwritten
        if layer is None:
            raise self.refuse(
                mark.at, f"{mark.name} has no layer", f"write {mark.name}^k, or {mark.name}^{{k+1}}"
            )
        if found.below is not None and found.below != layer + -1:
            self.shapes.trouble(
                "layer", f"the weights of layer {layer} lead from layer {layer + -1}", mark.at
            )
        extents = [component(layer)]
        if role == "W":
            extents.append(component(layer + -1))
        if self.reading.inputs_first:
            extents.reverse()
        if role in SAMPLED:
            return self.sampled(mark, role, layer, found, extents[0])
        if not found.letters:
            axes = [Axis(self.shapes.fresh(), over) for over in extents]
            at = [axis.index for axis in axes]
            value = Value(Ref(role, layer, self.stored(role, at)), *axes)
            rows = self.reading.turned == "all" or self.reading.samples == "rows"
            return value.turned() if role == "b" and rows else value
        if len(found.letters) != len(extents):
            raise self.refuse(
                mark.at,
                f"{mark.name} with {len(found.letters)} indices",
                f"write {len(extents)}, or none for the whole of it",
            )
        at = self.entries(mark, found.letters, extents)
        return Value(Ref(role, layer, self.stored(role, at)))

    def stored(self, role: str, at: list[str]) -> tuple[str, ...]:
        """Indices in the order of the derivation: W is n_k × n_{k−1}."""
        return tuple(reversed(at)) if role == "W" and self.reading.inputs_first else tuple(at)

    def entries(self, mark: Name, letters: tuple[str, ...], extents: list[Range]) -> list[str]:
        """Index names; exchanged ones of a matrix are recognized and named."""
        if len(letters) == 2 and extents[0].layer != extents[1].layer:
            known = [self.ranges.get(self.names.get(one, FREE + one)) for one in letters]
            crossed = [known[0] == extents[1].layer, known[1] == extents[0].layer]
            straight = [known[0] == extents[0].layer, known[1] == extents[1].layer]
            if any(crossed) and not any(straight):
                self.shapes.trouble(
                    "transpose",
                    f"the indices of {mark.name} are exchanged: the first belongs to layer "
                    f"{extents[0].layer}, the second to layer {extents[1].layer}",
                    mark.at,
                )
                swapped = self.entries(mark, letters[::-1], extents)
                return swapped if self.mend else swapped[::-1]
        return [
            self.index(letter, over, mark.at) for letter, over in zip(letters, extents, strict=True)
        ]

    def index(self, letter: str, over: Range, at: int) -> str:
        """The name of an index letter, which has to run over the same wherever it stands."""
        name = self.names.get(letter, FREE + letter)
        if over.kind == "component" and over.layer is not None:
            known = self.ranges.setdefault(name, over.layer)
            if known != over.layer:
                self.shapes.trouble(
                    "index",
                    f"the index {letter} belongs to layer {known}, and stands where one of layer "
                    f"{over.layer} belongs",
                    at,
                )
        return name

    def sampled(
        self,
        mark: Name,
        role: str,
        layer: Layer,
        found: Scripts,
        over: Range,
    ) -> Value:
        """An array with a sample: of one, or of all."""
        sample, letters = found.sample, list(found.letters)
        for letter in tuple(letters):
            if self.letters.kind(letter) == "sample" and not sample:
                sample = letter
                letters.remove(letter)
        if len(letters) > 1:
            raise self.refuse(
                mark.at, f"{mark.name} with {len(letters)} components", "write sample and component"
            )
        whole = self.batch and not sample and not letters
        here = self.sample_index(sample)
        if whole:
            return self.all_samples(role, layer, over)
        if letters:
            return Value(Ref(role, layer, (here, self.index(letters[0], over, mark.at))))
        axis = Axis(self.shapes.fresh(), over)
        value = Value(Ref(role, layer, (here, axis.index)), axis)
        turned = self.reading.turned == "all" or (
            self.reading.turned == "errors" and role in ERRORS
        )
        return value.turned() if turned else value

    def sample_index(self, letter: str) -> str:
        """The name of a sample index: bound, the free one of the line, or another one."""
        if not letter:
            return self.sample[-1]
        if letter in self.names:
            return self.names[letter]
        return "i" if letter == self.free_sample else f"sample {letter}"

    def all_samples(self, role: str, layer: Layer, over: Range) -> Value:
        """An array of all samples, as rows or as columns."""
        rows, columns = Axis(self.shapes.fresh(), SAMPLES), Axis(self.shapes.fresh(), over)
        value = Value(Ref(role, layer, (rows.index, columns.index)), rows, columns)
        return value.turned() if self.reading.samples == "columns" else value

    def ones(self) -> Value:
        """The vector of ones, one for each sample."""
        return Value(Num(Fraction(1)), Axis(self.shapes.fresh(), SAMPLES))

    def picked(self, mark: Picked) -> Value:
        """A component of a bracket."""
        base = self.value(mark.base)
        letters = [script.symbol for script in mark.subs]
        if base.scalar:
            for letter in letters:
                if self.letters.kind(letter) == "sample":
                    return base
            raise self.refuse(mark.at, "a component of a number", "leave the index out")
        kept = [one for one in letters if self.letters.kind(one) != "sample"]
        if len(kept) != len(base.axes):
            raise self.refuse(mark.at, f"{len(kept)} indices of {base}", "write one for each axis")
        names = {}
        for letter, axis in zip(kept, base.axes, strict=True):
            names[axis.index] = self.index(letter, axis.over, mark.at)
        return Value(renamed(base.tree, names))

    def scalar(self, mark: Name, role: str) -> Value:
        """M, ρ or η, or a power of it."""
        if mark.args or mark.primes or (mark.subs and role != "eta"):
            raise self.refuse(mark.at, f"scripts at {mark.name}", f"write {mark.name}")
        if not mark.sups:
            return Value(Sym(role))
        (first, *more) = mark.sups
        if more or not first.symbol.isdigit() or not 1 <= int(first.symbol) <= POWER:
            raise self.refuse(mark.at, f"{mark.name} to this power", f"write {mark.name}^2")
        return Value(Pow(Sym(role), int(first.symbol) + first.offset))

    def unknown(self, mark: Name) -> FormulaError:
        """The refusal of a name without a meaning."""
        known = sorted(n for n, m in self.words.roles.items() if m.role in ARRAYS)
        letters = len(mark.name) > 1 and all(
            self.words.meaning(letter) or letter in "ijkpq" for letter in mark.name
        )
        remedy = f"known arrays: {', '.join(known[:24])}"
        if letters:
            remedy = f"write a blank between the letters: {' '.join(mark.name)}"
        return self.refuse(mark.at, f"I do not know the name {mark.name!r}", remedy)
