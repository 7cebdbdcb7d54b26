"""Whole routines in NumPy: J, its gradient and Hessian products of a flat vector of parameters.

The lines are those of the readable module of :mod:`.numpy`; what no result depends on is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lagrangenet.emit.layout import NAMES, python_name
from lagrangenet.emit.numpy import ModulePrinter, module
from lagrangenet.emit.targets import TARGETS, Target
from lagrangenet.routines.ir import Argument, Program, Routine


class WholePrinter(ModulePrinter):
    """Routines whose parameters, directions and results are flat vectors.

    Attributes
    ----------
    layout : tuple of str
        What the header says of the layout of arrays.
    """

    layout: ClassVar[tuple[str, ...]] = (
        "Rows are samples: X is (M, n_0), Zk, Xk, muk, lamk are (M, n_k), Wk is (n_k, n_{k-1}), bk",
        "is (n_k,). theta, directions and results are flat, (W1, b1, W2, ...), row by row. Each line is",
        "labelled with the stationarity condition of L that it came from:",
    )

    def unpacked(self, argument: Argument, used: set[str]) -> list[str]:
        """``W1 = theta[0:6].reshape(3, 2)`` for what is used."""
        return [
            f"{name} = {argument.name}[{start}:{end}]" + self.reshaped(shape)
            for name, start, end, shape in self.places(argument)
            if name in used
        ]

    def places(self, argument: Argument) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
        """Name, begin, end and shape of every array of a flat vector."""
        end = 0
        for k, shapes in enumerate(self.problem.shapes, 1):
            for name, shape in zip(argument.per_layer, shapes, strict=True):
                start, end = end, end + _size(shape)
                yield f"{NAMES.get(name, name)}{k}", start, end, shape

    def reshaped(self, shape: tuple[int, ...]) -> str:
        """A part of a flat vector as an array."""
        return f".reshape{shape}" if len(shape) > 1 else ""

    def flattened(self, name: str, shape: tuple[int, ...]) -> str:
        """An array as part of a flat vector."""
        return f"{name}.ravel()" if len(shape) > 1 else name

    def joined(self, parts: list[str]) -> str:
        """Parts as one flat vector."""
        return f"np.concatenate([{', '.join(parts)}])"

    def returned(self, routine: Routine) -> list[str]:
        """J, the flat result, or both."""
        results = [] if routine.value is None else [python_name(routine.value)]
        if routine.returns:
            places = self.places(Argument("result", routine.returns))
            results.append(
                self.joined([self.flattened(name, shape) for name, _, _, shape in places])
            )
        return [f"return {', '.join(results)}"]


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def emit(program: Program) -> str:
    """A linked program as the source text of a Python module of flat vectors.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> [line.strip() for line in source.splitlines() if "theta[" in line][:2]
    ['W1 = theta[0:6].reshape(3, 2)', 'b1 = theta[6:9]']
    """
    return whole(program, WholePrinter(program.problem))


def whole(program: Program, printer: WholePrinter) -> str:
    """A module of a linked program in the language of a printer."""
    return module(program, printer, list(printer.layout))


TARGETS.add(Target("numpy", "readable NumPy; runs everywhere", emit))
