"""``verify``: run every check on a problem with its data, and return the certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

# The modules of checks, in the order of the certificate; importing one registers its checks.
# isort: off
from lagrangenet.verify import symbol_checks  # noqa: F401
from lagrangenet.verify import code_checks  # noqa: F401
from lagrangenet.verify import difference_checks  # noqa: F401
from lagrangenet.verify import second_order_checks  # noqa: F401
from lagrangenet.verify import solution_checks  # noqa: F401
# isort: on

from lagrangenet.errors import DataError
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem
from lagrangenet.runtime import Routines, generate
from lagrangenet.runtime.graphs import GraphRoutines
from lagrangenet.symbolic.derivation import Derivation
from lagrangenet.verify.certificate import (
    Certificate,
    declaration,
    environment,
    package_hash,
    source_hash,
)
from lagrangenet.verify.check import Check, Comparison, Subject
from lagrangenet.verify.graph_verify import verify_graph


def verify(
    problem: Problem | Graph,
    X: Any,
    Y: Any,
    *,
    seed: int = 0,
    routines: Routines | GraphRoutines | None = None,
    only: Sequence[type[Comparison[Any]]] | None = None,
    report: Callable[[str], None] | None = None,
) -> Certificate:
    """Derive, generate, and check symbols, code and numbers against each other.

    Parameters
    ----------
    problem : Problem or Graph
        The declaration.
    X, Y : array_like, shapes (M, n_0) and (M, n_N)
        Data. For a graph X is a mapping of arrays by name, Y has the shape of the output; the checks
        are those of :mod:`lagrangenet.verify.graph_checks`, at a few of the samples.
    seed : int
        Of every random choice.
    routines : Routines, optional
        Code to check instead of freshly generated code (float64). The checks at SciPy's solutions
        are made on a subproblem, for which code is generated anew in any case.
    only : sequence of Check classes, optional
        Run these checks alone.
    report : callable, optional
        Is told a line before each check.

    Returns
    -------
    Certificate

    Raises
    ------
    DataError
        For data that do not fit the problem, NaN or infinity, an empty batch.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
    >>> certificate = verify(chain([2, 3, 1], name="xor"), X, Y)
    >>> certificate.verdict
    'agree'
    """
    if isinstance(problem, Graph):
        return verify_graph(problem, X, Y, seed=seed, routines=routines, only=only, report=report)
    say = report or (lambda _: None)
    named = problem if problem.name else replace(problem, name="problem")
    say(f"{named.name}: deriving and generating")
    derivation = Derivation(named, order=2)
    code = generate(derivation) if routines is None else routines
    if not isinstance(code, Routines):
        raise DataError(f"the routines are for {code.problem}, the problem is {problem}")
    _check_code(problem, code)
    code = replace(code, problem=named)
    inputs, labels = code.inputs(X), code.labels(Y)
    if len(inputs) != len(labels):
        raise DataError(f"X has {len(inputs)} samples, Y has {len(labels)}")
    subject = Subject(derivation, code, inputs, labels, seed, say)
    results = []
    for kind in Check.registered if only is None else only:
        say(f"{named.name}: {kind.name}")
        results.append(kind().run(subject))
    declared = declaration(named, inputs, labels)
    if subject.subproblem:
        declared["subproblem"] = subject.subproblem
    sources = {"lagrangenet": package_hash(), f"{named.name}/generated": source_hash(code.source)}
    if code.target != "numpy":
        chosen = declared["target"] = code.chosen(len(inputs))
        sources[f"{named.name}/{chosen}"] = source_hash(code.linked_source(len(inputs)))
    return Certificate(
        {named.name: declared},
        seed,
        environment(),
        sources,
        tuple(results),
    )


def _check_code(problem: Problem, code: Routines) -> None:
    if code.dtype != "float64":
        raise DataError(
            "verify checks float64 routines; the float32 ones have the same source: "
            "verify generate(derivation), then use generate(derivation, dtype='float32')"
        )
    if replace(code.problem, name=problem.name) != problem:
        raise DataError(f"the routines are for {code.problem}, the problem is {problem}")
