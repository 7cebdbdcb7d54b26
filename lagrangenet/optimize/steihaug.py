"""Trust region in θ by Steihaug's conjugate gradients, with generated products with ∇²J.

Nothing of size P × P is stored, so it is for many parameters: memory is a few vectors, the cost of a
product is about that of two gradients, linear in samples, layers and parameters. Steihaug (1983);
Nocedal & Wright (2006), Algorithms 7.2 and 4.1. Conjugate gradients end at min(½, |g|^¼) |g|, which
took the fewest products and is superlinear (their Theorem 7.2). Near the end, where J cannot tell a
better point from rounding, the gradient decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lagrangenet.optimize.kinks import explained
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.products import products
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

#: Least ratio of actual to predicted decrease of an accepted step; below BAD the region shrinks to
#: LESS of the step, above GOOD it grows MORE-fold if the step is on its boundary.
ACCEPTED, BAD, GOOD, LESS, MORE = 1e-4, 0.25, 0.75, 0.25, 3.0
#: Rounding of J, in units of |J| + 1 and of the precision.
NOISE = 8.0
#: The region is not smaller than this share of its start.
SMALLEST = 1e-14


@dataclass(frozen=True, eq=False)
class Direction:
    """A step in a trust region.

    Attributes
    ----------
    step, product : ndarray
        p and ∇²J p.
    boundary : bool
        Whether it ends on the boundary: of the region, or along negative curvature.
    products : int
        How many it took.
    """

    step: Array
    product: Array
    boundary: bool
    products: int


def truncated(
    product: Callable[[Array], Array], gradient: Array, radius: float, most: int
) -> Direction:
    """Minimize gᵀp + ½ pᵀHp in |p| ≤ radius by conjugate gradients, approximately.

    Examples
    --------
    >>> H = np.diag([1.0, 2.0])
    >>> small = np.array([1e-4, 1e-4])  # the smaller the gradient, the better the solution
    >>> truncated(H.__matmul__, small, 10.0, 10).step.round(9).tolist()
    [-0.0001, -5e-05]
    >>> found = truncated(H.__matmul__, np.array([1.0, 1.0]), 0.5, 10)
    >>> found.boundary, round(float(np.linalg.norm(found.step)), 6)
    (True, 0.5)
    """
    size = float(np.linalg.norm(gradient))
    enough = min(0.5, size**0.25) * size
    p, Hp = np.zeros_like(gradient), np.zeros_like(gradient)
    r = gradient.copy()
    d = -r
    square = float(r @ r)
    for count in range(1, most + 1):
        Hd = product(d)
        bent = float(d @ Hd)
        length = square / bent if bent > 0 else np.inf
        if bent <= 0 or np.linalg.norm(p + length * d) >= radius:
            length = _to_boundary(p, d, radius)
            return Direction(p + length * d, Hp + length * Hd, True, count)
        p, Hp = p + length * d, Hp + length * Hd
        r = r + length * Hd
        new = float(r @ r)
        if np.sqrt(new) <= enough:
            break
        d, square = new / square * d - r, new
    return Direction(p, Hp, False, count)


def _to_boundary(p: Array, d: Array, radius: float) -> float:
    """The positive t with |p + t d| = radius."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - radius**2
    return (-b + float(np.sqrt(max(b * b - a * c, 0.0)))) / a


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Iterate until the gradient vanishes or the region does."""
    theta, radius, tol = start.theta, options["radius"], options["tol"]
    most = options["products"] or max(200, 2 * task.size)
    noise = NOISE * float(np.finfo(task.dtype).eps)
    counts = {"nfev": 1, "nhev": 0}
    value, slope = task.fun_and_grad(theta)
    message = "the trust region shrank to nothing: J falls no more"
    if not np.isfinite(value):
        return Outcome(start, "J has no finite value at the start", counts)
    while radius > SMALLEST * options["radius"]:
        optimality = float(np.abs(slope).max())
        if optimality <= tol:
            message = "the gradient vanishes"
            break
        found = truncated(products(task, theta), slope, radius, most)
        counts["nhev"] += found.products
        new_value, new_slope = task.fun_and_grad(theta + found.step)
        counts["nfev"] += 1
        predicted = -float(slope @ found.step + 0.5 * found.step @ found.product)
        slack = noise * (1 + abs(value))
        if predicted <= 10 * slack:  # rounding hides the decrease
            better = bool(np.abs(new_slope).max() < optimality)
            ratio = 1.0 if better else 0.0
        else:
            ratio = (value - new_value + slack) / (predicted + slack)
        length = float(np.linalg.norm(found.step))
        if not ratio >= BAD:  # also for NaN
            radius = LESS * min(length, radius)
        elif ratio > GOOD and found.boundary:
            radius = max(radius, MORE * length)
        if ratio > ACCEPTED:
            theta, value, slope = theta + found.step, new_value, new_slope
        progress.report(theta, fun=value, optimality=float(np.abs(slope).max()), step=length,
                        products=found.products)  # fmt: skip
    return Outcome(Point(theta), explained(task.problem, message), counts)


METHODS.add(
    Method(
        "steihaug",
        "trust region in θ by truncated conjugate gradients, for many parameters",
        "reduced",
        solve,
        MappingProxyType({"maxiter": 5000, "seconds": None, "radius": 1.0, "products": None}),
    )
)
