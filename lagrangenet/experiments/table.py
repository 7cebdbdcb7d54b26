"""CSV files as data sets.

It refuses to guess: a missing value is not filled, text in a feature is not encoded, a file
without a header is not read. The message names the line and the column, and says what to do.
Nothing in a file is evaluated, and sizes are checked before contents are read.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np

from lagrangenet.errors import DataError
from lagrangenet.experiments.data import Codes, Dataset, Floats

#: What a CSV file may hold at most: bytes, columns, and characters of one line.
MAX_BYTES = 512 * 2**20
MAX_COLUMNS = 100_000
MAX_LINE = 4 * 2**20
#: A target of whole numbers is a class code up to this many distinct values.
MAX_CODES = 20
#: Cells that mean "no value", compared without case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?"})


def read_csv(path: str | PathLike[str], target: str) -> Dataset:
    r"""Read a table with a header row; one column is the target, all others are features.

    The file is UTF-8 (a byte-order mark may be there), its delimiter a comma, a semicolon or a
    tab. Blank lines are skipped, blanks around a cell are dropped. The target is a regression
    target if every value is a number and they are not all whole (up to 2**53), or take more than
    20 values. Otherwise it holds classes: whole numbers in their order, text in alphabetical order.

    Parameters
    ----------
    path : str or path
        A regular file of at most 512 MiB, with at most 100000 columns.
    target : str
        The name of the target column.

    Returns
    -------
    Dataset
        X of shape (M, columns − 1), target of shape (M,).

    Raises
    ------
    DataError
        For a file that cannot be read, is too large or has no header or no rows; for names that
        are absent or double; for rows of different lengths; for a value that is missing, infinite
        or not a number; for a target with one class only, or with numbers and text mixed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "pets.csv")
    ...     _ = file.write_text("weight,kind\n4.5,cat\n20,dog\n")
    ...     pets = read_csv(file, target="kind")
    >>> pets
    <Dataset 'pets': 2 samples, 1 inputs, 2 classes>
    >>> pets.classes, pets.target.tolist()
    (('cat', 'dog'), [0, 1])
    """
    file = Path(path)
    try:
        _check_file(file)
        with file.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = _delimiter(stream)
            stream.seek(0)
            features, X, values, classes = _table(_records(stream, delimiter), target)
    except OSError as error:
        raise DataError(f"CSV file {str(path)!r}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"CSV file {str(path)!r}: not UTF-8 text; save it as UTF-8") from None
    except DataError as error:
        raise DataError(f"CSV file {str(path)!r}: {error}") from None
    return Dataset(file.stem, X, values, features, classes, f"CSV file {file.name}")


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise DataError("not a file" if file.exists() else "there is no such file")
    if (size := file.stat().st_size) > MAX_BYTES:
        raise DataError(f"{size} bytes, at most {MAX_BYTES} are read; keep fewer rows or columns")


def _delimiter(stream: TextIO) -> str:
    """The delimiter under which header and first row agree, else the one with most columns."""
    scores = {}
    for delimiter in (",", ";", "\t"):
        stream.seek(0)
        try:
            counts = [len(row) for _, row in islice(_records(stream, delimiter), 2)] or [0]
        except DataError:  # malformed under this delimiter; if under all, reading says why
            continue
        scores[delimiter] = (counts[0] > 1, counts[0] == counts[-1], counts[0])
    return max(scores, key=scores.__getitem__, default=",")


def _records(stream: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, stripped, each with the number of the line on which it begins."""
    reader = csv.reader(_lines(stream), delimiter=delimiter, skipinitialspace=True, strict=True)
    begin = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {begin}: not well-formed: {error}; check its quotes") from None


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise DataError(f"a line has more than {MAX_LINE} characters; is this a CSV file?")
        yield line


