"""Checks of the second order: Hessian and Gauss-Newton products, and the sparse blocks of ∇²L."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lagrangenet.verify.check import (
    CLEAR_OF_KINKS,
    Array,
    Check,
    Finding,
    Inconclusive,
    Point,
    Subject,
)
from lagrangenet.verify.comparing import Block, deviation, worst
from lagrangenet.verify.curvature import Curvature, unlisted_functions
from lagrangenet.verify.differences import flatten, kink_distance, unflatten
from lagrangenet.verify.textbook import Theta

#: Directions along which products are compared, and rows of the Gauss-Newton product.
DIRECTIONS, ROWS = 3, 64


class SecondOrderCheck(Check):
    """What the checks of the second order share."""

    def inapplicable(self, subject: Subject) -> str:
        """Code of the first order has no products."""
        if subject.routines.order < 2:
            return "the code is of the first order"
        return ""

    @staticmethod
    def directions(subject: Subject, point: Point) -> list[Array]:
        """Random directions in the space of the parameters."""
        rng = np.random.default_rng(subject.seed + 5)
        return [rng.standard_normal(flatten(point.theta).size) for _ in range(DIRECTIONS)]

    @staticmethod
    def product(subject: Subject, point: Point, v: Array, name: str = "hessian_product") -> Array:
        """The generated product, flat."""
        found = getattr(subject.routines, name)(
            point.theta, point.X, point.Y, unflatten(v, point.theta)
        )
        return np.asarray(flatten(found))


class AnalyticCheck(SecondOrderCheck):
    """A check against complex steps of the textbook."""

    def inapplicable(self, subject: Subject) -> str:
        """A complex step needs rules that have complex values."""
        if reason := super().inapplicable(subject):
            return reason
        if unlisted := unlisted_functions(subject.problem):
            return (
                f"{', '.join(unlisted)} has no textbook rule; its numeric one has no complex values"
            )
        return ""


class HessianComplexStep(AnalyticCheck):
    """Hessian-vector products against complex steps of an independent gradient."""

    def inapplicable(self, subject: Subject) -> str:
        """A complex step needs an analytic gradient."""
        if not subject.problem.smooth:
            return "the network has kinks; a complex step needs an analytic gradient"
        return super().inapplicable(subject)

    name = "Hessian-vector product against complex step of the gradient"
    tolerance = 1e-12
    reason = "relative to the largest entry of the product; a complex step has no truncation error"

    def measure(self, subject: Subject) -> Finding:
        """Differentiate the textbook's gradient."""
        point, oracle = subject.few, Curvature(subject.problem)
        return worst(
            Block(
                "∇²J θ̇ (T5, T6)",
                self.product(subject, point, v),
                oracle.hessian_product(point.theta, point.X, point.Y, v),
            )
            for v in self.directions(subject, point)
        )


class HessianCentralDifferences(SecondOrderCheck):
    """Hessian-vector products against central differences, clear of kinks."""

    name = "Hessian-vector product against central differences of the gradient"
    tolerance = 1e-6
    reason = "relative to the largest entry; truncation h² and rounding ε/h of a step h = 1e-5"

    def measure(self, subject: Subject) -> Finding:
        """Differentiate the textbook's gradient with real steps that cross no kink."""
        point, oracle = subject.few, Curvature(subject.problem)
        clear = kink_distance(subject.problem, point.theta, point.X, point.Y)
        if clear < CLEAR_OF_KINKS:
            raise Inconclusive(f"the nearest kink is {clear:.1e} away")
        return worst(
            Block(
                "∇²J θ̇ (T5, T6)",
                self.product(subject, point, v),
                oracle.central_product(point.theta, point.X, point.Y, v, 1e-5),
            )
            for v in (v / np.abs(v).max() for v in self.directions(subject, point))
        )


class HessianSymmetric(SecondOrderCheck):
    """⟨u, ∇²J v⟩ = ⟨v, ∇²J u⟩."""

    name = "the Hessian of the reduced objective is symmetric"
    tolerance = 1e-12
    reason = "|⟨u, Hv⟩ − ⟨v, Hu⟩| relative to ‖u‖‖Hv‖: rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare pairs of directions at every point."""
        figures = [0.0]
        for point in subject.points:
            u, v, _ = self.directions(subject, point)
            Hu, Hv = (self.product(subject, point, w) for w in (u, v))
            scale = float(np.linalg.norm(u) * np.linalg.norm(Hv))
            gap = abs(float(u @ Hv - v @ Hu))
            figures.append(gap / scale if gap else 0.0)
        return Finding(float(np.max(figures)), "", "⟨u, Hv⟩ and ⟨v, Hu⟩ differ")


