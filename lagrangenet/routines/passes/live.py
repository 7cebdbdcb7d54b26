"""Dead lines: multipliers and states that no result depends on are not computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lagrangenet.routines.ir import Assign
from lagrangenet.symbolic import tensor as t

#: An array by its name and layer.
Key = tuple[str, object]


def key(array: t.Ref) -> Key:
    """What tells an array from the others."""
    return array.name, array.layer


def live(body: Sequence[Assign], returned: Callable[[t.Ref], bool]) -> tuple[Assign, ...]:
    """The lines that a returned array depends on, in their order.

    Parameters
    ----------
    body : sequence of Assign
    returned : callable
        Whether an array is a result.

    Examples
    --------
    λ^2 of a network with two layers is not needed where μ^2 is known:

    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.symbolic.derivation import derive
    >>> backward = lower(derive(chain([2, 3, 3], loss="cross_entropy"))).routine("backward")
    >>> [line.formula.split(" = ")[0] for line in live(backward.body, lambda a: a.name == "mu")]
    ['μ²', 'λ¹', 'μ¹']
    """
    read: set[Key] = set()
    kept: list[Assign] = []
    for line in reversed(body):
        if returned(line.target) or key(line.target) in read:
            read |= {key(n) for n in line.value.walk() if isinstance(n, t.Ref)}
            kept.append(line)
    return tuple(reversed(kept))
