"""``method="auto"``: which method is taken, and why.

    limits on θ                      what takes them: "l-bfgs-b" for bounds, else "trust-constr"
    more than MODERATE parameters    "steihaug": nothing of size P × P is stored
    up to two layers                 "reduced-newton": as few iterations as the lifted, each cheaper
    graphs that couple samples       "steihaug": their KKT matrix is not assembled
    else                             "lifted-newton": infeasible iterates save most iterations

The table rests on measurements (``python -m benchmarks solve``). ``explain`` says it for a task.
"""

from __future__ import annotations

from lagrangenet.graph import Graph
from lagrangenet.optimize.kinks import kinks
from lagrangenet.optimize.lifted_sparse import couples_samples
from lagrangenet.optimize.task import Task

AUTO = "auto"
#: Up to so many parameters a dense P × P system is solved in every iteration.
MODERATE = 500
#: A graph's matrix is assembled from a product for each unknown of a sample and each parameter.
MODERATE_GRAPH = 200
#: Up to this depth the reduced method takes as few iterations as the lifted one.
SHALLOW = 2


def choose(task: Task) -> tuple[str, str]:
    """The name of a method for a task, and the reasons as text.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> data = [[0.0], [1.0]], [[1.0], [0.0]]
    >>> for widths in ([1, 4, 1], [1, 4, 4, 1], [1, 100, 100, 1]):
    ...     print(choose(Task(chain(widths), *data))[1])
    reduced-newton: 2 layers, where lifted iterates save nothing
    lifted-newton: 3 layers and 33 parameters, of at most 500 for a dense condensed matrix
    steihaug: 10401 parameters, more than the 500 of a dense matrix
    """
    name, reason = _chosen(task)
    if why := kinks(task.problem):
        reason += f"; {why}"
    return name, f"{name}: {reason}"


def _chosen(task: Task) -> tuple[str, str]:
    region, P = task.region, task.size
    if region.constraints is not None:
        return "trust-constr", "it takes linear constraints on the parameters"
    if region.bounds is not None:
        return "l-bfgs-b", "it takes bounds on the parameters"
    graph = isinstance(task.problem, Graph)
    most = MODERATE_GRAPH if graph else MODERATE
    if most < P:
        return "steihaug", f"{P} parameters, more than the {most} of a dense matrix"
    if couples_samples(task):
        return "steihaug", "samples are coupled, so that the KKT matrix is not assembled"
    depth = len(task.problem.states) if isinstance(task.problem, Graph) else task.problem.depth
    if depth <= SHALLOW:
        layers = "1 layer" if depth == 1 else f"{depth} layers"
        return "reduced-newton", f"{layers}, where lifted iterates save nothing"
    what = "states" if graph else "layers"
    reason = f"{depth} {what} and {P} parameters, of at most {most} for a dense condensed matrix"
    return "lifted-newton", reason
