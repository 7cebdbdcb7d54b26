"""The perturbed problem: every constraint gets an input that is added to its right side.

    z^k = W^k x^{k-1} + b^k + d^k,    x^k = σ^k(z^k) + e^k

A perturbation is data, so the perturbed problem is a declaration like any other: a graph whose
Lagrangian, gradient and code are derived, with θ in the order of the original. It refuses what no
declaration can say: an output that is shifted has no longer a sum of one, as some losses need.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import sympy as sp

from lagrangenet.errors import ProblemError
from lagrangenet.graph import Constraint, Graph
from lagrangenet.graph.sizes import Use
from lagrangenet.layers import Layer
from lagrangenet.optimize.task import Task
from lagrangenet.problem import Problem
from lagrangenet.runtime import Array

#: A dense layer with something added to its preactivation.
SHIFTED = Layer(
    "shifted_dense",
    "z[i,p] = sum(W[p,q]*x[i,q], q) + b[p] + u[i,p];  y[i,p] = sigma(z[i,p])",
    "x[M,n] u[M,m] W[m,n] b[m] z[M,m] y[M,m]",
    parameters="W b",
    summary="sigma(W x + b + u)",
)


@dataclass(frozen=True, eq=False)
class Perturbed:
    """A problem with perturbations as inputs.

    Attributes
    ----------
    graph : Graph
    inputs : mapping
        The data of the original.
    shapes : mapping
        The perturbations by name, each with its shape (M, ...): "x1" and "z1" of a chain, the names
        of the states of a graph.
    """

    graph: Graph
    inputs: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]

    def data(self, perturbation: dict[str, Array], size: float = 1.0) -> dict[str, Array]:
        """The inputs with ``size`` times a perturbation; what is not named stays zero."""
        found = dict(self.inputs)
        for name, shape in self.shapes.items():
            given = perturbation.get(name)
            values = np.zeros(shape) if given is None else size * np.asarray(given, float)
            if values.shape != shape:
                raise ProblemError(
                    f"the perturbation {name!r} has shape {values.shape}, expected {shape}"
                )
            found[_added(name)] = values
        return found

    def check(self, names: Any) -> None:
        """Refuse a name that is none of the perturbations."""
        for name in names:
            if name not in self.shapes:
                known = ", ".join(self.shapes)
                raise ProblemError(f"no constraint {name!r} that can be perturbed; known: {known}")


def perturbed(task: Task) -> Perturbed:
    """The perturbed problem of a task.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> found = perturbed(Task(chain([1, 2, 1]), [[0.0], [1.0]], [[0.0], [1.0]]))
    >>> print(found.graph)
    s1 = shifted_dense(x0, d1), x1 = add(s1, e1), s2 = shifted_dense(x1, d2), x2 = add(s2, e2); squared_error of x2
    >>> found.shapes
    {'z1': (2, 2), 'x1': (2, 2), 'z2': (2, 1), 'x2': (2, 1)}
    """
    if isinstance(task.problem, Problem):
        return _chain(task.problem, task)
    return _graph(task.problem, task)


def _added(name: str) -> str:
    """What is added to the constraint of a state: e1 of x1, d1 of z1; e_h of a graph's h."""
    if name[0] in "xz" and name[1:].isdigit():
        return f"{'e' if name[0] == 'x' else 'd'}{name[1:]}"
    return f"e_{name}"


def _chain(problem: Problem, task: Task) -> Perturbed:
    widths, inputs = problem.widths, {"x0": np.asarray(task.X)}
    constraints: list[Constraint] = []
    shapes: dict[str, tuple[int, ...]] = {}
    declared: dict[str, int] = {"x0": widths[0]}
    for k, layer in enumerate(problem.layers, 1):
        last = k == problem.depth and not _can_be_shifted(problem)
        state = f"x{k}" if last else f"s{k}"
        names = {"W": f"W{k}", "b": f"b{k}", "activation": layer.activation}
        constraints.append(Constraint(state, SHIFTED, (f"x{k - 1}", f"d{k}"), **names))
        if not last:
            constraints.append(Constraint(f"x{k}", "add", (state, f"e{k}")))
        for name in [f"z{k}"] if last else [f"z{k}", f"x{k}"]:
            shapes[name] = (task.samples, widths[k])
            declared[_added(name)] = widths[k]
    graph = Graph(
        declared, constraints, f"x{problem.depth}", problem.loss_entry.without_options(problem.loss),
        problem.regularizer, problem.name, problem.class_weights,
    )  # fmt: skip
    return Perturbed(graph, inputs, shapes)


def _can_be_shifted(problem: Problem | Graph) -> bool:
    loss = problem.loss_entry
    return not (loss.needs_simplex or loss.needs_positive or loss.needs_log_simplex)


def _graph(graph: Graph, task: Task) -> Perturbed:
    inputs: dict[str, Array] = dict(cast(Any, task.X))
    states = cast(Any, task.routines.forward(task.shaped(task.initial(0)), task.X))
    given = {name: np.asarray(a).shape for name, a in inputs.items()}
    declared = {name: shape[1:] if len(shape) > 1 else () for name, shape in given.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    constraints = list(_constraints(graph, task))
    for constraint in constraints:
        if constraint.layer == "add" and constraint.of[1] == _added(constraint.state):
            shape = np.asarray(states[constraint.state]).shape
            shapes[constraint.state] = shape
            declared[_added(constraint.state)] = shape[1:]
    made = Graph(
        declared, constraints, graph.output, graph.loss_entry.without_options(graph.loss),
        graph.regularizer, graph.name, graph.class_weights,
    )  # fmt: skip
    return Perturbed(made, inputs, shapes)


def _constraints(graph: Graph, task: Task) -> Iterator[Constraint]:
    """Each constraint under another name, then its state with the perturbation added."""
    determined = set(task.shapes.arrays(np.zeros(task.conditions, task.dtype)))
    determined -= {use.constraint.state for use in graph.uses if recurs(use)}
    for constraint in graph.constraints:
        state = constraint.state
        settings: dict[str, Any] = {**dict(constraint.sizes), **dict(constraint.options)}
        settings |= dict(constraint.names)
        if constraint.activation is not None:
            settings["activation"] = constraint.activation
        fixed = state == graph.output and not _can_be_shifted(graph)
        if fixed or state not in determined:
            yield Constraint(state, constraint.entry, constraint.of, **settings)
            continue
        yield Constraint(f"s_{state}", constraint.entry, constraint.of, **settings)
        yield Constraint(state, "add", (f"s_{state}", _added(state)))


def recurs(use: Use) -> bool:
    """Whether a state feeds its own constraint at another place: what is added then comes too late."""
    last = use.equations[-1].name
    read = (e for equation in use.equations for e in equation.forward.atoms(sp.Indexed))
    return any(str(e.base.label) == last for e in read)
