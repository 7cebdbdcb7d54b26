"""Lowering: the conditions of a derivation, at the layers of a problem, as routines.

∂L/∂λ = 0 becomes ``forward``, ∂L/∂x = 0 (and ∂L/∂z = 0) ``backward``, ∂L/∂W and ∂L/∂b ``gradient``
and ``update``; the objective becomes ``loss``. These come from the preactivation splitting, in
which every condition is one step. ``residuals`` evaluates ∇L of the activation splitting at any
point, feasible or not; there σ′ is a function of z^k, never of x^k.
"""

from __future__ import annotations

from lagrangenet.errors import DerivationError
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
from lagrangenet.routines.lowering import Lowering, math
from lagrangenet.routines.second_order import second_order
from lagrangenet.routines.trees import (
    as_tree,
    is_layer_sum,
    without_layer_sum,
)
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.concrete import log_of_output
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.derivatives import without_derivative

_theta = Argument("theta", THETA)
_states = Argument("states", STATES)
_multipliers = Argument("multipliers", MULTIPLIERS)
_gradients = Argument("gradients", GRADIENTS)
_X, _Y, _eta = Argument("X"), Argument("Y"), Argument("eta")


def lower(derivation: Derivation) -> Program:
    """All routines of a derivation's problem; without a derivative of J, forward pass and loss.

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
    routines: tuple[Routine, ...]
    if problem is None:
        raise DerivationError("the generic chain has no code; derive a problem")
    steps = _FirstOrder(problem, derivation.split("preactivation"))
    point = _FirstOrder(problem, derivation.split("activation"))
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
            value=ref("J", None),
        ),
    )
    if without_derivative(problem):
        return Program(problem, routines)
    routines += (
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
    if derivation.order == 2:
        routines += second_order(steps)
    return Program(problem, routines)


def objective_of_chain(derivation: Derivation) -> Program:
    """The one routine ``objective``: J as a function of x^N and θ, whatever z^N is."""
    if derivation.problem is None:
        raise DerivationError("the generic chain has no code; derive a problem")
    steps = _FirstOrder(derivation.problem, derivation.split("preactivation"))
    summary = "J(x, θ) at any states, feasible or not; of them only x^N is read."
    body = steps.loss(through_z=False)
    routine = Routine("objective", summary, (_theta, _states, _Y), body, value=ref("J", None))
    return Program(derivation.problem, (routine,))


class _FirstOrder(Lowering):
    """The routines of the first order."""

    def forward(self) -> tuple[Assign, ...]:
        layers = range(1, self.depth + 1)
        return tuple(self.solved(label, k) for k in layers for label in ("S0", "S1"))

    def backward(self) -> tuple[Assign, ...]:
        body = [self.solved("S2", self.depth)]
        if self.fused is None:
            body.append(self.solved("S4", self.depth))
        else:
            body.append(self.from_fused("mu", self.fused, ("S2", "S4")))
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
                line = f"{math(array)} = {formula}"
                body.append(Assign(array, self.at(tree, k), (condition.label,), k, line))
        for k in range(1, self.depth + 1):
            along = "S2" if k == self.depth else "S3"
            body += [self.residual(label, k) for label in ("S1", along, "S5", "S6")]
        return tuple(body)

    def update(self) -> tuple[Assign, ...]:
        body = []
        for k in range(1, self.depth + 1):
            for name, gradient, axes in (("W", "dW", (l.p, l.q)), ("b", "db", (l.p,))):
                old, slope = ref(name, k, axes), ref(gradient, k, axes)
                step = t.product([t.scalar(l.eta), slope], [], axes)
                value = t.total([old, t.negate(step)], axes)
                formula = f"{math(old)} ← {math(old)} − η ∂L/∂{math(old)}"
                body.append(Assign(old, value, ("step",), k, formula))
        return tuple(body)

    def loss(self, through_z: bool = True) -> tuple[Assign, ...]:
        """J: its data term, then what every layer adds; log x^N through z^N, or as stated."""
        last = self.sigmas[-1]
        body: list[Assign] = []
        total = ref("J", None)
        for term in sorted(self.derivation.lagrangian.objective.args, key=is_layer_sum):
            written = self.concrete(term, last)
            if through_z:
                written = log_of_output(written, last)
            if written == 0:
                continue
            if not is_layer_sum(term):
                value = self.at(as_tree(written, (), last, self.positive), self.depth)
                formula = "J = (1/M) Σ_i ℓ(y_i, x_i^N)"
                body.append(Assign(total, value, ("J",), self.depth, formula))
                continue
            for k in range(1, self.depth + 1):
                value = self.at(as_tree(without_layer_sum(written), (), last, False), k)
                formula = f"+ ρ Ω({math(ref('b' if term.has(l.b) else 'W', k))})"
                body.append(Assign(total, t.total([total, value], ()), ("J",), k, formula))
        return tuple(body)
