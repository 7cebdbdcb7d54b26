"""The routines of the second order: the conditions (T0) to (T6) of the tangent Lagrangian L̇.

∂L̇/∂λ = 0 becomes ``tangent``, ∂L̇/∂x = 0 (and ∂L̇/∂z = 0) ``second_adjoint``, ∂L̇/∂W and ∂L̇/∂b
``hessian_product``: the reduced Hessian times θ̇, from one more forward and one more backward pass.

The Gauss-Newton product comes from the same conditions with λ = 0 and μ = 0: what is left of L̇ then
is ∂²ℓ, ∂²Ω and the linearized constraints, that is, the Hessian of the loss composed with the
linearized network. Where ℓ and σ^N are fused (cross-entropy of softmax) the curvature of σ^N belongs
to the loss: μ̇^N is the tangent of the fused μ^N, and the product is that of the generalized
Gauss-Newton matrix with respect to z^N, in which diag(x) − x xᵀ stands.

``kkt_product`` is ∇²L, the Hessian of the Lagrangian of the activation splitting in (λ, x, θ), times
a direction, at any point, feasible or not. z and μ are eliminated through their own conditions.
"""

from __future__ import annotations

from dataclasses import replace

from lagrangenet.routines.ir import (
    ADJOINTS,
    DIRECTION,
    KKT_PRODUCT,
    MULTIPLIER_TANGENTS,
    MULTIPLIERS,
    PRODUCT,
    STATE_TANGENTS,
    STATES,
    TANGENTS,
    THETA,
    Argument,
    Assign,
    Routine,
    ref,
)
from lagrangenet.routines.lowering import Lowering, math
from lagrangenet.routines.passes.live import live
from lagrangenet.symbolic import tensor as t

#: What is zero in the Gauss-Newton product.
_LINEARIZED = frozenset({"lambda", "mu"})

_theta, _X, _Y = Argument("theta", THETA), Argument("X"), Argument("Y")
_states, _multipliers = Argument("states", STATES), Argument("multipliers", MULTIPLIERS)
_direction = Argument("direction", DIRECTION)
_tangents = Argument("tangents", TANGENTS)
_adjoints = Argument("adjoints", ADJOINTS)


def second_order(steps: Lowering) -> tuple[Routine, ...]:
    """All routines of the second order, from the preactivation splitting."""
    lowered = _SecondOrder(steps.problem, steps.derivation)
    return (
        Routine(
            "tangent",
            "Tangents ż^k, ẋ^k of the states along θ̇, from ∂L̇/∂λ^k = 0 (T1) and ∂L̇/∂μ^k = 0 (T0).",
            (_theta, _X, _states, _direction),
            lowered.tangent(),
            TANGENTS,
        ),
        Routine(
            "second_adjoint",
            "Tangents μ̇^k of the multipliers, from ∂L̇/∂x^k = 0 (T2, T3) and ∂L̇/∂z^k = 0 (T4).",
            (_theta, _Y, _states, _multipliers, _direction, _tangents),
            lowered.second_adjoint(),
            ADJOINTS,
        ),
        Routine(
            "hessian_product",
            "∂L̇/∂W^k (T5) and ∂L̇/∂b^k (T6): the Hessian of the reduced objective times θ̇.",
            (_theta, _X, _states, _multipliers, _direction, _tangents, _adjoints),
            lowered.product(),
            PRODUCT,
        ),
        Routine(
            "gauss_newton_adjoint",
            "μ̇^k of the linearized network: (T2, T3, T4) with λ = 0 and μ = 0.",
            (_theta, _Y, _states, _tangents),
            lowered.second_adjoint(_LINEARIZED),
            ADJOINTS,
        ),
        Routine(
            "gauss_newton_product",
            "∂L̇/∂W^k (T5) and ∂L̇/∂b^k (T6) with λ = 0 and μ = 0: the Gauss-Newton matrix times θ̇.",
            (_theta, _X, _states, _direction, _adjoints),
            lowered.product(_LINEARIZED),
            PRODUCT,
        ),
        Routine(
            "kkt_product",
            "∇²L times (λ̇, ẋ, θ̇) at any x, λ, θ: ∂L̇/∂λ^k (T1), ∂L̇/∂x^k (T2, T3), ∂L̇/∂θ (T5, T6).",
            (
                _theta,
                _X,
                _Y,
                _states,
                _multipliers,
                _direction,
                Argument("state_tangents", STATE_TANGENTS),
                Argument("multiplier_tangents", MULTIPLIER_TANGENTS),
            ),
            lowered.kkt_product(),
            KKT_PRODUCT,
        ),
    )


class _SecondOrder(Lowering):
    def tangent(self) -> tuple[Assign, ...]:
        layers = range(1, self.depth + 1)
        return tuple(self.solved(label, k) for k in layers for label in ("T0", "T1"))

    def second_adjoint(self, zero: frozenset[str] = frozenset()) -> tuple[Assign, ...]:
        """From the output to the first layer; λ̇^N is left out where it has a pole that cancels."""
        if self.fused is None:
            body = [self.solved(label, self.depth, zero) for label in ("T2", "T4")]
        else:
            body = [self.from_fused("mu_dot", self.fused_tangent(self.fused), ("T2", "T4"))]
        for k in range(self.depth - 1, 0, -1):
            body += [self.solved(label, k, zero) for label in ("T3", "T4")]
        return tuple(body)

    def product(self, zero: frozenset[str] = frozenset()) -> tuple[Assign, ...]:
        layers = range(1, self.depth + 1)
        return tuple(self.residual(label, k, zero) for k in layers for label in ("T5", "T6"))

    def kkt_product(self) -> tuple[Assign, ...]:
        body = [line for k in range(1, self.depth + 1) for line in self.eliminated(k)]
        for k in range(1, self.depth + 1):
            along = "T2" if k == self.depth else "T3"
            body += [self.passed(k), *(self.residual(label, k) for label in (along, "T5", "T6"))]
        return live(body, lambda array: array.name in KKT_PRODUCT)

    def eliminated(self, k: int) -> list[Assign]:
        """z, s = σ(z), μ and their tangents, which the activation splitting does not have.

        Away from feasible points s is not x. What is written through the value of σ^k is
        written through s^k here.
        """
        lines = []
        for label, own in (("S0", False), ("S1", False), ("S4", True),
                           ("T0", False), ("T1", True), ("T4", True)):  # fmt: skip
            line = self.solved(label, k)
            value = line.value.map(_at_value) if own else line.value
            if label in {"S1", "T1"}:
                target = replace(line.target, name=line.target.name.replace("X", "S"))
                formula = f"{math(target)} = {line.formula.split(' = ', 1)[1]}"
                line = replace(line, target=target, formula=formula)
            lines.append(replace(line, value=value))
        return lines

    def passed(self, k: int) -> Assign:
        """∂L̇/∂λ^k (T1), which is ẋ^k − ṡ^k."""
        line = self.residual("T1", k)
        axes = line.target.axes
        value = t.total([ref("X_dot", k, axes), t.negate(ref("S_dot", k, axes))], axes)
        return replace(line, value=value)


def _at_value(node: t.Node) -> t.Node:
    """S^k in place of X^k, and its tangent in place of that of X^k."""
    if isinstance(node, t.Ref) and node.name in {"X", "X_dot"}:
        return replace(node, name=node.name.replace("X", "S"))
    return node
