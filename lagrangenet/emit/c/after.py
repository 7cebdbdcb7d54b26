"""What follows the last sample: regularizers, the mean, J."""

from __future__ import annotations

from dataclasses import dataclass

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.places import Places
from lagrangenet.errors import DerivationError
from lagrangenet.routines.kernels import After
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref


@dataclass
class Afterwards:
    """Writes steps that no sample takes part in; sums over parameters are numbered."""

    places: Places
    sums: int = 0

    def lines(self, step: After) -> list[str]:
        """The statements of a step."""
        note = f"/* {step.note} */"
        if not step.target.axes:
            before, code = self._scalar(step.value)
            return [note, *before, f"J = {code};"]
        target = self.places.place(step.target)
        expressions = Expressions(
            lambda a: f"some({self.places.place(a)} + e, {size} - e)", self.places.problem.strength
        )
        size = self.places.size(step.target)
        value = expressions.value(step.value)
        if step.add:
            value = f"some({target} + e, {size} - e) + {value}"
        return [
            note,
            f"for (int e = 0; e < {size}; e += LANES) {{",
            *(f"    {line}" for line in expressions.lines),
            f"    put({target} + e, {value}, {size} - e);",
            "}",
        ]

    def _scalar(self, node: Node) -> tuple[list[str], str]:
        """Statements, and an expression in double precision."""
        if isinstance(node, t.Number):
            return (
                [],
                f"({Expressions(str, self.places.problem.strength).number(node.value)})".replace(
                    "(T)", "(double)"
                ),
            )
        if isinstance(node, Ref):
            return [], "J" if node.name == "J" else f"sums[{self.places.scalars.index(node)}]"
        if isinstance(node, t.Reduced) and node.op == "sum":
            return self._parameter_sum(node)
        if isinstance(node, t.Product | t.Total):
            sides = (
                (node.factors, node.divisors)
                if isinstance(node, t.Product)
                else (node.plus, node.minus)
            )
            found = [[self._scalar(one) for one in side] for side in sides]
            before = [line for side in found for lines, _ in side for line in lines]
            first, second = ([code for _, code in side] for side in found)
            joined, other = (" * ", " / ") if isinstance(node, t.Product) else (" + ", " - ")
            code = joined.join(first) or ("1.0" if isinstance(node, t.Product) else "0.0")
            return before, f"({code}{''.join(other + one for one in second)})"
        raise DerivationError(f"no C form for {type(node).__name__} of sums over samples")

    def _parameter_sum(self, node: t.Reduced) -> tuple[list[str], str]:
        arrays = [n for n in node.arg.walk() if isinstance(n, Ref)]
        size = self.places.size(arrays[0])
        expressions = Expressions(
            lambda a: f"some({self.places.place(a)} + e, {size} - e)", self.places.problem.strength
        )
        value = expressions.value(node.arg)
        self.sums += 1
        name = f"sum{self.sums}"
        lines = [
            f"double {name} = 0;",
            f"for (int e = 0; e < {size}; e += LANES) {{",
            *(f"    {line}" for line in expressions.lines),
            f"    {name} += v_total(v_where(v_first({size} - e), {value}, all(0)));",
            "}",
        ]
        return lines, name
