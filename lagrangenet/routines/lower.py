"""Lowering: the conditions of a derivation, at the layers of a problem, as routines.

∂L/∂λ = 0 becomes ``forward``, ∂L/∂x = 0 (and ∂L/∂z = 0) ``backward``, ∂L/∂W and ∂L/∂b ``gradient``
and ``update``; the objective becomes ``loss``. These come from the preactivation splitting, in
which every condition is one step. ``residuals`` evaluates ∇L of the activation splitting at any
point, feasible or not; there σ′ is a function of z^k, never of x^k.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import Choice
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import (
    GRADIENTS,
    MULTIPLIERS,
    RESIDUALS,
    STATES,
    THETA,
    Argument,
    Assign,
    Program,
    Routine,
    ref,
)
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.concrete import concrete, log_of_output, simple
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import Condition, tidy
from lagrangenet.symbolic.styles import BRIEF
from lagrangenet.symbolic.tensor import Fn, Node, instantiate

_theta = Argument("theta", THETA)
_states = Argument("states", STATES)
_multipliers = Argument("multipliers", MULTIPLIERS)
_gradients = Argument("gradients", GRADIENTS)
_X, _Y, _eta = Argument("X"), Argument("Y"), Argument("eta")


def lower(derivation: Derivation) -> Program:
    """All routines of a derivation's problem.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> program = lower(Derivation(chain([2, 3, 1])))
    >>> [routine.name for routine in program.routines]
    ['forward', 'loss', 'backward', 'gradient', 'update', 'residuals']
    >>> [line.labels for line in program.routine("backward").body]
    [('S2',), ('S4',), ('S3',), ('S4',)]
    """
    problem = derivation.problem
    if problem is None:
        raise DerivationError("the generic chain has no code; derive a problem")
    steps = _Lowering(problem, derivation.split("preactivation"))
    point = _Lowering(problem, derivation.split("activation"))
    routines = (
        Routine(
            "forward",
            "States z^k, x^k, from ∂L/∂λ^k = 0 (S1) and ∂L/∂μ^k = 0 (S0).",
            (_theta, _X),
            steps.forward(),
            STATES,
        ),
        Routine(
            "loss",
            "J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ).",
            (_theta, _states, _Y),
            steps.loss(),
            ref("J", None),
        ),
        Routine(
            "backward",
            "Multipliers μ^k, λ^k, from ∂L/∂x^k = 0 (S2, S3) and ∂L/∂z^k = 0 (S4).",
            (_theta, _states, _Y),
            steps.backward(),
            MULTIPLIERS,
        ),
        Routine(
            "gradient",
            "∂L/∂W^k (S5) and ∂L/∂b^k (S6): the gradient of J, given x and λ.",
            (_theta, _X, _states, _multipliers),
            steps.gradient(),
            GRADIENTS,
        ),
        Routine(
            "update",
            "One step of gradient descent with step size eta.",
            (_theta, _gradients, _eta),
            steps.update(),
            THETA,
        ),
        Routine(
            "residuals",
            "∇L at any x, λ, θ: ∂L/∂λ^k (S1), ∂L/∂x^k (S2, S3), ∂L/∂W^k (S5), ∂L/∂b^k (S6).",
            (_theta, _X, _Y, _states, _multipliers),
            point.residuals(),
            RESIDUALS,
        ),
    )
    return Program(problem, routines)


class _Lowering:
    """The conditions of one splitting at the layers of one problem."""

    def __init__(self, problem: Problem, derivation: Derivation) -> None:
        self.problem = problem
        self.derivation = derivation
        self.depth = problem.depth
        self.sigmas = [layer.activation for layer in problem.layers]
        self.widths = {l.n(k): sp.Integer(width) for k, width in enumerate(problem.widths)}
        self.positive = problem.loss_entry.needs_simplex

    # -- routines ------------------------------------------------------------------------------

    def forward(self) -> tuple[Assign, ...]:
        layers = range(1, self.depth + 1)
        return tuple(self.solved(label, k) for k in layers for label in ("S0", "S1"))

    def backward(self) -> tuple[Assign, ...]:
        body = [self.solved("S2", self.depth), self.at_output()]
        for k in range(self.depth - 1, 0, -1):
            body += [self.solved("S3", k), self.solved("S4", k)]
        return tuple(body)

    def gradient(self) -> tuple[Assign, ...]:
        layers = range(1, self.depth + 1)
        return tuple(self.residual(label, k) for k in layers for label in ("S5", "S6"))

    def residuals(self) -> tuple[Assign, ...]:
        body: list[Assign] = []
        known: dict[Node, t.Ref] = {}
        for k in range(1, self.depth + 1):
            for line in self.abbreviations(k):
                value = t.substituted(line.value, known)
                known[t.same_shape(value)] = line.target
                body.append(replace(line, value=value))
        for k in range(1, self.depth + 1):
            along = "S2" if k == self.depth else "S3"
            for label in ("S1", along, "S5", "S6"):
                line = self.residual(label, k)
                body.append(replace(line, value=t.substituted(line.value, known)))
        return tuple(body)

    def abbreviations(self, k: int) -> list[Assign]:
        """What the residuals at layer k share: z, σ(z) and σ′(z)ᵀ λ, at any point (x, λ, θ)."""
        lines = []
        lifted = self.derivation.split("preactivation")
        for name, label in (("Z", "S0"), ("S", "S1"), ("mu", "S4")):
            condition = lifted.condition(label, k)
            assert condition.solution is not None
            value = self.value(condition, condition.solution, k, False)
            target = ref(name, k, (l.i, l.p))
            if not isinstance(value, t.Ref):
                formula = self.formula(condition, k).split(" = ", 1)[1]
                lines.append(Assign(target, value, (label,), k, f"{_math(target)} = {formula}"))
        return lines

    def update(self) -> tuple[Assign, ...]:
        body = []
        for k in range(1, self.depth + 1):
            for name, gradient, axes in (("W", "dW", (l.p, l.q)), ("b", "db", (l.p,))):
                old, slope = ref(name, k, axes), ref(gradient, k, axes)
                step = t.product([t.scalar(l.eta), slope], [], axes)
                value = t.total([old, t.negate(step)], axes)
                formula = f"{_math(old)} ← {_math(old)} − η ∂L/∂{_math(old)}"
                body.append(Assign(old, value, ("step",), k, formula))
        return tuple(body)

    def loss(self) -> tuple[Assign, ...]:
        """J: its data term, then what every layer adds."""
        last = self.sigmas[-1]
        body: list[Assign] = []
        total = ref("J", None)
        for term in sorted(self.derivation.lagrangian.objective.args, key=_is_layer_sum):
            written = log_of_output(self.concrete(term, last), last)
            if written == 0:
                continue
            if not _is_layer_sum(term):
                value = self.at(_tree(written, (), last, self.positive), self.depth)
                formula = "J = (1/M) Σ_i ℓ(y_i, x_i^N)"
                body.append(Assign(total, value, ("J",), self.depth, formula))
                continue
            for k in range(1, self.depth + 1):
                value = self.at(_tree(_without_layer_sum(written), (), last, False), k)
                formula = f"+ ρ Ω({_math(ref('W', k))})"
                body.append(Assign(total, t.total([total, value], ()), ("J",), k, formula))
        return tuple(body)

    # -- one condition at one layer ------------------------------------------------------------

    def solved(self, label: str, k: int) -> Assign:
        """The unknown of a condition, from its solution."""
        condition = self.derivation.condition(label, k)
        assert condition.unknown is not None
        assert condition.solution is not None
        value = self.value(condition, condition.solution, k, True)
        target = self.array(condition.tree(condition.unknown, batch=True), k)
        return Assign(target, value, (label,), k, self.formula(condition, k))

    def residual(self, label: str, k: int) -> Assign:
        """∂L/∂v itself, as the array named after v."""
        condition = self.derivation.condition(label, k)
        through_value = self.derivation.splitting == "preactivation"
        value = self.value(condition, condition.residual, k, through_value)
        axes = condition.wrt.indices[1:]
        names = {"S1": "r_lambda", "S2": "r_x", "S3": "r_x", "S5": "dW", "S6": "db"}
        target = ref(names[label], k, axes)
        return Assign(target, value, (label,), k, self.formula(condition, k, as_residual=True))

    def at_output(self) -> Assign:
        """(S4) at the output, with (S2) put in where λ^N has a pole that cancels.

        ∂ℓ/∂x^N of the cross-entropy is y/x; in J_σᵀ λ^N the quotient cancels. The labels' property
        Σ_p y_p = 1 is used here, and only here.
        """
        output = self.derivation.condition("S2", self.depth)
        through = self.derivation.condition("S4", self.depth)
        sigma = self.sigmas[-1]
        assert output.solution is not None
        assert through.solution is not None
        multiplier = self.concrete(output.solution, sigma)
        if not any(_is_pole(e) for e in multiplier.atoms(sp.Pow)):
            return self.solved("S4", self.depth)

        def lam_at(e: sp.Indexed) -> sp.Expr:
            return multiplier.xreplace({l.p: e.indices[2]})

        last = self.concrete(through.solution, sigma).xreplace({l.k: l.N})
        fused = last.replace(lambda e: isinstance(e, sp.Indexed) and e.base == l.lam, lam_at)
        fused = tidy(sp.expand(fused))
        if self.problem.loss_entry.labels == "distribution":
            fused = fused.replace(_is_sum_of_labels, lambda _: sp.S.One)
        fused = simple(fused)
        formula = text(self.at(contract(fused, (l.p,), (l.i,)), self.depth), labels="")
        target = ref("mu", self.depth, (l.i, l.p))
        value = self.at(_tree(fused, (l.i, l.p), sigma, self.positive), self.depth)
        return Assign(target, value, ("S2", "S4"), self.depth, f"{_math(target)} = {formula}")

    # -- pieces --------------------------------------------------------------------------------

    def sigma(self, condition: Condition, k: int) -> Choice:
        """The activation of the layer whose σ occurs in a condition."""
        shift = 1 if condition.label == "S3" else 0
        return self.sigmas[min(k + shift, self.depth) - 1]

    def concrete(self, expr: sp.Expr, sigma: Choice, through_value: bool = True) -> sp.Expr:
        return concrete(expr, sigma, self.problem.loss, self.problem.regularizer, through_value)

    def value(self, condition: Condition, expr: sp.Expr, k: int, through_value: bool) -> Node:
        sigma = self.sigma(condition, k)
        written = self.concrete(expr, sigma, through_value)
        return self.at(_tree(written, condition.wrt.indices[1:], sigma, self.positive), k)

    def array(self, node: Node, k: int) -> t.Ref:
        found = self.at(node, k)
        assert isinstance(found, t.Ref)
        return found

    def at(self, node: Node, k: int) -> Node:
        """A tree at a concrete layer, with the problem's widths for n(k)."""
        return instantiate(node, {l.k: sp.Integer(k), l.N: sp.Integer(self.depth)}, self.widths)

    def formula(self, condition: Condition, k: int, as_residual: bool = False) -> str:
        template, head = _formula(condition, as_residual, self.problem.regularizer is not None)
        labels = "i" if any(isinstance(n, t.Over) for n in template.walk()) else ""
        right = text(self.at(template, k), BRIEF, labels)
        left = text(self.at(head, k), BRIEF, labels)
        if as_residual or condition.unknown is None:
            left = f"∂L/∂{left}"
        return f"{left} = {right}"