class GaussNewton(AnalyticCheck):
    """Gauss-Newton products against Jᵀ ℓ″ J."""

    def inapplicable(self, subject: Subject) -> str:
        """Only values of σ are continued, but slopes of ℓ and Ω."""
        problem = subject.problem
        entries = (problem.loss_entry, problem.regularizer_entry)
        if not all(entry is None or entry.smooth for entry in entries):
            return "ℓ or Ω has kinks; a complex step needs analytic slopes of both"
        return super().inapplicable(subject)

    name = "Gauss-Newton product against Jᵀ (∂²ℓ/∂x²) J by complex steps"
    tolerance = 1e-12
    reason = "relative to the largest entry that is compared; complex steps are exact to rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare a sample of the entries along two directions."""
        point, oracle = subject.few, Curvature(subject.problem)
        size = flatten(point.theta).size
        rng = np.random.default_rng(subject.seed + 6)
        rows = np.sort(rng.choice(size, min(size, ROWS), replace=False))
        findings = []
        for v in self.directions(subject, point)[:2]:
            found = self.product(subject, point, v, "gauss_newton_product")
            expected = oracle.gauss_newton_product(point.theta, point.X, point.Y, v, rows)
            scale = max(float(np.abs(expected).max()), float(np.abs(found).max()))
            findings.append(Finding(*deviation(found[rows], expected, scale, len(point.X))))
        worst_one = max(findings, key=lambda f: f.figure)
        return Finding(worst_one.figure, "G θ̇ (T2 to T6, λ = 0)", worst_one.where)


class _AtAnyPoint:
    """Sparse and explicit second derivatives at one x, λ, θ that satisfies no condition."""

    def __init__(self, subject: Subject) -> None:
        self.routines, self.explicit, self.X, self.Y, self.note = subject.written_out
        self.rng = np.random.default_rng(subject.seed + 7)
        self.theta = _with_biases(self.routines.initial(self.rng), self.rng)

    @cached_property
    def states(self) -> tuple[tuple[Array, Array], ...]:
        """States near those of θ, on the same side of zero: a loss may need their sign."""
        passed = self.routines.forward(self.theta, self.X)
        return tuple((z, x * (1 + 0.2 * self.rng.random(x.shape))) for z, x in passed)

    @cached_property
    def multipliers(self) -> tuple[tuple[Array, Array], ...]:
        """Any multipliers."""
        drawn = (self.rng.standard_normal(shape) for shape in self.explicit.state_shapes)
        return tuple((lam, lam) for lam in drawn)

    def product(self, direction: Array) -> Array:
        """∇²L times a direction of (v, λ), by the generated routine."""
        n = self.explicit.size
        states, theta = self.explicit.unpack(direction[:n])
        lam = self.explicit.split(direction[n:])
        found = self.routines.kkt_product(
            self.theta, self.X, self.Y, self.states, self.multipliers,
            theta, tuple((x,) for x in states), tuple((part,) for part in lam),
        )  # fmt: skip
        parts = [[layer[1] for layer in found], [a for layer in found for a in layer[2:]],
                 [layer[0] for layer in found]]  # fmt: skip
        return np.concatenate([np.ravel(array) for part in parts for array in part])


def _with_biases(theta: Theta, rng: np.random.Generator) -> Theta:
    return tuple((W, 0.3 * rng.standard_normal(b.shape)) for W, b in theta)


class SparseBlocks(SecondOrderCheck):
    """The sparse blocks of ∇²L against the Lagrangian written out in scalars."""

    name = "∂²L/∂v², ∂c/∂v and products with ∇²L against the explicit Lagrangian"
    tolerance = 1e-13
    reason = "relative to the largest entry of each matrix, at any x, λ, θ: rounding"

    def measure(self, subject: Subject) -> Finding:
        """Compare both matrices, dense, and a product with a direction of all variables."""
        at = _AtAnyPoint(subject)
        kkt = at.routines.kkt_matrix(at.theta, at.X, at.Y, at.states, at.multipliers)
        v = at.explicit.pack([x for _, x in at.states], at.theta)
        lam = [lam for _, lam in at.multipliers]
        H = at.explicit.lagrangian_hessian(v, lam, at.X, at.Y)
        A = at.explicit.jacobian(v, at.X)
        along = at.rng.standard_normal(sum(A.shape))
        turned = np.concatenate([H @ along[: len(v)] + A.T @ along[len(v) :], A @ along[: len(v)]])
        return worst(
            [
                Block("∂²L/∂v²", kkt.hessian.toarray(), H),
                Block("∂c/∂v", kkt.jacobian.toarray(), A),
                Block("∇²L (v̇, λ̇)", at.product(along), turned),
            ]
        )


class ReducedHessian(SecondOrderCheck):
    """Zᵀ ∇²L Z is the Hessian of the reduced objective."""

    name = "∂²L/∂v² on the null space of ∂c/∂v is the reduced Hessian"
    tolerance = 1e-12
    reason = "relative to the largest entry; Z solves triangular systems of one matrix per layer"

    def measure(self, subject: Subject) -> Finding:
        """Compare with the matrix of Hessian-vector products."""
        routines, explicit, X, Y, _ = subject.written_out
        rng = np.random.default_rng(subject.seed + 8)
        theta = _with_biases(routines.initial(rng), rng)
        products = [
            flatten(routines.hessian_product(theta, X, Y, unflatten(unit, theta)))
            for unit in np.eye(explicit.problem.size)
        ]
        found = routines.kkt_matrix(theta, X, Y).reduced_hessian()
        return worst([Block("Zᵀ ∂²L/∂v² Z", found, np.stack(products, axis=1))])
