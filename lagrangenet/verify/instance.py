"""A small instance of a problem: same functions, fewer units and samples.

SciPy's full-space methods treat every state as a variable, so that they solve small problems only.
An instance keeps the activations, the loss and the parameters of functions, and cuts widths, depth
and data; its note says what was cut. It refuses data for which no minimizer exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lagrangenet.errors import DataError
from lagrangenet.functions.regularizers import L2
from lagrangenet.problem import Dense, Problem
from lagrangenet.verify import written_out
from lagrangenet.verify.textbook import Textbook

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Variables (states and parameters) up to which SLSQP and trust-constr finish in seconds.
LARGEST = 60
#: More layers than this are thinned to one for each activation.
DEEPEST = 4
#: Samples of an instance, before it shrinks further to at most LARGEST variables.
MOST_SAMPLES, FEWEST_SAMPLES = 6, 4
#: Strength of L2 at least. Without it separable data have no minimizer; much more of it, and the
#: minimizer of XOR is W = 0, where most multipliers vanish and nothing is tested.
LEAST_STRENGTH = 2e-3
#: Columns are standardized unless their deviations lie within, and their means below the second.
UNIT_SCALE = (0.1, 2.0)
#: Inputs of networks with kinks move by this share of their deviations: a symmetric problem such
#: as XOR otherwise has stationary points at kinks and at zero weights only.
JITTER = 0.25


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem with data, small enough to be solved with every state as a variable.

    Attributes
    ----------
    problem : Problem
        The reduced declaration.
    X, Y : ndarray, shapes (M, n_0) and (M, n_N)
        Its data.
    note : str
        What was cut and what was added, in a sentence for the user.
    """

    problem: Problem
    X: Array
    Y: Array
    note: str


class _Shape(NamedTuple):
    """How much is kept: widths n_0..n_N and M."""

    widths: tuple[int, ...]
    samples: int

    @property
    def variables(self) -> int:
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return self.samples * sum(self.widths[1:]) + sum(a * (b + 1) for b, a in pairs)


def small_instance(problem: Problem, X: ArrayLike, Y: ArrayLike, seed: int = 0) -> Instance:
    """Cut a problem and its data down to a size that SciPy's full-space methods solve.

    Parameters
    ----------
    problem : Problem
        Any declaration; one that is small already is kept whole, up to its regularizer.
    X, Y : array_like, shapes (M, n_0) and (M, n_N)
        Its data: the columns of largest variance are kept, and samples that cover the classes.
    seed : int
        Chooses the samples.

    Returns
    -------
    Instance
        At most about 60 variables.

    Raises
    ------
    DataError
        For arrays that do not fit, non-finite entries, or labels without two classes where the
        loss has no minimizer then.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> X, Y = np.eye(20)[:, :8], np.eye(4)[np.arange(20) % 4]
    >>> instance = small_instance(chain([8, 16, 4], loss="cross_entropy"), X, Y)
    >>> print(instance.problem)
    3 → 3 tanh → 3 softmax, cross_entropy + L2(strength=0.002)
    >>> instance.X.shape, instance.Y.shape
    ((6, 3), (6, 3))
    """
    features, labels = _checked(problem, X, Y)
    layers = _thinned(problem)
    shape = _fitted(problem, layers, features, labels)
    rng = np.random.default_rng(seed)
    outputs = _outputs(problem, labels, shape.widths[-1])
    rows = _samples(problem, labels[:, outputs], shape.samples, rng)
    inputs = _most_varied(features, shape.widths[0])
    chosen, targets = features[:, inputs], labels[:, outputs]
    scaled = _standardized(chosen)
    small_X, small_Y = scaled[rows], targets[rows]
    if not problem.smooth:
        small_X = small_X + JITTER * scaled.std(axis=0) * rng.normal(size=small_X.shape)
    if problem.loss_entry.labels == "distribution" and len(outputs) < labels.shape[1]:
        small_Y = np.eye(len(outputs))[small_Y.argmax(axis=1)]
    if problem.loss_entry.labels == "real":
        small_Y = _standardized(targets)[rows]
    within = _reachable(problem, small_Y)
    _check_minimizer(problem, small_Y)
    strength = max(problem.strength, LEAST_STRENGTH)
    reduced = Problem(
        shape.widths[0],
        [Dense(n, layer.activation) for n, layer in zip(shape.widths[1:], layers, strict=True)],
        problem.loss_entry.without_options(problem.loss),
        L2(strength),
        name=problem.name,
        class_weights=[problem.class_weights[j] for j in outputs] if problem.class_weights else (),
    )
    note = _note(problem, reduced, len(features), len(rows), scaled is not chosen)
    if within is not small_Y:
        note = note[:-1] + ", with labels moved into the range of its outputs."
    return Instance(reduced, small_X, within, note)


