"""SciPy's nonlinear least squares, for J that is a sum of squares: squared error, with or without L2.

    J = ½ ‖r‖²,    r = √d ⊙ (v − v*),    d = ∂²J/∂v²,    v* = v − ∂J/∂v ⊘ d,    v = (x^N(θ), θ)

Where J is quadratic, without mixed terms, d and v* are the same at every point: they are read once
from the generated second derivatives at λ = 0. The rows of d that are zero, as those of biases, are
left out. ∂x^N/∂θ is made of generated tangents. Other losses are refused.
"""

from __future__ import annotations

import numpy as np

from lagrangenet.functions.base import w, x
from lagrangenet.optimize.full import at_most
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.reduced import Reduced
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array, Routines

#: Trials of a step within one iteration are not reported; so many of them are a failure.
_TRIALS = 50_000
#: Relative to θ: a step that changes nothing, without which a region would shrink for ever.
_SHORT = float(np.finfo(np.float64).eps)
LARGEST = 200_000


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run the trust-region reflective method, or dogbox."""
    from scipy.optimize import least_squares  # here, because the import takes a while

    squares, reduced = _Squares(task, start.theta), Reduced(task, progress, options["tol"])
    theta = start.theta.astype(np.float64)
    if task.region.bounds is not None:
        theta = _inside(theta, *task.region.bounds)
    found = least_squares(squares.residuals, theta, squares.jacobian, task.region.limits(task.size),
                          options["variant"], ftol=None, xtol=_SHORT, gtol=options["tol"] / 100,
                          max_nfev=_TRIALS, callback=reduced.callback)  # fmt: skip
    counts = {"nfev": squares.nfev, "njev": squares.njev}
    return Outcome(reduced.point(found.x), str(found.message), counts)


class _Squares:
    """r and its Jacobian at θ."""

    def __init__(self, task: Task, theta: Array) -> None:
        self.task, self.nfev, self.njev = task, 0, 0
        m, dtype = task.conditions, task.dtype
        states, none = np.zeros(m, dtype), np.zeros(m, dtype)
        outputs = task.outputs
        here = np.concatenate([outputs, m + np.arange(task.size)])
        found = task.residuals(theta, states, none)
        slope = np.concatenate([found.states, found.parameters])[here].astype(np.float64)
        curvature = task.kkt(theta, states, none).hessian.diagonal()[here].astype(np.float64)
        v = np.concatenate([states[outputs], theta]).astype(np.float64)
        self.used = np.flatnonzero(curvature > 0)
        self.root = np.sqrt(curvature[self.used])
        self.best = v[self.used] - slope[self.used] / curvature[self.used]
        self.outputs = outputs

    def residuals(self, theta: Array) -> Array:
        """Values of r."""
        self.nfev += 1
        states = self.task.states(theta.astype(self.task.dtype))[self.outputs]
        found: Array = self.root * (np.concatenate([states, theta])[self.used] - self.best)
        return found

    def jacobian(self, theta: Array) -> Array:
        """∂r/∂θ, (rows, P)."""
        self.njev += 1
        moved = self._moved(theta.astype(self.task.dtype)).astype(np.float64)
        whole = np.vstack([moved, np.eye(self.task.size)])
        found: Array = self.root[:, None] * whole[self.used]
        return found

    def _moved(self, theta: Array) -> Array:
        """∂x^N/∂θ."""
        task = self.task
        states = task.states(theta)
        if not isinstance(task.routines, Routines):
            none = np.zeros_like(states)
            found: Array = task.kkt(theta, states, none).null_space()[self.outputs]
            return found
        shaped = task.shaped(theta)
        forward = task.routines.stage("forward")(shaped, task.X)
        tangent = task.routines.stage("tangent")
        columns = np.empty((len(self.outputs), task.size), theta.dtype)
        directions = task.shapes.layout.parameter_directions(task.dtype)
        for column, (_, (along, *_rest)) in zip(columns.T, directions, strict=True):
            column[:] = tangent(shaped, task.X, forward, along)[-1][-1].ravel()
        return columns


def _inside(theta: Array, low: Array, high: Array) -> Array:
    """Strictly within the bounds, as the method asks for."""
    gap = np.where(np.isfinite(high - low), 1e-3 * (high - low), 1e-3)
    return np.clip(theta, low + gap, high - gap)


def _unfit(task: Task) -> str:
    loss, penalty = task.problem.loss_entry, task.problem.regularizer_entry
    entries = [(loss, x), (penalty, w)] if penalty is not None else [(loss, x)]
    for entry, variable in entries:
        twice = entry.expr.diff(variable, 2)
        if loss.coupled or twice.has(variable) or not twice.is_constant():
            return f"{entry.name} is no sum of squares; take 'gauss-newton' or 'auto'"
    return at_most(LARGEST, "'l-bfgs-b'")(task)


METHODS.add(
    Method(
        "least-squares",
        "nonlinear least squares with the generated Jacobian, for squared losses; SciPy",
        "reduced",
        solve,
        {"maxiter": 2000, "seconds": None, "variant": "trf"},
        frozenset({"bounds"}),
        unfit=_unfit,
    )
)
