"""Lowering: the conditions of a derivation, at the layers of a problem, as routines.

∂L/∂λ = 0 becomes ``forward``, ∂L/∂x = 0 (and ∂L/∂z = 0) ``backward``, ∂L/∂W and ∂L/∂b ``gradient``
and ``update``; the objective becomes ``loss``. These come from the preactivation splitting, in
which every condition is one step. ``residuals`` evaluates ∇L of the activation splitting at any
point, feasible or not; there σ′ is a function of z^k, never of x^k.
"""

from __future__ import annotations

from dataclasses import replace

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
from lagrangenet.routines.trees import (
    as_tree,
    formula_trees,
    is_layer_sum,
    is_pole,
    is_sum_of_labels,
    without_layer_sum,
)
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.concrete import concrete, log_of_output, simple
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import Condition, tidy
from lagrangenet.symbolic.styles import BRIEF
from lagrangenet.symbolic.tensor import Node, instantiate

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
        self._shared: dict[Choice, list[tuple[t.Ref, Condition, Node]]] = {}
        self._residuals: dict[tuple[Condition, Choice], Node] = {}

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
        for k in range(1, self.depth + 1):
            for target, condition, tree in self.shared(k):
                formula = self.formula(condition, k).split(" = ", 1)[1]
                array = self.array(target, k)
                line = f"{_math(array)} = {formula}"
                body.append(Assign(array, self.at(tree, k), (condition.label,), k, line))
        for k in range(1, self.depth + 1):
            along = "S2" if k == self.depth else "S3"
            body += [self.residual(label, k) for label in ("S1", along, "S5", "S6")]
        return tuple(body)

    def shared(self, k: int) -> list[tuple[t.Ref, Condition, Node]]:
        """What the residuals share: z, σ(z) and σ′(z)ᵀ λ at any (x, λ, θ), for symbolic k.

        The conditions are those of the preactivation splitting; one list for each activation.
        """
        sigma = self.sigmas[k - 1]
        if sigma not in self._shared:
            lifted = self.derivation.split("preactivation")
            known: dict[Node, t.Ref] = {}
            found = []
            for name, label in (("Z", "S0"), ("S", "S1"), ("mu", "S4")):
                condition = lifted.condition(label, k)
                assert condition.solution is not None
                tree = t.substituted(self.tree(condition, condition.solution, k, False), known)
                target = t.Ref((l.i, l.p), name, l.k)
                if not isinstance(tree, t.Ref):  # μ^k = λ^k needs no other name
                    known[t.same_shape(tree)] = target
                    found.append((target, condition, tree))
            self._shared[sigma] = found
        return self._shared[sigma]

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
        for term in sorted(self.derivation.lagrangian.objective.args, key=is_layer_sum):
            written = log_of_output(self.concrete(term, last), last)
            if written == 0:
                continue
            if not is_layer_sum(term):
                value = self.at(as_tree(written, (), last, self.positive), self.depth)
                formula = "J = (1/M) Σ_i ℓ(y_i, x_i^N)"
                body.append(Assign(total, value, ("J",), self.depth, formula))
                continue
            for k in range(1, self.depth + 1):
                value = self.at(as_tree(without_layer_sum(written), (), last, False), k)
                formula = f"+ ρ Ω({_math(ref('W', k))})"
                body.append(Assign(total, t.total([total, value], ()), ("J",), k, formula))
        return tuple(body)

    # -- one condition at one layer ------------------------------------------------------------

    def solved(self, label: str, k: int) -> Assign:
        """The unknown of a condition, from its solution."""
        condition = self.derivation.condition(label, k)
        assert condition.unknown is not None
        assert condition.solution is not None
        value = self.at(self.tree(condition, condition.solution, k, True), k)
        target = self.array(condition.tree(condition.unknown, batch=True), k)
        return Assign(target, value, (label,), k, self.formula(condition, k))

    def residual(self, label: str, k: int) -> Assign:
        """∂L/∂v itself, as the array named after v."""
        condition = self.derivation.condition(label, k)
        key = (condition, self.sigma(condition, k))
        if key not in self._residuals:
            lifted = self.derivation.splitting == "preactivation"
            tree = self.tree(condition, condition.residual, k, lifted)
            self._residuals[key] = tree if lifted else self.shortened(tree, label, k)
        names = {"S1": "r_lambda", "S2": "r_x", "S3": "r_x", "S5": "dW", "S6": "db"}
        target = ref(names[label], k, condition.wrt.indices[1:])
        value, formula = self.at(self._residuals[key], k), self.formula(condition, k, True)
        return Assign(target, value, (label,), k, formula)

    def shortened(self, tree: Node, label: str, k: int) -> Node:
        """A residual in terms of what is shared; (S3) at layer k reads that of layer k + 1."""
        shift = int(label == "S3")
        after = {l.k: l.k + shift}
        known = {
            t.same_shape(instantiate(value, after)): replace(target, layer=l.k + shift)
            for target, _, value in self.shared(k + shift)
        }
        return t.substituted(tree, known)

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
        if not any(is_pole(e) for e in multiplier.atoms(sp.Pow)):
            return self.solved("S4", self.depth)

        def lam_at(e: sp.Indexed) -> sp.Expr:
            return multiplier.xreplace({l.p: e.indices[2]})

        last = self.concrete(through.solution, sigma).xreplace({l.k: l.N})
        fused = last.replace(lambda e: isinstance(e, sp.Indexed) and e.base == l.lam, lam_at)
        fused = tidy(sp.expand(fused))
        if self.problem.loss_entry.labels == "distribution":
            fused = fused.replace(is_sum_of_labels, lambda _: sp.S.One)
        fused = simple(fused)
        formula = text(self.at(contract(fused, (l.p,), (l.i,)), self.depth), labels="")
        target = ref("mu", self.depth, (l.i, l.p))
        value = self.at(as_tree(fused, (l.i, l.p), sigma, self.positive), self.depth)
        return Assign(target, value, ("S2", "S4"), self.depth, f"{_math(target)} = {formula}")

    # -- pieces --------------------------------------------------------------------------------

    def sigma(self, condition: Condition, k: int) -> Choice:
        """The activation of the layer whose σ occurs in a condition."""
        shift = 1 if condition.label == "S3" else 0
        return self.sigmas[min(k + shift, self.depth) - 1]

    def concrete(self, expr: sp.Expr, sigma: Choice, through_value: bool = True) -> sp.Expr:
        return concrete(expr, sigma, self.problem.loss, self.problem.regularizer, through_value)

    def tree(self, condition: Condition, expr: sp.Expr, k: int, through_value: bool) -> Node:
        """An expression of a condition as it reads at layer k, for symbolic k."""
        sigma = self.sigma(condition, k)
        written = self.concrete(expr, sigma, through_value)
        return as_tree(written, condition.wrt.indices[1:], sigma, self.positive)

    def array(self, node: Node, k: int) -> t.Ref:
        found = self.at(node, k)
        assert isinstance(found, t.Ref)
        return found

    def at(self, node: Node, k: int) -> Node:
        """A tree at a concrete layer, with the problem's widths for n(k)."""
        return instantiate(node, {l.k: sp.Integer(k), l.N: sp.Integer(self.depth)}, self.widths)

    def formula(self, condition: Condition, k: int, as_residual: bool = False) -> str:
        template, head = formula_trees(condition, as_residual, self.problem.regularizer is not None)
        labels = "i" if any(isinstance(n, t.Over) for n in template.walk()) else ""
        right = text(self.at(template, k), BRIEF, labels)
        left = text(self.at(head, k), BRIEF, labels)
        if as_residual or condition.unknown is None:
            left = f"∂L/∂{left}"
        return f"{left} = {right}"


def _math(array: t.Ref) -> str:
    return text(array, labels="")
