"""What an activation, a loss and a regularizer *are*: one SymPy expression and its metadata.

An entry states the function and nothing else. Derivatives, code, LaTeX and tests are derived from
the expression. An entry refuses to be incomplete: see :meth:`Catalogue.add`.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

import sympy as sp

from lagrangenet.errors import ProblemError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
#: The scalar argument of a componentwise activation; its slots when it couples components.
z = sp.Symbol("z", real=True)
Z = sp.IndexedBase("z", real=True)
#: One entry of a weight matrix, the argument of a regularizer.
w = sp.Symbol("w", real=True)
#: Label and output of one component, the arguments of a loss.
y, x = sp.symbols("y x", real=True)
#: Free and bound component index of a coupled function, and the number of components.
p, r = sp.symbols("p r", integer=True)
n = sp.Symbol("n", integer=True, positive=True)


class Top(sp.Function):
    """The largest component of a vector, ``Top(z[r], r)``: only ever a constant shift.

    Stable forms of functions that do not change under z → z + c subtract it. It is never
    differentiated: the derivation starts from the defining expression.
    """

    nargs = (2,)

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Refuse: a stable form is not what is derived from."""
        raise TypeError(f"Top has no derivative by argument {argindex}; derive from the definition")


@dataclass(frozen=True, order=True)
class Choice:
    """An entry picked by name with the values of its parameters; comparable and hashable."""

    name: str
    parameters: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        inner = ", ".join(f"{key}={value:g}" for key, value in self.parameters)
        return f"{self.name}({inner})" if inner else self.name


