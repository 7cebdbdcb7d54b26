"""C compilers, and emitted C against the NumPy routines.

What is compared here is the text of a C file with the stages in NumPy (forward, backward, tangent,
...), which share neither the linked routines nor the steps that C is written from.
"""

import ctypes
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest

from lagrangenet import derive, generate
from lagrangenet.emit.c.module import emit
from lagrangenet.routines.lower import lower
from lagrangenet.routines.passes.link import link
from lagrangenet.runtime import compiled
from lagrangenet.runtime.compiled import FLAGS, CompiledEngine, vector_bytes
from lagrangenet.runtime.say import say_once
from tests.problems import case, flat

#: The compilers of this machine; clang is compared with where there is one.
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
#: Numbers of samples: one, less than a vector, a vector, partial blocks, several tiles.
SAMPLES = (1, 2, 3, 5, 8, 17, 100, 1000)
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def forget():
    """Empty what is known of compilers and of modules that are loaded."""
    for known in (compiled.find_compiler, compiled._machine, compiled._module, say_once):
        known.cache_clear()


@contextmanager
def cache_in(folder):
    """A cache of compiled code for one file of tests, instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAGRANGENET_CACHE", str(folder))
        yield


def run(*command, **options):
    """What a command prints; it has to succeed."""
    parts = [*map(str, command)]
    done = subprocess.run(parts, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def warnings(compiler, text, folder, *more):
    """What a compiler says of a C file."""
    (folder / "model.c").write_text(text, encoding="utf-8")
    flags = [flag for flag in FLAGS if flag != "-shared"]
    command = [compiler, *flags, "-Wall", "-Wextra", *more, "-c", "model.c", "-o", "model.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.stdout + done.stderr + "failed" * (done.returncode != 0)


def library(text, folder, *more, compiler=None, name="library"):
    """A C file as a library of functions."""
    source, made = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(text, encoding="utf-8")
    run(compiler or COMPILERS[0], *FLAGS, *more, source, "-o", made, "-lm")
    return ctypes.CDLL(str(made))


# -- emitted C and NumPy ---------------------------------------------------------------------------


@cache
def derivation(problem, order=2):
    return derive(problem, order=order)


@cache
def program(problem, order=2):
    """The linked routines."""
    return link(lower(derivation(problem, order)))


@cache
def stages(problem):
    """The routines in NumPy, in double precision."""
    return generate(derivation(problem))


def text(problem, samples, dtype="float64", threads=1, order=2, vector=None, blas=False):
    """The C file for this machine, or for vectors of some bytes."""
    width = vector or vector_bytes()
    return emit(program(problem, order), dtype, samples, threads, width, blas)


class Point:
    """Parameters, data and a direction that are numbers of a type, and what is right there."""

    def __init__(self, problem, samples, dtype="float64", seed=0):
        _, theta, X, Y = case(problem, samples, seed)
        rng = np.random.default_rng(seed)
        if problem.loss_entry.labels == "distribution":  # that sums to one in any precision
            Y = np.eye(Y.shape[1])[rng.integers(Y.shape[1], size=samples)]
        vectors = flat(theta), rng.normal(size=problem.size), X, Y
        self.theta, self.p, self.X, self.Y = (a.astype(dtype) for a in vectors)
        self.problem, self.dtype = problem, dtype

    @property
    def expected(self):
        """J, its gradient and both products, in double precision."""
        code = stages(self.problem)
        theta, p, X, Y = (a.astype("float64") for a in (self.theta, self.p, self.X, self.Y))
        J, gradient = code.fun(theta, X, Y)
        products = code.hessp(theta, p, X, Y), code.gauss_newtonp(theta, p, X, Y)
        return J, J, gradient, *products

    def found(self, engine):
        """The same of an engine."""
        gradient, *products = (np.full_like(self.theta, np.nan) for _ in range(3))
        J = engine.value_and_grad(self.theta, gradient)
        for name, out in zip(("hessian_product", "gauss_newton_product"), products, strict=True):
            engine.product(name, self.theta, self.p, out)
        return engine.value(self.theta), J, gradient, *products

    def engine(self, source, threads=1):
        """Compiled code with these data."""
        return CompiledEngine(source, self.X, self.Y, threads)

    def assert_right(self, engine):
        """Values, gradient and products are those of NumPy."""
        names = ("value", "value with gradient", "gradient", "hessp", "gauss_newtonp")
        for name, found, expected in zip(names, self.found(engine), self.expected, strict=True):
            error, scale = np.linalg.norm(found - expected), np.linalg.norm(expected)
            assert error <= TOLERANCE[self.dtype] * max(scale, 0.1), name  # J may be 0


def assert_agrees(problem, samples, dtype="float64", threads=1, seed=0, **options):
    """The C file of a problem computes what NumPy computes."""
    point = Point(problem, samples, dtype, seed)
    source = text(problem, samples, dtype, threads, **options)
    point.assert_right(point.engine(source, threads))
