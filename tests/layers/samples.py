"""One layer as a graph: random sizes, each size 1 in turn, and a trainable layer before it.

The layer before scales its input, so that the gradient depends on the derivative of the layer by its
input; the multiplier of its state is that derivative. A layer over any number of axes (``...``) is
drawn with one and with two more of them.
"""

from collections.abc import Iterator

import numpy as np

from lagrangenet.graph import Constraint, Graph
from lagrangenet.layers import Layer

#: Activations for layers that have one; softmax couples the components along the last axis.
ACTIVATIONS = ("tanh", "identity", "softplus", "relu")
#: A window, and the axis that it has to fit into.
WINDOWS = {"R": "L", "S": "B"}
HEADS = 3


def sizes_of(layer: Layer) -> list[str]:
    """The sizes that can be chosen: those of the inputs, and free ones."""
    inputs = [str(axis[1]) for name in layer.inputs for axis in layer.arrays[name][1:]]
    return list(dict.fromkeys([*inputs, *layer.free_sizes]))


def draws(layer: Layer, count: int) -> Iterator[tuple[str, Graph]]:
    """Graphs of the layer: ``count`` random ones, all sizes 1, and each size 1 with others not."""
    rng = np.random.default_rng(len(layer.name))
    names = sizes_of(layer)
    for k in range(count):
        yield f"random {k}", graph_of(layer, {n: int(rng.integers(1, 6)) for n in names}, rng)
    yield "every size 1", graph_of(layer, dict.fromkeys(names, 1), rng)
    for one in names:
        sizes = {n: 1 if n == one else int(rng.integers(2, 5)) for n in names}
        yield f"{one} = 1", graph_of(layer, sizes, rng)
    for axes in ((3,), (1,), (2, 3)) if "..." in layer.shapes else ():
        sizes = {n: int(rng.integers(1, 5)) for n in names}
        yield f"axes {axes}", graph_of(layer, sizes, rng, axes)


def graph_of(
    layer: Layer, sizes: dict[str, int], rng: np.random.Generator, axes: tuple[int, ...] = ()
) -> Graph:
    options = {}
    for name, default in layer.options.items():
        if name == "pad":
            options[name] = int(rng.integers(0, 3))
        elif isinstance(default, int):
            options[name] = int(rng.integers(1, 4))
        else:
            options[name] = float(10 ** rng.uniform(-5, -1))
    sizes = dict(sizes)
    pad = 2 * options.get("pad", 0)
    if layer.name.startswith(("conv", "average_pool", "max_pool")):
        windows = {"R": "H", "S": "B"} if "H" in sizes else {"R": "L"}
        for window, axis in windows.items():
            for held in (sizes, options):
                if window in held:
                    held[window] = min(held[window], sizes[axis] + pad)
        if "R" in options and "B" in sizes:
            options["R"] = min(options["R"], sizes["B"])
    settings = {name: sizes[name] for name in layer.free_sizes} | options
    if layer.uses_sigma:
        settings["activation"] = ACTIVATIONS[int(rng.integers(len(ACTIVATIONS)))]
    inputs, before, sources = {}, [], []
    for name in layer.inputs:
        shape = (*axes, *(sizes[str(axis[1])] for axis in layer.arrays[name][1:]))
        inputs[f"in_{name}"] = shape
        if name in layer.integers:
            sources.append(f"in_{name}")
        else:
            before.append(Constraint(f"pre_{name}", "scale_shift", f"in_{name}"))
            sources.append(f"pre_{name}")
    return Graph(inputs, [*before, Constraint("out", layer.name, sources, **settings)])
