"""Routines of a graph: forward, loss, backward, gradient, update, residuals, second-order products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import sympy as sp

from lagrangenet.routines.graph_ir import GraphProgram, GraphRoutine, Statement, Store
from lagrangenet.routines.graph_statements import Statements, reads_of
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.graphs.concrete import Functions
from lagrangenet.symbolic.graphs.network import Network, NetworkCondition
from lagrangenet.symbolic.graphs.pieces import multiplier


def lower_graph(network: Network, order: int = 1) -> GraphProgram:
    """All routines of a graph; with order 2 also products with second derivatives."""
    lowering = _Lowering(network)
    routines = tuple(lowering.routines())
    if order == 2:
        routines += tuple(lowering.second_order())
    return GraphProgram(network.graph, routines, lowering.shapes)


def objective_of_graph(network: Network) -> GraphProgram:
    """The one routine ``objective``: J as a function of the output and θ, whatever it comes from."""
    lowering = _Lowering(network)
    routine = GraphRoutine(
        "objective", "J(x, θ) at any states, feasible or not; of them only the output is read.",
        ("theta", "states", "Y"), tuple(lowering.loss(feasible=False)), (("", "J"),),
    )  # fmt: skip
    return GraphProgram(network.graph, (routine,), lowering.shapes)


class _Lowering(Statements):
    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.functions = Functions(network)
        self.anywhere = Functions(network, feasible=False)
        self.constants = network.constants
        self.moving = [s for s in self.graph.states if s not in self.constants]

    # -- routines --------------------------------------------------------------------------------

    def routines(self) -> Iterator[GraphRoutine]:
        states = tuple((s, s) for s in self.graph.states)
        multipliers = tuple((s, multiplier(s)) for s in self.moving)
        gradients = tuple((p, f"grad_{p}") for p in self.graph.parameters)
        first = self.conditions(1)
        yield GraphRoutine(
            "forward", "States, from ∂L/∂λ = 0 (S1).", ("theta", "inputs"),
            self.body(c for c in first if c.label == "S1"), states,
        )  # fmt: skip
        yield GraphRoutine(
            "loss", "J = (1/M) Σ_i ℓ(y_i, x_i) + ρ Ω(θ).", ("theta", "states", "Y"),
            tuple(self.loss()), (("", "J"),),
        )  # fmt: skip
        yield GraphRoutine(
            "backward", "Multipliers, from ∂L/∂x = 0 (S2, S3).",
            ("theta", "inputs", "states", "Y"),
            self.body(c for c in first if c.label in {"S2", "S3"}), multipliers,
        )  # fmt: skip
        yield GraphRoutine(
            "gradient", "∂L/∂θ (S5): the gradient of J, given states and multipliers.",
            ("theta", "inputs", "states", "multipliers"),
            self.body(c for c in first if c.label == "S5"), gradients,
        )  # fmt: skip
        yield GraphRoutine(
            "update", "One step of gradient descent with step size eta.",
            ("theta", "gradients", "eta"), tuple(self.update()),
            tuple((p, p) for p in self.graph.parameters),
        )  # fmt: skip
        yield GraphRoutine(
            "residuals", "∇L at any states, multipliers and parameters.",
            ("theta", "inputs", "Y", "states", "multipliers"),
            *self.differences(self.network.conditions(1), "res_"),
        )  # fmt: skip

    def second_order(self) -> Iterator[GraphRoutine]:
        """Products with the Hessian, the Gauss-Newton matrix, and ∇²L."""
        arguments = ("theta", "inputs", "Y", "states", "multipliers", "direction")
        products = tuple((p, f"hess_{p}") for p in self.graph.parameters)
        yield GraphRoutine(
            "hessian_product",
            "∇²J θ̇, from the stationarity of L̇ (T1: tangents, T2 and T3: their multipliers, T5).",
            arguments, self.second(False), products,
        )  # fmt: skip
        yield GraphRoutine(
            "gauss_newton_product",
            "The Gauss-Newton product: the Hessian's at λ = 0, where only ℓ″ and the linearized "
            "constraints remain.",
            arguments, self.second(True), products,
        )  # fmt: skip
        yield GraphRoutine(
            "kkt_product", "∇²L times a direction in which everything moves, at any point.",
            (*arguments, "state_tangents", "multiplier_tangents"),
            *self.differences(self.network.every_tangent, "res_"),
        )  # fmt: skip

    def conditions(self, order: int) -> list[NetworkCondition]:
        return [self.functions.condition(c, order) for c in self.network.conditions(order)]

    def second(self, gauss_newton: bool) -> tuple[Statement, ...]:
        """The tangent pass, its adjoint, and the product; unused multipliers are left out."""
        found = self.conditions(2)
        if gauss_newton:
            lams = {multiplier(s) for s in self.graph.states}
            found = [_without_arrays(c, lams) for c in found]
        needed = {f"hess_{p}" for p in self.graph.parameters}
        kept: list[NetworkCondition] = []
        for condition in reversed(found):
            if str(condition.target.base.label) in needed:
                kept.insert(0, condition)
                needed |= reads_of(condition)
        return self.body(kept)

    def update(self) -> Iterator[Statement]:
        for name in self.graph.parameters:
            axes = tuple(sp.Dummy(integer=True) for _ in self.shapes[name])
            old, slope = (self.whole(n, axes) for n in (name, f"grad_{name}"))
            step = t.product([t.scalar(l.eta), slope], [], axes)
            value = t.total([old, t.negate(step)], axes)
            yield Store(name, value, label="step", formula=f"{name} ← {name} − η ∂L/∂{name}")

    def loss(self, feasible: bool = True) -> Iterator[Statement]:
        expr = (self.functions if feasible else self.anywhere).loss()
        yield Store("J", self.positive(self.arrays({}).build(expr, ())), label="J",
                    formula="J = (1/M) Σ_i ℓ(y_i, x_i)")  # fmt: skip
        for name, term in zip(self.network.penalized, self.functions.penalty(), strict=True):
            value = self.arrays({}).build(term, ())
            yield Store("J", value, add=True, label="J", formula=f"+ ρ Ω({name})")

    def differences(
        self, conditions: Iterable[NetworkCondition], prefix: str
    ) -> tuple[tuple[Statement, ...], tuple[tuple[str, str], ...]]:
        """∂L/∂v: unknown − solution of every condition, with derivatives of the preactivations."""
        body: list[Statement] = []
        returns = []
        for condition in conditions:
            if condition.wrt.removeprefix("lambda_") in self.constants:
                continue
            found = self.anywhere.condition(condition)
            name = f"{prefix}{condition.wrt}"
            target = sp.IndexedBase(name, real=True)[condition.target.indices]
            sign = 1 if condition.label in {"S5", "T5"} else -1
            renamed = replace(found, target=target)
            body += self.statements(renamed, sign, () if sign > 0 else (condition.target,))
            returns.append((condition.wrt, name))
        return tuple(body), tuple(returns)


def _without_arrays(condition: NetworkCondition, names: set[str]) -> NetworkCondition:
    """A condition at zero for some arrays; its summands are linear in them."""
    kept = tuple(
        s for s in condition.summands
        if not any(str(e.base.label) in names for e in s.part.factor.atoms(sp.Indexed))
    )  # fmt: skip
    return replace(condition, summands=kept)
