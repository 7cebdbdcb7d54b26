"""Random graphs of constraints, and named ones. Everything is seeded.

A draw is a graph of 1 to 6 constraints of width 1 to 8: chains, skip connections, gates and
normalizations, several inputs, shared parameters, tied autoencoders, recurrences over T = 1..5,
convolutions in one and two dimensions, attention.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from lagrangenet import L2, derive, generate
from lagrangenet.functions import LOSSES
from lagrangenet.graph import Constraint, Graph

WIDEST, LONGEST, DEEPEST, LARGEST_BATCH = 8, 5, 6, 11
SMOOTH = ("identity", "tanh", "sigmoid", "softplus", "silu", "gelu", "gelu_tanh", "sin")
KINKED = ("relu", "leaky_relu", "elu", "hard_tanh")


class Case(NamedTuple):
    graph: Graph
    theta: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    Y: np.ndarray


@cache
def routines(graph: Graph, dtype: str = "float64"):
    """Generated code, made once for each graph."""
    return generate(derive(graph, order=2), dtype)


# -- data ------------------------------------------------------------------------------------------


def shape_of(graph: Graph, name: str, lengths: dict[str, int]) -> tuple[int, ...]:
    """The shape of a parameter or of one sample of an input, with values for named axes."""
    declared = dict(graph.inputs).get(name)
    if declared is not None:
        return tuple(lengths.get(n, n) if isinstance(n, str) else n for n in declared)
    return tuple(int(n) for n in graph.shape_of(name))


def random_theta(graph: Graph, rng: np.random.Generator, scale: float = 1.0) -> dict:
    """Weights of variance 1/fan-in, gains about 1, other vectors of 0.3."""
    gains = {name for c in graph.constraints for local, name in c.names if local == "g"}
    theta = {}
    for name in graph.parameters:
        shape = shape_of(graph, name, {})
        if len(shape) == 1:
            theta[name] = (name in gains) + 0.3 * scale * rng.normal(size=shape)
        else:
            theta[name] = scale * rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return theta


def random_inputs(graph: Graph, samples: int, rng: np.random.Generator, lengths: dict) -> dict:
    inputs = {}
    for name, _ in graph.inputs:
        shape = (samples, *shape_of(graph, name, lengths))
        if name in graph.integers:
            inputs[name] = rng.integers(_vocabulary(graph, name), size=shape)
        else:
            inputs[name] = rng.normal(size=shape)
    return inputs


def _vocabulary(graph: Graph, name: str) -> int:
    return min(dict(c.sizes)["V"] for c in graph.constraints if name in c.of)


def random_labels(graph: Graph, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Labels that the loss is defined for."""
    kind = LOSSES[graph.loss.name].labels
    if kind == "distribution":
        return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])
    if kind == "binary":
        return rng.random(shape)
    if kind == "sign":
        return rng.choice([-1.0, 1.0], size=shape)
    return rng.normal(size=shape)


def random_point(
    graph: Graph,
    rng: np.random.Generator,
    samples: int | None = None,
    length: int | None = None,
) -> Case:
    """Parameters and data: a batch of 1 to 11 samples, axes of any length 1 to 5."""
    count = int(rng.integers(1, LARGEST_BATCH + 1)) if samples is None else samples
    free = {n for _, shape in graph.inputs for n in shape if isinstance(n, str)}
    lengths = {n: int(rng.integers(1, LONGEST + 1)) if length is None else length
               for n in sorted(free)}  # fmt: skip
    theta = random_theta(graph, rng)
    inputs = random_inputs(graph, count, rng, lengths)
    output = tuple(_output_shape(graph, lengths))
    return Case(graph, theta, inputs, random_labels(graph, (count, *output), rng))


def _output_shape(graph: Graph, lengths: dict[str, int]) -> Iterator[int]:
    free = [n for _, shape in graph.inputs for n in shape if isinstance(n, str)]
    for length in graph.shape_of(graph.output)[1:]:
        yield lengths[free[0]] if length is None else int(length)


# -- drawing a graph -------------------------------------------------------------------------------

Shape = tuple[int | str, ...]