def alternating(instance: Instance) -> Instance:
    """The same network on one input, with labels that alternate along it: no affine map has them.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> three = Instance(chain([1, 1]), np.array([[0.2], [0.1], [0.3]]), np.zeros((3, 1)), "Cut.")
    >>> alternating(three).Y.ravel().tolist()
    [-1.0, 1.0, 1.0]
    """
    problem, outputs = instance.problem, instance.Y.shape[1]
    turn = np.empty(len(instance.X), dtype=np.intp)
    turn[np.argsort(instance.X[:, 0], kind="stable")] = np.arange(len(turn))
    if problem.loss_entry.labels == "distribution":
        labels = np.eye(outputs)[turn % outputs]
    else:
        signs = (-1.0) ** (turn[:, None] + np.arange(outputs))
        labels = (signs + 1) / 2 if problem.loss_entry.labels == "binary" else signs
    reduced = replace(problem, inputs=1)
    note = f"{instance.note[:-1]}, then one input was kept and the labels alternate along it."
    return Instance(reduced, instance.X[:, :1], _reachable(reduced, labels), note)


# -- which network ---------------------------------------------------------------------------------


def _thinned(problem: Problem) -> list[Dense]:
    """All layers of a shallow network; else the first, one for each other activation, the last."""
    layers = list(problem.layers)
    if len(layers) <= DEEPEST:
        return layers
    kept, seen = [layers[0]], {layers[0].activation, layers[-1].activation}
    for layer in layers[1:-1]:
        if layer.activation not in seen:
            seen.add(layer.activation)
            kept.append(layer)
    return [*kept, layers[-1]]


def _fitted(problem: Problem, layers: list[Dense], X: Array, Y: Array) -> _Shape:
    """The first of the candidate shapes with at most LARGEST variables, else the smallest."""
    widths = (problem.inputs, *(layer.width for layer in layers))
    original = _Shape(widths, len(X))
    if original.variables <= LARGEST and len(X) <= MOST_SAMPLES:
        return original
    shape = original
    for shape in _shapes(original, _classes(problem, Y).size):
        if shape.variables <= LARGEST:
            break
    return shape


def _shapes(original: _Shape, classes: int) -> Iterator[_Shape]:
    """Candidates, largest first: widths fall to two before samples fall below five."""
    n_in, *hidden, n_out = original.widths
    cuts = ((3, 3, 3), (2, 3, 3), (2, 2, 3), (2, 2, 2))
    for samples in (MOST_SAMPLES, 5, FEWEST_SAMPLES):
        for width, inputs, outputs in cuts:
            widths = (
                min(n_in, inputs),
                *(min(n, width) for n in hidden),
                min(n_out, outputs, max(classes, 2)),
            )
            yield _Shape(widths, min(original.samples, samples))


# -- which data ------------------------------------------------------------------------------------


def _checked(problem: Problem, X: ArrayLike, Y: ArrayLike) -> tuple[Array, Array]:
    features = np.asarray(X, dtype=np.float64)
    labels = np.asarray(Y, dtype=np.float64)
    widths = problem.widths
    for name, array, width in (("X", features, widths[0]), ("Y", labels, widths[-1])):
        if array.ndim != 2 or array.shape[1] != width or len(array) == 0:
            raise DataError(f"{name} has shape {array.shape}; expected (M, {width})")
        if not np.isfinite(array).all():
            raise DataError(f"{name} holds NaN or infinite entries")
    if len(features) != len(labels):
        raise DataError(f"X has {len(features)} samples and Y has {len(labels)}")
    return features, labels


def _classes(problem: Problem, Y: Array) -> Ints:
    """The components in which labels may be cut: classes that occur, or all components."""
    if problem.loss_entry.labels == "distribution":
        return np.unique(Y.argmax(axis=1))
    return np.arange(Y.shape[1])


def _outputs(problem: Problem, Y: Array, count: int) -> Ints:
    """Columns of Y to keep: the most frequent classes, or the components of largest variance."""
    if count == Y.shape[1]:
        return np.arange(count)
    if problem.loss_entry.labels != "distribution":
        return _most_varied(Y, count)
    frequency = np.bincount(Y.argmax(axis=1), minlength=Y.shape[1])
    return np.sort(np.argsort(-frequency, kind="stable")[:count])


