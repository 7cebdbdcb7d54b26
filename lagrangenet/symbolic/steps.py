"""The derivation, step by step: each step an equality with its reason, checked in numbers.

The stages come from :mod:`.stationarity`, which derives with the same functions; nothing here is a
second derivation. A step holds two expressions of equal value. :func:`checked` evaluates both at
random worlds, derivatives as complex steps, and refuses a step whose sides differ, by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between
from lagrangenet.symbolic.display import Equation
from lagrangenet.symbolic.evaluate import compiled, evaluated
from lagrangenet.symbolic.lagrangian import Lagrangian, affine
from lagrangenet.symbolic.printing import in_order, terms, text
from lagrangenet.symbolic.stationarity import (
    CONDITIONS,
    TANGENT_CONDITIONS,
    Condition,
    Stages,
    abbreviate,
    at_layers,
    stages,
    stationarity,
    summands,
)
from lagrangenet.symbolic.styles import Text, named_style
from lagrangenet.symbolic.tangent import TangentLagrangian
from lagrangenet.symbolic.tidy import tidy
from lagrangenet.symbolic.worlds import World, worlds

#: Largest relative error of a step; below 1 in absolute value: absolute error.
TOLERANCE = 1e-12


class StepError(DerivationError):
    """A step of a derivation whose two sides are not equal."""


@dataclass(frozen=True)
class Step:
    """One step of a derivation: ``before`` = ``after``.

    Attributes
    ----------
    name : str
        The rule that is applied.
    reason : str
        Why it holds; ``{0}``, ``{1}``, ... stand for the expressions in ``about``.
    before, after : sympy.Expr
        Equal for all values of the free indices at which ``condition`` holds.
    condition : Condition
        The condition that the derivation leads to.
    lagrangian : Lagrangian
        What was differentiated.
    solved : bool
        Whether the step says what an unknown is, instead of rewriting the derivative.
    """

    name: str
    reason: str
    before: sp.Expr
    after: sp.Expr
    condition: Condition
    lagrangian: Lagrangian | TangentLagrangian
    about: tuple[sp.Expr, ...] = ()
    solved: bool = False

    @property
    def wrt(self) -> sp.Indexed:
        """The v of the derivative ∂L/∂v that is rewritten: at layer N once that is decided."""
        wrt = self.condition.wrt
        return wrt.xreplace({l.N: l.k}) if l.k in self.after.free_symbols else wrt

    def because(self, style: str | Text = "text", mark: Callable[[str], str] = str) -> str:
        """The reason, with its expressions in a style; ``mark`` sets a formula in the words."""
        chosen = _distinct(named_style(style))
        return self.reason.format(*(mark(text(e, chosen)) for e in self.about))

    def written(self, style: str | Text = "text") -> Equation:
        """The step as an equation: the derivative, or the unknown, and what it is equal to.

        Examples
        --------
        >>> print(steps(Lagrangian(), "S1")[-1].written())
        x_ip^k = σ^k(z_ip^k)
        """
        chosen, condition = _distinct(named_style(style)), self.condition
        if self.solved:
            left = text(condition.unknown, chosen)
        else:
            left = chosen.derivative(condition.of(chosen), text(self.wrt, chosen))
        right = tuple(terms(self.after, chosen))
        return Equation(condition.label, self.name, left, "=", right, chosen)

    def __str__(self) -> str:
        return f"({self.condition.label}) {self.name}: {self.because()}\n  {self.written()}"


def _distinct(style: Text) -> Text:
    """The style, with letters for the second sample and the second layer that are not taken."""
    used = "".join(symbol for symbol, _ in style.notation.symbols.values())
    free = {}
    for index, letters in ((l.j, "jhde"), (l.m, "mvgc")):
        letter = next(one for one in letters if one not in used)
        free[index.name] = (letter, letter)
    return replace(style, names={**free, **style.names})


# -- the check -------------------------------------------------------------------------------------


def checked(step: Step) -> Step:
    """The step itself, if its two sides have the same value at every world.

    Raises
    ------
    StepError
        With the name of the step, the world and both numbers.
    """
    named = f"({step.condition.label}) step {step.name!r}"
    pair = (step.before, step.after)
    try:
        sides = [_values(side, step.lagrangian, step.condition) for side in pair]
    except DerivationError as error:
        raise StepError(f"{named} has a side without a value: {error}") from error
    for before, after, (world, at) in zip(*sides, places(step), strict=True):
        if not abs(before - after) <= TOLERANCE * max(1.0, abs(before), abs(after)):
            place = ", ".join(f"{index} = {number}" for index, number in at.items())
            raise StepError(
                f"{named} does not hold: the value was "
                f"{before:.15g}, and is {after:.15g} afterwards, at {place} of a network with "
                f"{world}; correct the rule that made {text(step.after)}"
            )
    return step


@cache
def _values(
    expr: sp.Expr, lagrangian: Lagrangian | TangentLagrangian, condition: Condition
) -> tuple[float, ...]:
    function = compiled(expr)
    return tuple(evaluated(function, world, at) for world, at in _places(lagrangian, condition))


def places(step: Step) -> tuple[tuple[World, dict[sp.Symbol, int]], ...]:
    """Where a step is checked: worlds, with numbers for the free indices."""
    return _places(step.lagrangian, step.condition)


@cache
def _places(
    lagrangian: Lagrangian | TangentLagrangian, condition: Condition
) -> tuple[tuple[World, dict[sp.Symbol, int]], ...]:
    """Worlds, and layers at which the condition holds, with the first and the last entries."""
    found = []
    for world in worlds(lagrangian.kinds, lagrangian.splitting == "activation"):
        for layer in _layers(condition.layers, world.depth):
            if not _of_kind(condition, world, layer):
                continue
            last = {l.i: world.samples, l.p: world.widths[layer], l.q: world.widths[layer - 1]}
            first = dict.fromkeys(last, 1)
            found += [(world, {l.k: layer, **at}) for at in (first, last)[last == first :]]
    return tuple(found)


def _layers(which: str, depth: int) -> Iterable[int]:
    if which == "output":
        return (depth,)
    return range(1, depth + (which == "all"))


def _of_kind(condition: Condition, world: World, layer: int) -> bool:
    if condition.kind_of is None:
        return True
    number = int(condition.kind_of.xreplace({l.k: layer, l.N: world.depth}))
    return bool(world.kinds[number - 1] == condition.kind)


# -- the steps -------------------------------------------------------------------------------------


def steps(lagrangian: Lagrangian | TangentLagrangian, label: str | None = None) -> tuple[Step, ...]:
    """Every step from L to its stationarity conditions, checked.

    Parameters
    ----------
    lagrangian : Lagrangian
    label : str, optional
        Only those that lead to the condition of this label.

    Raises
    ------
    StepError
        If a step does not hold.
    DerivationError
        If there is no condition of that label.

    Examples
    --------
    >>> [step.name for step in steps(Lagrangian(), "S1")]
    ['linearity', 'vanishing summands', 'product rule', 'abbreviation', 'Kronecker deltas', 'collapse', 'solving']
    """
    conditions = stationarity(lagrangian)
    labels = list(dict.fromkeys(condition.label for condition in conditions))
    if label is not None and label not in labels:
        raise DerivationError(f"no condition ({label}); there are {', '.join(labels)}")
    wanted = (c for c in conditions if label in (None, c.label))
    return tuple(checked(step) for condition in wanted for step in _steps(lagrangian, condition))


@cache
def _steps(lagrangian: Lagrangian | TangentLagrangian, condition: Condition) -> tuple[Step, ...]:
    """The steps to one condition, unchecked; a stage that changes nothing is no step."""
    rows = (*CONDITIONS, *TANGENT_CONDITIONS)
    row = next(row for row in rows if row.label == condition.label)
    trace = _Trace(lagrangian, condition, row.wrt, stages(lagrangian, row))
    return tuple(step for step in trace.steps() if step.solved or step.before != step.after)


class Held(sp.Function):
    """An entry whose derivative is left standing, so that the chain rule stops before it."""

    nargs = (1,)
    is_real = True

    def _eval_derivative(self, s: Any) -> sp.Expr:
        return l.Pending(self.args[0], s)


@dataclass(frozen=True)
class _Trace:
    """The stages of one derivation, each made readable: the steps are what lies between them."""

    lagrangian: Lagrangian | TangentLagrangian
    condition: Condition
    wrt: sp.Indexed
    stages: Stages

    def steps(self) -> Iterator[Step]:
        """From the pending derivative of L to the condition."""
        now = tidy(l.Pending(self.lagrangian.expr, self.wrt))
        makers = (self._linear, self._vanish, self._chain, self._short, self._entries,
                  self._collapse, self._decide, self._kind, self._solve)  # fmt: skip
        for make in makers:
            step = make(now)
            yield step
            now = step.after

    def _step(self, name: str, reason: str, now: sp.Expr, after: sp.Expr, *about: sp.Expr) -> Step:
        return Step(name, reason, now, after, self.condition, self.lagrangian, about)

    def _linear(self, now: sp.Expr) -> Step:
        parts = summands(self.lagrangian.expr)
        after = tidy(sp.Add(*(self._pending(part) for part in parts)))
        reason = "The derivative of a sum is the sum of the derivatives; constant factors stay."
        return self._step("linearity", reason, now, after)

    def _pending(self, summand: sp.Expr) -> sp.Expr:
        constant, rest = tidy(summand).as_independent(sp.Sum, as_Add=False)
        return constant * l.Pending(rest, self.wrt)

    def _vanish(self, now: sp.Expr) -> Step:
        after = tidy(sp.Add(*(self._pending(part) for part in self.stages.surviving)))
        left = sp.Add.make_args(after)
        bodies = [_body(part) for part in in_order(now) if part not in left]
        names = ", ".join(f"{{{number}}}" for number in range(1, len(bodies) + 1))
        reason = f"No {{0}} occurs in the sums of {names}: their derivatives are zero."
        return self._step("vanishing summands", reason, now, after, self.wrt, *bodies)

    def _chain(self, now: sp.Expr) -> Step:
        surviving, base = self.stages.surviving, self.wrt.base
        after = tidy(sp.Add(*(self._held(part) for part in surviving)))
        calls = (e for part in surviving for e in part.atoms(l.Opaque, l.Coupled, l.Partial))
        through = sorted({e.name for e in calls if e.has(base)})
        if not through:
            reason = "Every summand is linear in {0}: its factor stays."
            return self._step("product rule", reason, now, after, self.wrt)
        names = " and ".join(f"{{{number}}}" for number in range(len(through)))
        reason = (
            f"Product rule, and chain rule through {names}; derivatives of entries stay for now."
        )
        return self._step("chain rule", reason, now, after, *map(sp.Symbol, through))

    def _held(self, summand: sp.Expr) -> sp.Expr:
        """SymPy's derivative of a summand, in which those of the entries are left standing."""
        base = self.wrt.base
        held = summand.replace(lambda e: isinstance(e, sp.Indexed) and e.base == base, Held)
        free = held.diff(self.wrt).replace(lambda e: isinstance(e, Held), lambda e: e.args[0])
        return sp.Add(*summands(free))

    def _short(self, now: sp.Expr) -> Step:
        stated = tidy(affine(l.k, l.i, l.p))
        reason = "Write {0} for {1}."
        return self._step("abbreviation", reason, now, abbreviate(now), l.Z[l.k, l.i, l.p], stated)

    def _entries(self, now: sp.Expr) -> Step:
        after = abbreviate(tidy(sp.Add(*(s for d in self.stages.derivatives for s in summands(d)))))
        pending = min(now.atoms(l.Pending), key=sp.default_sort_key)
        reason = "Entries are independent variables: {0} is 1 if all indices agree, otherwise 0."
        return self._step("Kronecker deltas", reason, now, after, pending)

    def _collapse(self, now: sp.Expr) -> Step:
        after = abbreviate(tidy(self.stages.collapsed))
        reason = "A Kronecker delta leaves, of the sum over its index, the term where both agree."
        brackets = _sorted(after.atoms(Between))
        if brackets:
            names = ", ".join(f"{{{number}}}" for number in range(len(brackets)))
            reason += f" A bracket is 1 if that index is in the range of its sum, else 0: {names}."
        return self._step("collapse", reason, now, after, *brackets)

    def _decide(self, now: sp.Expr) -> Step:
        after = abbreviate(tidy(self.stages.decided))
        row = next(r for r in (*CONDITIONS, *TANGENT_CONDITIONS) if r.label == self.condition.label)
        brackets = _sorted(now.atoms(Between, sp.KroneckerDelta))
        found = [e for e in brackets if row.layers == "output" or not e.has(l.p)]
        sign = "=" if row.layers == "output" else "<"
        values = (f"{{{j}}} = {at_layers(e, row)}" for j, e in enumerate(found, 2))
        reason = f"For {{0}} {sign} {{1}}: {', '.join(values)}."
        return self._step("layer index", reason, now, after, l.k, l.N, *found)

    def _kind(self, now: sp.Expr) -> Step:
        kind, layer = self.condition.kind, self.condition.kind_of
        reason = f"Layer {{0}} is {kind}: of two bracketed terms, one stays."
        about = [] if layer is None else [layer]
        return self._step("kind of layer", reason, now, self.condition.residual, *about)

    def _solve(self, now: sp.Expr) -> Step:
        unknown, solution = self.condition.unknown, self.condition.solution
        if unknown is None:
            return self._step("solving", "", now, now)
        reason = "The derivative is zero, and linear in {0} with coefficient one."
        return Step(
            "solving", reason, unknown - now, solution, self.condition, self.lagrangian,
            (unknown,), solved=True,
        )  # fmt: skip


def _body(term: sp.Expr) -> sp.Expr:
    """What the sum in a pending derivative runs over."""
    (pending,) = term.atoms(l.Pending)
    return getattr(pending.args[0], "function", pending.args[0])


def _sorted(nodes: Iterable[sp.Expr]) -> list[sp.Expr]:
    return sorted(nodes, key=sp.default_sort_key)
