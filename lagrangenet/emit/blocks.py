"""The NumPy module of the blocks of ∇²L: routines that return arrays of some layers only."""

from __future__ import annotations

from lagrangenet.emit.layout import NAMES
from lagrangenet.emit.numpy import _LAYOUT, ModulePrinter, module
from lagrangenet.routines.ir import Program, Routine
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t


def emit_blocks(program: Program) -> str:
    """A program of :func:`lagrangenet.routines.lifted.lifted` as the source of a Python module.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lifted import lifted
    >>> source = emit_blocks(lifted(chain([2, 3, 1])))
    >>> [line.strip() for line in source.splitlines() if "return (mu1, S" in line]
    ['return (mu1, Sdot1, mudot1),']
    """
    return module(program, BlockPrinter(program.problem), _LAYOUT)


class BlockPrinter(ModulePrinter):
    """Returns the layers that a routine computes, in their order."""

    def reduction(self, node: t.Reduced, keep: bool) -> str:
        """A sum of squares of parameters as a product, which is three times as fast for a few."""
        square, of_theta = node.arg, l.i not in node.arg.axes
        whole = node.op == "sum" and len(node.over) == len(square.axes) and of_theta
        if whole and isinstance(square, t.Power) and square.exponent == 2:
            base = self.operand(square.base, 0, square.axes)
            return f"np.vdot({base}, {base})"
        return super().reduction(node, keep)

    def returned(self, routine: Routine) -> list[str]:
        """One tuple for each layer."""
        if not routine.returns:
            return super().returned(routine)
        layers = sorted({line.layer for line in routine.body})
        rows = []
        for k in layers:
            names = [f"{NAMES.get(name, name)}{k}" for name in routine.returns]
            rows.append(f"({', '.join(names)}{',' * (len(names) == 1)})")
        return [f"return {', '.join(rows)}{',' * (len(layers) == 1)}"]
