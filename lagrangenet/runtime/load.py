"""Emitted source as functions."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def load(source: str) -> dict[str, Callable[..., Any]]:
    """The names of an emitted module; tracebacks show its lines.

    Equal sources are one module, so that what a target compiles at a first call is compiled once.
    """
    return dict(_executed(source))


@lru_cache(maxsize=64)
def _executed(source: str) -> dict[str, Callable[..., Any]]:
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    filename = f"<lagrangenet {digest}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": f"lagrangenet_generated_{digest}"}
    # The source is emitted by this package, or handed over by the caller as code to run.
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    return namespace
