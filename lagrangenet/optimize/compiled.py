"""The condensed matrix by compiled code, where there is a C compiler.

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


class _System(ctypes.Structure):
    """``System`` of condensed.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("depth", "samples", "full_output", "metric")),
        *((name, _pointer) for name in ("widths", "theta")),
        *((name, _pointer) for name in ("states", "slopes", "curvatures", "mu", "output")),
        ("weight", ctypes.c_double),
    )


@cache
def _functions(dtype: str) -> tuple[Any, Any] | None:
    """``workspace`` and ``condense`` for a type; None where they cannot be compiled."""
    text = f"#define REAL {_REAL[dtype]}\n" + _SOURCE.read_text(encoding="utf-8")
    try:
        found = library(text)
    except NotCompiled:
        return None
    workspace, condense = found.workspace, found.condense
    workspace.restype, workspace.argtypes = ctypes.c_long, [_pointer]
    condense.restype, condense.argtypes = None, [_pointer, _pointer, _pointer]
    return workspace, condense


class Condenser:
    """Assembles the matrices of one chain with its data.

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
        functions = _functions(str(net.X.dtype))
        hidden = net.problem.activations[:-1]
        self.works = functions is not None and not any(entry.coupled for entry in hidden)
        if functions is None or not self.works:
            return
        workspace, self._condense = functions
        depth = net.problem.depth
        self._kept: list[Any] = [np.array(net.problem.widths, dtype=np.int_)]
        self._states = (_pointer * depth)()
        self._slopes, self._curvatures = ((_pointer * max(depth - 1, 1))() for _ in range(2))
        self._mu = (_pointer * depth)()
        self._system = _System(depth=depth, samples=len(net.X))
        self._system.widths = self._kept[0].ctypes.data
        for name in ("states", "slopes", "curvatures", "mu"):
            setattr(self._system, name, ctypes.addressof(getattr(self, f"_{name}")))
        self._inputs = np.ascontiguousarray(net.X)
        self._system.full_output = 1
        size = workspace(ctypes.byref(self._system)) + 64
        if size > MOST_BYTES:
            self.works = False
            return
        self._memory = np.empty(size, np.uint8)
        self._aligned = self._memory.ctypes.data + -self._memory.ctypes.data % 64

    def matrix(self, blocks: Blocks, weight: float = 0.0, metric: bool = False) -> Array:
        """As :func:`.condensed.matrix`."""
        kept: list[Array] = [self._inputs]
        system = self._system

        def address(array: Array) -> int:
            kept.append(np.ascontiguousarray(array))
            return kept[-1].ctypes.data

        for k, x in enumerate([self._inputs, *blocks.at.states[:-1]]):
            self._states[k] = address(x)
            self._mu[k] = address(blocks.mu[k])
        for k, (slope, curvature) in enumerate(zip(blocks.slopes, blocks.curvatures, strict=True)):
            self._slopes[k], self._curvatures[k] = address(slope), address(curvature)
        system.theta, system.output = address(blocks.at.theta), address(blocks.output)
        system.full_output, system.metric = blocks.output.ndim == 3, metric
        system.weight = weight
        H = np.zeros((len(blocks.bend), len(blocks.bend)), blocks.bend.dtype)
        self._condense(ctypes.byref(system), H.ctypes.data, self._aligned)
        if not metric:
            H.flat[:: len(H) + 1] += blocks.bend
        return H
