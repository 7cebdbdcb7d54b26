"""Faults of functions: the function for its derivative, another function's derivative, none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import sympy as sp

from lagrangenet.grading.faults.rule import Change, Place, rule
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Fn, Node

#: Derivatives that are written through the function's own value, and get copied to others.
THROUGH_VALUE: dict[str, Callable[[Node], Node]] = {
    "sigmoid": lambda x: t.Product(x.axes, (x, t.Total(x.axes, (t.ONE,), (x,)))),
    "tanh": lambda x: t.Total(x.axes, (t.ONE,), (t.Power(x.axes, x, sp.Integer(2)),)),
}


#: One of the two terms of the binary cross-entropy, and what is said of it.
HALVES = {
    "positive_half": "only y log p is counted: (1 − y) log(1 − p) is missing",
    "negative_half": "only (1 − y) log(1 − p) is counted: y log p is missing",
}


def _is_sigma(node: Node, order: int) -> bool:
    return isinstance(node, t.Call) and node.fn.name == "sigma" and node.fn.order == order


@rule("function for derivative", "Is this σ or σ′?")
def _underived(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_sigma(node, 1) and not node.fn.coupled:
        changed = replace(node, fn=replace(node.fn, order=0))
        yield Change(changed, (changed, " stands where its derivative ", node, " belongs"))


@rule("derivative of another function", "Whose derivative is this?", cost=1.1)
def _other_slope(node: Node, place: Place) -> Iterator[Change]:
    if not isinstance(node, t.Call) or not _is_sigma(node, 1) or node.fn.coupled:
        return
    (argument,) = node.args
    for name in place.activations:
        named = t.Call(node.axes, Fn(name, order=1), node.args)
        yield Change(named, (f"{name}′ stands where ", node, " belongs"))
    if isinstance(argument, t.Ref) and argument.name == "Z":
        value = replace(argument, name="X")
        for name, written in THROUGH_VALUE.items():
            changed = written(value)
            words = f", the derivative of {name}, stands where "
            yield Change(changed, (changed, words, node, " belongs"))


@rule("mask inverted", "Where is σ′ zero, and where is it one?", cost=1.2)
def _complement(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_sigma(node, 1) and not node.fn.coupled:
        changed = t.Total(node.axes, (t.ONE,), (node,))
        yield Change(changed, ("1 − ", node, " stands where ", node, " belongs"))


@rule("factor too many", "Which derivative is contained in this difference already?", cost=1.1)
def _extra_slope(node: Node, place: Place) -> Iterator[Change]:
    """δ = (x − y)/M of a pair of loss and activation, times σ′ once more."""
    if place.label != "S2, S4" or not isinstance(node, t.Product):
        return
    states = {n for n in node.walk() if isinstance(n, t.Ref) and n.name == "X"}
    if len(states) != 1:
        return
    (state,) = states
    for written in THROUGH_VALUE.values():
        factor = written(replace(state, axes=node.axes))
        changed = t.Product(node.axes, (node, factor))
        yield Change(changed, ("the factor ", factor, " is too much: σ′ has cancelled already"))


@rule("function missing", "Is every function applied?")
def _omitted(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and node.fn.order == 0 and node.args[0].axes == node.axes:
        yield Change(node.args[0], (node, " is missing: ", node.args[0], " is passed on as it is"))


@rule("function twice", "How often is the function applied?", cost=1.2)
def _twice(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_sigma(node, 0):
        changed = replace(node, args=(node,))
        yield Change(changed, (node, " is applied twice"))


@rule("function too many", "How many functions are applied one after the other?", cost=1.3)
def _one_more(node: Node, place: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_sigma(node, 0):
        for name in place.activations:
            inner = t.Call(node.args[0].axes, Fn(name), node.args)
            changed = replace(node, args=(inner,))
            yield Change(changed, (f"{name} is applied before ", node))


@rule("another function", "Which activation is declared?", cost=1.3)
def _other_function(node: Node, place: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and _is_sigma(node, 0):
        for name in place.activations:
            yield Change(replace(node, fn=Fn(name)), (f"{name} stands where ", node, " belongs"))


@rule("another loss", "Which loss is declared, and what is its derivative?", cost=1.2)
def _other_loss(node: Node, place: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and node.fn.name == "ell":
        for name in place.losses:
            of = "the derivative of " if node.fn.order else ""
            changed = replace(node, fn=replace(node.fn, name=name, coupled=False))
            yield Change(changed, (f"{of}{name} stands where ", node, " belongs"))
        for name, words in HALVES.items():
            if node.fn.order == 0 and "binary_cross_entropy" in place.losses:
                changed = replace(node, fn=replace(node.fn, name=name, coupled=False))
                yield Change(changed, (words,))


@rule("labels shifted", "Do the classes count from 0 or from 1?", cost=1.2)
def _shifted_labels(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Ref) and node.name == "Y":
        for name in ("next_class", "previous_class"):
            changed = t.Call(node.axes, Fn(name), (node,))
            yield Change(
                changed,
                (
                    "the classes of ",
                    node,
                    " are shifted by one",
                ),
            )


@rule("logarithm of another base", "Which logarithm is meant?", at="root", cost=1.2)
def _other_base(node: Node, place: Place) -> Iterator[Change]:
    logarithms = {"log", "logsumexp", "logaddexp"}
    called = {n.fn.name for n in node.walk() if isinstance(n, t.Call)}
    if place.label in {"J", ""} and called & logarithms:
        for base in (2, 10):
            changed = t.Product(node.axes, (node,), (t.Number((), sp.log(base)),))
            yield Change(changed, (f"the logarithm has base {base}",))


@rule("another penalty", "Differentiate the penalty that is declared.", cost=1.3)
def _other_penalty(node: Node, _: Place) -> Iterator[Change]:
    if isinstance(node, t.Call) and node.fn.name == "omega":
        for name in ("L2", "L1"):
            changed = replace(node, fn=replace(node.fn, name=name))
            of = "the derivative of " if node.fn.order else ""
            yield Change(changed, (f"{of}the {name} penalty stands where ", node, " belongs"))
