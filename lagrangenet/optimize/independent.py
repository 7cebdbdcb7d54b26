"""Measuring a point by oracles of their own: how far it is from a KKT point.

    c = 0,   ∂L/∂x = 0,   ∂L/∂θ = 0,   θ in its region,   signs and complementarity of its multipliers

For a chain every residual is that of the textbook (:mod:`lagrangenet.verify.textbook`), which shares
no code with the routines that the methods used, and costs about what two gradients do. For a graph,
or a function that the textbook only knows with 40 digits, they are the routines' own where there
are more than a few samples; beside them the slow oracle is put at a few. It reports; whether a point
is good enough is decided by the tolerance alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from lagrangenet.graph import Graph
from lagrangenet.optimize.certificate import Condition, Kind, KKTCertificate
from lagrangenet.optimize.multipliers import RegionMultipliers, signs_of
from lagrangenet.optimize.second_order import SecondOrder
from lagrangenet.optimize.task import Point, Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array
from lagrangenet.verify.curvature import Curvature, unlisted_functions
from lagrangenet.verify.graph_oracle import GraphOracle
from lagrangenet.verify.graph_oracle import Point as OraclePoint
from lagrangenet.verify.textbook import Textbook

#: Samples at which a slow oracle is asked: of a graph it loops over every index.
SAMPLES = 4
#: More parameters than this are compared along one random direction; more than the second not at all.
MANY, TOO_MANY = 1000, 100_000
#: Of entries of the gradient (and of curvature), relative to the largest, at least 1.
AGREE = {"float64": 1e-9, "float32": 1e-3}


class _Block(NamedTuple):
    """A residual and the block that it belongs to."""

    where: str
    values: Array


def certify(
    task: Task,
    point: Point,
    tol: float,
    multipliers: RegionMultipliers | None = None,
    second: SecondOrder | None = None,
) -> KKTCertificate:
    """Measure a point.

    Parameters
    ----------
    task : Task
    point : Point
        With states and multipliers.
    tol : float
        For stationarity and feasibility, absolute.
    multipliers : RegionMultipliers, optional
        Of the limits on θ; by default recovered from the gradient.
    second : SecondOrder, optional
        Belongs into the certificate; its curvature is checked.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> task = Task(chain([1, 1]), [[-1.0], [1.0]], [[-2.0], [2.0]])
    >>> found = certify(task, task.completed(Point(np.array([2.0, 0.0]))), 1e-8)
    >>> found.order, found.optimality
    (1, 0.0)
    """
    slow = isinstance(task.problem, Graph) or bool(unlisted_functions(task.problem))
    partly = slow and (task.samples > SAMPLES or task.size > MANY)
    measure = _generated if partly else _graph if isinstance(task.problem, Graph) else _chain
    feasible, by_x, by_theta, source = measure(task, point)
    rows = [
        _row("feasibility", "∂L/∂λ = c = 0", feasible, tol, source),
        _row("stationarity", "∂L/∂x = 0", by_x, tol, source),
    ]
    notes: list[str] = []
    slope = np.concatenate([block.values.ravel() for block in by_theta])
    if task.region.free:
        rows.append(_row("stationarity", "∂L/∂θ = 0", by_theta, tol, source))
    else:
        given = task.region.multipliers(point.theta, slope) if multipliers is None else multipliers
        rows += _region_rows(task, point.theta, slope, given, tol, source)
        notes.append(_qualification(task, point.theta))
    if partly and task.size <= TOO_MANY:
        rows += _oracle_row(task, point.theta)
    elif partly:
        notes.append("no oracle was asked: there are too many parameters for a slow one")
    if second is not None and second.curvature == second.curvature:
        rows += _curvature_row(task, point.theta, second)
    return KKTCertificate(tuple(rows), second, tuple(filter(None, notes)))


def _row(kind: Kind, name: str, blocks: list[_Block], tol: float, source: str) -> Condition:
    figures = [float(np.abs(b.values).max()) if b.values.size else 0.0 for b in blocks]
    at = int(np.argmax([np.inf if np.isnan(f) else f for f in figures])) if figures else 0
    figure, where = (figures[at], blocks[at].where) if figures else (0.0, "")
    return Condition(kind, name, figure, tol, source, f"worst at {where}" if where else "")


# -- residuals ---------------------------------------------------------------------------------------

_Measured = tuple[list[_Block], list[_Block], list[_Block], str]


def _chain(task: Task, point: Point) -> _Measured:
    """∂L/∂λ, ∂L/∂x and ∂L/∂θ by the textbook."""
    assert isinstance(task.problem, Problem)
    theta, states, lam = _float64(task, point)
    X = cast(Any, task.X)
    with np.errstate(all="ignore"):
        rows = Textbook(task.problem).residuals(theta, X, task.Y, states, lam)
    blocks: list[list[_Block]] = [[], [], []]
    for k, (c, by_x, dW, db) in enumerate(rows, 1):
        blocks[0].append(_Block(f"layer {k}, (S1)", c))
        blocks[1].append(_Block(f"layer {k}, ({'S2' if k == len(rows) else 'S3'})", by_x))
        blocks[2] += [_Block(f"layer {k}, (S5) ∂L/∂W", dW), _Block(f"layer {k}, (S6) ∂L/∂b", db)]
    return blocks[0], blocks[1], blocks[2], "textbook backpropagation"


def _float64(task: Task, point: Point) -> Any:
    theta, states, lam = (np.asarray(part, dtype=np.float64) for part in point)
    return task.shaped(theta), task.shapes.arrays(states), task.shapes.arrays(lam)


def _graph(task: Task, point: Point) -> _Measured:
    """∂L/∂λ, ∂L/∂x and ∂L/∂θ by the brute-force oracle."""
    assert isinstance(task.problem, Graph)
    theta, _, lam = _float64(task, point)
    at = OraclePoint(theta, cast(Any, task.X), task.Y)
    states = task.shapes.states(point.solved_states, task.shaped(point.theta))
    found = GraphOracle(task.problem).residuals(at, states, lam)
    return (
        [_Block(f"state {n}, (S1)", found[f"lambda_{n}"]) for n in lam],
        [_Block(f"state {n}, (S3)", found[n]) for n in lam],
        [_Block(f"(S5) ∂L/∂{n}", found[n]) for n in theta],
        "brute-force oracle",
    )


def _generated(task: Task, point: Point) -> _Measured:
    """∂L/∂λ, ∂L/∂x and ∂L/∂θ by the routines themselves."""
    found = task.residuals(point.theta, point.solved_states, point.solved_multipliers)
    by_lambda, by_x = (_named(task.shapes.arrays(part)) for part in found[:2])
    shaped = task.shaped(found.parameters)
    shaped = _layers(shaped) if isinstance(shaped, tuple) else shaped
    return (
        [_Block(f"{n}, (S1)", a) for n, a in by_lambda.items()],
        [_Block(f"{n}, (S3)", a) for n, a in by_x.items()],
        [_Block(f"∂L/∂{n}", a) for n, a in shaped.items()],
        "generated residuals",
    )


def _named(arrays: Any) -> dict[str, Array]:
    """Arrays by what they belong to."""
    if isinstance(arrays, tuple):
        return {f"layer {k}": a for k, a in enumerate(arrays, 1)}
    return {f"state {name}": a for name, a in arrays.items()}


def _oracle_row(task: Task, theta: Array) -> Iterator[Condition]:
    """The generated gradient at a few samples beside that of the slow oracle."""
    rows = np.unique(np.linspace(0, task.samples - 1, SAMPLES).astype(int))
    Y, shaped, X = task.Y[rows], task.shaped(theta), cast(Any, task.X)
    inputs: Any = {n: a[rows] for n, a in X.items()} if isinstance(X, dict) else X[rows]
    found = cast(Any, task.routines.gradient(shaped, inputs, Y))
    name = f"the generated gradient at {len(rows)} of {task.samples} samples"
    source = "brute-force oracle"
    if not isinstance(task.problem, Graph):
        source = "textbook with 40 digits"
        wanted = _layers(Textbook(task.problem).gradient(shaped, inputs, Y))
        found = _layers(found)
    elif task.size <= MANY:
        wanted = GraphOracle(task.problem).gradient(OraclePoint(shaped, inputs, Y))
    else:
        oracle, draw = GraphOracle(task.problem), np.random.default_rng(0)
        if not oracle.continuable:
            return
        along = {n: draw.standard_normal(a.shape) for n, a in shaped.items()}
        name += ", along a random direction"
        wanted = {"θ": np.array(oracle.slope(OraclePoint(shaped, inputs, Y), along))}
        found = {"θ": np.sum([np.sum(found[n] * v) for n, v in along.items()])}
    scale = max([1.0, *(float(np.abs(a).max()) for a in wanted.values())])
    blocks = [_Block(f"∂J/∂{n}", np.asarray((found[n] - wanted[n]) / scale)) for n in wanted]
    yield _row("oracle", name, blocks, AGREE[task.dtype], source)


def _layers(theta: Any) -> dict[str, Array]:
    """(W^k, b^k) by name."""
    pairs = enumerate(theta, 1)
    return {f"{name}{k}": a for k, pair in pairs for name, a in zip("Wb", pair, strict=True)}


def _curvature_row(task: Task, theta: Array, second: SecondOrder) -> Iterator[Condition]:
    """Along the direction of negative curvature: dᵀ ∇²J d by complex steps of the textbook."""
    if second.direction is None or not isinstance(task.problem, Problem):
        return
    if unlisted_functions(task.problem):
        return
    direction = second.direction.astype(np.float64)
    at, X = task.shaped(theta.astype(np.float64)), cast(Any, task.X)
    turned = Curvature(task.problem).hessian_product(at, X, task.Y, direction)
    scale = max(1.0, float(np.abs(second.eigenvalues).max()))
    figure = abs(float(direction @ turned) - second.curvature) / scale
    yield Condition("oracle", "the curvature along the direction that is reported", figure,
                    AGREE[task.dtype], "complex step of the textbook")  # fmt: skip


# -- the region --------------------------------------------------------------------------------------


def _region_rows(
    task: Task,
    theta: Array,
    slope: Array,
    multipliers: RegionMultipliers,
    tol: float,
    source: str,
) -> list[Condition]:
    """Feasibility, stationarity, signs and complementarity of the limits on θ."""
    region, size = task.region, len(theta)
    A, low, high = region.rows(size)
    limits = ((theta, *region.limits(size)), (A @ theta, low, high))
    outside, signs, both = [], [], []
    for (values, lower, upper), nu in zip(
        limits, (multipliers.bounds, multipliers.constraints), strict=True
    ):
        outside.append(np.maximum(np.maximum(lower - values, values - upper), 0.0))
        below, above = signs_of(values, lower, upper)
        signs.append(np.where((nu < 0) & ~below | (nu > 0) & ~above, np.abs(nu), 0.0))
        slack = np.where(nu < 0, np.abs(values - lower), np.abs(upper - values))
        both.append(np.where(nu == 0, 0.0, np.minimum(slack, np.abs(nu))))
    names = ("bounds", "linear constraints")

    def row(kind: Kind, name: str, parts: list[Array]) -> Condition:
        blocks = [_Block(n, part) for n, part in zip(names, parts, strict=True) if part.size]
        return _row(kind, name, blocks, tol, "definition")

    left = region.stationarity(slope, multipliers)
    at = int(np.abs(left).argmax())
    where = f"worst at {region.names.entry(at)}" if region.names else ""
    return [
        Condition("stationarity", "∂L/∂θ + ν + Aᵀη = 0", float(np.abs(left).max()), tol, source,
                  where),
        row("feasibility", "limits on θ hold", outside),
        row("stationarity", "multipliers of limits that are not active vanish, others have their "
            "sign", signs),
        row("stationarity", "complementarity, min(slack, |multiplier|) = 0", both),
    ]  # fmt: skip


def _qualification(task: Task, theta: Array) -> str:
    """Whether the gradients of the active limits are independent (LICQ)."""
    A, low, high = task.region.rows(len(theta))
    held, used = (
        signs_of(values, *limits).any(axis=0)
        for values, limits in ((theta, task.region.limits(len(theta))), (A @ theta, (low, high)))
    )
    rows = A[used][:, ~held]
    if len(rows) and np.linalg.matrix_rank(rows) < len(rows):
        return (
            "the gradients of the active limits depend on each other (no LICQ): their multipliers "
            "are not unique"
        )
    return ""
