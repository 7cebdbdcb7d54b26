"""From marks to mathematics: a line as an expression in index notation with a symbolic shape.

The same line can be read in a few ways: vectors of one sample, or all samples as rows or as columns;
two columns side by side as an inner product or component by component; ⊙ before or after the matrix
product. A :class:`Reading` says which; :mod:`.judge` tries them, those that fit first. What has no
meaning at all is refused with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from lagrangenet.grading.formulas.cursor import POWER
from lagrangenet.grading.formulas.indexed import (
    LAST,
    SAMPLES,
    Add,
    Fun,
    K,
    Layer,
    Mul,
    Num,
    Pow,
    Range,
    Ref,
    Sum,
    Sym,
    Tree,
    changed,
    moved,
    renamed,
    walk,
)
from lagrangenet.grading.formulas.names import (
    ARRAYS,
    ERRORS,
    FUNCTIONS,
    SAMPLED,
    Letters,
    Meaning,
    Scripts,
    Vocabulary,
    free_sample,
    letters_of,
    scripts,
)
from lagrangenet.grading.formulas.shapes import Axis, Shapes, Value, component
from lagrangenet.grading.formulas.tree import (
    Bars,
    Binder,
    Chain,
    FormulaError,
    Inner,
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
class Reader:
    """Reads the lines of one answer.

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

    # -- expressions -------------------------------------------------------------------------------

    def value(self, mark: Mark) -> Value:
        """An expression as a value.

        Raises
        ------
        FormulaError
            For a name without a meaning, or something that cannot be multiplied, added or divided.
        """
        match mark:
            case Literal():
                return Value(Num(mark.value))
            case Name():
                return self.name(mark)
            case Signed():
                return self.signed(mark)
            case Chain():
                return self.chain(mark)
            case Powered():
                return self.powered(mark)
            case Turned():
                return self.transposed(mark)
            case Picked():
                return self.picked(mark)
            case SumOver():
                return self.total(mark)
            case Slope():
                return self.slope(mark)
            case Bars():
                return self.bars(mark)
            case Inner():
                return self.shapes.dot(self.value(mark.left), self.value(mark.right))
        raise self.refuse(mark.at, "this cannot be read", "write it in another way")

    def signed(self, mark: Signed) -> Value:
        values = [(sign, self.value(term)) for sign, term in mark.terms]
        if self.reading.inner and any(v.scalar for _, v in values):
            values = [(sign, self.summed_squares(v)) for sign, v in values]
        return self.shapes.add(values, mark.at)

    @staticmethod
    def summed_squares(value: Value) -> Value:
        """(x − y)² of two columns where a number is expected: the sum of the squares."""
        if value.scalar or not _is_square(value.tree):
            return value
        tree = value.tree
        for axis in value.axes:
            tree = Sum(axis.index, axis.over, tree)
        return Value(tree)

    def chain(self, mark: Chain) -> Value:
        factors = [(sign, self.value(factor)) for sign, factor in mark.factors]
        places = [factor.at for _, factor in mark.factors]
        loose = {"⊙"} if not self.reading.tight else {" ", "*", "·", "@"}
        groups: list[list[tuple[str, Value, int]]] = []
        for (sign, value), at in zip(factors, places, strict=True):
            if not groups or (sign in loose and not self.scales(groups[-1], value)):
                groups.append([(sign, value, at)])
            else:
                groups[-1].append((sign, value, at))
        parts = [(group[0][0], self.product(group), group[0][2]) for group in groups]
        return self.product(parts)

    @staticmethod
    def scales(group: list[tuple[str, Value, int]], value: Value) -> bool:
        """Whether one of both sides is a number, so that the order does not matter."""
        return value.scalar or all(one.scalar for _, one, _ in group)

    def product(self, factors: list[tuple[str, Value, int]]) -> Value:
        result = factors[0][1]
        for sign, value, at in factors[1:]:
            if sign == "/":
                result = self.quotient(result, value, at)
            else:
                result = self.shapes.multiply(sign, result, value, at)
        return result

    def quotient(self, a: Value, b: Value, at: int) -> Value:
        if b.tree == Num(Fraction(0)):
            raise self.refuse(at, "division by zero", "divide by something else")
        inverse = replace(b, tree=Pow(b.tree, -1))
        if b.scalar:
            return replace(a, tree=Mul((a.tree, inverse.tree)))
        if a.scalar:
            return replace(inverse, tree=Mul((a.tree, inverse.tree)))
        return self.shapes.entrywise(a, inverse, at)

    def powered(self, mark: Powered) -> Value:
        if isinstance(mark.base, Bars) and mark.exponent == 2:
            inside = self.value(mark.base.inside)
            tree: Tree = Mul((inside.tree, inside.tree))
            for axis in inside.axes:
                tree = Sum(axis.index, axis.over, tree)
            return Value(tree)
        base = self.value(mark.base)
        if base.matrix and not isinstance(mark.base, Signed) and not self.batch:
            raise self.refuse(mark.at, "a power of a matrix", "write the product")
        return replace(base, tree=Pow(base.tree, mark.exponent))

    @property
    def batch(self) -> bool:
        """Whether arrays hold all samples."""
        return self.reading.samples != "label"

    def transposed(self, mark: Turned) -> Value:
        if mark.base == Literal(mark.base.at, Fraction(1)):
            return self.ones().turned()
        return self.value(mark.base).turned()

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

    def bars(self, mark: Bars) -> Value:
        inside = mark.inside
        if isinstance(inside, Name) and inside.name in {"I", "B", "S", "D"} and not inside.subs:
            return Value(Sym("M"))
        raise self.refuse(mark.at, "a norm without its square", "write ‖...‖^2")

    # -- sums --------------------------------------------------------------------------------------

    def total(self, mark: SumOver) -> Value:
        """Σ over samples, components or layers, with its limits checked."""
        first, *rest = mark.binders
        body = SumOver(mark.at, tuple(rest), mark.body) if rest else mark.body
        kind = self.letters.kind(first.symbol)
        if kind == "layer":
            return self.over_layers(first, body)
        if kind == "sample":
            return self.over_samples(first, body)
        return self.over_components(first, body)

    def over_layers(self, binder: Binder, body: Mark) -> Value:
        index = self.shapes.fresh()
        self.bound[binder.symbol] = index
        inside = self.value(body)
        del self.bound[binder.symbol]
        low = Layer("", 1) if binder.lower is None else self.limit(binder.lower)
        high = LAST if binder.upper is None else self.limit(binder.upper)
        tree = Sum(index, Range("layer", None, low, high), inside.tree)
        return replace(inside, tree=tree)

    def limit(self, mark: Mark) -> Layer:
        """A limit of a sum over layers."""
        match mark:
            case Literal(_, value) if value.denominator == 1:
                return self.words.number(int(value))
            case Name(name=name) if name in self.words.depths or name in self.words.layers:
                return self.words.layer(Script(name), self.bound)
            case Signed(terms=((1, first), (sign, Literal(_, step)))) if step.denominator == 1:
                return self.limit(first) + sign * int(step)
        raise self.refuse(mark.at, "this is no limit of a sum over layers", "write Σ_{k=1}^{N}")

    def over_samples(self, binder: Binder, body: Mark) -> Value:
        index = self.shapes.fresh()
        known = self.names.get(binder.symbol)
        self.names[binder.symbol] = index
        self.sample.append(index)
        inside = self.value(body)
        self.sample.pop()
        if known is None:
            del self.names[binder.symbol]
        else:
            self.names[binder.symbol] = known
        lower = binder.lower
        if isinstance(lower, Literal) and lower.value != 1:
            self.shapes.trouble(
                "sum", f"the sum over the samples begins at {lower.value}", lower.at
            )
        if inside.rows is not None and inside.rows.over == SAMPLES and self.batch:
            tree = Sum(inside.rows.index, SAMPLES, inside.tree)
            return Value(tree, inside.columns)
        return replace(inside, tree=Sum(index, SAMPLES, inside.tree))

    def check_limits(self, binder: Binder, what: str, whole: bool) -> None:
        """A sum over samples or components runs over all of them."""
        lower = binder.lower
        if lower is not None and not (isinstance(lower, Literal) and lower.value == 1):
            self.shapes.trouble("sum", f"the sum over {what} does not begin at 1", lower.at)
        if binder.upper is not None and not whole:
            self.shapes.trouble(
                "sum", f"the sum over {what} does not run over all of them", binder.upper.at
            )

    def over_components(self, binder: Binder, body: Mark) -> Value:
        index = self.shapes.fresh()
        known = self.names.get(binder.symbol)
        self.names[binder.symbol] = index
        inside = self.value(body)
        if known is None:
            del self.names[binder.symbol]
        else:
            self.names[binder.symbol] = known
        layer = self.ranges.get(index)
        self.check_limits(binder, f"the components {binder.symbol}", isinstance(binder.upper, Name))
        if isinstance(binder.upper, Name) and layer is not None:
            upper = scripts(binder.upper, "n", self.words, self.bound).layer
            if upper is not None and upper != layer:
                self.shapes.trouble(
                    "sum",
                    f"the sum over {binder.symbol} runs to n_{upper}, but this index belongs to "
                    f"layer {layer}",
                    binder.at,
                )
        return replace(inside, tree=Sum(index, Range("component", layer), inside.tree))

    def index(self, letter: str, over: Range, at: int) -> str:
        """The name of an index letter, which has to run over the same wherever it stands."""
        name = self.names.get(letter, letter)
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

    # -- names -------------------------------------------------------------------------------------

    def name(self, mark: Name) -> Value:
        defined = self.definitions.get(mark.name)
        if defined is not None:
            return self.defined(mark, defined)
        meaning = self.words.meaning(mark.name)
        if mark.name in FUNCTIONS and (meaning is None or mark.args is not None):
            return self.function(mark)
        if meaning is None:
            raise self.unknown(mark)
        role = meaning.role
        if role in {"output", "input"}:
            layer = LAST if role == "output" else Layer("", 0)
            return self.array(mark, "X", replace(self.scripts(mark, "Y"), layer=layer), meaning)
        if role in ARRAYS:
            if mark.primes or mark.args:
                raise self.refuse(mark.at, f"{mark.name} is no function", "write σ'(z) or ^T")
            return self.array(mark, role, self.scripts(mark, role), meaning)
        if role == "sigma":
            return self.sigma(mark)
        if role == "ell" or (role == "lagrangian" and mark.args and len(mark.args) > 1):
            return self.loss(mark)
        if role in {"omega", "Omega"}:
            return self.penalty(mark)
        if role in {"rho", "eta", "M"}:
            return self.scalar(mark, role)
        if role == "n":
            layer = self.scripts(mark, "n").layer
            return Value(Sym("M") if layer is None else Sym("n", layer))
        if role == "one":
            return self.ones()
        raise self.refuse(mark.at, f"{mark.name} cannot stand here", "write what it is equal to")

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
        known = sorted(n for n, m in self.words.roles.items() if m.role in ARRAYS and len(n) > 0)
        letters = len(mark.name) > 1 and all(
            self.words.meaning(letter) or letter in "ijkpq" for letter in mark.name
        )
        remedy = f"known arrays: {', '.join(known[:24])}"
        if letters:
            remedy = f"write a blank between the letters: {' '.join(mark.name)}"
        return self.refuse(mark.at, f"I do not know the name {mark.name!r}", remedy)

    def scripts(self, mark: Name, role: str) -> Scripts:
        return scripts(mark, role, self.words, self.bound)

    def array(self, mark: Name, role: str, found: Scripts, meaning: Meaning) -> Value:
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
            return self.sampled(mark, role, layer, found, meaning, extents[0])
        if not found.letters:
            axes = [Axis(self.shapes.fresh(), over) for over in extents]
            at = [axis.index for axis in axes]
            value = Value(Ref(role, layer, self.stored(role, at)), *axes)
            flat = role == "b" and (self.reading.turned == "all" or self.rowed(meaning))
            return value.turned() if flat else value
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

    def rowed(self, meaning: Meaning) -> bool:
        """Whether samples are rows, so that vectors are too."""
        del meaning
        return self.reading.samples == "rows"

    def entries(self, mark: Name, letters: tuple[str, ...], extents: list[Range]) -> list[str]:
        """Index names; exchanged ones of a matrix are recognized and named."""
        if len(letters) == 2 and extents[0].layer != extents[1].layer:
            known = [self.ranges.get(self.names.get(one, one)) for one in letters]
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

    def sampled(
        self,
        mark: Name,
        role: str,
        layer: Layer,
        found: Scripts,
        meaning: Meaning,
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
        del meaning
        return value.turned() if turned else value

    def sample_index(self, letter: str) -> str:
        """The name of a sample index: bound, the free one of the line, or another one."""
        if not letter:
            return self.sample[-1]
        if letter in self.names:
            return self.names[letter]
        return "i" if letter == self.free_sample else f"sample {letter}"

    def all_samples(self, role: str, layer: Layer, over: Range) -> Value:
        rows, columns = Axis(self.shapes.fresh(), SAMPLES), Axis(self.shapes.fresh(), over)
        value = Value(Ref(role, layer, (rows.index, columns.index)), rows, columns)
        return value.turned() if self.reading.samples == "columns" else value

    # -- functions ---------------------------------------------------------------------------------

    def sigma(self, mark: Name) -> Value:
        """σ(z), σ′^k(z^k), or σ′^k alone, which is taken at z^k."""
        found = self.scripts(mark, "sigma")
        if found.extra:
            raise self.refuse(
                mark.at, f"I do not know what {found.extra[0]} means here", "write σ'^k(z^k)"
            )
        layer = found.layer
        if mark.args is None:
            if layer is None:
                raise self.refuse(mark.at, "σ without an argument", "write σ'(z^k)")
            stand = Name(mark.at, self.preactivation, mark.subs, mark.sups)
            return self.applied("sigma", layer, mark.primes, self.name(stand))
        if len(mark.args) != 1:
            raise self.refuse(mark.at, "σ takes one argument", "write σ(z^k)")
        value = self.applied("sigma", layer, mark.primes, self.value(mark.args[0]))
        if found.letters and not value.scalar:
            return self.picked(
                Picked(
                    mark.at,
                    Name(mark.at, mark.name, (), mark.sups, mark.primes, mark.args),
                    tuple(Script(x) for x in found.letters),
                )
            )
        return value

    @property
    def preactivation(self) -> str:
        """The name of z in this notation."""
        return next(n for n, m in self.words.roles.items() if m.role == "Z" and not m.capital)

    @staticmethod
    def applied(name: str, layer: Layer | None, order: int, value: Value) -> Value:
        """A function of every component."""
        along = next((a.index for a in value.axes if a.over.kind == "component"), "")
        return replace(value, tree=Fun(name, layer, order, value.tree, along))

    def function(self, mark: Name) -> Value:
        """exp, tanh, softmax, diag, ...: called by their own names."""
        name = FUNCTIONS[mark.name]
        if mark.args is None or len(mark.args) != 1:
            raise self.refuse(mark.at, f"{mark.name} takes one argument", f"write {mark.name}(z)")
        value = self.value(mark.args[0])
        if name == "transpose":
            return value.turned()
        if name == "diag":
            return self.diagonal(value, mark.at)
        return self.applied(name, self.scripts(mark, "sigma").layer, mark.primes, value)

    def diagonal(self, value: Value, at: int) -> Value:
        if value.matrix or value.scalar:
            raise self.refuse(at, f"diag of {value}", "diag takes a vector of one sample")
        axis = value.axes[0]
        other = Axis(self.shapes.fresh(), axis.over)
        tree = Mul((value.tree, Ref("kron", axis.over.layer, (axis.index, other.index))))
        return Value(tree, axis, other)

    def loss(self, mark: Name) -> Value:
        """ℓ, ℓ_i, ℓ(y_i, x_i^N), and with a prime its derivative by the output."""
        layer, sample = LAST, ""
        for argument in mark.args or ():
            for name in argument.walk():
                if not isinstance(name, Name) or not (meaning := self.words.meaning(name.name)):
                    continue
                if meaning.role in {"X", "Z"}:
                    layer = self.scripts(name, "X").layer or LAST
                for letter in (*self.scripts(name, "Y").letters, self.scripts(name, "Y").sample):
                    if letter and self.letters.kind(letter) == "sample":
                        sample = letter
        own = self.scripts(mark, "Y")
        for letter in (*own.letters, own.sample):
            if letter and self.letters.kind(letter) == "sample":
                sample = letter
        here = self.sample_index(sample)
        if mark.primes > 1:
            raise self.refuse(mark.at, "a second derivative of ℓ", "the first is needed")
        if not mark.primes:
            return Value(Ref("ell", layer, (here,)))
        letters = [x for x in own.letters if self.letters.kind(x) == "component"]
        return self.slope_of_loss(layer, here, letters, mark.at, bool(sample))

    def slope_of_loss(
        self, layer: Layer, sample: str, letters: list[str], at: int, labelled: bool = False
    ) -> Value:
        """∂ℓ/∂x, a vector of one sample or of all."""
        if letters:
            return Value(Ref("ell1", layer, (sample, self.index(letters[0], component(layer), at))))
        if self.batch and not labelled:
            return self.all_samples("ell1", layer, component(layer))
        axis = Axis(self.shapes.fresh(), component(layer))
        value = Value(Ref("ell1", layer, (sample, axis.index)), axis)
        return value.turned() if self.reading.turned in {"errors", "all"} else value

    def penalty(self, mark: Name) -> Value:
        """ω(W), ω′(W) of an array, or Ω(θ), the sum over all weights."""
        if mark.primes and mark.args and len(mark.args) == 1:
            return replace(
                (inside := self.value(mark.args[0])),
                tree=Fun("omega", None, mark.primes, inside.tree),
            )
        if not mark.args or self.is_theta(mark.args[0]):
            index, p, q = self.shapes.fresh(), self.shapes.fresh(), self.shapes.fresh()
            layer = Layer(index)
            entry = Fun("omega", None, 0, Ref("W", layer, (p, q)))
            tree: Tree = Sum(p, component(layer), Sum(q, component(layer + -1), entry))
            return Value(Sum(index, Range("layer", None, Layer("", 1), LAST), tree))
        inside = self.value(mark.args[0])
        tree = Fun("omega", None, mark.primes, inside.tree)
        for axis in inside.axes:
            tree = Sum(axis.index, axis.over, tree)
        return Value(tree)

    def is_theta(self, mark: Mark) -> bool:
        """Whether an argument is all parameters."""
        if not isinstance(mark, Name):
            return False
        meaning = self.words.meaning(mark.name)
        bare = not mark.sups and not mark.subs
        return meaning is not None and (meaning.role == "theta" or (meaning.role == "W" and bare))

    # -- derivatives -------------------------------------------------------------------------------

    def slope(self, mark: Slope) -> Value:
        """∂ℓ/∂x^N, ∂ℓ/∂z^k, ∂L/∂W^k, ∂x^N/∂z^N, ∂Ω/∂W^k."""
        of, by = self.differentiated(mark)
        role = self.role(by)
        if role in {"W", "b"}:
            return self.slope_of_parameter(of, by, role)
        if of == "X":
            return self.jacobian(by, mark.at)
        found = self.scripts(by, "Y" if role in {"output", "input"} else role)
        layer = LAST if role == "output" else found.layer
        if layer is None and role == "X" and of == "ell":
            layer = LAST  # ∂ℓ/∂x is meant at the output
        if role not in {"X", "Z", "output"} or layer is None:
            raise self.refuse(by.at, f"a derivative by {by.name}", "write ∂ℓ/∂x^N or ∂ℓ/∂z^k")
        meaning = self.words.meaning(by.name) or Meaning("X")
        if of == "lagrangian" and self.reading.loss:
            self.shapes.note("L was read as the loss of one sample")
        if of == "objective" or (of == "lagrangian" and not self.reading.loss):
            value = self.error(
                "ell1" if layer == LAST else "Delta", layer, role, found, by, meaning
            )
            return replace(value, tree=Mul((value.tree, Pow(Sym("M"), -1))))
        return self.error("ell1" if layer == LAST else "Delta", layer, role, found, by, meaning)

    def error(
        self, name: str, layer: Layer, role: str, found: Scripts, by: Name, meaning: Meaning
    ) -> Value:
        if role == "Z":
            name = "delta"
        value = self.sampled(by, "Delta", layer, found, meaning, component(layer))
        tree = changed(
            value.tree, lambda one: replace(one, name=name) if isinstance(one, Ref) else one
        )
        return replace(value, tree=tree)

    def differentiated(self, mark: Slope) -> tuple[str, Name]:
        if not isinstance(mark.by, Name):
            raise self.refuse(mark.at, "a derivative by a formula", "differentiate by a name")
        of = self.role(mark.of) if isinstance(mark.of, Name) else ""
        of = {"output": "X", "sigma": "X", "omega": "Omega"}.get(of, of)
        if of not in {"ell", "objective", "lagrangian", "X", "Omega"}:
            raise self.refuse(mark.at, "a derivative of this", "write ∂ℓ/∂x^N, or ∂L/∂W^k")
        return of, mark.by

    def role(self, mark: Mark) -> str:
        meaning = self.words.meaning(mark.name) if isinstance(mark, Name) else None
        return meaning.role if meaning is not None else ""

    def slope_of_parameter(self, of: str, by: Name, role: str) -> Value:
        """A gradient; what it is equal to is put in later."""
        meaning = self.words.meaning(by.name) or Meaning(role)
        value = self.array(by, role, self.scripts(by, role), meaning)
        if of == "Omega":
            return replace(value, tree=Fun("omega", None, 1, value.tree))
        name = {"ell": "slope1", "objective": "slope", "lagrangian": "slope"}[of] + role
        here = (self.sample[-1],) if of == "ell" else ()

        def gradient(one: Tree) -> Tree:
            return Ref(name, one.layer, (*here, *one.at)) if isinstance(one, Ref) else one

        return replace(value, tree=changed(value.tree, gradient))

    def jacobian(self, by: Name, at: int) -> Value:
        """∂x^k/∂z^k."""
        found = self.scripts(by, "Z")
        if self.role(by) != "Z" or found.layer is None:
            raise self.refuse(at, "this Jacobian", "write ∂x^N/∂z^N")
        if self.batch:
            raise self.refuse(at, "a Jacobian of all samples", "write it for one sample")
        axes = [Axis(self.shapes.fresh(), component(found.layer)) for _ in range(2)]
        entry = Ref("jac", found.layer, (self.sample[-1], *(axis.index for axis in axes)))
        return Value(entry, *axes)

    # -- definitions -------------------------------------------------------------------------------

    def defined(self, mark: Name, definition: Definition) -> Value:
        """A name that the student introduced, at the layer where it is used."""
        self.depth += 1
        if self.depth > 4:
            raise self.refuse(mark.at, f"{mark.name} is defined by itself", "define it once")
        letters, free = self.letters, self.free_sample
        self.begin(definition.body)
        inside = self.value(definition.body)
        self.letters, self.free_sample = letters, free
        self.depth -= 1
        layer = self.scripts(mark, "X").layer if definition.layered else None
        if layer is None or layer == K:
            return inside
        return Value(
            _at_layer(inside.tree, layer),
            *(
                None if axis is None else Axis(axis.index, _range_at(axis.over, layer))
                for axis in (inside.rows, inside.columns)
            ),
        )


def _at_layer(tree: Tree, layer: Layer) -> Tree:
    """A tree at k, at another layer."""
    if layer.base == "k":
        return moved(tree, layer.offset)

    def change(one: Tree) -> Tree:
        if isinstance(one, Ref | Fun) and one.layer is not None and one.layer.base == "k":
            return replace(one, layer=Layer(layer.base, layer.offset + one.layer.offset))
        return one

    return changed(tree, change)


def _range_at(over: Range, layer: Layer) -> Range:
    if over.layer is None or over.layer.base != "k":
        return over
    return replace(over, layer=Layer(layer.base, layer.offset + over.layer.offset))


def _is_square(tree: Tree) -> bool:
    """Whether a product has a square in it."""
    factors = tree.factors if isinstance(tree, Mul) else (tree,)
    return any(isinstance(one, Pow) and one.exponent == 2 for one in factors) or any(
        isinstance(one, Mul | Sum) and any(isinstance(x, Pow) for x in walk(one)) for one in factors
    )


#: A reading of a line, and how it turned out.
Attempt = Callable[[Reading], Value]
_ = Add
