"""Functions that a formula may call by name.

An activation of the catalogue needs no entry here; other functions and other spellings are one entry in
:data:`FUNCTIONS`, nothing else. What a function is worth in numbers is in :mod:`.networks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from lagrangenet.functions import ACTIVATIONS

#: Name as it is written → the function.
FUNCTIONS: Mapping[str, str] = {
    "exp": "exp", "log": "log", "ln": "log", "sigm": "sigmoid", "ReLU": "relu", "step": "step",
    "heaviside": "step", "diag": "diag", "transpose": "transpose",
}  # fmt: skip


def called(name: str) -> str:
    """The function that a name calls; empty if none.

    >>> called("ln"), called("softplus"), called("foo")
    ('log', 'softplus', '')
    """
    return FUNCTIONS.get(name) or (name if name in set(ACTIVATIONS) - {"identity"} else "")
