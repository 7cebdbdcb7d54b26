"""How arrays, arguments and results are laid out as Python names and tuples."""

from __future__ import annotations

import textwrap

from lagrangenet.routines.ir import Argument, Routine
from lagrangenet.symbolic import tensor as t

#: Python names of arrays whose mathematical name is none.
NAMES = {
    "lambda": "lam",
    "r_lambda": "r_lam",
    "t_lambda": "t_lam",
    "lambda_dot": "lamdot",
    **{f"{name}_dot": f"{name}dot" for name in ("X", "Z", "S", "W", "b", "mu")},
}
#: The longest line of generated code.
WIDTH = 99


def python_name(array: t.Ref) -> str:
    """The variable that holds an array: W2, lam1, X for the inputs x^0."""
    stem = NAMES.get(array.name, array.name)
    if array.layer is None or (array.name == "X" and array.layer == 0):
        return stem
    return f"{stem}{array.layer}"


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _per_layer(names: tuple[str, ...], layers: int, used: set[str] | None) -> list[str]:
    rows = []
    for k in range(1, layers + 1):
        row = [f"{NAMES.get(name, name)}{k}" for name in names]
        rows.append(_tuple([n if used is None or n in used else "_" for n in row]))
    return rows


def _wrapped(rows: list[str], before: str, after: str) -> str:
    """``before (W1, b1), (W2, b2) after``, over several lines if it is long."""
    if len(rows) == 1:
        return f"{before}({rows[0]},){after}"
    flat = ", ".join(rows)
    if len(before + flat + after) <= WIDTH - 4:
        return f"{before}{flat}{after}"
    unbroken = ", ".join(row.replace(" ", "\0") for row in rows) + ","
    inside = textwrap.fill(unbroken, WIDTH - 8, break_long_words=False).replace("\0", " ")
    return f"{before}(\n{textwrap.indent(inside, '    ')}\n){after}"


def unpacking(argument: Argument, layers: int, used: set[str]) -> list[str]:
    """``(W1, b1), (W2, _) = theta``: a name for what is used, nothing if nothing is."""
    rows = _per_layer(argument.per_layer, layers, used)
    if all(set(row) <= set("(_, )") for row in rows):
        return []
    return [_wrapped(rows, "", f" = {argument.name}")]


def returning(routine: Routine, layers: int) -> list[str]:
    """The return statement: one array, a tuple per layer, or both."""
    value = "" if routine.value is None else python_name(routine.value)
    if not routine.returns:
        return [f"return {value}"]
    rows = _per_layer(routine.returns, layers, None)
    if not value:
        return [_wrapped(rows, "return ", "")]
    return [_wrapped(rows, "gradient = ", ""), f"return {value}, gradient"]


def names_read(routine: Routine) -> set[str]:
    """Names that the body reads before it assigns them."""
    assigned: set[str] = set()
    read: set[str] = set()
    for line in routine.body:
        read |= {python_name(n) for n in line.value.walk() if isinstance(n, t.Ref)} - assigned
        assigned.add(python_name(line.target))
    return read
