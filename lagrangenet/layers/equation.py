"""Forward equations: what they consist of, and how they are read from text.

Nothing is ever executed: the text goes through :mod:`lagrangenet.functions.parser`. Reductions get
their ranges from the arrays that their indices subscript.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sympy as sp

from lagrangenet.errors import DerivationError, ProblemError
from lagrangenet.functions.parser import FUNCTIONS, parse

if TYPE_CHECKING:
    from lagrangenet.layers.base import Layer

#: Samples; the size of the first axis of every state.
M = sp.Symbol("M", integer=True, positive=True)
#: One axis of an array: the first and the last value of its subscript.
Range = tuple[sp.Expr, sp.Expr]
Shape = tuple[Range, ...]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_EQUATION = re.compile(r"\s*(\w+)\s*\[([\w\s,]+)\]\s*=(?!=)(.*)", re.DOTALL)
_ARRAY = re.compile(r"(\w+)\s*\[([^\]]*)\]")
#: How many equations and arrays a layer may have.
_MOST = 200


class Sigma(sp.Function):
    """The activation of a constraint at a preactivation: ``sigma(z[i,p])``."""

    nargs = (1,)
    is_real = True


class Over(sp.Function):
    """A reduction as it is written, ``Over(kind, expr, index, ...)``; its ranges are found later."""

    is_real = True


class _OverIndex(sp.Function):
    """A function of (x_r, r, size) in which r is bound."""

    nargs = (3,)

    @property
    def free_symbols(self) -> set[sp.Basic]:
        """Those of x_r and of the size, without r."""
        expr, v, size = self.args
        return (expr.free_symbols - {v}) | size.free_symbols  # type: ignore[no-any-return]


class Largest(_OverIndex):
    """max_r x_r: arguments ``(x_r, r, size)``. Only ever a constant of the derivation."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Refuse: which entry is the largest changes where two are equal."""
        raise DerivationError(
            f"max has no derivative by argument {argindex}: name the state that it determines in "
            "'constants', or select with argmax and delta"
        )


class ArgLargest(_OverIndex):
    """The first r at which x_r is largest: arguments ``(x_r, r, size)``; constant almost everywhere."""

    is_integer = True
    is_positive = True


def _over(kind: str) -> Callable[..., sp.Expr]:
    return lambda expr, *indices: Over(sp.Symbol(kind), expr, *indices)


