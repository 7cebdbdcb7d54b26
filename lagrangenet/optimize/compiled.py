"""The condensed system by compiled code, where there is a C compiler.

``rows.c``, ``condensed.c``, ``sweeps.c`` and ``newton.c``, one text, do what :mod:`.condensed` does
with every intermediate result in cache, a whole Newton step in one call. They are not generated,
because they hold no formula of a problem: the factors come in as arrays. They are compiled once for a
machine and kept in the cache of :mod:`lagrangenet.runtime.compiled`.
"""

from __future__ import annotations

import ctypes
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.optimize.blocks import Blocks, Layered
from lagrangenet.optimize.inertia import LARGEST, Shifted
from lagrangenet.optimize.search import Step
from lagrangenet.runtime import Array
from lagrangenet.runtime.compiled import NotCompiled, pointer
from lagrangenet.runtime.library import library

_SOURCES = [
    Path(__file__).with_name(f"{name}.c") for name in ("rows", "condensed", "sweeps", "newton")
]
_REAL = {"float64": "double", "float32": "float"}
#: What the workspace may take; wider layers are left to NumPy, whose parts adapt.
MOST_BYTES = 1 << 28
_pointer = ctypes.c_void_p
#: What ``System`` has for each layer.
_BY_LAYER = ("states", "slopes", "curvatures", "mu", "gaps")


class _System(ctypes.Structure):
    """``System`` of rows.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("depth", "samples", "full_output")),
        *((name, _pointer) for name in ("widths", "theta", *_BY_LAYER, "output", "wanted")),
    )


class _Newton(ctypes.Structure):
    """``Newton`` of newton.c."""

    _fields_ = (
        ("size", ctypes.c_long),
        *((name, _pointer) for name in ("potrf", "potrs")),
        *((name, ctypes.c_double) for name in ("weight", "first", "more", "largest")),
        *((name, _pointer) for name in ("penalty", "bend", "H", "metric", "factor", "spare")),
        *((name, _pointer) for name in ("along", "dx", "plus")),
        *((name, ctypes.c_double) for name in ("shift", "slope")),
    )


@cache
def _functions(dtype: str) -> Any:
    """The functions of the C files for a type; None where they cannot be compiled."""
    files = (path.read_text(encoding="utf-8") for path in _SOURCES)
    text = "\n".join([f"#define REAL {_REAL[dtype]}", *files])
    try:
        found = library(text)
    except NotCompiled:
        return None
    real, whole = ctypes.c_double, ctypes.c_int
    for name, result, arguments in (
        ("workspace", ctypes.c_long, ()),
        ("load", None, (_pointer,)),
        ("condense", None, (_pointer, real, whole, _pointer)),
        ("residual", real, 4 * [_pointer]),
        ("step", whole, (_pointer, _pointer)),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, [_pointer, *arguments]
    return found


@cache
def _lapack(dtype: str) -> tuple[int, int]:
    """The addresses of SciPy's potrf and potrs."""
    from scipy.linalg import cython_lapack  # here, because the import takes a while

    kind = "d" if dtype == "float64" else "s"
    return pointer(cython_lapack, f"{kind}potrf"), pointer(cython_lapack, f"{kind}potrs")


class Condenser:
    """Steps of one chain with its data, by compiled code.

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
        self._tables["states"][0] = address(self._inputs)
        self._places = [part.start * self._inputs.itemsize for part, _ in net.parts]
        self._written = {name: (_pointer * depth)() for name in ("dx", "plus")}
        self._address = ctypes.addressof(system)
        size = self._run.workspace(self._address) + 64
        if size > MOST_BYTES + 32 * self._inputs.itemsize * len(net.X) * sum(net.problem.widths):
            self.works = False
            return
        self._memory = np.empty(size, np.uint8)
        self._aligned = address(self._memory) + -address(self._memory) % 64
        self._loaded: Blocks | None = None

    @cached_property
    def _newton(self) -> _Newton:
        """What steps are computed with; made for the first of them, as it takes three matrices."""
        P = self.net.problem.size
        self._matrices = [np.empty((P, P), self._inputs.dtype) for _ in range(3)]
        self._spare = np.empty(P, self._inputs.dtype)
        potrf, potrs = _lapack(str(self._inputs.dtype))
        H, metric, factor = map(address, self._matrices)
        return _Newton(size=P, potrf=potrf, potrs=potrs, largest=LARGEST, H=H, metric=metric,
                       factor=factor, spare=address(self._spare))  # fmt: skip

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

        fill("slopes", blocks.slopes)
        fill("curvatures", blocks.curvatures)
        fill("mu", blocks.mu)
        fill("gaps", blocks.at.gaps)
        states = address(blocks.at.flat)
        for k, place in enumerate(self._places[:-1], 1):
            self._tables["states"][k] = states + place
        system = self._system
        system.theta, system.full_output = address(kept[0]), blocks.output.ndim == 3
        kept += [np.ascontiguousarray(blocks.output), np.ascontiguousarray(blocks.wanted)]
        system.output, system.wanted = address(kept[-2]), address(kept[-1])
        self._run.load(self._address, self._aligned)
        self._loaded = blocks

    def matrix(self, blocks: Blocks, weight: float = 0.0, metric: bool = False) -> Array:
        """As :func:`.condensed.matrix`; above the diagonal it is zero."""
        self.load(blocks)
        H = np.zeros((len(blocks.bend), len(blocks.bend)), blocks.bend.dtype)
        self._run.condense(self._address, self._aligned, weight, metric, address(H))
        if not metric:
            H.flat[:: len(H) + 1] += blocks.bend
        return H

    def gradient(self, blocks: Blocks, multipliers: Array) -> tuple[Array, float]:
        """As :meth:`.condensed.Condensed.gradient`."""
        self.load(blocks)
        found = np.empty_like(blocks.penalty)
        table = self._layers("plus", multipliers)
        worst = self._run.residual(
            self._address, self._aligned, table, address(blocks.penalty), address(found)
        )
        return found, worst

    def step(self, blocks: Blocks, inertia: Shifted, weight: float) -> Step | None:
        """As :meth:`.condensed.Condensed.step`."""
        self.load(blocks)
        flat, along = blocks.at.flat, np.empty_like(blocks.penalty)
        dx, plus = np.empty_like(flat), np.empty_like(flat)
        newton = self._newton
        newton.weight = weight
        newton.first, newton.more = inertia.schedule()
        newton.penalty, newton.bend = address(blocks.penalty), address(blocks.bend)
        newton.along = address(along)
        newton.dx, newton.plus = self._layers("dx", dx), self._layers("plus", plus)
        if not self._run.step(self._address, self._aligned, ctypes.addressof(newton)):
            return None
        if newton.shift:
            inertia.last = newton.shift
        return Step(along, dx, plus, newton.slope, newton.shift)

    def _layers(self, name: str, flat: Array) -> int:
        """A table of where each layer is in a flat vector."""
        table, start = self._written[name], address(flat)
        for k, place in enumerate(self._places):
            table[k] = start + place
        return ctypes.addressof(table)


def address(array: Any) -> int:
    """Where a contiguous array begins; ``array.ctypes`` takes longer than the sweeps of a small net."""
    if not array.flags.writeable:
        return int(array.ctypes.data)
    return ctypes.addressof(ctypes.c_char.from_buffer(array))
