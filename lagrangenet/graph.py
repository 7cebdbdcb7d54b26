"""Networks as graphs of constraints: states that feed several constraints, shared parameters.

A constraint says by which layer a state is determined, and from what:

    Constraint("x2", "dense", "x1", m=3, activation="tanh", W="w1")

A graph is frozen and comparable, and round-trips through TOML. The sizes of all arrays follow from
the inputs and the layers' equations; what does not fit together is refused here, by name.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, LOSSES, REGULARIZERS, Choice, Loss, Regularizer
from lagrangenet.layers import LAYERS, Layer
from lagrangenet.layers.text import layer_lines, read_layer
from lagrangenet.layers.base import ArgLargest, Equation, M, Shape, Sigma, check_name, index

from lagrangenet.toml import array_of_tables, inline, only, tables

Named = str | Choice | Mapping[str, object]
#: The length of an axis: a number, or a name for one that every batch may have another.
Length = int | str
#: Names that the generated code needs for itself.
_RESERVED = {"np", "M", "Y", "J", "eta", "theta", "inputs", "states", "multipliers", "direction"}
_PREFIXES = ("lam_", "lambda_", "grad_", "hess_", "res_")


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
        sources = (of,) if isinstance(of, str) else tuple(of)
        if len(sources) != len(entry.inputs):
            raise ProblemError(
                f"constraint {state!r}: {layer} has {len(entry.inputs)} input(s) "
                f"({', '.join(entry.inputs)}), {len(sources)} given"
            )
        chosen = settings.pop("activation", "identity") if entry.uses_sigma else None
        sizes = {k: _length(settings.pop(k), f"constraint {state!r}: {k}")
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
        shown = {k: str(v) if isinstance(v, Choice) else v for k, v in self.settings.items()}
        rest = "".join(f", {k}={v!r}" for k, v in shown.items())
        return f"Constraint({self.state!r}, {self.layer!r}, {of}{rest})"


@dataclass(frozen=True)
class Use:
    """A constraint with the graph's names and sizes for those of its layer.

    ``names`` maps the layer's arrays to the graph's, ``sizes`` its size symbols to expressions in
    the graph's.
    """

    constraint: Constraint
    names: Mapping[str, str]
    sizes: Mapping[sp.Symbol, sp.Expr]

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The layer's equations, in the layer's names."""
        return self.constraint.entry.at(dict(self.constraint.options))


