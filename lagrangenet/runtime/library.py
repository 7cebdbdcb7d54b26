"""C files of this package as shared libraries, in the cache of compiled code."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache

from lagrangenet.runtime import compiled
from lagrangenet.runtime.compiled import FLAGS, NotCompiled, cache_folder, find_compiler


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
                compiled.build(compiler, source, entry)
            return ctypes.CDLL(str(entry))
    except OSError as error:
        raise NotCompiled(f"a library cannot be kept in {folder}: {error}") from None
