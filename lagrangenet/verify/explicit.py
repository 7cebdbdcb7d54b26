"""The Lagrangian of a small instance, element by element: the second independent oracle.

    L = (1/M) Σ_i Σ_p ℓ(y_ip, x_ip^N) + ρ Σ_k Σ_pq Ω(W_pq^k) + Σ_k Σ_i Σ_p λ_ip^k c_ip^k

Each x_ip^k, W_pq^k, b_p^k, λ_ip^k, each input and each label is a scalar symbol, each sum is
written out, and each derivative is a plain ``sympy.diff`` of a scalar expression. No index
notation, no chain rule of our own. Terms that differ only in their symbols' names are
differentiated once and evaluated together. It refuses instances too large to be written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.errors import DataError
from lagrangenet.problem import Problem
from lagrangenet.verify import written_out

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Theta = tuple[tuple[Array, Array], ...]
Scalars = tuple[sp.Symbol, ...]

#: More variables than this are not written out: dense Hessians, and minutes of differentiation.
LARGEST = 1000


class Term:
    """One scalar expression with its gradient and Hessian, evaluated for many rows of values.

    Parameters
    ----------
    expr : sympy.Expr
        In the symbols ``variables + given``.
    variables, given : tuple of sympy.Symbol
        The symbols to differentiate by, and the others (data).

    Examples
    --------
    >>> a, b = sp.symbols("a b")
    >>> term = Term(a**2 * b, (a,), (b,))
    >>> rows = np.array([[1.0, 3.0], [2.0, 1.0]])
    >>> term.value(rows), term.gradient(rows), term.hessian(rows)
    (array([3., 4.]), array([[6.], [4.]]), array([[[6.]], [[2.]]]))
    """

    def __init__(self, expr: sp.Expr, variables: Scalars, given: Scalars = ()) -> None:
        self.expr, self.variables, self.symbols = expr, variables, (*variables, *given)

    def value(self, rows: Array) -> Array:
        """The expression for each row of values, (R,)."""
        return self._evaluated(self._value, rows)[:, 0]

    def gradient(self, rows: Array) -> Array:
        """Its derivatives by the variables, (R, q)."""
        return self._evaluated(self._gradient, rows)

    def hessian(self, rows: Array) -> Array:
        """Its second derivatives, (R, q, q)."""
        size = len(self.variables)
        lower = np.tril_indices(size)
        out = np.empty((len(rows), size, size))
        entries = self._evaluated(self._hessian, rows)
        out[:, lower[0], lower[1]] = entries
        out[:, lower[1], lower[0]] = entries
        return out

    @cached_property
    def _first(self) -> list[sp.Expr]:
        return [sp.diff(self.expr, a) for a in self.variables]

    @cached_property
    def _value(self) -> Any:
        return self._compiled([self.expr])

    @cached_property
    def _gradient(self) -> Any:
        return self._compiled(self._first)

    @cached_property
    def _hessian(self) -> Any:
        pairs = zip(*np.tril_indices(len(self.variables)), strict=True)
        return self._compiled([sp.diff(self._first[a], self.variables[b]) for a, b in pairs])

    def _compiled(self, entries: list[sp.Expr]) -> Any:
        """A function of all scalars; derivatives of |.| and of steps count only off their kinks."""
        entries = [entry.replace(sp.DiracDelta, lambda *_: sp.S.Zero) for entry in entries]
        return sp.lambdify(self.symbols, entries, modules=["scipy", "numpy"], cse=True)

    @staticmethod
    def _evaluated(function: Any, rows: Array) -> Array:
        """Columns of values into columns of results; constant entries are repeated.

        Points outside a function's domain give NaN or infinities, which the caller has to judge.
        """
        with np.errstate(all="ignore"):
            entries = function(*rows.T)
            return np.stack([np.broadcast_to(entry, len(rows)) for entry in entries], axis=-1)


@cache
def _term(expr: sp.Expr, variables: Scalars, given: Scalars) -> Term:
    """Terms that differ only in the names of their symbols are the same term."""
    return Term(expr, variables, given)


class Family(NamedTuple):
    """Copies of one term: ``at[r]`` says where in (v, X, Y) row r finds its symbols' values.

    ``row`` numbers the constraints that the copies are; for the objective it is empty.
    """

    term: Term
    at: Ints
    row: Ints

    def columns(self) -> Ints:
        """Where the variables of each copy stand in v, (R, q)."""
        return self.at[:, : len(self.term.variables)]


class ExplicitLagrangian:
    """min J(v) subject to c(v) = 0 in the variables v = (x, θ), written out in scalars.

    The order of v is x^1, ..., x^N, each (M, n_k) row by row, then W^1 row by row, b^1, W^2, ...,
    b^N. Constraints, and so multipliers, are in the order of the states: c_j belongs to v_j. A
    multiplier argument is one flat vector, or a sequence of arrays (M, n_k).

    Parameters
    ----------
    problem : Problem
        A small network.
    samples : int
        M.

    Raises
    ------
    DataError
        If there are more than ``LARGEST`` variables or arrays do not fit.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> explicit = ExplicitLagrangian(chain([1, 1]), samples=1)
    >>> print(explicit.expression)
    lam1_1_1*(-W1_1_1*x0_1_1 - b1_1 + x1_1_1) + 0.5*(x1_1_1 - y_1_1)**2
    >>> v = explicit.pack([np.array([[3.0]])], ((np.array([[2.0]]), np.array([0.5])),))
    >>> explicit.constraints(v, np.array([[1.0]]))
    array([0.5])
    """

    def __init__(self, problem: Problem, samples: int) -> None:
        self.problem, self.samples = problem, samples
        self.state_shapes = tuple((samples, width) for width in problem.widths[1:])
        self.conditions = samples * sum(problem.widths[1:])
        self.size = self.conditions + problem.size
        if samples < 1 or self.size > LARGEST:
            raise DataError(
                f"{samples} samples give {self.size} variables; write out at least one sample "
                f"and at most {LARGEST} variables (see small_instance)"
            )
        self._place()
        self._constraints = [f for k in range(problem.depth) for f in self._layer(k)]
        self._objective = list(self._objective_terms())

    # -- layout --------------------------------------------------------------------------------

    def _place(self) -> None:
        """The position of every scalar in (v, X, Y), as arrays of the shape of what they place."""
        widths, start = self.problem.widths, 0

        def block(*shape: int) -> Ints:
            nonlocal start
            start += int(np.prod(shape))
            return np.arange(start - int(np.prod(shape)), start, dtype=np.intp).reshape(shape)

        states = [block(*shape) for shape in self.state_shapes]
        self._theta_at = [(block(*W), block(*b)) for W, b in self.problem.shapes]
        self._states_at = [block(self.samples, widths[0]), *states]
        self._labels_at = block(self.samples, widths[-1])

    def pack(self, states: Sequence[Array], theta: Theta) -> Array:
        """The vector v = (x^1, ..., x^N, W^1, b^1, ..., W^N, b^N), flat."""
        parts = [*states, *(part for pair in theta for part in pair)]
        v = np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
        if v.size != self.size:
            raise DataError(f"states and theta hold {v.size} numbers; expected {self.size}")
        return v

    def unpack(self, v: Array) -> tuple[tuple[Array, ...], Theta]:
        """(x^1, ..., x^N) and θ, as new arrays."""
        states = tuple(v[at] for at in self._states_at[1:])
        return states, tuple((v[W], v[b]) for W, b in self._theta_at)

    def split(self, lam: Array) -> tuple[Array, ...]:
        """A flat vector of multipliers as (λ^1, ..., λ^N), each (M, n_k)."""
        return tuple(lam[at] for at in self._states_at[1:])

    @property
    def outputs(self) -> Ints:
        """Where x^N stands in v, (M, n_N)."""
        return self._states_at[-1]

    # -- terms ---------------------------------------------------------------------------------

    def _layer(self, k: int) -> Iterator[Family]:
        """c_p = x_p − σ_p(Σ_q W_1q a_q + b_1, ..., Σ_q W_nq a_q + b_n), for each component p."""
        width, before = self.state_shapes[k][1], self.problem.widths[k]
        coupled = self.problem.activations[k].coupled
        own = width if coupled else 1  # rows of W that one component of σ depends on
        a = _symbols("a", before)
        W = [_symbols(f"W{r}_", before) for r in range(1, own + 1)]
        b, x = _symbols("b", own), sp.Symbol("x", real=True)
        z = tuple(sp.Add(*map(sp.Mul, W[r], a)) + b[r] for r in range(own))
        sigma = written_out.activation(self.problem.layers[k].activation, z)
        flat = tuple(entry for row in W for entry in row)
        variables, given = ((x, *flat, *b), a) if k == 0 else ((x, *flat, *b, *a), ())
        W_at, b_at = self._theta_at[k]
        for p in range(width):
            rows = slice(None) if coupled else slice(p, p + 1)
            theta_at = np.concatenate([W_at[rows].ravel(), b_at[rows]])
            x_at = self._states_at[k + 1][:, p]
            at = [x_at[:, None], np.tile(theta_at, (self.samples, 1)), self._states_at[k]]
            term = _term(x - sigma[p if coupled else 0], variables, given)
            yield Family(term, np.hstack(at), x_at)

    def _objective_terms(self) -> Iterator[Family]:
        """ℓ(y_ip, x_ip^N)/M, and ρ Ω(W_pq)."""
        nothing = np.empty(0, dtype=np.intp)
        w = sp.Symbol("w", real=True)
        count = self.problem.widths[-1] if self.problem.loss_entry.coupled else 1
        x, y = _symbols("x", count), _symbols("y", count)  # the outputs that one term depends on
        at = [v.reshape(-1, count) for v in (self._states_at[-1], self._labels_at)]
        each = sp.Add(*written_out.loss(self.problem.loss, y, x)) / sp.Float(self.samples)
        weights = self.problem.class_weights or (1.0,)
        for p, weight in enumerate(weights):  # without weights one term serves all components
            rows = np.hstack(at)[p :: len(weights)]
            yield Family(
                _term(each if weight == 1 else sp.Float(weight) * each, x, y), rows, nothing
            )
        if self.problem.regularizer is not None:
            omega = written_out.regularizer(self.problem.regularizer, w)
            counted = 2 if self.problem.penalizes_biases else 1
            flat = [v.ravel() for pair in self._theta_at for v in pair[:counted]]
            omega_at = np.concatenate(flat)[:, None]
            yield Family(
                _term(sp.Float(self.problem.strength) * omega, (w,), ()), omega_at, nothing
            )

    @cached_property
    def expression(self) -> sp.Expr:
        """L itself, in scalar symbols ``x1_2_3`` (layer 1, sample 2, component 3), ``W1_2_3``..."""
        names = self._names()
        total = []
        for family in (*self._constraints, *self._objective):
            for j, at in enumerate(family.at):
                copy = family.term.expr.xreplace(
                    dict(zip(family.term.symbols, names[at], strict=True))
                )
                if family.row.size:
                    copy *= sp.Symbol("lam" + names[family.row[j]].name[1:], real=True)
                total.append(copy)
        return sp.Add(*total)

    def _names(self) -> NDArray[np.object_]:
        """A scalar symbol for every position in (v, X, Y)."""
        names = np.empty(int(self._labels_at.max()) + 1, dtype=object)
        blocks = [(f"x{k}", at) for k, at in enumerate(self._states_at)]
        for k, (W_at, b_at) in enumerate(self._theta_at, 1):
            blocks += [(f"W{k}", W_at), (f"b{k}", b_at)]
        for name, at in (*blocks, ("y", self._labels_at)):
            for where in np.ndindex(at.shape):
                label = "_".join([name, *(str(j + 1) for j in where)])
                names[at[where]] = sp.Symbol(label, real=True)
        return names

    # -- values --------------------------------------------------------------------------------

    def objective(self, v: Array, X: Array, Y: Array) -> float:
        """J(x^N, θ)."""
        numbers = self._numbers(v, X, Y)
        return float(sum(f.term.value(numbers[f.at]).sum() for f in self._objective))

    def objective_gradient(self, v: Array, X: Array, Y: Array) -> Array:
        """∂J/∂v, (n,)."""
        numbers, out = self._numbers(v, X, Y), np.zeros(self.size)
        for family in self._objective:
            np.add.at(out, family.columns(), family.term.gradient(numbers[family.at]))
        return out

    def objective_hessian(self, v: Array, X: Array, Y: Array) -> Array:
        """∂²J/∂v², (n, n)."""
        numbers, out = self._numbers(v, X, Y), np.zeros((self.size, self.size))
        for family in self._objective:
            _scatter(out, family.columns(), family.term.hessian(numbers[family.at]))
        return out

    def constraints(self, v: Array, X: Array) -> Array:
        """c(v), (m,); zero where every layer's equation holds."""
        numbers, out = self._numbers(v, X), np.empty(self.conditions)
        for family in self._constraints:
            out[family.row] = family.term.value(numbers[family.at])
        return out

    def jacobian(self, v: Array, X: Array) -> Array:
        """∂c/∂v, dense (m, n)."""
        numbers, out = self._numbers(v, X), np.zeros((self.conditions, self.size))
        for family in self._constraints:
            out[family.row[:, None], family.columns()] = family.term.gradient(numbers[family.at])
        return out

    def constraints_hessian(self, v: Array, lam: Array | Sequence[Array], X: Array) -> Array:
        """Σ_j λ_j ∂²c_j/∂v², (n, n)."""
        numbers, out = self._numbers(v, X), np.zeros((self.size, self.size))
        weights = self._flat(lam)
        for family in self._constraints:
            each = family.term.hessian(numbers[family.at]) * weights[family.row, None, None]
            _scatter(out, family.columns(), each)
        return out

    def lagrangian_hessian(
        self, v: Array, lam: Array | Sequence[Array], X: Array, Y: Array
    ) -> Array:
        """∂²L/∂v² = ∂²J/∂v² + Σ_j λ_j ∂²c_j/∂v², (n, n)."""
        return self.objective_hessian(v, X, Y) + self.constraints_hessian(v, lam, X)

    def stationarity(
        self, v: Array, lam: Array | Sequence[Array], X: Array, Y: Array
    ) -> dict[str, Array]:
        """The residuals of ∂L/∂λ = c, ∂L/∂x and ∂L/∂θ, flat, under 'lambda', 'x' and 'theta'."""
        by_v = self.objective_gradient(v, X, Y) + self._flat(lam) @ self.jacobian(v, X)
        m = self.conditions
        return {"lambda": self.constraints(v, X), "x": by_v[:m], "theta": by_v[m:]}

    def _numbers(self, v: Array, X: Array, Y: Array | None = None) -> Array:
        """(v, X, Y) as one flat vector, after a look at the shapes."""
        shapes = {"v": (self.size,), "X": self._states_at[0].shape, "Y": self._labels_at.shape}
        parts = {"v": v, "X": X} if Y is None else {"v": v, "X": X, "Y": Y}
        for name, part in parts.items():
            if np.shape(part) != shapes[name]:
                raise DataError(f"{name} has shape {np.shape(part)}; expected {shapes[name]}")
        return np.concatenate([np.ravel(part) for part in parts.values()])

    def _flat(self, lam: Array | Sequence[Array]) -> Array:
        flat = np.concatenate([np.ravel(part) for part in lam])
        if flat.shape != (self.conditions,):
            raise DataError(f"{flat.size} multipliers for {self.conditions} constraints")
        return flat


def _symbols(stem: str, count: int) -> Scalars:
    return tuple(sp.Symbol(f"{stem}{j}", real=True) for j in range(1, count + 1))


def _scatter(matrix: Array, columns: Ints, blocks: Array) -> None:
    """Add each (q, q) block at its rows and columns; entries met twice accumulate."""
    np.add.at(matrix, (columns[:, :, None], columns[:, None, :]), blocks)
