"""Generated C, compiled on this machine, kept in a cache, and loaded as an extension module.

An entry of the cache is found by the hash of everything that it depends on and checked before it is
loaded; one that is damaged, incomplete or somebody else's is built again. Where there is no compiler
or it fails, the caller is told why (:class:`NotCompiled`) and takes another target.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.runtime.arrays import Array
from lagrangenet.runtime.loaded import no_gradient
from lagrangenet.runtime.say import say_once

FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)
#: Forks of this process compute on one thread: those that code has started do not come along.
_PROCESS = os.getpid()
#: The address of the threads that all modules share, once one has been loaded.
_POOL: list[int] = []
#: Turns of each candidate in a race, and the seconds that one takes.
RACES = 3
TURN = 0.01
#: Seconds before each, if there are threads: those of OpenBLAS keep a core busy for 2^28 ticks of the
#: processor's clock after their last product, 0.10 s at 2.6 GHz.
PAUSE = 0.15
#: Winners of races: equal objectives of one process give equal bits, whatever others find faster.
_WINNERS: dict[str, int] = {}
#: Seconds that a compiler may take.
PATIENCE = 300
_BINDING = Path(__file__).with_name("binding.c")


class NotCompiled(Exception):
    """Why there is no compiled code."""


class CompiledEngine:
    """The routines of a C file with one data set."""

    def __init__(self, source: str, X: Array, Y: Array, threads: int = 1) -> None:
        native = _module(source, str(X.dtype), threads).Objective(
            np.ascontiguousarray(X), np.ascontiguousarray(Y)
        )
        self.into = self.value_and_grad = getattr(native, "into", no_gradient)
        self.value = native.value
        self._products = {n: getattr(native, n) for n in dir(native) if n.endswith("product")}
        self.names = frozenset(self._products)

    def product(self, name: str, theta: Array, direction: Array, out: Array) -> None:
        """The product called ``name`` goes into ``out``."""
        self._products[name](theta, direction, out)


def fastest(
    sources: Sequence[str], X: Array, Y: Array, parameters: int, threads: int
) -> CompiledEngine:
    """The engine of the source that runs fastest on these data: with BLAS or without, shared or not.

    They race once; the winner of equal sources is remembered beside the compiled code.
    """
    different = list(dict.fromkeys(sources))
    if len(different) == 1:
        return CompiledEngine(different[0], X, Y, threads)
    digest = hashlib.sha256("\0".join([*different, *_machine(find_compiler())]).encode())
    note = cache_folder() / f"{digest.hexdigest()[:32]}.race"
    if note.name not in _WINNERS:
        with suppress(OSError, ValueError):
            _WINNERS[note.name] = range(len(different)).index(int(note.read_text("ascii")))
    if note.name in _WINNERS:
        return CompiledEngine(different[_WINNERS[note.name]], X, Y, threads)
    engines = [CompiledEngine(source, X, Y, threads) for source in different]
    times = _race(engines, parameters, X.dtype, threads)
    winner = _WINNERS[note.name] = times.index(min(times))
    with suppress(OSError):
        note.write_text(str(winner), encoding="ascii")
    return engines[winner]


def _race(
    engines: Sequence[CompiledEngine], parameters: int, dtype: Any, threads: int
) -> list[float]:
    """Seconds of a call of each, in turn.

    On one thread the shortest: whatever disturbs a call makes it longer. Threads that come late belong
    to a call, so that with several it is the median after the one that wakes them.
    """
    theta = np.random.default_rng(0).uniform(-0.1, 0.1, parameters).astype(dtype)
    out, took = np.empty_like(theta), [list[float]() for _ in engines]
    for _ in range(RACES):
        for engine, times in zip(engines, took, strict=True):
            if threads > 1:
                time.sleep(PAUSE)
                _seconds(engine, theta, out)
            spent = 0.0
            while spent < TURN:
                times.append(_seconds(engine, theta, out))
                spent += times[-1]
    return [statistics.median(times) if threads > 1 else min(times) for times in took]


def _seconds(engine: CompiledEngine, theta: Array, out: Array) -> float:
    """What a call takes: of the gradient, if there is one."""
    begin = time.perf_counter()
    engine.value(theta) if engine.into is no_gradient else engine.into(theta, out)
    return time.perf_counter() - begin


@cache
def _module(source: str, dtype: str, threads: int) -> Any:
    """The extension module of a C file; one for all objectives with the same source."""
    module = _load(source, ("-pthread",) * (threads > 1))
    pool = module.configure(DataError, _gemm(dtype), _PROCESS, *_POOL)
    if pool and not _POOL:
        _POOL.append(pool)
    return module


def _load(source: str, more: tuple[str, ...]) -> Any:
    compiler, text = find_compiler(), source + _BINDING.read_text(encoding="utf-8")
    key = hashlib.sha256(
        "\0".join([text, *FLAGS, *more, *_machine(compiler)]).encode()
    ).hexdigest()[:32]
    name = f"{key}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _kept(folder / name, compiler, source, more)
    except OSError as error:
        say_once(f"compiled code cannot be kept in {folder} ({error.strerror}); it is built anew")
    with tempfile.TemporaryDirectory(prefix="lagrangenet-") as temporary:
        return _kept(Path(temporary) / name, compiler, source, more)


def _kept(entry: Path, compiler: str, source: str, more: tuple[str, ...]) -> Any:
    """The module at a place of the cache, which is built if it is not there or damaged."""
    with _locked(entry.with_suffix(".lock")):
        if not _sound(entry):
            _build(compiler, source, entry, more)
        try:
            return _imported(entry)
        except ImportError:  # built for another interpreter or machine
            _build(compiler, source, entry, more)
        try:
            return _imported(entry)
        except ImportError as error:
            raise NotCompiled(f"compiled code cannot be loaded: {error}") from None


def _imported(path: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader("model", str(path))
    spec = importlib.util.spec_from_file_location("model", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


# -- the compiler ----------------------------------------------------------------------------------


@cache
def find_compiler() -> str:
    """The path of the C compiler: that of the environment variable CC, or cc, gcc, clang."""
    named = os.environ.get("CC", "")
    for name in filter(None, [named] if named else ["gcc", "clang", "cc"]):
        if found := shutil.which(name):
            return found
    raise NotCompiled(f"there is no C compiler ({named or 'gcc, clang or cc'})")


@cache
def _machine(compiler: str) -> tuple[str, ...]:
    """What compiled code depends on besides its source."""
    try:
        told = subprocess.run(  # noqa: S603 - a path that was looked up
            [compiler, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NotCompiled(f"the compiler {compiler} does not run: {error}") from None
    return (
        compiler,
        told,
        platform.machine(),
        _processor(),
        np.__version__,
        platform.python_version(),
    )


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def vector_bytes() -> int:
    """Bytes of a vector register of this processor."""
    return 64 if "avx512dq" in _processor().split() else 32


def _build(compiler: str, source: str, entry: Path, more: tuple[str, ...]) -> None:
    """Compile a source with its binding to Python."""
    headers = [sysconfig.get_paths()["include"], np.get_include()]
    if not (Path(headers[0]) / "Python.h").exists():
        raise NotCompiled("the headers of Python are not installed (python3-dev)")
    build(compiler, source, entry, (*more, *(f"-I{path}" for path in headers)), _BINDING)


def build(
    compiler: str,
    source: str,
    entry: Path,
    options: tuple[str, ...] = (),
    including: Path | None = None,
) -> None:
    """Compile a text, or a file that includes it as ``model.c``; it takes its place in one step."""
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix="build-") as name:
        folder = Path(name)
        text, made = folder / "model.c", folder / "model.so"
        text.write_text(source, encoding="utf-8")
        file = str(including or text)
        command = [compiler, *FLAGS, *options, f"-I{folder}", file, "-o", str(made), "-lm"]
        try:
            subprocess.run(  # noqa: S603 - a path that was looked up, arguments of our making
                command, capture_output=True, text=True, timeout=PATIENCE, check=True
            )
        except subprocess.CalledProcessError as error:
            first = next((x for x in error.stderr.splitlines() if "error" in x), "no message")
            reason = first.replace(f"{folder}/", "")  # that is another one each time
            raise NotCompiled(f"{compiler} failed: {reason}") from None
        except subprocess.TimeoutExpired:
            raise NotCompiled(f"{compiler} took more than {PATIENCE} seconds") from None
        except OSError as error:
            raise NotCompiled(f"{compiler} failed: {error}") from None
        _digest_file(entry).write_text(_digest(made), encoding="ascii")
        made.replace(entry)


# -- the cache -------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where compiled code is kept: ``LAGRANGENET_CACHE``, or a folder in the user's cache."""
    if named := os.environ.get("LAGRANGENET_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lagrangenet"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder of an entry at a time; where there are no file locks, the last one wins."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sound(entry: Path) -> bool:
    """Whether an entry is there, is the user's own, and is what was built."""
    try:
        own = not hasattr(os, "getuid") or entry.stat().st_uid == os.getuid()
        return own and _digest_file(entry).read_text(encoding="ascii") == _digest(entry)
    except (OSError, ValueError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest_file(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.sha256")


# -- BLAS ------------------------------------------------------------------------------------------


@cache
def _gemm(dtype: str) -> int:
    """The address of SciPy's dgemm or sgemm."""
    from scipy.linalg import cython_blas

    return pointer(cython_blas, "dgemm" if dtype == "float64" else "sgemm")


def pointer(module: Any, name: str) -> int:
    """The address of a function that a Cython module offers to other compiled code."""
    import ctypes

    capsule = module.__pyx_capi__[name]
    named = ctypes.pythonapi.PyCapsule_GetName
    named.restype, named.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(address(capsule, named(capsule)))