class Draft:
    """A graph under construction: the shapes of one sample of every state."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.inputs: dict[str, Shape] = {}
        self.shapes: dict[str, Shape] = {}
        self.constraints: list[Constraint] = []
        self.kinks = rng.random() < 0.3

    def width(self) -> int:
        return int(self.rng.integers(1, WIDEST + 1))

    def one_of(self, values):
        return values[int(self.rng.integers(len(values)))]

    def input(self, *shape: int | str) -> str:
        name = f"x0_{len(self.inputs)}" if self.inputs else "x0"
        self.inputs[name] = self.shapes[name] = shape
        return name

    def activation(self):
        names = SMOOTH + KINKED if self.kinks else SMOOTH
        return self.one_of(names)

    def source(self, rank: int, *, wanted: Shape | None = None) -> str | None:
        """A state of a rank (or shape), mostly the latest."""
        fits = [n for n, shape in self.shapes.items()
                if (shape == wanted if wanted is not None else len(shape) == rank)]  # fmt: skip
        if not fits:
            return None
        return fits[-1] if self.rng.random() < 0.6 else self.one_of(fits)

    def add(self, layer: str, of, shape: Shape, **settings) -> str:
        state = f"x{len(self.constraints) + 1}"
        settings |= self.shared(layer, of, settings)
        self.constraints.append(Constraint(state, layer, of, **settings))
        self.shapes[state] = shape
        return state

    def shared(self, layer: str, of, settings: dict) -> dict[str, str]:
        """Names of an earlier constraint's parameters, where they fit, sometimes."""
        if self.rng.random() > 0.3:
            return {}
        sources = (of,) if isinstance(of, str) else of
        for c in self.constraints:
            same = c.layer == layer and dict(c.sizes) == {
                k: v for k, v in settings.items() if k in dict(c.sizes)
            }
            if same and [self.shapes[o] for o in c.of] == [self.shapes[o] for o in sources]:
                return dict(c.names)
        return {}

    def finish(self, **settings) -> Graph:
        return Graph(self.inputs, self.constraints, **settings)


def _vector_step(d: Draft) -> None:
    x = d.source(1)
    (n,) = d.shapes[x]
    kind = d.one_of(VECTOR_LAYERS)
    if kind in {"dense", "dense_nobias", "transposed_dense"}:
        m = d.width()
        d.add(kind, x, (m,), m=m, activation=d.activation())
    elif kind == "affine":
        m = d.width()
        d.add(kind, x, (m,), m=m)
    elif kind == "activation":
        d.add(kind, x, (n,), activation=d.activation())
    elif kind in {"add", "multiply"}:
        d.add(kind, (x, d.source(1, wanted=(n,))), (n,))
    elif kind == "concatenate":
        u = d.source(1)
        if n + d.shapes[u][0] <= 2 * WIDEST:
            d.add(kind, (x, u), (n + d.shapes[u][0],))
    elif kind == "bilinear":
        m = int(d.rng.integers(1, 4))
        u = d.source(1)
        if n * d.shapes[u][0] <= WIDEST**2:
            d.add(kind, (x, u), (m,), m=m)
    elif kind == "log_sum_exp":
        d.add(kind, x, (1,))
    else:  # scale_shift, layer_norm, rms_norm, softmax
        d.add(kind, x, (n,))


VECTOR_LAYERS = (
    "dense", "dense", "dense", "dense_nobias", "transposed_dense", "affine", "activation", "add",
    "multiply", "concatenate", "bilinear", "scale_shift", "layer_norm", "rms_norm", "softmax",
    "log_sum_exp",
)  # fmt: skip


def _sequence_step(d: Draft) -> None:
    x = d.source(2)
    T = d.shapes[x][0]
    kind = d.one_of(("recurrent", "recurrent", "dense", "attention"))
    m = d.width()
    if kind == "attention":
        H, D = int(d.rng.integers(1, 4)), int(d.rng.integers(1, 4))
        d.add(kind, x, (T, m), H=H, D=D, m=m)
    else:
        d.add(kind, x, (T, m), m=m, activation=d.activation())