@cache
def _tree(expr: sp.Expr, axes: t.Axes, sigma: Choice, positive: bool) -> Node:
    """An expression as array operations at symbolic k, one for all layers with this σ.

    σ^k gets the name of its activation; with ``positive``, states that divide and may underflow
    are kept above zero.
    """
    parameters = tuple(t.scalar(sp.Float(value)) for _, value in sigma.parameters)

    def change(node: Node) -> Node:
        if isinstance(node, t.Call) and node.fn.name == "sigma":
            fn = Fn(sigma.name, coupled=node.fn.coupled)
            return replace(node, fn=fn, args=(*node.args, *parameters))
        if isinstance(node, t.Product) and positive:
            return replace(node, divisors=tuple(_positive(d) for d in node.divisors))
        return node

    return contract(expr, axes).map(change)


@cache
def _formula(condition: Condition, as_residual: bool, regularized: bool) -> tuple[Node, Node]:
    solved = condition.unknown is not None and not as_residual
    right: sp.Expr = condition.solution if solved else condition.residual
    left: sp.Expr = condition.unknown if solved else condition.wrt
    if not regularized:
        right = right.xreplace({l.rho: sp.S.Zero})
    return condition.tree(right), condition.tree(left)


def _math(array: t.Ref) -> str:
    return text(array, labels="")


