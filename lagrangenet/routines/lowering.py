"""One condition of a derivation at one layer of a problem, as an assignment with provenance.

Routines are lists of these: :mod:`.lower` makes those of the first order, :mod:`.second_order`
those of the second.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.functions import Choice
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Assign, ref
from lagrangenet.routines.trees import as_tree, formula_trees, is_pole, is_sum_of_labels
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.concrete import concrete, quotient_of_output, simple
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stable import evaluable
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.styles import BRIEF
from lagrangenet.symbolic.tangent import tangent, without
from lagrangenet.symbolic.tensor import Fn, Node, instantiate
from lagrangenet.symbolic.tidy import tidy

#: The array that holds ∂L/∂v, or ∂L̇/∂v, by the label of the condition.
RESIDUAL_NAMES = {
    "S1": "r_lambda",
    "S2": "r_x",
    "S3": "r_x",
    "S5": "dW",
    "S6": "db",
    "T1": "t_lambda",
    "T2": "t_x",
    "T3": "t_x",
    "T5": "HW",
    "T6": "Hb",
}
_NONE: frozenset[str] = frozenset()
_without = cache(without)


class Lowering:
    """The conditions of one splitting at the layers of one problem."""

    def __init__(self, problem: Problem, derivation: Derivation) -> None:
        self.problem = problem
        self.derivation = derivation
        self.depth = problem.depth
        self.sigmas = [layer.activation for layer in problem.layers]
        self.widths = {l.n(k): sp.Integer(width) for k, width in enumerate(problem.widths)}
        self.positive = problem.loss_entry.needs_simplex or problem.loss_entry.needs_positive
        self._shared: dict[Choice, list[tuple[t.Ref, Condition, Node]]] = {}
        self._residuals: dict[tuple[Condition, Choice], Node] = {}

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

    # -- one condition at one layer ------------------------------------------------------------

    def solved(self, label: str, k: int, zero: frozenset[str] = _NONE) -> Assign:
        """The unknown of a condition, from its solution; arrays named in ``zero`` are zero."""
        condition = self.derivation.condition(label, k)
        assert condition.unknown is not None
        assert condition.solution is not None
        tree = self.tree(condition, condition.solution, k, True)
        target = self.array(condition.tree(condition.unknown, batch=True), k)
        value = self.placed(condition, tree, k, zero)
        return Assign(
            target, _whole(value, target), (label,), k, self.formula(condition, k, zero=zero)
        )

    def residual(self, label: str, k: int, zero: frozenset[str] = _NONE) -> Assign:
        """∂L/∂v itself, as the array named after v."""
        condition = self.derivation.condition(label, k)
        key = (condition, self.sigma(condition, k))
        if key not in self._residuals:
            lifted = self.derivation.splitting == "preactivation"
            tree = self.tree(condition, condition.residual, k, lifted)
            self._residuals[key] = tree if lifted else self.shortened(tree, label, k)
        target = ref(RESIDUAL_NAMES[label], k, condition.wrt.indices[1:])
        value = self.placed(condition, self._residuals[key], k, zero)
        return Assign(target, value, (label,), k, self.formula(condition, k, True, zero))

    def shortened(self, tree: Node, label: str, k: int) -> Node:
        """A residual in terms of what is shared; (S3) at layer k reads that of layer k + 1."""
        shift = int(label == "S3")
        after = {l.k: l.k + shift}
        known = {
            t.same_shape(instantiate(value, after)): replace(target, layer=l.k + shift)
            for target, _, value in self.shared(k + shift)
        }
        return t.substituted(tree, known)

    @cached_property
    def fused(self) -> sp.Expr | None:
        """μ^N of (S4) with (S2) put in, where λ^N has a pole that cancels; otherwise None.

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
            return None

        def lam_at(e: sp.Indexed) -> sp.Expr:
            return multiplier.xreplace({l.p: e.indices[2]})

        last = self.concrete(through.solution, sigma).xreplace({l.k: l.N})
        fused = last.replace(lambda e: isinstance(e, sp.Indexed) and e.base == l.lam, lam_at)
        fused = tidy(sp.expand(fused))
        if self.problem.loss_entry.labels == "distribution":
            fused = fused.replace(is_sum_of_labels, lambda _: sp.S.One)
        return quotient_of_output(simple(fused), sigma)

    def from_fused(self, name: str, expr: sp.Expr, labels: tuple[str, ...]) -> Assign:
        """The array ``name`` of the output layer, from an expression in index form."""
        formula = text(self.at(contract(expr, (l.p,), (l.i,)), self.depth), labels="")
        target = ref(name, self.depth, (l.i, l.p))
        value = self.at(
            as_tree(evaluable(expr), (l.i, l.p), self.sigmas[-1], self.positive), self.depth
        )
        return Assign(
            target, _whole(value, target), labels, self.depth, f"{math(target)} = {formula}"
        )

    def fused_tangent(self, fused: sp.Expr) -> sp.Expr:
        """μ̇^N, the tangent of the fused μ^N: what (T2) and (T4) give when λ̇^N is eliminated."""
        found = simple(tangent(fused))
        if found.has(sp.Derivative, sp.Subs):
            raise DerivationError(f"(T4) at the output has no tangent: {fused}")
        return found

    # -- pieces --------------------------------------------------------------------------------

    def sigma(self, condition: Condition, k: int) -> Choice:
        """The activation of the layer whose σ occurs in a condition."""
        shift = 1 if condition.label in {"S3", "T3"} else 0
        return self.sigmas[min(k + shift, self.depth) - 1]

    def concrete(self, expr: sp.Expr, sigma: Choice, through_value: bool = True) -> sp.Expr:
        """An expression with the functions of the problem, σ of the layer given."""
        return concrete(expr, sigma, self.problem.loss, self.problem.regularizer, through_value)

    def tree(self, condition: Condition, expr: sp.Expr, k: int, through_value: bool) -> Node:
        """An expression of a condition as it reads at layer k, for symbolic k."""
        sigma = self.sigma(condition, k)
        written = self.concrete(expr, sigma, through_value)
        return as_tree(written, condition.wrt.indices[1:], sigma, self.positive)

    def array(self, node: Node, k: int) -> t.Ref:
        """A reference at a concrete layer."""
        found = self.at(node, k)
        assert isinstance(found, t.Ref)
        return found

    def at(self, node: Node, k: int) -> Node:
        """A tree at a concrete layer, with the problem's widths for n(k)."""
        return instantiate(node, {l.k: sp.Integer(k), l.N: sp.Integer(self.depth)}, self.widths)

    def placed(self, condition: Condition, node: Node, k: int, zero: frozenset[str]) -> Node:
        """A tree at a concrete layer, without what is zero there: ẋ^0, and what ``zero`` names."""
        if zero:
            node = _without(node, zero)
        found = self.at(node, k)
        return without(found, _NONE) if k == 1 and condition.label.startswith("T") else found

    def formula(
        self,
        condition: Condition,
        k: int,
        as_residual: bool = False,
        zero: frozenset[str] = _NONE,
    ) -> str:
        """The condition at a concrete layer as mathematics."""
        template, head = formula_trees(condition, as_residual, self.problem.regularizer is not None)
        labels = "i" if any(isinstance(n, t.Over) for n in template.walk()) else ""
        right = text(self.placed(condition, template, k, zero), BRIEF, labels)
        left = text(self.at(head, k), BRIEF, labels)
        if as_residual or condition.unknown is None:
            left = f"∂{condition.of(BRIEF)}/∂{left}"
        return f"{left} = {right}"


def math(array: t.Ref) -> str:
    """An array in formulas."""
    return text(array, labels="")


def _whole(value: Node, target: t.Ref) -> Node:
    """A value that varies along fewer axes than its target, such as −1/M, as an array of its shape."""
    if set(value.axes) >= set(target.axes):
        return value
    zeros = t.Call(target.axes, Fn("zeros_like"), (t.Ref(target.axes, "X", target.layer),))
    return zeros if value == t.scalar(0) else t.total([zeros, value], target.axes)
