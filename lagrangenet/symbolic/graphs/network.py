"""The stationarity conditions of a graph: its layers' contributions in its own names and sizes.

    L(x, θ, λ) = J + Σ_y ⟨λ_y, y − f_y(x, θ)⟩

Since L is a sum, what a state passes on to its multiplier is the sum over all constraints that read
it, and the gradient of a shared parameter is the sum over all constraints that use it. Conditions
are solved for the one unknown in which they are linear with coefficient 1:

    ∂L/∂λ_y = 0    y   = f_y                                       (S1)
    ∂L/∂x   = 0    λ_x = Σ ∂⟨λ_y, f_y⟩/∂x − ∂J/∂x                  (S2 at the output, S3)
    ∂L/∂W          ∂J/∂W − Σ ∂⟨λ_y, f_y⟩/∂W                        (S5, the gradient)

and those of the tangent Lagrangian L̇ in the same way for ẏ, λ̇_x and the Hessian-vector product
(T1, T2, T3, T5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import sympy as sp

from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.graph import Graph, Use
from lagrangenet.layers.equation import Sigma
from lagrangenet.symbolic.graphs import pieces
from lagrangenet.symbolic.graphs.elimination import Part
from lagrangenet.symbolic.graphs.objective import Limits, derivative, loss_term, penalty_term
from lagrangenet.symbolic.graphs.pieces import base, dotted, multiplier

Rename = Callable[[sp.Expr], sp.Expr]
#: The labels y of the loss.
LABELS = base("Y")
#: The class weights c of the loss, under a name that no array of a graph has.
WEIGHTS = base("class_weights")


@dataclass(frozen=True)
class Summand:
    """One term of a condition: the part, and the constraint it comes from (None for J)."""

    part: Part
    use: Use | None = None
    equation: str = ""


@dataclass(frozen=True)
class NetworkCondition:
    """∂L/∂v = 0 (or ∂L̇/∂v = 0), solved for its unknown; or ∂L/∂W, which has none.

    Attributes
    ----------
    label : str
        S1, S2, S3, S5, or T1, T2, T3, T5.
    wrt : str
        The name of v.
    target : sympy.Indexed
        The unknown, or the derivative, at its free indices.
    ranges : tuple of (index, lower, upper)
        Of the free indices.
    summands : tuple of Summand
        Their sum is the unknown (the derivative).
    """

    label: str
    wrt: str
    target: sp.Indexed
    ranges: Limits
    summands: tuple[Summand, ...]

    @property
    def expr(self) -> sp.Expr:
        """The right-hand side as one SymPy expression."""
        return sp.Add(*(summand.part.expr for summand in self.summands))


@dataclass(frozen=True)
class Network:
    """All conditions of a graph.

    Attributes
    ----------
    graph : Graph
    store : bool
        How terms with affine subscripts are written, see :mod:`.elimination`.
    """

    graph: Graph
    store: bool = True

    def conditions(self, order: int = 1) -> tuple[NetworkCondition, ...]:
        """Forward, backward and gradient, in this order; of L̇ for order 2."""
        return self._second if order == 2 else self._first

    @cached_property
    def _first(self) -> tuple[NetworkCondition, ...]:
        return tuple(self._derive(1))

    @cached_property
    def _second(self) -> tuple[NetworkCondition, ...]:
        return tuple(_moving(self.every_tangent))

    @cached_property
    def every_tangent(self) -> tuple[NetworkCondition, ...]:
        """The conditions of L̇ where every state may move, also one that θ does not move."""
        return tuple(self._derive(2))

    @cached_property
    def constants(self) -> frozenset[str]:
        """States without a multiplier: maxima that are subtracted, and positions of maxima."""
        return frozenset(
            use.names[name]
            for use in self.graph.uses
            for name in pieces.constant_states(use.layer, use.constraint.options)
        )

    @cached_property
    def values(self) -> Mapping[tuple[str, str], tuple[sp.Indexed, sp.Indexed]]:
        """Every z and y of an equation y = σ(z), at the same indices, by constraint and name of z."""
        found = {}
        for use in self.graph.uses:
            for equation in use.equations:
                (argument,) = (
                    equation.forward.args if isinstance(equation.forward, Sigma) else [None]
                )
                if isinstance(argument, sp.Indexed):
                    z = base(use.names[str(argument.base.label)])[argument.indices]
                    y = base(use.names[equation.name])[equation.state.indices]
                    found[use.constraint.state, str(z.base.label)] = (z, y)
        return found

    @cached_property
    def _indices(self) -> Mapping[str, tuple[sp.Symbol, ...]]:
        """The indices that each state has in its own equation."""
        return {u.names[e.name]: e.state.indices for u in self.graph.uses for e in u.equations}

    def activation(self, state: str) -> Choice | None:
        """The activation of the constraint that determines a state."""
        return next(c.activation for c in self.graph.constraints if c.state == state)

    # -- derivation ------------------------------------------------------------------------------

    def _derive(self, order: int) -> Iterator[NetworkCondition]:
        tag, flow = "ST"[order - 1], self._flows(order)
        for name in self.graph.states:
            lam = multiplier(name)
            for target, limits, summands in flow.get(lam, ()):
                found = base(name if order == 1 else dotted(name))[target.indices]
                yield NetworkCondition(f"{tag}1", lam, found, limits, summands)
        order_of = [s for s in reversed(self.graph.states) if s not in self.constants]
        for name in (*order_of, *self.graph.parameters):
            state = name in self.graph.states
            merged = self._merged(name, [*flow.get(name, ()), *self._objective(name, order)])
            if merged is None and not state:
                continue
            # A state that nothing reads has λ = 0, at the indices of its own equation.
            target, limits, summands = merged or (*flow[multiplier(name)][0][:2], ())
            if state:
                label = "2" if all(s.use is None for s in summands) else "3"
                unknown = multiplier(name) if order == 1 else dotted(multiplier(name))
            else:
                label, unknown = "5", f"grad_{name}" if order == 1 else f"hess_{name}"
                summands = tuple(
                    s if s.use is None else Summand(_negative(s.part), s.use, s.equation)
                    for s in summands
                )
            yield NetworkCondition(
                f"{tag}{label}", name, base(unknown)[target.indices], limits, summands
            )

    def _flows(self, order: int) -> dict[str, list[tuple[sp.Indexed, Limits, tuple[Summand, ...]]]]:
        """∂P/∂v of every equation, by the name of v."""
        flows: dict[str, list[tuple[sp.Indexed, Limits, tuple[Summand, ...]]]] = {}
        inputs = {name for name, _ in self.graph.inputs}
        for use in self.graph.uses:
            rename = self._renaming(use)
            for contribution in pieces.contributions(
                use.layer, use.constraint.options, _coupled(use), order, self.store
            ):
                wrt = rename(contribution.wrt)
                name = str(wrt.base.label)
                if name in inputs:
                    continue
                limits = tuple((v, a, b.xreplace(use.sizes)) for v, a, b in contribution.ranges)
                renamed = (_renamed(part, rename, use) for part in contribution.parts)
                still = {dotted(name) for name in inputs}
                summands = tuple(
                    Summand(part, use, use.names[contribution.equation])
                    for part in (_without(part, still) for part in renamed)
                    if part.factor != 0
                )
                flows.setdefault(name, []).append((wrt, limits, summands))
        return flows

    def _renaming(self, use: Use) -> Rename:
        names = dict(use.names)
        for local, name in use.names.items():
            names[dotted(local)] = dotted(name)
            names[multiplier(local)] = multiplier(name)
            names[dotted(multiplier(local))] = dotted(multiplier(name))

        def rename(expr: sp.Expr) -> sp.Expr:
            def change(e: sp.Indexed) -> sp.Expr:
                label = str(e.base.label)
                array = sp.IndexedBase(names[label], **_kind(e))
                return array[e.indices]

            swap = {**use.sizes, pieces.LABEL: sp.Symbol(use.constraint.state)}
            return expr.replace(lambda e: isinstance(e, sp.Indexed), change).xreplace(swap)

        return rename

    def _merged(
        self, name: str, flows: list[tuple[sp.Indexed, Limits, tuple[Summand, ...]]]
    ) -> tuple[sp.Indexed, Limits, tuple[Summand, ...]] | None:
        """All contributions to one array at the same free indices."""
        if not flows:
            return None
        first, limits, _ = flows[0]
        free = _distinct(self._indices.get(name, first.indices))
        rename = dict(zip(first.indices, free, strict=True))
        ranges = tuple((rename[v], a, b) for v, a, b in limits)
        summands = []
        for wrt, _, found in flows:
            swap = dict(zip(wrt.indices, free, strict=True))
            summands += [Summand(s.part.xreplace(swap), s.use, s.equation) for s in found]
        return base(name)[free], ranges, tuple(summands)

    # -- the objective ---------------------------------------------------------------------------

    @cached_property
    def loss(self) -> sp.Expr:
        """(1/M) Σ_i ℓ(y_i, x_i), the data term of J; ℓ is opaque."""
        return loss_term(self.graph.output, self.graph.shapes[self.graph.output])

    @cached_property
    def penalty(self) -> sp.Expr:
        """ρ Σ ω(W) over the parameters that are regularized."""
        return sp.Add(*(penalty_term(n, self.graph.shapes[n]) for n in self.penalized))

    @property
    def penalized(self) -> tuple[str, ...]:
        """Weights: parameters with two or more axes; with biases, all."""
        if self.graph.regularizer is None:
            return ()
        everything = bool(dict(self.graph.regularizer.parameters).get("biases", False))
        shapes = self.graph.shapes
        return tuple(n for n in self.graph.parameters if everything or len(shapes[n]) > 1)

    def _objective(
        self, name: str, order: int
    ) -> Iterator[tuple[sp.Indexed, Limits, tuple[Summand, ...]]]:
        """−∂J/∂x of the output, +∂J/∂W of a penalized parameter."""
        output = name == self.graph.output
        if output or name in self.penalized:
            shape = self.graph.shapes[name]
            free, found = derivative(name, shape, order, output)
            ranges = tuple((v, a, b) for v, (a, b) in zip(free, shape, strict=True))
            yield base(name)[free], ranges, tuple(Summand(part) for part in found)


@cache
def network(graph: Graph, store: bool = True) -> Network:
    """The conditions of a graph, derived once."""
    return Network(graph, store)


def _moving(conditions: Iterable[NetworkCondition]) -> Iterator[NetworkCondition]:
    """Conditions of L̇ without those whose unknown is zero, and without the terms it occurs in."""
    still: set[str] = set()
    for condition in conditions:
        parts_left = [(s, _without(s.part, still)) for s in condition.summands]
        kept = tuple(replace(s, part=part) for s, part in parts_left if part.factor != 0)
        if kept or condition.label == "T5":
            yield replace(condition, summands=kept)
        else:
            still.add(str(condition.target.base.label))


def _coupled(use: Use) -> bool:
    chosen = use.constraint.activation
    return chosen is not None and ACTIVATIONS[chosen.name].coupled


def _kind(e: sp.Indexed) -> dict[str, bool]:
    return {"integer": True, "positive": True} if e.base.is_integer else {"real": True}


def _renamed(part: Part, rename: Rename, use: Use) -> Part:
    return Part(
        rename(part.factor),
        tuple((v, a.xreplace(use.sizes), b.xreplace(use.sizes)) for v, a, b in part.bound),
        tuple(rename(g) for g in part.guards),
        tuple((v, rename(e)) for v, e in part.stores),
    )


def _negative(part: Part) -> Part:
    return Part(-part.factor, part.bound, part.guards, part.stores)


def _without(part: Part, still: set[str]) -> Part:
    """A part of L̇ in which some arrays do not move: their tangents are zero."""

    def moving(e: sp.Expr) -> bool:
        return isinstance(e, sp.Indexed) and str(e.base.label) in still

    if not still or not any(moving(e) for e in part.factor.atoms(sp.Indexed)):
        return part
    zero = part.factor.replace(moving, lambda _: sp.S.Zero)
    return Part(zero.replace(lambda e: isinstance(e, sp.Sum) and e.function == 0, lambda _: sp.S.Zero),
                part.bound, part.guards, part.stores)  # fmt: skip


def _distinct(free: tuple[sp.Symbol, ...]) -> tuple[sp.Symbol, ...]:
    """Free indices with different letters."""
    letters, found = iter("jlmnoabcdefg"), []
    taken: set[str] = set()
    for v in free:
        name = v.name
        while name in taken:
            name = next(letters)
        taken.add(name)
        found.append(sp.Dummy(name, integer=True, positive=True))
    return tuple(found)
