"""Routines as steps over a tile of samples: what a compiled target turns into loops.

A line of a linked routine is a tree; here it is taken apart until every step has one loop structure:

    Linear      z_ip  = Σ_q x_iq W_pq + b_p          (or Σ_q x_iq W_qp, or several of them)
    Pointwise   y_ip  = f(x_ip, ...)                  one component at a time
    Rowwise     s_i   = Σ_p f(x_ip, ...)  or max_p    one sample at a time
    Outer       G_pq += Σ_i u_ip x_iq                 summed over samples
    Sum         g_p  += Σ_i u_ip,  J += Σ_ip f(...)   the same
    After       what is left when all samples are summed: regularizers, the mean

Samples are independent but for Outer and Sum, so a batch can be cut into tiles that stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Assign, Routine
from lagrangenet.routines.passes.expand import expanded
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

#: Axes of an array over samples and components, and over samples alone.
BATCH, ROW = (l.i, l.p), (l.i,)


@dataclass(frozen=True)
class Term:
    """sign Σ_q x_iq W_pq, or Σ_q x_iq W_qp with ``transposed``."""

    sign: int
    state: Ref
    weight: Ref
    transposed: bool


@dataclass(frozen=True)
class Step:
    """A step with the conditions it came from, and their mathematics."""

    target: Ref
    note: str

    @cached_property
    def reads(self) -> tuple[Ref, ...]:
        """Arrays over samples that it reads."""
        values = [v for v in vars(self).values() if isinstance(v, Node) and v is not self.target]
        found = [n for v in values for n in v.walk() if isinstance(n, Ref) and l.i in n.axes]
        return tuple(found)


@dataclass(frozen=True)
class Linear(Step):
    """target_ip = Σ terms + start_p."""

    terms: tuple[Term, ...]
    start: Ref | None = None

    @cached_property
    def reads(self) -> tuple[Ref, ...]:
        """The states that are multiplied."""
        return tuple(term.state for term in self.terms)


@dataclass(frozen=True)
class Pointwise(Step):
    """target_ip = value_ip, or target_i = value_i."""

    value: Node


@dataclass(frozen=True)
class Rowwise(Step):
    """target_i = Σ_p value_ip, or the maximum over p (``op``)."""

    value: Node
    op: str


@dataclass(frozen=True)
class Outer(Step):
    """target_pq += sign Σ_i left_ip right_iq."""

    sign: int
    left: Ref
    right: Ref


@dataclass(frozen=True)
class Sum(Step):
    """target_p += sign Σ_i value_ip, or target += sign Σ_ip value_ip for a scalar."""

    sign: int
    value: Node


@dataclass(frozen=True)
class After(Step):
    """target = value (+= with ``add``) when all samples are summed."""

    value: Node
    add: bool


@dataclass(frozen=True)
class Kernels:
    """The steps of a routine: those of every tile, and those after the last.

    Attributes
    ----------
    widths : dict
        Number of components of every array over samples.
    """

    routine: Routine
    tile: tuple[Step, ...]
    after: tuple[After, ...]
    widths: dict[Key, int]

    def width(self, array: Ref) -> int:
        """Components of an array over samples."""
        return self.widths[key(array)]


def kernels(routine: Routine, problem: Problem) -> Kernels:
    """The steps of a linked routine.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> problem = chain([2, 3, 1])
    >>> routine = link(lower(derive(problem))).routine("value_and_grad")
    >>> [type(step).__name__ for step in kernels(routine, problem).tile]
    ['Linear', 'Pointwise', 'Linear', 'Sum', 'Pointwise', 'Outer', 'Sum', 'Linear', 'Pointwise', 'Outer', 'Sum']
    """
    builder = _Builder(problem)
    for line in routine.body:
        builder.line(line)
    return Kernels(routine, _soon(builder.tile), tuple(builder.after), builder.widths)


def _soon(steps: list[Step]) -> tuple[Step, ...]:
    """Sums over samples right after what they sum, while it is in cache."""
    sums = [s for s in steps if isinstance(s, Outer | Sum)]
    found: list[Step] = []
    waiting = {key(s.target) for s in steps if not isinstance(s, Outer | Sum)}
    for step in steps:
        if isinstance(step, Outer | Sum):
            continue
        found.append(step)
        waiting.discard(key(step.target))
        ready = [s for s in sums if not any(key(a) in waiting for a in s.reads)]
        sums = [s for s in sums if any(key(a) in waiting for a in s.reads)]
        found += ready
    return (*found, *sums)


class _Builder:
    """Takes lines apart."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.tile: list[Step] = []
        self.after: list[After] = []
        self.widths: dict[Key, int] = {("Y", None): problem.widths[-1]}
        self.known: dict[Key, Ref] = {}  # arrays that are another one by definition
        self.stored: dict[Node, Ref] = {}  # values that are in an array already
        self.summed: set[Key] = set()
        self.note = ""

    def line(self, line: Assign) -> None:
        """Add the steps of a line."""
        self.note = f"({', '.join(line.labels)})  {line.formula}"
        value = line.value.map(self._uniform)
        if l.i in line.target.axes:
            self._over_samples(self._target(line.target), value)
        else:
            self._after(line.target, value)

    # -- arrays --------------------------------------------------------------------------------

    def _uniform(self, node: Node) -> Node:
        """Functions written out, sums of sums as one, arrays over samples with the axes i, p."""
        node = _one_sum(expanded(node))
        if isinstance(node, Ref) and l.i in node.axes:
            self._width(node)
            node = self.known.get(key(node), node)
            return replace(node, axes=BATCH if len(node.axes) == 2 else ROW)
        return node

    def _width(self, array: Ref) -> int:
        if key(array) not in self.widths and array.layer is not None:
            self.widths[key(array)] = self.problem.widths[int(array.layer)]
        return self.widths[key(array)]

    def _target(self, array: Ref) -> Ref:
        self._width(array)
        return replace(array, axes=BATCH if len(array.axes) == 2 else ROW)

    def _new(self, axes: t.Axes, width: int) -> Ref:
        array = Ref(axes, "t", sp.Integer(-len(self.widths)))
        self.widths[key(array)] = width
        return array

    def _wide(self, node: Node) -> int:
        """The number of components that an expression runs over."""
        found = [
            n for n in node.walk() if isinstance(n, Ref) and len(n.axes) == 2 and l.i in n.axes
        ]
        if not found:
            raise DerivationError(f"no array says how many components this has: {self.note}")
        return self.widths[key(found[0])]

    # -- steps of a tile -----------------------------------------------------------------------

    def _over_samples(self, target: Ref, value: Node) -> None:
        if isinstance(value, Ref) and value.axes == target.axes:
            self.known[key(target)] = value
        elif (linear := self._linear(target, value)) is not None:
            self.tile.append(linear)
        else:
            found = self._pointwise(value).map(lambda one: self.stored.get(one, one))
            self.stored[found] = target
            self.tile.append(Pointwise(target, self.note, found))

    def _linear(self, target: Ref, value: Node) -> Linear | None:
        """The step, if the value is products with weights, and a bias."""
        terms, start = [], None
        for sign, part in signed(value):
            if isinstance(part, t.MatMul) and l.i in part.axes and len(part.axes) == 2:
                terms.append(self._term(sign, part))
            elif isinstance(part, Ref) and l.i not in part.axes and start is None and sign > 0:
                start = part
            else:
                return None
        return Linear(target, self.note, tuple(terms), start) if terms else None

    def _term(self, sign: int, product: t.MatMul) -> Term:
        state, weight = product.left, product.right
        if not isinstance(state, Ref):
            state = self._stored(state)
        transposed = not isinstance(weight, t.Transposed)
        weight = weight.arg if isinstance(weight, t.Transposed) else weight
        if not isinstance(weight, Ref) or l.i in weight.axes:
            raise DerivationError(f"a product of two states has no kernel: {self.note}")
        return Term(sign, state, weight, transposed)

    def _stored(self, value: Node) -> Ref:
        """An array that holds a value."""
        if value not in self.stored:
            array = self._new(BATCH, self._wide(value))
            self._over_samples(array, value)
            self.stored[value] = array
        return self.stored[value]

    def _pointwise(self, node: Node) -> Node:
        """An expression in which every product and every sum is an array that is already there."""
        if isinstance(node, t.MatMul) and l.i in node.axes:
            return self._product(node)
        if isinstance(node, t.Reduced) and l.i in node.arg.axes:
            return self._reduced(node)
        changed = {
            name: self._pointwise(v) if isinstance(v, Node) else tuple(map(self._pointwise, v))
            for name, v in vars(node).items()
            if isinstance(v, Node) or (isinstance(v, tuple) and v and isinstance(v[0], Node))
        }
        axes = node.axes
        if l.i in axes and not isinstance(node, Ref):
            axes = BATCH if len(axes) == 2 else ROW
        found = replace(node, axes=axes, **changed)
        return self.stored.get(found, found)

    def _product(self, node: t.MatMul) -> Node:
        if len(node.axes) == 1:  # Σ_q x_iq c_q
            inner = t.product([node.left, node.right], [], BATCH)
            return self._reduced(t.Reduced(ROW, inner))
        array = self._new(BATCH, self._rows(node.right))
        self.tile.append(Linear(array, self.note, (self._term(1, node),)))
        return array

    def _rows(self, weight: Node) -> int:
        transposed = isinstance(weight, t.Transposed)
        array = weight.arg if isinstance(weight, t.Transposed) else weight
        assert isinstance(array, Ref)
        after, before = self.problem.shapes[int(array.layer or 0) - 1][0]
        return after if transposed else before

    def _reduced(self, node: t.Reduced) -> Node:
        value = self._pointwise(node.arg)
        if l.i not in node.axes:
            array = self._new(node.axes, 0)
            self.tile.append(Sum(array, self.note, 1, value))
            return array
        value = value.map(lambda one: self._stored(one) if _costly(one) else one)
        row = t.Reduced(ROW, value, node.op)
        if row not in self.stored:
            self.stored[row] = self._new(ROW, 1)
            self.tile.append(Rowwise(self.stored[row], self.note, value, node.op))
        return self.stored[row]

    # -- after all samples ---------------------------------------------------------------------

    def _after(self, target: Ref, value: Node) -> None:
        rest: list[Node] = []
        for sign, part in signed(value):
            if isinstance(part, t.MatMul) and target.axes:
                self._outer(target, sign, part)
            elif isinstance(part, t.Reduced) and l.i in part.arg.axes and target.axes:
                self.tile.append(Sum(target, self.note, sign, self._pointwise(part.arg)))
            else:
                rest.append(self._pointwise(part) if sign > 0 else t.negate(self._pointwise(part)))
                continue
            self.summed.add(key(target))
        if rest:
            add = key(target) in self.summed
            self.after.append(After(target, self.note, t.total(rest, target.axes), add))

    def _outer(self, target: Ref, sign: int, product: t.MatMul) -> None:
        left = product.left.arg if isinstance(product.left, t.Transposed) else product.left
        arrays = [a if isinstance(a, Ref) else self._stored(a) for a in (left, product.right)]
        self.tile.append(Outer(target, self.note, sign, *arrays))


