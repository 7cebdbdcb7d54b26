"""Faults of sums over samples and components: one sample, a mean, a diagonal, a wrong axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lagrangenet.grading.faults.rule import Change, Place, rule
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Fn, Node

#: What a sum over the samples may be by mistake, and how that is said.
PICKED = {
    "first_sample": "only the first sample counts",
    "last_sample": "only the last sample counts: it overwrites the others instead of being added",
    "without_first": "the first sample does not count",
    "without_last": "the last sample does not count",
}


def picked(name: str, node: Node) -> Node:
    """A selection of samples; the axis stays, with length one."""
    return t.Call(node.axes, Fn(name), (node,))


@rule("not all samples", "Is the contribution of every sample added?")
def _one_sample(node: Node, _: Place) -> Iterator[Change]:
    for name, words in PICKED.items():
        if isinstance(node, t.Reduced) and l.i in node.arg.axes and l.i not in node.axes:
            yield Change(replace(node, arg=picked(name, node.arg)), (words,))
        if isinstance(node, t.MatMul) and isinstance(node.left, t.Transposed):
            left = replace(node.left, arg=picked(name, node.left.arg))
            yield Change(replace(node, left=left, right=picked(name, node.right)), (words,))


@rule("not summed over the samples", "What shape has this gradient?")
def _unsummed(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Reduced) and l.i in node.arg.axes and l.i not in node.axes:
        yield Change(node.arg, ("the sum over the samples is missing",))
        other = t.Call(node.axes, Fn("sum_of_all"), (node.arg,))
        yield Change(other, ("the sum runs over the components too",))
        other = t.Call(node.axes, Fn("sum_of_components"), (node.arg,))
        yield Change(other, ("the sum runs over the components instead of the samples",))


@rule("product of means", "Sum the products of the samples, not the factors.", cost=1.3)
def _product_of_sums(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.MatMul) and isinstance(node.left, t.Transposed):
        left = replace(node.left, arg=picked("sum_of_samples", node.left.arg))
        words = ("the product of sums over the samples stands where the sum of products ", node)
        for name in ("mean_of_samples", "sum_of_samples"):
            changed = replace(node, left=left, right=picked(name, node.right))
            yield Change(changed, (*words, " belongs"))


@rule("diagonal of the Jacobian", "Every output of this layer depends on every z_p.")
def _diagonal(node: Node, _: Place) -> Iterator[Change]:
    if not isinstance(node, t.Reduced) or not isinstance(node.arg, t.Product):
        return
    for j, factor in enumerate(node.arg.factors):
        if isinstance(factor, t.Call) and factor.fn.coupled and factor.fn.order:
            diagonal = t.Call(factor.axes, Fn("diagonal"), (factor,))
            parts = (*node.arg.factors[:j], diagonal, *node.arg.factors[j + 1 :])
            changed = replace(node, arg=replace(node.arg, factors=parts))
            yield Change(changed, ("only the diagonal of the Jacobian ", factor, " is used"))


@rule("Jacobian missing", "Every output of this layer depends on every z_p.")
def _no_jacobian(node: Node, place: Place) -> Iterator[Change]:
    if place.label != "S4" or not isinstance(node, t.Reduced):
        return
    for error in {n for n in node.walk() if isinstance(n, t.Ref) and n.name == "lambda"}:
        bare = replace(error, axes=node.axes)
        yield Change(bare, ("the Jacobian of σ is missing: ", bare, " is passed on as it is"))


@rule("wrong axis", "Along which axis is the function normalized?", cost=1.1)
def _wrong_axis(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_vector_function(node.fn):
        inner = t.Transposed(node.axes, node.args[0])
        changed = t.Transposed(node.axes, replace(node, args=(inner,)))
        yield Change(changed, (node, " is normalized over the samples, not the components"))
        whole = t.Call(node.axes, Fn("over_everything"), node.args)
        yield Change(whole, (node, " is normalized over samples and components together"))


@rule("not normalized", "What does the denominator do?", cost=1.1)
def _not_normalized(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_vector_function(node.fn):
        changed = t.Call(node.axes, Fn("exp"), node.args)
        yield Change(changed, ("exp is not divided by its sum in ", node))


def _is_vector_function(fn: Fn) -> bool:
    """Whether it is the activation of a layer whose components are coupled, such as softmax."""
    return fn.name == "sigma" and fn.coupled and fn.order == 0
