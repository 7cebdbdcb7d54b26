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
from lagrangenet.optimize.progress import Progress, Stop
from lagrangenet.optimize.sparsity import Pattern, patterns
from lagrangenet.optimize.task import Point, Task
from lagrangenet.optimize.trust_constr import BARRIER
from lagrangenet.runtime import Array

_NEVER = 10**9
LARGEST = 20_000
#: IPOPT's own status in words that say what to do.
_REMEDIES = {
    "Infeasible_Problem_Detected": "it sees no way to the constraints from here; start elsewhere",
    "Restoration_Failed": "it found no way back to the constraints; start elsewhere (seed, x0)",
    "Search_Direction_Becomes_Too_Small": "steps are too small; a larger tol, or 'lifted-newton'",
    "Diverging_Iterates": "variables grow without bound; add a regularizer",
    "Invalid_Number_Detected": "J or a derivative had no finite value; start elsewhere (seed, x0)",
}


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run IPOPT."""
    full = Full(task, progress, options["tol"])
    problem = _Nonlinear(full, full.start(start))
    solver, tell = problem.solver(_settings(options, not task.region.free))
    low, high = full.bounds()
    v = full.start(start)
    found = solver(x0=v, lbx=low, ubx=high, lbg=problem.low, ubg=problem.high)
    if tell.stopped is not None:
        raise tell.stopped
    status = str(solver.stats()["return_status"])
    remedy = _REMEDIES.get(status, "")
    lam = signs.from_ipopt(found["lam_g"].full().ravel()[: full.conditions])
    point = full.point(found["x"].full().ravel(), lam)
    return Outcome(point, f"IPOPT: {status}{'; ' * bool(remedy)}{remedy}", full.counts)


def _settings(options: Options, limited: bool) -> dict[str, Any]:
    tol = options["tol"] / 10
    return {
        "print_level": 0,
        "sb": "yes",
        "tol": tol,
        "dual_inf_tol": tol,
        "constr_viol_tol": tol,
        "compl_inf_tol": BARRIER * tol if limited else tol,
        "acceptable_iter": 0,
        "max_iter": _NEVER,
        "nlp_scaling_method": "none",
        "bound_relax_factor": 0.0,
        "mu_strategy": options["mu_strategy"],
    }


class _Nonlinear:
    """The problem as CasADi's functions: c(v) = 0 and, if there are any, rows of A θ."""

    def __init__(self, full: Full, v: Array) -> None:
        from scipy import sparse

        self.full, (m, n) = full, (full.conditions, full.size)
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

    @staticmethod
    def _values(pattern: Pattern, matrix: Callable[[], Any]) -> Array:
        """Values at the places of a pattern; NaN, which IPOPT steps back from, if there are none."""
        try:
            return pattern.values(matrix())
        except LagrangenetError:
            return np.full(len(pattern.rows), np.nan)

    def solver(self, settings: dict[str, Any]) -> tuple[Any, Any]:
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
        tell = _iterates(full, rows)
        v = ca.MX.sym("x", n)
        quiet = {"print_time": False, "calc_lam_p": False, "no_nlp_grad": True,
                 "show_eval_warnings": False}  # fmt: skip
        options = {**given, **quiet, "iteration_callback": tell, "ipopt": settings}
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


def _iterates(full: Full, rows: int) -> Any:
    """What IPOPT calls at every iterate; it keeps why it ended the run in ``stopped``."""
    import casadi as ca

    class Tell(ca.Callback):
        stopped: Stop | None = None

        def __init__(self) -> None:
            ca.Callback.__init__(self)
            self.construct("iterate", {})

        def get_n_in(self) -> int:
            return int(ca.nlpsol_n_out())

        def get_n_out(self) -> int:
            return 1

        def get_name_in(self, i: int) -> str:
            return str(ca.nlpsol_out(i))

        def get_name_out(self, _: int) -> str:
            return "ret"

        def get_sparsity_in(self, i: int) -> Any:
            lengths = {"x": full.size, "lam_x": full.size, "f": 1, "g": rows, "lam_g": rows}
            length = lengths.get(ca.nlpsol_out(i), 0)
            return ca.Sparsity.dense(length, min(length, 1))

        def eval(self, arguments: Sequence[Any]) -> list[int]:
            named = {ca.nlpsol_out(i): a.full().ravel() for i, a in enumerate(arguments)}
            try:
                full.report(named["x"], signs.from_ipopt(named["lam_g"][: full.conditions]))
            except Stop as stop:
                self.stopped = stop
                return [1]
            return [0]

    return Tell()


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
