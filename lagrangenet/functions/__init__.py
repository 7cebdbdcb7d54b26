"""Activations, losses and regularizers: catalogues of declared expressions."""

from lagrangenet.functions.activations import ACTIVATIONS
from lagrangenet.functions.base import Activation, Choice, Loss, Regularizer
from lagrangenet.functions.catalogue import Catalogue
from lagrangenet.functions.losses import LOSSES
from lagrangenet.functions.regularizers import REGULARIZERS

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "REGULARIZERS",
    "Activation",
    "Catalogue",
    "Choice",
    "Loss",
    "Regularizer",
]
