"""CasADi as a peer: its graphs as C, compiled by the C compiler and called through its buffers.

SX writes every scalar operation out, which is fast for a few and hopeless for many; MX keeps
matrices, and multiplies them with plain loops. Above the limits below, compiling or one call takes
longer than everything else together.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import GRADIENTS
from benchmarks.timing import Contender, Skipped
from benchmarks.workloads import Case, packed

FLAGS = ("-O3", "-march=native", "-fPIC", "-shared")
LARGEST_SX = 5_000  # weights times samples, see Workload.work
LARGEST_MX = 20_000_000
DEEPEST_MX = 10  # layers


@GRADIENTS.add("casadi-sx", "casadi")
def casadi_sx(case: Case) -> Contender:
    import casadi

    if case.workload.work > LARGEST_SX:
        raise Skipped(f"more than {LARGEST_SX} multiplications, each a line of C")
    return _contender(casadi.SX, case)


@GRADIENTS.add("casadi-mx", "casadi")
def casadi_mx(case: Case) -> Contender:
    import casadi

    if case.workload.work > LARGEST_MX:
        raise Skipped(f"more than {LARGEST_MX} multiplications in plain loops")
    if len(case.theta) > DEEPEST_MX:
        raise Skipped(f"more than {DEEPEST_MX} layers, which take long to compile")
    return _contender(casadi.MX, case)


def _contender(symbols: Any, case: Case) -> Contender:
    if case.dtype != "float64":
        raise Skipped("float64 only")
    function = _compiled(_function(symbols, case))
    buffer, call = function.buffer()
    # CasADi's matrices are column-major: one column per sample is the memory of one row per sample.
    inputs = [packed(case.theta), case.X.ravel(), case.Y.ravel()]
    results = [np.zeros(1), np.zeros(inputs[0].size)]
    for k, array in enumerate(inputs):
        buffer.set_arg(k, memoryview(array))
    for k, array in enumerate(results):
        buffer.set_res(k, memoryview(array))
    # The call holds the bare address of the buffer, which holds those of the arrays: this list keeps
    # all of them alive.
    held = [buffer, *inputs, *results]
    return Contender(call, (), lambda _: (held[-2][0], held[-1]))


def _function(symbols: Any, case: Case) -> Any:
    """(θ, Xᵀ, Yᵀ) → (J, ∂J/∂θ)."""
    import casadi

    sigma = {
        "tanh": casadi.tanh,
        "sigmoid": lambda z: 1 / (1 + casadi.exp(-z)),
        "relu": lambda z: casadi.fmax(z, 0),
    }[case.hidden]
    (samples, before), (_, outputs) = case.X.shape, case.Y.shape
    theta = symbols.sym("theta", packed(case.theta).size)
    X, Y = symbols.sym("X", before, samples), symbols.sym("Y", outputs, samples)
    x, start = X, 0
    for k, (W, b) in enumerate(case.theta, 1):
        middle, end = start + W.size, start + W.size + b.size
        weights = casadi.reshape(theta[start:middle], *W.shape[::-1]).T
        x = weights @ x + casadi.repmat(theta[middle:end], 1, samples)
        x = sigma(x) if k < len(case.theta) else x
        start = end
    if case.classifies:
        # The exponents are small here: no shift by the largest is needed.
        total = casadi.sum2(casadi.log(casadi.sum1(casadi.exp(x)))) - casadi.dot(Y, x)
    else:
        total = casadi.sumsqr(x - Y) / 2
    J = total / samples
    return casadi.Function("loss", [theta, X, Y], [J, casadi.gradient(J, theta)])


def _compiled(function: Any) -> Any:
    """The function through generated C."""
    import casadi

    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Skipped("no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        generator = casadi.CodeGenerator("loss.c")
        generator.add(function)
        generator.generate(folder + os.sep)
        source, library = Path(folder, "loss.c"), Path(folder, "loss.so")
        subprocess.run([compiler, *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
        return casadi.external("loss", str(library))
