"""Index expressions and matrix-form trees as numbers: two small evaluators, written for the tests.

A :class:`World` holds sizes, arrays and functions. ``World.index`` evaluates an expression in index
notation, sums as loops; ``World.array`` evaluates a tree of array operations, every array with
named axes, so that neither broadcasting nor the order of axes is taken from the package. Functions
are given by their values alone; their derivatives are complex steps.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.collapse import Between

STEP = 1e-30


def slope(function, at):
    """f'(at) of an analytic scalar function."""
    return np.imag(function(at + 1j * STEP)) / STEP


def bend(function, at, step=1e-4):
    """f''(at), a difference of complex steps: good to some nine digits."""
    ends = [slope(function, at + sign * step) for sign in (1, -1)]
    wide = [slope(function, at + 2 * sign * step) for sign in (1, -1)]
    return (8 * (ends[0] - ends[1]) - (wide[0] - wide[1])) / (12 * step)


def partial(function, vector, r):
    """∂f/∂v_r of an analytic function of a vector (r counts from 0)."""
    moved = np.array(vector, dtype=complex)
    moved[r] += 1j * STEP
    return np.imag(function(moved)) / STEP


@dataclass
class World:
    """Sizes, arrays by name (those with a layer: dictionaries by k) and functions.

    ``sigma[k]`` maps a preactivation vector to a state vector; for a componentwise layer it also
    maps scalars. ``ell(y, x)`` and ``omega(w)`` are scalar valued.
    """

    widths: tuple[int, ...]
    samples: int
    rho: float
    arrays: dict
    sigma: dict
    ell: object
    omega: object
    kinds: dict = field(default_factory=dict)

    @property
    def depth(self):
        return len(self.widths) - 1

    # -- index notation ----------------------------------------------------------------------------

    def number(self, expr, at):
        """An integer expression: an index, a width, a limit."""
        put = {l.N: self.depth, l.M: self.samples, **at}
        fixed = sp.sympify(expr).xreplace({s: sp.Integer(v) for s, v in put.items()})
        fixed = fixed.replace(lambda e: isinstance(e, l.n), lambda e: self.widths[int(e.args[0])])
        return int(fixed)

    def index(self, expr, at):
        """The value of an expression; ``at`` gives the free indices."""
        if isinstance(expr, sp.Add):
            return sum(self.index(arg, at) for arg in expr.args)
        if isinstance(expr, sp.Mul):
            product = 1
            for arg in sorted(expr.args, key=lambda arg: not isinstance(arg, l.Member)):
                product = product * self.index(arg, at)
                if isinstance(arg, l.Member) and product == 0:
                    break  # the function of the other kind does not exist at this layer
            return product
        if isinstance(expr, sp.Pow):
            return self.index(expr.base, at) ** self.index(expr.exp, at)
        if isinstance(expr, sp.Sum):
            return self._sum(expr.function, list(expr.limits), at)
        if isinstance(expr, sp.Indexed):
            return self._entry(expr, at)
        if isinstance(expr, sp.KroneckerDelta):
            return int(self.number(expr.args[0], at) == self.number(expr.args[1], at))
        if isinstance(expr, Between):
            low, value, high = (self.number(arg, at) for arg in expr.args)
            return int(low <= value <= high)
        if isinstance(expr, l.Member):
            return int(self.kinds[self.number(expr.args[0], at)] == expr.args[1])
        if isinstance(expr, (l.Opaque, l.Coupled, l.Partial)):
            return self._function(expr, at)
        if expr == l.rho:
            return self.rho
        if expr.is_Rational or expr.is_Float:
            return float(expr)
        return self.number(expr, at)

    def _sum(self, body, limits, at):
        if not limits:
            return self.index(body, at)
        v, lower, upper = limits[-1]
        span = range(self.number(lower, at), self.number(upper, at) + 1)
        return sum(self._sum(body, limits[:-1], {**at, v: j}) for j in span)

    def _entry(self, expr, at):
        indices = [self.number(index, at) for index in expr.indices]
        array = self.arrays[str(expr.base.label)]
        if isinstance(array, dict):
            array = array[indices.pop(0)]
        assert all(1 <= j <= size for j, size in zip(indices, array.shape, strict=True))
        return array[tuple(j - 1 for j in indices)]

    def _vector(self, body, size, at):
        span = range(1, self.number(size, at) + 1)
        return np.array([self.index(body, {**at, l.STAR: r}) for r in span])

    def _function(self, expr, at):
        if isinstance(expr, l.Opaque):
            argument = self.index(expr.args[-1], at)
            function = self.omega
            if expr.name == "sigma":
                function = self.sigma[self.number(expr.args[0], at)]
            return (function, slope.__get__(function), bend.__get__(function))[expr.order](argument)
        *labels, body, size = expr.args
        vector = self._vector(body, size, at)
        labels = [self.number(label, at) for label in labels]
        if expr.name == "ell":
            y = self.arrays["Y"][labels[0] - 1]
            if isinstance(expr, l.Coupled):
                return self.ell(y, vector)
            return self._partial(lambda x: self.ell(y, x), vector, labels[1:])
        k, component = labels[:2]
        if isinstance(expr, l.Coupled):
            return self.sigma[k](vector)[component - 1]
        return self._partial(lambda v: self.sigma[k](v)[component - 1], vector, labels[2:])

    @staticmethod
    def _partial(function, vector, components):
        """∂f/∂v_r or ∂²f/∂v_r∂v_s."""
        if len(components) == 1:
            return partial(function, vector, components[0] - 1)
        r, s = (component - 1 for component in components)
        unit = np.eye(len(vector))[s]
        along = {t: partial(function, vector + t * 1e-4 * unit, r) for t in (-2, -1, 1, 2)}
        return (8 * (along[1] - along[-1]) - (along[2] - along[-2])) / 12e-4

    def _derivative(self, function, vector, order):
        """The gradient or the Hessian of a scalar function."""
        shape = (len(vector),) * order
        entries = [
            self._partial(function, vector, [at + 1 for at in where]) for where in np.ndindex(shape)
        ]
        return np.reshape(entries, shape)

    # -- trees of array operations: an array and the names of its axes -----------------------------

    def array(self, node, layer, sample=None):
        """The value of a tree at symbolic layer k = ``layer``; a label i takes ``sample``."""
        axes, value = self._tree(node, {l.k: layer}, sample)
        assert axes == node.axes
        return value

    def _spread(self, axes, operand):
        """An operand as an array over ``axes``, by name."""
        names, value = operand
        order = [names.index(axis) for axis in axes if axis in names]
        value = np.transpose(value, order)
        return value[tuple(slice(None) if axis in names else None for axis in axes)]

    def _tree(self, node, at, sample):  # one branch per node
        def below(child):
            return self._tree(child, at, sample)

        axes = node.axes
        if isinstance(node, t.Number):
            return (), np.asarray(self.index(node.value, at))
        if isinstance(node, t.Ref):
            return axes, self._reference(node, at, sample)
        if isinstance(node, t.Call):
            return axes, self._call(node, at, sample)
        if isinstance(node, t.Product):
            value = np.ones(())
            for factor in node.factors:
                value = value * self._spread(axes, below(factor))
            for divisor in node.divisors:
                value = value / self._spread(axes, below(divisor))
            return axes, value
        if isinstance(node, t.Total):
            value = np.zeros(())
            for sign, terms in ((1, node.plus), (-1, node.minus)):
                for term in terms:
                    value = value + sign * self._spread(axes, below(term))
            return axes, value
        if isinstance(node, t.Power):
            return axes, self._spread(axes, below(node.base)) ** float(node.exponent)
        if isinstance(node, (t.MatMul, t.Outer)):
            (left, a), (right, b) = below(node.left), below(node.right)
            letters = dict(zip(dict.fromkeys((*left, *right)), itertools.count(), strict=False))
            if isinstance(node, t.MatMul):
                assert left[-1] == right[0], "a matrix product sums neighbouring axes"
            out = [letters[axis] for axis in axes]
            return axes, np.einsum(
                a, [letters[s] for s in left], b, [letters[s] for s in right], out
            )
        if isinstance(node, t.Transposed):
            names, value = below(node.arg)
            assert axes == names[::-1]
            return axes, value.T
        if isinstance(node, t.Reduced):
            names, value = below(node.arg)
            return axes, getattr(value, node.op)(axis=node.over) if node.over else value
        if isinstance(node, t.Over):
            span = range(self.number(node.lower, at), self.number(node.upper, at) + 1)
            assert node.index == l.i
            return axes, sum(self._tree(node.arg, at, j)[1] for j in span)
        raise AssertionError(f"no rule for {type(node).__name__}")

    def _reference(self, node, at, sample):
        array = self.arrays[node.name]
        if node.layer is not None:
            array = array[self.number(node.layer, at)]
        if l.i not in node.axes and node.name not in {"W", "b", "W_dot", "b_dot"}:
            array = array[sample - 1]  # vectors of one sample
        assert array.ndim == len(node.axes)
        return array

    def _call(self, node, at, sample):
        fn, (argument, *along) = node.fn, node.args
        names, value = self._tree(argument, at, sample)
        if fn.name == "ell":
            rows = value if value.ndim == 2 else value[None]
            labels = self.arrays["Y"] if value.ndim == 2 else self.arrays["Y"][sample - 1][None]
            found = np.array([
                self._derivative(lambda x, y=y: self.ell(y, x), row, fn.order)
                for row, y in zip(rows, labels, strict=True)
            ])  # fmt: skip
            return found if value.ndim == 2 else found[0]
        function = self.omega if fn.name == "omega" else self.sigma[self.number(fn.layer, at)]
        if fn.coupled and fn.order:
            rows = value if value.ndim == 2 else value[None]
            found = np.array([
                [self._derivative(lambda v, p=p: function(v)[p], row, fn.order)
                 for p in range(rows.shape[1])] for row in rows
            ])  # fmt: skip
            if along:  # ∂²σ/∂z²[ż], a matrix
                moved = self._tree(along[0], at, sample)[1]
                found = np.einsum("iprs,is->ipr", found, moved.reshape(rows.shape))
            return found if value.ndim == 2 else found[0]
        if fn.coupled:
            return (
                np.array([function(row) for row in value]) if value.ndim == 2 else function(value)
            )
        by_order = (function, slope.__get__(function), bend.__get__(function))
        values = [by_order[fn.order](one) for one in value.ravel()]
        return self._spread(node.axes, (names, np.array(values).reshape(value.shape)))


