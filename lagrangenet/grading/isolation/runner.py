"""What the child does: load the submission, make the declared calls, send raw arrays back.

This file runs beside the submission, in one interpreter, so nothing here is a secret or a verdict:
it knows the question and never the answer. It refuses to send anything but numbers: arrays of
floats, integers and booleans in lists and dictionaries; whatever else comes is named, not sent.
"""

from __future__ import annotations

import sys
import time
import types
from typing import Any

from .imports import TEXTS, Finder, run
from .wire import receive, send

MAX_NODES, MAX_DEPTH, MAX_TEXT = 20_000, 8, 600
_KINDS = "fiub"
_np: Any = None
_clock = time.perf_counter


class Missing(Exception):
    """A name that the contract calls and the submission does not have."""


def prepare(config: dict[str, Any]) -> None:
    """Import NumPy while everything can still be read."""
    global _np  # noqa: PLW0603  # the child has one NumPy, and the submission may not choose it
    sys.meta_path.append(Finder(config))
    import numpy as np

    _np = np


def serve(requests: int, results: int, config: dict[str, Any]) -> None:
    """Load the submission, then answer requests until they end."""
    module, broken = load(config["blocks"])
    send(results, {"status": "loaded", "broken": broken})
    while True:
        try:
            header, payload = receive(requests)
        except EOFError:
            return
        nonce = header["nonce"]
        reply, arrays = answer(header, payload, module, broken)
        send(results, {"nonce": nonce, **reply}, arrays)


def load(blocks: list[list[str]]) -> tuple[types.ModuleType, list[str]]:
    """Run the blocks in order; the module they made, and what failed, in words."""
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    broken = []
    for title, text in blocks:
        try:
            run(title, text, module)
        except BaseException as error:  # noqa: BLE001  # exit() and KeyboardInterrupt are answers too
            broken.append(_described(error, title))
            if len(broken) >= 20:
                break
    return module, broken


def answer(
    header: dict[str, Any], payload: bytes, module: types.ModuleType, broken: list[str]
) -> tuple[dict[str, Any], bytes]:
    """Make the calls for each set of inputs; a reply and the bytes of its arrays."""
    asked = Asked(header, payload, module, f"; loading it failed: {broken[0]}" if broken else "")
    for inputs in header["each"]:
        asked.once({**header["inputs"], **inputs})
    described, raw = asked.arrays.described()
    reply = {"answers": asked.answers, "changed": sorted(asked.changed), "failures": asked.failures}
    reply |= {"seconds": asked.seconds, "calls": asked.counts, "arrays": described}
    return {"status": "ok", **reply}, raw


class Asked:
    """One request while it is worked on."""

    def __init__(
        self, header: dict[str, Any], payload: bytes, module: types.ModuleType, hint: str
    ) -> None:
        self.header, self.payload, self.module, self.hint = header, payload, module, hint
        self.answers: list[dict[str, Any]] = []
        self.changed: set[str] = set()
        self.counts: dict[str, int] = {}
        self.failures: dict[str, list[str]] = {}
        self.arrays, self.seconds = Arrays(), 0.0

    def once(self, given: dict[str, Any]) -> None:
        """Make the calls with one set of inputs; what a failed call should give is left out."""
        before = {name: self.new(node) for name, node in given.items()}
        names = dict(before)
        start = _clock()
        for step in self.header["plan"]:
            lost = [name for name in step["reads"] if name in self.failures]
            why = self.failures[lost[0]] if lost else self.step(step, names)
            if why:
                # without a target, what the object holds afterwards is in doubt
                self.failures |= dict.fromkeys(step["writes"] or step["reads"], why)
        self.seconds += _clock() - start
        changed = (name for name, node in given.items() if not _same(before[name], self.new(node)))
        self.changed.update(changed)
        self.answers.append({})
        for name in self.header["outputs"]:
            if name in names and name not in self.failures:
                self.keep(name, names[name])

    def step(self, step: dict[str, Any], names: dict[str, Any]) -> list[str]:
        """Make one call; why it failed, or nothing."""
        try:
            if self.header["count"]:
                sys.setprofile(_counter(self.counts))
            found = _value(step["value"], names, self.module)
            if step["target"] is not None:
                _assign(step["target"], found, names, self.module)
        except Missing as error:
            return ["missing", f"{error}{self.hint}"[: 2 * MAX_TEXT]]
        except BaseException as error:  # noqa: BLE001  # also exit() and KeyboardInterrupt
            return ["crash", _described(error, step["line"])]
        finally:
            sys.setprofile(None)
        return []

    def keep(self, name: str, value: Any) -> None:
        """Keep an answer; its conversion to arrays runs code of the submission's objects."""
        try:
            self.answers[-1][name] = self.arrays.node(value)
        except BaseException as error:  # noqa: BLE001  # the same
            self.failures[name] = ["crash", _described(error, name)]

    def new(self, node: list[Any]) -> Any:
        """A new value for a node of the request."""
        return _given(node, self.header["arrays"], self.payload)


def _counter(counts: dict[str, int]) -> Any:
    """A profile function that counts calls of functions that the submission defines."""

    def count(frame: Any, event: str, argument: Any) -> None:
        del argument
        code = frame.f_code
        if event == "call" and code.co_filename in TEXTS:
            counts[code.co_qualname] = counts.get(code.co_qualname, 0) + 1

    return count


# -- the calls ------------------------------------------------------------------------------------


