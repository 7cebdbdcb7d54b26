"""Conditions as statements: in an order in which each reads what is there already.

A loop runs over t where states depend on earlier ones (a recurrence), and over the taps of a window
where several of its positions are added to the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import Choice
from lagrangenet.layers.equation import M, Shape
from lagrangenet.routines.graph_ir import Loop, Statement, Store, When, Zeros
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.graphs.arrays import Arrays, Read, Span, Subscript
from lagrangenet.symbolic.graphs.elimination import Part
from lagrangenet.symbolic.graphs.network import LABELS, WEIGHTS, Network, NetworkCondition
from lagrangenet.symbolic.graphs.pieces import dotted, multiplier
from lagrangenet.symbolic.graphs.writing import formulas
from lagrangenet.symbolic.tensor import Node


class Statements:
    """Conditions of one graph, lowered."""

    def __init__(self, network: Network) -> None:
        self.network, self.graph = network, network.graph
        self.shapes = _shapes(network)
        self.taken = {*self.shapes, *map(str, self.graph.sizes), "M", "e"}

    # -- a sequence of conditions ------------------------------------------------------------------

    def body(self, conditions: Iterable[NetworkCondition]) -> tuple[Statement, ...]:
        """The statements of conditions in an order in which each reads what is there already."""
        listed = list(conditions)
        by_name = {str(c.target.base.label): c for c in listed}
        reads = {name: reads_of(c) & set(by_name) for name, c in by_name.items()}
        found: list[Statement] = []
        for group in _components(reads):
            if len(group) == 1 and group[0] not in reads[group[0]]:
                found += self.statements(by_name[group[0]])
            else:
                found += self.recurrence([by_name[name] for name in group])
        return tuple(found)

    def statements(
        self, condition: NetworkCondition, sign: int = 1, ahead: tuple[sp.Indexed, ...] = ()
    ) -> list[Statement]:
        """Target = Σ parts; ``ahead`` are terms in front, such as the unknown of a residual.

        Raises
        ------
        DerivationError
            Naming the condition, if it has no array form.
        """
        try:
            return self._statements(condition, sign, ahead)
        except DerivationError as error:
            raise DerivationError(
                f"({condition.label}) of {condition.wrt!r} has no code: {error}"
            ) from None

    def _statements(
        self, condition: NetworkCondition, sign: int, ahead: tuple[sp.Indexed, ...]
    ) -> list[Statement]:
        name, ranges = str(condition.target.base.label), condition.ranges
        axes = condition.target.indices
        extent = {v: high - low + 1 for v, low, high in ranges}
        limits = {v: (low, high) for v, low, high in ranges}
        every = [s.part.unguarded(limits) for s in condition.summands]
        plain = [part for part in every if not part.stores]
        stored = [part for part in every if part.stores]
        if any(part.guards for part in (*plain, *stored)):
            raise DerivationError("it holds only for some subscripts")
        arrays = self.arrays(extent)
        terms = [arrays.build(e, axes) for e in ahead]
        terms += [self.signed(arrays, part, axes, sign) for part in plain]
        terms.sort(key=lambda term: -len(term.axes))
        value = t.total(terms, axes) if terms else None
        label, line = condition.label, self.line(condition)
        full = value is not None and set(value.axes) == set(axes)
        starts_at_zero = (
            ranges
            and self.shapes[name][1:2]
            and self.shapes[name] != tuple((low, high) for _, low, high in ranges)
        )
        if full and not stored and not starts_at_zero:
            assert value is not None
            return [Store(name, self.positive(value), (), axes, False, label, line)]
        found: list[Statement] = [Zeros(name, self.lengths(name))]
        whole = tuple(arrays.subscript(v, limits)[0] for v, limits in
                      zip(axes, self.shapes[name], strict=True))  # fmt: skip
        if value is not None:
            found.append(Store(name, self.positive(value), whole, axes, True, label, line))
        for part in stored:
            found.append(self.stored(condition, part, sign, label, line if value is None else ""))
            line = ""
        return found

    def signed(self, arrays: Arrays, part: Part, axes: t.Axes, sign: int) -> Node:
        """A part as a tree, or its negative."""
        node = arrays.product([part.factor], {v: b for v, _, b in part.bound}, axes)
        return node if sign > 0 else t.negate(node)

    def stored(
        self, condition: NetworkCondition, part: Part, sign: int, label: str, line: str
    ) -> Statement:
        """A part that is added at subscripts; a loop for each index but one in a subscript."""
        bound = {v: high for v, _, high in part.bound}
        carried = {v for e in part.factor.atoms(sp.Indexed) if M in _upper(self.shapes, e)
                   for v in e.indices}  # fmt: skip
        loops: dict[sp.Symbol, sp.Symbol] = {}
        for _, subscript in part.stores:
            running = sorted((v for v in subscript.free_symbols & set(bound)), key=str)
            if subscript.atoms(sp.Indexed) or len(running) < 2:
                continue
            keep = next((v for v in reversed(running) if v in carried), running[-1])
            for v in running:
                if v != keep and v not in loops:
                    loops[v] = sp.Symbol(
                        _free(v.name, self.taken | {s.name for s in loops.values()}), integer=True
                    )
        inside = part.xreplace({v: s + 1 for v, s in loops.items()}) if loops else part
        extent = {v: b for v, b in bound.items() if v not in loops}
        extent |= {v: high - low + 1 for v, low, high in condition.ranges}
        arrays = self.arrays(extent, frozenset(loops.values()))
        at = dict(inside.stores)
        subscripts: list[Subscript] = []
        axes: list[sp.Symbol] = []
        name = str(condition.target.base.label)
        for v, limits in zip(condition.target.indices, self.shapes[name], strict=True):
            subscript, places = arrays.subscript(at.get(v, v), limits)
            subscripts.append(subscript)
            axes += places
        summed = {v: b for v, b in bound.items() if v not in loops and v not in axes}
        value = arrays.product([inside.factor], summed, tuple(axes))
        value = value if sign > 0 else t.negate(value)
        statement: Statement = Store(
            name, self.positive(value), tuple(subscripts), tuple(axes), True, label, line
        )
        for v, symbol in reversed(loops.items()):
            statement = Loop(symbol, sp.S.Zero, bound[v] - 1, (statement,))
        return statement

    # -- recurrences -------------------------------------------------------------------------------

    def recurrence(self, group: list[NetworkCondition]) -> list[Statement]:
        """Conditions that read each other at neighbouring values of one index, in a loop over it."""
        names = {str(c.target.base.label): c for c in group}
        position, shift = self.direction(names)
        first = next(iter(names.values()))
        _, low, high = first.ranges[position]
        step = sp.Symbol(_free("t", self.taken), integer=True)
        found: list[Statement] = [Zeros(name, self.lengths(name)) for name in names]
        body: list[Statement] = []
        same_step = {
            name: {r for r in _reads_at(c, c.target.indices[position], position) if r in names}
            for name, c in names.items()
        }
        for component in _components(same_step):
            if len(component) > 1:
                raise DerivationError(f"{', '.join(component)} depend on each other at once")
            body += self.step(names[component[0]], position, step)
        return [*found, Loop(step, low, high, tuple(body), reverse=shift > 0)]

    def direction(self, names: Mapping[str, NetworkCondition]) -> tuple[int, int]:
        """The axis along which the conditions are coupled, and whether forwards or backwards."""
        for condition in names.values():
            for summand in condition.summands:
                for e in summand.part.factor.atoms(sp.Indexed):
                    if str(e.base.label) not in names:
                        continue
                    for position, index in enumerate(e.indices):
                        shift = sp.expand(index - condition.target.indices[position])
                        if shift.is_Integer and shift != 0:
                            return position, int(shift)
        listed = ", ".join(map(repr, names))
        raise DerivationError(f"the states {listed} depend on each other at once")

    def step(self, condition: NetworkCondition, position: int, step: sp.Symbol) -> list[Statement]:
        """One condition inside the loop: target[t] = Σ parts, guarded ones in an if."""
        name, v = str(condition.target.base.label), condition.target.indices[position]
        axes = tuple(a for a in condition.target.indices if a != v)
        extent = {a: high - low + 1 for a, low, high in condition.ranges if a != v}
        arrays = self.arrays(extent, frozenset({step}))
        swap = {v: step}
        subscripts = tuple(
            arrays.subscript(index.xreplace(swap), limits)[0]
            for index, limits in zip(condition.target.indices, self.shapes[name], strict=True)
        )
        plain: list[Part] = []
        guarded: list[Part] = []
        for summand in condition.summands:
            part = summand.part.xreplace(swap)
            if part.stores:
                raise DerivationError(f"{name} stores inside a recurrence")
            (guarded if part.guards else plain).append(part)
        line = self.line(condition)
        found: list[Statement] = []
        if plain:
            value = t.total([self.signed(arrays, p, axes, 1) for p in plain], axes)
            found.append(
                Store(name, self.positive(value), subscripts, axes, False, condition.label, line)
            )
            line = ""
        for part in guarded:
            (guard,) = part.guards
            value = self.signed(arrays, part, axes, 1)
            store = Store(name, self.positive(value), subscripts, axes, bool(plain),
                          condition.label, line)  # fmt: skip
            low, middle, high = guard.args
            if found and isinstance(found[-1], When) and found[-1].value == middle:
                store = Store(name, store.value, subscripts, axes, True)
                found[-1] = When(low, middle, high, (*found[-1].body, store))
            else:
                found.append(When(low, middle, high, (store,)))
            line = ""
        return found

    # -- pieces --------------------------------------------------------------------------------------

    def arrays(
        self, extent: Mapping[sp.Symbol, sp.Expr], loops: frozenset[sp.Symbol] = frozenset()
    ) -> Arrays:
        """The translation to arrays, where some indices run and others are numbers of loops."""
        return Arrays(self.shapes.__getitem__, self.choice, extent, loops)

    def line(self, condition: NetworkCondition) -> str:
        """The formula of a condition, for its comment."""
        order = 1 if condition.label.startswith("S") else 2
        return formulas(self.graph, order)[condition.label, condition.wrt]

    def choice(self, state: str) -> Choice:
        """The activation of a constraint."""
        chosen = self.network.activation(state)
        assert chosen is not None
        return chosen

    def lengths(self, name: str) -> tuple[sp.Expr, ...]:
        """The lengths of an array's axes."""
        return tuple(sp.expand(high - low + 1) for low, high in self.shapes[name])

    def whole(self, name: str, axes: t.Axes) -> Read:
        """An array at all its positions."""
        spans = tuple(Span(sp.S.Zero, sp.S.One, n, True) for n in self.lengths(name))
        return Read(axes, name, spans)

    def positive(self, node: Node) -> Node:
        """Outputs that divide and may underflow, kept above zero."""
        if not self.graph.loss_entry.needs_simplex:
            return node

        def change(one: Node) -> Node:
            if not isinstance(one, t.Product):
                return one
            divisors = tuple(_bounded(d, self.graph.output) for d in one.divisors)
            return t.Product(one.axes, one.factors, divisors)

        return node.map(change)


