"""Helper functions of a generated module, printed from the stable forms of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lagrangenet.emit.expressions import ATOM, UNIT, Printer
from lagrangenet.emit.lines import definition
from lagrangenet.functions import ACTIVATIONS
from lagrangenet.routines.passes.expand import SPECIAL, at_state
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.contraction import contract
from lagrangenet.symbolic.stable import evaluable, stably
from lagrangenet.symbolic.tensor import Node


def helper_functions(printer: Printer, besides: frozenset[str] = frozenset()) -> list[str]:
    """What the printed source calls, and what that needs in turn; without those that are ``besides``."""
    written: dict[str, str] = {}
    while missing := printer.helpers - written.keys() - besides:
        written |= {name: _helper(name, printer) for name in sorted(missing)}
    return [written[name] for name in sorted(written)]


def _helper(name: str, beside: Printer) -> str:
    if name == "positive":
        return _defined(beside, name, "x", SPECIAL[name][1], [f"return {beside.smallest}"])
    axes: t.Axes = (l.i,)
    if name in SPECIAL:
        expr, summary = SPECIAL[name]
        axes = (l.i,) if name == "logsumexp" else (l.i, l.p)
        parameters = "z"
    else:
        entry = ACTIVATIONS[name]
        expr = evaluable(stably(entry.expr)) if entry.stable is None else entry.stable
        summary = entry.summary
        parameters = ", ".join(["z", *sorted(entry.parameters)])
        axes = (l.i, l.p)
    node = contract(at_state(expr), axes)
    if name == "logsumexp":  # what has no component axis is a column
        node = node.map(lambda one: replace(one, axes=(l.i, UNIT)) if one.axes == (l.i,) else one)
    printer = beside.beside()
    printer.override = {"Z": "z"}
    code = printer.code(node)
    statements, code = shared(printer, node, code)
    body = [*statements, f"return {code}"]
    return _defined(printer, printer.title(name), parameters, summary, body)


def _defined(
    printer: Printer, name: str, parameters: str, summary: str, body: Iterable[str]
) -> str:
    return "\n".join(
        [*printer.helper_decorators, definition(name, parameters, f"{summary}.", body)]
    )


def shared(printer: Printer, node: Node, code: str) -> tuple[list[str], str]:
    """Statements that compute what occurs twice in ``code``, and what is left of it."""
    nodes = list(node.walk())
    written = (printer.write(n) for n in nodes if isinstance(n, t.Call | t.Reduced))
    parts = {part for part, level in written if level == ATOM}
    columns = (n for n in nodes if isinstance(n, t.Reduced) and n.axes == (l.i,))
    parts |= {printer.column(n, printer.code(n), ATOM) for n in columns}
    taken: set[str] = set()
    statements = []
    for part in sorted(parts, key=lambda part: (-len(part), part)):
        if code.count(part) > 1:
            letter = "e" if "exp" in part else "m"
            name = letter if letter not in taken else f"{letter}{len(taken) + 1}"
            taken.add(name)
            code = code.replace(part, name)
            statements.append(f"{name} = {part}")
    return statements, code
