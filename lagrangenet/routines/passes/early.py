"""Results as early as possible: what they are made of is needed no longer, and is still in cache.

A gradient ∂J/∂W^k needs μ^k and x^{k-1}. Computed with μ^k, it lets the memory of μ^k go before the
backward pass has reached the first layer.
"""

from __future__ import annotations

from dataclasses import replace

from lagrangenet.routines.ir import Assign, Routine
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic import tensor as t


def early(routine: Routine) -> Routine:
    """The routine with each of its results right after what it is computed from.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> routine = link(lower(derive(chain([2, 3, 1])))).routine("value_and_grad")
    >>> [f"{line.target.name}{line.target.layer or ''}" for line in early(routine).body][5:]
    ['lambda2', 'mu2', 'dW2', 'db2', 'lambda1', 'mu1', 'dW1', 'db1']
    """
    waiting = [line for line in routine.body if line.target.name in routine.returns]
    others = [line for line in routine.body if line.target.name not in routine.returns]
    missing = {key(line.target) for line in others}
    found: list[Assign] = []
    for line in others:
        found.append(line)
        missing.discard(key(line.target))
        found += [one for one in waiting if not _reads(one) & missing]
        waiting = [one for one in waiting if _reads(one) & missing]
    return replace(routine, body=(*found, *waiting))


def _reads(line: Assign) -> set[Key]:
    return {key(node) for node in line.value.walk() if isinstance(node, t.Ref)}
