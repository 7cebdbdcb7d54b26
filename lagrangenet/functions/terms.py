"""The terms of J that a declaration names: the loss ℓ and the regularizer ρ Ω."""

from __future__ import annotations

from lagrangenet.functions.base import Choice, Loss, Regularizer
from lagrangenet.functions.losses import LOSSES
from lagrangenet.functions.regularizers import REGULARIZERS


class Terms:
    """What follows from the names of ℓ and Ω; a base of declarations, with no fields of its own."""

    loss: Choice
    regularizer: Choice | None

    @property
    def loss_entry(self) -> Loss:
        """The entry of ℓ."""
        return LOSSES[self.loss.name]

    @property
    def regularizer_entry(self) -> Regularizer | None:
        """The entry of Ω, or None."""
        return None if self.regularizer is None else REGULARIZERS[self.regularizer.name]

    @property
    def strength(self) -> float:
        """ρ, zero without a regularizer."""
        return 0.0 if self.regularizer is None else dict(self.regularizer.parameters)["strength"]

    @property
    def penalizes_biases(self) -> bool:
        """Whether Ω sums over the biases too."""
        return self.regularizer is not None and ("biases", True) in self.regularizer.parameters
