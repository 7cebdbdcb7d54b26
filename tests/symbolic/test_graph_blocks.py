"""The symbolic blocks of ∇²L of a graph, entry by entry, against the assembled sparse matrix."""

import itertools

import numpy as np
import pytest
import sympy as sp

import lagrangenet as ln
from lagrangenet import Constraint as C
from lagrangenet import Problem
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between

GRAPHS = {
    "shared": Problem.graph(
        {"x0": 2},
        [
            C("x1", "dense", "x0", m=2, activation="tanh", W="w1"),
            C("g", "multiply", ("x1", "x0")),
            C("x2", "dense", "g", m=2, activation="tanh", W="w1"),
        ],
        regularizer=ln.L2(0.3),
    ),
    "recurrent": Problem.graph(
        {"x": ("T", 1)},
        [C("h", "recurrent", "x", m=2, activation="tanh"), C("s", "last", "h")],
    ),
    "rms": Problem.graph({"x": 3}, [C("a", "affine", "x", m=2), C("y", "rms_norm", "a", eps=0.1)]),
    "conv": Problem.graph(
        {"x": (1, 4)},
        [C("c", "conv1d", "x", O=2, R=2, stride=2), C("y", "conv1d", "c", O=1, R=2, pad=1)],
    ),
}
SAMPLES, STEPS = 2, 3


@pytest.mark.parametrize("name", GRAPHS)
def test_blocks_are_the_entries_of_the_kkt_matrix(name):
    graph = GRAPHS[name]
    rng = np.random.default_rng(3)
    routines = ln.generate(ln.derive(graph, order=2))
    inputs = {n: rng.standard_normal(lengths(graph, n)) for n, _ in graph.inputs}
    Y = rng.standard_normal(lengths(graph, graph.output))
    theta = {n: rng.standard_normal(graph.shape_of(n)) for n in graph.parameters}
    states = {
        n: a + 0.1 * rng.standard_normal(a.shape)
        for n, a in routines.forward(theta, inputs).items()
    }
    if name == "recurrent":
        states["h_h"][:, 0] = 0
    multipliers = {
        n: rng.standard_normal(a.shape)
        for n, a in routines.backward(theta, inputs, states, Y).items()
    }
    kkt = routines.kkt_matrix(theta, inputs, Y, states, multipliers)
    found = World(graph, inputs, states, multipliers, theta, Y).matrix(
        ln.derive(graph, order=2).hessian_blocks
    )
    expected = kkt.matrix.toarray()
    assert np.abs(found - expected).max() <= 1e-13 * np.abs(expected).max()


def lengths(graph, name):
    return graph.lengths_of(name, SAMPLES, STEPS)


class World:
    """Numbers for every array, and positions in (states, parameters, multipliers)."""

    def __init__(self, graph, inputs, states, multipliers, theta, Y):
        self.graph = graph
        lam = {f"lambda_{n}": a for n, a in multipliers.items()}
        self.arrays = {**inputs, **states, **theta, **lam, "Y": Y}
        self.lower = {
            n: int(graph.shapes[n][1][0]) if len(graph.shapes[n]) > 1 else 1 for n in states
        }
        self.at, place = {}, 0
        shapes = {n: multipliers[n].shape for n in multipliers}
        for name, shape in (
            *shapes.items(),
            *((n, a.shape) for n, a in theta.items()),
            *((f"lambda_{n}", shape) for n, shape in shapes.items()),
        ):
            size = int(np.prod(shape))
            self.at[name] = np.arange(place, place + size).reshape(shape)
            place += size
        self.size = place

    def matrix(self, blocks):
        found = np.zeros((self.size, self.size))
        for block in blocks:
            rows, columns = (str(a.base.label) for a in (block.rows, block.columns))
            free = (*block.rows.indices, *block.columns.indices)
            places = itertools.product(
                np.ndindex(self.at[rows].shape), np.ndindex(self.at[columns].shape)
            )
            for u, v in places:
                values = {s: sp.Integer(k + 1) for s, k in zip(free, (*u, *v), strict=True)}
                found[self.at[rows][u], self.at[columns][v]] += self.value(block.expr, values)
        return found

    def value(self, expr, at):
        """An index expression in numbers: a recursion over its nodes, with loops for the sums."""
        if isinstance(expr, sp.Sum):
            (v, low, high), *rest = expr.limits[::-1]
            inner = sp.Sum(expr.function, *rest[::-1]) if rest else expr.function
            first, last = int(self.value(low, at)), int(self.value(high, at))
            return sum(self.value(inner, {**at, v: sp.Integer(k)}) for k in range(first, last + 1))
        if isinstance(expr, sp.Indexed):
            return self.entry(expr, at)
        if isinstance(expr, Between):
            low, middle, high = (self.value(a, at) for a in expr.args)
            return float(low <= middle <= high)
        if isinstance(expr, sp.KroneckerDelta):
            left, right = (self.value(a, at) for a in expr.args)
            return float(left == right)
        if isinstance(expr, l.Opaque):
            return self.function(expr, self.value(expr.args[-1], at))
        if isinstance(expr, l.Partial):  # squared error: ∂²ℓ/∂x_p∂x_r = δ_pr
            left, right = (self.value(a, at) for a in expr.args[-4:-2])
            return float(left == right)
        if expr.is_Symbol:
            return self.symbol(expr, at)
        if expr.is_Mul:  # zero first: a subscript outside its array is behind a guard
            factors = sorted(
                expr.args, key=lambda e: not isinstance(e, (Between, sp.KroneckerDelta))
            )
            product = 1.0
            for factor in factors:
                product *= self.value(factor, at)
                if product == 0:
                    return 0.0
            return product
        if expr.is_Add:
            return sum(self.value(a, at) for a in expr.args)
        if expr.is_Pow:
            return self.value(expr.base, at) ** self.value(expr.exp, at)
        return float(expr)

    def entry(self, expr, at):
        name = str(expr.base.label)
        where = [int(self.value(a, at)) - 1 for a in expr.indices]
        if name in self.lower and len(where) > 1:
            where[1] += 1 - self.lower[name]
        assert all(0 <= w < n for w, n in zip(where, self.arrays[name].shape, strict=True)), expr
        return float(self.arrays[name][tuple(where)])

    def symbol(self, expr, at):
        if expr in at:
            return float(at[expr])
        known = {"M": SAMPLES, "T": STEPS, "rho": 0.3}
        return float(known[str(expr)] if str(expr) in known else self.graph.sizes[expr])

    @staticmethod
    def function(expr, z):
        if expr.name == "omega":  # w²/2
            return (z**2 / 2, z, 1.0)[expr.order]
        y = np.tanh(z)
        return (y, 1 - y**2, -2 * y * (1 - y**2))[expr.order]


@pytest.mark.parametrize("name", GRAPHS)
def test_reduced_hessian_is_that_of_the_products(name):
    graph = GRAPHS[name]
    rng = np.random.default_rng(4)
    routines = ln.generate(ln.derive(graph, order=2))
    inputs = {n: rng.standard_normal(lengths(graph, n)) for n, _ in graph.inputs}
    Y = rng.standard_normal(lengths(graph, graph.output))
    flat = rng.standard_normal(graph.size)
    reduced = routines.kkt_matrix(routines.unpack(flat), inputs, Y).reduced_hessian()
    columns = [routines.hessp(flat, unit, inputs, Y) for unit in np.eye(graph.size)]
    assert np.abs(reduced - np.stack(columns, axis=1)).max() <= 1e-12 * np.abs(reduced).max()
