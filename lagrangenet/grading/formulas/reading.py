"""From marks to mathematics: a line as an expression in index notation with a symbolic shape.

The same line can be read in a few ways: vectors of one sample, or all samples as rows or as columns;
two columns side by side as an inner product or component by component; ⊙ before or after the matrix
product. A :class:`Reading` says which; :mod:`.judge` tries them, those that fit first. What has no
meaning at all is refused with its place.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from lagrangenet.grading.formulas.arrays import Definition
from lagrangenet.grading.formulas.indexed import (
    LAST,
    K,
    Layer,
    Mul,
    Num,
    Pow,
    Sum,
    Sym,
    Tree,
    rebased,
    relayered,
)
from lagrangenet.grading.formulas.names import ARRAYS
from lagrangenet.grading.formulas.shapes import Axis, Value
from lagrangenet.grading.formulas.sums import Sums
from lagrangenet.grading.formulas.tree import (
    Bars,
    Chain,
    Inner,
    Literal,
    Mark,
    Name,
    Picked,
    Powered,
    Signed,
    Slope,
    SumOver,
    Turned,
)
from lagrangenet.grading.formulas.words import called


class Reader(Sums):
    """Reads the expressions of one answer."""

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
        """A sum of terms with their signs."""
        values = [(sign, self.value(term)) for sign, term in mark.terms]
        if self.reading.inner and any(v.scalar for _, v in values):
            values = [(sign, self.summed_squares(v)) for sign, v in values]
        return self.shapes.add(values, mark.at)

    @staticmethod
    def summed_squares(value: Value) -> Value:
        """(x − y)² of two columns where a number is expected: the sum of the squares."""
        return value.summed() if _is_square(value.tree) else value

    def chain(self, mark: Chain) -> Value:
        """A product; which of its signs bind first is a choice of the reading."""
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
        """A product from left to right."""
        result = factors[0][1]
        for sign, value, at in factors[1:]:
            if sign == "/":
                result = self.quotient(result, value, at)
            else:
                result = self.shapes.multiply(sign, result, value, at)
        return result

    def quotient(self, a: Value, b: Value, at: int) -> Value:
        """A / b, componentwise where b is no number."""
        if b.tree == Num(Fraction(0)):
            raise self.refuse(at, "division by zero", "divide by something else")
        inverse = replace(b, tree=Pow(b.tree, -1))
        if b.scalar:
            return replace(a, tree=Mul((a.tree, inverse.tree)))
        if a.scalar:
            return replace(inverse, tree=Mul((a.tree, inverse.tree)))
        return self.shapes.entrywise(a, inverse, at)

    def powered(self, mark: Powered) -> Value:
        """A power, componentwise; ‖v‖² is the sum of the squares."""
        if isinstance(mark.base, Bars) and mark.exponent == 2:
            inside = self.value(mark.base.inside)
            return replace(inside, tree=Mul((inside.tree, inside.tree))).summed()
        base = self.value(mark.base)
        if base.matrix and not isinstance(mark.base, Signed) and not self.batch:
            raise self.refuse(mark.at, "a power of a matrix", "write the product")
        return replace(base, tree=Pow(base.tree, mark.exponent))

    def transposed(self, mark: Turned) -> Value:
        """A transpose; 1ᵀ is the row of ones."""
        if mark.base == Literal(mark.base.at, Fraction(1)):
            return self.ones().turned()
        return self.value(mark.base).turned()

    def bars(self, mark: Bars) -> Value:
        """|I| is the number of samples; a norm without its square is refused."""
        inside = mark.inside
        if isinstance(inside, Name) and inside.name in {"I", "B", "S", "D"} and not inside.subs:
            return Value(Sym("M"))
        raise self.refuse(mark.at, "a norm without its square", "write ‖...‖^2")

    # -- names -------------------------------------------------------------------------------------

    def name(self, mark: Name) -> Value:
        """What a name stands for."""
        defined = self.definitions.get(mark.name)
        if defined is not None:
            return self.defined(mark, defined)
        meaning = self.words.meaning(mark.name)
        if called(mark.name) and (meaning is None or mark.args is not None):
            return self.function(mark)
        if meaning is None:
            raise self.unknown(mark)
        role = meaning.role
        if role in {"output", "input"}:
            end = LAST if role == "output" else Layer("", 0)
            return self.array(mark, "X", replace(self.scripts(mark, "Y"), layer=end))
        if role in ARRAYS:
            if mark.primes or mark.args:
                raise self.refuse(mark.at, f"{mark.name} is no function", "write σ'(z) or ^T")
            return self.array(mark, role, self.scripts(mark, role))
        if role == "sigma":
            return self.sigma(mark)
        if role == "ell" or (role == "lagrangian" and mark.args and len(mark.args) > 1):
            return self.loss(mark)
        if role in {"omega", "Omega"}:
            return self.penalty(mark)
        if role in {"rho", "eta", "M"}:
            return self.scalar(mark, role)
        if role == "n":
            width = self.scripts(mark, "n").layer
            return Value(Sym("M") if width is None else Sym("n", width))
        if role == "one":
            return self.ones()
        raise self.refuse(mark.at, f"{mark.name} cannot stand here", "write what it is equal to")

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
        at = rebased("k", layer.base, layer.offset)
        return Value(
            relayered(inside.tree, at),
            *(
                None if axis is None else Axis(axis.index, axis.over.relayered(at))
                for axis in (inside.rows, inside.columns)
            ),
        )


def _is_square(tree: Tree) -> bool:
    """Whether a product has a square in it."""
    factors = tree.factors if isinstance(tree, Mul) else (tree,)
    return any(isinstance(one, Pow) and one.exponent == 2 for one in factors) or any(
        isinstance(one, Mul | Sum) and any(isinstance(x, Pow) for x in one.walk())
        for one in factors
    )
