"""The condensed system by compiled code, where there is a C compiler.

``condensed.c`` does the sums of :mod:`.condensed` with every intermediate result in cache. It is not
generated, because it holds no formula of a problem: the factors come in as arrays. It is compiled
once for a machine and kept in the cache of :mod:`lagrangenet.runtime.compiled`.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.optimize.blocks import Blocks, Layered
from lagrangenet.runtime import Array
from lagrangenet.runtime.compiled import NotCompiled
from lagrangenet.runtime.library import library

_SOURCE = Path(__file__).with_name("condensed.c")
_REAL = {"float64": "double", "float32": "float"}
#: What the workspace may take; wider layers are left to NumPy, whose parts adapt.
MOST_BYTES = 1 << 28
_pointer = ctypes.c_void_p
#: What ``System`` has for each layer.
_BY_LAYER = ("states", "slopes", "curvatures", "mu", "gaps")


class _System(ctypes.Structure):
    """``System`` of condensed.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("depth", "samples", "full_output")),
        *((name, _pointer) for name in ("widths", "theta", *_BY_LAYER, "output", "wanted")),
    )


@cache
def _functions(dtype: str) -> Any:
    """The functions of condensed.c for a type; None where they cannot be compiled."""
    text = f"#define REAL {_REAL[dtype]}\n" + _SOURCE.read_text(encoding="utf-8")
    try:
        found = library(text)
    except NotCompiled:
        return None
    real, whole = ctypes.c_double, ctypes.c_int
    for name, result, arguments in (
        ("workspace", ctypes.c_long, ()),
        ("load", None, (_pointer,)),
        ("condense", None, (_pointer, real, whole, _pointer)),
        ("sweep", None, (_pointer, real, *(4 * [_pointer]))),
        ("residual", real, (_pointer, _pointer, _pointer)),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, [_pointer, *arguments]
    return found


class Condenser:
    """Matrices and sweeps of one chain with its data, by compiled code.

    The methods are those of :mod:`.condensed`. The blocks of one point at a time are kept in the
    order that the code needs.

    Parameters
    ----------
    net : Layered

    Attributes
    ----------
    works : bool
        Whether there is compiled code for this chain; a hidden layer that couples its components
        has none.
    """

    def __init__(self, net: Layered) -> None:
        self.net = net
        self._run = _functions(str(net.X.dtype))
        hidden = net.problem.activations[:-1]
        self.works = self._run is not None and not any(entry.coupled for entry in hidden)
        if not self.works:
            return
        depth = net.problem.depth
        self._inputs = np.ascontiguousarray(net.X)
        self._widths = np.array(net.problem.widths, dtype=np.int_)
        self._tables = {name: (_pointer * depth)() for name in _BY_LAYER}
        system = self._system = _System(depth=depth, samples=len(net.X), full_output=1)
        system.widths = address(self._widths)
        for name, table in self._tables.items():
            setattr(system, name, ctypes.addressof(table))
        self._address = ctypes.addressof(system)
        size = self._run.workspace(self._address) + 64
        if size > MOST_BYTES + 32 * self._inputs.itemsize * len(net.X) * sum(net.problem.widths):
            self.works = False
            return
        self._memory = np.empty(size, np.uint8)
        self._aligned = address(self._memory) + -address(self._memory) % 64
        self._loaded: Blocks | None = None

    def load(self, blocks: Blocks) -> None:
        """Take over the blocks of a point, unless it has them."""
        if self._loaded is blocks:
            return
        self._kept = kept = [np.ascontiguousarray(blocks.at.theta)]

        def fill(name: str, arrays: list[Array]) -> None:
            table = self._tables[name]
            for k, array in enumerate(arrays):
                kept.append(np.ascontiguousarray(array))
                table[k] = address(kept[-1])

        fill("states", [self._inputs, *blocks.at.states[:-1]])
        fill("slopes", blocks.slopes)
        fill("curvatures", blocks.curvatures)
        fill("mu", blocks.mu)
        fill("gaps", blocks.at.gaps)
        system = self._system
        system.theta, system.full_output = address(kept[0]), blocks.output.ndim == 3
        kept += [np.ascontiguousarray(blocks.output), np.ascontiguousarray(blocks.wanted)]
        system.output, system.wanted = address(kept[-2]), address(kept[-1])
        self._run.load(self._address, self._aligned)
        self._loaded = blocks

    def matrix(self, blocks: Blocks, weight: float = 0.0, metric: bool = False) -> Array:
        """As :func:`.condensed.matrix`."""
        self.load(blocks)
        H = np.zeros((len(blocks.bend), len(blocks.bend)), blocks.bend.dtype)
        self._run.condense(self._address, self._aligned, weight, metric, address(H))
        if not metric:
            H.flat[:: len(H) + 1] += blocks.bend
        return H

    def sweep(
        self, blocks: Blocks, along: Array | None, weight: float = 0.0
    ) -> tuple[list[Array], list[Array], Array]:
        """As :func:`.condensed.sweep`; without ``along`` only the last of the three is filled."""
        self.load(blocks)
        found = np.empty_like(blocks.penalty)
        if along is None:
            self._run.sweep(self._address, self._aligned, weight, None, address(found), None, None)
            return [], [], found + blocks.penalty
        dx, plus = ([np.empty_like(gap) for gap in blocks.at.gaps] for _ in range(2))
        self._run.sweep(
            self._address, self._aligned, weight, address(along), address(found),
            _table(dx), _table(plus),
        )  # fmt: skip
        return dx, plus, found + blocks.penalty + blocks.bend * along

    def gradient(self, blocks: Blocks, multipliers: list[Array]) -> tuple[Array, float]:
        """As :func:`.condensed.gradient`."""
        self.load(blocks)
        found = np.empty_like(blocks.penalty)
        kept = [np.ascontiguousarray(lam) for lam in multipliers]
        worst = self._run.residual(self._address, self._aligned, _table(kept), address(found))
        return found + blocks.penalty, worst


def address(array: Array) -> int:
    """Where a contiguous array begins; ``array.ctypes`` takes longer than the sweeps of a small net."""
    if not array.flags.writeable:
        return array.ctypes.data
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data))


def _table(arrays: list[Array]) -> Any:
    """The addresses of contiguous arrays."""
    return (_pointer * len(arrays))(*(address(array) for array in arrays))
