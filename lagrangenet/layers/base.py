"""What a layer *is*: its forward equations in index notation, and nothing else.

    z[i,p] = sum(W[p,q] * x[i,q], q) + b[p]
    y[i,p] = sigma(z[i,p])

Indices count from 1, as on paper; ``i`` runs over the samples and comes first in every state. The
last equation gives the layer's output, those before it inner states with multipliers of their own.
Adjoints, gradients, second order, code and formulas follow from the equations. An entry that does
not say everything (a shape, a range) is refused when it is declared.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

import sympy as sp

from lagrangenet.errors import DerivationError, ProblemError
from lagrangenet.functions.parser import FUNCTIONS, parse

#: Samples; the size of the first axis of every state.
M = sp.Symbol("M", integer=True, positive=True)
#: One axis of an array: the first and the last value of its subscript.
Range = tuple[sp.Expr, sp.Expr]
Shape = tuple[Range, ...]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
_EQUATION = re.compile(r"\s*(\w+)\s*\[([\w\s,]+)\]\s*=(?!=)(.*)", re.DOTALL)
_ARRAY = re.compile(r"(\w+)\s*\[([^\]]*)\]")


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


_FUNCTIONS: Mapping[str, Callable[..., sp.Expr]] = {
    **{k: v for k, v in FUNCTIONS.items() if k not in ("max", "min")},
    "sum": _over("sum"),
    "max": _over("max"),
    "argmax": _over("argmax"),
    "delta": lambda a, b: sp.KroneckerDelta(a, b),
    "sigma": lambda z: Sigma(z),
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


@dataclass(frozen=True)
class Layer:
    """A layer by its forward equations.

    Parameters
    ----------
    name : str
        The name that constraints use.
    equations : str or callable
        Lines ``state[indices] = expression``. Known: + − * / **, numbers, ``sum(expr, index, ...)``,
        ``max(expr, index)`` and ``argmax(expr, index)``, ``delta(a, b)``, ``sigma(...)`` for the
        activation of the constraint, and the functions of expressions (``exp``, ``sqrt``, ...). A
        callable receives the options and returns the lines.
    shapes : str
        Every array with its sizes: ``"x[M,n] W[m,n] b[m] y[M,m]"``; ``0..T`` is an axis that counts
        from 0.
    parameters : str
        Which arrays are parameters, in the order in which they are stored; all others that no
        equation determines are inputs, in the order of ``shapes``.
    options : mapping
        Numbers with their defaults: whole ones such as a stride, or real ones such as ε.
    sizes : mapping
        Sizes that follow from others: ``{"T": "floor((L - R)/stride) + 1"}``.
    constants : str
        Inner states that the output does not depend on, such as the largest entry that a softmax
        subtracts. Their derivative is left out; that the output's vanishes is proved.
    ranges : mapping
        The size of an index that no array has as a subscript alone: ``{"r": "R"}``.
    integers : str
        Inputs that hold subscripts (tokens), counted from 0 in data.
    summary : str
        One line for help texts.

    Examples
    --------
    >>> scale = Layer("scale", "y[i,p] = g[p] * x[i,p]", "x[M,n] g[n] y[M,n]", "g")
    >>> scale.inputs, scale.parameters, [str(e.forward) for e in scale.at({})]
    (('x',), ('g',), ['g[p]*x[i, p]'])
    """

    name: str
    equations: str | Callable[[Mapping[str, float]], str]
    shapes: str
    parameters: tuple[str, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict, hash=False)
    sizes: Mapping[str, str] = field(default_factory=dict, hash=False)
    constants: tuple[str, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict, hash=False)
    integers: tuple[str, ...] = ()
    summary: str = ""

    def __init__(
        self,
        name: str,
        equations: str | Callable[[Mapping[str, float]], str],
        shapes: str,
        parameters: str = "",
        options: Mapping[str, float] | None = None,
        sizes: Mapping[str, str] | None = None,
        constants: str = "",
        ranges: Mapping[str, str] | None = None,
        integers: str = "",
        summary: str = "",
    ) -> None:
        check_name(name, "layer")
        values = {
            "name": name,
            "equations": equations,
            "shapes": shapes,
            "parameters": tuple(parameters.split()),
            "options": MappingProxyType(dict(options or {})),
            "sizes": MappingProxyType(dict(sizes or {})),
            "constants": tuple(constants.split()),
            "ranges": MappingProxyType(dict(ranges or {})),
            "integers": tuple(integers.split()),
            "summary": summary,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self.at({})

    @property
    def arrays(self) -> Mapping[str, Shape]:
        """The axes of every array, by its local name."""
        return _arrays(self.name, self.shapes)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Local names of the inputs."""
        equations = self.at({})
        given = {str(e.base.label) for equation in equations for e in equation.forward.atoms(sp.Indexed)}
        given -= {equation.name for equation in equations}
        return tuple(a for a in self.arrays if a in given and a not in self.parameters)

    @property
    def uses_sigma(self) -> bool:
        """Whether an activation can be chosen."""
        return any(equation.forward.has(Sigma) for equation in self.at({}))

    @property
    def free_sizes(self) -> tuple[str, ...]:
        """Sizes that neither an input nor another size fixes; a constraint gives them."""
        known = {str(s) for a in self.inputs for r in self.arrays[a] for s in r[1].free_symbols}
        every = [str(s) for shape in self.arrays.values() for r in shape for s in _symbols(r[1])]
        taken = known | set(self.sizes) | set(self.options) | {"M"}
        return tuple(dict.fromkeys(s for s in every if s not in taken))

    @property
    def size_rules(self) -> tuple[tuple[str, sp.Expr], ...]:
        """Sizes that follow from others, with their expressions."""
        return _size_rules(self.name, tuple(self.sizes.items()))

    def at(self, options: Mapping[str, float]) -> tuple[Equation, ...]:
        """The equations for the values of the options, inner states first."""
        chosen = {**self.options, **options}
        text = self.equations if isinstance(self.equations, str) else self.equations(chosen)
        return _equations(self, text, tuple(sorted(chosen.items())))

    @property
    def own(self) -> bool:
        """Whether this is somebody's own layer rather than an entry of ``LAYERS``."""
        return self.name not in LAYERS or LAYERS[self.name] is not self

    def __reduce__(self) -> tuple[object, ...]:
        if not self.own:
            return _by_name, (self.name,)
        words = (" ".join(self.parameters), dict(self.options), dict(self.sizes),
                 " ".join(self.constants), dict(self.ranges), " ".join(self.integers))  # fmt: skip
        return Layer, (self.name, self.equations, self.shapes, *words, self.summary)


