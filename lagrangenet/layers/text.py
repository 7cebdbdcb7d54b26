"""Layers in problem files: ``[[layers]]`` with the equations as text."""

from __future__ import annotations

from typing import Any

from lagrangenet.errors import ProblemError
from lagrangenet.layers.base import Layer
from lagrangenet.toml import only, quoted

_WORDS = ("parameters", "constants", "integers")
_TABLES = ("options", "sizes", "ranges")


def layer_lines(layer: Layer) -> list[str]:
    """The lines of a layer in a problem file."""
    if not isinstance(layer.equations, str):
        raise ProblemError(
            f"layer {layer.name!r}: equations that depend on options have no text; add the layer "
            "to LAYERS instead"
        )
    lines = [f"name = {quoted(layer.name)}", f"shapes = {quoted(layer.shapes)}"]
    equations = "\n".join(line.strip() for line in layer.equations.strip().splitlines())
    lines.append(f'equations = """\n{equations}"""' if "\n" in equations else
                 f"equations = {quoted(equations)}")  # fmt: skip
    lines += [f"{key} = {quoted(' '.join(getattr(layer, key)))}"
              for key in _WORDS if getattr(layer, key)]  # fmt: skip
    for key in _TABLES:
        if table := getattr(layer, key):
            inner = ", ".join(f"{k} = {quoted(v) if isinstance(v, str) else repr(v)}"
                              for k, v in table.items())  # fmt: skip
            lines.append(f"{key} = {{ {inner} }}")
    return lines


def read_layer(table: dict[str, Any]) -> Layer:
    """A layer from its table."""
    only(table, {"name", "equations", "shapes", "summary", *_WORDS, *_TABLES}, "a layer")
    for key in ("name", "equations", "shapes"):
        if not isinstance(table.get(key), str):
            raise ProblemError(f"a layer's {key!r} has to be a text")
    for key in _WORDS:
        if not isinstance(table.get(key, ""), str):
            raise ProblemError(
                f"layer {table['name']!r}: {key!r} has to be names with blanks between"
            )
    for key in _TABLES:
        if not isinstance(table.get(key, {}), dict):
            raise ProblemError(f"layer {table['name']!r}: {key!r} has to be a table")
    return Layer(**table)
