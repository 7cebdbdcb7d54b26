"""``verify`` of a graph: the checks, in their order, and the certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.graph import Graph
from lagrangenet.runtime import generate
from lagrangenet.symbolic.derivation import derive

# The modules of checks, in the order of the certificate; importing one registers its checks.
# isort: off
from lagrangenet.verify import graph_checks  # noqa: F401
from lagrangenet.verify import graph_solution_checks  # noqa: F401
# isort: on

from lagrangenet.verify.certificate import (
    Certificate,
    digest,
    environment,
    package_hash,
    source_hash,
)
from lagrangenet.verify.check import Comparison
from lagrangenet.verify.graph_subject import GraphCheck, GraphSubject


def verify_graph(
    graph: Graph,
    inputs: Mapping[str, Any],
    Y: Any,
    *,
    seed: int = 0,
    routines: Any | None = None,
    only: Sequence[type[Comparison[Any]]] | None = None,
    report: Callable[[str], None] | None = None,
) -> Certificate:
    """Derive, generate, and check the code of a graph against its equations.

    Parameters and errors are those of :func:`lagrangenet.verify`; ``inputs`` is a mapping of arrays
    by name, ``Y`` has the shape of the output. At most three samples are looked at: the oracle loops
    over every index of every equation.

    Examples
    --------
    >>> from lagrangenet.graph import Constraint
    >>> graph = Graph({"x0": 2}, [Constraint("x1", "dense", "x0", m=2, activation="tanh")])
    >>> X, Y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 0.5]])
    >>> verify_graph(graph, {"x0": X}, Y).verdict
    'agree'
    """
    say = report or (lambda _: None)
    name = graph.name or "graph"
    say(f"{name}: deriving and generating")
    code = generate(derive(graph, order=2)) if routines is None else routines
    if code.dtype != "float64":
        raise DataError(
            "verify checks float64 routines; the float32 ones have the same source: "
            "verify generate(derivation), then use generate(derivation, dtype='float32')"
        )
    if code.problem != graph:
        raise DataError(f"the routines are for {code.problem}, the graph is {graph}")
    data, labels = code.data(inputs, Y)
    subject = GraphSubject(graph, code, data, labels, seed, say)
    results = []
    for kind in GraphCheck.registered if only is None else only:
        say(f"{name}: {kind.name}")
        results.append(replace(kind().run(subject), problem=name))
    declared = _declaration(graph, data, labels)
    return Certificate(
        {name: declared},
        seed,
        environment(),
        {"lagrangenet": package_hash(), f"{name}/generated": source_hash(code.source)},
        tuple(results),
    )


def _declaration(graph: Graph, data: Mapping[str, Any], labels: Any) -> dict[str, Any]:
    return {
        "summary": str(graph),
        "declaration": repr(graph),
        "parameters": graph.size,
        "samples": len(labels),
        "data_sha256": digest(
            *(np.ascontiguousarray(data[n]) for n in sorted(data)), np.ascontiguousarray(labels)
        ),
    }