@dataclass(frozen=True)
class Entry:
    """What all catalogue entries share.

    Attributes
    ----------
    name : str
        The name a problem uses.
    expr : sympy.Expr
        The definition. Everything derived is derived from this.
    summary : str
        One line for help texts.
    stable : sympy.Expr or None
        An equal expression that neither overflows nor cancels; a test proves the equality.
    kinks : tuple of sympy.Expr
        Arguments at which the function is not differentiable; ``subgradient`` says what the
        derivative is taken to be there.
    subgradient : str
        The choice at the kinks, in words; empty if there are none.
    parameters : mapping
        Parameter names and defaults; each is a positive SymPy symbol of that name in ``expr``.
    """

    name: str
    expr: sp.Expr
    summary: str
    stable: sp.Expr | None = None
    kinks: tuple[sp.Expr, ...] = ()
    subgradient: str = ""
    parameters: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )

    kind = "entry"

    def __call__(self, /, *values: float, **named: float) -> Choice:
        """Pick this entry with parameter values, e.g. ``leaky_relu(slope=0.2)`` or ``L2(1e-3)``."""
        if len(values) > len(self.parameters):
            raise ProblemError(
                f"{self.kind} {self.name!r} has {len(self.parameters)} parameter(s) "
                f"({', '.join(self.parameters) or 'none'}), {len(values)} values were given"
            )
        given = dict(zip(self.parameters, values, strict=False))
        for key in given.keys() & named.keys():
            raise ProblemError(f"{self.kind} {self.name!r}: parameter {key!r} is given twice")
        given |= named
        for key in given.keys() - self.parameters.keys():
            raise ProblemError(
                f"{self.kind} {self.name!r} has no parameter {key!r}; "
                f"it has: {', '.join(self.parameters) or 'none'}"
            )
        checked = {key: self._checked(key, value) for key, value in given.items()}
        complete = {**self.parameters, **checked}
        return Choice(self.name, tuple(sorted(complete.items())))

    def _checked(self, key: str, value: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ProblemError(f"{self.kind} {self.name!r}: {key} is {value!r}, not a number")
        if not 0 < value <= sys.float_info.max:
            raise ProblemError(
                f"{self.kind} {self.name!r}: {key} is {value!r}; it has to be positive and finite"
            )
        return float(value)

    @property
    def smooth(self) -> bool:
        """Whether the function is differentiable everywhere."""
        return not self.kinks

    @property
    def coupled(self) -> bool:
        """Whether one component of the value depends on several of the argument."""
        return bool(self.expr.has(sp.Sum))


@dataclass(frozen=True)
class Activation(Entry):
    """σ: in ``z`` (componentwise), or in ``Z[p]``, ``r`` and ``n`` (coupled, like softmax).

    ``simplex`` declares that values are positive and sum to one over the components.
    """

    simplex: bool = False

    kind = "activation"


@dataclass(frozen=True)
class Loss(Entry):
    """ℓ(y, x) = Σ_p expr(y_p, x_p), the loss of one sample.

    ``labels`` says which labels it is defined for: ``real``, ``binary`` (every y_p in [0, 1]) or
    ``distribution`` (y ≥ 0 and Σ_p y_p = 1). ``needs_simplex`` says that outputs must be positive
    and sum to one. ``default_output`` names the activation that goes with it.
    """

    labels: str = "real"
    needs_simplex: bool = False
    default_output: str = "identity"

    kind = "loss"


@dataclass(frozen=True)
class Regularizer(Entry):
    """Ω(θ) = Σ_k Σ_pq expr(W^k_pq): over the weights, not the biases."""

    kind = "regularizer"


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Bound(Generic[E]):
    """An entry with the values of its parameters: a function, comparable and hashable."""

    entry: E
    choice: Choice

    @property
    def expr(self) -> sp.Expr:
        """The definition with numbers in place of parameters."""
        values = {parameter(name): sp.Float(value) for name, value in self.choice.parameters}
        return self.entry.expr.xreplace(values)


class Catalogue(Mapping[str, E], Generic[E]):
    """Entries by name. ``add`` is the only registration an entry needs."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}

    def add(self, entry: E) -> E:
        """Register a complete entry and return it.

        Raises
        ------
        ProblemError
            If the name is taken or no identifier, kinks have no declared subgradient, or a symbol is unknown.
        """
        if not _NAME.fullmatch(entry.name) or keyword.iskeyword(entry.name):
            raise ProblemError(
                f"{self.kind} {entry.name!r}: a name is a letter, then at most 30 letters, digits "
                "and underscores, and no keyword"
            )
        if entry.name in self._entries:
            raise ProblemError(f"{self.kind} {entry.name!r} is declared twice")
        if bool(entry.kinks) != bool(entry.subgradient):
            raise ProblemError(f"{self.kind} {entry.name!r}: kinks and subgradient go together")
        known = {z, w, y, x, p, r, n, Z, Z.label, Z[p], Z[r]}
        known |= {parameter(name) for name in entry.parameters}
        if unknown := entry.expr.free_symbols - known:
            names = ", ".join(sorted(map(str, unknown)))
            raise ProblemError(f"{self.kind} {entry.name!r} uses the undeclared symbol(s) {names}")
        self._entries[entry.name] = entry
        return entry

    def remove(self, name: str) -> None:
        """Take an entry out again, as an experiment or a test does with its own."""
        del self._entries[self[name].name]

    def __getitem__(self, name: str) -> E:
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._entries))
            raise ProblemError(f"unknown {self.kind} {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def bind(self, choice: Choice) -> Bound[E]:
        """The function that a choice names. What is derived from it may be kept under this key."""
        return Bound(self[choice.name], choice)

    def choose(self, what: str | Choice | Mapping[str, object]) -> Choice:
        """Turn a name, a choice or a table ``{"name": ..., parameter: value}`` into a choice."""
        if isinstance(what, Choice):
            return self[what.name](**dict(what.parameters))
        if isinstance(what, Mapping):
            table = dict(what)
            name = table.pop("name", None)
            return self[name](**table)  # type: ignore[index, arg-type]  # both are checked there
        return self[what]()


def parameter(name: str) -> sp.Symbol:
    """The symbol that stands for a parameter in an entry's expression."""
    return sp.Symbol(name, positive=True)
