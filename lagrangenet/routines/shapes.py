"""Shapes of arrays and of expressions of arrays: numbers, and M for samples.

A tree knows the names of its axes alone, and one name may stand for the components of different
layers within a line. Here lengths are read off the arrays at the leaves, from below.
"""

from __future__ import annotations

import sympy as sp

from lagrangenet.problem import Problem
from lagrangenet.routines.ir import DIRECTION, GRADIENTS, PRODUCT, THETA
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

Shape = tuple[sp.Expr, ...]
#: Arrays with the shapes of W^k and of b^k.
_PARAMETERS = {name: j for pair in (THETA, DIRECTION, GRADIENTS, PRODUCT)
               for j, name in enumerate(pair)}  # fmt: skip


class Shapes:
    """Shapes of the arrays of a problem, and of others that were declared."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._declared: dict[Key, Shape] = {}

    def declare(self, array: Ref, shape: Shape) -> None:
        """Say what shape a further array has."""
        self._declared[key(array)] = shape

    def of(self, node: Node) -> Shape:
        """The length of every axis.

        Examples
        --------
        >>> from lagrangenet.problem import chain
        >>> from lagrangenet.routines.ir import ref
        >>> shapes = Shapes(chain([2, 3, 1]))
        >>> shapes.of(t.Reduced((l.p,), ref("mu", 1, (l.i, l.p))))
        (3,)
        >>> shapes.of(ref("X", 0, (l.i, l.q)))
        (M, 2)
        """
        if isinstance(node, Ref):
            return self._array(node)
        if isinstance(node, t.MatMul):
            return (*self.of(node.left)[:-1], *self.of(node.right)[1:])
        if isinstance(node, t.Transposed):
            return self.of(node.arg)[::-1]
        lengths: dict[sp.Symbol, sp.Expr] = {}
        for child in node.children:
            lengths.update(zip(child.axes, self.of(child), strict=True))
        return tuple(lengths[axis] for axis in node.axes)

    def _array(self, array: Ref) -> Shape:
        if key(array) in self._declared:
            return self._declared[key(array)]
        if not array.axes:
            return ()
        widths = self.problem.widths
        if array.name == "c":
            return (sp.Integer(widths[-1]),)
        k = self.problem.depth if array.layer is None else int(array.layer)
        if array.name in _PARAMETERS:
            return tuple(map(sp.Integer, self.problem.shapes[k - 1][_PARAMETERS[array.name]]))
        return l.M, sp.Integer(widths[0 if array.name == "X" and array.layer is None else k])