def _is_pole(power: sp.Pow) -> bool:
    """Whether this is 1/x of a state x."""
    return bool(power.exp.is_negative and isinstance(power.base, sp.Indexed))


def _positive(node: Node) -> Node:
    if isinstance(node, t.Ref) and node.name == "X":
        return t.Call(node.axes, Fn("positive"), (node,))
    return node


def _is_sum_of_labels(e: sp.Expr) -> bool:
    return isinstance(e, sp.Sum) and isinstance(e.function, sp.Indexed) and e.function.base == l.Y


def _is_layer_sum(term: sp.Expr) -> bool:
    """Whether a term holds a sum over the layers, such as ρ Σ_k ..."""
    return any(upper == l.N for e in term.atoms(sp.Sum) for _, _, upper in e.limits)


def _without_layer_sum(term: sp.Expr) -> sp.Expr:
    """The summand of Σ_k at layer k."""

    def at(e: sp.Sum) -> sp.Expr:
        (layer,) = (v for v, _, upper in e.limits if upper == l.N)
        rest = [limit for limit in e.limits if limit[0] != layer]
        inner = sp.Sum(e.function, *rest) if rest else e.function
        return inner.xreplace({layer: l.k})

    return term.replace(lambda e: isinstance(e, sp.Sum) and _is_layer_sum(e), at)
