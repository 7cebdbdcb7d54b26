"""Checks of the symbols: exact statements about the derived conditions, for every depth."""

from __future__ import annotations

import numpy as np
import sympy as sp

from lagrangenet.runtime import Layers
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.tidy import tidy, with_dummies
from lagrangenet.verify.check import Array, Check, Finding, Subject


class Splittings(Check):
    """Eliminating μ from the preactivation conditions gives the activation conditions."""

    name = "the two splittings have the same conditions once μ is eliminated"
    tolerance = 0.0
    reason = "symbolic: the number of conditions that differ, for symbolic depth and widths"

    def measure(self, subject: Subject) -> Finding:
        """Count the conditions that differ."""
        whole = subject.derivation.split("activation").stationarity
        lifted = subject.derivation.split("preactivation").stationarity
        different = [c.label for c in whole if not self._same(c, lifted)]
        where = ", ".join(f"({label})" for label in different)
        return Finding(len(different), where, "the conditions differ after elimination")

    @staticmethod
    def _same(condition: Condition, lifted: tuple[Condition, ...]) -> bool:
        def of_kind(label: str) -> Condition:
            found = [c for c in lifted if c.label == label]
            return next((c for c in found if c.kind == condition.kind), found[0])

        through = of_kind("S4").solution

        def eliminated(e: sp.Indexed) -> sp.Expr:
            k, i, p = e.indices
            return with_dummies(through).xreplace({l.k: k, l.i: i, l.p: p})

        residual = of_kind(condition.label).residual.replace(
            lambda e: isinstance(e, sp.Indexed) and e.base == l.mu, eliminated
        )
        return bool(sp.expand(_merged(residual) - _merged(condition.residual)) == 0)


def _merged(expr: sp.Expr) -> sp.Expr:
    """Nested sums as one, in a canonical order of their indices."""

    def flat(e: sp.Expr) -> sp.Expr:
        rest, inner = e.function.as_independent(sp.Sum, as_Add=False)
        if not isinstance(inner, sp.Sum):
            return e
        return sp.Sum(rest * inner.function, *inner.limits, *e.limits)

    once = tidy(expr).replace(lambda e: isinstance(e, sp.Sum), flat)
    swapped = once.replace(
        lambda e: isinstance(e, sp.Sum),
        lambda e: sp.Sum(e.function, *sorted(e.limits, key=lambda limit: _place(e, limit[0]))),
    )
    return tidy(swapped)


def _place(total: sp.Sum, index: sp.Symbol) -> tuple[bool, bool]:
    """Sort key of a bound index by its role: sample, then the component of the multiplier."""
    lam = [e for e in total.function.atoms(sp.Indexed) if e.base == l.lam]
    return any(e.indices[1] == index for e in lam), any(e.indices[2] == index for e in lam)


class Licq(Check):
    """The constraint Jacobian in x is unit triangular, so it has full rank at every point."""

    name = "constraint qualification (LICQ): ∂c/∂x is unit triangular by structure"
    tolerance = 0.0
    reason = (
        "symbolic: ∂L/∂x^k holds λ^k with coefficient 1 and otherwise only λ^{k+1}, "
        "so det ∂c/∂x = 1 at every point"
    )

    def measure(self, subject: Subject) -> Finding:
        """Count the conditions that break the structure."""
        wrong = []
        for condition in subject.derivation.split("activation").stationarity:
            if condition.label not in {"S2", "S3"}:
                continue
            layer = condition.wrt.indices[0]
            rest = condition.residual - condition.unknown
            others = {e.indices[0] for e in rest.atoms(sp.Indexed) if e.base == l.lam}
            if rest.has(condition.unknown) or not others <= {layer + 1}:
                wrong.append(f"({condition.label})")
        return Finding(len(wrong), ", ".join(wrong), "∂c/∂x is not unit triangular")


class LicqMeasured(Check):
    """The rank of the Jacobian, assembled from the generated residuals."""

    name = "constraint qualification (LICQ): ∂c/∂x measured through the generated code"
    tolerance = 1e-12
    reason = "deviation of the diagonal blocks from 1 and of the forbidden blocks from 0: rounding"

    def measure(self, subject: Subject) -> Finding:
        """Assemble (∂c/∂x)ᵀ column by column: ∂L/∂x is affine in λ."""
        routines, explicit, X, Y, _ = subject.written_out
        rng = np.random.default_rng(subject.seed)
        theta = routines.initial(rng)
        states = routines.forward(theta, X)
        n = explicit.conditions

        def at(lam: Array) -> Array:
            pairs = tuple((part, part) for part in explicit.split(lam))
            return _by_x(routines.residuals(theta, X, Y, states, pairs))

        zero = at(np.zeros(n))
        columns = [at(unit) for unit in np.eye(n)]
        matrix = np.stack(columns, axis=1) - zero[:, None]
        layer = np.concatenate(
            [np.full(np.prod(s), k) for k, s in enumerate(explicit.state_shapes)]
        )
        same, next_one = layer[:, None] == layer, layer[:, None] + 1 == layer
        wrong = np.where(same, matrix - np.eye(n), np.where(next_one, 0.0, matrix))
        figure = float(np.abs(wrong).max())
        rank = int(np.linalg.matrix_rank(matrix))
        smallest = float(np.linalg.svd(matrix, compute_uv=False)[-1])
        where = f"rank {rank} of {n}, smallest singular value {smallest:.3g}"
        return Finding(figure if rank == n else np.inf, where, "∂c/∂x is not unit triangular")


def _by_x(found: Layers) -> Array:
    """∂L/∂x as one vector."""
    return np.concatenate([layer[1].ravel() for layer in found])
