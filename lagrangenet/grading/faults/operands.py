"""Faults of operands: a neighbouring layer, another array, a transpose, an order of factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lagrangenet.grading.faults.rule import Change, Place, rule
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node

#: Arrays of one shape that are taken for each other.
SIBLINGS = {"X": ("Z",), "Z": ("X",), "lambda": ("mu",), "mu": ("lambda",)}
#: Arrays with a layer, whose neighbours may be taken.
LAYERED = frozenset({"X", "Z", "W", "b", "lambda", "mu", "dW", "db", "W_new", "b_new"})


@rule("neighbouring layer", "Check the layer index of every array.")
def _neighbour(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Ref) and node.name in LAYERED and node.layer is not None:
        for step in (1, -1):
            other = replace(node, layer=node.layer + step)
            yield Change(other, (other, " stands where ", node, " belongs"))


@rule("first or last layer", "Does this array follow the layer index?", cost=1.2)
def _fixed_layer(node: Node, place: Place) -> Iterator[Change]:
    if not isinstance(node, t.Ref) or node.layer is None or not node.layer.has(l.k):
        return
    if node.name in {"mu", "lambda"}:
        other = replace(node, layer=l.N)
        words = " of the output stands where ", node, " belongs: it is not passed on"
        yield Change(other, (other, *words))
    if node.name == "X" and place.label in {"S0", "S5"}:
        other = replace(node, layer=l.k * 0)
        yield Change(other, ("the input ", other, " stands where ", node, " belongs"))


@rule("layers in another order", "In which order are the layers returned?", at="root")
def _reversed(node: Node, place: Place) -> Iterator[Change]:
    if place.label.startswith("out") and isinstance(node, t.Ref):
        other = replace(node, layer=l.N + 1 - l.k)
        yield Change(other, ("the layers are returned in reverse order",))


@rule("another array", "Which array belongs here?")
def _sibling(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Ref):
        for name in SIBLINGS.get(node.name, ()):
            other = replace(node, name=name)
            yield Change(other, (other, " stands where ", node, " belongs"))


@rule("another argument", "At which point is the function taken?", cost=1.3)
def _argument(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and node.fn.order and node.fn.name == "sigma":
        (inner, *rest) = node.args
        if isinstance(inner, t.Ref) and inner.name == "Z":
            error = t.Total(inner.axes, (), (replace(inner, name="lambda"),))
            changed = replace(node, args=(error, *rest))
            yield Change(changed, ("σ′ is taken at the error ", error, " instead of ", inner))


@rule("weights in the backward pass", "Which weights does the error pass through?", cost=1.2)
def _wrong_weights(node: Node, place: Place) -> Iterator[Change]:
    if isinstance(node, t.Ref) and node.name == "W" and place.label in {"S3", ""}:
        slope = replace(node, name="dW")
        yield Change(slope, ("the gradient stands where the weights ", node, " belong"))
        step = t.Product(node.axes, (t.Number((), l.eta), slope))
        words = " is updated before the backward pass has used it"
        yield Change(t.Total(node.axes, (node,), (step,)), (node, words))


@rule("transpose", "Check the shapes: which matrix is transposed?")
def _transpose(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.MatMul):
        return
    for side in ("left", "right"):
        factor = getattr(node, side)
        if len(factor.axes) == 2:
            changed = _with(node, side, _transposed(factor))
            missing = isinstance(factor, t.Transposed)
            words = " is not transposed" if missing else " is transposed"
            yield Change(changed, (factor.arg if missing else factor, words))


def _with(node: t.MatMul, side: str, factor: Node) -> t.MatMul:
    """A product with another factor on one side."""
    return replace(node, left=factor) if side == "left" else replace(node, right=factor)


def _transposed(node: Node) -> Node:
    """The transpose, under the names of the axes that the product expects."""
    if isinstance(node, t.Transposed):
        return node.arg
    return t.Transposed(node.axes, node)


@rule("order of a product", "A matrix product is not commutative.", cost=1.3)
def _order(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.MatMul):
        changed = replace(node, left=node.right, right=node.left)
        yield Change(changed, ("the factors of ", node, " are in the wrong order"))


@rule("matrix missing", "Count the factors of this product.", cost=1.1)
def _matrix_missing(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.MatMul):
        for kept, gone in ((node.left, node.right), (node.right, node.left)):
            other = gone.arg if isinstance(gone, t.Transposed) else gone
            yield Change(replace(kept, axes=kept.axes), ("the factor ", other, " is missing"))


@rule("transposed result", "Check the shape of the result.", at="root", cost=1.2)
def _transposed_result(node: Node, place: Place) -> Iterator[Change]:
    if place.label == "S5":
        yield Change(t.Transposed(node.axes, node), ("the result is transposed",))
        other = t.Call(node.axes, t.Fn("other_order"), (node,))
        yield Change(other, ("the entries of the result are read in the wrong memory order",))


@rule("elementwise product", "Is this a matrix product or a product entry by entry?", cost=1.3)
def _elementwise(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.MatMul):
        changed = t.Call(node.axes, t.Fn("entrywise"), (node.left, node.right))
        yield Change(
            changed, ("an entrywise product stands where the matrix product ", node, " belongs")
        )
