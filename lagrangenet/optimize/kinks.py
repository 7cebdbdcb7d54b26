"""What a problem with kinks means for methods that ask for a vanishing gradient."""

from __future__ import annotations

from lagrangenet.functions import ACTIVATIONS
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem


def kinks(problem: Problem | Graph) -> str:
    """A sentence that names the functions with kinks; "" if all are smooth.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> kinks(chain([2, 3, 1], "relu"))
    'activation relu has kinks, and a minimum that lies on one has no vanishing gradient'
    >>> kinks(chain([2, 3, 1]))
    ''
    """
    if problem.smooth:
        return ""
    parts = problem.constraints if isinstance(problem, Graph) else problem.layers
    chosen = [ACTIVATIONS[part.activation.name] for part in parts if part.activation]
    entries = [*chosen, problem.loss_entry, problem.regularizer_entry]
    names = dict.fromkeys(f"{e.kind} {e.name}" for e in entries if e is not None and not e.smooth)
    who = " and ".join(names) or "a maximum"
    have = "have" if len(names) > 1 else "has"
    return f"{who} {have} kinks, and a minimum that lies on one has no vanishing gradient"


def explained(problem: Problem | Graph, message: str) -> str:
    """Why a method gave up, with the kinks that may be the cause."""
    return "; ".join(filter(None, (message, kinks(problem))))
