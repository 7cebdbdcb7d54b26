"""What a layer *is*: its forward equations in index notation, and nothing else.

    z[i,p] = sum(W[p,q] * x[i,q], q) + b[p]
    y[i,p] = sigma(z[i,p])

Indices count from 1, as on paper; ``i`` runs over the samples and comes first in every state. The
last equation gives the layer's output, those before it inner states with multipliers of their own.
Adjoints, gradients, second order, code and formulas follow from the equations. A layer that does
not say everything (a shape, a range) is refused when a constraint uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.layers.equation import (
    Equation,
    Shape,
    Sigma,
    check_name,
    read_arrays,
    read_equations,
    read_sizes,
    symbols_of,
    without_dots,
    words_of,
)

#: Characters of a text.
_LONGEST = 20_000


@dataclass(frozen=True)
class Layer:
    """A layer by its forward equations.

    Parameters
    ----------
    name : str
        The name that constraints use.
    equations : str or callable
        Lines ``state[indices] = expression``. Known: + − * / **, numbers, ``sum(expr, index, ...)``,
        ``max(expr, index)`` and ``argmax(expr, index)``, ``delta(a, b)``, ``sigma(...)`` for the
        activation of the constraint, and the functions of expressions (``exp``, ``sqrt``, ...). A
        callable receives the options and returns the lines.
    shapes : str
        Every array with its sizes: ``"x[M,n] W[m,n] b[m] y[M,m]"``; ``0..T`` is an axis that counts
        from 0, where its entry is 0; ``...``, here and in the equations, are as many axes as the
        first input has there.
    parameters : str
        Which arrays are parameters, in the order in which they are stored; all others that no
        equation determines are inputs, in the order of ``shapes``.
    options : mapping
        Numbers with their defaults: whole ones such as a stride, or real ones such as ε.
    sizes : mapping
        Sizes that follow from others: ``{"T": "floor((L - R)/stride) + 1"}``.
    constants : str
        Inner states that the output does not depend on, such as the largest entry that a softmax
        subtracts. Their derivative is left out; that the output's vanishes is proved.
    ranges : mapping
        The size of an index that no array has as a subscript alone: ``{"r": "R"}``.
    integers : str
        Inputs that hold subscripts (tokens), counted from 0 in data.
    summary : str
        One line for help texts.

    Examples
    --------
    >>> scale = Layer("scale", "y[i,p] = g[p] * x[i,p]", "x[M,n] g[n] y[M,n]", "g")
    >>> scale.inputs, scale.parameters, [str(e.forward) for e in scale.at({})]
    (('x',), ('g',), ['g[p]*x[i, p]'])
    """

    name: str
    equations: str | Callable[[Mapping[str, float]], str]
    shapes: str
    parameters: tuple[str, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict, hash=False)
    sizes: Mapping[str, str] = field(default_factory=dict, hash=False)
    constants: tuple[str, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict, hash=False)
    integers: tuple[str, ...] = ()
    summary: str = ""

    def __init__(
        self,
        name: str,
        equations: str | Callable[[Mapping[str, float]], str],
        shapes: str,
        parameters: str = "",
        options: Mapping[str, float] | None = None,
        sizes: Mapping[str, str] | None = None,
        constants: str = "",
        ranges: Mapping[str, str] | None = None,
        integers: str = "",
        summary: str = "",
    ) -> None:
        check_name(name, "layer")
        words = {"shapes": shapes, "parameters": parameters, "constants": constants,
                 "integers": integers}  # fmt: skip
        if not callable(equations):
            words["equations"] = equations
        _check_kinds(name, words, {"options": options, "sizes": sizes, "ranges": ranges})
        if isinstance(equations, str):
            equations = "\n".join(map(str.strip, equations.strip().splitlines()))
        values = {
            "name": name,
            "equations": equations,
            "shapes": shapes,
            "parameters": tuple(parameters.split()),
            "options": MappingProxyType(_numbers(name, options or {})),
            "sizes": MappingProxyType(dict(sizes or {})),
            "constants": tuple(constants.split()),
            "ranges": MappingProxyType(dict(ranges or {})),
            "integers": tuple(integers.split()),
            "summary": summary,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def arrays(self) -> Mapping[str, Shape]:
        """The axes of every array, by its local name; without those that ``...`` stands for."""
        return read_arrays(self.name, without_dots(self.shapes))

    def with_axes(self, count: int) -> Layer:
        """The layer with ``count`` axes in place of ``...``.

        Examples
        --------
        >>> shift = Layer("shift", "y[i,...,p] = x[i,...,p] + b[p]", "x[M,...,n] b[n] y[M,...,n]", "b")
        >>> shift.with_axes(1).equations
        'y[i,t,p] = x[i,t,p] + b[p]'
        """
        return _with_axes(self, count)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Local names of the inputs."""
        equations = self.at({})
        given = {
            str(e.base.label) for equation in equations for e in equation.forward.atoms(sp.Indexed)
        }
        given -= {equation.name for equation in equations}
        return tuple(a for a in self.arrays if a in given and a not in self.parameters)

    @property
    def uses_sigma(self) -> bool:
        """Whether an activation can be chosen."""
        return any(equation.forward.has(Sigma) for equation in self.at({}))

    @property
    def free_sizes(self) -> tuple[str, ...]:
        """Sizes that neither an input nor another size fixes; a constraint gives them."""
        known = {str(s) for a in self.inputs for r in self.arrays[a] for s in r[1].free_symbols}
        every = [str(s) for shape in self.arrays.values() for r in shape for s in symbols_of(r[1])]
        taken = known | set(self.sizes) | set(self.options) | {"M"}
        return tuple(dict.fromkeys(s for s in every if s not in taken))

    @property
    def size_rules(self) -> tuple[tuple[str, sp.Expr], ...]:
        """Sizes that follow from others, with their expressions."""
        return read_sizes(self.name, tuple(self.sizes.items()))

    def check(self) -> None:
        """Refuse what the declaration names without saying what it is.

        Raises
        ------
        ProblemError
            For a parameter or constant without its shape or equation, or an option without a value.
        """
        equations = self.at({})
        states = {equation.name for equation in equations}
        read = {str(e.base.label) for q in equations for e in q.forward.atoms(sp.Indexed)}
        for what, names, known in (
            ("parameter", self.parameters, read - states),
            ("constant", self.constants, states - {equations[-1].name}),
            ("input of subscripts", self.integers, read - states),
        ):
            if wrong := [name for name in names if name not in known]:
                raise ProblemError(
                    f"layer {self.name!r}: no equation has {wrong[0]!r} as a {what}; "
                    f"known: {', '.join(sorted(known)) or 'none'}"
                )

    def at(self, options: Mapping[str, float]) -> tuple[Equation, ...]:
        """The equations for the values of the options, inner states first."""
        chosen = {**self.options, **options}
        text = self.equations if isinstance(self.equations, str) else self.equations(chosen)
        return read_equations(self, without_dots(text), tuple(sorted(chosen.items())))

    @property
    def own(self) -> bool:
        """Whether this is somebody's own layer rather than an entry of ``LAYERS``."""
        return self.name not in LAYERS or LAYERS[self.name] is not self

    def __reduce__(self) -> tuple[object, ...]:
        if not self.own:
            return _by_name, (self.name,)
        words = (" ".join(self.parameters), dict(self.options), dict(self.sizes),
                 " ".join(self.constants), dict(self.ranges), " ".join(self.integers))  # fmt: skip
        return Layer, (self.name, self.equations, self.shapes, *words, self.summary)


