"""C files of this package as shared libraries, in the cache of compiled code."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from lagrangenet.runtime import compiled
from lagrangenet.runtime.compiled import FLAGS, PATIENCE, NotCompiled, cache_folder, find_compiler


@cache
def library(source: str) -> ctypes.CDLL:
    """A C source text as a loaded library; compiled at the first call on a machine.

    Raises
    ------
    NotCompiled
        If there is no compiler, it fails, or there is no place to keep the result.
    """
    compiler = find_compiler()
    told = compiled._machine(compiler)
    key = hashlib.sha256("\0".join([source, *FLAGS, *told]).encode()).hexdigest()[:32]
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry = folder / f"{key}.so"
        with compiled._locked(entry.with_suffix(".lock")):
            if not compiled._sound(entry):
                _build(compiler, source, entry)
            return ctypes.CDLL(str(entry))
    except OSError as error:
        raise NotCompiled(f"a library cannot be kept in {folder}: {error}") from None


def _build(compiler: str, source: str, entry: Path) -> None:
    """Compile into a new file, which takes its place in the cache in one step."""
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix="build-") as name:
        text, made = Path(name) / "library.c", Path(name) / "library.so"
        text.write_text(source, encoding="utf-8")
        command = [compiler, *FLAGS, str(text), "-o", str(made), "-lm"]
        try:
            subprocess.run(  # noqa: S603 - a path that was looked up, arguments of our making
                command, capture_output=True, text=True, timeout=PATIENCE, check=True
            )
        except subprocess.CalledProcessError as error:
            first = next((x for x in error.stderr.splitlines() if "error" in x), "no message")
            raise NotCompiled(f"{compiler} failed: {first.replace(f'{name}/', '')}") from None
        except subprocess.TimeoutExpired:
            raise NotCompiled(f"{compiler} took more than {PATIENCE} seconds") from None
        compiled._digest_file(entry).write_text(compiled._digest(made), encoding="ascii")
        made.replace(entry)


def pointer(module: Any, name: str) -> int:
    """The address of a function that a Cython module offers to other compiled code."""
    capsule = module.__pyx_capi__[name]
    named = ctypes.pythonapi.PyCapsule_GetName
    named.restype, named.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(address(capsule, named(capsule)))