def _table(
    records: Iterator[tuple[int, list[str]]], target: str
) -> tuple[tuple[str, ...], Floats, Floats | Codes, tuple[str, ...] | None]:
    """Feature names, X, the target and its classes."""
    names = _header(next(records, (0, []))[1], target)
    at = names.index(target)
    features = names[:at] + names[at + 1 :]
    numbers, cells, lines = array("d"), [], []
    for line, row in records:
        if len(row) != len(names):
            raise DataError(
                f"line {line} has {len(row)} cells, the header has {len(names)} columns"
            )
        cell = row.pop(at)
        _value(cell, line, target)
        numbers.extend(map(_feature, row, [line] * len(row), features))
        cells.append(cell)
        lines.append(line)
    if not cells:
        raise DataError("there is a header but no row of data")
    X = np.array(numbers, dtype=np.float64).reshape(len(cells), len(features))
    return tuple(features), X, *_decoded(cells, lines, target)


def _header(names: list[str], target: str) -> list[str]:
    if not names:
        raise DataError("the file is empty; expected a header row and rows of data")
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{len(names)} columns, at most {MAX_COLUMNS} are read")
    numeric = [name for name in names if _number(name) is not None]
    if len(numeric) == len(names):
        raise DataError(
            "the first row is all numbers; a header row is needed, because the target is chosen "
            "by column name: add one"
        )
    if target not in names:
        hint = "; does the file lack its header row?" if numeric else ""
        raise DataError(f"no column {_shown(target)}; columns: {_listed(names)}{hint}")
    if "" in names:
        raise DataError(
            f"column {names.index('') + 1} has no name; name it, or remove it if it numbers the "
            "rows or follows a trailing delimiter"
        )
    double, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"the column name {_shown(double)} occurs {count} times; rename")
    if len(names) == 1:
        raise DataError(f"{_shown(target)} is the only column; at least one feature is needed")
    return names


# -- cells ---------------------------------------------------------------------------------------


def _number(text: str) -> float | None:
    """The number a cell holds, NaN and infinity included; None for anything else."""
    if "_" in text or not text.isascii():  # float() takes "1_000" and digits of every script
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _value(text: str, line: int, column: str) -> float | None:
    """The number a cell holds, or None for text; refuses a missing or infinite value."""
    number = _number(text)
    if text.casefold() in MISSING or (number is not None and math.isnan(number)):
        raise DataError(
            f"line {line}, column {_shown(column)}: missing value {_shown(text)}; "
            "fill it or remove the row"
        )
    if number is not None and math.isinf(number):
        raise DataError(
            f"line {line}, column {_shown(column)}: {_shown(text)} is infinite in float64; "
            "correct it or remove the row"
        )
    return number


def _feature(text: str, line: int, column: str) -> float:
    number = _value(text, line, column)
    if number is None:
        raise DataError(
            f"line {line}, column {_shown(column)}: {_shown(text)} is not a number; encode the "
            "column as numbers (with a decimal point, not a comma) or remove it"
        )
    return number


def _decoded(
    cells: Sequence[str], lines: Sequence[int], column: str
) -> tuple[Floats | Codes, tuple[str, ...] | None]:
    """Values and None, or class codes and class names."""
    parsed = [_number(cell) for cell in cells]
    numbers = [number for number in parsed if number is not None]
    if not _are_codes(numbers):
        if None in parsed:
            at = parsed.index(None)
            raise DataError(
                f"line {lines[at]}, column {_shown(column)}: {_shown(cells[at])} is not a number, "
                "but other values of the target are measurements; correct it or remove the row"
            )
        return np.array(numbers, dtype=np.float64), None
    if None not in parsed:
        cells = [str(int(number)) for number in numbers]
    classes = sorted(set(cells), key=int if None not in parsed else None)
    if len(classes) < 2:
        raise DataError(
            f"column {_shown(column)}: one class only, {_shown(classes[0])}; there is nothing to "
            "tell apart, add rows of another class"
        )
    codes = {name: code for code, name in enumerate(classes)}
    return np.array([codes[cell] for cell in cells], dtype=np.int64), tuple(classes)


def _are_codes(numbers: Iterable[float]) -> bool:
    distinct = set(numbers)
    whole = all(number.is_integer() and abs(number) <= 2**53 for number in distinct)
    return whole and len(distinct) <= MAX_CODES


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(map(_shown, names[:20])) + more