def _check_kinds(layer: str, words: Mapping[str, Any], tables: Mapping[str, Any]) -> None:
    for key, text in words.items():
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise ProblemError(
                f"layer {layer!r}: {key!r} has to be a text of at most {_LONGEST} characters"
            )
    for key, table in tables.items():
        if not isinstance(table or {}, Mapping):
            raise ProblemError(f"layer {layer!r}: {key!r} has to be a table by name")


def _numbers(layer: str, options: Mapping[str, Any]) -> dict[str, float]:
    for option, value in options.items():
        check_name(option, f"layer {layer!r}: option")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise ProblemError(f"layer {layer!r}: the option {option!r} is {value!r}, not a number")
    return dict(options)


@cache
def _with_axes(layer: Layer, count: int) -> Layer:
    shapes = without_dots(layer.shapes, ",".join(f"N{j}" for j in range(1, count + 1)))

    def expanded(text: str) -> str:
        free = (c for c in "tuvwabcdefghjkl" if c not in words_of(text) | words_of(shapes))
        return without_dots(text, ",".join(next(free) for _ in range(count)))

    equations = layer.equations
    text = (
        expanded(equations)
        if isinstance(equations, str)
        else partial(_expanded_later, equations, expanded)
    )
    found = object.__new__(Layer)
    for name, value in {**vars(layer), "shapes": shapes, "equations": text}.items():
        object.__setattr__(found, name, value)
    return found


def _expanded_later(
    equations: Callable[[Mapping[str, float]], str],
    expanded: Callable[[str], str],
    options: Mapping[str, float],
) -> str:
    return expanded(equations(options))


class Layers(Mapping[str, Layer]):
    """Layers by name. ``add`` is the only registration a layer of the package needs."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}

    def add(self, layer: Layer) -> Layer:
        """Register a layer and return it."""
        if layer.name in self._layers:
            raise ProblemError(f"layer {layer.name!r} is declared twice")
        self._layers[layer.name] = layer
        return layer

    def remove(self, name: str) -> None:
        """Take a layer out again, as an experiment or a test does with its own."""
        del self._layers[self[name].name]

    def __getitem__(self, name: str) -> Layer:
        try:
            return self._layers[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._layers))
            raise ProblemError(f"unknown layer {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._layers

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


LAYERS = Layers()


def _by_name(name: str) -> Layer:
    return LAYERS[name]
