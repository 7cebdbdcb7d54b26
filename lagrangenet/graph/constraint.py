"""Which layer determines a state, and from what."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.layers import LAYERS, Layer
from lagrangenet.layers.equation import check_name


@dataclass(frozen=True)
class Constraint:
    """``state`` = the output of ``layer`` at ``of``.

    Parameters
    ----------
    state : str
        The name of the state that the constraint determines.
    layer : str or Layer
        An entry of ``LAYERS`` by name, or a layer of your own.
    of : str or sequence of str
        The layer's inputs: states of earlier constraints, or inputs of the graph.
    **settings
        By the layer's own names: sizes that its inputs do not fix, options, ``activation`` where
        the layer has one, and names for its parameters. Equal names share one parameter; without a
        name, ``W`` of the state ``x1`` is ``W_x1``.

    Examples
    --------
    >>> Constraint("x1", "dense", "x0", m=5, activation="tanh", W="w1")
    Constraint('x1', 'dense', 'x0', m=5, activation='tanh', W='w1')
    """

    state: str
    entry: Layer
    of: tuple[str, ...]
    sizes: tuple[tuple[str, int], ...]
    options: tuple[tuple[str, float], ...]
    activation: Choice | None
    names: tuple[tuple[str, str], ...]

    def __init__(
        self, state: str, layer: str | Layer, of: str | Iterable[str] = (), /, **settings: Any
    ) -> None:
        entry = layer if isinstance(layer, Layer) else LAYERS[layer]
        layer = entry.name
        check_name(state, "state")
        entry.check()
        sources = _sources(state, of)
        if len(sources) != len(entry.inputs):
            raise ProblemError(
                f"constraint {state!r}: {layer} has {len(entry.inputs)} input(s) "
                f"({', '.join(entry.inputs)}), {len(sources)} given"
            )
        chosen = settings.pop("activation", "identity") if entry.uses_sigma else None
        sizes = {k: length_of(settings.pop(k), f"constraint {state!r}: {k}")
                 for k in entry.free_sizes if k in settings}  # fmt: skip
        options = {k: _option(state, k, settings.pop(k), v)
                   for k, v in entry.options.items() if k in settings}  # fmt: skip
        names = {k: check_name(settings.pop(k), f"constraint {state!r}: parameter")
                 for k in entry.parameters if k in settings}  # fmt: skip
        if settings:
            known = [*entry.free_sizes, *entry.options, *entry.parameters]
            known += ["activation"] if entry.uses_sigma else []
            raise ProblemError(
                f"constraint {state!r}: {layer} has no {min(settings)!r}; "
                f"it has: {', '.join(known) or 'no settings'}"
            )
        values = {
            "state": state,
            "entry": entry,
            "of": sources,
            "sizes": tuple(sizes.items()),
            "options": tuple(sorted(options.items())),
            "activation": None if chosen is None else ACTIVATIONS.choose(chosen),
            "names": tuple((p, names.get(p, f"{p}_{state}")) for p in entry.parameters),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def layer(self) -> str:
        """The name of the layer."""
        return self.entry.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that differs from the defaults, as keywords."""
        found: dict[str, Any] = {**dict(self.sizes), **dict(self.options)}
        if self.activation is not None and self.activation.name != "identity":
            found["activation"] = self.activation
        return found | {p: g for p, g in self.names if g != f"{p}_{self.state}"}

    def __repr__(self) -> str:
        of = repr(self.of[0]) if len(self.of) == 1 else repr(self.of)
        shown = {k: _shown(v) if isinstance(v, Choice) else v for k, v in self.settings.items()}
        rest = "".join(f", {k}={v!r}" for k, v in shown.items())
        return f"Constraint({self.state!r}, {self.layer!r}, {of}{rest})"


def _shown(choice: Choice) -> str | dict[str, Any]:
    """A choice as it can be written: its name, or a table with its parameters."""
    return {"name": choice.name, **dict(choice.parameters)} if choice.parameters else choice.name


def length_of(value: Any, what: str) -> int:
    """A length as a whole number of at least 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ProblemError(f"{what} is {value!r}; it has to be a whole number, at least 1")
    return number


def _sources(state: str, of: Any) -> tuple[str, ...]:
    listed = (of,) if isinstance(of, str) else of
    if not isinstance(listed, Iterable) or not all(isinstance(s, str) for s in (*listed,)):
        raise ProblemError(
            f"constraint {state!r} reads {of!r}; name one array, or a sequence of names"
        )
    return tuple(listed)


def _option(state: str, name: str, value: Any, default: float) -> float:
    if isinstance(default, int):
        if name == "pad" and isinstance(value, int) and not isinstance(value, bool) and value == 0:
            return 0
        return length_of(value, f"constraint {state!r}: {name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise ProblemError(f"constraint {state!r}: {name} is {value!r}; it has to be positive")
    return float(value)
