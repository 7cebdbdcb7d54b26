"""Solvers of the constrained problem, against SciPy's and IPOPT: time, share converged, objective.

    python -m benchmarks solve --part small --output DIR

Every start goes through all contenders in turn, so that a slow minute of the machine hits all of
them; figures are medians over seeded starts. Building (deriving, generating, compiling, CasADi's
graphs) is not counted. Whether a run converged is measured afterwards, by the same generated
residuals for all. Parts are joined in ``solve.json`` and take at most a few minutes each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TOL = 1e-8
#: A run reaches the best objective if it is within this share of it.
BEST = 1e-4
Row = dict[str, Any]


class Found(NamedTuple):
    """Where a contender ended: θ; x and λ if it has its own; its iterations."""

    theta: Any
    states: Any
    multipliers: Any
    iterations: int


Run = Callable[[Any], Found]


# -- problems ----------------------------------------------------------------------------------------


def regression(samples: int, widths: tuple[int, ...] = (1, 8, 8, 1), ridge: float = 1e-3) -> Any:
    """sin 3x + 0.3 x² on a grid, by tanh layers, with a ridge on all parameters."""
    import lagrangenet as ln

    X = np.linspace(-1, 1, samples)[:, None]
    problem = ln.chain(list(widths), "tanh", regularizer=ln.L2(ridge, biases=True))
    return problem, X, np.sin(3 * X) + 0.3 * X**2


def digits() -> Any:
    """64-16-10 with softmax and a ridge on all parameters."""
    from sklearn.datasets import load_digits

    import lagrangenet as ln

    data = load_digits()
    problem = ln.chain([64, 16, 10], loss="cross_entropy", regularizer=ln.L2(1e-3, biases=True))
    return problem, data.data / 16, np.eye(10)[data.target]


def start(problem: Any, seed: int) -> Any:
    """Normal weights scaled by their number of inputs, and biases."""
    rng, parts = np.random.default_rng(seed), []
    for (after, before), _ in problem.shapes:
        parts.append(rng.standard_normal(after * before) / np.sqrt(before))
        parts.append(0.3 * rng.standard_normal(after))
    return np.concatenate(parts)


# -- contenders --------------------------------------------------------------------------------------


def own(method: str, **options: Any) -> Callable[[Any], Run]:
    """A method of the package, without what ``minimize`` does before and after it."""

    def build(task: Any) -> Run:
        from lagrangenet.optimize import METHODS
        from lagrangenet.optimize.progress import Progress
        from lagrangenet.optimize.task import Point

        entry = METHODS[method]
        settings = {**entry.options(options), "tol": TOL}

        def run(theta: Any) -> Found:
            progress = Progress(task)
            with np.errstate(all="ignore"):
                outcome = entry.solve(task, Point(theta), settings, progress)
            return Found(*outcome.point, progress.nit)

        return run

    return build


def l_bfgs_b(target: str) -> Callable[[Any], Run]:
    """SciPy's L-BFGS-B with its own defaults, on J and its gradient by a target."""

    def build(task: Any) -> Run:
        from scipy.optimize import minimize

        import lagrangenet as ln

        routines = ln.generate(ln.derive(task.problem), target=target)
        objective = routines.objective(task.X, task.Y)
        limits = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 0.0, "gtol": TOL}

        def run(theta: Any) -> Found:
            found = minimize(objective, theta, jac=True, method="L-BFGS-B", options=limits)
            return Found(found.x, None, None, found.nit)

        return run

    return build


def ipopt(task: Any) -> Run:
    """IPOPT on CasADi's own graph of the constrained problem, with CasADi's exact derivatives.

    A graph of scalars (SX) makes IPOPT as fast as it gets; nothing of this package is called.
    """
    import casadi as ca

    problem, M = task.problem, len(task.X)
    theta, states = ca.SX.sym("theta", problem.size), []
    x, at, constraints, penalty = ca.SX(task.X.T), 0, [], 0
    for k, ((after, before), _) in enumerate(problem.shapes, 1):
        W = ca.reshape(theta[at : at + after * before], before, after).T
        b = theta[at + after * before : at + after * (before + 1)]
        at += after * (before + 1)
        z = W @ x + ca.repmat(b, 1, M)
        x = ca.SX.sym(f"x{k}", after, M)
        states.append(x)
        constraints.append(ca.vec(x - (ca.tanh(z) if k < problem.depth else z)))
        penalty += ca.sumsqr(W) + ca.sumsqr(b)
    ridge = dict(problem.regularizer.parameters)["strength"]
    J = ca.sumsqr(x - task.Y.T) / (2 * M) + ridge * penalty / 2
    v = ca.vertcat(*(ca.vec(s) for s in states), theta)
    quiet = {"print_time": False, "ipopt": {"print_level": 0, "sb": "yes", "tol": TOL / 10}}
    solver = ca.nlpsol("solver", "ipopt", {"x": v, "f": J, "g": ca.vertcat(*constraints)}, quiet)
    m = task.conditions

    def run(theta: Any) -> Found:
        found = solver(x0=np.concatenate([task.states(theta), theta]), lbg=0, ubg=0)
        v, lam = (found[name].full().ravel() for name in ("x", "lam_g"))
        return Found(v[m:], v[:m], lam, solver.stats()["iter_count"])

    return run


