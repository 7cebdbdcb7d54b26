"""The equations of a network as trees, each once for symbolic k, and what they compute in order.

They are the stationarity conditions of the derivation, as they are (σ, ℓ, ω opaque) and with the
functions of the network put in, the objective, and a step of gradient descent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from lagrangenet.functions import ACTIVATIONS, Choice
from lagrangenet.grading.blocks import superscript
from lagrangenet.grading.faults.calculation import Compiled, Name, compiled
from lagrangenet.grading.faults.rule import Place
from lagrangenet.problem import Problem
from lagrangenet.routines.lowering import Lowering
from lagrangenet.routines.trees import as_tree, is_layer_sum, without_layer_sum
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.concrete import log_of_output
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.tensor import Node

#: The array that an equation computes, by its label.
TARGETS = {
    "S0": "Z",
    "S1": "X",
    "S2": "lambda",
    "S3": "lambda",
    "S4": "mu",
    "S2, S4": "mu",
    "S5": "dW",
    "S6": "db",
    "J": "J",
    "R": "R",
    "R b": "R_b",
    "step W": "W_new",
    "step b": "b_new",
    "out x": "X_out",
    "out λ": "lambda_out",
    "out W": "W_out",
    "out b": "b_out",
}


#: Labels of two equations that are wrong together; each is written on its own.
TOGETHER = frozenset({"S5, S6", "step W, step b", "S1, S4", "J, S2", "J, S2, S4", "out W, out b"})


@dataclass(frozen=True, eq=False)
class Equation:
    """One right-hand side at symbolic k.

    Attributes
    ----------
    label : str
        ``S0`` to ``S6``; ``S2, S4`` of the output, where they are one; ``J``, ``R`` and ``R b``, the
        parts of the objective; ``step W`` and ``step b``; ``out x`` and ``out λ``, what is returned.
    node : Node
        The right-hand side.
    axes : tuple of sympy.Symbol
        Of what it computes.
    layers : {"all", "hidden", "output"}
        Where it holds.
    sigma : Choice or None
        The activation whose layers it is written for; None for all.
    coupled : bool or None
        Whether it is for layers whose components are coupled, or for the others; None for all.
    """

    label: str
    node: Node
    axes: t.Axes
    layers: str
    sigma: Choice | None = None
    coupled: bool | None = None

    @cached_property
    def compiled(self) -> Compiled:
        """It as a function."""
        return compiled(self.node, self.axes)

    @cached_property
    def _wrong(self) -> dict[int, tuple[Node, Compiled]]:
        return {}

    def wrong(self, node: Node) -> Compiled:
        """A wrong right-hand side as a function; the same for all layers at which it stands."""
        if id(node) not in self._wrong:
            self._wrong[id(node)] = node, compiled(node, self.axes)
        return self._wrong[id(node)][1]

    def target(self, k: int) -> Name:
        """What it computes at layer k."""
        return TARGETS[self.label], 0 if self.label == "J" else k

    def holds(self, problem: Problem, k: int) -> bool:
        """Whether it is the equation of layer k of a network."""
        depth = problem.depth
        if {"all": False, "hidden": k == depth, "output": k < depth}[self.layers]:
            return False
        sigma = problem.layers[k - 1].activation
        if self.sigma is not None and self.sigma != sigma:
            return False
        return self.coupled is None or self.coupled == ACTIVATIONS[sigma.name].coupled


@dataclass(frozen=True, eq=False)
class Equations:
    """All equations of a kind of network.

    Attributes
    ----------
    problem : Problem
        A member of the family, with a regularizer if the family has one.
    updates : bool
        Whether the step of gradient descent belongs to what is computed.
    """

    problem: Problem
    updates: bool = False

    @cached_property
    def derivation(self) -> Derivation:
        """The conditions in the splitting in which each of them is one step."""
        return Derivation(self.problem, "preactivation")

    @cached_property
    def lowering(self) -> Lowering:
        """The same with the functions of the network."""
        return Lowering(self.problem, self.derivation)

    @cached_property
    def general(self) -> tuple[Equation, ...]:
        """The equations that are computed: σ, ℓ, ω as they are."""
        found: list[Equation] = []
        for condition in self.derivation.stationarity:
            expr = condition.residual if condition.unknown is None else condition.solution
            assert expr is not None
            if self.problem.regularizer is None:
                expr = expr.xreplace({l.rho: sp.S.Zero}).doit(deep=False)
            coupled = None if condition.kind is None else condition.kind == l.COUPLED
            if condition.label not in {"S1", "S4"}:
                coupled = None
            elif coupled is None:
                coupled = self.derivation.kinds[0] == l.COUPLED
            node = condition.tree(expr, batch=True)
            axes = condition.wrt.indices[1:]
            if not any(e.label == condition.label and e.coupled == coupled for e in found):
                found.append(Equation(condition.label, node, axes, condition.layers, None, coupled))
        steps = self._steps() if self.updates else ()
        return (*found, *self._objective(False), *steps, *self._handed_out())

    @cached_property
    def written_out(self) -> tuple[Equation, ...]:
        """Equations with the functions of the network, where that is more than their names."""
        lowering, last = self.lowering, self.problem.depth
        found = [*self._objective(True)]
        shown: set[tuple[str, Choice]] = set()
        for k in range(last, 0, -1):
            sigma = self.problem.layers[k - 1].activation
            for label in ("S2", "S4") if k == last else ("S4",):
                condition = self.derivation.condition(label, k)
                if (label, sigma) not in shown:
                    shown.add((label, sigma))
                    found.append(self._written(condition, k, sigma if label == "S4" else None))
        if lowering.fused is not None:
            node = contract(lowering.fused, (l.i, l.p))
            found.append(Equation("S2, S4", node, (l.i, l.p), "output"))
        return tuple(found)

    def _written(self, condition: Condition, k: int, sigma: Choice | None) -> Equation:
        assert condition.solution is not None
        node = self.lowering.tree(condition, condition.solution, k, True)
        axes = condition.wrt.indices[1:]
        return Equation(condition.label, node, axes, condition.layers, sigma)

    def _objective(self, concrete: bool) -> Iterator[Equation]:
        """J in two parts: its data term, and what each layer adds."""
        last = self.lowering.sigmas[-1]
        for term in self.derivation.lagrangian.objective.args:
            layered = is_layer_sum(term)
            if layered and (concrete or self.problem.regularizer is None):
                continue
            written = without_layer_sum(term) if layered else term
            node = contract(written, ())
            if concrete:
                written = log_of_output(self.lowering.concrete(term, last), last)
                node = as_tree(written, (), last, self.lowering.positive)
            penalty = "R b" if term.has(l.b) else "R"
            where = "all" if layered else "output"
            yield Equation(penalty if layered else "J", node, (), where)

    def _steps(self) -> Iterator[Equation]:
        """θ ← θ − η ∂L/∂θ."""
        for name, slope, axes in (("W", "dW", (l.p, l.q)), ("b", "db", (l.p,))):
            move = t.Product(axes, (t.Number((), l.eta), t.Ref(axes, slope, l.k)))
            node = t.Total(axes, (t.Ref(axes, name, l.k),), (move,))
            yield Equation(f"step {name}", node, axes, "all")

    def _handed_out(self) -> Iterator[Equation]:
        """What is returned: states, multipliers and gradients themselves."""
        gradient = ("W_new", "b_new") if self.updates else ("dW", "db")
        for label, name, axes in (
            ("out x", "X", (l.i, l.p)),
            ("out λ", "lambda", (l.i, l.p)),
            ("out W", gradient[0], (l.p, l.q)),
            ("out b", gradient[1], (l.p,)),
        ):
            yield Equation(label, t.Ref(axes, name, l.k), axes, "all")

    def at(self, label: str, problem: Problem, k: int) -> list[Equation]:
        """The general equations with this label that hold at a layer of a network."""
        return [e for e in self.general if e.label == label and e.holds(problem, k)]

    def order(self, problem: Problem) -> list[tuple[Equation, int]]:
        """Every equation at every layer, in the order in which a program computes them."""
        layers = range(1, problem.depth + 1)
        labels: list[tuple[str, int]] = [(e, k) for k in layers for e in ("S0", "S1")]
        labels += [("J", problem.depth), *((e, k) for k in layers for e in ("R", "R b"))]
        for k in reversed(layers):
            labels += [("S2" if k == problem.depth else "S3", k), ("S4", k), ("S5", k), ("S6", k)]
        labels += [(f"step {name}", k) for k in layers for name in "Wb"]
        returned = ("out x", "out λ", "out W", "out b")
        labels += [(label, k) for k in layers for label in returned]
        return [(e, k) for label, k in labels for e in self.at(label, problem, k)]

    def place(self, equation: Equation) -> Place:
        """Where an equation stands, for the rules of faults."""
        sigma = {layer.activation.name for layer in self.problem.layers} - {"identity", "softmax"}
        others = sorted({"sigmoid", "tanh", "relu"} | sigma)
        losses = sorted({"squared_error", "cross_entropy", "binary_cross_entropy"})
        return Place(equation.label, tuple(others), tuple(losses))

    def line(self, label: str, k: int) -> str:
        """The right equation at a layer, as mathematics."""
        if label == "J":
            return "J = (1/M) Σ_i ℓ(y_i, x_i^N)"
        if label in {"R", "R b"}:
            return f"ρ Ω({'W' if label == 'R' else 'b'}{superscript(k)})"
        if label.startswith("out"):
            return f"{'∂L/∂' if label[-1] in 'Wb' else ''}{label[-1]}{superscript(k)}"
        if label.startswith("step"):
            v = label[-1] + superscript(k)
            return f"{v} ← {v} − η ∂L/∂{v}"
        if label in TOGETHER:
            return "; ".join(self.line(one, k) for one in label.split(", "))
        if label == "S2, S4":
            return self.lowering.from_fused("mu", self.lowering.fused, ("S2", "S4")).formula
        condition = self.derivation.condition(label, k)
        return self.lowering.formula(condition, k, condition.unknown is None)
