"""IPOPT on the expressions of the CasADi target, which CasADi differentiates and optimizes.

It is what a user of CasADi would write: the fastest way to IPOPT, once the expressions are built, and
the peer that the package's own solvers are compared with. z^k is eliminated, because its constraint
gives it explicitly; the unknowns are θ and x^1, ..., x^N, or z^N in place of x^N where the loss is
stated on it (softmax with cross-entropy). Only for chains; 'ipopt' is for graphs, too.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lagrangenet import signs
from lagrangenet.emit.casadi import emit
from lagrangenet.errors import DerivationError
from lagrangenet.optimize.full import LEAST_OUTPUT
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.nlpsol import QUIET, iterates, last_word, settings
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.routines.lower import lower
from lagrangenet.routines.passes.link import link
from lagrangenet.runtime import Array
from lagrangenet.runtime.load import load
from lagrangenet.symbolic.derivation import Derivation

LARGEST = 20_000


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Build the problem, then run IPOPT; the time that building takes is ``building_s``."""
    import casadi as ca

    began = time.perf_counter()
    stated = _Stated(task)
    expressions = stated.expressions()
    measure = _measure(ca, expressions)

    def report(v: Array, lam: Array) -> None:
        fun, slope, gaps = (a.full().ravel() for a in measure(v, lam))
        theta = v[: task.size].astype(task.dtype)
        optimality = max(
            task.region.optimality(theta, slope[: task.size]),
            float(np.abs(slope[task.size :]).max()),
        )
        violation = float(np.abs(gaps[: stated.conditions]).max())
        progress.report(theta, fun=float(fun[0]), optimality=optimality, violation=violation)

    tell = iterates(stated.size, stated.rows, report)
    own = {"iteration_callback": tell, "ipopt": settings(options, not task.region.free)}
    solver = ca.nlpsol("solver", "ipopt", expressions, {**QUIET, **own})
    v = stated.start(start)
    built = time.perf_counter() - began
    found = solver(x0=v, **stated.limits())
    message = last_word(solver, tell)
    lam = signs.from_ipopt(found["lam_g"].full().ravel()[: stated.conditions])
    point = stated.point(found["x"].full().ravel(), lam)
    return Outcome(point, message, {}, {"building_s": built})


def _measure(ca: Any, nlp: dict[str, Any]) -> Any:
    """(v, λ) → J, ∂L/∂v and the constraints."""
    lam = ca.SX.sym("lam", nlp["g"].shape[0])
    slope = ca.gradient(nlp["f"] + ca.dot(lam, nlp["g"]), nlp["x"])
    return ca.Function("measure", [nlp["x"], lam], [nlp["f"], slope, nlp["g"]])


class _Stated:
    """The constrained problem of a chain in v = (θ, x^1, ..., x^N)."""

    def __init__(self, task: Task) -> None:
        if not isinstance(task.problem, Problem):
            raise DerivationError("the CasADi target is for chains")
        self.task, self.problem = task, task.problem
        self.blocks = [task.samples * n for n in self.problem.widths[1:]]
        self.conditions = sum(self.blocks)
        self.size = task.size + self.conditions
        A, self.low, self.high = task.region.rows(task.size)
        self.A, self.rows = A, self.conditions + len(A)
        self.on_logits = False

    def expressions(self) -> dict[str, Any]:
        """The objective f and the constraints g, as scalar expressions of v."""
        import casadi as ca

        module = load(emit(link(lower(Derivation(self.problem)))))
        nlp = module["nlp"](self.task.samples)
        data = np.concatenate([self.task.X.ravel(), self.task.Y.ravel()])
        whole = ca.Function("whole", [nlp["x"], nlp["p"]], [nlp["f"], nlp["g"]]).expand()
        self.on_logits = whole.size1_in(0) < self.task.size + 2 * self.conditions
        theta = ca.SX.sym("theta", self.task.size)
        states = [ca.SX.sym(f"x{k}", size) for k, size in enumerate(self.blocks, 1)]
        unknown = [part for size, x in zip(self.blocks, states, strict=True)
                   for part in (ca.SX.zeros(size), x)]  # fmt: skip
        if self.on_logits:
            unknown = [*unknown[:-2], unknown[-1]]
        ends = np.cumsum([0, *(part.shape[0] for part in unknown)])

        def gap(at: int) -> Any:
            """The constraint of the unknown there, with the others as they are."""
            return whole(ca.vertcat(theta, *unknown), data)[1][int(ends[at]) : int(ends[at + 1])]

        g = []
        for at in range(len(unknown)):
            if at % 2 == 0 and not (self.on_logits and at == len(unknown) - 1):
                unknown[at] = -gap(at)  # of z − (W x + b), where z is zero
            else:
                g.append(gap(at))
        f = whole(ca.vertcat(theta, *unknown), data)[0]
        if len(self.A):
            g.append(ca.mtimes(ca.DM(self.A), theta))
        return {"x": ca.vertcat(theta, *states), "f": f, "g": ca.vertcat(*g)}

    def start(self, point: Point) -> Array:
        """V of a point."""
        states = self.task.states(point.theta) if point.states is None else point.states
        states = states.astype(np.float64)
        if self.on_logits:
            shaped = self.task.shaped(point.theta)
            logits = self.task.routines.stage("forward")(shaped, self.task.X)[-1][0]
            states[-self.blocks[-1] :] = logits.ravel()
        return np.concatenate([point.theta.astype(np.float64), states])

    def point(self, v: Array, multipliers: Array) -> Point:
        """The point of v and λ; on logits x^N and λ^N are those of the passes."""
        dtype = self.task.dtype
        theta, states = v[: self.task.size].astype(dtype), v[self.task.size :].astype(dtype)
        multipliers = multipliers.astype(dtype)
        if self.on_logits:
            last = slice(-self.blocks[-1], None)
            states[last] = self.task.states(theta)[last]
            multipliers[last] = self.task.multipliers(theta, states)[last]
        return Point(theta, states, multipliers)

    def limits(self) -> dict[str, Array]:
        """Bounds of v and of g."""
        low, high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        low[: self.task.size], high[: self.task.size] = self.task.region.limits(self.task.size)
        if self.problem.loss_entry.needs_positive and not self.on_logits:
            low[-self.blocks[-1] :] = LEAST_OUTPUT
        zero = np.zeros(self.conditions)
        rows = {"lbg": np.concatenate([zero, self.low]), "ubg": np.concatenate([zero, self.high])}
        return {"lbx": low, "ubx": high, **rows}


def _unfit(task: Task) -> str:
    if not isinstance(task.problem, Problem):
        return "the CasADi target is for chains; take 'ipopt' or 'lifted-newton'"
    count = task.conditions + task.size
    if count <= LARGEST:
        return ""
    return (
        f"{count} variables, and building the expressions of more than {LARGEST} takes minutes; "
        "take 'lifted-newton'"
    )


METHODS.add(
    Method(
        "ipopt-casadi",
        "IPOPT on CasADi's expressions of a chain, which CasADi differentiates",
        "full",
        solve,
        {"maxiter": 3000, "seconds": None, "mu_strategy": "monotone"},
        frozenset({"bounds", "constraints"}),
        unfit=_unfit,
        package="casadi",
        extra="oracles",
    )
)
