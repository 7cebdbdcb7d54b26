"""The call lines of a contract as data: an ``ast`` allow-list, never ``eval``.

    calls    →  lines
    line     →  target (, target)* = value   |   value
    target   →  name | value.attribute | value[constant] | (targets)
    value    →  name | constant | value.attribute | value[constant] | value(values, key=value)
                | (values) | [values]

Python's own parser reads the text, and what it found becomes nested lists that the child process
interprets (:mod:`lagrangenet.grading.isolation.runner`). It refuses every other construct, names
that begin with an underscore, and text that is long or deep.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lagrangenet.errors import ProblemError

MAX_TEXT = 4000
MAX_DEPTH = 12
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
Node = list[Any]


@dataclass(frozen=True)
class Step:
    """One line: an optional target and a value, as nested lists.

    Attributes
    ----------
    line : str
        As it was written.
    target : list or None
        What is assigned to.
    value : list
        What is computed.
    """

    line: str
    target: Node | None
    value: Node

    @property
    def reads(self) -> tuple[str, ...]:
        """Names that the line uses."""
        inside = [] if self.target is None or self.target[0] == "name" else [self.target]
        found = [*_names(self.value), *(n for t in inside for n in _bases(t))]
        return tuple(dict.fromkeys(found))

    @property
    def writes(self) -> tuple[str, ...]:
        """Names that the line assigns."""
        return tuple(_assigned(self.target)) if self.target else ()

    def plan(self) -> dict[str, Any]:
        """The line as the child process reads it."""
        names = {"reads": list(self.reads), "writes": list(self.writes)}
        return {"target": self.target, "value": self.value, "line": self.line, **names}


def parse_calls(text: object) -> tuple[Step, ...]:
    """Read the call lines of a contract.

    Examples
    --------
    >>> (step,) = parse_calls("loss, grads = net.loss(X, y, reg=rho)")
    >>> step.writes, step.reads
    (('loss', 'grads'), ('net', 'X', 'y', 'rho'))
    >>> parse_calls("__import__('os')")
    Traceback (most recent call last):
        ...
    lagrangenet.errors.ProblemError: submission.calls, line 1: the name '__import__' ...
    """
    if not isinstance(text, str) or not text.strip():
        raise ProblemError("submission.calls has to be text: one call a line")
    if len(text) > MAX_TEXT:
        raise ProblemError(f"submission.calls has {len(text)} characters; at most {MAX_TEXT}")
    try:
        tree = ast.parse(text.strip() + "\n")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ProblemError(f"submission.calls cannot be read: {error}") from None
    lines = text.strip().splitlines()
    return tuple(_step(statement, lines[statement.lineno - 1].strip()) for statement in tree.body)


def _step(statement: ast.stmt, line: str) -> Step:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return Step(line, _target(statement.targets[0]), _value(statement.value))
    if isinstance(statement, ast.Expr):
        return Step(line, None, _value(statement.value))
    raise _refused(statement, "only calls and assignments can stand there")


def _target(node: ast.expr) -> Node:
    if isinstance(node, ast.Tuple | ast.List):
        return ["tuple", [_target(item) for item in node.elts]]
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        return _value(node)
    raise _refused(node, "only names, attributes and items can be assigned to")


def _value(node: ast.expr, depth: int = 0) -> Node:
    if depth > MAX_DEPTH:
        raise _refused(node, "nested too deeply")
    if isinstance(node, ast.Name):
        return ["name", _checked(node, node.id)]
    if isinstance(node, ast.Attribute):
        return ["attr", _value(node.value, depth + 1), _checked(node, node.attr)]
    if isinstance(node, ast.Subscript):
        return ["item", _value(node.value, depth + 1), _constant(node.slice)]
    if isinstance(node, ast.Tuple | ast.List):
        word = "tuple" if isinstance(node, ast.Tuple) else "list"
        return [word, [_value(item, depth + 1) for item in node.elts]]
    if isinstance(node, ast.Call):
        keys = {_checked(node, word.arg or "**"): word.value for word in node.keywords}
        named = {key: _value(item, depth + 1) for key, item in keys.items()}
        inner = [_value(item, depth + 1) for item in node.args]
        return ["call", _value(node.func, depth + 1), inner, named]
    return ["const", _constant(node)]


def _constant(node: ast.expr) -> Any:
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    if isinstance(inner, ast.Constant) and isinstance(inner.value, str | int | float | bool | None):
        if negative and isinstance(inner.value, int | float):
            return -inner.value
        return inner.value
    raise _refused(node, "only names, constants, attributes, items and calls can stand there")


def _checked(node: ast.expr, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _refused(node, f"the name {name!r} is not allowed")
    return name


def _refused(node: ast.stmt | ast.expr, why: str) -> ProblemError:
    return ProblemError(f"submission.calls, line {node.lineno}: {why}")


def _names(node: Node) -> Iterator[str]:
    word, *rest = node
    if word == "name":
        yield rest[0]
    elif word in {"attr", "item"}:
        yield from _names(rest[0])
    elif word in {"tuple", "list"}:
        for item in rest[0]:
            yield from _names(item)
    elif word == "call":
        yield from _names(rest[0])
        for item in (*rest[1], *rest[2].values()):
            yield from _names(item)


def _assigned(target: Node) -> Iterator[str]:
    if target[0] == "name":
        yield target[1]
    elif target[0] == "tuple":
        for item in target[1]:
            yield from _assigned(item)


def _bases(target: Node) -> Iterator[str]:
    """Names that are read on the left: the object whose attribute is assigned."""
    if target[0] == "tuple":
        for item in target[1]:
            yield from _bases(item)
    elif target[0] != "name":
        yield from _names(target)