def _convolution_step(d: Draft) -> None:
    x = d.source(2)
    channels, L = d.shapes[x]
    kind = d.one_of(("conv1d", "conv1d", "transposed_conv1d", "average_pool1d", "max_pool1d"))
    out, stride = int(d.rng.integers(1, 5)), int(d.rng.integers(1, 4))
    if kind == "conv1d":
        pad = int(d.rng.integers(0, 3))
        R = int(d.rng.integers(1, min(L + 2 * pad, 4) + 1))
        d.add(kind, x, (out, (L + 2 * pad - R) // stride + 1), O=out, R=R, stride=stride, pad=pad)
    elif kind == "transposed_conv1d":
        R = int(d.rng.integers(1, 4))
        if stride * (L - 1) + R <= 12:
            d.add(kind, x, (out, stride * (L - 1) + R), O=out, R=R, stride=stride)
    else:
        R = int(d.rng.integers(1, min(L, 3) + 1))
        d.add(kind, x, (channels, (L - R) // stride + 1), R=R, stride=stride)


def _image_step(d: Draft) -> None:
    x = d.source(3)
    channels, H, B = d.shapes[x]
    kind = d.one_of(("conv2d", "conv2d", "transposed_conv2d", "average_pool2d", "max_pool2d"))
    out, stride = int(d.rng.integers(1, 4)), int(d.rng.integers(1, 3))
    if kind == "conv2d":
        pad = int(d.rng.integers(0, 2))
        R, S = (int(d.rng.integers(1, min(n + 2 * pad, 3) + 1)) for n in (H, B))
        size = ((n + 2 * pad - r) // stride + 1 for n, r in ((H, R), (B, S)))
        d.add(kind, x, (out, *size), O=out, R=R, S=S, stride=stride, pad=pad)
    elif kind == "transposed_conv2d":
        R, S = int(d.rng.integers(1, 4)), int(d.rng.integers(1, 4))
        size = (stride * (H - 1) + R, stride * (B - 1) + S)
        if max(size) <= 8:
            d.add(kind, x, (out, *size), O=out, R=R, S=S, stride=stride)
    else:
        R = int(d.rng.integers(1, min(H, B, 3) + 1))
        d.add(kind, x, (channels, *((n - R) // stride + 1 for n in (H, B))), R=R, stride=stride)


def _vectors(d: Draft, depth: int) -> None:
    d.input(d.width())
    if d.rng.random() < 0.3:
        d.input(d.width())
    while len(d.constraints) < depth:
        _vector_step(d)


def _chain(d: Draft, depth: int) -> None:
    x = d.input(d.width())
    for _ in range(depth):
        m = d.width()
        x = d.add("dense", x, (m,), m=m, activation=d.activation())


def _sequence(d: Draft, depth: int) -> None:
    """A recurrence or attention over an axis of any length; then its last or mean, and dense ones."""
    T = "T" if d.rng.random() < 0.5 else int(d.rng.integers(1, LONGEST + 1))
    x = d.input(T, d.width())
    if d.rng.random() < 0.3:
        d.inputs[x] = (T,)
        m = d.width()
        d.add("embedding", x, (T, m), V=d.width(), m=m)
        del d.shapes[x]
    while len(d.constraints) < max(1, depth - 2):
        _sequence_step(d)
    if len(d.constraints) < depth:
        last = d.source(2)
        d.add(d.one_of(("last", "mean_over_time")), last, d.shapes[last][1:])
    while len(d.constraints) < depth:
        _vector_step(d)


def _convolutions(d: Draft, depth: int) -> None:
    d.input(int(d.rng.integers(1, 4)), d.width())
    while len(d.constraints) < max(1, depth - 2):
        _convolution_step(d)
    if len(d.constraints) < depth:
        last = d.source(2)
        d.add("flatten", last, (int(np.prod(d.shapes[last])),))
    while len(d.constraints) < depth:
        _vector_step(d)


def _images(d: Draft, depth: int) -> None:
    d.input(int(d.rng.integers(1, 3)), int(d.rng.integers(1, 6)), int(d.rng.integers(1, 6)))
    while len(d.constraints) < max(1, depth - 2):
        _image_step(d)
    if len(d.constraints) < depth:
        last = d.source(3)
        d.add("flatten2d", last, (int(np.prod(d.shapes[last])),))
    while len(d.constraints) < depth:
        _vector_step(d)


def _autoencoder(d: Draft, depth: int) -> None:
    """Encoders, then decoders with the encoders' weights transposed."""
    x = d.input(d.width())
    widths = [d.shapes[x][0]]
    half = max(1, depth // 2)
    for k in range(half):
        widths.append(d.width())
        state = f"x{k + 1}"
        d.constraints.append(
            Constraint(state, "dense", x, m=widths[-1], activation=d.activation(), W=f"w{k}")
        )
        x = state
    for k in reversed(range(half)):
        state = f"y{k}"
        d.constraints.append(
            Constraint(state, "transposed_dense", x, m=widths[k], activation=d.activation(),
                       W=f"w{k}")
        )  # fmt: skip
        x = state
    d.shapes = {x: (widths[0],)}


FAMILIES: tuple[Callable[[Draft, int], None], ...] = (
    _chain, _vectors, _vectors, _vectors, _sequence, _sequence, _convolutions, _images,
    _autoencoder,
)  # fmt: skip


def random_graph(seed: int | np.random.Generator) -> Graph:
    """A graph of depth 1 to 6."""
    rng = np.random.default_rng(seed)
    draft = Draft(rng)
    depth = int(rng.integers(1, DEEPEST + 1))
    draft.one_of(FAMILIES)(draft, depth)
    loss = draft.one_of(("squared_error", "squared_error", "binary_cross_entropy", "log_cosh"))
    strength = float(np.round(10 ** rng.uniform(-3, 0), 4))
    last = draft.constraints[-1]
    if last.layer == "dense" and dict(last.sizes)["m"] > 1 and rng.random() < 0.3:
        settings = {**last.settings, "activation": "softmax"}
        draft.constraints[-1] = Constraint(last.state, last.layer, last.of, **settings)
        loss = "cross_entropy"
    return draft.finish(loss=loss, regularizer=L2(strength) if rng.random() < 0.5 else None)


def random_graphs(count: int, first: int = 0) -> Iterator[tuple[Graph, np.random.Generator]]:
    """``count`` different graphs, each with the generator for its data."""
    seen: set[Graph] = set()
    seed = first
    while len(seen) < count:
        rng = np.random.default_rng(seed)
        graph = random_graph(rng)
        seed += 1
        if graph.parameters and graph not in seen:
            seen.add(graph)
            yield graph, rng


# -- named graphs ----------------------------------------------------------------------------------


def skip_with_shared_weights(**settings) -> Graph:
    """x¹ = φ¹(x⁰; w¹), x² = φ²(x⁰, x¹; w²), x³ = φ³(x¹, x²; w¹)."""
    return Graph(
        {"x0": 3},
        [
            Constraint("x1", "dense_nobias", "x0", m=3, activation="tanh", W="w1"),
            Constraint("u2", "add", ("x0", "x1")),
            Constraint("x2", "dense_nobias", "u2", m=3, activation="sigmoid", W="w2"),
            Constraint("u3", "add", ("x1", "x2")),
            Constraint("x3", "dense_nobias", "u3", m=3, activation="tanh", W="w1"),
        ],
        **{"name": "shared weights", **settings},
    )


def tied_autoencoder(**settings) -> Graph:
    return Graph(
        {"x0": 4},
        [
            Constraint("h", "dense", "x0", m=2, activation="tanh", W="w"),
            Constraint("y", "transposed_dense", "h", m=4, W="w"),
        ],
        **{"name": "tied autoencoder", **settings},
    )


def recurrent_network(**settings) -> Graph:
    """A recurrence over T steps, T given by the data."""
    return Graph(
        {"s": ("T", 3)},
        [
            Constraint("h", "recurrent", "s", m=2, activation="tanh"),
            Constraint("e", "last", "h"),
            Constraint("y", "affine", "e", m=1),
        ],
        **{"name": "recurrent", **settings},
    )


NAMED: dict[str, Callable[..., Graph]] = {
    "shared weights": skip_with_shared_weights,
    "tied autoencoder": tied_autoencoder,
    "recurrent": recurrent_network,
}