def _samples(problem: Problem, Y: Array, count: int, rng: np.random.Generator) -> Ints:
    """Rows to keep, class by class in turn, so that every class that occurs is met."""
    order = rng.permutation(len(Y))
    if problem.loss_entry.labels == "distribution":
        order = order[Y[order].max(axis=1) > 0]  # samples of classes that were cut go
        group = Y[order].argmax(axis=1)
    else:
        group = (Y[order, 0] > np.median(Y[:, 0])).astype(np.intp)
        if problem.loss_entry.labels == "binary":
            group = (Y[order] > 0.5) @ (1 << np.arange(Y.shape[1]))
    turn = np.empty(len(order), dtype=np.intp)
    for member in np.unique(group):
        turn[group == member] = np.arange((group == member).sum())
    return np.sort(order[np.argsort(turn, kind="stable")[:count]])


def _most_varied(array: Array, count: int) -> Ints:
    """The columns of largest variance, in their order."""
    return np.sort(np.argsort(-array.var(axis=0), kind="stable")[:count])


def _standardized(array: Array) -> Array:
    """Columns of mean zero and deviation one where one is far from that, else the array itself."""
    middle, spread = array.mean(axis=0), array.std(axis=0)
    low, high = UNIT_SCALE
    if (np.abs(middle) <= high).all() and ((spread >= low) & (spread <= high)).all():
        return array
    return np.asarray((array - middle) / np.where(spread > 0, spread, 1.0))


def _reachable(problem: Problem, Y: Array) -> Array:
    """Labels that outputs can have, away from their kinks; the given ones where all are reachable.

    Biases are not regularized: labels beyond the range of σ^N would send them to infinity, or the
    outputs to a kink. So the labels become σ^N of themselves, for binary ones its probability.
    """
    last, kind = problem.layers[-1], problem.loss_entry.labels
    if kind == "distribution" or last.activation.name == "identity":
        return Y
    wanted = 2 * Y - 1 if kind == "binary" else Y
    entry = problem.activations[-1]
    if entry.kinks:
        kinks = [float(written_out.bound(entry, last.activation, kink)) for kink in entry.kinks]
        wanted = max(kinks) + 1 + np.abs(wanted)
    width = Y.shape[1]
    output = Textbook(Problem(width, [Dense(width, last.activation)], "squared_error"))
    reached = output.forward(((np.eye(width), np.zeros(width)),), wanted)[-1][1]
    return 1 / (1 + np.exp(-reached)) if kind == "binary" else reached


def _check_minimizer(problem: Problem, Y: Array) -> None:
    """Biases are not regularized: a class that never, or always, occurs sends one to infinity."""
    loss = problem.loss_entry
    if not all(entry.differentiable for entry in problem.activations):
        raise DataError("an activation has jumps, so that J has no gradient and nothing is solved")
    if loss.kinks or not loss.differentiable:
        raise DataError(
            f"loss {problem.loss} has kinks or jumps: its minimizers lie at them, where multipliers "
            "are a matter of choice"
        )
    if loss.needs_positive:
        raise DataError(
            f"loss {problem.loss} falls without bound as a bias grows, whatever the labels are: no "
            "minimizer exists"
        )
    if loss.labels == "real":
        return
    share = Y.mean(axis=0)
    if not ((share > 0) & (share < 1)).all():
        raise DataError(
            "one class only among the chosen samples: the loss then falls towards zero as a bias "
            "grows and no minimizer exists; give data with at least two classes"
        )


def _note(problem: Problem, reduced: Problem, had: int, kept: int, scaled: bool) -> str:
    before, after = ("-".join(map(str, p.widths)) for p in (problem, reduced))
    strength = reduced.strength
    if (before, had) == (after, kept):
        text = f"The whole problem, {before} with {kept} samples"
    else:
        text = f"The {before} network with {had} samples was cut to {after} with {kept} of them"
    if scaled:
        text += ", its columns standardized"
    if problem.depth > reduced.depth:
        text += f" ({reduced.depth} of {problem.depth} layers, one for each activation)"
    if not problem.smooth:
        text += ", its inputs moved at random by a quarter of their deviations"
    if problem.regularizer != reduced.regularizer:
        text += f", with L2 of strength {strength:g} so that an isolated minimizer exists"
    return text + "."