def _delta(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    return sp.KroneckerDelta(a, b)


def _sigma(z: sp.Expr) -> sp.Expr:
    return Sigma(z)


def _sigmoid(z: sp.Expr) -> sp.Expr:
    """1/(1 + exp(-z)) in a form that neither overflows nor has a derivative that does."""
    return (1 + sp.tanh(z / 2)) / 2


def _floor(size: sp.Expr) -> sp.Expr:
    return sp.floor(size)


_FUNCTIONS: Mapping[str, Callable[..., sp.Expr]] = {
    **{k: v for k, v in FUNCTIONS.items() if k not in ("max", "min", "where")},
    "sum": _over("sum"),
    "max": _over("max"),
    "argmax": _over("argmax"),
    "delta": _delta,
    "sigma": _sigma,
    "sigmoid": _sigmoid,
}


@dataclass(frozen=True)
class Equation:
    """state = forward, for every value of the state's indices.

    Attributes
    ----------
    state : sympy.Indexed
        What the equation determines, ``y[i, p]``.
    forward : sympy.Expr
        Sums carry their ranges; arrays are SymPy ``Indexed`` of their local names.
    ranges : tuple of (sympy.Symbol, lower, upper)
        Of the indices of ``state``.
    """

    state: sp.Indexed
    forward: sp.Expr
    ranges: tuple[tuple[sp.Symbol, sp.Expr, sp.Expr], ...]

    @property
    def name(self) -> str:
        """The local name of the state."""
        return str(self.state.base.label)


def index(name: str) -> sp.Symbol:
    """The symbol of an index."""
    return sp.Symbol(name, integer=True, positive=True)


def check_name(name: Any, what: str) -> str:
    """The name, if it can be one in equations, files and code."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ProblemError(
            f"{what} {name!r}: a name is a letter, then at most 30 letters, digits and "
            "underscores, and no keyword"
        )
    return name


def without_dots(text: str, axes: str = "") -> str:
    """``[i,...,p]`` with other subscripts in place of the dots, or with none.

    >>> without_dots("y[i,...,p] = x[i,...]", "t,u")
    'y[i,t,u,p] = x[i,t,u]'
    """
    return text.replace(",...", f",{axes}" if axes else "")


def words_of(text: str) -> set[str]:
    """All names in a text."""
    return set(re.findall(r"[A-Za-z]\w*", text))


def symbols_of(expr: sp.Expr) -> list[sp.Symbol]:
    """The free symbols in a fixed order."""
    return sorted(expr.free_symbols, key=str)


@cache
def read_arrays(layer: str, shapes: str) -> Mapping[str, Shape]:
    """The axes of every array of a text such as ``x[M,n] W[m,n]``."""
    found: dict[str, Shape] = {}
    if rest := _ARRAY.sub("", shapes).split():
        raise ProblemError(f"layer {layer!r}: {rest[0][:60]!r} in the shapes is no name[sizes]")
    listed = _ARRAY.findall(shapes)
    if len(listed) > _MOST:
        raise ProblemError(f"layer {layer!r} has {len(listed)} arrays; at most {_MOST}")
    for name, inside in listed:
        check_name(name, f"layer {layer!r}: array")
        if name in found:
            raise ProblemError(f"layer {layer!r}: the array {name!r} has two shapes")
        found[name] = tuple(_range(layer, part) for part in inside.split(","))
    return MappingProxyType(found)


def _parsed(where: str, text: str, *known: Mapping[str, Any]) -> sp.Expr:
    """The expression that a text says; a refusal begins with the place."""
    try:
        return parse(text, *known)
    except ProblemError as error:
        raise ProblemError(f"{where}: {error}") from None


def _range(layer: str, text: str) -> Range:
    lower, _, upper = text.strip().rpartition("..")
    names = {n: index(n) for n in re.findall(r"[A-Za-z]\w*", upper)}
    if lower not in ("", "0", "1"):
        raise ProblemError(f"layer {layer!r}: the axis {text.strip()!r} has to count from 0 or 1")
    where = f"layer {layer!r}: the size {upper[:60]!r}"
    return sp.Integer(lower or 1), _parsed(where, upper, {**names, "M": M}, {})


@cache
def read_sizes(layer: str, rules: tuple[tuple[str, str], ...]) -> tuple[tuple[str, sp.Expr], ...]:
    """Sizes that follow from others, with their expressions."""
    found = []
    for name, text in rules:
        check_name(name, f"layer {layer!r}: size")
        if not isinstance(text, str):
            raise ProblemError(f"layer {layer!r}: the size {name!r} is {text!r}, not a text")
        symbols = {word: index(word) for word in re.findall(r"[A-Za-z]\w*", text)}
        where = f"layer {layer!r}: the size {name!r}"
        found.append((name, _parsed(where, text, symbols, {"floor": _floor})))
    return tuple(found)


@cache
def read_equations(
    layer: Layer, text: str, options: tuple[tuple[str, float], ...]
) -> tuple[Equation, ...]:
    """The equations of a text, line by line."""
    found: list[Equation] = []
    lines = [line.strip() for line in re.split(r"[\n;]", text) if line.strip()]
    if len(lines) > _MOST:
        raise ProblemError(f"layer {layer.name!r} has {len(lines)} equations; at most {_MOST}")
    for line in lines:
        match = _EQUATION.fullmatch(line)
        if match is None:
            raise ProblemError(
                f"layer {layer.name!r}: {line[:200]!r} is no equation state[indices] = expression"
            )
        if match[1] in {equation.name for equation in found}:
            raise ProblemError(f"layer {layer.name!r}: the state {match[1]!r} has two equations")
        found.append(_equation(layer, match[1], match[2], match[3].strip(), dict(options)))
    if not found:
        raise ProblemError(f"layer {layer.name!r} has no equation")
    return tuple(found)


def _equation(
    layer: Layer, state: str, subscripts: str, text: str, options: Mapping[str, float]
) -> Equation:
    shapes = layer.arrays
    arrays = {name: sp.IndexedBase(name, real=True) for name in shapes}
    for name in layer.integers:
        arrays[name] = sp.IndexedBase(name, integer=True, positive=True)
    if state not in shapes:
        raise ProblemError(f"layer {layer.name!r}: the state {state!r} has no shape")
    names: dict[str, sp.Expr] = {}
    for word, call in re.findall(r"([A-Za-z]\w*)(\s*\()?", f"{text}, {subscripts}"):
        if word not in arrays and word not in _FUNCTIONS and not call:
            names[word] = index(word)
    names |= {name: sp.nsimplify(value, rational=True) for name, value in options.items()}
    names |= {"M": M}
    where = f"layer {layer.name!r}, equation of {state!r}"
    parts = (part.strip() for part in subscripts.split(","))
    free = tuple(index(check_name(part, f"{where}: index")) for part in parts)
    if len(free) != len(shapes[state]) or len(set(free)) != len(free):
        raise ProblemError(
            f"layer {layer.name!r}: {state}[{subscripts[:60]}] does not have {len(shapes[state])} "
            "different indices"
        )
    forward = _parsed(where, text, names, _FUNCTIONS, arrays)
    _check_subscripts(layer, forward)
    indices = {*free, *(v for over in forward.atoms(Over) for v in over.args[2:])}
    sizes = {s for shape in shapes.values() for r in shape for s in r[1].free_symbols}
    for size in sorted(indices & sizes, key=str):
        raise ProblemError(f"{where}: {size} is a size; give the index another letter")
    chosen = {index(name): names.get(name, sp.nsimplify(value, rational=True))
              for name, value in options.items()}  # fmt: skip
    ranges = tuple(
        (v, sp.S.One, axis[1].xreplace(chosen)) for v, axis in zip(free, shapes[state], strict=True)
    )
    written = _ranged(layer, forward, options).xreplace(chosen)
    unknown = written.free_symbols - set(free) - sizes - set(arrays.values())
    unknown = {s for s in unknown if s.is_Symbol and str(s) not in arrays}
    unknown -= {e for e in written.free_symbols if isinstance(e, sp.Indexed)}
    if unknown:
        word = min(map(str, unknown))
        raise ProblemError(
            f"layer {layer.name!r}: {word!r} in the equation of {state!r} is neither an index of "
            f"{state}[{subscripts}], nor summed over, nor a size or option"
        )
    return Equation(arrays[state][free], written, ranges)


def _check_subscripts(layer: Layer, forward: sp.Expr) -> None:
    for use in forward.atoms(sp.Indexed):
        name = str(use.base.label)
        if len(use.indices) != len(layer.arrays[name]):
            raise ProblemError(
                f"layer {layer.name!r}: {use} has {len(use.indices)} subscripts, but {name!r} has "
                f"{len(layer.arrays[name])} axes"
            )


def _ranged(layer: Layer, expr: sp.Expr, options: Mapping[str, float]) -> sp.Expr:
    """Reductions with the ranges of their indices: the size of an axis they subscript alone."""
    if not expr.has(Over):
        return expr
    if not isinstance(expr, Over):
        return expr.func(*(_ranged(layer, arg, options) for arg in expr.args))
    kind, inside, *indices = expr.args
    if len(set(indices)) < max(1, len(indices)) or (len(indices) > 1 and str(kind) != "sum"):
        raise ProblemError(
            f"layer {layer.name!r}: {kind}({inside}, ...) needs "
            f"{'one index' if indices else 'an index'}, each once, as in {kind}(x[i,q], q)"
        )
    limits = []
    for v in indices:
        size = options.get(layer.ranges.get(str(v), ""), None)
        size = _size_of(layer, inside, v) if size is None else sp.Integer(size)
        if size is None:
            raise ProblemError(
                f"layer {layer.name!r}: no array is subscripted by {v} alone, so the range of the "
                f"sum over {v} is unknown; name an option that holds it in 'ranges'"
            )
        limits.append((v, sp.S.One, size))
    inner = _ranged(layer, inside, options)
    if str(kind) == "sum":
        return sp.Sum(inner, *limits)
    ((v, _, size),) = limits
    return (Largest if str(kind) == "max" else ArgLargest)(inner, v, size)


def _size_of(layer: Layer, expr: sp.Expr, v: sp.Symbol) -> sp.Expr | None:
    for use in sorted(expr.atoms(sp.Indexed), key=str):
        for subscript, axis in zip(use.indices, layer.arrays[str(use.base.label)], strict=True):
            if subscript == v:
                return axis[1]
    return None