NEWTON = {"lifted-newton (default)": own("lifted-newton")}
L_BFGS = {"L-BFGS-B, NumPy": l_bfgs_b("numpy"), "L-BFGS-B, C": l_bfgs_b("c")}
OTHERS = {"reduced-newton": own("reduced-newton"), "steihaug": own("steihaug")}


# -- runs --------------------------------------------------------------------------------------------


def compared(
    name: str, case: Any, contenders: dict[str, Callable[[Any], Run]], starts: int,
    slow: dict[str, int] | None = None,
) -> Row:  # fmt: skip
    """All contenders from the same starts; ``slow`` ones get only their first few."""
    from lagrangenet.optimize.task import Task

    task = Task(*case)
    runs, built = {}, {}
    for label, build in contenders.items():
        began = time.perf_counter()
        runs[label] = build(task)
        runs[label](start(task.problem, 10_000)) if label not in (slow or {}) else None
        built[label] = time.perf_counter() - began
    records: dict[str, list[tuple[float, int, bool, float]]] = {label: [] for label in runs}
    for seed in range(starts):
        for label, run in runs.items():
            if seed >= (slow or {}).get(label, starts):
                continue
            theta = start(task.problem, seed)
            began = time.perf_counter()
            found = run(theta)
            seconds = time.perf_counter() - began
            records[label].append((seconds, found.iterations, *_judged(task, found)))
    best = min(fun for rows in records.values() for _, _, good, fun in rows if good)
    return {"part": name, "problem": str(task.problem), "samples": len(task.X), "best": best,
            "contenders": [_summed(label, rows, best, built[label])
                           for label, rows in records.items()]}  # fmt: skip


def _judged(task: Any, found: Found) -> tuple[bool, float]:
    """Whether this is a KKT point, and J there."""
    from lagrangenet.optimize.task import Point

    point = task.completed(Point(found.theta, found.states, found.multipliers))
    residuals = task.residuals(*point)
    good = residuals.optimality <= TOL and residuals.violation <= TOL
    return bool(good), task.objective(point.theta, point.states)


def _summed(label: str, rows: list[Any], best: float, built: float) -> Row:
    seconds, iterations, good, values = zip(*rows, strict=True)
    reached = [ok and fun <= best * (1 + BEST) for ok, fun in zip(good, values, strict=True)]
    return {
        "name": label,
        "starts": len(rows),
        "seconds": statistics.median(seconds),
        "iterations": statistics.median(iterations),
        "converged": sum(good) / len(rows),
        "best": sum(reached) / len(rows),
        "objective": statistics.median(values),
        "built_s": built,
    }


def small() -> Iterator[Row]:
    """M = 20, with everything."""
    slow = {"trust-constr": own("trust-constr")}
    everyone = NEWTON | L_BFGS | {"IPOPT": ipopt} | OTHERS | slow
    yield compared("M=20", regression(20), everyone, 20, {"trust-constr": 10})


def middle() -> Iterator[Row]:
    """M = 200."""
    yield compared("M=200", regression(200), NEWTON | L_BFGS | {"IPOPT": ipopt} | OTHERS, 12)


def large() -> Iterator[Row]:
    """M = 2000."""
    yield compared("M=2000", regression(2000), NEWTON | L_BFGS | OTHERS, 12)


def robust() -> Iterator[Row]:
    """100 starts."""
    yield compared("100 starts", regression(20), NEWTON | {"L-BFGS-B, C": l_bfgs_b("c")}, 100)


def deep() -> Iterator[Row]:
    """3 to 9 layers."""
    for layers in (3, 5, 9):
        case = regression(100, (1, *[8] * (layers - 1), 1), 1e-4)
        yield compared(f"{layers} layers", case, NEWTON | {"L-BFGS-B, C": l_bfgs_b("c")}, 10)


def quick() -> Iterator[Row]:
    """The default alone, from two starts."""
    yield compared("quick", regression(20), NEWTON, 2)


def classes() -> Iterator[Row]:
    """digits, by NumPy and by C; the same number of starts."""
    from lagrangenet.optimize.task import Task

    def by(target: str, method: str) -> Callable[[Any], Run]:
        return lambda task: own(method)(Task(task.problem, task.X, task.Y, target=target))

    everyone = {
        "steihaug (default), NumPy": by("numpy", "steihaug"),
        "steihaug (default), C": by("c", "steihaug"),
        **L_BFGS,
    }
    yield compared("digits", digits(), everyone, 5)


def samples() -> Iterator[Row]:
    """Seconds of an iteration and memory, against M; the fit is t = c M^p."""
    from lagrangenet.optimize.task import Task

    points = []
    for M in (1250, 2500, 5000, 10_000, 20_000):
        task = Task(*regression(M))
        run, theta = own("lifted-newton")(task), start(task.problem, 0)
        run(theta)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            found = run(theta)
            times.append((time.perf_counter() - began) / found.iterations)
        tracemalloc.start()
        run(theta)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        points.append({"samples": M, "seconds": min(times), "bytes": peak})
    sizes = [p["samples"] for p in points]
    yield {"part": "linear in M", "points": points,
           "power_of_time": _power(sizes, [p["seconds"] for p in points]),
           "power_of_memory": _power(sizes, [p["bytes"] for p in points])}  # fmt: skip


