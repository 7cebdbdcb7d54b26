"""Results in files: npz without pickles, written whole or not at all, sizes checked before reading.

A file holds ``x``, states and multipliers as arrays, and everything else that is no array as JSON,
the history included. It holds no code and no declaration: a run is resumed with the problem and the
data that it was begun with, and refused if the shapes are not theirs.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.runtime import Array

SCHEMA = "lagrangenet.result/1"
#: What a file may hold at most when it is unpacked.
MOST_BYTES = 2**31
_META = "meta"
_SHAPED = ("states", "multipliers")
_TYPES = {"<f8", "<f4", "|u1"}


def save(result: Any, path: str | PathLike[str]) -> None:
    """Write a result of :func:`lagrangenet.minimize`, replacing the file at once.

    Parameters
    ----------
    result : scipy.optimize.OptimizeResult
    path : path
        Of the file, as it is; no ending is added.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    arrays = {"x": np.asarray(result.x)}
    layout = {name: _named(result[name]) for name in _SHAPED}
    for name, named in layout.items():
        arrays |= {f"{name}_{key}": array for key, array in named.items()}
    entries = {k: v.to_dict() if hasattr(v, "to_dict") else v
               for k, v in result.items() if k not in {"x", "theta", *_SHAPED}}  # fmt: skip
    extra = [k for k, v in entries.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    arrays |= {f"extra_{k}": entries.pop(k) for k in extra}
    meta = {
        "schema": SCHEMA,
        "chain": not isinstance(result.states, Mapping),
        "theta": _shapes(result.theta),
        **{name: list(named) for name, named in layout.items()},
        "entries": entries,
    }
    text = json.dumps(_plain(meta), ensure_ascii=False)
    arrays[_META] = np.frombuffer(text.encode(), np.uint8)
    _write(Path(path), arrays)


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """Write a new file beside the old one and put it in its place."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def load(path: str | PathLike[str]) -> Any:
    """Read a result that :func:`save` wrote, to look at or to start from.

    Parameters
    ----------
    path : path

    Returns
    -------
    scipy.optimize.OptimizeResult
        With the arrays and entries of the saved one.

    Raises
    ------
    DataError
        If there is no such file, or it is no result: the reason is given. Nothing in it is executed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lagrangenet as ln
    >>> result = ln.minimize(ln.chain([1, 1]), [[0.0], [1.0]], [[0.0], [1.0]], method="bfgs")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(result, pathlib.Path(folder, "line.npz"))
    ...     again = load(pathlib.Path(folder, "line.npz"))
    >>> again.method, bool((again.x == result.x).all()), again.history == result.history
    ('bfgs', True, True)
    """
    from scipy.optimize import OptimizeResult

    file = Path(path)
    try:
        _check(file)
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return OptimizeResult(_restored(arrays))
    except OSError as error:
        raise DataError(f"result file {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"result file {str(path)!r} is damaged or was not written by save: {reason}"
        ) from None


def _check(file: Path) -> None:
    """Refuse, before memory is taken, what does not say how large it is."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(m.file_size for m in members) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        for member in members:
            with archive.open(member) as stream:
                shape, dtype = _header(stream)
                taken = math.prod(shape) * dtype.itemsize + stream.tell()
            if dtype.str not in _TYPES or taken != member.file_size:
                raise ValueError(f"{member.filename} is no array of its size")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"arrays in format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype


def _restored(arrays: dict[str, Array]) -> dict[str, Any]:
    meta = json.loads(arrays[_META].tobytes().decode())
    if meta["schema"] != SCHEMA:
        raise ValueError(f"schema {meta['schema']!r}, expected {SCHEMA!r}")
    x, chain = arrays["x"], bool(meta["chain"])
    found: dict[str, Any] = dict(meta["entries"])
    found |= {name.removeprefix("extra_"): a for name, a in arrays.items()
              if name.startswith("extra_")}  # fmt: skip
    for name in _SHAPED:
        named = {key: arrays[f"{name}_{key}"] for key in meta[name]}
        found[name] = tuple(named.values()) if chain else named
    found |= {"x": x, "theta": _theta(x, meta["theta"], chain)}
    return found


def _theta(x: Array, shapes: list[tuple[str, list[int]]], chain: bool) -> Any:
    ends = np.cumsum([math.prod(shape) for _, shape in shapes])
    if x.shape != (int(ends[-1]),):
        raise ValueError(f"x has shape {x.shape}, its layout {int(ends[-1])} numbers")
    parts = [p.reshape(s) for p, (_, s) in zip(np.split(x, ends[:-1]), shapes, strict=True)]
    if not chain:
        return {name: part for (name, _), part in zip(shapes, parts, strict=True)}
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def _named(arrays: Any) -> dict[str, Array]:
    """Arrays by layer or by state, as by name."""
    if isinstance(arrays, Mapping):
        return dict(arrays)
    return {str(k): array for k, array in enumerate(arrays, 1)}


def _shapes(theta: Any) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(theta, Mapping):
        return [(name, array.shape) for name, array in theta.items()]
    return [(name, array.shape) for pair in theta for name, array in zip("Wb", pair, strict=True)]


def _plain(value: Any) -> Any:
    """What JSON can hold of a value; what it cannot is left out."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if _storable(v)}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value if _storable(v)]
    return value.item() if isinstance(value, np.generic) else value


def _storable(value: Any) -> bool:
    plain = (str, bool, int, float, np.generic, Mapping, list, tuple)
    return value is None or isinstance(value, plain)
