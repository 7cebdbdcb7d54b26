"""What an activation, a loss and a regularizer *are*: one SymPy expression and its metadata.

An entry states the function and nothing else. Derivatives, code, LaTeX and tests are derived from
the expression. A catalogue refuses incomplete ones: see :mod:`.catalogue`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Generic, TypeVar

import sympy as sp

from lagrangenet.errors import ProblemError

#: The scalar argument of a componentwise activation; its slots when it couples components.
z = sp.Symbol("z", real=True)
Z = sp.IndexedBase("z", real=True)
#: One entry of a weight matrix, the argument of a regularizer.
w = sp.Symbol("w", real=True)
#: Label and output of one component, the arguments of a loss.
y, x = sp.symbols("y x", real=True)
#: The output of the labelled class, Σ_r y_r x_r, which a loss may compare each output with.
t = sp.Symbol("t", real=True)
#: The weight of a component in a weighted loss.
c = sp.Symbol("c", positive=True)
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
    """An entry picked by name with the values of its parameters; comparable and hashable.

    An option that is on is a parameter with the value True; one that is off is left out. The name
    of a function that is given by its formula is the formula.
    """

    name: str
    parameters: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        inner = ", ".join(
            key if isinstance(value, bool) else f"{key}={value:g}" for key, value in self.parameters
        )
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
    creases : tuple of sympy.Expr
        Arguments at which the derivative exists and has a kink: there the second derivative jumps.
    parameters : mapping
        Parameter names and defaults, NaN where there is none; each is a SymPy symbol of that name
        in ``expr``: see :meth:`symbol`.
    ranges : mapping
        What a parameter may be, ``nonnegative`` or ``real``; positive where nothing is said.
    differentiable : bool
        False for a function with jumps: it is evaluated, and every derivative of it is refused.
    restricted : bool
        Whether there are real arguments without a value, as log has them.
    accepts : callable, optional
        Raises ProblemError for values of the parameters with which the entry makes no sense.
    """

    name: str
    expr: sp.Expr
    summary: str
    stable: sp.Expr | None = None
    kinks: tuple[sp.Expr, ...] = ()
    subgradient: str = ""
    creases: tuple[sp.Expr, ...] = ()
    parameters: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    ranges: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    differentiable: bool = True
    restricted: bool = False
    accepts: Callable[[Mapping[str, float]], None] | None = field(
        default=None, compare=False, repr=False
    )

    kind = "entry"
    #: Options besides the parameters, off unless they are given as True.
    options: ClassVar[tuple[str, ...]] = ()

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
        on = {key: given.pop(key) for key in self.options if key in given}
        for key, value in on.items():
            if not isinstance(value, bool):
                raise ProblemError(
                    f"{self.kind} {self.name!r}: {key} is {value!r}; it is True or False"
                )
        on = {key: value for key, value in on.items() if value}
        for key in given.keys() - self.parameters.keys():
            raise ProblemError(
                f"{self.kind} {self.name!r} has no parameter {key!r}; "
                f"it has: {', '.join((*self.parameters, *self.options)) or 'none'}"
            )
        checked = {key: self._checked(key, value) for key, value in given.items()}
        complete = {**self.parameters, **checked}
        for key, value in complete.items():
            if math.isnan(value):
                raise ProblemError(
                    f"{self.kind} {self.name!r}: {key!r} has no value; "
                    f'write {{ name = "{self.name}", {key} = ... }}, or correct the name'
                )
        if self.accepts is not None:
            self.accepts(complete)
        return Choice(self.name, tuple(sorted({**complete, **on}.items())))

    def _checked(self, key: str, value: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ProblemError(f"{self.kind} {self.name!r}: {key} is {value!r}, not a number")
        meant = self.ranges.get(key, "positive")
        least = -sys.float_info.max if meant == "real" else 0.0
        fits = value <= sys.float_info.max and (
            value > least if meant == "positive" else value >= least
        )
        if not fits:
            words = {"real": "finite", "nonnegative": "zero or positive, and finite"}
            raise ProblemError(
                f"{self.kind} {self.name!r}: {key} is {value!r}; "
                f"it has to be {words.get(meant, 'positive and finite')}"
            )
        return float(value)

    def symbol(self, name: str) -> sp.Symbol:
        """The symbol that stands for a parameter in ``expr``."""
        return parameter(name, self.ranges.get(name, "positive"))

    def at(self, choice: Choice, expr: sp.Expr | None = None) -> sp.Expr:
        """The definition, or another expression of this entry, with numbers for its parameters."""
        values = {self.symbol(key): number(value) for key, value in choice.parameters}
        return (self.expr if expr is None else expr).xreplace(values)

    def without_options(self, choice: Choice) -> Choice:
        """The choice with every option off."""
        kept = tuple(item for item in choice.parameters if item[0] not in self.options)
        return Choice(choice.name, kept)

    @property
    def smooth(self) -> bool:
        """Whether the function is differentiable everywhere."""
        return self.differentiable and not self.kinks

    @property
    def coupled(self) -> bool:
        """Whether one component of the value depends on several of the argument."""
        return bool(self.expr.has(sp.Sum))


@dataclass(frozen=True)
class Activation(Entry):
    """σ: in ``z`` (componentwise), or in ``Z[p]``, ``r`` and ``n`` (coupled, like softmax).

    ``simplex`` declares that values are positive and sum to one over the components, ``positive``
    that they are positive, ``log_simplex`` that their exponentials sum to one.
    """

    simplex: bool = False
    positive: bool = False
    log_simplex: bool = False

    kind = "activation"


@dataclass(frozen=True)
class Loss(Entry):
    """ℓ(y, x) = Σ_p expr(y_p, x_p, t) with t = Σ_r y_r x_r, the loss of one sample.

    ``labels`` says which labels it is defined for: ``real``, ``binary`` (every y_p in [0, 1]),
    ``sign`` (every y_p is −1 or 1) or ``distribution`` (y ≥ 0 and Σ_p y_p = 1). ``needs_simplex``,
    ``needs_positive`` and ``needs_log_simplex`` say what outputs must be declared to be.
    ``default_output`` names the activation that goes with it. With the option ``weighted``, which
    the class weights of a problem turn on, it is Σ_p c_p expr(y_p, x_p); a loss with t has no such
    option, as each of its terms compares two classes.
    """

    labels: str = "real"
    needs_simplex: bool = False
    needs_positive: bool = False
    needs_log_simplex: bool = False
    default_output: str = "identity"

    kind = "loss"
    options = ("weighted",)

    @property
    def coupled(self) -> bool:
        """Whether it compares outputs with each other: whether t is in the expression."""
        return bool(self.expr.has(t))

    def unmet(self, output: Activation | None) -> tuple[str, str] | None:
        """What outputs have to be and are not declared to be, and the activations that are it.

        Besides ``needs_simplex``, of which a problem says more.
        """
        if self.needs_positive and not (output is not None and output.positive):
            return "positive", "'softplus' or 'sigmoid'"
        if self.needs_log_simplex and not (output is not None and output.log_simplex):
            return "log-probabilities", "'log_softmax'"
        return None


@dataclass(frozen=True)
class Regularizer(Entry):
    """Ω(θ) = Σ_k Σ_pq expr(W^k_pq), and with the option ``biases`` also Σ_k Σ_p expr(b^k_p)."""

    kind = "regularizer"
    options = ("biases",)


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class Bound(Generic[E]):
    """An entry with the values of its parameters: a function, comparable and hashable."""

    entry: E
    choice: Choice

    @property
    def expr(self) -> sp.Expr:
        """The definition with numbers in place of parameters, without its options."""
        return self.entry.at(self.choice)


def parameter(name: str, meant: str = "positive") -> sp.Symbol:
    """The symbol that stands for a parameter in an entry's expression."""
    return sp.Symbol(name, **{meant: True})


def number(value: float) -> sp.Expr:
    """A float as SymPy's number, whole ones as integers.

    >>> number(2.0), number(0.25)
    (2, 0.250000000000000)
    """
    return sp.Integer(int(value)) if float(value).is_integer() else sp.Float(value)
