"""Lines of one operation each: what a target computes that has statements and no expressions.

Activations are written out, sums and products have two operands, and every intermediate array has a
name: ``t`` with a number, or ``mask`` if it holds conditions. An array over samples alone is a column;
a row or a column is repeated to the shape of the whole before an operation. What is computed twice
and costs a function call is computed once. The values are those of the routine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.routines.ir import Assign, Routine
from lagrangenet.routines.passes.expand import expanded
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

#: Names of intermediate arrays: of numbers, and of conditions.
TEMPORARY, CONDITION = "t", "mask"
#: The function that repeats a row or a column until it has the shape of its second argument.
REPEAT = t.Fn("repeat")
RELATIONS = frozenset({">", ">=", "<", "<="})
#: Functions that are as cheap as a product.
_CHEAP = frozenset(
    {"where", "abs", "sign", "maximum", "minimum", "zeros_like", "positive", REPEAT.name}
)


def atomic(routine: Routine) -> Routine:
    """The routine with one operation on each line.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> routine = link(lower(derive(chain([2, 3, 1])))).routine("value")
    >>> [f"{line.target.name}{line.target.layer}" for line in atomic(routine).body]
    ['t1', 't2', 'Z1', 'X1', 't3', 't4', 'Z2', 'X2', 't5', 't6', 'JNone']
    """
    lines = _Lines()
    for line in routine.body:
        lines.add(line)
    return replace(routine, body=tuple(lines.found))


class _Lines:
    def __init__(self) -> None:
        self.found: list[Assign] = []
        self.known: dict[Node, Ref] = {}
        self.count = 0

    def add(self, line: Assign) -> None:
        """Append the operations of a line."""
        self.line = line
        value = line.value.map(_uniform).map(_binary).map(_repeated)
        if isinstance(value, Ref) or not value.axes:
            self.emit(line.target, self.inside(value))
        else:
            found = self.known.get(value)
            self.emit(line.target, self.inside(value) if found is None else found)
            self.known.setdefault(value, line.target)
        self.known = {node: array for node, array in self.known.items() if _costly(node)}

    def emit(self, target: Ref, value: Node) -> None:
        target = replace(target, axes=_canonical(target.axes))
        self.found.append(replace(self.line, target=target, value=value))

    def operand(self, node: Node) -> Node:
        """The array, the transposed array or the number that an operation reads."""
        if isinstance(node, Ref) or not node.axes:
            return node if isinstance(node, Ref) else self.inside(node)
        if isinstance(node, t.Transposed):
            return replace(node, arg=self.operand(node.arg))
        if node not in self.known:
            value = self.inside(node)
            self.count += 1
            condition = isinstance(node, t.Call) and node.fn.name in RELATIONS
            name = CONDITION if condition else TEMPORARY
            self.known[node] = Ref(node.axes, name, sp.Integer(self.count))
            self.emit(self.known[node], value)
        return self.known[node]

    def inside(self, node: Node) -> Node:
        """An operation whose operands have names."""
        changed: dict[str, Any] = {}
        for name, value in vars(node).items():
            if isinstance(value, Node):
                changed[name] = self.operand(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], Node):
                changed[name] = tuple(map(self.operand, value))
        return replace(node, **changed)


def _costly(node: Node) -> bool:
    """Whether a function call is part of this."""
    calls = (n.fn.name for n in node.walk() if isinstance(n, t.Call))
    return any(name not in _CHEAP | RELATIONS for name in calls)


# -- one name for axes of one meaning --------------------------------------------------------------


def _canonical(axes: t.Axes) -> t.Axes:
    """(i, p) and (i) for samples, (p, q) and (p) for parameters."""
    if l.i not in axes:
        return (l.p, l.q)[: len(axes)]
    return (l.i, l.p)[: len(axes)] if axes[0] == l.i else (l.p, l.i)


def _uniform(node: Node) -> Node:
    """Functions written out, products that are no products of matrices as sums, axes renamed."""
    if isinstance(node, t.Reduced) and l.i not in node.arg.axes and node.axes:
        raise DerivationError(f"a sum over {len(node.over)} axis of parameters has no statement")
    node = replace(node, axes=_canonical(node.axes))
    if isinstance(node, t.MatMul) and min(len(node.left.axes), len(node.right.axes)) < 2:
        pair = tuple(n.arg if isinstance(n, t.Transposed) else n for n in (node.left, node.right))
        return t.Reduced(node.axes, t.Product(_union(pair), pair))
    if isinstance(node, t.Call) and node.fn.name == "abs":
        return replace(node, args=tuple(map(t.unsigned, node.args)))
    found = expanded(node)
    return node if found is node else found.map(_uniform)


def _union(nodes: Sequence[Node]) -> t.Axes:
    """The axes of a componentwise operation."""
    present = {axis for node in nodes for axis in node.axes}
    return tuple(axis for axis in (l.i, l.p, l.q) if axis in present)


# -- two operands ----------------------------------------------------------------------------------


def _binary(node: Node) -> Node:
    """Sums and products of several as operations of two, in the order in which Python has them."""
    if isinstance(node, t.Product | t.Total | t.Power):
        node = replace(node, axes=_union(node.children))  # what holds numbers alone is a number
    if not node.axes:
        return node
    if isinstance(node, t.Product):
        above = reduce(_times, node.factors)
        if not node.divisors:
            return above
        below = reduce(_times, node.divisors)
        return t.Product(_union((above, below)), (above,), (below,))
    if isinstance(node, t.Total) and len(node.plus) + len(node.minus) > 2 - (not node.plus):
        plus, minus = list(node.plus), list(node.minus)
        first = reduce(_add, plus) if plus else t.Total(minus[0].axes, (), (minus.pop(0),))
        return reduce(_subtract, minus, first)
    return node


def _times(a: Node, b: Node) -> Node:
    return t.Product(_union((a, b)), (a, b))


def _add(a: Node, b: Node) -> Node:
    return t.Total(_union((a, b)), (a, b))


def _subtract(a: Node, b: Node) -> Node:
    return t.Total(_union((a, b)), (a,), (b,))


# -- one shape -------------------------------------------------------------------------------------


def _repeated(node: Node) -> Node:
    """A componentwise operation whose operands have its shape; a case distinction needs it not."""

    def whole(one: Node) -> Node:
        if len(one.axes) in {0, len(node.axes)}:
            return one
        like = next((n for n in node.children if n.axes == node.axes), None)
        if like is None:
            raise DerivationError(f"no operand of {type(node).__name__} has the axes {node.axes}")
        return t.Call(node.axes, REPEAT, (one, like))

    if isinstance(node, t.Product):
        return replace(
            node,
            factors=tuple(map(whole, node.factors)),
            divisors=tuple(map(whole, node.divisors)),
        )
    if isinstance(node, t.Total):
        return replace(node, plus=tuple(map(whole, node.plus)), minus=tuple(map(whole, node.minus)))
    if isinstance(node, t.Call) and node.fn.name != "where":
        return replace(node, args=tuple(map(whole, node.args)))
    return node
