"""The blocks of ∇²L of a chain at any point, feasible or not, layer by layer.

A method that keeps states and multipliers as unknowns solves with ∇²L. Its blocks are products of
W^k, x^k and a few factors of the size of one layer; this file lowers the conditions that give the
factors, and no product of them. The unknown states are x^1, ..., x^{N−1} and z^N, with

    c^k = x^k − σ^k(z^k),    c^N = z^N − W^N x^{N−1} − b^N,    J = (1/M) Σ_i ℓ(y_i, σ^N(z_i^N)) + ρ Ω

so that no step leaves the domain of ℓ, and fused losses stay fused. The conditions are those of the
preactivation splitting. A factor is the derivative along a unit direction: where σ acts by
component, one direction of ones gives the diagonal; else there is a direction for each component.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import (
    DIRECTION,
    GRADIENTS,
    MULTIPLIERS,
    PRODUCT,
    STATES,
    THETA,
    Argument,
    Assign,
    Program,
    Routine,
    ref,
)
from lagrangenet.routines.lower import lower
from lagrangenet.routines.lowering import Lowering, math
from lagrangenet.routines.passes.live import live
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.symbolic.derivatives import without_derivative

#: z^k, s^k = σ^k(z^k) and the constraint c^k.
VALUES = ("Z", "S", "r_lambda")
#: μ^k = σ′ᵀ λ^k, and along ż^k: σ′ ż^k and the derivative of μ^k at fixed λ^k.
FACTORS = ("mu", "S_dot", "mu_dot")
#: What is zero in the conditions where only θ moves, and there are no constraints.
_STILL = frozenset({"lambda", "mu", "lambda_dot", "mu_dot", "X_dot"})
_FIXED = frozenset({"lambda_dot"})
_BATCH = (l.i, l.p)


def lifted(problem: Problem) -> Program:
    """The passes of the first order, and ``constraints``, ``factors`` (``coupled``), ``output``, ``penalty``, ...

    Raises
    ------
    DerivationError
        If J has no gradient.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> program = lifted(chain([2, 3, 1]))
    >>> for line in program.routine("factors").body:
    ...     print(line.formula)
    ṡ¹ = σ′¹(z¹) ⊙ ż¹
    μ¹ = σ′¹(z¹) ⊙ λ¹
    μ̇¹ = σ′′¹(z¹) ⊙ λ¹ ⊙ ż¹
    """
    if reason := without_derivative(problem):
        raise DerivationError(reason)
    first = lower(Derivation(problem))
    passes = (first.routine(name) for name in ("forward", "loss", "backward", "gradient"))
    return Program(problem, (*passes, *_Lifted(problem).routines()))


def full_output(problem: Problem) -> bool:
    """Whether ∂²J/∂z^N² of a sample is no diagonal matrix."""
    return problem.activations[-1].coupled or problem.loss_entry.coupled


class _Lifted(Lowering):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, Derivation(problem, order=2).split("preactivation"))

    def routines(self) -> Iterator[Routine]:
        theta, X, Y = Argument("theta", THETA), Argument("X"), Argument("Y")
        point, lam = Argument("states", ("Z", "S")), Argument("multipliers", MULTIPLIERS)
        along = Argument("tangents", ("Z_dot",))
        directed = [along] * full_output(self.problem)
        yield Routine(
            "constraints",
            "z^k, σ^k(z^k) (S0, S1) and the constraints c^k at any x^1, ..., x^{N−1}, z^N.",
            (theta, X, Argument("states", STATES)),
            tuple(self.constraints()),
            VALUES,
        )
        hidden = range(1, self.depth)
        for name, is_coupled in (("factors", False), ("coupled", True)):
            layers = [k for k in hidden if self.coupled(k) is is_coupled]
            if layers:
                yield Routine(
                    name,
                    "σ′ ż^k (T1), μ^k (S4) and, at fixed λ^k, μ̇^k (T4)"
                    f", along {'ż^k' if is_coupled else 'ones'}.",
                    (point, lam, *[along] * is_coupled),
                    tuple(line for k in layers for line in self.factors(k)),
                    FACTORS,
                )
        yield Routine(
            "output",
            "μ^N = −∂J/∂z^N (S2, S4), and its derivative along ż^N, or ones (T1, T2, T4).",
            (Y, point, *directed),
            self.output(),
            ("mu", "mu_dot"),
        )
        yield Routine(
            "linear_output",
            "The derivative of μ^N where the curvature of σ^N is left out (T1, T2, T4).",
            (Y, point, *directed),
            self.output(frozenset({"lambda"})),
            ("mu_dot",),
        )
        yield Routine(
            "penalty",
            "ρ Ω′(θ): (S5) and (S6) where all multipliers are zero.",
            (theta, Argument("direction", DIRECTION)),
            tuple(self.penalty("S5", "S6")),
            GRADIENTS,
        )
        yield Routine(
            "bend",
            "ρ Ω″(θ) θ̇: (T5) and (T6) where all multipliers are zero.",
            (theta, Argument("direction", DIRECTION)),
            tuple(self.penalty("T5", "T6")),
            PRODUCT,
        )

    def coupled(self, k: int) -> bool:
        """Whether the components of layer k depend on each other's preactivations."""
        return self.problem.activations[k - 1].coupled

    def constraints(self) -> Iterator[Assign]:
        """Forward, each layer from the given state of the one before."""
        for k in range(1, self.depth + 1):
            linear, value = self.solved("S0", k), _renamed(self.solved("S1", k))
            last = k == self.depth
            state, image = (
                (linear.target, linear.value) if last else (ref("X", k, _BATCH), value.target)
            )
            label = "S0" if last else "S1"
            formula = self.formula(self.derivation.condition(label, k), k, True)
            gap = t.total([state, t.negate(image)], _BATCH)
            lines = [value] if last else [linear, value]
            yield from [*lines, Assign(ref("r_lambda", k, _BATCH), gap, (label,), k, formula)]

    def factors(self, k: int) -> tuple[Assign, ...]:
        """σ′ ż, μ^k and μ̇^k, in z and s = σ(z)."""
        lines = (self.solved("T1", k), self.solved("S4", k), self.solved("T4", k, _FIXED))
        return _shared([_renamed(line) for line in lines], self.coupled(k))

    def output(self, zero: frozenset[str] = frozenset()) -> tuple[Assign, ...]:
        """The derivatives of J by z^N, through σ^N; where λ^N is zero only those of ℓ as a whole."""
        N = self.depth
        lines = [self.solved("T1", N), self.solved("S2", N)]
        if self.fused is None:
            lines += [self.solved("S4", N), self.solved("T2", N), self.solved("T4", N, zero)]
        else:
            lines.append(self.from_fused("mu", self.fused, ("S2", "S4")))
            moved = self.fused_tangent(self.fused)
            lines.append(self.from_fused("mu_dot", moved, ("T2", "T4")))
        wanted = {"mu_dot"} if zero else {"mu", "mu_dot"}
        shared = _shared([_renamed(line) for line in lines], full_output(self.problem))
        return live(shared, lambda array: array.name in wanted)

    def penalty(self, *labels: str) -> Iterator[Assign]:
        """Of every weight and bias."""
        for k in range(1, self.depth + 1):
            for label in labels:
                line = self.residual(label, k, _STILL)
                if line.value == t.scalar(0):
                    moved = ref("W_dot" if label[1] == "5" else "b_dot", k, line.target.axes)
                    line = replace(line, value=t.Call(moved.axes, t.Fn("zeros_like"), (moved,)))
                yield line