def layers() -> Iterator[Row]:
    """Seconds of a product with ∇²J, which Steihaug's iterations consist of, against N."""
    from lagrangenet.optimize.products import products
    from lagrangenet.optimize.task import Task

    points = []
    for N in (12, 25, 50, 100):
        problem, X, Y = regression(100, (1, *[8] * (N - 1), 1), 1e-4)
        task = Task(problem, X, Y)
        theta = start(problem, 0)
        times = []
        for _ in range(20):
            began = time.perf_counter()
            task.fun_and_grad(theta)
            product = products(task, theta)
            for _ in range(10):
                product(theta)
            times.append(time.perf_counter() - began)
        points.append({"layers": N, "seconds": min(times)})
    power = _power([p["layers"] for p in points], [p["seconds"] for p in points])
    yield {"part": "linear in N", "points": points, "power_of_time": power}


def _power(sizes: list[float], values: list[float]) -> float:
    """P of the least-squares fit log v = log c + p log n."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


PARTS = {f.__name__: f for f in (small, middle, large, robust, deep, classes, samples, layers)}


# -- tables and pictures -----------------------------------------------------------------------------


def markdown(figures: dict[str, Any]) -> str:
    """A table for each comparison, with ratios of the default to the others."""
    lines: list[str] = []
    for row in figures["parts"].values():
        if "contenders" not in row:
            powers = [f"{k.replace('_', ' ')} {v:.2f}" for k, v in row.items() if "power" in k]
            lines += [f"**{row['part']}**: {', '.join(powers)}", ""]
            continue
        first = row["contenders"][0]["seconds"]
        what = f"{row['problem']}, {row['samples']} samples, best objective {row['best']:.7f}"
        head = "| method | starts | time | ratio | iterations | converged | at the best |"
        lines += [f"**{row['part']}**: {what}", "", head, "|---|---|---|---|---|---|---|"]
        for one in row["contenders"]:
            lines.append(
                f"| {one['name']} | {one['starts']} | {one['seconds'] * 1e3:.3g} ms "
                f"| {first / one['seconds']:.3f} | {one['iterations']:.0f} "
                f"| {one['converged']:.0%} | {one['best']:.0%} |"
            )
        lines.append("")
    return "\n".join(lines)


def plot(figures: dict[str, Any], path: Path) -> None:
    """Time of every method against the number of samples, and the parts that are linear."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    series: dict[str, list[tuple[int, float]]] = {}
    for row in figures["parts"].values():
        if row["part"].startswith("M="):
            for one in row["contenders"]:
                series.setdefault(one["name"], []).append((row["samples"], one["seconds"]))
    for name, points in series.items():
        left.loglog(*zip(*sorted(points), strict=True), "o-", label=name)
    left.set(xlabel="samples", ylabel="seconds to a KKT point", title="1-8-8-1, tanh")
    if left.lines:
        left.legend(fontsize="x-small")
    for row in figures["parts"].values():
        if "points" in row:
            size = next(k for k in row["points"][0] if k in {"samples", "layers"})
            right.loglog([p[size] for p in row["points"]], [p["seconds"] for p in row["points"]],
                         "o-", label=f"{row['part']}: power {row['power_of_time']:.2f}")  # fmt: skip
    right.set(xlabel="samples, layers", ylabel="seconds of an iteration, of 10 products")
    if right.lines:
        right.legend(fontsize="x-small")
    figure.savefig(path, dpi=150)


def add_to(suites: Any, parents: list[argparse.ArgumentParser]) -> None:
    """The options of this benchmark."""
    text = "solvers of the constrained problem, against SciPy's and IPOPT"
    suite = suites.add_parser("solve", parents=parents, help=text, description=text)
    suite.add_argument("--part", nargs="+", choices=list(PARTS), metavar="NAME",
                       help=f"of {', '.join(PARTS)}; all by default")  # fmt: skip
    suite.add_argument("--output", type=Path, metavar="DIR",
                       help="join solve.json, solve.md and solve.png there")  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Run the parts that are asked for."""
    from benchmarks.environment import environment

    figures: dict[str, Any] = {"parts": {}}
    kept = arguments.output / "solve.json" if arguments.output else None
    if kept is not None and kept.exists():
        figures = json.loads(kept.read_text())
    figures["environment"] = environment()
    parts = [quick] if arguments.quick else [PARTS[name] for name in arguments.part or PARTS]
    for part in parts:
        for row in part():
            figures["parts"][row["part"]] = row
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(figures, indent=2) + "\n")
        (kept.parent / "solve.md").write_text(markdown(figures) + "\n")
        plot(figures, kept.parent / "solve.png")
    print(json.dumps(figures, indent=2) if arguments.json else markdown(figures))
