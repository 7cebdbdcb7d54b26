"""Class weights: positive numbers c_p, one for each output, and the loss Σ_p c_p ℓ_p that they make.

Chains and graphs take them in the same way. Refused: a loss whose terms compare two classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.functions.base import Choice
from lagrangenet.functions.losses import LOSSES


def checked_weights(values: Iterable[float]) -> tuple[float, ...]:
    """Class weights as floats.

    Raises
    ------
    ProblemError
        For what is not positive and finite.

    Examples
    --------
    >>> checked_weights([1, 2.5])
    (1.0, 2.5)
    """
    try:
        listed: list[Any] = list(values)
    except TypeError:
        raise ProblemError(
            f"class_weights is {values!r}; expected one number for each output"
        ) from None
    weights = []
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ProblemError(f"class weight {value!r} is not a number")
        if not 0 < value <= sys.float_info.max:
            raise ProblemError(f"class weight {value!r} has to be positive and finite")
        weights.append(float(value))
    return tuple(weights)


def check_count(weights: tuple[float, ...], outputs: int | None) -> None:
    """Refuse weights that are not one for each output.

    Raises
    ------
    ProblemError
        If the numbers differ; ``outputs`` is None where each batch may have its own.
    """
    if not weights or len(weights) == outputs:
        return
    if outputs is None:
        raise ProblemError(
            "the output's last axis has any length, so that class weights, one for each of its "
            "components, cannot be given"
        )
    raise ProblemError(
        f"{len(weights)} class weights for {outputs} outputs; give one for each output"
    )


def weighted(what: str | Choice | Mapping[str, object], weights: tuple[float, ...]) -> Choice:
    """The chosen loss, weighted if there are class weights.

    Raises
    ------
    ProblemError
        For an unknown loss, or one that does not go with the weights.

    Examples
    --------
    >>> print(weighted("cross_entropy", (1.0, 2.0)))
    cross_entropy(weighted)
    """
    choice = LOSSES.choose(what)
    plain = LOSSES[choice.name].without_options(choice)
    if weights and LOSSES[choice.name].coupled:
        raise ProblemError(
            f"loss {choice.name!r} has no class weights: each of its terms compares two classes; "
            "leave them out, or use another loss"
        )
    if weights:
        return LOSSES[choice.name](**dict(plain.parameters), weighted=True)
    if plain != choice:
        raise ProblemError(f"loss {choice}: 'weighted' needs class_weights, one for each output")
    return plain
