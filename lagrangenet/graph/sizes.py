"""Names and sizes of all arrays of a graph, read off its inputs constraint by constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.graph.constraint import Constraint
from lagrangenet.layers import Layer
from lagrangenet.layers.equation import (
    ArgLargest,
    Equation,
    Largest,
    M,
    Shape,
    check_name,
    index,
)

#: The length of an axis: a number, or a name for one that every batch may have another.
Length = int | str
#: Inputs by name, each with the shape of one sample.
Inputs = Iterable[tuple[str, tuple[Length, ...]]]


@dataclass(frozen=True)
class Use:
    """A constraint with the graph's names and sizes for those of its layer.

    ``layer`` is the constraint's, with as many axes as its inputs have; ``names`` maps the layer's arrays to the graph's, ``sizes`` its size symbols to expressions in
    the graph's.
    """

    constraint: Constraint
    layer: Layer
    names: Mapping[str, str]
    sizes: Mapping[sp.Symbol, sp.Expr]

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The layer's equations, in the layer's names."""
        return self.layer.at(dict(self.constraint.options))


class Sizes:
    """Names and sizes of all arrays.

    Attributes
    ----------
    values : dict
        The value of every size symbol; None if each batch may have its own.
    rules : dict
        Expressions for symbols whose value is None and follows from others.
    shapes : dict
        Ranges of the subscripts of every array.
    uses : list of Use
    """

    def __init__(self, inputs: Inputs, constraints: Iterable[Constraint]) -> None:
        self.values: dict[sp.Symbol, int | None] = {}
        self.rules: dict[sp.Symbol, sp.Expr] = {}
        self.shapes: dict[str, Shape] = {}
        self.uses: list[Use] = []
        for name, lengths in inputs:
            self.shapes[name] = ((sp.S.One, M), *self._input(name, lengths))
        for constraint in constraints:
            use = self._use(constraint)  # which may replace the list
            self.uses.append(use)

    def _input(self, name: str, lengths: tuple[Length, ...]) -> Iterator[tuple[sp.Expr, sp.Expr]]:
        for j, length in enumerate(lengths, 1):
            if isinstance(length, str):
                symbol = index(check_name(length, f"input {name!r}: axis"))
                if self.values.setdefault(symbol, None) is not None or symbol == M:
                    raise ProblemError(f"input {name!r}: the axis name {length!r} is taken")
            else:
                symbol = index(f"n_{name}" if len(lengths) == 1 else f"n{j}_{name}")
                self._new(symbol, length)
            yield (sp.S.One, symbol)

    def _new(self, symbol: sp.Symbol, value: int | None) -> None:
        if symbol in self.values:
            raise ProblemError(f"the axis name {str(symbol)!r} is taken; choose another")
        self.values[symbol] = value

    def number(self, size: sp.Expr) -> int | None:
        """The value of a size, None if it is not known before there are data."""
        value = self.known(size).doit()
        return int(value) if value.is_Integer else None

    def known(self, size: sp.Expr) -> sp.Expr:
        """A size with numbers for what is known, in terms of the inputs' free axes."""
        while size.free_symbols & set(self.rules):
            size = size.xreplace(self.rules)
        return size.xreplace({s: sp.Integer(v) for s, v in self.values.items() if v is not None})

    def _layer(self, constraint: Constraint) -> Layer:
        """The constraint's layer, with the axes that its first input has for ``...``."""
        entry = constraint.entry
        if "..." not in entry.shapes or constraint.of[0] not in self.shapes:
            return entry
        return entry.with_axes(
            max(0, len(self.shapes[constraint.of[0]]) - len(entry.arrays[entry.inputs[0]]))
        )

    def _use(self, constraint: Constraint) -> Use:
        entry = self._layer(constraint)
        equations = entry.at(dict(constraint.options))
        states = [e.name for e in equations]
        names = dict(zip(entry.inputs, constraint.of, strict=True)) | dict(constraint.names)
        names |= {s: f"{s}_{constraint.state}" for s in states[:-1]}
        names[states[-1]] = constraint.state
        parameters = {name for use in self.uses for _, name in use.constraint.names}
        others = {*self.shapes, *(names[s] for s in states)} - parameters
        if wrong := [p for _, p in constraint.names if p in others]:
            raise ProblemError(
                f"constraint {constraint.state!r}: the parameter {wrong[0]!r} has the name of a state"
            )
        for state in (names[s] for s in reversed(states)):
            if state in self.shapes:
                raise ProblemError(f"two arrays are called {state!r}; give each state its own name")
        bound: dict[sp.Symbol, sp.Expr] = {M: M}
        bound |= {index(k): sp.nsimplify(v, rational=True) for k, v in constraint.options}
        bound |= {index(k): sp.nsimplify(v, rational=True)
                  for k, v in entry.options.items() if index(k) not in bound}  # fmt: skip
        for local in (*entry.inputs, *entry.parameters):
            if names[local] in self.shapes:
                self._bind(constraint, entry, local, names[local], bound)
            elif local in entry.inputs:
                raise ProblemError(
                    f"constraint {constraint.state!r} reads {names[local]!r}, which is no input and "
                    "no state of an earlier constraint"
                )
        self._free(constraint, bound)
        for local in (*entry.parameters, *states):
            shape = tuple((low, high.xreplace(bound)) for low, high in entry.arrays[local])
            if any((self.number(high - low + 1) or 1) < 1 for low, high in shape):
                raise ProblemError(
                    f"constraint {constraint.state!r}: an axis of {names[local]!r} has no length"
                )
            known = self.shapes.setdefault(names[local], shape)
            if tuple(map(self._lengths, known)) != tuple(map(self._lengths, shape)):
                raise ProblemError(
                    f"constraint {constraint.state!r}: {names[local]!r} cannot be {local} too, "
                    "which has another shape"
                )
        use = Use(constraint, entry, MappingProxyType(names), MappingProxyType(bound))
        for equation in equations:
            check_subscripts(use, equation, self.known)
        return use

    def _lengths(self, limits: tuple[sp.Expr, sp.Expr]) -> tuple[sp.Expr, ...]:
        return tuple(self.known(limit) for limit in limits)

    def _bind(
        self,
        constraint: Constraint,
        layer: Layer,
        local: str,
        name: str,
        bound: dict[sp.Symbol, sp.Expr],
    ) -> None:
        """Read the layer's sizes off an array that is there; refuse what does not fit."""
        pattern, rank = layer.arrays[local], len(self.shapes[name])
        if len(pattern) != rank:
            raise ProblemError(
                f"constraint {constraint.state!r}: {constraint.layer} needs {local} with "
                f"{len(pattern)} axes, {name!r} has {rank} (samples included)"
            )
        for axis, (first, wanted) in enumerate(pattern):
            low, size = self.shapes[name][axis]  # in the names that the last axis left
            if low != first:
                remedy = (
                    f"declare it as {wanted} in the shapes of {constraint.layer}"
                    if low == 1
                    else f"let {name!r} hand on a state that counts from 1, y[i,t,p] = h[i,t,p]"
                )
                raise ProblemError(
                    f"constraint {constraint.state!r}: axis {axis + 1} of {name!r} counts from "
                    f"{low}, {constraint.layer} reads it from {first}; {remedy}"
                )
            expected = (
                bound.setdefault(wanted, size) if wanted.is_Symbol else wanted.xreplace(bound)
            )
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
        bound.update({local: size.xreplace(swap) for local, size in bound.items()})
        self.uses = [
            Use(u.constraint, u.layer, u.names,
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
            self._new(bound[symbol], given[name])
        for name, size in constraint.entry.size_rules:
            if unknown := size.free_symbols - set(bound):
                raise ProblemError(
                    f"constraint {constraint.state!r}: {constraint.layer} has "
                    f"{name} = {constraint.entry.sizes[name]}, and {min(map(str, unknown))!r} is "
                    "no size that is known by then"
                )
            value = self.number(size.xreplace(bound))
            if value is not None and value < 1:
                raise ProblemError(
                    f"constraint {constraint.state!r}: {name} = {constraint.entry.sizes[name]} is "
                    f"{value}; the window does not fit"
                )
            if value is None:
                self.rules[index(f"{name}_{constraint.state}")] = size.xreplace(bound)
            bound[index(name)] = index(f"{name}_{constraint.state}")
            self._new(bound[index(name)], value)


def check_subscripts(use: Use, equation: Equation, known: Callable[[sp.Expr], sp.Expr]) -> None:
    """Refuse an equation that reads beyond an array, which NumPy would take for its other end.

    Raises
    ------
    ProblemError
        Naming the subscript, if one is outside for some value of its indices. Subscripts that are
        not affine, and lengths that no batch is known to have, are left to the code.
    """
    limits = {v: (a, b) for v, a, b in equation.ranges} | dict(_bound(equation.forward))
    for read in sorted(equation.forward.atoms(sp.Indexed), key=str):
        array = str(read.base.label)
        for axis, (subscript, (low, high)) in enumerate(
            zip(read.indices, use.layer.arrays[array], strict=True), 1
        ):
            for below, end in ((True, low), (False, high)):
                reached = _extreme(subscript, limits, below)
                if reached is None:
                    continue
                if not below and subscript.free_symbols and reached.has(M) != end.has(M):
                    raise ProblemError(
                        f"constraint {use.constraint.state!r}: {read} of {use.layer.name} mixes up "
                        f"samples and components, at axis {axis} of {array!r}"
                    )
                beyond = known(((end - reached) if below else (reached - end)).xreplace(use.sizes))
                if sp.expand(beyond).is_positive:
                    raise ProblemError(
                        f"constraint {use.constraint.state!r}: {read} of {use.layer.name} reads "
                        f"{array!r} at {known(reached.xreplace(use.sizes))} of axis {axis}, which "
                        f"{'begins' if below else 'ends'} at {known(end.xreplace(use.sizes))}"
                    )


def _bound(expr: sp.Expr) -> Iterator[tuple[sp.Symbol, tuple[sp.Expr, sp.Expr]]]:
    for total in expr.atoms(sp.Sum):
        yield from ((v, (a, b)) for v, a, b in total.limits)
    for _, v, size in (node.args for node in expr.atoms(Largest, ArgLargest)):
        yield v, (sp.S.One, size)


def _extreme(
    subscript: sp.Expr, limits: Mapping[sp.Symbol, tuple[sp.Expr, sp.Expr]], least: bool
) -> sp.Expr | None:
    """The least or largest value of an affine subscript, None of any other."""
    if subscript.has(sp.Indexed):
        return None
    found = sp.expand(subscript)
    for v in subscript.free_symbols & set(limits):
        slope = found.coeff(v)
        if not slope.is_Rational or (found - slope * v).has(v):
            return None
        found = found.xreplace({v: limits[v][0 if slope.is_positive == least else 1]})
    return found
