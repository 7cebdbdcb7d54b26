"""Regularizers, one entry each: an expression in one weight ``w``, summed over all weights."""

from lagrangenet.functions.base import Catalogue, Regularizer, w

REGULARIZERS: Catalogue[Regularizer] = Catalogue("regularizer")

#: ρ/2 Σ W²; the strength ρ is the entry's one parameter and multiplies Ω in the objective.
L2 = REGULARIZERS.add(
    Regularizer("L2", w**2 / 2, "strength/2 * sum W^2", parameters={"strength": 1e-3})
)
