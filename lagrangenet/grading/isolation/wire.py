"""A message on a pipe, as both sides write it: two lengths, a JSON header, raw bytes.

The child's side; the grader reads with bounds of its own (:mod:`lagrangenet.grading.protocol`).
The functions it needs are bound here, before a submission can replace them.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_read, _write, _loads, _dumps = os.read, os.write, json.loads, json.dumps
_unpack, _pack = struct.Struct("<II").unpack, struct.Struct("<II").pack


def receive(pipe: int) -> tuple[dict[str, Any], bytes]:
    """The next message: header and payload; EOFError when the other side has closed."""
    header, payload = _unpack(_exactly(pipe, 8))
    return _loads(_exactly(pipe, header)), _exactly(pipe, payload)


def send(pipe: int, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message."""
    text = _dumps(header).encode()
    left = memoryview(_pack(len(text), len(payload)) + text + payload)
    while left:
        left = left[_write(pipe, left) :]


def _exactly(pipe: int, size: int) -> bytes:
    parts = []
    while size:
        part = _read(pipe, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
