"""IPOPT, through CasADi, on the constrained problem, with the generated sparse derivatives.

CasADi is only the way to IPOPT: it differentiates nothing here. Its functions are wrappers of the
generated routines, so chains and graphs are solved alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lagrangenet import signs
from lagrangenet.errors import LagrangenetError
from lagrangenet.optimize.full import Full, at_most
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.nlpsol import QUIET, iterates, last_word, settings
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.sparsity import Pattern, patterns
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

LARGEST = 20_000


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run IPOPT."""
    full = Full(task, progress, options["tol"])
    problem = _Nonlinear(full, full.start(start))
    solver, tell = problem.solver(settings(options, not task.region.free))
    low, high = full.bounds()
    v = full.start(start)
    found = solver(x0=v, lbx=low, ubx=high, lbg=problem.low, ubg=problem.high)
    message = last_word(solver, tell) + problem.cause
    lam = signs.from_ipopt(found["lam_g"].full().ravel()[: full.conditions])
    return Outcome(full.point(found["x"].full().ravel(), lam), message, full.counts)


class _Nonlinear:
    """The problem as CasADi's functions: c(v) = 0 and, if there are any, rows of A θ."""

    def __init__(self, full: Full, v: Array) -> None:
        from scipy import sparse

        self.full, (m, n) = full, (full.conditions, full.size)
        self.cause = ""
        hessian, jacobian = patterns(full.task.shapes, full.task.size, full.kkt, v)
        self.low = self.high = np.zeros(m)
        self.linear = sparse.csr_array((0, n))
        if full.task.region.constraints is not None:
            A, low, high = full.task.region.constraints
            self.linear = sparse.hstack([sparse.csr_array((len(A), m)), sparse.csr_array(A)])
            self.low, self.high = np.concatenate([self.low, low]), np.concatenate([self.high, high])
        self.rows = len(self.low)
        self.jacobian = Pattern(sparse.vstack([jacobian, abs(self.linear)]))
        self.hessian = Pattern(sparse.triu(hessian))

    def constraints(self, v: Array) -> Array:
        """(c, A θ)."""
        return np.concatenate([self.full.constraints(v), self.linear @ v])

    def jacobian_values(self, v: Array) -> Array:
        """The derivatives of the constraints, at the places of the pattern."""
        from scipy import sparse

        return self._values(
            self.jacobian, lambda: sparse.vstack([self.full.jacobian(v), self.linear])
        )

    def hessian_values(self, v: Array, weight: float, multipliers: Array) -> Array:
        """Those of ∂²(weight J + ⟨λ, c⟩)/∂v²; ∂²J/∂v² is the value at λ = 0."""
        from scipy import sparse

        lam = multipliers[: self.full.conditions]

        def weighted() -> Any:
            whole = self.full.hessian(v, lam)
            if weight != 1:
                whole = whole + (weight - 1) * self.full.kkt(v, np.zeros_like(lam)).hessian
            return sparse.triu(whole)

        return self._values(self.hessian, weighted)

    def _values(self, pattern: Pattern, matrix: Callable[[], Any]) -> Array:
        """Values at the places of a pattern; NaN, which IPOPT steps back from, if there are none.

        Nothing may be raised through CasADi, so the reason is kept.
        """
        try:
            return pattern.values(matrix())
        except (LagrangenetError, ArithmeticError) as error:
            self.cause = f"; {error}"
            return np.full(len(pattern.rows), np.nan)

    def solver(self, ipopt: dict[str, Any]) -> tuple[Any, Any]:
        """The solver, and what it tells its iterates to; the functions live as long as that."""
        import casadi as ca

        full, n, rows = self.full, self.full.size, self.rows
        column = ca.Sparsity.dense
        x, p = ("x", column(n, 1)), ("p", column(0, 0))
        weights = (("lam_f", column(1, 1)), ("lam_g", column(rows, 1)))
        J, H = (ca.Sparsity(*a.shape, a.starts, a.rows) for a in (self.jacobian, self.hessian))
        one, gradient, values = (
            ("f", column(1, 1)),
            ("grad_f_x", column(n, 1)),
            ("g", column(rows, 1)),
        )
        f = _function("objective", [x], [one], lambda v: [full.objective(v)])
        g = _function("constraints", [x], [values], lambda v: [self.constraints(v)])
        given = {
            "grad_f": _function("gradient", [x, p], [one, gradient],
                                lambda v, _: [full.objective(v), full.gradient(v)]),
            "jac_g": _function("jacobian", [x, p], [values, ("jac_g_x", J)],
                               lambda v, _: [self.constraints(v), self.jacobian_values(v)]),
            "hess_lag": _function("hessian", [x, p, *weights], [("triu_hess_gamma_x_x", H)],
                                  lambda v, _, s, lam: [self.hessian_values(v, float(s[0]), lam)]),
        }  # fmt: skip

        def report(v: Array, lam: Array) -> None:
            full.report(v, signs.from_ipopt(lam[: full.conditions]))

        tell = iterates(n, rows, report)
        v = ca.MX.sym("x", n)
        options = {**given, **QUIET, "iteration_callback": tell, "ipopt": ipopt}
        solver = ca.nlpsol("solver", "ipopt", {"x": v, "f": f(v), "g": g(v)}, options)
        tell.kept = (f, g, given)
        return solver, tell


def _function(
    name: str, inputs: Sequence[Any], outputs: Sequence[Any], call: Callable[..., list[Any]]
) -> Any:
    """A function of arrays as CasADi's, with named inputs and outputs of known sparsity."""
    import casadi as ca

    class Wrapped(ca.Callback):
        def __init__(self) -> None:
            ca.Callback.__init__(self)
            self.construct(name, {})

        def get_n_in(self) -> int:
            return len(inputs)

        def get_n_out(self) -> int:
            return len(outputs)

        def get_name_in(self, i: int) -> str:
            return str(inputs[i][0])

        def get_name_out(self, i: int) -> str:
            return str(outputs[i][0])

        def get_sparsity_in(self, i: int) -> Any:
            return inputs[i][1]

        def get_sparsity_out(self, i: int) -> Any:
            return outputs[i][1]

        def eval(self, arguments: Sequence[Any]) -> list[Any]:
            found = call(*(a.full().ravel() for a in arguments))
            return [ca.DM(s, values) for (_, s), values in zip(outputs, found, strict=True)]

    return Wrapped()


METHODS.add(
    Method(
        "ipopt",
        "interior-point method with exact sparse Hessian; IPOPT through CasADi",
        "full",
        solve,
        {"maxiter": 3000, "seconds": None, "mu_strategy": "monotone"},
        frozenset({"bounds", "constraints"}),
        unfit=at_most(LARGEST, "'lifted-newton'"),
        package="casadi",
        extra="oracles",
    )
)