def _renamed(line: Assign) -> Assign:
    """The line with s = σ(z) in place of the state x, which need not be equal to it."""

    def change(node: t.Node) -> t.Node:
        if isinstance(node, t.Ref) and node.name in {"X", "X_dot"} and _own(node, line):
            return replace(node, name=node.name.replace("X", "S"))
        return node

    target = change(line.target)
    assert isinstance(target, t.Ref)
    left, right = line.formula.split(" = ", 1)
    if target != line.target:
        left = math(target)
    return replace(line, target=target, value=line.value.map(change), formula=f"{left} = {right}")


def _own(array: t.Ref, line: Assign) -> bool:
    return array.layer == line.target.layer


def _shared(lines: list[Assign], directed: bool) -> tuple[Assign, ...]:
    """Lines that read σ′ where it is known from the first; along ones, unless they are directed."""
    if directed:
        return tuple(lines)
    slope, *others = map(_along_ones, lines)
    known = {t.same_shape(slope.value): slope.target}
    return slope, *(replace(line, value=t.substituted(line.value, known)) for line in others)


def _along_ones(line: Assign) -> Assign:
    """A line at ż = (1, ..., 1), which is left out of its products."""

    def change(node: t.Node) -> t.Node:
        if isinstance(node, t.Ref) and node.name == "Z_dot":
            return t.ONE
        if isinstance(node, t.Product) and t.ONE in node.factors:
            return t.product(list(node.factors), list(node.divisors), node.axes)
        return node

    value = line.value.map(change)
    if set(value.axes) < set(line.target.axes):
        like = t.Ref(line.target.axes, "S", line.target.layer)
        zeros = t.Call(like.axes, t.Fn("zeros_like"), (like,))
        value = t.total([zeros, value], like.axes)
    return replace(line, value=value)
