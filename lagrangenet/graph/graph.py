"""A network of constraints and its training objective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.functions import ACTIVATIONS, REGULARIZERS, Choice
from lagrangenet.functions.terms import Terms
from lagrangenet.functions.weighting import check_count, checked_weights, weighted
from lagrangenet.graph.constraint import Constraint, length_of
from lagrangenet.graph.sizes import Inputs, Length, Sizes, Use
from lagrangenet.layers import Layer
from lagrangenet.layers.equation import ArgLargest, M, Shape, Sigma, check_name
from lagrangenet.layers.text import layer_lines, read_layer
from lagrangenet.toml import array_of_tables, inline, only, tables

Named = str | Choice | Mapping[str, object]
#: Names that the generated code needs for itself.
_RESERVED = {"np", "M", "Y", "J", "eta", "theta", "inputs", "states", "multipliers", "direction"}
_RESERVED |= {"gradients", "state_tangents", "multiplier_tangents", "RHO", "range", "windows"}
_RESERVED |= {"class_weights", "positive", "logsumexp", "log_softplus", "erf", "erfc", "ndtr"}
_PREFIXES = ("lam_", "lambda_", "grad_", "hess_", "res_")


@dataclass(frozen=True)
class Graph(Terms):
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
    class_weights : tuple of float
        c_p in ℓ = Σ_p c_p ℓ_p, one for each component of the output's last axis; or none.
    """

    inputs: tuple[tuple[str, tuple[Length, ...]], ...]
    constraints: tuple[Constraint, ...]
    output: str
    loss: Choice
    regularizer: Choice | None = None
    name: str = ""
    class_weights: tuple[float, ...] = ()

    def __init__(
        self,
        inputs: Mapping[str, Length | Iterable[Length]] | Inputs,
        constraints: Iterable[Constraint],
        output: str | None = None,
        loss: Named = "squared_error",
        regularizer: Named | None = None,
        name: str = "",
        class_weights: Iterable[float] = (),
    ) -> None:
        single = isinstance(constraints, Constraint) or not isinstance(constraints, Iterable)
        listed = () if single else tuple(constraints)
        if single or not all(isinstance(c, Constraint) for c in listed):
            raise ProblemError("a graph's constraints have to be a sequence of Constraint(...)")
        if not listed or not inputs:
            raise ProblemError("a graph needs at least one input and one constraint")
        if isinstance(inputs, tuple) and all(isinstance(e, tuple) for e in inputs):
            inputs = dict(inputs)  # as the attribute holds them
        if not isinstance(inputs, Mapping):
            raise ProblemError(
                f"a graph's inputs are {inputs!r}; write their widths or shapes by name: "
                '{"x": 4, "u": ("T", 3)}'
            )
        weights = checked_weights(class_weights)
        values = {
            "inputs": tuple((n, _sample_shape(n, shape)) for n, shape in dict(inputs).items()),
            "constraints": listed,
            "output": listed[-1].state if output is None else output,
            "loss": weighted(loss, weights),
            "regularizer": None if regularizer is None else REGULARIZERS.choose(regularizer),
            "name": str(name),
            "class_weights": weights,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check()

    def _check(self) -> None:
        axes = dict.fromkeys(n for _, shape in self.inputs for n in shape if isinstance(n, str))
        names = [*(n for n, _ in self.inputs), *self.states, *self.parameters, *axes]
        for name in names:
            check_name(name, "array")
            taken = name in {*_RESERVED, *ACTIVATIONS}
            if taken or name.startswith(_PREFIXES) or name.endswith("_dot"):
                raise ProblemError(
                    f"the name {name!r} is needed by the generated code; choose one that is no "
                    f"activation, none of {', '.join(sorted(_RESERVED))}, does not begin with "
                    f"{', '.join(_PREFIXES)} and does not end with _dot"
                )
            if names.count(name) > 1:
                raise ProblemError(f"two arrays or axes are called {name!r}")
        self._check_tokens()
        if self.output not in self.states:
            raise ProblemError(
                f"the output {self.output!r} is no state; known: {', '.join(self.states)}"
            )
        if self.shapes[self.output][0] != (1, M):
            raise ProblemError(f"the first axis of the output {self.output!r} has to be samples, M")
        if len(self.shapes[self.output]) < 2:
            raise ProblemError(
                f"the output {self.output!r} has one number for each sample; the loss needs an axis "
                "of components, which may have length 1"
            )
        for axis, (first, _) in enumerate(self.shapes[self.output], 1):
            if first != 1:
                raise ProblemError(
                    f"axis {axis} of the output {self.output!r} counts from {first}, and labels from "
                    "1; let its layer end with a state that counts from 1, y[i,t,p] = h[i,t,p]"
                )
        if unmet := self.loss_entry.unmet(self.output_activation):
            raise ProblemError(
                f"loss {self.loss.name!r} needs outputs that are {unmet[0]}; give the constraint of "
                f"{self.output!r} activation={unmet[1]}"
            )
        check_count(self.class_weights, self.shape_of(self.output)[-1])
        if self.loss_entry.coupled and self.shape_of(self.output)[-1] == 1:
            raise ProblemError(
                f"loss {self.loss.name!r} of one output is constant; give {self.output!r} at least "
                "two components, or use 'hinge' with labels -1 and 1"
            )
        simplex = self.loss_entry.needs_simplex
        if simplex and not (self.output_activation and self.output_activation.simplex):
            raise ProblemError(
                f"loss {self.loss.name!r} needs outputs that are positive and sum to one; give the "
                f"constraint of {self.output!r} activation='softmax', or use "
                "'binary_cross_entropy' on logits"
            )

    def _check_tokens(self) -> None:
        given = {n for n, _ in self.inputs}
        for use in self.uses:
            for local in use.layer.inputs:
                name, here = use.names[local], local in use.layer.integers
                if here and name not in given:
                    raise ProblemError(
                        f"constraint {use.constraint.state!r}: {name!r} is computed; only an input "
                        f"of the graph can hold subscripts, as {use.layer.name} needs"
                    )
                if not here and name in self.integers:
                    raise ProblemError(
                        f"constraint {use.constraint.state!r} reads {name!r} as numbers, but another "
                        "one as subscripts"
                    )

    # -- what follows from the declaration -------------------------------------------------------

    @property
    def output_activation(self) -> Any:
        """The activation whose value the output is, or None."""
        use = next(u for u in self.uses if u.constraint.state == self.output)
        chosen = use.constraint.activation
        if chosen is None or not isinstance(use.equations[-1].forward, Sigma):
            return None
        return ACTIVATIONS[chosen.name]

    @property
    def smooth(self) -> bool:
        """Whether every function of the graph is differentiable everywhere."""
        chosen = [ACTIVATIONS[c.activation.name] for c in self.constraints if c.activation]
        entries = (*chosen, self.loss_entry, self.regularizer_entry)
        selects = any(e.forward.has(ArgLargest) for u in self.uses for e in u.equations)
        return not selects and all(e.smooth for e in entries if e is not None)

    @property
    def couples_samples(self) -> str | None:
        """A state that reads samples other than its own, as batch statistics do; None if none."""
        for use in self.uses:
            arrays = use.layer.arrays
            batched = {name for name, shape in arrays.items() if shape[0][1] == M}
            for equation in use.equations:
                own = equation.state.indices[0] if equation.name in batched else None
                read = (
                    e for e in equation.forward.atoms(sp.Indexed) if str(e.base.label) in batched
                )
                if own is None or any(e.indices[0] != own for e in read):
                    return use.names[equation.name]
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _resolved(self) -> Sizes:
        return Sizes(self.inputs, self.constraints)

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
    def rules(self) -> Mapping[sp.Symbol, sp.Expr]:
        """Sizes that follow from those of a batch."""
        return MappingProxyType(self._resolved.rules)

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
        return frozenset(u.names[a] for u in self.uses for a in u.layer.integers)

    def shape_of(self, name: str) -> tuple[int | None, ...]:
        """The lengths of an array's axes; None for samples and axes of any length."""
        return tuple(self._resolved.number(high - low + 1) for low, high in self.shapes[name])

    def lengths_of(self, name: str, samples: int, free: int) -> tuple[int, ...]:
        """The lengths of an array's axes for so many samples and so long free axes."""
        unknown = {s: sp.Integer(free) for s, value in self.sizes.items() if value is None}
        swap = {**unknown, M: sp.Integer(samples)}
        lengths = (self.known(high - low + 1) for low, high in self.shapes[name])
        return tuple(int(length.xreplace(swap).doit()) for length in lengths)

    def limit_of(self, name: str) -> int:
        """How many rows there are to look up in, for an input that holds subscripts."""
        limits = []
        for use in self.uses:
            for e in (e for q in use.equations for e in q.forward.atoms(sp.Indexed)):
                for axis, index in enumerate(e.indices):
                    if isinstance(index, sp.Indexed) and use.names[str(index.base.label)] == name:
                        limits.append(self.shape_of(use.names[str(e.base.label)])[axis] or 0)
        return min(limits)

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
        unweighted = self.loss_entry.without_options(self.loss)
        lines += [f"output = {inline(self.output)}", f"loss = {inline(unweighted)}"]
        if self.class_weights:
            lines.append(f"class_weights = {list(self.class_weights)!r}")
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
        only(table, {"name", "inputs", "output", "loss", "class_weights", "regularizer", "layers",
                     "constraints"}, "a graph")  # fmt: skip
        own = {layer.name: layer for layer in map(read_layer, array_of_tables(table, "layers"))}
        constraints = [_constraint(j, row, own)
                       for j, row in enumerate(array_of_tables(table, "constraints"), 1)]  # fmt: skip
        inputs = table.pop("inputs", None)
        if not isinstance(inputs, dict):
            raise ProblemError(
                "a graph's inputs have to be a table: [inputs], name = width or shape"
            )
        return cls(inputs, constraints, **table)

    def __str__(self) -> str:
        steps = ", ".join(f"{c.state} = {c.layer}({', '.join(c.of)})" for c in self.constraints)
        penalty = f" + {self.regularizer}" if self.regularizer else ""
        return f"{steps}; {self.loss} of {self.output}{penalty}"


def _constraint(number: int, row: dict[str, Any], own: Mapping[str, Layer]) -> Constraint:
    for key in ("state", "layer", "of"):
        if key not in row:
            raise ProblemError(f"constraint {number} has no {key!r}")
    state, layer, of = (row.pop(key) for key in ("state", "layer", "of"))
    return Constraint(state, own.get(layer, layer) if isinstance(layer, str) else layer, of, **row)


def _sample_shape(name: str, shape: Length | Iterable[Length]) -> tuple[Length, ...]:
    check_name(name, "input")
    lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    return tuple(
        length if isinstance(length, str) else length_of(length, f"input {name!r}: an axis")
        for length in lengths
    )
