"""Sums over samples, components and layers, with their limits checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lagrangenet.grading.formulas.functions import Calls
from lagrangenet.grading.formulas.indexed import LAST, SAMPLES, Layer, Range, Sum
from lagrangenet.grading.formulas.letters import scripts
from lagrangenet.grading.formulas.shapes import Value
from lagrangenet.grading.formulas.tree import (
    Bars,
    Binder,
    Literal,
    Mark,
    Name,
    Script,
    Signed,
    SumOver,
)


class Sums(Calls):
    """Reads Σ."""

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
        """Σ over layers from one limit to the other."""
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
        """Σ over samples; of an array of all samples, along its axis."""
        with self.bound_by(binder) as index:
            self.sample.append(index)
            inside = self.value(body)
            self.sample.pop()
        self.check_limits(binder, "the samples", self.is_count(binder.upper))
        if inside.rows is not None and inside.rows.over == SAMPLES and self.batch:
            tree = Sum(inside.rows.index, SAMPLES, inside.tree)
            return Value(tree, inside.columns)
        return replace(inside, tree=Sum(index, SAMPLES, inside.tree))

    @contextmanager
    def bound_by(self, binder: Binder) -> Iterator[str]:
        """The letter of a sum under a new name, as long as its body is read."""
        outside = self.names
        index = self.shapes.fresh()
        self.names = {**outside, binder.symbol: index}
        yield index
        self.names = outside

    def is_count(self, upper: Mark | None) -> bool:
        """Whether a limit is the number of samples: M, n without a layer, |I|."""
        if isinstance(upper, Name):
            return self.role(upper) in {"M", "n"} and not upper.subs and not upper.sups
        return isinstance(upper, Bars)

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
        """Σ over the components of a layer, which its limit has to name."""
        with self.bound_by(binder) as index:
            inside = self.value(body)
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