class Layers(Mapping[str, Layer]):
    """Layers by name. ``add`` is the only registration a layer of the package needs."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}

    def add(self, layer: Layer) -> Layer:
        """Register a layer and return it."""
        if layer.name in self._layers:
            raise ProblemError(f"layer {layer.name!r} is declared twice")
        self._layers[layer.name] = layer
        return layer

    def remove(self, name: str) -> None:
        """Take a layer out again, as an experiment or a test does with its own."""
        del self._layers[self[name].name]

    def __getitem__(self, name: str) -> Layer:
        try:
            return self._layers[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._layers))
            raise ProblemError(f"unknown layer {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._layers

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


LAYERS = Layers()


def _by_name(name: str) -> Layer:
    return LAYERS[name]


# -- reading -----------------------------------------------------------------------------------------


def index(name: str) -> sp.Symbol:
    """The symbol of an index."""
    return sp.Symbol(name, integer=True, positive=True)


def check_name(name: str, what: str) -> str:
    """The name, if it can be one in equations, files and code."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ProblemError(
            f"{what} {name!r}: a name is a letter, then at most 30 letters, digits and "
            "underscores, and no keyword"
        )
    return name


def _symbols(expr: sp.Expr) -> list[sp.Symbol]:
    return sorted(expr.free_symbols, key=str)


@cache
def _arrays(layer: str, shapes: str) -> Mapping[str, Shape]:
    found: dict[str, Shape] = {}
    for name, inside in _ARRAY.findall(shapes):
        check_name(name, f"layer {layer!r}: array")
        found[name] = tuple(_range(layer, part) for part in inside.split(","))
    return MappingProxyType(found)


def _range(layer: str, text: str) -> Range:
    lower, _, upper = text.strip().rpartition("..")
    names = {n: index(n) for n in re.findall(r"[A-Za-z]\w*", upper)}
    if lower not in ("", "0", "1"):
        raise ProblemError(f"layer {layer!r}: the axis {text.strip()!r} has to count from 0 or 1")
    return sp.Integer(lower or 1), parse(upper, {**names, "M": M}, {})


@cache
def _size_rules(layer: str, rules: tuple[tuple[str, str], ...]) -> tuple[tuple[str, sp.Expr], ...]:
    found = []
    for name, text in rules:
        check_name(name, f"layer {layer!r}: size")
        symbols = {word: index(word) for word in re.findall(r"[A-Za-z]\w*", text)}
        found.append((name, parse(text, symbols, {"floor": lambda size: sp.floor(size)})))
    return tuple(found)


@cache
def _equations(
    layer: Layer, text: str, options: tuple[tuple[str, float], ...]
) -> tuple[Equation, ...]:
    found = []
    for line in filter(str.strip, re.split(r"[\n;]", text)):
        match = _EQUATION.fullmatch(line)
        if match is None:
            raise ProblemError(
                f"layer {layer.name!r}: {line.strip()!r} is no equation state[indices] = expression"
            )
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
    for word in re.findall(r"[A-Za-z]\w*", f"{text} {subscripts}"):
        if word not in arrays and word not in _FUNCTIONS:
            names[word] = index(word)
    names |= {name: sp.nsimplify(value, rational=True) for name, value in options.items()}
    names |= {"M": M}
    free = tuple(index(part.strip()) for part in subscripts.split(","))
    if len(free) != len(shapes[state]) or len(set(free)) != len(free):
        raise ProblemError(
            f"layer {layer.name!r}: {state}[{subscripts}] does not have {len(shapes[state])} "
            "different indices"
        )
    forward = parse(text, names, _FUNCTIONS, arrays)
    _check_subscripts(layer, forward)
    chosen = {index(name): names.get(name, sp.nsimplify(value, rational=True))
              for name, value in options.items()}  # fmt: skip
    ranges = tuple(
        (v, sp.S.One, axis[1].xreplace(chosen)) for v, axis in zip(free, shapes[state], strict=True)
    )
    written = _ranged(layer, forward, options).xreplace(chosen)
    sizes = {s for shape in shapes.values() for r in shape for s in r[1].free_symbols}
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