@dataclass(frozen=True)
class Graph:
    """A network of constraints and its training objective; made by :meth:`Problem.graph`.

    Attributes
    ----------
    inputs : tuple of (name, shape)
        Shapes of one sample.
    constraints : tuple of Constraint
    output : str
        The state that the loss compares with the labels.
    loss, regularizer : Choice
    name : str
    """

    inputs: tuple[tuple[str, tuple[Length, ...]], ...]
    constraints: tuple[Constraint, ...]
    output: str
    loss: Choice
    regularizer: Choice | None = None
    name: str = ""

    def __init__(
        self,
        inputs: Mapping[str, Length | Iterable[Length]],
        constraints: Iterable[Constraint],
        output: str | None = None,
        loss: Named = "squared_error",
        regularizer: Named | None = None,
        name: str = "",
    ) -> None:
        listed = tuple(constraints)
        if not listed or not inputs:
            raise ProblemError("a graph needs at least one input and one constraint")
        values = {
            "inputs": tuple((n, _sample_shape(n, shape)) for n, shape in inputs.items()),
            "constraints": listed,
            "output": listed[-1].state if output is None else output,
            "loss": LOSSES.choose(loss),
            "regularizer": None if regularizer is None else REGULARIZERS.choose(regularizer),
            "name": str(name),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check()

    def _check(self) -> None:
        names = [*(n for n, _ in self.inputs), *self.states, *self.parameters]
        for name in names:
            check_name(name, "array")
            if name in _RESERVED or name.startswith(_PREFIXES) or name.endswith("_dot"):
                raise ProblemError(
                    f"the name {name!r} is needed by the generated code; choose one that is none "
                    f"of {', '.join(sorted(_RESERVED))}, does not begin with "
                    f"{', '.join(_PREFIXES)} and does not end with _dot"
                )
            if names.count(name) > 1:
                raise ProblemError(f"two arrays are called {name!r}")
        if self.output not in self.states:
            raise ProblemError(
                f"the output {self.output!r} is no state; known: {', '.join(self.states)}"
            )
        simplex = self.loss_entry.needs_simplex
        if simplex and not (self.output_activation and self.output_activation.simplex):
            raise ProblemError(
                f"loss {self.loss.name!r} needs outputs that are positive and sum to one; give the "
                f"constraint of {self.output!r} activation='softmax', or use "
                "'binary_cross_entropy' on logits"
            )

    # -- what follows from the declaration -------------------------------------------------------

    @property
    def loss_entry(self) -> Loss:
        """The entry of ℓ."""
        return LOSSES[self.loss.name]

    @property
    def regularizer_entry(self) -> Regularizer | None:
        """The entry of Ω, or None."""
        return None if self.regularizer is None else REGULARIZERS[self.regularizer.name]

    @property
    def output_activation(self) -> Any:
        """The activation whose value the output is, or None."""
        constraint = next(c for c in self.constraints if c.state == self.output)
        last = constraint.entry.at(dict(constraint.options))[-1]
        if constraint.activation is None or not isinstance(last.forward, Sigma):
            return None
        return ACTIVATIONS[constraint.activation.name]

    @property
    def smooth(self) -> bool:
        """Whether every function of the graph is differentiable everywhere."""
        chosen = [ACTIVATIONS[c.activation.name] for c in self.constraints if c.activation]
        entries = (*chosen, self.loss_entry, self.regularizer_entry)
        selects = any(e.forward.has(ArgLargest) for u in self.uses for e in u.equations)
        return not selects and all(e.smooth for e in entries if e is not None)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _resolved(self) -> _Resolved:
        return _Resolved(self)

    @property
    def uses(self) -> tuple[Use, ...]:
        """The constraints with their names and sizes."""
        return tuple(self._resolved.uses)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Ranges of the subscripts of every array, the samples' first, as expressions of sizes."""
        return MappingProxyType(self._resolved.shapes)

    @property
    def sizes(self) -> Mapping[sp.Symbol, int | None]:
        """The value of every size symbol; None if each batch may have its own."""
        return MappingProxyType(self._resolved.values)

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, inner ones too, in the order of evaluation."""
        return tuple(u.names[e.name] for u in self.uses for e in u.equations)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every parameter, each once."""
        return tuple(dict.fromkeys(g for c in self.constraints for _, g in c.names))

    @property
    def integers(self) -> frozenset[str]:
        """Inputs that hold subscripts."""
        return frozenset(u.names[a] for u in self.uses for a in u.constraint.entry.integers)

    def shape_of(self, name: str) -> tuple[int | None, ...]:
        """The lengths of an array's axes; None for samples and axes of any length."""
        return tuple(self._resolved.number(high - low + 1) for low, high in self.shapes[name])

    def known(self, size: sp.Expr) -> sp.Expr:
        """An expression of sizes with numbers for those that are the same for every batch."""
        return self._resolved.known(size)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        total = 0
        for name in self.parameters:
            lengths = self.shape_of(name)
            total += int(sp.prod([length or 0 for length in lengths]))
        return total

    # -- TOML --------------------------------------------------------------------------------------

    def to_toml(self) -> str:
        """The declaration as TOML text that :meth:`from_toml` reads back.

        Raises
        ------
        ProblemError
            If a layer's equations are a function of its options, which no file can hold.
        """
        lines = [f"name = {inline(self.name)}"] if self.name else []
        lines += [f"output = {inline(self.output)}", f"loss = {inline(self.loss)}"]
        if self.regularizer:
            lines.append(f"regularizer = {inline(self.regularizer)}")
        lines += ["", "[inputs]"]
        lines += [f"{n} = {inline(s[0] if len(s) == 1 else s)}" for n, s in self.inputs]
        for layer in dict.fromkeys(c.entry for c in self.constraints if c.entry.own):
            lines += ["", "[[layers]]", *layer_lines(layer)]
        for constraint in self.constraints:
            of = constraint.of[0] if len(constraint.of) == 1 else constraint.of
            rows = {"state": constraint.state, "layer": constraint.layer, "of": of}
            rows |= constraint.settings
            lines += ["", "[[constraints]]", *(f"{k} = {inline(v)}" for k, v in rows.items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> Graph:
        """Read a declaration; the inverse of :meth:`to_toml`."""
        table = tables(text)
        only(table, {"name", "inputs", "output", "loss", "regularizer", "layers", "constraints"},
             "a graph")  # fmt: skip
        own = {layer.name: layer for layer in map(read_layer, array_of_tables(table, "layers"))}
        constraints = [_constraint(j, row, own)
                       for j, row in enumerate(array_of_tables(table, "constraints"), 1)]  # fmt: skip
        inputs = table.pop("inputs", None)
        if not isinstance(inputs, dict):
            raise ProblemError("a graph's inputs have to be a table: [inputs], name = width or shape")
        return cls(inputs, constraints, **table)

    def __str__(self) -> str:
        steps = ", ".join(f"{c.state} = {c.layer}({', '.join(c.of)})" for c in self.constraints)
        penalty = f" + {self.regularizer}" if self.regularizer else ""
        return f"{steps}; {self.loss} of {self.output}{penalty}"


class _Resolved:
    """Names and sizes of all arrays, constraint by constraint."""

    def __init__(self, graph: Graph) -> None:
        self.values: dict[sp.Symbol, int | None] = {}
        self.rules: dict[sp.Symbol, sp.Expr] = {}
        self.shapes: dict[str, Shape] = {}
        self.uses: list[Use] = []
        for name, lengths in graph.inputs:
            self.shapes[name] = ((sp.S.One, M), *self._input(name, lengths))
        for constraint in graph.constraints:
            use = self._use(constraint)  # which may replace the list
            self.uses.append(use)

    def _input(self, name: str, lengths: tuple[Length, ...]) -> Iterator[tuple[sp.Expr, sp.Expr]]:
        for j, length in enumerate(lengths, 1):
            if isinstance(length, str):
                symbol = index(check_name(length, f"input {name!r}: axis"))
                self.values.setdefault(symbol, None)
            else:
                symbol = index(f"n_{name}" if len(lengths) == 1 else f"n{j}_{name}")
                self.values[symbol] = length
            yield (sp.S.One, symbol)

    def number(self, size: sp.Expr) -> int | None:
        """The value of a size, None if it is not known before there are data."""
        value = self.known(size).doit()
        return int(value) if value.is_Integer else None

    def known(self, size: sp.Expr) -> sp.Expr:
        """A size with numbers for what is known, in terms of the inputs' free axes."""
        while size.free_symbols & set(self.rules):
            size = size.xreplace(self.rules)
        return size.xreplace({s: sp.Integer(v) for s, v in self.values.items() if v is not None})

    def _use(self, constraint: Constraint) -> Use:
        entry = constraint.entry
        states = [e.name for e in entry.at(dict(constraint.options))]
        names = dict(zip(entry.inputs, constraint.of, strict=True)) | dict(constraint.names)
        names |= {s: f"{s}_{constraint.state}" for s in states[:-1]}
        names[states[-1]] = constraint.state
        bound: dict[sp.Symbol, sp.Expr] = {M: M}
        bound |= {index(k): sp.nsimplify(v, rational=True) for k, v in constraint.options}
        bound |= {index(k): sp.nsimplify(v, rational=True)
                  for k, v in entry.options.items() if index(k) not in bound}  # fmt: skip
        for local in (*entry.inputs, *entry.parameters):
            if names[local] in self.shapes:
                self._bind(constraint, local, names[local], bound)
            elif local in entry.inputs:
                raise ProblemError(
                    f"constraint {constraint.state!r} reads {names[local]!r}, which is no input and "
                    "no state of an earlier constraint"
                )
        self._free(constraint, bound)
        for local in (*entry.parameters, *states):
            shape = tuple(
                (low, high.xreplace(bound)) for low, high in entry.arrays[local]
            )
            if names[local] in states or names[local] not in self.shapes:
                self.shapes[names[local]] = shape
        return Use(constraint, MappingProxyType(names), MappingProxyType(bound))

    def _bind(
        self, constraint: Constraint, local: str, name: str, bound: dict[sp.Symbol, sp.Expr]
    ) -> None:
        """Read the layer's sizes off an array that is there; refuse what does not fit."""
        pattern, found = constraint.entry.arrays[local], self.shapes[name]
        if len(pattern) != len(found):
            raise ProblemError(
                f"constraint {constraint.state!r}: {constraint.layer} needs {local} with "
                f"{len(pattern)} axes, {name!r} has {len(found)} (samples included)"
            )
        for (_, wanted), (low, high) in zip(pattern, found, strict=True):
            size = high - low + 1
            expected = bound.setdefault(wanted, size) if wanted.is_Symbol else wanted.xreplace(bound)
            if expected == size:
                continue
            here, there = self.number(expected), self.number(size)
            if here is None or here != there:
                raise ProblemError(
                    f"constraint {constraint.state!r}: the size {wanted} of {constraint.layer} is "
                    f"{here or expected} and, by {name!r}, {there or size}"
                )
            self._unify(expected, size, bound)

    def _unify(self, a: sp.Expr, b: sp.Expr, bound: dict[sp.Symbol, sp.Expr]) -> None:
        """Two sizes that have to be equal become one symbol wherever they stand."""
        old, new = (b, a) if b.is_Symbol else (a, b)
        if not old.is_Symbol or new.has(old):
            return
        swap = {old: new}
        self.values.pop(old, None)
        for name, shape in self.shapes.items():
            self.shapes[name] = tuple((low, high.xreplace(swap)) for low, high in shape)
        for known in bound:
            bound[known] = bound[known].xreplace(swap)
        self.uses = [
            Use(u.constraint, u.names,
                MappingProxyType({k: v.xreplace(swap) for k, v in u.sizes.items()}))
            for u in self.uses
        ]  # fmt: skip

    def _free(self, constraint: Constraint, bound: dict[sp.Symbol, sp.Expr]) -> None:
        """Sizes that the constraint gives, then those that follow from others."""
        given = dict(constraint.sizes)
        for name in constraint.entry.free_sizes:
            symbol = index(name)
            if symbol in bound:
                value = self.number(bound[symbol])
                if name in given and value != given[name]:
                    raise ProblemError(
                        f"constraint {constraint.state!r}: {name}={given[name]}, but a shared "
                        f"parameter has {value}"
                    )
                continue
            if name not in given:
                raise ProblemError(
                    f"constraint {constraint.state!r}: say the size {name} of {constraint.layer}, "
                    f"{name}=..."
                )
            bound[symbol] = index(f"{name}_{constraint.state}")
            self.values[bound[symbol]] = given[name]
        for name, size in constraint.entry.size_rules:
            value = self.number(size.xreplace(bound))
            if value is not None and value < 1:
                raise ProblemError(
                    f"constraint {constraint.state!r}: {name} = {constraint.entry.sizes[name]} is "
                    f"{value}; the window does not fit"
                )
            if value is None:
                self.rules[index(f"{name}_{constraint.state}")] = size.xreplace(bound)
            bound[index(name)] = index(f"{name}_{constraint.state}")
            self.values[bound[index(name)]] = value


def _constraint(number: int, row: dict[str, Any], own: Mapping[str, Layer]) -> Constraint:
    for key in ("state", "layer", "of"):
        if key not in row:
            raise ProblemError(f"constraint {number} has no {key!r}")
    state, layer, of = (row.pop(key) for key in ("state", "layer", "of"))
    return Constraint(state, own.get(layer, layer), of, **row)


def _length(value: Any, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ProblemError(f"{what} is {value!r}; it has to be a whole number, at least 1")
    return number


def _option(state: str, name: str, value: Any, default: float) -> float:
    if isinstance(default, int):
        if name == "pad" and value == 0 and not isinstance(value, bool):
            return 0
        return _length(value, f"constraint {state!r}: {name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise ProblemError(f"constraint {state!r}: {name} is {value!r}; it has to be positive")
    return float(value)


def _sample_shape(name: str, shape: Length | Iterable[Length]) -> tuple[Length, ...]:
    lengths = (shape,) if isinstance(shape, int | str) else tuple(shape)
    return tuple(
        length if isinstance(length, str) else _length(length, f"input {name!r}: an axis")
        for length in lengths
    )
