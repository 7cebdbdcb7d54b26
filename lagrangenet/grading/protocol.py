"""Messages between grader and child, from the grader's side: bounded, validated, never unpickled.

A message is two lengths, a JSON header and raw bytes. Lengths are checked before anything is read;
arrays are made from bytes whose dtype is on a list and whose size is the product of the shape. What
does not fit raises :class:`ProtocolError`, whoever wrote it: the child's side of the pipe belongs
to a submission.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_HEADER = 2 * 2**20
MAX_PAYLOAD = 32 * 2**20
MAX_ARRAYS, MAX_AXES, MAX_NESTING = 5000, 4, 12
#: What an answer may be made of: floats, integers, booleans, little-endian.
DTYPES = frozenset(
    ["<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"]
)
_LENGTHS = struct.Struct("<II")
Node = list[Any]
#: An answer: numbers, or lists and dictionaries of them, or what stands there instead.
Value = Any


class ProtocolError(Exception):
    """Bytes that are no message of the protocol."""


@dataclass(frozen=True)
class Bad:
    """A value that is no number; ``what`` it is, in words."""

    what: str


class Packer:
    """Arrays of a request, one after the other, and the nodes that refer to them."""

    def __init__(self) -> None:
        self._described: list[list[Any]] = []
        self._parts: list[bytes] = []
        self._size = 0

    def node(self, value: Any, nested: bool = False) -> Node:
        """A node for a number, an array, a list, a tuple or a dictionary of them."""
        if isinstance(value, dict):
            return ["dict", {key: self.node(item, nested) for key, item in value.items()}]
        if isinstance(value, list | tuple):
            word = "tuple" if isinstance(value, tuple) else "list"
            return [word, [self.node(item, nested) for item in value]]
        if not isinstance(value, np.ndarray):
            return ["number", value]
        raw = np.ascontiguousarray(value).tobytes()
        dtype = value.dtype.newbyteorder("<").str
        self._described.append([dtype, list(value.shape), self._size, len(raw)])
        self._parts.append(raw)
        self._size += len(raw)
        return ["nested" if nested else "array", len(self._described) - 1]

    def message(self, header: dict[str, Any]) -> bytes:
        """The whole message."""
        return message({**header, "arrays": self._described}, b"".join(self._parts))


def message(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Header and payload as bytes."""
    text = json.dumps(header, allow_nan=False).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


def read_message(read: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message; ``read(n)`` gives at most n bytes and none at the end.

    Raises
    ------
    ProtocolError
        If the bytes are too many, too few, or no JSON object.
    EOFError
        At the end, between messages.
    """
    header, payload = _LENGTHS.unpack(_exactly(read, _LENGTHS.size, EOFError))
    if header > MAX_HEADER or payload > MAX_PAYLOAD:
        raise ProtocolError(f"a message of {header} + {payload} bytes is too large")
    text, raw = _exactly(read, header), _exactly(read, payload)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("a header that is no JSON") from None
    if not isinstance(table, dict):
        raise ProtocolError("a header that is no table")
    return table, raw


def _exactly(
    read: Callable[[int], bytes], size: int, ended: type[Exception] = ProtocolError
) -> bytes:
    parts: list[bytes] = []
    while size:
        part = read(min(size, 1 << 16))
        if not part:
            raise (ProtocolError if parts else ended)("the message ends too early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def arrays(described: object, payload: bytes) -> list[NDArray[Any]]:
    """The arrays of a reply.

    Examples
    --------
    >>> arrays([["<f8", [2], 0, 16]], np.array([1.0, 2.0]).tobytes())
    [array([1., 2.])]
    >>> arrays([["|O", [1], 0, 8]], bytes(8))
    Traceback (most recent call last):
        ...
    lagrangenet.grading.protocol.ProtocolError: an array of dtype '|O'
    """
    if not isinstance(described, list) or len(described) > MAX_ARRAYS:
        raise ProtocolError("too many arrays")
    return [_array(item, payload) for item in described]


def _array(item: object, payload: bytes) -> NDArray[Any]:
    if not isinstance(item, list) or len(item) != 4:
        raise ProtocolError("an array without its description")
    dtype, shape, start, size = item
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ProtocolError(f"an array of dtype {str(dtype)[:20]!r}")
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not all(map(_length, shape)):
        raise ProtocolError("an array of an impossible shape")
    if not (_length(start) and _length(size) and start + size <= len(payload)):
        raise ProtocolError("an array beyond the bytes that came")
    if math.prod(shape) * np.dtype(dtype).itemsize != size:
        raise ProtocolError("an array whose shape is not that of its bytes")
    return np.frombuffer(payload[start : start + size], dtype=dtype).reshape(shape).copy()


def _length(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_PAYLOAD


def value(node: object, held: list[NDArray[Any]], depth: int = 0) -> Value:
    """The value of a node of a reply: arrays, lists, dictionaries, None or :class:`Bad`."""
    if not isinstance(node, list) or len(node) != 2 or depth > MAX_NESTING:
        raise ProtocolError("a value without its description")
    word, rest = node
    if word == "array" and type(rest) is int and 0 <= rest < len(held):
        return held[rest]
    if word == "none":
        return None
    if word == "list" and isinstance(rest, list):
        return [value(item, held, depth + 1) for item in rest]
    if word == "dict" and isinstance(rest, dict):
        return {key: value(item, held, depth + 1) for key, item in rest.items()}
    if word == "bad" and isinstance(rest, str):
        return Bad(printable(rest, 100))
    raise ProtocolError("a value of an unknown kind")


def printable(text: object, most: int) -> str:
    """Words from a submission, for people: bounded, without control characters."""
    if not isinstance(text, str):
        return ""
    kept = "".join(c if c.isprintable() else " " for c in text[:most])
    return kept if len(text) <= most else kept[: most - 3] + "..."
