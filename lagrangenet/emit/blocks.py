"""The NumPy module of the blocks of ∇²L: routines that return arrays of some layers only."""

from __future__ import annotations

from lagrangenet.emit.layout import NAMES
from lagrangenet.emit.numpy import _LAYOUT, ModulePrinter, module
from lagrangenet.routines.ir import Program, Routine


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
