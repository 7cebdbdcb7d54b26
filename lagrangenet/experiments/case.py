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
from lagrangenet.problem import Problem, chain

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
) -> Problem:
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


def case_arrays(problem: Problem, data: Dataset | None, seed: int) -> tuple[Any, Any]:
    """X and Y for a problem: from the data, or random numbers."""
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
    kind = problem.loss_entry.labels
    if kind == "distribution":
        return X, np.eye(nN)[np.arange(20) % nN]
    if kind == "binary":
        return X, rng.integers(0, 2, (20, nN)).astype(float)
    return X, rng.standard_normal((20, nN))


def example(name: str, widths: list[int]) -> tuple[Problem, Any, Any]:
    """A tanh network on a data set of the catalogue: problem, X, Y."""
    data = case_data(name, None, None)
    assert data is not None
    problem = chain(widths, "tanh", data.default_loss, name=name)
    return problem, *case_arrays(problem, data, 0)


def case_depth(text: str, problem: Problem | None) -> int:
    """The number that --depth says, if the network is that deep."""
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
