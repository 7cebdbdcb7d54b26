"""From the words of a command line to a problem with its data.

Every refusal names the option and says what it should have been.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.errors import DataError, ProblemError
from lagrangenet.experiments.data import Dataset, load_dataset
from lagrangenet.experiments.table import read_csv
from lagrangenet.functions.regularizers import L2
from lagrangenet.graph import Graph
from lagrangenet.problem import Problem, chain

#: The length of an axis of any length, where arrays are random.
STEPS = 5
#: Larger networks than this are a slip of the finger, or need more care than a command line's.
MOST_PARAMETERS = 10**8


def case_data(dataset: str | None, data: Path | None, target: str | None) -> Dataset | None:
    """The data that --dataset, or --data with --target, name; standardized, but for XOR."""
    if dataset is not None and data is not None:
        raise DataError("--dataset and --data exclude each other")
    if data is not None:
        if target is None:
            raise DataError("--data needs --target COLUMN, the name of the label column")
        return read_csv(data, target).standardized()
    if target is not None:
        raise DataError("--target belongs to --data FILE.csv")
    if dataset is None:
        return None
    loaded = load_dataset(dataset)
    return loaded if dataset == "xor" else loaded.standardized()


def case_problem(
    file: Path | None,
    layers: str | None,
    activation: str | None,
    output: str | None,
    loss: str | None,
    l2: float | None,
    data: Dataset | None,
) -> Problem | Graph:
    """The declaration that the options say, with a name."""
    if file is not None:
        if any(option is not None for option in (layers, activation, output, loss, l2)):
            raise ProblemError(
                "--problem declares everything; drop --layers, --activation, --output, --loss, --l2"
            )
        declared = Problem.load(file)
        return declared if declared.name else replace(declared, name=file.stem)
    fitting = loss or ("squared_error" if data is None else data.default_loss)
    widths = _widths(layers, data, fitting)
    penalty = None if l2 is None else L2(l2)
    name = "network" if data is None else data.name
    declared = chain(widths, activation or "tanh", fitting, output, penalty, name=name)
    if declared.size > MOST_PARAMETERS:
        raise ProblemError(
            f"--layers {layers}: {declared.size} parameters; the command line takes at most "
            f"{MOST_PARAMETERS}"
        )
    return declared


def _widths(layers: str | None, data: Dataset | None, loss: str) -> list[int]:
    if layers is None:
        if data is None:
            raise ProblemError("say which network: --layers n0,n1,... or --problem FILE.toml")
        return [data.inputs, 3 if data.inputs < 4 else 16, data.outputs(loss)]
    widths = []
    for part in layers.split(","):
        try:
            widths.append(int(part))
        except ValueError:
            raise ProblemError(f"--layers {layers!r}: {part!r} is not a whole number") from None
    return widths


def case_arrays(problem: Problem | Graph, data: Dataset | None, seed: int) -> tuple[Any, Any]:
    """X and Y for a problem: from the data, or random numbers."""
    if isinstance(problem, Graph):
        return graph_arrays(problem, data, seed)
    n0, nN = problem.inputs, problem.widths[-1]
    if data is not None:
        Y = data.labels(problem.loss)
        for what, have, want in (("inputs", data.inputs, n0), ("outputs", Y.shape[1], nN)):
            if have != want:
                raise DataError(
                    f"{data.name} has {have} {what}, the network has {want}: "
                    f"--layers has to {'begin' if what == 'inputs' else 'end'} with {have}"
                )
        return data.X, Y
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, n0))
    return X, random_labels(problem.loss_entry.labels, (20, nN), rng)


def random_labels(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Labels for which a loss with labels of a kind is defined."""
    if kind == "distribution":
        return np.eye(shape[-1])[np.arange(int(np.prod(shape[:-1]))) % shape[-1]].reshape(shape)
    if kind == "binary":
        return rng.integers(0, 2, shape).astype(float)
    if kind == "sign":
        return 2.0 * rng.integers(0, 2, shape) - 1
    return rng.standard_normal(shape)


def graph_arrays(graph: Graph, data: Dataset | None, seed: int) -> tuple[Any, Any]:
    """Inputs and labels for a graph: data for its one input of features, or random numbers."""
    rng = np.random.default_rng(seed)
    if data is None:
        inputs = {name: _random_input(graph, name, rng) for name, _ in graph.inputs}
        kind = graph.loss_entry.labels
        return inputs, random_labels(kind, _lengths(graph, graph.output), rng)
    (name, shape), *others = graph.inputs
    if others or len(shape) != 1 or len(graph.shapes[graph.output]) != 2:
        raise DataError(
            f"{data.name} has one row of features and one of labels for a sample; the graph needs "
            "other arrays, so verify it from Python, or without data on random numbers"
        )
    Y = data.labels(graph.loss)
    for what, have, want in (
        ("inputs", data.inputs, shape[0]),
        ("outputs", Y.shape[1], graph.shape_of(graph.output)[1]),
    ):
        if have != want:
            raise DataError(f"{data.name} has {have} {what}, the graph has {want}")
    return {name: data.X}, Y


def _random_input(graph: Graph, name: str, rng: np.random.Generator) -> Any:
    shape = _lengths(graph, name)
    if name in graph.integers:
        return rng.integers(0, graph.limit_of(name), shape)
    return rng.standard_normal(shape)


def _lengths(graph: Graph, name: str) -> tuple[int, ...]:
    """The lengths of an array's axes for twenty samples, axes of any length as long as STEPS."""
    return graph.lengths_of(name, 20, STEPS)


def example(name: str, widths: list[int]) -> tuple[Problem, Any, Any]:
    """A tanh network on a data set of the catalogue: problem, X, Y."""
    data = case_data(name, None, None)
    assert data is not None
    problem = chain(widths, "tanh", data.default_loss, name=name)
    return problem, *case_arrays(problem, data, 0)


def case_depth(text: str, problem: Problem | Graph | None) -> int:
    """The number that --depth says, if the network is that deep."""
    if isinstance(problem, Graph):
        raise ProblemError("--depth is for chains; a graph is always written out")
    try:
        depth = int(text)
    except ValueError:
        raise ProblemError(f"--depth {text!r}: say N, or a whole number") from None
    if depth < 1:
        raise ProblemError(f"--depth {depth}: a network has at least one layer")
    if problem is not None and depth != problem.depth:
        raise ProblemError(
            f"--depth {depth}: the network has {problem.depth} layers; say that, or N"
        )
    return depth
