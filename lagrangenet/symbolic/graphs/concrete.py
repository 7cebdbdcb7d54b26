"""From opaque functions to those of a graph: σ, ℓ and Ω put into the parts of a condition.

Derivatives come from :mod:`lagrangenet.symbolic.derivatives`. Where y = f(x) holds, they are written
through y: exp(x) and 1/√(v + ε) are states already, and their derivatives are products of states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sympy as sp

from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.functions import base as f
from lagrangenet.graph import Graph
from lagrangenet.layers.equation import Sigma
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.curvature import curvature, s
from lagrangenet.symbolic.derivatives import jacobian, penalty, slope
from lagrangenet.symbolic.graphs.elimination import Part, parts
from lagrangenet.symbolic.graphs.network import (
    LABELS,
    WEIGHTS,
    Network,
    NetworkCondition,
    Summand,
)
from lagrangenet.symbolic.graphs.pieces import base, dotted, multiplier
from lagrangenet.symbolic.losses import loss_at
from lagrangenet.symbolic.tangent import tangent


@dataclass(frozen=True)
class Functions:
    """The functions of one graph.

    Attributes
    ----------
    network : Network
    feasible : bool
        Whether y = f holds, so that derivatives may be written through states.
    """

    network: Network
    feasible: bool = True

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.network.graph

    def condition(self, condition: NetworkCondition, order: int = 1) -> NetworkCondition:
        """A condition with the graph's functions in it; at the output with its loss, see `fused`."""
        fused = self.fused(condition, order)
        found = []
        for summand in condition.summands:
            if fused is not None and summand.equation == self.graph.output:
                continue
            found += [
                replace(summand, part=self._folded(part, summand, condition))
                for part in self.parts(summand.part, condition)
                if part.factor != 0
            ]
        if fused is not None:
            found += fused
        return replace(condition, summands=tuple(found))

    def parts(self, part: Part, condition: NetworkCondition) -> tuple[Part, ...]:
        """A part with functions in it; deltas of a Jacobian are collapsed again."""
        placed = part.factor.replace(_is_opaque, self._function)
        if part.factor == placed:
            return (part,)
        if not placed.has(sp.KroneckerDelta) or part.factor.has(sp.KroneckerDelta):
            return (replace(part, factor=placed),)
        expanded = sp.expand(placed)
        total = sp.Sum(expanded, *part.bound) if part.bound else expanded
        ranges = {v: (a, b) for v, a, b in condition.ranges}
        found = parts(total, ranges, False, frozenset())
        return tuple(
            replace(p, guards=(*p.guards, *part.guards), stores=part.stores) for p in found
        )

    # -- single functions ------------------------------------------------------------------------

    def _function(self, node: sp.Expr) -> sp.Expr:
        if node.name == "omega":
            assert self.graph.regularizer is not None
            return penalty(self.graph.regularizer, node.order).xreplace({f.w: node.args[-1]})
        if node.name == "ell":
            return self._loss(node)
        if isinstance(node, l.Opaque) and node.order:
            argument = node.args[1]
            return slope(self._choice(node), node.order).xreplace(
                {f.x: self._value(node), f.z: argument}
            )
        return self._jacobian(node) if isinstance(node, l.Partial) else node

    def _choice(self, node: sp.Expr) -> Choice:
        chosen = self.network.activation(str(node.args[0]))
        assert chosen is not None
        return chosen

    def _value(self, node: sp.Expr) -> sp.Expr:
        """σ(z): the state that has this value, or the function itself."""
        argument = node.args[1]
        known = self._state_of(node.args[0], argument)
        return l.sigma(*node.args) if known is None else known

    def _state_of(self, label: sp.Symbol, argument: sp.Expr) -> sp.Expr | None:
        if not self.feasible or not isinstance(argument, sp.Indexed):
            return None
        found = self.network.values.get((str(label), str(argument.base.label)))
        if found is None:
            return None
        z, y = found
        return y.xreplace(dict(zip(z.indices, argument.indices, strict=True)))

    def _loss(self, node: sp.Expr) -> sp.Expr:
        """ℓ, ∂ℓ/∂x_p or ∂²ℓ/∂x_p∂x_r at the sample and components of an opaque ℓ."""
        order = node.order if isinstance(node, l.Partial) else 0
        vector, size = node.args[-2:]
        labels, components = node.args[: -2 - order], node.args[len(node.args) - 2 - order : -2]
        label, weight = LABELS[(*labels, l.STAR)], WEIGHTS[l.STAR]
        return loss_at(self.graph.loss, label, vector, weight, size, components)

    def _jacobian(self, node: sp.Expr) -> sp.Expr:
        label, *components, vector, size = node.args
        choice = self._choice(node)
        through = self._state_of(label, vector) is not None
        derivative = (jacobian if node.order == 1 else curvature)(choice, through)
        matrix = derivative.xreplace(dict(zip((f.p, f.r, s), components, strict=False)))

        def known(e: sp.Expr) -> sp.Expr:
            if isinstance(e, l.Coupled):
                return l.sigma_vector(label, e.args[1], vector, size)
            here = vector if e.base == f.Z else self._state_of(label, vector)
            assert here is not None
            return here.xreplace({l.STAR: e.indices[0]})

        def local(e: sp.Expr) -> bool:
            return isinstance(e, l.Coupled) or (
                isinstance(e, sp.Indexed) and (e.base == f.Z or str(e.base) == "x")
            )

        return matrix.replace(local, known).xreplace({f.n: size})

    # -- through values --------------------------------------------------------------------------

    def _folded(self, part: Part, summand: Summand, condition: NetworkCondition) -> Part:
        """The forward expression of the equation, where it reappears, as its state."""
        if summand.use is None or not self.feasible:
            return part
        use = summand.use
        equation = next(e for e in use.equations if use.names[e.name] == summand.equation)
        forward = equation.forward
        if (
            forward.is_Add
            or isinstance(forward, sp.Sum)
            or not forward.has(sp.Function, sp.Pow)
            or forward.has(Sigma)
        ):
            return part
        if forward.has(sp.KroneckerDelta) or any(
            e.base.is_integer for e in forward.atoms(sp.Indexed)
        ):
            return part
        names = {multiplier(summand.equation), dotted(multiplier(summand.equation))}
        lams = [e for e in part.factor.atoms(sp.Indexed) if str(e.base.label) in names]
        at = min(lams, key=str).indices if lams else condition.target.indices
        if condition.label == "S1" or len(at) != len(equation.state.indices):
            return part
        swap = dict(zip(equation.state.indices, at, strict=True))
        expr = _global(forward, use.names, use.sizes).xreplace(swap)
        return replace(part, factor=part.factor.subs(expr, base(summand.equation)[at]))

    # -- output and loss together ------------------------------------------------------------------

    def fused(self, condition: NetworkCondition, order: int) -> list[Summand] | None:
        """What the output passes to its preactivation, with λ at the output put in, or None.

        ∂ℓ/∂x of the cross-entropy is −y/x; in J_σᵀ λ the quotient cancels. The labels' property
        Σ_p y_p = 1 is used here, and only here. For the tangent, the result is differentiated.
        """
        if not self.feasible or not self.graph.loss_entry.needs_simplex:
            return None
        found = self.network.values.get((self.graph.output, condition.wrt))
        if found is None or str(found[1].base.label) != self.graph.output:
            return None
        (output,) = (c for c in self.network.conditions(1) if c.wrt == self.graph.output)
        through = next(c for c in self.network.conditions(1) if c.wrt == condition.wrt)
        if len(output.summands) > 1:
            return None
        (summand,) = (e for e in through.summands if e.equation == self.graph.output)
        name = multiplier(self.graph.output)
        (loss,) = (self._collapsed(e.part, output) for e in output.summands)

        def lam_at(e: sp.Indexed) -> sp.Expr:
            swap = dict(zip(output.target.indices, e.indices, strict=True))
            return loss.xreplace(swap)

        expr = sp.Add(*(p.expr for p in self.parts(summand.part, through)))
        expr = expr.replace(
            lambda e: isinstance(e, sp.Indexed) and str(e.base.label) == name, lam_at
        )
        expr = self._labels_summed(sp.expand(sp.expand(expr).replace(_is_sum, _without_constants)))
        if order == 2:
            expr = tangent(expr, {base(self.graph.output): base(dotted(self.graph.output))})
        swap = dict(zip(through.target.indices, condition.target.indices, strict=True))
        ranges = {v: (a, b) for v, a, b in condition.ranges}
        return [Summand(p) for p in parts(expr.xreplace(swap), ranges, False, frozenset())]

    def _collapsed(self, part: Part, condition: NetworkCondition) -> sp.Expr:
        return sp.Add(*(p.expr for p in self.parts(part, condition)))

    def _labels_summed(self, expr: sp.Expr) -> sp.Expr:
        if self.graph.loss_entry.labels != "distribution":
            return expr

        def of_labels(e: sp.Expr) -> bool:
            return _is_sum(e) and isinstance(e.function, sp.Indexed) and e.function.base == LABELS

        return expr.replace(of_labels, lambda _: sp.S.One)

    # -- the objective ---------------------------------------------------------------------------

    def loss(self) -> sp.Expr:
        """The data term of J; at feasible points with log x written through z if x is a softmax."""
        expr = self.network.loss.replace(_is_opaque, self._function)
        choice = self.network.activation(self.graph.output)
        if not self.feasible or choice is None or self.graph.output_activation is None:
            return expr
        return _log_of_output(expr, choice, self.network)

    def penalty(self) -> tuple[sp.Expr, ...]:
        """The terms of ρ Ω, one for each parameter."""
        terms = sp.Add.make_args(sp.expand(self.network.penalty)) if self.network.penalized else ()
        return tuple(term.replace(_is_opaque, self._function) for term in terms)