def _one_sum(node: Node) -> Node:
    """Σ_p c_p Σ_i f_ip as Σ_ip c_p f_ip; any other node as it is."""
    if not isinstance(node, t.Reduced) or not isinstance(node.arg, t.Product) or node.op != "sum":
        return node
    inner = [n for n in node.arg.factors if isinstance(n, t.Reduced) and l.i in n.arg.axes]
    if l.i in node.arg.axes or len(inner) != 1 or inner[0].op != "sum":
        return node
    rest = [n for n in node.arg.factors if n is not inner[0]]
    whole = t.product([*rest, inner[0].arg], [*node.arg.divisors], inner[0].arg.axes)
    return replace(node, arg=whole)


def _costly(node: Node) -> bool:
    """Whether this is a function that is worth storing where it is needed again."""
    cheap = {"where", ">", ">=", "<", "<=", "abs", "maximum", "minimum", "sign", "zeros_like"}
    return isinstance(node, t.Call) and len(node.axes) == 2 and node.fn.name not in cheap


def signed(value: Node) -> Iterator[tuple[int, Node]]:
    """The summands of an expression with their signs."""
    if isinstance(value, t.Total):
        yield from ((1, part) for part in value.plus)
        yield from ((-1, part) for part in value.minus)
    else:
        yield 1, value
