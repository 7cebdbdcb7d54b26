"""SciPy's L-BFGS-B on the reduced problem: the gradient is the generated adjoint."""

from __future__ import annotations


from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task, largest
from lagrangenet.runtime import Array


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Run L-BFGS-B."""
    from scipy.optimize import minimize

    gradient = task.fun_and_grad(start.theta)[1]

    def fun(theta: Array) -> tuple[float, Array]:
        nonlocal gradient
        value, gradient = task.fun_and_grad(theta)
        return value, gradient

    def step(intermediate_result) -> None:
        r = intermediate_result
        progress.report(r.x.copy(), fun=r.fun, optimality=largest(gradient))

    found = minimize(fun, start.theta, jac=True, method="L-BFGS-B", callback=step,
                     options={"gtol": options["tol"], "ftol": 0.0, "maxiter": 10**9, "maxfun": 10**9})
    return Outcome(Point(found.x), found.message, {"nfev": found.nfev})


METHODS.add(Method("l-bfgs-b", "SciPy", "reduced", solve, {"maxiter": 15000, "seconds": None}))