def _value(node: list[Any], names: dict[str, Any], module: types.ModuleType) -> Any:
    word, *rest = node
    if word == "name":
        if rest[0] in names:
            return names[rest[0]]
        if rest[0] not in module.__dict__:
            raise Missing(f"the submission has no {rest[0]!r}")
        return module.__dict__[rest[0]]
    if word == "const":
        return rest[0]
    if word == "tuple":
        return tuple(_value(item, names, module) for item in rest[0])
    if word == "list":
        return [_value(item, names, module) for item in rest[0]]
    base = _value(rest[0], names, module)
    if word == "item":
        return base[rest[1]]
    if word == "attr":
        if not hasattr(base, rest[1]):
            raise Missing(f"{type(base).__name__[:40]!r} object has no {rest[1]!r}")
        return getattr(base, rest[1])
    named = {key: _value(item, names, module) for key, item in rest[2].items()}
    return base(*[_value(item, names, module) for item in rest[1]], **named)


def _assign(target: list[Any], value: Any, names: dict[str, Any], module: types.ModuleType) -> None:
    word, *rest = target
    if word == "name":
        names[rest[0]] = value
    elif word == "attr":
        setattr(_value(rest[0], names, module), rest[1], value)
    elif word == "item":
        _value(rest[0], names, module)[rest[1]] = value
    else:
        values = list(value)
        if len(values) != len(rest[0]):
            raise ValueError(f"{len(values)} values came back, {len(rest[0])} are declared")
        for inner, item in zip(rest[0], values, strict=True):
            _assign(inner, item, names, module)


# -- arrays in, arrays out ------------------------------------------------------------------------


def _given(node: list[Any], described: list[Any], payload: bytes) -> Any:
    """A new value for a node of the request."""
    word, rest = node
    if word == "number":
        return rest
    if word in {"array", "nested"}:
        dtype, shape, start, size = described[rest]
        flat = _np.frombuffer(payload[start : start + size], dtype=dtype)
        array = flat.reshape(shape).copy()
        return array if word == "array" else array.tolist()
    if word == "dict":
        return {key: _given(item, described, payload) for key, item in rest.items()}
    items = [_given(item, described, payload) for item in rest]
    return tuple(items) if word == "tuple" else items


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, dict):
        return isinstance(one, dict) and list(one) == list(other) and all(
            _same(one[key], other[key]) for key in other
        )  # fmt: skip
    if isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(other, _np.ndarray):
        return bool(one.shape == other.shape and one.tobytes() == other.tobytes())
    return bool(one == other)


class Arrays:
    """The arrays of an answer, numbered, and the nodes that refer to them."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.nodes = 0

    def node(self, value: Any, depth: int = 0) -> list[Any]:
        """A node for a value: a number, an array, a list, a dictionary, or what it is instead."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            return ["bad", "a value that is nested too deeply, or has too many parts"]
        if value is None:
            return ["none", None]
        if isinstance(value, dict):
            items = list(value.items())[:MAX_NODES]
            return ["dict", {str(key)[:60]: self.node(item, depth + 1) for key, item in items}]
        if isinstance(value, list | tuple) and _shape(value) is None:
            return ["list", [self.node(item, depth + 1) for item in value[:MAX_NODES]]]
        if isinstance(value, list | tuple | bool | int | float | _np.ndarray | _np.generic):
            return self.array(value)
        return ["bad", f"a value of type {type(value).__name__[:60]}"]

    def array(self, value: Any) -> list[Any]:
        """Number an array of an allowed dtype, as a plain ndarray."""
        array = _np.array(value, subok=False)
        if array.dtype.kind not in _KINDS:
            return ["bad", f"an array of dtype {str(array.dtype)[:60]}"]
        if array.dtype.itemsize > 8:
            array = array.astype("f8")
        self.held.append(
            _np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).reshape(array.shape)
        )
        return ["array", len(self.held) - 1]

    def described(self) -> tuple[list[list[Any]], bytes]:
        """Dtypes, shapes, places; and the bytes."""
        described, start = [], 0
        for array in self.held:
            described.append([array.dtype.str, list(array.shape), start, array.nbytes])
            start += array.nbytes
        return described, b"".join(array.tobytes() for array in self.held)


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of nested lists of numbers, where they make a rectangle of any dimension."""
    if isinstance(value, bool | int | float | _np.generic):
        return ()
    if not isinstance(value, list | tuple) or not value:
        return None
    inner = {_shape(item) for item in value}
    first = inner.pop()
    return None if inner or first is None else (len(value), *first)


# -- words ----------------------------------------------------------------------------------------


def _described(error: BaseException, where: str) -> str:
    """An exception in one bounded line, with the last line of the submission that it passed."""
    try:
        words = str(error)[:MAX_TEXT]
    except BaseException:  # noqa: BLE001  # its own __str__ may fail as it likes
        words = "(its message cannot be printed)"
    place, step = "", error.__traceback__
    for _ in range(1000):
        if step is None:
            break
        name = step.tb_frame.f_code.co_filename
        if name in TEXTS:
            place = f" ({name[1:-1]}, line {step.tb_lineno}, in {step.tb_frame.f_code.co_name})"
        step = step.tb_next
    if not place and not isinstance(error, SyntaxError):
        place = f" (in: {where})"
    return f"{type(error).__name__}: {words}{place}"[: 2 * MAX_TEXT]
