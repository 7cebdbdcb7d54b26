"""Full-space SQP: the sparse KKT matrix factorized as a whole, with the filter of lifted Newton.

For networks of any graph. Unknowns are eliminated sample by sample, or layer by layer where that is
cheaper, so that the cost is linear in the samples, or in the layers. It refuses networks whose
equations read several samples, for their matrix is not assembled.
"""

from __future__ import annotations

from types import MappingProxyType

from lagrangenet.optimize.lifted_newton import DEFAULTS, attempts
from lagrangenet.optimize.lifted_sparse import SparseSystem, couples_samples
from lagrangenet.optimize.methods import METHODS, Method, Options, Outcome
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task


def solve(task: Task, start: Point, options: Options, progress: Progress) -> Outcome:
    """Search in θ, x and λ with sparse factors."""
    return attempts(task, SparseSystem(task, "sparse"), start, options, progress)


METHODS.add(
    Method(
        "sqp",
        "sequential quadratic programming in θ, x and λ, with sparse factors of the KKT matrix",
        "full",
        solve,
        MappingProxyType(DEFAULTS),
        unfit=couples_samples,
    )
)