def _is_opaque(e: sp.Expr) -> bool:
    return isinstance(e, l.Opaque | l.Coupled | l.Partial)


def _is_sum(e: sp.Expr) -> bool:
    return isinstance(e, sp.Sum)


def _without_constants(total: sp.Sum) -> sp.Expr:
    outside, inside = total.function.as_independent(*(v for v, *_ in total.limits), as_Add=False)
    return outside * sp.Sum(inside, *total.limits)


def _global(expr: sp.Expr, names: Mapping[str, str], sizes: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    def change(e: sp.Indexed) -> sp.Expr:
        return base(names[str(e.base.label)])[e.indices]

    return expr.replace(lambda e: isinstance(e, sp.Indexed), change).xreplace(dict(sizes))


def _log_of_output(expr: sp.Expr, choice: Choice, network: Network) -> sp.Expr:
    """Log x = z − log Σ_r exp(z_r) for x = softmax(z); holds for every z, and does not underflow."""
    entry = ACTIVATIONS[choice.name]
    if not entry.coupled:
        return expr
    expanded = sp.expand_log(sp.log(entry.expr), force=True)
    (z, y), *_ = [
        pair for pair in network.values.values() if str(pair[1].base.label) == network.graph.output
    ]
    size = network.graph.shapes[network.graph.output][-1][1]

    def change(node: sp.Expr) -> sp.Expr:
        swap = dict(zip(y.indices, node.args[0].indices, strict=True))
        here = z.xreplace(swap)
        vector = here.base[(*here.indices[:-1], l.STAR)]
        written = expanded.replace(
            lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.Sum),
            lambda _: l.LogSumExp(vector, size),
        )
        return written.xreplace({f.Z[f.p]: here})

    return expr.replace(
        lambda e: isinstance(e, sp.log) and isinstance(e.args[0], sp.Indexed), change
    )
