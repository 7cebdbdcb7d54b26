"""What is done with one tile of samples: a call for each group of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from lagrangenet.emit.c.loops import Rows
from lagrangenet.emit.c.places import Places
from lagrangenet.emit.c.plan import Group, Plan, Shape
from lagrangenet.emit.c.products import Products
from lagrangenet.emit.c.sums import FEW, Sums
from lagrangenet.emit.c.writer import Blocks, Functions, Writer
from lagrangenet.routines.kernels import Linear, Outer, Sum
from lagrangenet.symbolic.tensor import Ref

W = TypeVar("W", bound=Writer)


@dataclass
class Tile:
    """Writes the calls of a routine.

    Attributes
    ----------
    inline : bool
        Whether functions are put where they are called.
    spare : int
        Components of the scratch array of large products.
    """

    places: Places
    shape: Shape
    blocks: Blocks
    functions: Functions
    inline: bool
    spare: int

    @property
    def plan(self) -> Plan:
        """Groups and buffers."""
        return self.places.plan

    def _writer(self, kind: type[W]) -> W:
        return kind(
            self.plan, self.shape, self.blocks, self.functions, self.places.address, self.inline
        )

    def lines(self) -> list[str]:
        """The calls, each after the equation that it came from."""
        lines = [
            "const int padded = (samples + STEP - 1) / STEP * STEP;",
            "(void)direction, (void)g, (void)sums, (void)y, (void)first;",
            *["T *const spare = work + WORK;", "(void)spare;"] * bool(self.spare),
        ]
        cleared: set[Ref] = set()
        begun: set[Ref] = set()
        joined: Sum | None = None
        for position, group in enumerate(self.plan.groups):
            step = group.first
            if step is joined:
                continue
            joined = self._joined(position, begun)
            steps = (*group.steps, joined) if joined else group.steps
            lines += [f"/* {note} */" for note in dict.fromkeys(s.note for s in steps)]
            if isinstance(step, Outer) or (isinstance(step, Sum) and step.target.axes):
                array = step.left if isinstance(step, Outer) else step.reads[0]
                if array not in cleared:
                    cleared.add(array)
                    rows = self.plan.kernels.width(array)
                    place = self.places.address(array)
                    lines.append(f"clear({place}, {rows}, STRIDE, samples, padded);")
                first = "0" if step.target in begun else "first"
                begun.add(step.target)
                code = self._summed(step, joined)
                if joined:
                    begun.add(joined.target)
                lines.append(code.replace("{first}", first))
            elif isinstance(step, Linear):
                lines += self._linear(group, self.plan.stored(position))
            else:
                lines.append(self._writer(Rows).rows(group.steps, self.plan.stored(position)))
        return lines

    def _joined(self, position: int, begun: set[Ref]) -> Sum | None:
        """The sum that is done together with that at a position: ∂L/∂b with ∂L/∂W."""
        step, rest = self.plan.groups[position].first, self.plan.groups[position + 1 :]
        after = rest[0].first if rest else None
        if not isinstance(step, Outer) or not isinstance(after, Sum) or not after.target.axes:
            return None
        rows, columns = (self.plan.kernels.width(a) for a in (step.left, step.right))
        together = after.reads == (step.left,) and after.target.layer == step.target.layer
        alike = (step.target in begun) == (after.target in begun)
        few = rows * (columns + 1) <= FEW and not self.places.lanes and not self.plan.on_blas(step)
        return after if together and alike and few else None

    def _summed(self, step: Outer | Sum, joined: Sum | None) -> str:
        writer = self._writer(Sums)
        if isinstance(step, Sum):
            return writer.column_sum(step, self.places.lanes)
        if joined:
            return writer.totals(step, joined)
        if not self.plan.on_blas(step):
            return writer.outer(step, self.places.lanes)
        rows, columns = (self.plan.kernels.width(a) for a in (step.left, step.right))
        u, x, g = (self.places.address(a) for a in (step.left, step.right, step.target))
        return (
            f"gemm('T', 'N', {columns}, {rows}, padded, {step.sign}, {x}, STRIDE, {u}, STRIDE, "
            f"{{first}} ? 0 : 1, {g}, {columns});"
        )

    def _linear(self, group: Group, stored: list[Ref]) -> list[str]:
        step = group.first
        assert isinstance(step, Linear)
        if not self.plan.on_blas(step):
            return [self._writer(Products).linear(group, stored)]
        rows, lines = self.plan.kernels.width(step.target), []
        for number, term in enumerate(step.terms):
            columns = self.plan.kernels.width(term.state)
            x, w, z = (self.places.address(a) for a in (term.state, term.weight, step.target))
            kind, width = ("T", rows) if term.transposed else ("N", columns)
            lines.append(
                f"gemm('N', '{kind}', padded, {rows}, {columns}, {term.sign}, {x}, STRIDE, {w}, "
                f"{width}, {min(number, 1)}, {z}, STRIDE);"
            )
        return lines