def _bounded(node: Node, output: str) -> Node:
    if isinstance(node, t.Power) and isinstance(node.base, Read) and node.base.name == output:
        return t.Power(node.axes, _bounded(node.base, output), node.exponent)
    if isinstance(node, Read) and node.name == output:
        return t.Call(node.axes, t.Fn("positive"), (node,))
    return node


def _shapes(network: Network) -> dict[str, Shape]:
    """Ranges of every array of the code, by name."""
    graph = network.graph
    found: dict[str, Shape] = dict(graph.shapes)
    found[str(LABELS.label)] = graph.shapes[graph.output]
    found[str(WEIGHTS.label)] = graph.shapes[graph.output][-1:]
    for name in graph.states:
        ones = tuple((sp.S.One, high) for _, high in graph.shapes[name])
        found[multiplier(name)] = found[f"res_{name}"] = found[f"res_lambda_{name}"] = ones
        found[dotted(name)], found[dotted(multiplier(name))] = graph.shapes[name], ones
    for name in graph.parameters:
        for other in (f"grad_{name}", f"hess_{name}", f"res_{name}", dotted(name)):
            found[other] = graph.shapes[name]
    return found


def _upper(shapes: Mapping[str, Shape], e: sp.Indexed) -> tuple[sp.Expr, ...]:
    return tuple(high for _, high in shapes[str(e.base.label)])


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def reads_of(condition: NetworkCondition) -> set[str]:
    """Names of the arrays that a condition reads."""
    return {str(e.base.label) for s in condition.summands for e in s.part.expr.atoms(sp.Indexed)}


def _reads_at(condition: NetworkCondition, v: sp.Symbol, position: int) -> set[str]:
    """Names read at the same value of the recurrence's index."""
    return {
        str(e.base.label)
        for s in condition.summands
        for e in s.part.factor.atoms(sp.Indexed)
        if len(e.indices) > position and e.indices[position] == v
    }


def _components(reads: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, each after those that it reads (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    for root in reads:
        work = [(root, iter(sorted(reads[root])))] if root not in order else []
        if work:
            order[root] = low[root] = len(order)
            stack.append(root)
        while work:
            name, children = work[-1]
            child = next(children, None)
            if child is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == order[name]:
                    at = stack.index(name)
                    found.append(stack[at:])
                    del stack[at:]
            elif child not in order:
                order[child] = low[child] = len(order)
                stack.append(child)
                work.append((child, iter(sorted(reads[child]))))
            elif child in stack:
                low[name] = min(low[name], order[child])
    return found
