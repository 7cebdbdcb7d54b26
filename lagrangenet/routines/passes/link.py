"""Linking: the stages of a program as whole routines, from parameters and data to numbers.

``forward``, ``loss``, ``backward`` and ``gradient`` in one body are ``value_and_grad``; states and
multipliers are inside, so that what is not needed is never computed. Every target that is made for
speed starts from these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lagrangenet.routines.ir import (
    DIRECTION,
    GRADIENTS,
    PRODUCT,
    THETA,
    Argument,
    Assign,
    Program,
    Routine,
    ref,
)
from lagrangenet.routines.passes.live import live

_DATA = (Argument("theta", THETA), Argument("X"), Argument("Y"))
_ALONG = (*_DATA, Argument("direction", DIRECTION))
_SOLVED = ("forward", "backward", "tangent")

#: Name: summary, arguments, what is returned per layer, and the stages.
LINKED: dict[str, tuple[str, tuple[Argument, ...], tuple[str, ...], tuple[str, ...]]] = {
    "value": ("J, from one forward pass.", _DATA, (), ("forward", "loss")),
    "value_and_grad": (
        "J and its gradient, from one forward and one backward pass.",
        _DATA,
        GRADIENTS,
        ("forward", "loss", "backward", "gradient"),
    ),
    "hessian_product": (
        "The Hessian of J times a direction, from two forward and two backward passes.",
        _ALONG,
        PRODUCT,
        (*_SOLVED, "second_adjoint", "hessian_product"),
    ),
    "gauss_newton_product": (
        "The Gauss-Newton matrix of J times a direction.",
        _ALONG,
        PRODUCT,
        ("forward", "tangent", "gauss_newton_adjoint", "gauss_newton_product"),
    ),
}


def link(program: Program) -> Program:
    """The whole routines of a program: those of :data:`LINKED` whose stages it has.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.symbolic.derivation import derive
    >>> linked = link(lower(derive(chain([2, 3, 1]))))
    >>> [routine.name for routine in linked.routines]
    ['value', 'value_and_grad']
    >>> [line.target.name for line in linked.routine("value").body]
    ['Z', 'X', 'Z', 'X', 'J']
    """
    stages = {routine.name: routine for routine in program.routines}
    linked = (
        _linked(name, (stages[stage] for stage in LINKED[name][3]))
        for name in LINKED
        if stages.keys() >= set(LINKED[name][3])
    )
    return replace(program, routines=tuple(linked))


def _linked(name: str, stages: Iterable[Routine]) -> Routine:
    summary, arguments, per_layer, _ = LINKED[name]
    body: list[Assign] = [line for stage in stages for line in stage.body]
    value = ref("J", None) if name.startswith("value") else None
    results = {*per_layer, *(["J"] if value else [])}
    return Routine(
        name, summary, arguments, live(body, lambda a: a.name in results), per_layer, value
    )
