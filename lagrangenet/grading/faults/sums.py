"""Faults of formulas: sums over samples and layers that are missing or too short, σ of another layer.

They change nodes that equations on paper have and programs do not: a sum over a label, and the layer
that a function carries as a superscript.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lagrangenet.grading.faults.rule import Change, Place, rule
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node


@rule("sum missing", "What does the index stand for, and who sums over it?", cost=0.9)
def _sum_missing(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Over):
        of = "samples" if node.upper == l.M else "layers"
        yield Change(node.arg, (f"the sum over the {of} is missing",))


@rule("limits of a sum", "What does each index run over?")
def _limits(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Over) or node.upper == l.M:
        return
    for low, high in ((0, -1), (1, 0), (-1, 0), (0, 1), (1, 1)):
        changed = replace(node, lower=node.lower + low, upper=node.upper + high)
        words = f"the sum over the layers runs from {changed.lower} to {changed.upper}"
        yield Change(changed, (words,))


@rule("function of another layer", "Which layer's activation is this?", cost=1.1)
def _other_layer(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Call) or node.fn.name != "sigma" or node.fn.layer is None:
        return
    argument = node.args[0]
    if not isinstance(argument, t.Ref) or argument.layer is None:
        return
    for step in (1, -1):
        fn = replace(node.fn, layer=node.fn.layer + step)
        moved = replace(argument, layer=argument.layer + step)
        for changed in (replace(node, fn=fn, args=(moved,)), replace(node, fn=fn)):
            yield Change(changed, (changed, " stands where ", node, " belongs"))


@rule("diagonal of the Jacobian, one sample", "Every output of this layer depends on every z_p.")
def _diagonal(node: Node, _: Place) -> Iterator[Change]:
    """As for all samples, where the Jacobian is a factor of a matrix product."""
    if not isinstance(node, t.MatMul):
        return
    for side in ("left", "right"):
        factor = getattr(node, side)
        inner = factor.arg if isinstance(factor, t.Transposed) else factor
        if isinstance(inner, t.Call) and inner.fn.coupled and inner.fn.order == 1:
            diagonal = t.Call(factor.axes, t.Fn("diagonal"), (factor,))
            words = ("only the diagonal of the Jacobian ", inner, " is used")
            left = replace(node, left=diagonal)
            yield Change(left if side == "left" else replace(node, right=diagonal), words)