# -- an example ------------------------------------------------------------------------------------


def softmax(v):
    return np.exp(v) / np.exp(v).sum()


def mixing(v):
    """A coupled function that is not symmetric: component p is sin(v_p) times a weighted sum."""
    return np.sin(v) * (v * np.arange(1, len(v) + 1)).sum()


def ell(y, x):
    """A loss that couples its components."""
    return np.log(1 + (x * y).sum() ** 2) + ((x - y) ** 4).sum()


def omega(w):
    return w**4 / 4 + np.sin(w)


def example(coupled=(), seed=0):
    """Three layers of different functions at a point that satisfies no constraint.

    ``coupled`` lists the layers with a coupled σ.
    """
    rng, widths, samples = np.random.default_rng(seed), (2, 3, 2, 4), 3
    plain = {1: np.tanh, 2: np.sin, 3: lambda v: v**3 / 3 + v}
    mixed = {1: softmax, 2: mixing, 3: softmax}
    layers = range(1, len(widths))

    def states(first=1):
        return {k: rng.normal(size=(samples, widths[k])) for k in range(first, len(widths))}

    arrays = {
        "X": states(0), "Z": states(), "lambda": states(), "mu": states(),
        "W": {k: rng.normal(size=(widths[k], widths[k - 1])) for k in layers},
        "b": {k: rng.normal(size=widths[k]) for k in layers},
        "Y": rng.normal(size=(samples, widths[-1])),
    }  # fmt: skip
    return World(
        widths, samples, 0.3, arrays,
        {k: mixed[k] if k in coupled else plain[k] for k in layers}, ell, omega,
        {k: l.COUPLED if k in coupled else l.COMPONENTWISE for k in layers},
    )  # fmt: skip
